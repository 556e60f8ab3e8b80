//! The topology as a picture: each segment a line, its nodes as boxes that hang on it.

use super::page::{Page, Span, fold};
use super::style::{Ink, Style, columns_of};
use super::{Topology, TopologyMember, TopologySegment};
use crate::base::{DirectorKind, NodeName, Role};

/// Nodes of one role that are drawn before the others are only counted.
const DRAWN: usize = 6;

struct Plate {
    lines: Vec<Span>,
    inner: usize,
}

impl Plate {
    fn new(style: &Style, lines: Vec<Span>) -> Self {
        let lines: Vec<Span> = lines.into_iter().map(|(ink, text)| (ink, style.clean(&text))).collect();
        let inner = lines.iter().map(|(_, text)| columns_of(text)).max().unwrap_or(0);
        Self { lines, inner }
    }

    fn width(&self) -> usize {
        self.inner + 4
    }
}

/// Draws the topology.
pub(crate) fn draw(page: &mut Page<'_>, topology: &Topology) {
    let mut note: Vec<String> = topology.vips.iter().map(|vip| format!("VIP {vip}")).collect();
    let (services, more) = fold(&topology.services, 4);
    note.extend(services.iter().map(|s| format!("service {}", clipped(s))));
    if more > 0 {
        note.push(format!("… and {more} more services"));
    }
    note.extend(directors(topology));
    page.heading("Topology", "");
    page.wrapped(&[], Ink::Vip, &note.join(" · "));
    for segment in &topology.segments {
        draw_segment(page, segment);
    }
}

/// What made Directors of those that are: one word for all of them, or one for each.
fn directors(topology: &Topology) -> Option<String> {
    let mut all: Vec<(&NodeName, DirectorKind)> = Vec::new();
    for member in topology.segments.iter().flat_map(|segment| &segment.members) {
        if let Some(kind) = member.kind.filter(|_| all.iter().all(|(node, _)| *node != &member.node)) {
            all.push((&member.node, kind));
        }
    }
    let (_, first) = all.first()?;
    if all.iter().all(|(_, kind)| kind == first) {
        return Some(format!("{} by {first}", if all.len() > 1 { "Directors" } else { "Director" }));
    }
    let each: Vec<String> = all.iter().map(|(node, kind)| format!("{node} by {kind}")).collect();
    Some(format!("Directors {}", each.join(", ")))
}

/// At most two lines of a service's long list of real servers.
fn clipped(service: &str) -> String {
    match service.char_indices().nth(150) {
        Some((end, _)) => format!("{} …", service.get(..end).unwrap_or_default()),
        None => service.to_owned(),
    }
}

fn draw_segment(page: &mut Page<'_>, segment: &TopologySegment) {
    let style = page.style();
    page.line(&[
        (Ink::Plain, "segment ".to_owned()),
        (Ink::Strong, segment.name.clone()),
        (Ink::Plain, format!("  {}", segment.subnets.join(", "))),
    ]);
    let rows = rows(plates(style, segment), style.columns().saturating_sub(2));
    let last = rows.len().saturating_sub(1);
    for (nth, row) in rows.iter().enumerate() {
        let (bus, rail) = match (nth, last) {
            (0, 0) => ("━━", "  "),
            (0, _) => ("┏━", "┃ "),
            (n, l) if n == l => ("┗━", "  "),
            _ => ("┣━", "┃ "),
        };
        draw_row(page, row, bus, rail);
    }
}

fn draw_row(page: &mut Page<'_>, row: &[Plate], bus: &str, rail: &str) {
    let mut top = vec![(Ink::Faint, bus.to_owned())];
    let mut lid = vec![(Ink::Faint, rail.to_owned())];
    let mut foot = vec![(Ink::Faint, rail.to_owned())];
    for plate in row {
        let left = (plate.width() - 3) / 2;
        let right = plate.width() - 3 - left;
        top.push((Ink::Faint, format!("━{}┯{}━━", "━".repeat(left), "━".repeat(right))));
        lid.push((Ink::Faint, format!("┌{}┴{}┐ ", "─".repeat(left), "─".repeat(right))));
        foot.push((Ink::Faint, format!("└{}┘ ", "─".repeat(plate.width() - 2))));
    }
    page.line(&top);
    page.line(&lid);
    for nth in 0..row.iter().map(|plate| plate.lines.len()).max().unwrap_or(0) {
        let mut line = vec![(Ink::Faint, rail.to_owned())];
        for plate in row {
            let (ink, text) = plate.lines.get(nth).cloned().unwrap_or((Ink::Plain, String::new()));
            let pad = " ".repeat(plate.inner - columns_of(&text));
            line.extend([(Ink::Faint, "│ ".to_owned()), (ink, text), (Ink::Faint, format!("{pad} │ "))]);
        }
        page.line(&line);
    }
    page.line(&foot);
}

/// As many plates a row as fit.
fn rows(plates: Vec<Plate>, room: usize) -> Vec<Vec<Plate>> {
    let mut rows: Vec<Vec<Plate>> = Vec::new();
    let mut used = 0;
    for plate in plates {
        let width = plate.width() + 1;
        if let Some(row) = rows.last_mut().filter(|_| used + width <= room + 1) {
            row.push(plate);
        } else {
            rows.push(vec![plate]);
            used = 0;
        }
        used += width;
    }
    rows
}

fn plates(style: &Style, segment: &TopologySegment) -> Vec<Plate> {
    let mut plates = Vec::new();
    let mut seen: Vec<Role> = Vec::new();
    for member in &segment.members {
        if seen.contains(&member.role) {
            continue;
        }
        seen.push(member.role);
        let same: Vec<_> = segment.members.iter().filter(|m| m.role == member.role).collect();
        let (drawn, more) = fold(&same, DRAWN);
        plates.extend(drawn.iter().map(|m| Plate::new(style, face(segment, m))));
        if let (1.., Some(first), Some(last)) = (more, same.get(DRAWN), same.last()) {
            plates.push(Plate::new(
                style,
                vec![
                    (Ink::Strong, format!("… and {more} more")),
                    (Ink::Plain, format!("{}s,", member.role)),
                    (Ink::Plain, format!("{} to {}", first.node, last.node)),
                ],
            ));
        }
    }
    plates
}

fn face(segment: &TopologySegment, member: &TopologyMember) -> Vec<Span> {
    let mut role = member.role.to_string();
    if let Some(kind) = member.kind.filter(|kind| *kind != DirectorKind::Ipvs) {
        role = format!("{role} ({kind})");
    }
    let title =
        if member.node == *member.role.to_string().as_str() { role } else { format!("{} · {role}", member.node) };
    let addresses: Vec<&str> = member.addresses.iter().map(|a| short(segment, a)).collect();
    let mut lines = vec![
        (Ink::Strong, title),
        (Ink::Plain, format!("{} {}", member.interface, addresses.first().unwrap_or(&""))),
        (Ink::Faint, member.mac.to_string()),
    ];
    let (others, more) = fold(addresses.get(1..).unwrap_or_default(), 2);
    lines.extend(others.iter().map(|a| (Ink::Plain, (*a).to_owned())));
    if more > 0 {
        lines.push((Ink::Plain, format!("… and {more} more")));
    }
    if !member.vip_on.is_empty() {
        lines.push((Ink::Vip, format!("VIP on {}", member.vip_on.join(", "))));
    }
    lines
}

/// The address without its prefix length where that is the segment's own, as the segment's line says it.
fn short<'a>(segment: &TopologySegment, address: &'a str) -> &'a str {
    let Some((bare, length)) = address.split_once('/') else { return address };
    let same_family = |subnet: &&String| subnet.contains(':') == bare.contains(':');
    let own = segment.subnets.iter().filter(same_family).any(|s| s.rsplit_once('/').is_some_and(|(_, l)| l == length));
    if own { bare } else { address }
}

#[cfg(test)]
mod tests {
    use super::draw;
    use crate::base::DirectorKind;
    use crate::report::page::Page;
    use crate::report::style::Style;
    use crate::report::{Topology, TopologyMember, sample};

    fn drawn(topology: &Topology, style: &Style) -> String {
        let mut page = Page::new(style);
        draw(&mut page, topology);
        page.finish()
    }

    #[test]
    fn a_hundred_real_servers_are_folded_and_fit_the_page() {
        let text = drawn(&sample::crowd(100), &Style::default());
        assert!(text.contains("… and 94 more"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= 100), "{text}");
        insta::assert_snapshot!(text);
    }

    #[test]
    fn what_made_directors_is_said_of_all_at_once_or_of_each() {
        let mut topology = sample::held().topology;
        let line = |topology: &Topology| drawn(topology, &Style::default()).replace('\n', " ");
        assert!(line(&topology).contains(" · Director by ipvs"), "{}", line(&topology));
        let director = topology.segments[1].members.iter().find(|m| m.kind.is_some()).unwrap().clone();
        let other = TopologyMember { node: "lb2".parse().unwrap(), kind: Some(DirectorKind::Script), ..director };
        topology.segments[1].members.push(other);
        assert!(line(&topology).contains(" · Directors director by ipvs, lb2 by script"), "{}", line(&topology));
        for member in topology.segments[1].members.iter_mut().filter(|m| m.kind.is_some()) {
            member.kind = Some(DirectorKind::Keepalived);
        }
        assert!(line(&topology).contains(" · Directors by keepalived"), "{}", line(&topology));
    }

    #[test]
    fn on_a_narrow_terminal_without_box_drawing_it_stays_whole() {
        let style = Style { width: 60, unicode: false, ..Style::default() };
        let text = drawn(&sample::held().topology, &style);
        assert!(text.is_ascii() && text.lines().all(|line| line.len() <= 60), "{text}");
        insta::assert_snapshot!(text);
    }
}
