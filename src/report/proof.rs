//! The checks, what did not hold and why, and the root causes.

use super::page::{Page, Span, fold};
use super::style::{Ink, Style};
use super::table::Table;
use crate::base::Verdict;
use crate::judge::checks::Check;
use crate::judge::{CheckResult, Evidence, Finding};

/// Pieces of evidence that are shown of a check.
const EVIDENCE: usize = 5;

/// Columns before an item's text.
const LABEL: usize = 15;

/// Findings of one rule that are written out.
const ALIKE: usize = 2;

/// Looks up what a check's id stands for.
pub(crate) type Lookup = dyn Fn(&str) -> Option<&'static Check>;

/// A verdict's mark and word.
pub(crate) fn mark(verdict: Verdict) -> Span {
    match verdict {
        Verdict::Held => (Ink::Held, "✓ held".to_owned()),
        Verdict::Broken => (Ink::Broken, "✗ broken".to_owned()),
        Verdict::Undecided => (Ink::Undecided, "? undecided".to_owned()),
    }
}

/// Writes all checks, one a row.
pub(crate) fn checks(page: &mut Page<'_>, results: &[CheckResult]) {
    page.heading("Checks", "");
    let mut table = Table::new(&[2]);
    table.head(&["", "check", "examined", "what was seen"]);
    for check in results {
        table.row([
            mark(check.verdict),
            (Ink::Strong, check.id.clone()),
            (Ink::Plain, check.examined.to_string()),
            (Ink::Plain, check.summary.clone()),
        ]);
    }
    table.write(page, 2);
}

/// Writes out each check that did not hold.
pub(crate) fn failures(page: &mut Page<'_>, results: &[CheckResult], find: &Lookup) {
    for check in results.iter().filter(|check| check.verdict != Verdict::Held) {
        let known = find(&check.id);
        let (ink, mark) = mark(check.verdict);
        page.blank();
        page.wrapped(
            &[(ink, mark), (Ink::Strong, format!(" {}", check.id)), (Ink::Faint, " ".to_owned())],
            Ink::Faint,
            &title(known),
        );
        if let Some(known) = known {
            page.item(2, "expected", Ink::Plain, known.proves);
        }
        page.item(2, "seen", Ink::Plain, &check.summary);
        evidence(page, &check.evidence);
        match (check.verdict, known) {
            (Verdict::Undecided, _) => {
                page.item(2, "means", Ink::Plain, "the evidence does not suffice; that is neither held nor broken");
            }
            (_, Some(known)) => page.item(2, "usual cause", Ink::Plain, known.usual_cause),
            (_, None) => {}
        }
        page.command(2, "next", &explain(&check.id), "what it proves, what would fool it");
        if let Some(command) = tshark(page.style(), check) {
            page.command(2, "", &command, "that frame, byte by byte");
        }
    }
}

fn title(known: Option<&'static Check>) -> String {
    known.map_or_else(String::new, |check| format!("– {}", check.title))
}

fn evidence(page: &mut Page<'_>, all: &[Evidence]) {
    let (shown, more) = fold(all, EVIDENCE);
    for (nth, one) in shown.iter().enumerate() {
        page.item(2, if nth == 0 { "evidence" } else { "" }, Ink::Plain, &told(one));
    }
    if more > 0 {
        page.item(2, "", Ink::Faint, &format!("… and {more} more, in report.json"));
    }
}

/// A piece of evidence as one sentence: where, then what.
pub(crate) fn told(evidence: &Evidence) -> String {
    let mut text = String::new();
    if let Some(at) = &evidence.frame {
        text = format!("frame {} at {}: ", at.frame, at.vantage);
    }
    text.push_str(&evidence.what);
    if let Some(fact) = &evidence.fact {
        text = format!("{text} [{fact}]");
    }
    text
}

/// Writes the root causes with what mends them.
pub(crate) fn findings(page: &mut Page<'_>, findings: &[Finding]) {
    page.heading("Root causes", "");
    let mut told_of: Vec<&str> = Vec::new();
    for finding in findings {
        if told_of.contains(&finding.id.as_str()) {
            continue;
        }
        told_of.push(&finding.id);
        let alike: Vec<&Finding> = findings.iter().filter(|other| other.id == finding.id).collect();
        let (shown, more) = fold(&alike, ALIKE);
        let mut before = None;
        for finding in shown {
            write(page, finding, before);
            before = Some(*finding);
        }
        if more > 0 {
            let nodes: Vec<String> = alike.iter().skip(shown.len()).map(|f| f.node.to_string()).collect();
            let (nodes, hidden) = fold(&nodes, 6);
            let rest = if hidden > 0 { format!(" and {hidden} more") } else { String::new() };
            let text = format!("likewise on {}{rest}; each is in report.json", nodes.join(", "));
            page.wrapped(&[(Ink::Broken, format!("• {} ", finding.id))], Ink::Plain, &text);
        }
        page.command(2, "next", &explain(&finding.id), "the cause, the cure, the trap in the cure");
    }
}

/// Writes a finding; what the one before it said already is left out.
fn write(page: &mut Page<'_>, finding: &Finding, before: Option<&Finding>) {
    let at = finding.interface.as_ref().map_or_else(String::new, |i| format!(", interface {i}"));
    let same = before.is_some_and(|b| b.what == finding.what && b.causes == finding.causes);
    page.line(&[
        (Ink::Broken, "• ".to_owned()),
        (Ink::Strong, finding.id.clone()),
        (Ink::Plain, format!(" on {}{at}{}", finding.node, if same { ": the same there" } else { "" })),
    ]);
    if !same {
        page.item(2, "wrong", Ink::Plain, &finding.what);
        page.item(2, "causes", Ink::Plain, &finding.causes);
        for effect in &finding.effects {
            page.item(2, "and so", Ink::Plain, effect);
        }
        page.item(2, "source", Ink::Faint, &finding.source);
        // Long ones are in report.json and in what `drlab explain` prints.
        let columns = page.style().columns();
        for link in finding.links.iter().filter(|link| link.len() + LABEL <= columns) {
            page.item(2, "", Ink::Faint, link);
        }
    }
    page.item(2, "confidence", Ink::Plain, finding.confidence.means());
    evidence(page, &finding.evidence);
    for (nth, command) in finding.mend.iter().enumerate() {
        page.command(2, if nth == 0 { "mend" } else { "" }, &command.to_string(), "");
    }
}

/// The command that explains a check or a rule.
pub(crate) fn explain(id: &str) -> String {
    format!("drlab explain {}", quoted(id))
}

/// The command that shows the first frame that a check points at; `None` where there is none or no capture was kept,
/// as another run's frames have other numbers.
pub(crate) fn tshark(style: &Style, check: &CheckResult) -> Option<String> {
    let frame = check.evidence.iter().find_map(|e| e.frame.as_ref())?.frame;
    let file = format!("{}/capture.pcapng", style.out.as_deref()?.trim_end_matches('/'));
    Some(format!("tshark -r {} -V -Y 'frame.number=={frame}'", quoted(&file)))
}

/// The word as a shell takes it.
pub(crate) fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+,:@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::{findings, quoted};
    use crate::report::page::Page;
    use crate::report::sample;
    use crate::report::style::Style;

    #[test]
    fn a_file_name_is_quoted_for_the_shell() {
        assert_eq!(quoted("a b/it's"), r"'a b/it'\''s'");
        assert_eq!(quoted("out/basic/lvs-dr/capture.pcapng"), "out/basic/lvs-dr/capture.pcapng");
    }

    #[test]
    fn a_hundred_findings_of_one_rule_are_folded() {
        let one = sample::broken().findings.remove(0);
        let many: Vec<_> = (1..=100)
            .map(|n| {
                let mut finding = one.clone();
                finding.node = format!("rs{n}").parse().unwrap();
                finding
            })
            .collect();
        let style = Style::default();
        let mut page = Page::new(&style);
        findings(&mut page, &many);
        let text = page.finish();
        assert!(text.contains("likewise on rs3, rs4, rs5, rs6, rs7, rs8 and 92 more"), "{text}");
        assert!(text.lines().count() < 25, "{text}");
    }
}
