//! The parts of `scenarios/README.md` that are made: the table of what ships, and the reference that the types give.

#![expect(clippy::expect_used, clippy::unwrap_used, clippy::panic, reason = "a test says by a panic what is wrong")]

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use drlab::base::Verdict;
use drlab::cli::select;
use drlab::judge::{checks, rules};
use drlab::plan::{self, Plan};
use drlab::scenario;
use serde_json::Value;

/// Held while the one file that all parts are written into is read and written.
static WRITING: Mutex<()> = Mutex::new(());

/// The text between `<!-- NAME -->` and `<!-- /NAME -->` is what is generated, or becomes it where asked for.
fn assert_written(name: &str, generated: &str) {
    let path = format!("{}/scenarios/README.md", env!("CARGO_MANIFEST_DIR"));
    let (begin, end) = (format!("<!-- {name} -->"), format!("<!-- /{name} -->"));
    let _writing = WRITING.lock().unwrap_or_else(PoisonError::into_inner);
    let text = std::fs::read_to_string(&path).unwrap();
    let (above, rest) = text.split_once(&begin).unwrap_or_else(|| panic!("{path} lacks {begin}"));
    let (written, below) = rest.split_once(&end).unwrap_or_else(|| panic!("{path} lacks {end}"));
    let generated = format!("\n{generated}");
    if std::env::var_os("DRLAB_BLESS").is_some() {
        std::fs::write(&path, format!("{above}{begin}{generated}{end}{below}")).unwrap();
        return;
    }
    assert!(
        written == generated,
        "the part `{name}` of scenarios/README.md is out of date; write it anew with\n\n    \
         DRLAB_BLESS=1 cargo test --test scenario_reference\n"
    );
}

fn plans() -> Vec<Plan> {
    let known_checks: Vec<&str> = checks::ALL.iter().map(|check| check.id).collect();
    let known_findings: Vec<&str> = rules::ALL.iter().map(|rule| rule.id).collect();
    select::shipped()
        .iter()
        .map(|one| {
            let scenario = scenario::load(&one.origin, &one.text, &known_checks, &known_findings)
                .unwrap_or_else(|problems| panic!("{}", problems.render(false)));
            plan::compile(&one.name, &scenario).expect("a shipped scenario becomes a plan")
        })
        .collect()
}

fn shipped() -> String {
    let rows = plans().into_iter().map(|plan| {
        let with = |verdict: Verdict| {
            let ids = plan.expect.checks.iter().filter(move |(_, wanted)| **wanted == verdict);
            ids.map(|(id, _)| format!("`{id}`")).collect::<Vec<_>>().join(", ")
        };
        let broken = with(Verdict::Broken);
        let expected = if broken.is_empty() { "every check holds".to_owned() } else { format!("{broken} broken") };
        let findings = plan.expect.findings.iter().map(|id| format!("`{id}`")).collect::<Vec<_>>().join(", ");
        format!("| `{}` | {} | {expected} | {findings} | {} |\n", plan.scenario, plan.title, seen(&plan))
    });
    let head = "| Name | What it shows | Expected | Root cause named | Seen |\n|---|---|---|---|---|\n";
    format!("{head}{}", rows.collect::<String>())
}

/// Whether the configuration shows the root cause before anything runs, or only the lab.
fn seen(plan: &Plan) -> &'static str {
    let (before, after) = plan::facts::facts(plan);
    let foreseen = rules::foreseen(&plan::case(plan), &before, &after, &plan::facts::asked(plan));
    let static_ones = plan.expect.findings.iter().filter(|id| foreseen.iter().any(|f| f.id == **id)).count();
    match (plan.expect.findings.len(), static_ones) {
        (0, _) => "",
        (all, some) if all == some => "`drlab check`",
        (_, 0) => "lab only",
        _ => "partly by `drlab check`",
    }
}

#[test]
fn the_readme_of_scenarios_lists_what_ships() {
    assert_written("shipped", &shipped());
}

#[test]
fn the_readme_of_scenarios_has_the_reference_that_the_types_give() {
    assert_written("reference", &scenario::reference());
}

/// Every key of the format as `Part.key`, and those that a value has.
#[derive(Default)]
struct Keys {
    known: BTreeSet<String>,
    written: BTreeSet<String>,
}

impl Keys {
    /// Takes in one place of the schema, and what is written there if anything is.
    fn take(&mut self, root: &Value, part: &str, at: &Value, value: Option<&toml::Value>) {
        for (name, holds) in at["properties"].as_object().into_iter().flatten() {
            let key = format!("{part}.{name}");
            let value = value.and_then(|value| value.get(name));
            let new = self.known.insert(key.clone());
            if new || value.is_some() {
                self.take(root, &key, holds, value);
            }
            self.written.extend(value.map(|_| key));
        }
        for way in ["oneOf", "anyOf"].iter().filter_map(|word| at[word].as_array()).flatten() {
            self.take(root, part, way, value);
        }
        for each in ["items", "additionalProperties"].iter().map(|word| &at[word]).filter(|each| each.is_object()) {
            let held: Vec<_> = match value {
                Some(toml::Value::Array(items)) => items.iter().map(Some).collect(),
                Some(toml::Value::Table(table)) => table.values().map(Some).collect(),
                _ => vec![None],
            };
            for value in held {
                self.take(root, part, each, value);
            }
        }
        if let Some(named) = at["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/")) {
            self.take(root, named, &root["$defs"][named], value);
        }
    }
}

#[test]
fn the_fixture_of_every_key_has_every_key() {
    let schema = scenario::schema();
    let fixture = include_str!("../fixtures/scenarios/good/every-key.toml").parse::<toml::Table>().unwrap();
    let mut keys = Keys::default();
    keys.take(&schema, "Scenario", &schema, Some(&toml::Value::Table(fixture)));
    let missing: Vec<_> = keys.known.difference(&keys.written).collect();
    assert!(missing.is_empty(), "fixtures/scenarios/good/every-key.toml lacks {missing:#?}");
}

#[test]
fn the_schema_is_one_that_editors_take() {
    let schema = scenario::schema();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["title"], "drlab scenario, format 1");
    assert!(schema.get("$id").is_none());
    assert_eq!(schema["additionalProperties"], false);
}
