//! The files that a scenario names, taken in: afterwards it stands by itself.
//!
//! Owns: which keys name a file, and what is said of one that can't be had. Refuses: reading it; whoever holds the
//! scenario's folder does.

use super::Beside;
use super::problem::Complaint;
use super::source::Path;
use super::spec::{FileSource, SaidFile, SaidScript, Scenario, Script};
use crate::base::{Content, ReadFile};

/// Asks for every file and keeps what is given.
pub(super) fn take_in(scenario: &mut Scenario, beside: &mut Beside<'_>) -> Vec<Complaint> {
    let mut complaints = Vec::new();
    for (name, node) in &mut scenario.nodes {
        let path = Path::of(&["nodes", name.as_str()]);
        for (target, source) in &mut node.files {
            let here = path.at("files").at(target.as_str());
            let Some(file) = source.path().map(str::to_owned) else { continue };
            match beside(&file) {
                Ok(None) => {}
                Ok(Some(read)) => {
                    let said = match source {
                        FileSource::Said(said) => said.clone(),
                        FileSource::Path(_) => SaidFile { file: Some(file), ..SaidFile::default() },
                    };
                    *source = FileSource::Said(SaidFile { read: Some(read), ..said });
                }
                Err(why) => {
                    let here = if matches!(source, FileSource::Said(_)) { here.at("file") } else { here };
                    complaints.push(missing(&here, &file, &why));
                }
            }
        }
        if let Some(script) = &mut node.script
            && let Some(file) = script.path().map(str::to_owned)
        {
            let here = path.at("script");
            let here = if matches!(script, Script::Said(_)) { here.at("file") } else { here };
            match beside(&file).and_then(|read| read.map(text_only).transpose()) {
                Ok(None) => {}
                Ok(Some(read)) => {
                    let said = match script {
                        Script::Said(said) => said.clone(),
                        Script::Path(_) => SaidScript { file: Some(file), ..SaidScript::default() },
                    };
                    *script = Script::Said(SaidScript { read: Some(read), ..said });
                }
                Err(why) => complaints.push(missing(&here, &file, &why)),
            }
        }
    }
    complaints
}

/// A script is text; a program in a machine's own code is none, and no shell takes it.
fn text_only(read: ReadFile) -> Result<ReadFile, String> {
    let Content::Bytes(bytes) = &read.content else { return Ok(read) };
    let good = std::str::from_utf8(bytes).map_or_else(|error| error.valid_up_to(), str::len);
    let line = 1 + bytes.get(..good).unwrap_or_default().split(|byte| *byte == b'\n').skip(1).count();
    Err(format!("line {line} is not UTF-8 text"))
}

fn missing(path: &Path, file: &str, why: &str) -> Complaint {
    Complaint::value(path, format!("could not read the file `{file}`: {why}"))
        .help("the path is taken from the folder that the scenario is in")
}
