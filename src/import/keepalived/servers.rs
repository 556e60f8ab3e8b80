//! Virtual servers, their groups, and real servers.
//!
//! Defaults are keepalived's: scheduler `wlc`, forwarding NAT, UDP, weight 1, persistence of 360 seconds.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};

use super::super::heard::{Heard, Key, Server, Statement, VirtualService};
use super::super::ipvsadm::{self, weight};
use super::super::source::{Place, Sources, Word};
use super::super::values;
use super::tree::Entry;
use super::{needs_block, parsed, read_value, value};
use crate::base::{Forwarding, Protocol};

/// How many addresses a range of a group may have.
const RANGE: u32 = 256;

/// What a virtual server of keepalived says that a lab has no use for: it watches, and here all real servers are well.
const WATCHING: &[&str] = &[
    "delay_loop",
    "delay_before_retry",
    "warmup",
    "retry",
    "nb_get_retry",
    "quorum",
    "hysteresis",
    "quorum_up",
    "quorum_down",
    "ha_suspend",
    "alpha",
    "omega",
    "inhibit_on_failure",
    "virtualhost",
    "sorry_server",
    "sorry_server_inhibit",
    "sorry_server_lvs_method",
    "notify_up",
    "notify_down",
    "smtp_alert",
    "snmp_name",
    "connect_timeout",
    "ip_family",
    "hashed",
    "lvs_sched_flags",
];

/// Health checks of a real server.
const CHECKS: &[&str] = &[
    "TCP_CHECK",
    "HTTP_GET",
    "SSL_GET",
    "MISC_CHECK",
    "UDP_CHECK",
    "DNS_CHECK",
    "SMTP_CHECK",
    "BFD_CHECK",
    "PING_CHECK",
    "FILE_CHECK",
];

/// Groups of virtual servers, by name.
#[derive(Debug, Default)]
pub(super) struct Groups {
    by_name: BTreeMap<String, Vec<Target>>,
}

/// What a service is asked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Target {
    Address(IpAddr, u16),
    Mark(u32),
}

impl Groups {
    /// `virtual_server_group NAME { … }`.
    pub(super) fn add(&mut self, sources: &mut Sources, heard: &mut Heard, entry: &Entry) {
        let Some(name) = value(sources, entry, "a name").map(|w| w.text.clone()) else { return };
        needs_block(sources, entry);
        let mut targets = Vec::new();
        for line in entry.inner() {
            if line.key() == "fwmark" {
                targets.extend(read_value(sources, line, "a firewall mark", values::number).map(Target::Mark));
                continue;
            }
            let port = match line.words.get(1) {
                Some(word) => parsed(sources, word, values::port),
                None => Some(0),
            };
            let addresses = parsed(sources, &line.words[0], range).unwrap_or_default();
            targets.extend(
                addresses.into_iter().zip(port.into_iter().cycle()).map(|(ip, port)| Target::Address(ip, port)),
            );
        }
        if targets.is_empty() {
            heard.wonder(entry.place(), format!("virtual_server_group {name} is empty"));
        }
        self.by_name.insert(name, targets);
    }
}

/// `10.0.0.1`, `10.0.0.1-20`, `10.0.0.1-10.0.0.20`.
fn range(text: &str) -> Result<Vec<IpAddr>, String> {
    let Some((first, last)) = text.split_once('-') else { return values::address(text).map(|ip| vec![ip]) };
    let bad = || format!("`{text}` is no range of addresses");
    let IpAddr::V4(first) = values::address(first)? else {
        return Err(format!("`{text}`: ranges of IPv6 addresses are not read"));
    };
    let last: Ipv4Addr = if let Ok(last) = last.parse() {
        last
    } else {
        let [a, b, c, _] = first.octets();
        Ipv4Addr::new(a, b, c, last.parse().map_err(|_| bad())?)
    };
    let (from, to) = (u32::from(first), u32::from(last));
    if to < from || to - from >= RANGE {
        return Err(format!("`{text}` has more than {RANGE} addresses, or none"));
    }
    Ok((from..=to).map(|n| IpAddr::V4(n.into())).collect())
}

/// `virtual_server … { … }`.
pub(super) fn virtual_server(sources: &mut Sources, heard: &mut Heard, groups: &Groups, entry: &Entry) {
    let targets = targets(sources, groups, entry);
    if !needs_block(sources, entry) {
        return;
    }
    let mut wanted = Wanted::default();
    let mut left_out = Vec::new();
    for inner in entry.inner() {
        of_service(sources, heard, &mut wanted, &mut left_out, inner);
    }
    if wanted.scheduler.is_none() {
        heard.assume(format!("{}: no lb_algo, so keepalived takes {}", sources.at(entry.place()), ipvsadm::SCHEDULER));
    }
    if wanted.forwarding.is_none() && wanted.servers.iter().any(|s| s.forwarding.is_none()) {
        heard.assume(format!("{}: no lb_kind, so keepalived takes NAT", sources.at(entry.place())));
    }
    if !left_out.is_empty() {
        let what = format!("{}: all real servers are up and in the table", left_out.join(", "));
        heard.leave_out(entry.place(), what);
    }
    let by_address = targets.iter().any(|target| matches!(target, Target::Address(..)));
    if wanted.protocol.is_none() && !wanted.other_protocol && by_address {
        heard
            .assume(format!("{}: no protocol, so keepalived takes UDP; clients ask by TCP", sources.at(entry.place())));
    }
    if wanted.other_protocol {
        return heard.wonder(entry.place(), "a service over SCTP is not built");
    }
    for target in targets {
        let key = match target {
            // The kernel takes 0 for UDP, and keepalived sets it.
            Target::Address(ip, port) => Key::Address(wanted.protocol.unwrap_or(Protocol::Udp), ip, port),
            Target::Mark(mark) => Key::Mark(mark),
        };
        heard.say(Statement::Service(wanted.service(key, entry.place())), entry.place());
    }
}

/// A virtual server in the making.
#[derive(Default)]
struct Wanted {
    scheduler: Option<String>,
    flags: Vec<String>,
    forwarding: Option<Forwarding>,
    protocol: Option<Protocol>,
    other_protocol: bool,
    persistence_s: Option<u32>,
    persistence_prefix: Option<u8>,
    servers: Vec<RealServer>,
}

struct RealServer {
    address: IpAddr,
    port: Option<u16>,
    weight: u32,
    forwarding: Option<Forwarding>,
    upper: u32,
    lower: u32,
    place: Place,
}

impl Wanted {
    fn service(&self, key: Key, place: &Place) -> VirtualService {
        let usual = self.forwarding.unwrap_or(Forwarding::Nat);
        let servers = self.servers.iter().map(|s| Server {
            address: s.address,
            port: s.port,
            weight: s.weight,
            forwarding: s.forwarding.unwrap_or(usual),
            upper: s.upper,
            lower: s.lower,
            place: s.place.clone(),
        });
        VirtualService {
            key,
            place: place.clone(),
            scheduler: self.scheduler.clone().unwrap_or_else(|| ipvsadm::SCHEDULER.to_owned()),
            flags: self.flags.clone(),
            persistence_s: self.persistence_s,
            persistence_prefix: self.persistence_prefix.filter(|p| *p < 32),
            servers: servers.collect(),
            protocol_forgotten: self.protocol.is_none(),
        }
    }
}

fn targets(sources: &mut Sources, groups: &Groups, entry: &Entry) -> Vec<Target> {
    let Some(first) = value(sources, entry, "a VIP and a port").cloned() else { return Vec::new() };
    let second = |sources: &mut Sources, what: &str| -> Option<Word> {
        let word = entry.words.get(2).cloned();
        if word.is_none() {
            sources.wrong_at(
                &first.place,
                format!("`{} {}` is followed by nothing", entry.key(), first.text),
                Some(format!("write {what}")),
            );
        }
        word
    };
    match first.text.as_str() {
        "group" => {
            let Some(name) = second(sources, "the group's name") else { return Vec::new() };
            if let Some(targets) = groups.by_name.get(&name.text) {
                targets.clone()
            } else {
                sources.wrong_at(&name.place, format!("there is no virtual_server_group `{}`", name.text), None);
                Vec::new()
            }
        }
        "fwmark" => {
            let word = second(sources, "the firewall mark");
            word.and_then(|w| parsed(sources, &w, values::number)).map(Target::Mark).into_iter().collect()
        }
        _ => {
            let at = parsed(sources, &first, values::at);
            let port = match entry.words.get(2) {
                Some(word) => parsed(sources, word, values::port),
                None => at.map(|(_, port)| port.unwrap_or(0)),
            };
            at.zip(port).map(|((ip, _), port)| Target::Address(ip, port)).into_iter().collect()
        }
    }
}

fn of_service(
    sources: &mut Sources,
    heard: &mut Heard,
    wanted: &mut Wanted,
    left_out: &mut Vec<String>,
    inner: &Entry,
) {
    match inner.key() {
        "lb_algo" | "lvs_sched" => wanted.scheduler = read_value(sources, inner, "a scheduler", ipvsadm::scheduler),
        "lb_kind" | "lvs_method" => wanted.forwarding = read_value(sources, inner, "DR, NAT or TUN", forwarding),
        "protocol" => match read_value(sources, inner, "TCP or UDP", protocol) {
            Some(Some(protocol)) => wanted.protocol = Some(protocol),
            Some(None) => wanted.other_protocol = true,
            None => {}
        },
        "persistence_timeout" => {
            wanted.persistence_s = match inner.words.get(1) {
                None => Some(360),
                Some(word) => parsed(sources, word, values::seconds).filter(|s| *s > 0),
            };
        }
        "persistence_granularity" => wanted.persistence_prefix = read_value(sources, inner, "a netmask", granularity),
        "ops" => wanted.flags.push("ops".to_owned()),
        flag @ ("sh-port" | "sh-fallback" | "mh-port" | "mh-fallback") => wanted.flags.push(flag.to_owned()),
        flag @ ("flag-1" | "flag-2" | "flag-3") => heard.wonder(inner.place(), format!("`{flag}` of a virtual server")),
        "real_server" => wanted.servers.extend(real_server(sources, heard, left_out, inner)),
        "persistence_engine" => heard.wonder(inner.place(), "`persistence_engine` is not built"),
        key if WATCHING.contains(&key) || CHECKS.contains(&key) => {
            if key == "sorry_server" {
                let word = value(sources, inner, "an address and a port").cloned();
                word.and_then(|word| parsed(sources, &word, values::address));
            }
            note(left_out, key);
        }
        key => heard.wonder(inner.place(), format!("`{key}` of a virtual_server")),
    }
}

fn note(left_out: &mut Vec<String>, key: &str) {
    if !left_out.iter().any(|known| known == key) {
        left_out.push(key.to_owned());
    }
}

fn real_server(
    sources: &mut Sources,
    heard: &mut Heard,
    left_out: &mut Vec<String>,
    entry: &Entry,
) -> Option<RealServer> {
    let word = value(sources, entry, "an address and a port")?.clone();
    let at = parsed(sources, &word, values::at);
    let port = match entry.words.get(2) {
        Some(word) => parsed(sources, word, values::port),
        None => at.and_then(|(_, port)| port),
    };
    let mut server = RealServer {
        address: at?.0,
        port,
        weight: 1,
        forwarding: None,
        upper: 0,
        lower: 0,
        place: entry.place().to(&word.place),
    };
    for inner in entry.inner() {
        match inner.key() {
            "weight" => server.weight = read_value(sources, inner, "a weight", weight).unwrap_or(1),
            "lb_kind" | "lvs_method" => server.forwarding = read_value(sources, inner, "DR, NAT or TUN", forwarding),
            "uthreshold" => {
                server.upper = read_value(sources, inner, "a number of connections", values::number).unwrap_or(0);
            }
            "lthreshold" => {
                server.lower = read_value(sources, inner, "a number of connections", values::number).unwrap_or(0);
            }
            key if CHECKS.contains(&key) || WATCHING.contains(&key) => {
                check(heard, inner, server.port);
                note(left_out, key);
            }
            key => heard.wonder(inner.place(), format!("`{key}` of a real_server")),
        }
    }
    Some(server)
}

/// Notes a health check that only the user's own servers pass: a lab's answer every path of HTTP on the service's port,
/// with status 200 and a page of their own.
fn check(heard: &mut Heard, entry: &Entry, port: Option<u16>) {
    let key = entry.key();
    if !CHECKS.contains(&key) {
        return;
    }
    if !["TCP_CHECK", "HTTP_GET", "PING_CHECK"].contains(&key) {
        return heard.miss(entry.place(), format!("a health check is {key}"));
    }
    let of_urls = entry.inner().iter().filter(|inner| inner.key() == "url").flat_map(Entry::inner);
    for inner in entry.inner().iter().chain(of_urls) {
        let values: Vec<&str> = inner.words.iter().skip(1).map(|word| word.text.as_str()).collect();
        let well = match inner.key() {
            "connect_ip" | "digest" | "regex" | "regex_no_match" | "bind_if" => false,
            "connect_port" => port.is_some_and(|port| values == [port.to_string()]),
            "status_code" => values.iter().any(|value| has_ok(value)),
            _ => true,
        };
        if !well {
            let said = values.first().map(|value| format!(" {value}")).unwrap_or_default();
            return heard.miss(entry.place(), format!("a health check asks for {}{said}", inner.key()));
        }
    }
    if port.is_none_or(|port| port == 0) && key != "PING_CHECK" {
        heard.miss(entry.place(), "a health check has no port");
    }
}

/// Whether a status code, or a range of them, has 200 in it.
fn has_ok(text: &str) -> bool {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    from.parse::<u16>().is_ok_and(|from| from <= 200) && to.parse::<u16>().is_ok_and(|to| to >= 200)
}

fn forwarding(text: &str) -> Result<Forwarding, String> {
    match text {
        "DR" => Ok(Forwarding::DirectRouting),
        "NAT" => Ok(Forwarding::Nat),
        "TUN" => Ok(Forwarding::Tun),
        other => Err(format!("`{other}` is no way of forwarding: it is DR, NAT or TUN")),
    }
}

fn protocol(text: &str) -> Result<Option<Protocol>, String> {
    match text {
        "TCP" => Ok(Some(Protocol::Tcp)),
        "UDP" => Ok(Some(Protocol::Udp)),
        "SCTP" => Ok(None),
        other => Err(format!("`{other}` is no protocol: it is TCP, UDP or SCTP")),
    }
}

fn granularity(text: &str) -> Result<u8, String> {
    match text.parse::<Ipv4Addr>() {
        Ok(mask) => values::prefix(mask),
        Err(_) => text.parse().ok().filter(|n| (1..=128).contains(n)).ok_or_else(|| format!("`{text}` is no netmask")),
    }
}

/// `lvs_timeouts tcp 7200 tcpfin 30 udp 60`.
pub(super) fn timeouts(sources: &mut Sources, heard: &mut Heard, entry: &Entry) {
    let (mut tcp, mut fin, mut udp) = (0, 0, 0);
    let mut rest = entry.words[1..].iter();
    while let Some(word) = rest.next() {
        let seconds = rest.next().and_then(|w| parsed(sources, w, values::seconds)).unwrap_or(0);
        match word.text.as_str() {
            "tcp" => tcp = seconds,
            "tcpfin" => fin = seconds,
            "udp" => udp = seconds,
            other => heard.wonder(&word.place, format!("`{other}` of lvs_timeouts")),
        }
    }
    heard.say(Statement::Timeouts { tcp, fin, udp }, entry.place());
}
