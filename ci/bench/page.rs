//! The page of figures, in Markdown that reads as well in a terminal.

use std::fmt::Write as _;

use crate::figure::{Figure, Goal, Part, shown};
use crate::machine::Description;

pub(crate) struct Page {
    machine: Description,
    samples: usize,
    parts: Vec<Part>,
}

impl Page {
    pub(crate) fn new(machine: Description, samples: usize) -> Self {
        Self { machine, samples, parts: Vec::new() }
    }

    pub(crate) fn add(&mut self, part: Part) {
        self.parts.push(part);
    }

    /// All lines of the table of goals.
    pub(crate) fn figures(&self) -> Vec<&Figure> {
        self.parts.iter().flat_map(|part| &part.figures).collect()
    }

    pub(crate) fn render(&self) -> String {
        let mut text = format!(
            "# Figures\n\n\
             Measured by `ci/bench.sh`, which writes this page; anyone can run it. Medians of {} samples, each a process of \
             its own, after one that is not counted; where min and max are empty it is one value.\n\n",
            self.samples,
        );
        let guest = self.parts.iter().find_map(|part| part.guest_kernel.clone());
        let machine = self.machine.iter().map(|(name, value)| (*name, value.clone()));
        for (name, value) in machine.chain(guest.map(|kernel| ("kernel in User-Mode Linux", kernel))) {
            // Writing to a String can't fail, here and below.
            writeln!(text, "- {name}: {value}").unwrap_or_default();
        }
        text.push_str("\n| figure | goal | min | median | max | reached |\n|---|--:|--:|--:|--:|---|\n");
        for figure in self.parts.iter().flat_map(|part| &part.figures) {
            writeln!(text, "{}", line(figure)).unwrap_or_default();
        }
        for part in self.parts.iter().filter(|part| !part.details.is_empty()) {
            write!(text, "\n{}", part.details).unwrap_or_default();
        }
        text
    }
}

fn line(figure: &Figure) -> String {
    let unit = if figure.unit.is_empty() { String::new() } else { format!(" {}", figure.unit) };
    let goal = match figure.goal {
        Goal::Under(limit) => format!("under {limit}{unit}"),
        Goal::AtMost(limit) => format!("{limit}{unit} at most"),
        Goal::AtLeast(limit) => format!("{limit}{unit} at least"),
        Goal::Less => "none".to_owned(),
    };
    let samples = &figure.samples;
    let [min, median, max] = match samples.count() {
        0 => [String::new(), String::new(), String::new()],
        1 => [String::new(), shown(samples.median()), String::new()],
        _ => [samples.min(), samples.median(), samples.max()].map(shown),
    };
    let reached = match (samples.count(), figure.reached()) {
        (0, _) => "**not measured**",
        _ if matches!(figure.goal, Goal::Less) => "",
        (_, true) => "yes",
        (_, false) => "**no**",
    };
    // Where there is no goal, what the number is of is nowhere else.
    let what = match figure.goal {
        Goal::Less if !unit.is_empty() => format!("{},{unit}", figure.what),
        _ => figure.what.clone(),
    };
    format!("| {what} | {goal} | {min} | {median} | {max} | {reached} |")
}
