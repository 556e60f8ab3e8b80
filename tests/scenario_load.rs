//! Scenario texts in, scenarios or problems out.
#![expect(clippy::unwrap_used, reason = "what a test can not read is a failure of the test")]

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
        let Err(problems) = load(&file) else { panic!("{file} loads") };
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

#[test]
fn the_example_of_the_readme_loads() {
    let readme = include_str!("../scenarios/README.md");
    let (_, rest) = readme.split_once("```toml\n").unwrap();
    let (example, _) = rest.split_once("```").unwrap();
    if let Err(problems) = scenario::load("README.md", example, CHECKS, FINDINGS) {
        panic!("{problems}");
    }
}

#[test]
fn the_order_of_nodes_is_the_order_of_the_file() {
    let scenario = load("good/textbook.toml").unwrap();
    let names: Vec<&str> = scenario.nodes.keys().map(drlab::base::NodeName::as_str).collect();
    assert_eq!(names, ["client", "router", "director", "rs1", "rs2"]);
}

#[test]
fn a_consequence_of_a_misspelt_key_is_not_a_problem_of_its_own() {
    let text = include_str!("../fixtures/scenarios/good/textbook.toml")
        .replace("role = \"client\"\nsegment = \"internet\"", "role = \"client\"\nsegmant = \"internet\"");
    let problems = scenario::load("x.toml", &text, CHECKS, FINDINGS).unwrap_err();
    let messages: Vec<&str> = problems.list().iter().map(|p| p.message.as_str()).collect();
    assert_eq!(messages, ["unknown key `segmant`"]);
}

#[test]
fn problems_for_programs_have_line_and_column() {
    let problems = load("bad/vip-out-of-reach.toml").unwrap_err();
    let json = serde_json::to_value(problems.list()).unwrap();
    assert_eq!(json[0]["line"], 4);
    assert_eq!(json[0]["column"], 7);
    assert_eq!(json[0]["message"], "no packet can reach the VIP 198.51.100.66");
    assert!(json[0].get("span").is_none());
}

#[test]
fn a_shape_that_is_right_is_parsed_whatever_it_means() {
    let text = include_str!("../fixtures/scenarios/bad/vip-out-of-reach.toml");
    let parsed = scenario::parse("x.toml", text).unwrap();
    let path = scenario::Path::of(&["nodes", "router", "interfaces", "eth0", "address"]);
    assert_eq!(&parsed.source.text()[parsed.source.value(&path)], "\"172.16.0.1\"");
    assert_eq!(&parsed.source.text()[parsed.source.key(&path)], "address");
}
