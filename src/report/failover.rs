//! Who had the VIP when, and what its coming to another Director cost.

use super::Failover;
use super::page::{Page, fold};
use super::style::Ink;
use super::table::Table;
use crate::judge::failover::{Carried, Moved};

/// Moves that are shown; of a VIP that goes to and fro the first ones tell enough.
const SHOWN: usize = 4;

/// Writes who had each VIP, then what each move came to.
pub(crate) fn draw(page: &mut Page<'_>, failover: &Failover) {
    page.heading("Failover: who had the VIP when?", "from the capture's first frame");
    let mut table = Table::new(&[2, 3, 4, 5]);
    table.head(&["VIP", "Director", "from", "until", "announced", "handed on"]);
    let (shown, more) = fold(&failover.held, SHOWN + 1);
    for held in shown {
        table.row([
            (Ink::Vip, held.vip.to_string()),
            (Ink::Strong, held.director.to_string()),
            (Ink::Plain, ms(held.from_ms)),
            (Ink::Plain, held.until_ms.map_or_else(|| "the end".to_owned(), ms)),
            (Ink::Plain, format!("{}×", held.announced)),
            (Ink::Plain, held.handed_on.to_string()),
        ]);
    }
    table.write(page, 2);
    if more > 0 {
        page.line(&[(Ink::Faint, format!("  … and {more} more, in report.json"))]);
    }
    let (shown, more) = fold(&failover.moves, SHOWN);
    for moved in shown {
        draw_move(page, moved);
    }
    if more > 0 {
        page.line(&[(Ink::Faint, format!("  … and {more} more moves, in report.json"))]);
    }
    for adverts in &failover.adverts {
        let text = format!(
            "{} sent {} advertisements, from {} to {}",
            adverts.director,
            adverts.count,
            ms(adverts.first_ms),
            ms(adverts.last_ms)
        );
        page.item(2, "VRRP", Ink::Plain, &text);
    }
}

fn draw_move(page: &mut Page<'_>, moved: &Moved) {
    let told = if moved.announced { "announced by it" } else { "not announced: seen by the first packet" };
    let text = format!("{} to {} at {}, {told} (frame {})", moved.from, moved.to, ms(moved.at_ms), moved.shown.frame);
    page.item(2, "moved", Ink::Strong, &text);
    let silence = match moved.silence_ms {
        Some(gap) => {
            format!("{} between the last packet that {} handed on and {}'s first", ms(gap), moved.from, moved.to)
        }
        None => "no packet was handed on both before and after it".to_owned(),
    };
    page.item(2, "on the wire", Ink::Plain, &silence);
    if let Some(clients) = &moved.clients {
        let ink = if clients.failed > 0 { Ink::Broken } else { Ink::Plain };
        let text =
            format!("{} between two right answers, {} requests failed meanwhile", ms(clients.gap_ms), clients.failed);
        page.item(2, "clients", ink, &text);
    }
    let Carried { kept, reset, unanswered } = moved.connections;
    if kept + reset + unanswered > 0 {
        let ink = if reset + unanswered > 0 { Ink::Broken } else { Ink::Plain };
        let text = format!("of those open across it {kept} went on, {reset} were reset, {unanswered} got no answer");
        page.item(2, "connections", ink, &text);
    }
    for late in &moved.late {
        let text = format!(
            "{} sent {} packets to {} after {} had announced it, for {}",
            late.sender,
            late.packets,
            moved.from,
            moved.to,
            ms(late.for_ms)
        );
        page.item(2, "late", Ink::Broken, &text);
    }
}

/// Milliseconds up to a second, seconds from there.
fn ms(ms: f64) -> String {
    if ms < 1000.0 { format!("{ms:.1} ms") } else { format!("{:.2} s", ms / 1000.0) }
}
