//! The matrix as people read it: the kernels with a letter each, the verdicts, what differs.

use super::{Cell, Column, Difference, Kind, Matrix};
use crate::report::RunVerdict;
use crate::report::page::{Page, Span, fold};
use crate::report::style::{Ink, Style};
use crate::report::table::Table;

/// Reasons that are shown of a cell.
const REASONS: usize = 3;

/// The whole page.
pub fn render(matrix: &Matrix, style: &Style) -> String {
    let mut page = Page::new(style);
    kernels(&mut page, &matrix.kernels);
    verdicts(&mut page, matrix);
    differences(&mut page, matrix);
    unexpected(&mut page, matrix);
    page.finish()
}

/// `A`, `B`, … `Z`, `AA`.
fn letter(at: usize) -> String {
    let last = char::from(b'A' + u8::try_from(at % 26).unwrap_or(0));
    if at < 26 { last.to_string() } else { letter(at / 26 - 1) + &last.to_string() }
}

fn kernels(page: &mut Page<'_>, kernels: &[Column]) {
    page.heading("Kernels", "");
    let mut table = Table::new(&[]);
    for (at, kernel) in kernels.iter().enumerate() {
        let what = match kernel.failure.as_slice() {
            [] => (Ink::Plain, kernel.release.clone()),
            failure => (Ink::Undecided, format!("not run: {}", failure.join(": "))),
        };
        table.row([
            (Ink::Mark, letter(at)),
            (Ink::Strong, kernel.name.clone()),
            (Ink::Plain, kernel.substrate.clone()),
            what,
        ]);
    }
    table.write(page, 2);
}

fn verdicts(page: &mut Page<'_>, matrix: &Matrix) {
    page.heading("Verdicts", "✓ as the scenario expects");
    let mut table = Table::new(&[]);
    let letters = (0..matrix.kernels.len()).map(letter);
    let names: Vec<String> = ["scenario".to_owned()].into_iter().chain(letters).collect();
    table.head(&names.iter().map(String::as_str).collect::<Vec<_>>());
    for row in &matrix.rows {
        let name = (Ink::Strong, row.scenario.clone());
        table.row([name].into_iter().chain(row.cells.iter().map(cell)));
    }
    table.write(page, 2);
    let all = || matrix.rows.iter().flat_map(|row| &row.cells);
    let right = all().filter(|cell| cell.as_expected).count();
    let not_run = all().filter(|cell| cell.verdict == RunVerdict::NotRun).count();
    let wrong = all().count() - right - not_run;
    page.blank();
    page.line(&[
        (Ink::Strong, format!("{} runs: ", all().count())),
        (if right > 0 { Ink::Held } else { Ink::Plain }, format!("{right} as expected")),
        (Ink::Plain, ", ".to_owned()),
        (if wrong > 0 { Ink::Broken } else { Ink::Plain }, format!("{wrong} not as expected")),
        (Ink::Plain, ", ".to_owned()),
        (if not_run > 0 { Ink::Undecided } else { Ink::Plain }, format!("{not_run} not run")),
    ]);
}

fn cell(cell: &Cell) -> Span {
    let word = match cell.verdict {
        RunVerdict::Held => "held",
        RunVerdict::Broken => "broken",
        RunVerdict::Undecided => "undecided",
        RunVerdict::NotRun => return (Ink::Undecided, "– not run".to_owned()),
    };
    if cell.as_expected { (Ink::Held, format!("✓ {word}")) } else { (Ink::Broken, format!("✗ {word}")) }
}

fn differences(page: &mut Page<'_>, matrix: &Matrix) {
    page.heading("What differs", "");
    let of = |wanted: &[Kind]| -> Vec<&Difference> {
        matrix.differences.iter().filter(|one| wanted.contains(&one.kind)).collect()
    };
    // Of a kernel under which nothing ran nothing is known; it has no column here.
    let ran: Vec<usize> = (0..matrix.kernels.len()).filter(|at| matrix.kernels[*at].failure.is_empty()).collect();
    let mut table = Table::new(&[]);
    let names: Vec<String> = [String::new()].into_iter().chain(ran.iter().map(|at| letter(*at))).collect();
    table.head(&names.iter().map(String::as_str).collect::<Vec<_>>());
    // Of what only some have, that of IPVS and of interfaces is shown: Direct Routing is made of it.
    let (near, far): (Vec<&Difference>, Vec<&Difference>) =
        of(&[Kind::Present]).into_iter().partition(|one| is_near(&one.what));
    for one in of(&[Kind::Frames, Kind::Scheduler, Kind::Default]).into_iter().chain(near) {
        let values = ran.iter().filter_map(|at| one.values.get(*at)).map(|value| match value.as_deref() {
            Some("") => (Ink::Faint, "(empty)".to_owned()),
            Some(value) => (Ink::Plain, value.to_owned()),
            None => (Ink::Faint, "?".to_owned()),
        });
        table.row([(Ink::Plain, one.what.clone())].into_iter().chain(values));
    }
    table.write(page, 2);
    if !far.is_empty() {
        let text = format!("  and {} more sysctls that not all have: --format json lists them", far.len());
        page.line(&[(Ink::Faint, text)]);
    }
    let surveyed = matrix.kernels.iter().filter(|kernel| kernel.survey.is_some()).count();
    if surveyed > 1 && of(&[Kind::Scheduler, Kind::Default, Kind::Present]).is_empty() {
        page.line(&[(Ink::Plain, "  the kernels have the same schedulers and the same sysctls by default".to_owned())]);
    }
}

fn is_near(key: &str) -> bool {
    ["net.ipv4.vs.", "net.ipv4.conf."].iter().any(|family| key.starts_with(family))
}

fn unexpected(page: &mut Page<'_>, matrix: &Matrix) {
    for row in &matrix.rows {
        for (at, (cell, kernel)) in row.cells.iter().zip(&matrix.kernels).enumerate() {
            // Why nothing ran under a kernel at all is told beside its name.
            if cell.as_expected || !kernel.failure.is_empty() {
                continue;
            }
            page.blank();
            let (ink, lead) = if cell.verdict == RunVerdict::NotRun {
                (Ink::Undecided, "– not run")
            } else {
                (Ink::Broken, "✗ not as expected")
            };
            let name = format!("{} under {} ({})", row.scenario, kernel.name, letter(at));
            page.line(&[(ink, format!("{lead}  ")), (Ink::Strong, name)]);
            let (shown, more) = fold(&cell.why, REASONS);
            for line in shown {
                page.wrapped(&[(Ink::Plain, "  ".to_owned())], Ink::Plain, line);
            }
            if more > 0 {
                page.line(&[(Ink::Faint, format!("  … and {more} more"))]);
            }
        }
    }
}
