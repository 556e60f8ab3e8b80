//! The files that a scenario names, taken in: afterwards it stands by itself.
//!
//! Owns: which keys name a file, and what is said of one that can't be had. Refuses: reading it; whoever holds the
//! scenario's folder does.

use super::Beside;
use super::problem::Complaint;
use super::source::Path;
use super::spec::{FileSource, SaidFile, Scenario};

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
    }
    complaints
}

fn missing(path: &Path, file: &str, why: &str) -> Complaint {
    Complaint::value(path, format!("could not read the file `{file}`: {why}"))
        .help("the path is taken from the folder that the scenario is in")
}
