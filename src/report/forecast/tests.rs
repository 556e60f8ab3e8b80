//! Forecasts as they are shown.

use super::{Forecast, ForecastVerdict, OnlyInALab, SCHEMA, json, junit, render, render_all};
use crate::report::{Expected, Style, sample};

fn clean() -> Forecast {
    Forecast {
        schema: SCHEMA.to_owned(),
        scenario: "basic/lvs-dr".to_owned(),
        title: "the textbook".to_owned(),
        verdict: ForecastVerdict::Clean,
        expected: Expected { met: true, broken: false, differences: Vec::new() },
        looked_at: "332 planned settings on 5 nodes, 53 rules".to_owned(),
        findings: Vec::new(),
        only_in_a_lab: Vec::new(),
        assumed: Vec::new(),
        unread: Vec::new(),
        took_ms: 1.84,
    }
}

fn found(met: bool) -> Forecast {
    let findings = sample::broken().findings;
    let difference = format!("finding {} on {} is not expected", findings[0].id, findings[0].node);
    Forecast {
        scenario: "mine".to_owned(),
        verdict: ForecastVerdict::Found,
        expected: Expected { met, broken: met, differences: if met { Vec::new() } else { vec![difference] } },
        findings,
        ..clean()
    }
}

fn open() -> Forecast {
    let only =
        OnlyInALab { id: "rs-garp-on-boot".to_owned(), why: "no configuration says what a program sends".into() };
    Forecast { scenario: "boot".to_owned(), only_in_a_lab: vec![only], ..clean() }
}

#[test]
fn one_that_is_not_expected() {
    insta::assert_snapshot!(render(&found(false), &Style::default()));
}

#[test]
fn several_in_a_table() {
    insta::assert_snapshot!(render_all(&[clean(), found(true), open()], &Style::default()));
}

#[test]
fn what_is_not_as_expected_fails_in_junit_and_what_is_open_is_told() {
    let text = junit(&[clean(), found(false), open()]).unwrap();
    assert_eq!(text.matches("<failure").count(), 1, "{text}");
    assert!(text.contains("only in a lab: rs-garp-on-boot"), "{text}");
}

#[test]
fn json_reads_back_as_it_was_written() {
    let all = [clean(), found(true), open()];
    assert_eq!(serde_json::from_str::<Vec<Forecast>>(&json(&all).unwrap()).unwrap(), all);
    assert_eq!(serde_json::from_str::<Forecast>(&json(&all[..1]).unwrap()).unwrap(), all[0]);
}
