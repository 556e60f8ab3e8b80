//! `arp-census`: the Director, and no one else, says where the VIP is.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use super::Check;
use crate::base::{Mac, NodeName};
use crate::judge::askers::{all_bound, askers, bound};
use crate::judge::case::{Elsewhere, Station};
use crate::judge::census::{Said, Word, words};
use crate::judge::host::Host;
use crate::judge::tally::{Tally, count};
use crate::judge::traffic::Traffic;
use crate::judge::{CheckResult, Evidence, Input};

/// The check.
pub(super) const CHECK: Check = Check {
    id: "arp-census",
    title: "only the Director answers for the VIP",
    proves: "Every who-has for a VIP (ARP, or IPv6 neighbour solicitation), seen or asked on purpose, is answered by one \
             Director and nobody else; no real server announces the VIP or asks others in the VIP's name. Where every \
             asker has the VIP bound to the Director's MAC for good, nobody has to ask, and that holds by facts.",
    fooled_by: "Luck: the Director may win the race for the router's neighbour entry while real servers answer, too. So \
                all answers count, not the entry that came of them, and a question is put on the wire after the load.",
    usual_cause: "arp_ignore and arp_announce are not set where they count (conf/all or the interface that hears the \
                  question; conf/lo does nothing). On the router: `arping -b -c1 VIP` must have one answer.",
    source: "net/ipv4/arp.c: arp_process, arp_ignore, arp_solicit; net/ipv6/ndisc.c; RFC 826; RFC 4861 section 7.2",
    run,
};

fn run(input: &Input<'_>) -> CheckResult {
    let traffic = Traffic::new(input);
    let mut tally = Tally::default();
    let segments: BTreeSet<&NodeName> = traffic.directors().flat_map(|d| &d.ports).map(|p| &p.segment).collect();
    for station in input.case.stations.iter().filter(|s| segments.iter().any(|seg| s.is_on(seg))) {
        tally.lost_at(input, &station.node);
    }
    let words = words(input);
    let mut notes: Vec<String> = Vec::new();
    for &vip in &input.case.vips {
        for &segment in &segments {
            let here: Vec<&Word<'_>> = words.iter().filter(|w| w.vip == vip && w.segment == segment).collect();
            judge(&traffic, vip, segment, &here, &mut notes, &mut tally);
        }
        if input.case.elsewhere.is_some() && segments.is_empty() {
            without_director(input, vip, &words, &mut tally);
            continue;
        }
        for word in words.iter().filter(|w| w.vip == vip && !segments.contains(w.segment)) {
            if !matches!(word.said, Said::Answered | Said::Announced) {
                continue;
            }
            // Elsewhere a Director may have an interface that nothing told of, and a router may speak for it.
            if input.case.elsewhere.is_some() && !word.speaker.is_some_and(|s| traffic.is_real_server(s)) {
                tally.doubt(format!("{} claims {vip} on {}, where no Director is known", word.who(), word.segment));
            } else {
                let shown = Evidence::frame(input.trace, word.frame, format!("{} says it has {vip}", word.who()));
                tally.broken(format!("{vip} is claimed on {}, where no Director is", word.segment), shown);
            }
        }
    }
    probes(&traffic, &mut tally);
    if let Some(elsewhere) = &input.case.elsewhere {
        heard_whole(&words, elsewhere, &mut tally);
    }
    for &vip in &input.case.vips {
        for station in segments.iter().flat_map(|segment| askers(&traffic, vip, segment)) {
            misled(&traffic, station, vip, &mut tally);
        }
    }
    let asked = words.iter().filter(|w| w.said == Said::Asked && !speaks_for(&traffic, w)).count() as u64;
    let examined = asked.max(input.ran.probes.len() as u64);
    if examined == 0 && !tally.is_broken() {
        return nobody_asked(&traffic, &segments, tally);
    }
    let answers = words.iter().filter(|w| w.said == Said::Answered).count() as u64;
    let mut held = format!(
        "{} and {}, all of them the Director's",
        count(examined, "question", "questions"),
        count(answers, "answer", "answers")
    );
    for note in notes {
        held += "; ";
        held += &note;
    }
    tally.result(CHECK.id, examined, "questions", "", held)
}

/// Answers to one question come within this time.
const AT_ONCE_NS: u64 = 1_000_000_000;

/// Where it is not known who the Director is, two that answer at once are one too many, whoever they are.
fn without_director(input: &Input<'_>, vip: IpAddr, words: &[Word<'_>], tally: &mut Tally) {
    let answers = words.iter().filter(|w| w.vip == vip && w.said == Said::Answered);
    let mut latest: BTreeMap<Mac, &Word<'_>> = BTreeMap::new();
    let mut told: BTreeSet<Mac> = BTreeSet::new();
    for word in answers {
        let at_once =
            |other: &Word<'_>| other.mac != word.mac && other.frame.at_ns.abs_diff(word.frame.at_ns) < AT_ONCE_NS;
        let others: Vec<&Word<'_>> = latest.values().copied().filter(|w| at_once(w)).collect();
        if !others.is_empty() {
            for one in others.into_iter().chain([word]).filter(|w| told.insert(w.mac)) {
                let what = format!("{} answers that {vip} is at {}", one.who(), one.mac);
                tally.broken(
                    format!("several stations answer who-has {vip} at once"),
                    Evidence::frame(input.trace, one.frame, what),
                );
            }
        }
        latest.insert(word.mac, word);
    }
    tally.doubt("it is not known who the Director is");
}

/// In captures from elsewhere, answers are seen only where somebody who asked was captured itself.
fn heard_whole(words: &[Word<'_>], elsewhere: &Elsewhere, tally: &mut Tally) {
    let asked = |w: &&Word<'_>| w.said == Said::Asked;
    let heard = |w: &Word<'_>| w.speaker.is_some_and(|s| elsewhere.captured(&s.node));
    let answered = words.iter().any(|w| w.said == Said::Answered);
    let askers: BTreeSet<String> = words.iter().filter(asked).map(Word::who).collect();
    let askers = askers.into_iter().collect::<Vec<_>>().join(", ");
    if words.iter().any(|w| asked(&w)) && !words.iter().filter(asked).any(heard) {
        tally.doubt(format!("{askers} asked and was not captured itself, so that not all answers are seen"));
    } else if !answered && !askers.is_empty() {
        tally.doubt(format!("{askers} asked, and no answer was captured"));
    }
}

fn speaks_for(traffic: &Traffic<'_>, word: &Word<'_>) -> bool {
    word.speaker.is_some_and(|s| traffic.is_director(s))
}

/// Whether the MAC that is told leads to no Director; one of VRRP's (RFC 5798, section 7.3) moves with the VIP.
fn leads_astray(traffic: &Traffic<'_>, mac: Mac) -> bool {
    !mac.is_vrrp() && !traffic.input.case.owners(mac).iter().any(|(s, _)| traffic.is_director(s))
}

/// Judges what was said of one VIP on one segment of a Director.
fn judge(
    traffic: &Traffic<'_>,
    vip: IpAddr,
    segment: &NodeName,
    words: &[&Word<'_>],
    notes: &mut Vec<String>,
    tally: &mut Tally,
) {
    let input = traffic.input;
    let shown =
        |word: &Word<'_>, what: &str| Evidence::frame(input.trace, word.frame, format!("{} {what}", word.who()));
    let mut answering: BTreeMap<&NodeName, &Word<'_>> = BTreeMap::new();
    let (mut announced, mut leaked) = (0, 0);
    let immune = all_bound(traffic, vip, segment);
    for word in words {
        match word.said {
            Said::Asked => {}
            _ if input.case.elsewhere.is_some() && word.speaker.is_none() => {
                tally.doubt(format!("{}, whose part is not known, speaks for {vip}", word.who()));
            }
            Said::Answered | Said::Announced
                if input.case.elsewhere.is_some()
                    && input.case.owner_of(word.mac).is_none()
                    && speaks_for(traffic, word) =>
            {
                tally.doubt(format!("{} says that {vip} is at {}, whose part is not known", word.who(), word.mac));
            }
            Said::Answered | Said::Announced if speaks_for(traffic, word) && leads_astray(traffic, word.mac) => {
                let kind = format!("{} says that {vip} is at a MAC that is no Director's", word.who());
                tally.broken(kind, shown(word, &format!("says that {vip} is at {}", word.mac)));
            }
            Said::Answered if speaks_for(traffic, word) => {
                if let Some(speaker) = word.speaker {
                    answering.entry(&speaker.node).or_insert(word);
                }
                if tally.shows_nothing() {
                    tally.shows(shown(word, &format!("alone answers that it has {vip}: {}", word.mac)));
                }
            }
            Said::Answered => {
                let kind = format!("{} answers who-has {vip} on {segment}", word.who());
                tally.broken(kind, shown(word, &format!("answers that {vip} is at {}", word.mac)));
            }
            Said::Announced if speaks_for(traffic, word) => announced += 1,
            Said::Announced => {
                let kind = format!("{} announces {vip} on {segment}", word.who());
                tally.broken(kind, shown(word, &format!("says unasked that {vip} is at {}", word.mac)));
            }
            Said::Leaked if !word.speaker.is_none_or(|s| traffic.is_real_server(s)) => {}
            Said::Leaked if immune => leaked += 1,
            Said::Leaked if input.case.elsewhere.is_some() && !asked_by_others(traffic, words) => {
                tally.doubt(format!(
                    "{} asks others in the name of {vip}, which harms only where neighbour entries are not permanent; \
                     nobody asked who has it",
                    word.who()
                ));
            }
            Said::Leaked => {
                let kind = format!("{} asks others in the name of {vip} on {segment}", word.who());
                tally.broken(
                    kind,
                    shown(word, &format!("asks with sender {vip}, which tells all that {vip} is at {}", word.mac)),
                );
            }
        }
    }
    let several = answering.len() > 1;
    if several && !input.case.changes {
        let names: Vec<String> = answering.keys().map(ToString::to_string).collect();
        let names = names.join(" and ");
        if input.case.elsewhere.is_some() {
            tally.doubt(format!("{names} answer for {vip}, at once or one after the other"));
        } else {
            for word in answering.into_values() {
                let kind = format!("several Directors answer for {vip}: {names}");
                tally.broken(kind, shown(word, &format!("answers that {vip} is at {}", word.mac)));
            }
        }
    }
    if several && input.case.changes && input.case.elsewhere.is_none() {
        for word in answered_together(traffic, words) {
            let kind = "one question was answered by several Directors";
            tally.broken(kind, shown(word, &format!("answers that {vip} is at {}", word.mac)));
        }
    }
    let open = words.iter().find(|w| w.said == Said::Asked && !speaks_for(traffic, w));
    if let Some(question) = open.filter(|_| !words.iter().any(|w| w.said == Said::Answered)) {
        let evidence = shown(question, &format!("asks who has {vip}"));
        match input.case.stations.iter().find(|s| s.is_on(segment) && input.lost(&s.node) > 0) {
            None if input.case.elsewhere.is_some() => {}
            Some(station) => tally.lost_at(input, &station.node),
            None => tally.broken(format!("nobody answers who-has {vip} on {segment}"), evidence),
        }
    }
    if announced > 0 {
        let of = if input.case.vips.len() > 1 { format!(" of {vip}") } else { String::new() };
        notes.push(format!(
            "{}{of} by the Director",
            count(announced, "gratuitous announcement", "gratuitous announcements")
        ));
    }
    if leaked > 0 {
        notes.push(format!(
            "real servers asked {} in the VIP's name, harmless since every asker's entry is permanent",
            count(leaked, "time", "times")
        ));
    }
}

/// The answers to the first question that several Directors answered, as two that have the VIP at one time do and two of
/// which one took it over do not. They may share a virtual MAC, so it counts who sent the answer.
fn answered_together<'w, 'a>(traffic: &Traffic<'_>, words: &[&'w Word<'a>]) -> Vec<&'w Word<'a>> {
    let asked = || words.iter().filter(|w| w.said == Said::Asked && !speaks_for(traffic, w));
    for question in asked() {
        let (whose, number) = (question.frame.decoded.source, question.frame.number);
        let later = asked().filter(|w| w.frame.decoded.source == whose && w.frame.number > number);
        let next = later.map(|w| w.frame.number).min().unwrap_or(u32::MAX);
        let answers = words.iter().filter(|w| {
            w.said == Said::Answered
                && speaks_for(traffic, w)
                && w.frame.decoded.destination == whose
                && (number..next).contains(&w.frame.number)
                && w.frame.at_ns.saturating_sub(question.frame.at_ns) < AT_ONCE_NS
        });
        let mut by: BTreeMap<&NodeName, &'w Word<'a>> = BTreeMap::new();
        for word in answers {
            if let Some(speaker) = word.speaker {
                by.entry(&speaker.node).or_insert(word);
            }
        }
        if by.len() > 1 {
            return by.into_values().collect();
        }
    }
    Vec::new()
}

/// Whether anybody who is to go through a Director had to ask, so that it has no permanent entry.
fn asked_by_others(traffic: &Traffic<'_>, words: &[&Word<'_>]) -> bool {
    let other = |s: &Station| !traffic.is_director(s) && !traffic.is_real_server(s);
    words.iter().any(|w| w.said == Said::Asked && w.speaker.is_none_or(other))
}

/// A permanent entry for the VIP with a MAC that is no Director's makes its owner pass the Director by.
fn misled(traffic: &Traffic<'_>, station: &Station, vip: IpAddr, tally: &mut Tally) {
    let (input, node) = (traffic.input, &station.node);
    let of_director = |mac: Mac| input.case.owners(mac).iter().any(|(s, _)| traffic.is_director(s));
    let read = [input.facts(node), input.facts_after(node)];
    let mac = read.into_iter().flatten().filter_map(|f| Host(f).bound(vip)).find(|mac| !of_director(*mac));
    if let Some(mac) = mac {
        let what = format!("{node} sends all for {vip} to {}", input.case.name_of(mac));
        let shown = Evidence::fact(what, format!("{vip} lladdr {mac} PERMANENT"));
        tally.broken(format!("{node} has {vip} bound to a MAC that is not the Director's"), shown);
    }
}

/// Holds by facts where every asker has its answer for good.
fn nobody_asked(traffic: &Traffic<'_>, segments: &BTreeSet<&NodeName>, mut tally: Tally) -> CheckResult {
    let mut bound_at = 0;
    let mut open: Vec<String> = Vec::new();
    for &vip in &traffic.input.case.vips {
        for segment in segments {
            for station in askers(traffic, vip, segment) {
                match bound(traffic, station, vip) {
                    Some(mac) => {
                        bound_at += 1;
                        let what = format!("{} needs no answer", station.node);
                        tally.shows(Evidence::fact(what, format!("{vip} lladdr {mac} PERMANENT")));
                    }
                    None => open.push(station.node.to_string()),
                }
            }
        }
    }
    let nothing = match (bound_at, open.is_empty()) {
        (0, _) => "nobody asked who has the VIP: an empty trace proves nothing".to_owned(),
        (_, false) => format!("nobody asked who has the VIP, though {} would have to", open.join(", ")),
        (_, true) => String::new(),
    };
    let held = format!(
        "nobody has to ask: {} bound to the Director's MAC for good",
        count(bound_at, "neighbour entry is", "neighbour entries are")
    );
    let mut result =
        tally.result(CHECK.id, if open.is_empty() { bound_at } else { 0 }, "neighbour entries", &nothing, held);
    result.examined = 0;
    result
}

/// What the questions put on purpose were answered.
fn probes(traffic: &Traffic<'_>, tally: &mut Tally) {
    let input = traffic.input;
    for probe in &input.ran.probes {
        let wrong = |mac: &&Mac| !input.case.owners(**mac).iter().any(|(s, _)| traffic.is_director(s));
        for mac in probe.answers.iter().filter(wrong) {
            let what = format!("{} asked who has {} and heard {}", probe.node, probe.target, input.case.name_of(*mac));
            tally.broken("a probe was answered by one who is not the Director", Evidence::told(what));
        }
        let whose = |mac: &Mac| -> BTreeSet<&NodeName> {
            let directors = input.case.owners(*mac).into_iter().map(|(s, _)| s).filter(|s| traffic.is_director(s));
            directors.map(|s| &s.node).collect()
        };
        let owners: Vec<BTreeSet<&NodeName>> =
            probe.answers.iter().map(whose).filter(|directors| !directors.is_empty()).collect();
        let directors: BTreeSet<&NodeName> = owners.iter().flatten().copied().collect();
        // A virtual MAC belongs to all who may take it over; that two of them answered is seen in the capture.
        let may_be_one = directors.iter().any(|one| owners.iter().all(|of| of.contains(one)));
        if directors.len() > 1 && !may_be_one {
            let names: Vec<&str> = directors.into_iter().map(NodeName::as_str).collect();
            let what = format!("{} asked who has {} and heard {}", probe.node, probe.target, names.join(" and "));
            tally.broken("one question was answered by several Directors", Evidence::told(what));
        }
        if probe.answers.is_empty() {
            let what = format!("{} asked who has {} and heard nothing", probe.node, probe.target);
            tally.missing(input, &probe.node, "a probe was not answered", Evidence::told(what));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv6Addr};

    use crate::base::Mac;
    use crate::base::Verdict::{Broken, Held, Undecided};
    use crate::facts::NeighbourFact;
    use crate::judge::testlab::{Lab, VIP, arp, neighbour_advertisement, neighbour_solicitation};

    /// The router has the VIP bound to that node's MAC.
    fn bind(lab: &mut Lab, node: &str) {
        let mac = lab.port(node, "lan").mac;
        lab.edit_facts("router", |f| {
            f.neighbours.push(NeighbourFact {
                interface: "eth0".parse().unwrap(),
                address: IpAddr::V4(VIP),
                mac: Some(mac),
                state: "permanent".into(),
            });
        });
    }

    /// A real server asks for the router in the VIP's name.
    fn leak(lab: &mut Lab) {
        let mac = lab.port("rs1", "lan").mac;
        let router = lab.address("router", "lan");
        lab.broadcast("rs1", "lan", arp(1, mac, IpAddr::V4(VIP), Mac([0; 6]), router));
    }

    #[test]
    fn holds_when_the_director_alone_answers() {
        let result = Lab::ran(2).expect("arp-census", Held);
        assert_eq!(result.examined, 2);
        assert!(result.evidence[0].what.contains("director alone answers"), "{result:?}");
    }

    #[test]
    fn breaks_when_a_real_server_answers_too_even_if_it_comes_too_late() {
        let mut lab = Lab::ran(2);
        lab.ask("router", &["director", "rs1"]);
        let summary = lab.expect("arp-census", Broken).summary;
        assert!(summary.starts_with("rs1 answers who-has 172.16.0.66 on lan"), "{summary}");
    }

    #[test]
    fn breaks_by_a_probe_alone() {
        let mut lab = Lab::ran(2);
        let mac = lab.port("rs2", "lan").mac;
        lab.ran.probes[0].answers.push(mac);
        lab.expect("arp-census", Broken);
    }

    #[test]
    fn breaks_when_the_director_announces_a_mac_that_leads_nowhere() {
        let mut lab = Lab::ran(2);
        let wrong = Mac([2, 0, 0, 0, 0, 0x99]);
        lab.broadcast("director", "lan", arp(1, wrong, IpAddr::V4(VIP), Mac([0; 6]), IpAddr::V4(VIP)));
        assert!(lab.expect("arp-census", Broken).summary.contains("a MAC that is no Director's"));
    }

    #[test]
    fn breaks_when_two_directors_answer_one_question_even_after_a_change() {
        let mut lab = Lab::ran(2);
        let mut second = lab.case.services[0].clone();
        second.director = "rs2".parse().unwrap();
        lab.case.services.push(second);
        let mac = lab.port("rs2", "lan").mac;
        lab.ran.probes[0].answers.push(mac);
        lab.case.changes = true;
        assert!(lab.expect("arp-census", Broken).summary.contains("several Directors"));
        let shared = lab.port("director", "lan").mac;
        let stations = lab.case.stations.iter_mut().filter(|s| s.node == *"rs2");
        stations.flat_map(|s| &mut s.ports).for_each(|p| p.mac = shared);
        lab.ran.probes[0].answers = vec![shared];
        let one = lab.expect("arp-census", Held);
        assert_eq!(one.examined, 2, "a MAC that two Directors take in turn is one answer");
    }

    #[test]
    fn two_directors_that_share_a_mac_are_told_apart_by_who_sent_the_answer() {
        let both = |asks: &[&[&str]]| {
            let mut lab = Lab::ran(2);
            let mut second = lab.case.services[0].clone();
            second.director = "rs2".parse().unwrap();
            lab.case.services.push(second);
            let shared = "00:00:5e:00:01:33".parse().unwrap();
            let directors = lab.case.stations.iter_mut().filter(|s| s.node == *"rs2" || s.node == *"director");
            directors.flat_map(|s| &mut s.ports).for_each(|p| p.mac = shared);
            lab.frames.clear();
            lab.ran.probes.clear();
            for answering in asks {
                lab.ask("router", answering);
                lab.wait_ms(100);
            }
            lab.case.changes = true;
            lab
        };
        both(&[&["director"], &["rs2"]]).expect("arp-census", Held);
        let summary = both(&[&["director"], &["director", "rs2"]]).expect("arp-census", Broken).summary;
        assert!(summary.contains("one question was answered by several Directors"), "{summary}");
    }

    #[test]
    fn breaks_when_nobody_answers_but_not_where_frames_were_lost() {
        let mut lab = Lab::textbook();
        lab.ask("router", &[]);
        assert!(lab.expect("arp-census", Broken).summary.contains("nobody answers"));
        lab.lose("director").expect("arp-census", Undecided);
    }

    #[test]
    fn a_question_in_the_vips_name_breaks_it_unless_nobody_listens_for_good() {
        let mut lab = Lab::ran(2);
        leak(&mut lab);
        assert!(lab.expect("arp-census", Broken).summary.contains("in the name of"));
        bind(&mut lab, "director");
        assert!(lab.expect("arp-census", Held).summary.contains("harmless"));
    }

    #[test]
    fn an_announcement_by_the_director_is_told_and_by_a_real_server_breaks_it() {
        let mut lab = Lab::ran(2);
        let announce = |lab: &mut Lab, node: &str| {
            let mac = lab.port(node, "lan").mac;
            lab.broadcast(node, "lan", arp(1, mac, IpAddr::V4(VIP), Mac([0; 6]), IpAddr::V4(VIP)));
        };
        announce(&mut lab, "director");
        assert!(lab.expect("arp-census", Held).summary.contains("1 gratuitous announcement by the Director"));
        announce(&mut lab, "rs1");
        assert!(lab.expect("arp-census", Broken).summary.contains("rs1 announces"));
    }

    #[test]
    fn holds_by_facts_where_nobody_has_to_ask() {
        let mut lab = Lab::textbook();
        bind(&mut lab, "director");
        let result = lab.expect("arp-census", Held);
        assert!(result.summary.starts_with("nobody has to ask"), "{}", result.summary);
        let lab = Lab::textbook();
        lab.expect("arp-census", Undecided);
    }

    #[test]
    fn breaks_where_one_who_would_ask_has_another_mac_for_good() {
        let mut lab = Lab::textbook();
        bind(&mut lab, "rs1");
        let summary = lab.expect("arp-census", Broken).summary;
        assert!(summary.starts_with("router has 172.16.0.66 bound to a MAC"), "{summary}");
    }

    #[test]
    fn neighbour_discovery_counts_as_arp_does() {
        let vip: Ipv6Addr = "2001:db8::66".parse().unwrap();
        let router: Ipv6Addr = "2001:db8::fe".parse().unwrap();
        let mut lab = Lab::textbook();
        lab.case.vips = vec![vip.into()];
        let mac = |node: &str| Lab::textbook().port(node, "lan").mac;
        lab.broadcast("router", "lan", neighbour_solicitation(router, vip, mac("router")));
        lab.unicast("director", "router", "lan", neighbour_advertisement(router, vip, mac("director")));
        lab.expect("arp-census", Held);
        lab.unicast("rs1", "router", "lan", neighbour_advertisement(router, vip, mac("rs1")));
        lab.expect("arp-census", Broken);
    }
}
