//! What frames alone tell of causes, where captures come from elsewhere and no setting was read.
//!
//! Owns: root causes that only one setting can make frames show (they are findings, by the id of their rule), and clues: what
//! is seen to go wrong, the rules that come into question, the command that tells them apart. Refuses: choosing among
//! them. Errs towards clues; what rests on a frame that is missing says so.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use super::diagnosis::mended;
use super::ipvs_service_missing::ipvs_flag;
use super::{
    Affliction, Rule, app_udp_source, ipvs_method_masq, ipvs_method_tun, rs_gw_director, rs_vip_missing,
    rs_vip_missing_forwarding,
};
use crate::base::{NodeName, Protocol, Role, Verdict};
use crate::judge::case::Station;
use crate::judge::census::{Said, words};
use crate::judge::traffic::{Hop, Packet, Traffic, Way};
use crate::judge::{CheckResult, Dialect, Evidence, Input};
use crate::trace::Frame;
use crate::wire::frame::{Arp, Body, Quoted, Tcp, Transport, is_initial};
use crate::wire::link::{IP_IN_IP, UNKNOWN};

/// Something that goes wrong, and what may be behind it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Clue {
    /// Where.
    pub node: NodeName,
    /// What was seen.
    pub what: String,
    /// The first frames that show it.
    pub evidence: Vec<Evidence>,
    /// The rules that come into question; none where it is no mistake that a rule knows.
    pub rules: Vec<String>,
    /// The command that tells them apart.
    pub next: String,
}

/// Frames that are shown of one clue.
const SHOWN: usize = 3;

const ANSWERS: &[&str] = &[
    "rs-arp-default",
    "rs-sysctl-lo-only",
    "rs-sysctl-default-only",
    "rs-vip-before-sysctl",
    "rs-sysctl-reverted",
    "rs-ignore-reserved",
    "rs-ignore-3-global-scope",
    "rs-vip-on-nic",
    "rs-vip-noarp-dummy",
    "rs-arp-filter-instead",
    "rs-vip-prefix-on-lo-arp",
    "all-nodes-own-vip",
    "proxy-arp",
];
const ANSWERS_V6: &[&str] = &["v6-vip-on-nic-nodad", "all-nodes-own-vip"];
const LEAKS: &[&str] = &["rs-announce-0", "rs-announce-1-same-subnet", "rs-arptables-in-only", "rs-arp-default"];
const NOBODY: &[&str] = &["dir-vip-missing", "dir-arp-suppressed", "link-down", "v6-vip-on-nic-dad"];
const UNRESOLVED: &[&str] =
    &["rs-ignore-8", "rs-nic-noarp", "rs-arptables-out-drop", "rs-vip-prefix-on-lo-rpf", "arp-unanswered", "link-down"];
const ASTRAY: &[&str] = &["router-static-arp", "rs-arp-cache-survives-fix", "rs-garp-on-boot", "rs-arp-default"];
const STRANDED: &[&str] = &["source-refused", "not-forwarding", "no-route", "link-down"];
const REFUSED: &[&str] = &["app-not-listening", "app-bound-rip", "ipvs-port-mapping"];
const NO_SERVICE: &[&str] = &["ipvs-service-missing", "ipvs-fwmark-unmarked"];
const NO_SERVER: &[&str] = &["ipvs-no-dest", "ipvs-service-missing"];
const SWALLOWED: &[&str] =
    &["dir-fw-input", "dir-rpfilter-two-arm", "ipvs-no-dest", "ipvs-fwmark-unmarked", "dir-vip-missing"];
const SILENT: &[&str] = &[
    "rs-vip-missing",
    "rs-fw",
    "rs-rpfilter-two-nic",
    "rs-vip-prefix-on-lo-rpf",
    "rs-vip-prefix-on-lo",
    "source-refused",
    "rs-gw-missing",
    "rs-gw-wrong",
    "rs-arptables-out-drop",
    "no-route",
];

#[derive(Default)]
struct Clues(Vec<Clue>);

impl Clues {
    fn add(&mut self, node: &NodeName, what: String, shown: Evidence, rules: &[&str], next: impl Into<String>) {
        if let Some(known) = self.0.iter_mut().find(|c| c.node == *node && c.what == what) {
            if known.evidence.len() < SHOWN {
                known.evidence.push(shown);
            }
            return;
        }
        let rules = rules.iter().map(|r| (*r).to_owned()).collect();
        self.0.push(Clue { node: node.clone(), what, evidence: vec![shown], rules, next: next.into() });
    }

    fn concerns(&self, node: &NodeName, rules: &[&str]) -> bool {
        self.0.iter().any(|c| c.node == *node && c.rules == rules)
    }
}

/// Everything that frames of captures from elsewhere hint at, where a check did not hold.
pub fn clues(input: &Input<'_>, checks: &[CheckResult]) -> Vec<Clue> {
    if input.case.elsewhere.is_none() || checks.iter().all(|c| c.verdict == Verdict::Held) {
        return Vec::new();
    }
    let traffic = Traffic::new(input);
    let mut clues = Clues::default();
    spoken(&traffic, &mut clues);
    unresolved(&traffic, &mut clues);
    refused(&traffic, &mut clues);
    told(&traffic, &mut clues);
    rewritten(&traffic, &mut clues);
    vanished(&traffic, &mut clues);
    clues.0
}

/// What is said of VIPs by others than the Director, and what nobody answers.
fn spoken(traffic: &Traffic<'_>, clues: &mut Clues) {
    let input = traffic.input;
    let words = words(input);
    let answered: BTreeSet<IpAddr> = words.iter().filter(|w| w.said == Said::Answered).map(|w| w.vip).collect();
    for word in &words {
        let vip = word.vip;
        let shown =
            |what: &str| Evidence::frame(input.trace, word.frame, format!("{} {what} {}", word.who(), word.mac));
        let server = word.speaker.filter(|s| traffic.is_real_server(s));
        match (word.said, server, word.speaker) {
            (Said::Answered, Some(rs), _) => {
                let rules = if vip.is_ipv4() { ANSWERS } else { ANSWERS_V6 };
                let what = format!("{} answers who-has {vip}", rs.node);
                clues.add(&rs.node, what, shown("answers with"), rules, arp_settings(vip));
            }
            (Said::Leaked, Some(rs), _) => {
                let what = format!("{} asks others in the name of {vip}", rs.node);
                clues.add(&rs.node, what, shown("asks as"), LEAKS, arp_settings(vip));
            }
            (Said::Leaked, None, Some(director)) if traffic.is_director(director) => {
                let what = format!("{} asks others in the name of {vip}", director.node);
                clues.add(&director.node, what, shown("asks as"), &["dir-vip-primary"], "ip address show");
            }
            (Said::Answered, None, Some(other)) if !traffic.is_director(other) => {
                let what = format!("{} answers who-has {vip}", other.node);
                clues.add(
                    &other.node,
                    what,
                    shown("answers with"),
                    &["proxy-arp", "all-nodes-own-vip"],
                    arp_settings(vip),
                );
            }
            (Said::Asked, None, None) if !answered.contains(&vip) => {
                let Some(at) = input.trace.vantages.get(word.frame.vantage) else { continue };
                let what = format!("{} asks who has {vip}, and no answer was captured", word.who());
                clues.add(&at.node, what, shown("asks as"), NOBODY, format!("ip neigh show {vip}"));
            }
            (Said::Asked, None, Some(asker)) if !traffic.is_director(asker) && !answered.contains(&vip) => {
                let heard = input.case.elsewhere.as_ref().is_some_and(|e| e.captured(&asker.node));
                if heard {
                    let what = format!("{} asks who has {vip}, and no answer was captured", asker.node);
                    clues.add(&asker.node, what, shown("asks as"), NOBODY, format!("ip neigh show {vip}"));
                }
            }
            _ => {}
        }
    }
}

fn arp_settings(vip: IpAddr) -> String {
    if vip.is_ipv4() {
        format!("sysctl -a --pattern 'arp_(ignore|announce|filter)|proxy_arp'; ip address show to {vip}; arptables -L")
    } else {
        format!("ip -6 address show to {vip}")
    }
}

/// Neighbours of a Director or a real server that do not answer.
fn unresolved(traffic: &Traffic<'_>, clues: &mut Clues) {
    let input = traffic.input;
    let elsewhere = input.case.elsewhere.as_ref();
    let arp = |frame: &Frame| match &frame.decoded.body {
        Body::Arp(arp) => Some((arp.operation, arp.sender_ip, arp.target_ip)),
        _ => None,
    };
    let frames = || input.trace.frames.iter().filter_map(|f| Some((f, arp(f)?)));
    let spoke: BTreeSet<_> = frames().filter(|(_, (op, ..))| *op == Arp::REPLY).map(|(_, (_, from, _))| from).collect();
    for (frame, (operation, _, target)) in frames() {
        let asker = input.case.owner_of(frame.decoded.source).map(|(s, _)| s);
        let Some(asker) = asker.filter(|s| traffic.is_director(s) || traffic.is_real_server(s)) else { continue };
        let open = operation == Arp::REQUEST && !spoke.contains(&target) && !input.case.is_vip(target.into());
        if open && elsewhere.is_some_and(|e| e.is_own(frame.vantage, &asker.node)) {
            let what = format!("{} asks who has {target}, and no answer was captured", asker.node);
            let shown = Evidence::frame(input.trace, frame, format!("{} asks who has {target}", asker.node));
            let rules = if traffic.is_director(asker) { UNRESOLVED } else { &["rs-gw-wrong", "arp-unanswered"] };
            clues.add(&asker.node, what, shown, rules, format!("ip neigh show {target}; ip route"));
        }
    }
}

/// Connections that are refused by a reset.
fn refused(traffic: &Traffic<'_>, clues: &mut Clues) {
    for (packet, _) in traffic.replies() {
        let refuses = packet.ip.tcp().is_some_and(|t| t.flags & Tcp::RST != 0 && t.sequence == 0);
        let Some(out) = packet.hops.first().filter(|h| refuses && h.way == Way::Leaves && fresh(h.frame)) else {
            continue;
        };
        let node = &out.station.node;
        let (rules, next) = if traffic.is_director(out.station) {
            (NO_SERVICE, "ipvsadm -Ln")
        } else if traffic.is_real_server(out.station) {
            (REFUSED, "ss -ltnp")
        } else {
            (&["all-nodes-own-vip"][..], "ip address show")
        };
        let shown = Evidence::frame(
            traffic.input.trace,
            out.frame,
            format!("{node} resets {} from {}", packet.destination, packet.source),
        );
        clues.add(node, format!("{node} refuses connections to {}", packet.source), shown, rules, next);
    }
}

fn fresh(frame: &Frame) -> bool {
    frame.ip().is_some_and(|ip| is_initial(ip.ttl))
}

/// What stations tell by ICMP of packets to or from a VIP.
fn told(traffic: &Traffic<'_>, clues: &mut Clues) {
    let input = traffic.input;
    for frame in &input.trace.frames {
        let Some(Transport::Icmp { kind, code, quotes: Some(quoted) }) = frame.ip().map(|ip| &ip.transport) else {
            continue;
        };
        if !input.case.is_vip(quoted.destination) && !input.case.is_vip(quoted.source) && quoted.protocol != IP_IN_IP {
            continue;
        }
        let v6 = frame.ip().is_some_and(|ip| ip.source.is_ipv6());
        let sender = input.case.owner_of(frame.decoded.source).map(|(s, _)| s).filter(|_| fresh(frame));
        let Some(sender) = sender else { continue };
        let (word, rules, next) = meaning(traffic, sender, v6, (*kind, *code));
        let what = format!("{} tells by ICMP: {word}", sender.node);
        let shown = Evidence::frame(input.trace, frame, format!("{word}, of {}", quotation(quoted)));
        clues.add(&sender.node, what, shown, rules, next);
    }
}

fn quotation(quoted: &Quoted) -> String {
    match quoted.ports {
        Some((from, to)) => {
            format!("{} > {}", SocketAddr::new(quoted.source, from), SocketAddr::new(quoted.destination, to))
        }
        None => format!("{} > {}", quoted.source, quoted.destination),
    }
}

/// An ICMP message in words, and what is behind it where that station sends it (RFC 792, RFC 4443).
fn meaning(
    traffic: &Traffic<'_>,
    sender: &Station,
    v6: bool,
    message: (u8, u8),
) -> (&'static str, &'static [&'static str], &'static str) {
    let (director, server) = (traffic.is_director(sender), traffic.is_real_server(sender));
    match (v6, message) {
        (false, (3, 3)) | (true, (1, 4)) if director => ("port unreachable", NO_SERVER, "ipvsadm -Ln; iptables -vnL"),
        (false, (3, 3)) | (true, (1, 4)) if server => ("port unreachable", REFUSED, "ss -lunp; iptables -vnL"),
        (false, (3, 2)) if server => ("protocol unreachable", &["ipvs-method-tun"], "ip link show type ipip"),
        (false, (3, 1)) | (true, (1, 3)) if director => ("host unreachable", UNRESOLVED, "ip neigh show"),
        (false, (3, 1)) | (true, (1, 3)) => ("host unreachable", &["arp-unanswered", "link-down"], "ip neigh show"),
        (false, (3, 0)) | (true, (1, 0)) => ("no route", &["no-route", "rs-gw-missing"], "ip route"),
        (false, (3, 4)) | (true, (2, _)) => ("packet too big", &[], "ip link show; ping -M do -s 1472 CLIENT"),
        (false, (3, 9 | 10 | 13)) | (true, (1, 1)) if director => {
            ("prohibited by a filter", &["dir-fw-input"], "iptables -vnL")
        }
        (false, (3, 9 | 10 | 13)) | (true, (1, 1)) => ("prohibited by a filter", &["rs-fw"], "iptables -vnL"),
        (false, (5, _)) | (true, (137, _)) => ("redirect", &["rs-gw-director", "rs-remote-subnet"], "ip route"),
        (false, (11, 0)) | (true, (3, 0)) => {
            ("TTL exceeded", &["rs-vip-missing-forwarding", "rs-remote-subnet"], "ip address; ip route")
        }
        _ => ("an error", &[], "iptables -vnL"),
    }
}

/// What the Director makes of requests besides direct routing.
fn rewritten(traffic: &Traffic<'_>, clues: &mut Clues) {
    let input = traffic.input;
    let translated = traffic.translated();
    for (packet, service) in traffic.requests() {
        let Some(into) = packet.entry(|s| traffic.is_director(s)) else { continue };
        let node = &into.station.node;
        if let Some(out) = packet.exit(|s| s.node == *node)
            && let Some(rip) = out.tunnelled_to()
        {
            let shown = Evidence::frame(input.trace, out.frame, format!("wrapped in a packet to {rip}"));
            let what = format!("{node} forwards {} by tunnel, not by direct routing", service.id);
            clues.add(node, what, shown, &["ipvs-method-tun"], "ipvsadm -Ln");
        } else if let Some((other, out)) = natted(&translated, packet, node) {
            let what = format!("{node} forwards {} by NAT, not by direct routing", service.id);
            let shown = Evidence::frame(input.trace, out.frame, format!("sent on to {}", other.destination));
            clues.add(node, what, shown, &["ipvs-method-masq"], "ipvsadm -Ln");
        }
    }
}

type Natted<'t, 'a> = (&'t Packet<'a>, Hop<'a>);

fn natted<'t, 'a>(
    translated: &crate::judge::traffic::Translated<'t, 'a>,
    packet: &Packet<'a>,
    director: &NodeName,
) -> Option<Natted<'t, 'a>> {
    let other = *translated.get(&(packet.protocol, packet.source, packet.sequence()))?;
    let out = other.exit(|s| s.node == *director)?;
    (other.destination != packet.destination).then_some((other, out))
}

/// Requests that go no further and replies that do not come, at stations whose own frames were captured.
fn vanished(traffic: &Traffic<'_>, clues: &mut Clues) {
    let input = traffic.input;
    for (packet, _) in traffic.replies() {
        stranded(traffic, packet, clues);
    }
    let whole = |s: &Station| input.case.elsewhere.as_ref().is_some_and(|e| e.captured(&s.node));
    let translated = traffic.translated();
    let replied: BTreeSet<(Protocol, SocketAddr)> =
        traffic.replies().map(|(p, _)| (p.protocol, p.destination)).collect();
    let answered_by_rip: BTreeSet<(Protocol, SocketAddr)> = traffic
        .packets
        .iter()
        .filter(|p| p.exit(|s| traffic.is_real_server(s)).is_some())
        .map(|p| (p.protocol, p.destination))
        .collect();
    for (packet, service) in traffic.requests() {
        let client = (packet.protocol, packet.source);
        handed(traffic, packet, clues);
        stranded(traffic, packet, clues);
        if replied.contains(&client) || answered_by_rip.contains(&client) {
            continue;
        }
        if let Some(into) = packet.entry(|s| traffic.is_director(s) && whole(s)) {
            let node = &into.station.node;
            let stays = packet.exit(|s| s.node == *node).is_none() && natted(&translated, packet, node).is_none();
            if stays && !clues.concerns(node, UNRESOLVED) && !clues.concerns(node, &["dir-vip-primary"]) {
                let what = format!("{node} was not seen to send on requests for {}", service.id);
                let shown = Evidence::frame(input.trace, into.frame, format!("{} comes in", packet.source));
                clues.add(node, what, shown, SWALLOWED, "ipvsadm -Ln; iptables -vnL INPUT; nstat -az 'TcpExt*Filter'");
            }
        }
        if let Some(into) = packet.entry(|s| traffic.is_real_server(s) && whole(s)) {
            let node = &into.station.node;
            let what = format!("{node} gets requests for {} and was not seen to answer", service.id);
            let shown = Evidence::frame(input.trace, into.frame, format!("{} comes in", packet.source));
            clues.add(node, what, shown, SILENT, "ip address show; ip route; iptables -vnL; nstat -az 'TcpExt*Filter'");
        }
    }
}

/// Requests that leave for one who is not meant.
fn handed(traffic: &Traffic<'_>, packet: &Packet<'_>, clues: &mut Clues) {
    let input = traffic.input;
    for out in packet.hops.iter().filter(|h| h.way == Way::Leaves && h.frame.decoded.destination != UNKNOWN) {
        let (node, to) = (&out.station.node, out.frame.decoded.destination);
        let owner = input.case.owner_of(to).map(|(s, _)| s);
        let shown = || Evidence::frame(input.trace, out.frame, format!("{} goes to {to}", packet.source));
        if traffic.is_director(out.station) && owner.is_none() && out.tunnelled_to().is_none() {
            let what = format!("{node} hands requests to {to}, whose part is not known");
            clues.add(node, what, shown(), &["rip-neigh-stale"], format!("ip neigh | grep -i {to}"));
        } else if matches!(out.station.role, Role::Router | Role::Client)
            && let Some(rs) = owner.filter(|s| traffic.is_real_server(s) && !clues.concerns(&s.node, ANSWERS))
        {
            let what = format!("{node} hands requests to {} past the Director", rs.node);
            clues.add(node, what, shown(), ASTRAY, format!("ip neigh show {}", packet.destination.ip()));
        }
    }
}

/// Packets that come in at a router whose every side is known, and do not leave it.
fn stranded(traffic: &Traffic<'_>, packet: &Packet<'_>, clues: &mut Clues) {
    let input = traffic.input;
    let elsewhere = input.case.elsewhere.as_ref();
    let sides = |s: &Station| {
        let own = |e: &&crate::judge::case::Elsewhere| e.own.iter().filter(|own| own.contains(&s.node)).count();
        elsewhere.as_ref().map_or(0, own)
    };
    let Some(into) = packet.entry(|s| s.role == Role::Router && s.ports.len() > 1 && sides(s) > 1) else { return };
    let node = &into.station.node;
    if packet.exit(|s| s.node == *node).is_none() {
        let what = format!("{node} was not seen to send on packets of {}", packet.source.ip());
        let shown = Evidence::frame(input.trace, into.frame, format!("{} comes in", packet.source));
        clues.add(node, what, shown, STRANDED, "sysctl -a --pattern 'rp_filter|ip_forward'; ip route");
    }
}

/// What only one mistake makes frames show.
pub(super) fn certain(input: &Input<'_>) -> Vec<(&'static Rule, Vec<Affliction>)> {
    let traffic = Traffic::new(input);
    let mut found: BTreeMap<&str, (&'static Rule, Vec<Affliction>)> = BTreeMap::new();
    let mut note = |rule: &'static Rule, station: &Station, shown: Evidence, mend: Vec<super::Mend>| {
        let whom = &mut found.entry(rule.id).or_insert((rule, Vec::new())).1;
        match whom.iter_mut().find(|a| a.node == station.node) {
            Some(known) if known.evidence.len() < SHOWN => known.evidence.push(shown),
            Some(_) => {}
            None => {
                whom.push(Affliction { node: station.node.clone(), interface: None, evidence: vec![shown], mend });
            }
        }
    };
    let server = |s: &Station| traffic.is_real_server(s);
    let clients = traffic.clients();
    let translated = traffic.translated();
    let mut by_nat: BTreeMap<(Protocol, SocketAddr), Hop<'_>> = BTreeMap::new();
    for (packet, _) in traffic.requests() {
        let client = (packet.protocol, packet.source);
        if let Some(into) = packet.entry(|s| traffic.is_director(s))
            && let Some((_, out)) = natted(&translated, packet, &into.station.node)
        {
            by_nat.insert(client, out);
        }
        // Sent on with the same destination: not its own, and it forwards.
        let lowered = |into: &Hop<'_>, out: &Hop<'_>| {
            let ttl = |h: &Hop<'_>| h.frame.ip().map(|ip| ip.ttl);
            into.station.node == out.station.node && out.way == Way::Leaves && ttl(out) < ttl(into)
        };
        let entries = || packet.hops.iter().filter(|h| h.way == Way::Enters && server(h.station) && traffic.is_own(h));
        if let Some(out) = entries().find_map(|into| packet.hops.iter().find(|out| lowered(into, out))) {
            let shown = Evidence::frame(input.trace, out.frame, format!("{} is sent on", packet.source));
            let mend = rs_vip_missing::mend(&out.station.node, packet.destination.ip());
            note(&rs_vip_missing_forwarding::RULE, out.station, shown, mend);
        }
    }
    for (packet, _) in traffic.replies() {
        let out = packet.hops.iter().find(|h| h.way == Way::Leaves && server(h.station));
        let Some(out) = out.filter(|h| h.frame.decoded.destination != UNKNOWN) else { continue };
        let to = input.case.owner_of(out.frame.decoded.destination).map(|(s, _)| s);
        if let Some(director) = to.filter(|s| traffic.is_director(s) && one_address(s, input)) {
            let what = format!("{} hands {} to {}", out.station.node, packet.destination, director.node);
            let mend = gateway(input, out.station, packet.destination.ip());
            note(&rs_gw_director::RULE, out.station, Evidence::frame(input.trace, out.frame, what), mend);
        }
    }
    for packet in traffic.packets.iter().filter(|p| !input.case.is_vip(p.source.ip())) {
        let client = (packet.protocol, packet.destination);
        let Some((asked, _)) = clients.get(&client) else { continue };
        let Some(out) = packet.exit(|s| server(s) && s.has(packet.source.ip())) else { continue };
        let to = input.case.owner_of(out.frame.decoded.destination).map(|(s, _)| s);
        let past_director = to.is_some_and(|s| !traffic.is_director(s));
        let shown = || {
            let what = format!("{} answers {} from {}", out.station.node, packet.destination, packet.source);
            Evidence::frame(input.trace, out.frame, what)
        };
        match by_nat.get(&client) {
            Some(by) if past_director => {
                let director = &by.station.node;
                let command = format!("ipvsadm -e {} {asked} -r {} -g", ipvs_flag(packet.protocol), packet.source);
                let mend = vec![mended(director, Dialect::Ipvsadm, command)];
                note(&ipvs_method_masq::RULE, by.station, shown(), mend);
            }
            None if packet.protocol == Protocol::Udp && packet.source.port() == asked.port() => {
                let mend = mended(&out.station.node, Dialect::ByHand, format!("bind the server to {asked}"));
                note(&app_udp_source::RULE, out.station, shown(), vec![mend]);
            }
            _ => {}
        }
    }
    for frame in &input.trace.frames {
        let Some(Transport::Icmp { kind: 3, code: 2, quotes: Some(q) }) = frame.ip().map(|ip| &ip.transport) else {
            continue;
        };
        let sender = input.case.owner_of(frame.decoded.source).map(|(s, _)| s);
        if let Some(rs) = sender.filter(|s| server(s) && q.protocol == IP_IN_IP && fresh(frame)) {
            let what = format!("{} takes no IP in IP: {}", rs.node, quotation(q));
            note(&ipvs_method_tun::RULE, rs, Evidence::frame(input.trace, frame, what), Vec::new());
        }
    }
    found.into_values().collect()
}

/// Whether all that ARP ties to the Director is its own: an address that another has as well is one it answers for.
fn one_address(director: &Station, input: &Input<'_>) -> bool {
    let own = director.ports.iter().flat_map(|p| &p.addresses).map(ipnet::IpNet::addr);
    let others = || input.case.stations.iter().filter(|s| s.node != director.node);
    own.filter(|a| !input.case.is_vip(*a)).all(|a| !others().any(|s| s.has(a)))
}

fn gateway(input: &Input<'_>, server: &Station, client: IpAddr) -> Vec<super::Mend> {
    let beside = input.case.with_role(Role::Router).flat_map(|r| &r.ports);
    let addresses = beside.filter(|p| server.is_on(&p.segment)).flat_map(|p| &p.addresses).map(ipnet::IpNet::addr);
    let router = addresses.into_iter().find(|a| a.is_ipv4() == client.is_ipv4() && !input.case.is_vip(*a));
    let node = &server.node;
    vec![match router {
        Some(router) => mended(node, Dialect::Ip, format!("ip route replace default via {router}")),
        None => mended(node, Dialect::ByHand, "make the router, not the Director, the gateway to the clients"),
    }]
}

#[cfg(test)]
mod tests;
