//! What a live machine came to: a checklist, the root causes, what was taken for granted.

use serde::{Deserialize, Serialize};

use super::page::Page;
use super::proof;
use super::style::{Ink, Style};
use crate::base::{NodeName, Role};
use crate::judge::Finding;
use crate::judge::machines::{Item, ItemState};

/// The version of the JSON.
pub const SCHEMA: &str = "drlab-audit/1";

/// All that an audit came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    /// [`SCHEMA`].
    pub schema: String,
    /// The machine.
    pub node: NodeName,
    /// Its part.
    pub role: Role,
    /// The VIPs.
    pub vips: Vec<String>,
    /// Its kernel, as `uname -r` gives it.
    pub kernel: String,
    /// What was looked at.
    pub checklist: Vec<Item>,
    /// The root causes.
    pub findings: Vec<Finding>,
    /// What was taken for granted of others.
    pub assumed: Vec<String>,
}

impl Audit {
    /// How many points came to that.
    pub fn count(&self, state: ItemState) -> usize {
        self.checklist.iter().filter(|item| item.state == state).count()
    }
}

/// The audit as a reader at a terminal wants it.
pub fn render(audit: &Audit, style: &Style) -> String {
    let mut page = Page::new(style);
    let (ink, word) = words(audit);
    page.line(&[
        (Ink::Strong, audit.node.to_string()),
        (Ink::Plain, format!(" – {} for {}: ", audit.role, audit.vips.join(", "))),
        (ink, word.to_owned()),
    ]);
    page.item(0, "kernel", Ink::Plain, &format!("{}, only read, nothing was changed", audit.kernel));
    page.heading("Checklist", "");
    for item in &audit.checklist {
        let (ink, mark) = match item.state {
            ItemState::Ok => (Ink::Held, "✓ ok"),
            ItemState::Wrong => (Ink::Broken, "✗ wrong"),
            ItemState::Unread => (Ink::Undecided, "? not read"),
            ItemState::Open => (Ink::Undecided, "– not judged"),
        };
        let from = if item.from.is_empty() { String::new() } else { format!(" [{}]", item.from) };
        let rules = if item.rules.is_empty() { String::new() } else { format!(" ({})", item.rules.join(", ")) };
        let text = format!("{}{rules}{from}", item.value);
        let lead = [(ink, format!("  {mark:<13}")), (Ink::Strong, format!("{:<15} ", item.what))];
        page.wrapped(&lead, Ink::Plain, text.trim());
    }
    if !audit.findings.is_empty() {
        proof::findings(&mut page, &audit.findings);
    }
    if !audit.assumed.is_empty() {
        page.heading("Taken for granted", "");
        for line in &audit.assumed {
            page.wrapped(&[(Ink::Faint, "• ".to_owned())], Ink::Plain, line);
        }
    }
    page.heading("Verdict", "");
    page.wrapped(&[(ink, format!("{word}: "))], Ink::Plain, &sentence(audit));
    let note = "several machines together, where one machine can't tell";
    page.command(0, "next", "drlab check --facts FILE FILE...", note);
    page.finish()
}

fn words(audit: &Audit) -> (Ink, &'static str) {
    if !audit.findings.is_empty() {
        (Ink::Broken, "WRONG")
    } else if audit.count(ItemState::Unread) > 0 {
        (Ink::Undecided, "UNDECIDED")
    } else {
        (Ink::Held, "NOTHING WRONG")
    }
}

fn sentence(audit: &Audit) -> String {
    let mut ids: Vec<&str> = audit.findings.iter().map(|f| f.id.as_str()).collect();
    ids.dedup();
    let found = if ids.is_empty() { "no rule finds a root cause".to_owned() } else { ids.join(", ") };
    let points = audit.checklist.len();
    let not = match (audit.count(ItemState::Unread), audit.count(ItemState::Open)) {
        (0, 0) => String::new(),
        (unread, open) => format!(", {unread} could not be read, {open} not judged"),
    };
    format!("{found}; {points} points were looked at{not}.")
}

/// The audit as JSON.
///
/// # Errors
/// Only where a map's key is no text, which no type here has.
pub fn json(audit: &Audit) -> Result<String, serde_json::Error> {
    serde_json::to_string_pretty(audit).map(|text| text + "\n")
}
