//! Who spoke of a VIP by ARP or neighbour discovery: who asked, who answered, who announced, who leaked.
//!
//! Owns: counting each utterance once, although every port of a segment hears it. Refuses: verdicts (see the check
//! `arp-census`).

use std::collections::BTreeMap;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Input;
use super::case::{Elsewhere, Station, StationPort};
use crate::base::{Mac, NodeName, Role};
use crate::trace::{Direction, Frame, Vantage};
use crate::wire::frame::{Arp, Body, Transport};

/// Who answered for a VIP on a segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CensusEntry {
    /// The VIP.
    pub vip: String,
    /// The segment.
    pub segment: String,
    /// Who asked, and how often.
    pub asked: BTreeMap<String, u64>,
    /// Who answered, with which MAC, how often: `director (02:d1:…)`.
    pub answered: BTreeMap<String, u64>,
    /// Gratuitous announcements, by sender.
    pub gratuitous: BTreeMap<String, u64>,
    /// ARP requests with the VIP as sender, by sender.
    pub leaked: BTreeMap<String, u64>,
}

/// What was said of a VIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Said {
    /// Who has it?
    Asked,
    /// I have it, in answer to a question.
    Answered,
    /// I have it, unasked.
    Announced,
    /// A question about somebody else, asked in the VIP's name: it tells all who hear it where the VIP is.
    Leaked,
}

/// One utterance about a VIP.
#[derive(Debug, Clone, Copy)]
pub(super) struct Word<'a> {
    pub(super) said: Said,
    pub(super) vip: IpAddr,
    pub(super) segment: &'a NodeName,
    /// Who said it, where the sender is one of the stations.
    pub(super) speaker: Option<&'a Station>,
    /// The MAC that it gives.
    pub(super) mac: Mac,
    pub(super) frame: &'a Frame,
}

impl Word<'_> {
    /// The speaker's name, or its MAC.
    pub(super) fn who(&self) -> String {
        self.speaker.map_or_else(|| self.mac.to_string(), |s| s.node.to_string())
    }
}

/// What each vantage heard of one sender.
type Heard<'a> = BTreeMap<usize, Vec<Word<'a>>>;

/// Everything that was said of the case's VIPs, each utterance once, in the order of time.
///
/// A frame counts where it was sent. What comes from a sender that was not captured counts at the one vantage of the
/// segment that heard most of it.
pub(super) fn words<'a>(input: &Input<'a>) -> Vec<Word<'a>> {
    let (case, trace) = (input.case, input.trace);
    let mut words: Vec<Word<'a>> = Vec::new();
    let mut foreign: BTreeMap<(&NodeName, Mac, IpAddr, Said), Heard<'a>> = BTreeMap::new();
    let place = |v: &Vantage| {
        let station = case.station(&v.node)?;
        Some((station, station.ports.iter().find(|p| p.interface == v.interface)?))
    };
    let places: Vec<_> = trace.vantages.iter().map(place).collect();
    for frame in trace.frames.iter().filter(|f| f.resolves_neighbours()) {
        // Most questions of a large lab are of nobody's VIP, and each is heard at every port.
        if !said(frame).iter().any(|(_, vip, _)| case.is_vip(*vip)) {
            continue;
        }
        if let Some(elsewhere) = &case.elsewhere {
            overheard(input, elsewhere, frame, &mut words, &mut foreign);
            continue;
        }
        let Some((station, port)) = places.get(frame.vantage).copied().flatten() else { continue };
        let source = frame.decoded.source;
        let on_record = |s: &Station, p: &StationPort| {
            trace.vantages.iter().any(|v| v.node == s.node && v.interface == p.interface)
        };
        // What an interface on top sends is seen again below.
        let again = station.ports.iter().any(|p| p.mac == source && p.mac != port.mac && on_record(station, p));
        let own = match frame.direction {
            Direction::Out if again => continue,
            Direction::Out => true,
            Direction::In => false,
            Direction::Unknown => source == port.mac,
        };
        let sender = case.owners(source).into_iter().find(|(_, p)| p.segment == port.segment);
        let captured = sender.is_some_and(|(s, p)| on_record(s, p));
        for (said, vip, mac) in said(frame).into_iter().filter(|(_, vip, _)| case.is_vip(*vip)) {
            let speaker = if own { Some(station) } else { sender.map(|(s, _)| s) };
            let word = Word { said, vip, segment: &port.segment, speaker, mac, frame };
            if own {
                words.push(word);
            } else if !captured {
                let heard = foreign.entry((word.segment, source, vip, said)).or_default();
                heard.entry(frame.vantage).or_default().push(word);
            }
        }
    }
    let most = |heard: Heard<'a>| heard.into_values().max_by_key(Vec::len);
    words.extend(foreign.into_values().filter_map(most).flatten());
    words.sort_by_key(|w| w.frame.number);
    words
}

/// The same for a frame that was captured elsewhere: its sender is whose MAC it bears.
fn overheard<'a>(
    input: &Input<'a>,
    elsewhere: &'a Elsewhere,
    frame: &'a Frame,
    words: &mut Vec<Word<'a>>,
    foreign: &mut BTreeMap<(&'a NodeName, Mac, IpAddr, Said), Heard<'a>>,
) {
    let source = frame.decoded.source;
    let sender = input.case.owner_of(source);
    let on_vantage = || elsewhere.segments.get(frame.vantage)?.as_ref();
    let Some(segment) = sender.map(|(_, p)| &p.segment).or_else(on_vantage) else { return };
    let speaker = sender.map(|(s, _)| s);
    for (said, vip, mac) in said(frame).into_iter().filter(|(_, vip, _)| input.case.is_vip(*vip)) {
        let word = Word { said, vip, segment, speaker, mac, frame };
        match speaker {
            Some(s) if elsewhere.is_own(frame.vantage, &s.node) => words.push(word),
            Some(s) if elsewhere.captured(&s.node) => {}
            _ => foreign.entry((segment, source, vip, said)).or_default().entry(frame.vantage).or_default().push(word),
        }
    }
}

/// What a frame says, of whom, with which MAC.
fn said(frame: &Frame) -> Vec<(Said, IpAddr, Mac)> {
    let source = frame.decoded.source;
    match &frame.decoded.body {
        Body::Arp(arp) => {
            let (sender, target) = (IpAddr::V4(arp.sender_ip), IpAddr::V4(arp.target_ip));
            match arp.operation {
                _ if arp.is_gratuitous() => vec![(Said::Announced, sender, arp.sender_mac)],
                Arp::REQUEST => vec![(Said::Asked, target, arp.sender_mac), (Said::Leaked, sender, arp.sender_mac)],
                Arp::REPLY if frame.decoded.destination.is_group() => vec![(Said::Announced, sender, arp.sender_mac)],
                Arp::REPLY => vec![(Said::Answered, sender, arp.sender_mac)],
                _ => Vec::new(),
            }
        }
        Body::Ip(ip) => match ip.transport {
            Transport::NeighbourSolicitation { target, source_mac } => {
                let mac = source_mac.unwrap_or(source);
                vec![(Said::Asked, target.into(), mac), (Said::Leaked, ip.source, mac)]
            }
            Transport::NeighbourAdvertisement { target, target_mac, solicited, .. } => {
                let said = if solicited { Said::Answered } else { Said::Announced };
                vec![(said, target.into(), target_mac.unwrap_or(source))]
            }
            _ => Vec::new(),
        },
        Body::Other(_) | Body::Malformed(_) => Vec::new(),
    }
}

/// Who spoke of each VIP on each segment where somebody did, or where a Director could have been asked.
pub fn census(input: &Input<'_>) -> Vec<CensusEntry> {
    let words = words(input);
    let mut segments: Vec<&NodeName> = Vec::new();
    let director_first = input.case.with_role(Role::Director).flat_map(|s| &s.ports).map(|p| &p.segment);
    for segment in director_first.chain(words.iter().map(|w| w.segment)) {
        if !segments.contains(&segment) {
            segments.push(segment);
        }
    }
    let mut entries = Vec::new();
    for vip in &input.case.vips {
        for segment in &segments {
            let of = |said: Said| {
                let mut by: BTreeMap<String, u64> = BTreeMap::new();
                for word in words.iter().filter(|w| w.said == said && w.vip == *vip && w.segment == *segment) {
                    let told = if said == Said::Asked || word.speaker.is_none() {
                        word.who()
                    } else {
                        format!("{} ({})", word.who(), word.mac)
                    };
                    *by.entry(told).or_default() += 1;
                }
                by
            };
            entries.push(CensusEntry {
                vip: vip.to_string(),
                segment: segment.to_string(),
                asked: of(Said::Asked),
                answered: of(Said::Answered),
                gratuitous: of(Said::Announced),
                leaked: of(Said::Leaked),
            });
        }
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::census;
    use crate::judge::testlab::Lab;

    #[test]
    fn a_question_that_every_port_hears_is_counted_once() {
        let mut lab = Lab::ran(2);
        lab.ask("router", &["director", "rs1"]);
        let entries = lab.judged(census);
        assert_eq!(entries.len(), 1, "{entries:?}");
        assert_eq!(entries[0].asked, [("router".to_owned(), 3)].into());
        let answered = [("director (02:d1:00:00:00:04)".to_owned(), 3), ("rs1 (02:d1:00:00:00:05)".to_owned(), 1)];
        assert_eq!(entries[0].answered, answered.into());
    }

    #[test]
    fn what_an_interface_on_top_announces_is_counted_once_though_it_is_seen_below_too() {
        let mut lab = Lab::textbook();
        let mac: crate::base::Mac = "00:00:5e:00:01:33".parse().unwrap();
        let vip = crate::judge::testlab::VIP.into();
        let mut port = lab.port("director", "lan");
        (port.interface, port.mac) = ("vrrp51".parse().unwrap(), mac);
        let (node, interface) = (crate::judge::testlab::name("director"), port.interface.clone());
        lab.case.stations.iter_mut().find(|s| s.node == "director").unwrap().ports.push(port);
        lab.vantages.push(crate::trace::Vantage { node, interface });
        lab.broadcast("director", "lan", crate::judge::testlab::arp(1, mac, vip, crate::base::Mac([0; 6]), vip));
        lab.frames.iter_mut().for_each(|f| f.data[6..12].copy_from_slice(&mac.0));
        let below = lab.frames.iter().find(|f| f.direction == crate::trace::Direction::Out).unwrap().clone();
        lab.frames.push(crate::trace::RawFrame { vantage: lab.vantages.len() - 1, ..below });
        let entries = lab.judged(census);
        assert_eq!(entries[0].gratuitous, [("director (00:00:5e:00:01:33)".to_owned(), 1)].into());
    }

    #[test]
    fn a_stranger_on_the_segment_is_counted_once_by_its_mac() {
        let mut lab = Lab::textbook();
        let mut data = crate::judge::testlab::arp(
            1,
            "02:00:00:00:00:99".parse().unwrap(),
            "172.16.9.9".parse().unwrap(),
            crate::base::Mac([0; 6]),
            crate::judge::testlab::VIP.into(),
        );
        data[0..6].copy_from_slice(&[0xff; 6]);
        data[6..12].copy_from_slice(&[2, 0, 0, 0, 0, 0x99]);
        for node in ["router", "director", "rs1"] {
            lab.record(node, "lan", crate::trace::Direction::In, &data);
        }
        assert_eq!(lab.judged(census)[0].asked, [("02:00:00:00:00:99".to_owned(), 1)].into());
    }
}
