//! Configuration that people run: what each comes to by the rules that need no lab. `tests/kernel.rs` runs the same.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test says by a panic what is wrong")]

#[path = "imported/cases.rs"]
mod cases;
#[path = "imported/errors.rs"]
mod errors;

use std::fs;
use std::path::{Path, PathBuf};

use cases::{CASES, Case};
use drlab::import::{self, Imported, Library, Request, Text};
use drlab::judge::{checks, rules};
use drlab::plan::{self, Plan, facts};
use drlab::scenario;

/// Files below a folder.
struct Folder(PathBuf);

impl Library for Folder {
    fn included(&mut self, _: &str, pattern: &str) -> Result<Vec<(String, String)>, String> {
        let mut all = Vec::new();
        for path in glob::glob(&self.0.join(pattern).to_string_lossy()).unwrap() {
            let path = path.unwrap();
            let name = path.strip_prefix(&self.0).unwrap().display().to_string();
            all.push((name, fs::read_to_string(path).unwrap()));
        }
        if all.is_empty() { Err("no such file".to_owned()) } else { Ok(all) }
    }
}

fn folder(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/import").join(case)
}

fn imported(case: &Case) -> Imported {
    let folder = folder(case.name);
    let mut request = Request::default();
    let mut words = case.files.split_whitespace();
    while let Some(word) = words.next() {
        match word {
            "--set" => {
                request.variables.extend(words.next().unwrap().split_once('=').map(|(n, v)| (n.into(), v.into())));
            }
            "--id" => request.id = words.next().map(str::to_owned),
            _ => {
                let (node, file) = word.split_once('=').map_or((None, word), |(n, f)| (Some(n.to_owned()), f));
                let text = fs::read_to_string(folder.join(file)).unwrap();
                request.texts.push(Text { name: file.to_owned(), text, node, format: None });
            }
        }
    }
    import::import(&request, &mut Folder(folder)).unwrap_or_else(|error| panic!("{}: {error}", case.name))
}

fn planned(case: &Case) -> Plan {
    let known_checks: Vec<&str> = checks::ALL.iter().map(|check| check.id).collect();
    let known_findings: Vec<&str> = rules::ALL.iter().map(|rule| rule.id).collect();
    let text = imported(case).scenario;
    let scenario = scenario::load("imported.toml", &text, &known_checks, &known_findings)
        .unwrap_or_else(|problems| panic!("{}: {}\n{text}", case.name, problems.render(false)));
    plan::compile(case.name, &scenario).unwrap()
}

#[test]
fn each_configuration_comes_to_what_an_expert_says() {
    let mut differences = Vec::new();
    for case in CASES {
        let plan = planned(case);
        let (before, after) = facts::facts(&plan);
        let findings = rules::foreseen(&plan::case(&plan), &before, &after, &facts::asked(&plan));
        let mut found: Vec<String> = findings.into_iter().map(|f| f.id).collect();
        found.sort();
        found.dedup();
        let mut wanted: Vec<&str> = case.findings.to_vec();
        wanted.sort_unstable();
        if found != wanted {
            differences.push(format!("{}: foreseen {found:?}, an expert says {wanted:?}", case.name));
        }
    }
    assert!(differences.is_empty(), "{differences:#?}");
}

#[test]
fn there_are_enough_configurations_of_both_kinds_and_each_folder_is_one() {
    let broken = CASES.iter().filter(|case| !case.findings.is_empty()).count();
    assert!(CASES.len() >= 25 && broken >= 10 && CASES.len() - broken >= 10, "{} of {}", broken, CASES.len());
    let mut folders: Vec<String> = fs::read_dir(folder(""))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_dir())
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    folders.sort();
    let mut named: Vec<&str> = CASES.iter().map(|case| case.name).collect();
    named.sort_unstable();
    assert_eq!(folders, named);
}

#[test]
fn what_is_not_understood_is_listed_with_its_place_and_nothing_else_is() {
    for case in CASES {
        let told: Vec<String> = imported(case).not_understood.into_iter().map(|told| told.at).collect();
        assert_eq!(told, case.not_understood, "{}", case.name);
    }
}

#[test]
fn a_scenario_as_it_is_written() {
    for case in CASES
        .iter()
        .filter(|case| ["textbook", "keepalived-nat", "keepalived-includes", "live-rip-moved"].contains(&case.name))
    {
        insta::assert_snapshot!(case.name, imported(case).scenario);
    }
}
