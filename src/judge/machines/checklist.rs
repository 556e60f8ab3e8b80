//! What is looked at on a machine, point by point, with its value and where that comes from.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::Machine;
use crate::base::Role;
use crate::facts::NodeFacts;
use crate::judge::host::{Host, address_line, route_line};
use crate::judge::{Finding, rules};

/// One point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// What is looked at.
    pub what: String,
    /// What is there.
    pub value: String,
    /// Where that comes from, in words that can be typed or opened.
    pub from: String,
    /// What it came to.
    pub state: ItemState,
    /// The root causes that it is part of.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rules: Vec<String>,
}

/// What a point came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ItemState {
    /// No rule finds anything wrong with it.
    Ok,
    /// A rule does.
    Wrong,
    /// It could not be read.
    Unread,
    /// It was read and can't be judged with what is known.
    Open,
}

/// A point before it is filled in.
struct Point {
    what: &'static str,
    roles: &'static [Role],
    from: &'static str,
    /// Under which words it stands among what could not be read.
    unread: &'static str,
    value: fn(&Machine) -> Option<String>,
    /// Beginnings of the ids of rules that concern it.
    rules: &'static [&'static str],
}

const ALL: &[Role] = &[Role::RealServer, Role::Director, Role::Router];
const SERVER: &[Role] = &[Role::RealServer];
const DIRECTOR: &[Role] = &[Role::Director];
const ROUTER: &[Role] = &[Role::Router];
const SERVES: &[Role] = &[Role::RealServer, Role::Director];

/// The first point whose rules fit takes a finding; what fits none has a point of its own.
const POINTS: &[Point] = &[
    Point {
        what: "interfaces",
        roles: ALL,
        from: "ip link",
        unread: "links",
        value: |m| Some(links(&m.facts)),
        rules: &["link-down", "rs-nic-noarp", "rs-same-mac", "arp-unanswered"],
    },
    Point {
        what: "the VIP",
        roles: SERVES,
        from: "ip address",
        unread: "addresses",
        value: |m| Some(vips(m)),
        rules: &["rs-vip-", "v6-vip-", "all-nodes-own-vip", "dir-vip-"],
    },
    Point {
        what: "arp_ignore",
        roles: SERVES,
        from: "/proc/sys/net/ipv4/conf/*/arp_ignore",
        unread: "arp_ignore",
        value: |m| conf(m, "arp_ignore"),
        rules: &["rs-arp-default", "rs-ignore-", "rs-sysctl-", "rs-arp-filter-instead", "dir-arp-suppressed"],
    },
    Point {
        what: "arp_announce",
        roles: SERVES,
        from: "/proc/sys/net/ipv4/conf/*/arp_announce",
        unread: "arp_announce",
        value: |m| conf(m, "arp_announce"),
        rules: &["rs-announce-"],
    },
    Point {
        what: "proxy_arp",
        roles: ALL,
        from: "/proc/sys/net/ipv4/conf/*/proxy_arp",
        unread: "proxy_arp",
        value: |m| conf(m, "proxy_arp"),
        rules: &["proxy-arp"],
    },
    Point {
        what: "ARP filter",
        roles: ALL,
        from: "arptables -L -n",
        unread: "arptables",
        value: |m| m.facts.arptables.as_deref().map(rules_shown),
        rules: &["rs-arptables-"],
    },
    Point {
        what: "source check",
        roles: ALL,
        from: "/proc/sys/net/ipv4/conf/*/rp_filter",
        unread: "rp_filter",
        value: |m| conf(m, "rp_filter"),
        rules: &["rs-rpfilter-", "dir-rpfilter-", "source-refused"],
    },
    Point {
        what: "way to clients",
        roles: ALL,
        from: "ip route",
        unread: "routes",
        value: |m| Some(defaults(m)),
        rules: &["rs-gw-", "no-route", "rs-remote-subnet"],
    },
    Point {
        what: "neighbours",
        roles: ALL,
        from: "ip neighbour",
        unread: "neighbours",
        value: |m| Some(neighbours(m)),
        rules: &["router-static-arp", "rip-neigh-stale", "rs-arp-cache-"],
    },
    Point {
        what: "forwarding",
        roles: ROUTER,
        from: "/proc/sys/net/ipv4/ip_forward",
        unread: "ip_forward",
        value: |m| m.facts.sysctls.get("net.ipv4.ip_forward").map(|v| format!("ip_forward {v}")),
        rules: &["not-forwarding"],
    },
    Point {
        what: "IPVS table",
        roles: DIRECTOR,
        from: "ipvsadm -Ln",
        unread: "ipvs",
        value: |m| m.facts.ipvs.as_ref().map(table),
        rules: &["ipvs-"],
    },
    Point {
        what: "packet filter",
        roles: ALL,
        from: "iptables -S",
        unread: "iptables",
        value: |m| m.facts.iptables.as_deref().map(rules_shown),
        rules: &["rs-fw", "dir-fw-"],
    },
    Point {
        what: "servers",
        roles: SERVER,
        from: "ss -ltun",
        unread: "sockets",
        value: |m| Some(sockets(m)),
        rules: &["app-"],
    },
];

/// The points of a machine, with what the findings on it make of them.
pub fn checklist(machine: &Machine, findings: &[Finding]) -> Vec<Item> {
    let facts = &machine.facts;
    let mut left: Vec<&str> = Vec::new();
    for finding in findings.iter().filter(|f| f.node == facts.node) {
        if !left.contains(&finding.id.as_str()) {
            left.push(&finding.id);
        }
    }
    let mut items = Vec::new();
    for point in POINTS.iter().filter(|p| p.roles.contains(&machine.role)) {
        let why = facts.unread.iter().find(|u| u.what.contains(point.unread));
        let read = (point.value)(machine).filter(|_| why.is_none());
        let (mine, others): (Vec<&str>, Vec<&str>) =
            left.into_iter().partition(|id| point.rules.iter().any(|start| id.starts_with(start)));
        left = others;
        // What a finding explains away is wrong as well.
        let explained = findings.iter().filter(|f| f.node == facts.node && !f.effects.is_empty()).filter(|f| {
            let outranked = rules::find(&f.id).map_or(&[][..], |rule| rule.outranks);
            outranked.iter().any(|id| point.rules.iter().any(|start| id.starts_with(start)))
        });
        let mine: Vec<&str> = if mine.is_empty() { explained.map(|f| f.id.as_str()).collect() } else { mine };
        let by_port = matches!(point.what, "servers" | "packet filter");
        let open = by_port && machine.role == Role::RealServer && machine.hints.services.is_empty();
        let state = match (&read, mine.is_empty()) {
            (_, false) => ItemState::Wrong,
            (None, true) => ItemState::Unread,
            (Some(value), true) if open && (value != "none" || point.what == "servers") => ItemState::Open,
            (Some(_), true) => ItemState::Ok,
        };
        let value = match (read, why) {
            (Some(value), _) => value,
            (None, Some(why)) => why.why.clone(),
            (None, None) => "not read".to_owned(),
        };
        let rules = mine.into_iter().map(str::to_owned).collect();
        items.push(Item { what: point.what.to_owned(), value, from: point.from.to_owned(), state, rules });
    }
    for id in left {
        items.push(Item {
            what: "besides".to_owned(),
            value: String::new(),
            from: String::new(),
            state: ItemState::Wrong,
            rules: vec![id.to_owned()],
        });
    }
    let others = facts.unread.iter().filter(|u| !POINTS.iter().any(|p| u.what.contains(p.unread)));
    items.extend(others.map(|u| Item {
        what: u.what.clone(),
        value: u.why.clone(),
        from: String::new(),
        state: ItemState::Unread,
        rules: Vec::new(),
    }));
    items
}

fn joined(parts: impl Iterator<Item = String>, nothing: &str) -> String {
    let all: Vec<String> = parts.collect();
    if all.is_empty() { nothing.to_owned() } else { all.join(", ") }
}

/// What is shown of a list of rules.
fn rules_shown(rules: &[String]) -> String {
    joined(rules.iter().cloned(), "none")
}

fn links(facts: &NodeFacts) -> String {
    let leading = facts.links.iter().filter(|l| l.name != "lo" && l.mac.is_some());
    joined(
        leading.map(|l| {
            let up = if l.up && l.carrier { "up" } else { "down" };
            format!("{} {up}{}", l.name, if l.noarp { " NOARP" } else { "" })
        }),
        "none besides lo",
    )
}

fn vips(machine: &Machine) -> String {
    let of = |vip: &IpAddr| joined(Host(&machine.facts).carries(*vip).map(address_line), &format!("{vip} is not here"));
    joined(machine.vips.iter().map(of), "none")
}

/// A sysctl for all interfaces and each that leads to others.
fn conf(machine: &Machine, key: &str) -> Option<String> {
    let host = Host(&machine.facts);
    let all = host.conf("all", key)?;
    let leading = machine.facts.links.iter().filter(|l| l.name == "lo" || (l.up && l.mac.is_some()));
    let each = leading.filter_map(|l| Some(format!("{} {}", l.name, host.conf(l.name.as_str(), key)?)));
    Some(joined(std::iter::once(format!("all {all}")).chain(each), ""))
}

fn defaults(machine: &Machine) -> String {
    let family =
        |r: &&crate::facts::RouteFact| machine.vips.iter().any(|v| v.is_ipv4() == r.destination.addr().is_ipv4());
    let routes = machine.facts.routes.iter().filter(|r| r.table == "main" && r.destination.prefix_len() == 0);
    joined(routes.filter(family).map(route_line), "no default route")
}

fn neighbours(machine: &Machine) -> String {
    let told = machine
        .facts
        .neighbours
        .iter()
        .filter(|n| (machine.vips.contains(&n.address) || n.state == "permanent") && n.mac.is_some());
    joined(
        told.map(|n| format!("{} lladdr {} {}", n.address, n.mac.map_or_else(String::new, |m| m.to_string()), n.state)),
        "none for the VIP, none for good",
    )
}

fn table(ipvs: &crate::facts::IpvsFacts) -> String {
    let service = |s: &crate::facts::ServiceFact| {
        let to = s.destinations.iter().map(|d| format!("{} {} weight {}", d.at, d.forwarding, d.weight));
        format!("{} {} -> {}", s.service, s.scheduler, joined(to, "nobody"))
    };
    joined(ipvs.services.iter().map(service), "empty")
}

fn sockets(machine: &Machine) -> String {
    let reached = machine.facts.sockets.iter().flatten().filter(|s| {
        let ip = s.at.ip();
        ip.is_unspecified() || machine.vips.contains(&ip) || !ip.is_loopback()
    });
    let mut all: Vec<String> = reached.map(|s| format!("{} {}", s.protocol, s.at)).collect();
    all.sort();
    all.dedup();
    joined(all.into_iter(), "none")
}
