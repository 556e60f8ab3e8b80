//! What was read of captures from elsewhere: files, points, who is who, and where to look next.

use super::page::{Page, fold};
use super::proof;
use super::style::Ink;
use super::table::Table;
use super::{Read, Report};
use crate::base::Verdict;

/// Rows of a table before the others are only counted.
const ROWS: usize = 16;

/// What stands below the verdict at the top.
pub(crate) fn headline(page: &mut Page<'_>, report: &Report, read: &Read) {
    let packets: u64 = read.files.iter().map(|f| f.packets).sum();
    let count = |n: usize, one: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") };
    let text = format!(
        "{}, {packets} packets, {} of them about {}, at {}",
        count(read.files.len(), "file"),
        report.capture.frames,
        read.vips.join(", "),
        count(read.points.len(), "point")
    );
    page.item(0, "read", Ink::Plain, &text);
}

/// Writes what was read, and where it was captured.
pub(crate) fn files(page: &mut Page<'_>, read: &Read) {
    page.heading("What was read", "");
    let mut table = Table::new(&[2, 3]);
    table.head(&["file", "format", "packets", "kept", "link"]);
    let (shown, more) = fold(&read.files, ROWS);
    for file in shown {
        table.row([
            (Ink::Strong, file.path.clone()),
            (Ink::Plain, file.format.clone()),
            (Ink::Plain, file.packets.to_string()),
            (Ink::Plain, file.kept.to_string()),
            (Ink::Plain, file.links.join(", ")),
        ]);
    }
    table.write(page, 2);
    rest(page, more, "files");
    if read.alike > 0 {
        let told = format!(
            "{} of these frames are of conversations that went just like one that was judged, frame by frame; all counts \
             include them. `--each` judges each by itself.",
            read.alike
        );
        page.wrapped(&[(Ink::Plain, "  ".to_owned())], Ink::Faint, &told);
    }
    for file in &read.files {
        if let Some(ended) = &file.ended {
            page.wrapped(&[(Ink::Undecided, format!("  ! {}: ", file.path))], Ink::Plain, ended);
        }
    }
    if read.points.is_empty() {
        return;
    }
    page.blank();
    let mut table = Table::new(&[1]);
    table.head(&["point", "frames", "shows all frames of", "clock"]);
    let (shown, more) = fold(&read.points, ROWS);
    for (nth, point) in shown.iter().enumerate() {
        let whose: Vec<&str> = point.shows.iter().map(crate::base::NodeName::as_str).collect();
        let whose = if whose.is_empty() { "nobody that is known".to_owned() } else { whose.join(", ") };
        table.row([
            (Ink::Strong, point.vantage.clone()),
            (Ink::Plain, point.frames.to_string()),
            (Ink::Plain, whose),
            (Ink::Plain, clock(nth, point.clock_us)),
        ]);
    }
    table.write(page, 2);
    rest(page, more, "points");
}

fn clock(nth: usize, off_us: Option<i64>) -> String {
    match off_us {
        _ if nth == 0 => "taken as right".to_owned(),
        None => "not comparable: no packet was seen here and elsewhere".to_owned(),
        Some(0) => "agrees".to_owned(),
        Some(us) => {
            let ms = us.unsigned_abs() / 1000;
            let way = if us > 0 { "ahead" } else { "behind" };
            format!("{}.{:03} s {way}, put right", ms / 1000, ms % 1000)
        }
    }
}

/// Writes who plays which part and why.
pub(crate) fn parts(page: &mut Page<'_>, read: &Read) {
    page.heading("Who is who", "");
    let mut table = Table::new(&[]);
    if !read.parts.is_empty() {
        table.head(&["part", "name", "MAC and addresses", "because it"]);
    }
    let (shown, more) = fold(&read.parts, ROWS);
    for part in shown {
        let mut own: Vec<String> = part.macs.iter().map(ToString::to_string).collect();
        own.extend(part.addresses.iter().cloned());
        let because = if part.given { "was given on the command line".to_owned() } else { part.why.clone() };
        table.tall_row([
            (Ink::Plain, vec![part.role.to_string()]),
            (Ink::Strong, vec![part.node.to_string()]),
            (Ink::Plain, own),
            (Ink::Plain, vec![because]),
        ]);
    }
    table.write(page, 2);
    rest(page, more, "stations");
    for open in &read.open {
        page.wrapped(&[(Ink::Undecided, "  ? ".to_owned())], Ink::Plain, open);
    }
    if !read.handed_on.is_empty() {
        let shares: Vec<String> = read.handed_on.iter().map(|(name, n)| format!("{name} {n}")).collect();
        let text = format!("new connections handed on: {}", shares.join(", "));
        page.wrapped(&[(Ink::Plain, "  ".to_owned())], Ink::Plain, &text);
    }
}

/// Writes what frames hint at.
pub(crate) fn clues(page: &mut Page<'_>, read: &Read) {
    if read.clues.is_empty() {
        return;
    }
    page.heading("What the frames hint at", "");
    let (shown, more) = fold(&read.clues, ROWS);
    for clue in shown {
        page.wrapped(&[(Ink::Undecided, "• ".to_owned())], Ink::Strong, &clue.what);
        let frames: Vec<String> = clue
            .evidence
            .iter()
            .filter_map(|e| Some(format!("frame {} at {}", e.frame.as_ref()?.frame, e.frame.as_ref()?.vantage)))
            .collect();
        page.item(2, "seen", Ink::Plain, &frames.join(", "));
        if !clue.rules.is_empty() {
            page.item(2, "may be", Ink::Plain, &clue.rules.join(", "));
        }
        page.item(2, "tell by", Ink::Plain, &format!("on {}: {}", clue.node, clue.next));
    }
    rest(page, more, "hints");
    page.command(2, "next", "drlab explain RULE", "the cause, the cure, the trap in the cure");
}

fn rest(page: &mut Page<'_>, more: usize, what: &str) {
    if more > 0 {
        page.line(&[(Ink::Faint, format!("  … and {more} more {what}, in report.json"))]);
    }
}

/// What to type next.
pub(crate) fn next_step(page: &mut Page<'_>, report: &Report) {
    let worst = [Verdict::Broken, Verdict::Undecided, Verdict::Held];
    let Some(check) = worst.iter().find_map(|v| report.checks.iter().find(|c| c.verdict == *v)) else { return };
    page.command(0, "next", &proof::explain(&check.id), "what it proves, what would fool it");
    let frame = check.evidence.iter().find_map(|e| e.frame.as_ref());
    let points = report.read.iter().flat_map(|r| &r.points);
    if let Some((frame, point)) = frame.and_then(|f| Some((f, points.into_iter().find(|p| p.vantage == f.vantage)?))) {
        let command = format!("tshark -r {} -V -Y 'frame.number=={}'", proof::quoted(&point.file), frame.frame);
        page.command(0, "", &command, "its first frame");
    }
}
