//! Scenario texts in, scenarios or problems out.

use drlab::scenario;

/// Ids as the judge would give them.
const CHECKS: &[&str] = &["mac-rewrite", "direct-return", "via-director", "arp-census", "distribution", "http"];
const FINDINGS: &[&str] = &["rs-arp-default", "rs-no-vip"];

fn load(file: &str) -> Result<scenario::Scenario, scenario::Problems> {
    let path = format!("{}/fixtures/scenarios/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    scenario::load(file, &text, CHECKS, FINDINGS)
}

#[test]
fn the_textbook_loads() {
    match load("good/textbook.toml") {
        Ok(scenario) => assert_eq!(scenario.nodes.len(), 5),
        Err(problems) => panic!("{problems}"),
    }
}

#[test]
fn every_good_fixture_loads() {
    for file in fixtures("good") {
        if let Err(problems) = load(&file) {
            panic!("{problems}");
        }
    }
}

#[test]
fn every_bad_fixture_says_what_is_wrong() {
    for file in fixtures("bad") {
        let problems = match load(&file) {
            Ok(_) => panic!("{file} loads"),
            Err(problems) => problems,
        };
        let name = file.trim_start_matches("bad/").trim_end_matches(".toml");
        insta::assert_snapshot!(name, problems.render(false));
    }
}

fn fixtures(folder: &str) -> Vec<String> {
    let path = format!("{}/fixtures/scenarios/{folder}", env!("CARGO_MANIFEST_DIR"));
    let entries = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<String> = entries.map(|name| format!("{folder}/{name}")).collect();
    files.sort();
    files
}
