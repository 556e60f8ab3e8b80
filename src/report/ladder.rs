//! One request's journey as a ladder: an upright for each node, a rung for each hop over the wire.
//!
//! A hop is seen twice, where it leaves and where it comes in; the two are drawn as one arrow. A frame that left and
//! was not seen to come in anywhere is drawn with an open end, one that came in without leaving is told in words.

use super::LadderRung;
use super::page::{Page, Span, fold, wrap, wrap_words};
use super::style::{Ink, columns_of};

/// Hops that are drawn before the others are only counted.
const DRAWN: usize = 40;

/// Columns of the text beside the uprights.
const BESIDE: usize = 50;

/// One hop: the sighting that opens it, and where it came in.
struct Hop<'a> {
    rung: &'a LadderRung,
    arrival: Option<&'a LadderRung>,
}

/// Draws the ladder.
pub(crate) fn draw(page: &mut Page<'_>, journey: &[LadderRung]) {
    page.heading("One request's journey", "");
    let hops = hops(journey);
    let (drawn, more) = fold(&hops, DRAWN);
    let rails = Rails::new(journey, page.style().columns());
    page.line(&rails.beside(rails.names(), "source MAC        ► destination MAC    TTL  frames", Ink::Faint));
    let mut packet = None;
    for hop in drawn {
        if packet != Some(&hop.rung.packet) {
            packet = Some(&hop.rung.packet);
            page.line(&[
                (Ink::Strong, format!("  {}", hop.rung.packet)),
                (Ink::Faint, format!("   at {}", micros(hop.rung.at_us))),
            ]);
        }
        draw_hop(page, &rails, hop);
    }
    if more > 0 {
        page.line(&[(Ink::Faint, format!("  … and {more} more hops, in report.json"))]);
    }
}

fn draw_hop(page: &mut Page<'_>, rails: &Rails, hop: &Hop<'_>) {
    let rung = hop.rung;
    let node = node_of(rung);
    let room = page.style().columns().saturating_sub(rails.width + 2).max(24);
    let beside = |page: &mut Page<'_>, ink, parts: Vec<String>| {
        for part in parts {
            page.line(&rails.beside(rails.bare(), &part, ink));
        }
    };
    let tell = |page: &mut Page<'_>, ink, text: &str| {
        let parts = wrap(&page.style().clean(text), room);
        beside(page, ink, parts);
    };
    let tell_changes = |page: &mut Page<'_>, ink, who: &str, changed: &[String]| {
        let last = changed.len().saturating_sub(1);
        let comma = |nth: usize| if nth < last { "," } else { "" };
        let changes = changed.iter().enumerate().map(|(nth, c)| page.style().clean(&format!("{c}{}", comma(nth))));
        let parts = wrap_words(&[vec![page.style().clean(who)], changes.collect()].concat(), room);
        beside(page, ink, parts);
    };
    if !rung.changed.is_empty() {
        tell_changes(page, Ink::Mark, &format!("{node} changed"), &rung.changed);
    }
    if rung.direction == "in" {
        tell(page, Ink::Faint, &format!("also seen coming in at {}, frame {}", rung.frame.vantage, rung.frame.frame));
        return;
    }
    let frames = match hop.arrival {
        Some(to) => format!("{} {}", rung.frame.frame, to.frame.frame),
        None => format!("{}", rung.frame.frame),
    };
    let text = format!("{} ► {}  {:>3}  {frames}", bare_mac(&rung.macs.0), bare_mac(&rung.macs.1), rung.ttl);
    let target = hop.arrival.map(node_of);
    let word = rung.packet.split_whitespace().next().unwrap_or_default();
    page.line(&rails.beside(rails.arrow(node, target, word), &text, Ink::Plain));
    match target {
        None => tell(page, Ink::Undecided, "this frame was not seen to come in at any node"),
        Some(to) => {
            let past = rails.between(node, to);
            if !past.is_empty() {
                tell(page, Ink::Held, &format!("{node} straight to {to}, past {}", past.join(" and ")));
            }
            if let Some(changed) = hop.arrival.map(|a| &a.changed).filter(|c| !c.is_empty()) {
                tell_changes(page, Ink::Broken, "changed on the wire:", changed);
            }
        }
    }
    for (side, mac, seen) in [("source", &rung.macs.0, Some(node)), ("destination", &rung.macs.1, target)] {
        if let (Some(owner), Some(seen)) = (owner_node(mac), seen)
            && owner != seen
        {
            tell(page, Ink::Undecided, &format!("the {side} MAC is {owner}'s"));
        }
    }
}

/// Each frame that left, with the one that its destination took in; copies that a bridge flooded follow on their own.
fn hops(journey: &[LadderRung]) -> Vec<Hop<'_>> {
    let mut hops = Vec::new();
    let mut rest = journey;
    while let Some((rung, after)) = rest.split_first() {
        let same = |next: &&LadderRung| next.direction == "in" && next.packet == rung.packet && next.macs == rung.macs;
        let copies = if rung.direction == "out" { after.iter().take_while(same).count() } else { 0 };
        let (copies, after) = after.split_at(copies);
        let meant = copies.iter().position(|c| owner_node(&c.macs.1) == Some(node_of(c))).unwrap_or(0);
        hops.push(Hop { rung, arrival: copies.get(meant) });
        let others = copies.iter().enumerate().filter(|(nth, _)| *nth != meant);
        hops.extend(others.map(|(_, copy)| Hop { rung: copy, arrival: None }));
        rest = after;
    }
    hops
}

/// The uprights: a column for each node, in the order in which the journey meets them.
struct Rails {
    nodes: Vec<(String, usize)>,
    width: usize,
    drawn: bool,
}

impl Rails {
    fn new(journey: &[LadderRung], columns: usize) -> Self {
        let mut nodes: Vec<(String, usize)> = Vec::new();
        let mut edge = 2;
        for name in journey.iter().map(node_of) {
            if nodes.iter().any(|(known, _)| known == name) {
                continue;
            }
            let long = columns_of(name);
            let before = nodes.last().map_or(0, |(_, at)| at + 11);
            let at = (edge + long / 2).max(before);
            edge = at + long.div_ceil(2) + 2;
            nodes.push((name.to_owned(), at));
        }
        let width = edge.saturating_sub(2);
        if width + 2 + BESIDE <= columns {
            Self { nodes, width, drawn: true }
        } else {
            Self { nodes, width: 4, drawn: false }
        }
    }

    fn beside(&self, rails: Vec<Span>, text: &str, ink: Ink) -> Vec<Span> {
        let used = rails.iter().map(|(_, text)| columns_of(text)).sum::<usize>();
        let mut line = rails;
        line.push((Ink::Plain, " ".repeat((self.width + 2).saturating_sub(used).max(2))));
        line.push((ink, text.to_owned()));
        line
    }

    fn names(&self) -> Vec<Span> {
        let mut line = String::new();
        for (name, at) in self.nodes.iter().filter(|_| self.drawn) {
            let start = at - columns_of(name) / 2;
            line.push_str(&" ".repeat(start.saturating_sub(columns_of(&line))));
            line.push_str(name);
        }
        vec![(Ink::Strong, line)]
    }

    fn bare(&self) -> Vec<Span> {
        vec![(Ink::Faint, self.uprights().into_iter().collect())]
    }

    fn uprights(&self) -> Vec<char> {
        let mut line = vec![' '; if self.drawn { self.width } else { 0 }];
        for (_, at) in &self.nodes {
            if let Some(cell) = line.get_mut(*at) {
                *cell = '│';
            }
        }
        line
    }

    fn arrow(&self, from: &str, to: Option<&str>, word: &str) -> Vec<Span> {
        if !self.drawn {
            return vec![(Ink::Plain, format!("    {from} ──► {}", to.unwrap_or("?")))];
        }
        let mut line = self.uprights();
        let start = self.place(from);
        let end = to.map_or(start + 5, |to| self.place(to));
        let (low, high) = (start.min(end), start.max(end));
        line.resize(line.len().max(high), ' ');
        for cell in line.iter_mut().take(high).skip(low + 1) {
            *cell = '─';
        }
        let (tail, head, tip) =
            if end >= start { ('├', '►', end.saturating_sub(1)) } else { ('┤', '◄', end + 1) };
        for (at, c) in [(start, tail), (tip, head)] {
            if let Some(cell) = line.get_mut(at) {
                *cell = c;
            }
        }
        let free = (high - low).saturating_sub(2);
        if to.is_some() && columns_of(word) + 2 <= free {
            let first = low + 1 + usize::from(end < start) + (free - columns_of(word)) / 2;
            for (cell, c) in line.iter_mut().skip(first).zip(word.chars()) {
                *cell = c;
            }
        }
        let at = |range: std::ops::Range<usize>| line.iter().skip(range.start).take(range.len()).collect::<String>();
        vec![(Ink::Faint, at(0..low)), (Ink::Strong, at(low..high)), (Ink::Faint, at(high..line.len()))]
    }

    fn place(&self, node: &str) -> usize {
        self.nodes.iter().find(|(name, _)| name == node).map_or(0, |(_, at)| *at)
    }

    /// The nodes whose uprights lie between the two.
    fn between(&self, one: &str, other: &str) -> Vec<&str> {
        let (a, b) = (self.place(one), self.place(other));
        let within = |at: usize| at > a.min(b) && at < a.max(b);
        self.nodes.iter().filter(|(_, at)| within(*at)).map(|(name, _)| name.as_str()).collect()
    }
}

fn node_of(rung: &LadderRung) -> &str {
    rung.frame.vantage.split_once(':').map_or(rung.frame.vantage.as_str(), |(node, _)| node)
}

fn bare_mac(mac: &str) -> &str {
    mac.split_once(' ').map_or(mac, |(mac, _)| mac)
}

fn owner_node(mac: &str) -> Option<&str> {
    let owner = mac.split_once('(')?.1.trim_end_matches(')');
    Some(owner.split_once(':').map_or(owner, |(node, _)| node))
}

/// A time in the unit that suits it.
pub(crate) fn micros(us: u64) -> String {
    match us {
        0..1_000 => format!("{us} µs"),
        1_000..1_000_000 => format!("{}.{:02} ms", us / 1_000, us % 1_000 / 10),
        _ => format!("{}.{:02} s", us / 1_000_000, us % 1_000_000 / 10_000),
    }
}

#[cfg(test)]
mod tests {
    use super::{draw, micros};
    use crate::report::page::Page;
    use crate::report::style::Style;
    use crate::report::{LadderRung, sample};

    fn drawn(journey: &[LadderRung], style: &Style) -> String {
        let mut page = Page::new(style);
        draw(&mut page, journey);
        page.finish()
    }

    #[test]
    fn a_frame_that_nobody_took_in_has_an_open_end() {
        let journey: Vec<_> = sample::held().journey.into_iter().take(5).collect();
        insta::assert_snapshot!(drawn(&journey, &Style::default()));
    }

    #[test]
    fn on_a_narrow_terminal_hops_are_written_instead_of_drawn() {
        let text = drawn(&sample::held().journey, &Style { width: 80, unicode: false, ..Style::default() });
        assert!(text.lines().all(|line| line.len() <= 80), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_destination_that_is_not_the_receivers_is_told() {
        let mut journey = sample::held().journey;
        for rung in journey.iter_mut().take(2) {
            rung.macs.1 = "02:d1:00:00:05:00 (rs2:eth0)".to_owned();
        }
        assert!(drawn(&journey, &Style::default()).contains("the destination MAC is rs2's"));
    }

    #[test]
    fn times_are_in_the_unit_that_suits_them() {
        assert_eq!([micros(999), micros(1_250), micros(2_345_678)], ["999 µs", "1.25 ms", "2.34 s"]);
    }
}
