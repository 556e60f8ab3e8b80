//! Keeps the layers: who may use whom, and what pure code may not touch. The picture is in `ARCHITECTURE.md`.

#![expect(clippy::unwrap_used, reason = "a test says by a panic what is wrong")]

use std::fs;
use std::path::{Path, PathBuf};

/// Each layer and the layers that it may use. A layer that is missing here fails the test.
const LAYERS: &[(&str, &[&str])] = &[
    ("base", &[]),
    ("facts", &["base"]),
    ("wire", &["base"]),
    ("trace", &["base", "wire"]),
    ("judge", &["base", "wire", "trace", "facts"]),
    ("scenario", &["base"]),
    ("import", &["base", "scenario"]),
    ("plan", &["base", "facts", "scenario", "judge"]),
    ("report", &["base", "facts", "judge"]),
    ("mutate", &["base", "plan", "report"]),
    ("channel", &["base", "facts"]),
    ("calls", &[]),
    ("inside", &["base", "facts", "plan", "wire", "channel", "calls"]),
    ("substrate", &["base", "channel", "calls"]),
    ("lab", &["base", "facts", "plan", "wire", "trace", "judge", "report", "channel", "substrate"]),
    (
        "cli",
        &[
            "base",
            "facts",
            "wire",
            "trace",
            "judge",
            "scenario",
            "import",
            "plan",
            "report",
            "mutate",
            "channel",
            "inside",
            "substrate",
            "lab",
        ],
    ),
];

/// Layers that only compute.
const PURE: &[&str] = &["base", "facts", "wire", "trace", "judge", "scenario", "import", "plan", "report", "mutate"];

/// What code that only computes may not name.
const EFFECTS: &[&str] = &[
    "tokio::",
    "nix::",
    "libc::",
    "rtnetlink::",
    "neli::",
    "hyper::",
    "reqwest::",
    "std::fs",
    "std::env",
    "std::process",
    "std::thread",
    "SystemTime",
    "Instant::now",
    "std::net::Tcp",
    "println!",
    "eprintln!",
];

/// A Rust file, the layer that it belongs to, and its lines without tests and comments.
struct Source {
    path: PathBuf,
    layer: String,
    lines: Vec<(usize, String)>,
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    walk(&root, &mut files);
    files
        .into_iter()
        .filter_map(|path| {
            let inner = path.strip_prefix(&root).unwrap().with_extension("");
            let layer = inner.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
            if layer == "lib" || layer == "main" {
                return None;
            }
            Some(Source { lines: code(&fs::read_to_string(&path).unwrap()), layer, path })
        })
        .collect()
}

fn walk(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            walk(&path, files);
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
}

/// The lines that ship: everything before the file's test module, comments left out.
fn code(text: &str) -> Vec<(usize, String)> {
    text.lines()
        .enumerate()
        .take_while(|(_, line)| !line.starts_with("#[cfg(test)]"))
        .filter(|(_, line)| !line.trim_start().starts_with("//"))
        .map(|(at, line)| (at + 1, line.to_owned()))
        .collect()
}

/// Layers that a line names: after `crate::`, also inside `crate::{…}` on one line.
fn used(line: &str) -> Vec<String> {
    line.split("crate::")
        .skip(1)
        .flat_map(|rest| match rest.strip_prefix('{') {
            Some(list) => list
                .split(',')
                .map(|part| {
                    part.trim().split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("").to_owned()
                })
                .collect::<Vec<_>>(),
            None => vec![rest.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("").to_owned()],
        })
        .filter(|name| !name.is_empty())
        .collect()
}

fn broken_layering(sources: &[Source]) -> Vec<String> {
    let mut broken = Vec::new();
    for source in sources {
        let Some((_, allowed)) = LAYERS.iter().find(|(layer, _)| *layer == source.layer) else {
            broken.push(format!("{}: layer `{}` is not in the table", source.path.display(), source.layer));
            continue;
        };
        for (at, line) in &source.lines {
            for name in used(line) {
                let is_layer = LAYERS.iter().any(|(layer, _)| *layer == name);
                if is_layer && name != source.layer && !allowed.contains(&name.as_str()) {
                    broken.push(format!("{}:{at}: `{}` may not use `{name}`", source.path.display(), source.layer));
                }
            }
        }
    }
    broken
}

fn impure(sources: &[Source]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources.iter().filter(|s| PURE.contains(&s.layer.as_str())) {
        for (at, line) in &source.lines {
            for effect in EFFECTS.iter().filter(|e| line.contains(**e)) {
                found.push(format!("{}:{at}: pure code names `{effect}`", source.path.display()));
            }
        }
    }
    found
}

fn planted(layer: &str, line: &str) -> Vec<Source> {
    vec![Source { path: PathBuf::from("planted.rs"), layer: layer.to_owned(), lines: vec![(1, line.to_owned())] }]
}

#[test]
fn layers_use_only_what_is_below_them() {
    assert_eq!(broken_layering(&sources()), Vec::<String>::new());
}

#[test]
fn pure_layers_touch_nothing() {
    assert_eq!(impure(&sources()), Vec::<String>::new());
}

#[test]
fn the_layer_guard_fires_on_a_planted_violation() {
    assert_eq!(broken_layering(&planted("wire", "use crate::{base::Mac, judge::Case};")).len(), 1);
    assert_eq!(broken_layering(&planted("judge", "let p = crate::plan::compile();")).len(), 1);
    assert_eq!(broken_layering(&planted("judge", "use crate::trace::Trace;")).len(), 0);
    assert_eq!(broken_layering(&planted("news", "")).len(), 1);
}

#[test]
fn the_purity_guard_fires_on_a_planted_violation() {
    assert_eq!(impure(&planted("plan", "let t = std::fs::read(p);")).len(), 1);
    assert_eq!(impure(&planted("inside", "let t = std::fs::read(p);")).len(), 0);
}

/// The table of layers in the document: each layer and what it may use, and the line that parts pure ones from others.
fn written() -> Vec<(String, Vec<String>)> {
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("ARCHITECTURE.md")).unwrap();
    let (_, section) = text.split_once("## Layers").unwrap();
    let table = section.split("```").nth(1).unwrap();
    table
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            let mut columns = line.split("  ").map(str::trim).filter(|column| !column.is_empty());
            let layer = columns.next().unwrap().to_owned();
            let uses = columns.last().unwrap_or("-").split(' ').filter(|word| *word != "-").map(str::to_owned);
            (layer, uses.collect())
        })
        .collect()
}

#[test]
fn the_document_has_the_layers_that_are_kept() {
    let written = written();
    let above = written.iter().position(|(layer, _)| layer.starts_with("──")).unwrap();
    let pure: Vec<&str> = written[..above].iter().map(|(layer, _)| layer.as_str()).collect();
    assert_eq!(pure, PURE);
    let layers = written.iter().filter(|(layer, _)| !layer.starts_with("──"));
    let kept = LAYERS.iter().map(|(layer, uses)| {
        let uses: Vec<String> = uses.iter().map(|name| (*name).to_owned()).collect();
        ((*layer).to_owned(), uses)
    });
    assert_eq!(layers.cloned().collect::<Vec<_>>(), kept.collect::<Vec<_>>());
}

#[test]
fn one_file_makes_a_labs_namespaces_and_one_confines_what_is_started() {
    let mut files: Vec<_> = sources()
        .iter()
        .filter(|s| s.lines.iter().any(|(_, l)| l.contains("setns(") || l.contains("unshare(")))
        .map(|s| format!("{}/{}", s.layer, s.path.file_name().unwrap().to_string_lossy()))
        .collect();
    files.sort();
    assert_eq!(files, ["inside/ns.rs", "substrate/bound.rs"], "setns and unshare belong into one file of a layer");
}

#[test]
fn only_the_command_line_prints() {
    let printing: Vec<_> = sources()
        .iter()
        .filter(|s| s.layer != "cli")
        .filter(|s| s.lines.iter().any(|(_, l)| l.contains("println!(") || l.contains("print!(")))
        .map(|s| s.path.display().to_string())
        .collect();
    assert_eq!(printing, Vec::<String>::new());
}
