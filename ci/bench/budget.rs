//! Ratios against `ci/budget.txt`: what has become worse by more than a quarter is told.

use std::fmt::Write as _;

use crate::figure::{Figure, Goal};

/// How much worse a ratio may be than the budget says.
const SLACK: f64 = 1.25;

/// A figure that is a ratio, as the file has it: `ratio VALUE WHAT`.
fn ratios(figures: &[&Figure]) -> Vec<(String, f64, Goal)> {
    let ratios = figures.iter().filter(|figure| figure.unit == "×" && figure.samples.count() > 0);
    ratios.map(|figure| (figure.what.clone(), figure.samples.median(), figure.goal)).collect()
}

fn allowed(budget: &str, what: &str) -> Option<f64> {
    let lines = budget.lines().filter_map(|line| line.strip_prefix("ratio ")?.split_once(' '));
    lines.filter(|(_, name)| *name == what).find_map(|(value, _)| value.parse().ok())
}

/// What is worse than the budget allows.
pub(crate) fn complaints(budget: &str, figures: &[&Figure]) -> Vec<String> {
    let worse = |(what, now, goal): &(String, f64, Goal)| {
        let was = allowed(budget, what)?;
        let over = match goal {
            Goal::AtLeast(_) => was / now,
            Goal::AtMost(_) | Goal::Under(_) | Goal::Less => now / was,
        };
        (over > SLACK).then(|| format!("{what}: {now:.2}, and the budget says {was:.2}"))
    };
    ratios(figures).iter().filter_map(worse).collect()
}

/// The budget with the ratios measured now in place of those that it had for the same figures.
pub(crate) fn renewed(budget: &str, figures: &[&Figure]) -> String {
    let ratios = ratios(figures);
    let old = |line: &&str| {
        let what = line.strip_prefix("ratio ").and_then(|rest| rest.split_once(' ')).map(|(_, what)| what);
        what.is_some_and(|what| ratios.iter().any(|(name, ..)| name == what))
    };
    let mut text: String = budget.lines().filter(|line| !old(line)).flat_map(|line| [line, "\n"]).collect();
    for (what, now, _) in &ratios {
        // Writing to a String can't fail.
        writeln!(text, "ratio {now:.2} {what}").unwrap_or_default();
    }
    text
}
