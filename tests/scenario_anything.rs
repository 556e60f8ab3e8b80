//! Whatever a scenario's text is, reading it ends with an answer.

use drlab::scenario::{self, Problems, Scenario};
use proptest::prelude::*;

const GOOD: &[&str] = &[
    include_str!("../fixtures/scenarios/good/textbook.toml"),
    include_str!("../fixtures/scenarios/good/every-key.toml"),
    include_str!("../fixtures/scenarios/bad/several.toml"),
    include_str!("../fixtures/scenarios/bad/devices.toml"),
    include_str!("../fixtures/scenarios/bad/wrong-types.toml"),
];

/// What a hand or a program may put in the place of something else.
const PIECES: &[&str] = &[
    "",
    "=",
    "\"",
    "[",
    "]",
    "{",
    "}",
    "\n",
    "\r\n",
    "\r",
    "#",
    ".",
    ",",
    "0",
    "-1",
    "99999999999999999999",
    "1.5",
    "nan",
    "true",
    "1979-05-27",
    "\"\"",
    "\"rs1\"",
    "\"172.16.0.0/16\"",
    "\"::\"",
    "\"::/0\"",
    "\"0.0.0.0/0\"",
    "\"255.255.255.255\"",
    "[]",
    "{}",
    "[[]]",
    "\t",
    "\u{0}",
    "é",
    "\u{202e}",
    "\"\\u0000\"",
    "lo:0",
    "[nodes]",
    "[segments.lan]",
    "[[services]]",
    "vip = []",
];

fn read(text: &str) -> Result<Scenario, Problems> {
    let read = scenario::load("any.toml", text, &["http"], &[]);
    if let Err(problems) = &read {
        let lines = text.split('\n').count();
        assert!(!problems.is_empty());
        for problem in problems.list() {
            assert!(problem.line >= 1 && problem.line <= lines && problem.column >= 1, "{problem:?}");
        }
        let end = format!("{}\n", problems.summary());
        assert!(problems.render(false).ends_with(&end) && problems.render(true).ends_with(&end));
    }
    read
}

proptest! {
    #[test]
    fn any_text_is_answered(text in any::<String>()) {
        assert!(read(&text).is_err());
    }

    #[test]
    fn any_line_of_toml_is_answered(words in prop::collection::vec(prop::sample::select(PIECES), 0..24)) {
        assert!(read(&words.concat()).is_err());
    }

    #[test]
    fn a_good_scenario_with_any_piece_replaced_is_answered(
        which in 0..GOOD.len(),
        from in any::<prop::sample::Index>(),
        length in 0..40_usize,
        piece in prop::sample::select(PIECES),
    ) {
        let text = GOOD[which];
        let from = text.floor_char_boundary(from.index(text.len()));
        let to = text.floor_char_boundary((from + length).min(text.len()));
        let changed = format!("{}{piece}{}", &text[..from], &text[to.max(from)..]);
        // Whether it loads depends on what was replaced; that there is an answer does not.
        drop(read(&changed));
    }

    #[test]
    fn a_good_scenario_with_any_value_replaced_is_answered(
        which in 0..GOOD.len(),
        line in any::<prop::sample::Index>(),
        value in prop::sample::select(PIECES),
    ) {
        let lines: Vec<&str> = GOOD[which].lines().collect();
        let at = line.index(lines.len());
        let changed: Vec<String> = lines
            .iter()
            .enumerate()
            .map(|(n, line)| match line.split_once('=') {
                Some((key, _)) if n == at => format!("{key}= {value}"),
                _ => (*line).to_owned(),
            })
            .collect();
        drop(read(&changed.join("\n")));
    }
}

#[test]
fn a_key_of_a_hundred_thousand_dots_is_answered() {
    assert!(read(&format!("{}a = 1", "a.".repeat(100_000))).is_err());
    assert!(read(&format!("a = {}", "[".repeat(100_000))).is_err());
}

#[test]
fn a_thousand_problems_are_answered() {
    let nodes: String = (0..1000).flat_map(|n| [format!("[nodes.rs{n}]\n"), format!("role = \"x{n}\"\n")]).collect();
    let Err(problems) = read(&nodes) else { panic!("it loads") };
    assert!(problems.list().len() > 1000);
}
