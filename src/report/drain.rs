//! What became of connections that were open to a real server when it was taken out of service.

use super::page::{Page, fold};
use super::style::Ink;
use crate::facts::run::Listing;
use crate::judge::Drain;

/// Withdrawals that are shown.
const SHOWN: usize = 4;

/// Writes what each withdrawal came to.
pub(crate) fn draw(page: &mut Page<'_>, drains: &[Drain]) {
    page.heading("Drain: what became of open connections?", "");
    let (shown, more) = fold(drains, SHOWN);
    for drain in shown {
        one(page, drain);
    }
    if more > 0 {
        page.line(&[(Ink::Faint, format!("  … and {more} more, in report.json"))]);
    }
}

fn one(page: &mut Page<'_>, drain: &Drain) {
    let (server, director) = (&drain.real_server, &drain.director);
    let what = match drain.how {
        Listing::Draining => format!("{server} has weight 0 on {director}"),
        Listing::Gone => format!("{server} is removed from the table of {director}"),
        Listing::Taking => format!("{server} takes connections on {director}"),
    };
    let back = drain.back_ms.map_or(String::new(), |back| format!(", for {}", ms(back)));
    let text = format!("{what} at {}{back}; {} open to it then", ms(drain.at_ms), connections(drain.open));
    page.item(2, "out", Ink::Strong, &text);
    if let (Some(half), Some(longest)) = (drain.half_ms, drain.longest_ms) {
        let text = match drain.ended {
            1 => format!("1 came to its end, after {}", ms(longest)),
            n => format!("{n} came to their end, the last after {}, half of them within {}", ms(longest), ms(half)),
        };
        page.item(2, "lasted", Ink::Plain, &text);
    }
    if drain.open > 0 {
        let ink = if drain.cut() > 0 { Ink::Broken } else { Ink::Held };
        let text = match drain.cut() {
            0 => "none".to_owned(),
            n => format!("{n}: {} reset, {} without an answer", drain.reset, drain.unanswered),
        };
        page.item(2, "cut", ink, &text);
    }
    if drain.still_open > 0 {
        let text = format!("{} at the end of the capture", connections(drain.still_open));
        page.item(2, "still open", Ink::Plain, &text);
    }
    if drain.new > 0 {
        let text = format!("{} came to it nevertheless", connections(drain.new));
        page.item(2, "new", Ink::Undecided, &text);
    }
}

fn connections(count: u64) -> String {
    if count == 1 { "1 connection".to_owned() } else { format!("{count} connections") }
}

/// Milliseconds up to a second, seconds from there.
fn ms(ms: f64) -> String {
    if ms < 1000.0 { format!("{ms:.1} ms") } else { format!("{:.2} s", ms / 1000.0) }
}

#[cfg(test)]
mod tests {
    use super::draw;
    use crate::facts::run::Listing;
    use crate::judge::Drain;
    use crate::report::Style;
    use crate::report::page::Page;

    fn drain(how: Listing) -> Drain {
        Drain {
            real_server: "rs1".parse().unwrap(),
            director: "lb1".parse().unwrap(),
            how,
            at_ms: 3210.4,
            back_ms: None,
            open: 4,
            ended: 4,
            reset: 0,
            unanswered: 0,
            still_open: 0,
            half_ms: Some(812.0),
            longest_ms: Some(2604.5),
            new: 0,
        }
    }

    #[test]
    fn a_drain_that_loses_nothing_and_a_removal_that_cuts_read_well() {
        let cut = Drain {
            ended: 1,
            reset: 1,
            unanswered: 1,
            still_open: 1,
            new: 1,
            back_ms: Some(900.0),
            ..drain(Listing::Gone)
        };
        let style = Style::default();
        let mut page = Page::new(&style);
        draw(&mut page, &[drain(Listing::Draining), cut]);
        insta::assert_snapshot!(page.finish());
    }
}
