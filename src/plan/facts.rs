//! What a kernel would say of a plan's nodes once they are built, so that rules can look at a scenario before any kernel
//! is started.
//!
//! Owns: the consequences that a kernel draws from configuration by itself (connected and local routes, secondary
//! addresses, sysctls that write through to others, the defaults of those that nobody sets). Refuses: what only running
//! shows; neighbours that are learned, counters and what programs send are not there. Errs towards leaving out: routes
//! of type broadcast, which nothing here goes by, are not listed.

mod acts;
mod sysctls;

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

use ipnet::{IpNet, Ipv6Net};

use super::statements::leaves_by;
use super::{Address, Interface, LinkKind, Node, Plan, Service};
use crate::base::{IfName, Mac, NodeName, Role};
use crate::facts::run::{LoadResult, Outcome, Ran, RequestResult};
use crate::facts::{
    AddressFact, DestinationFact, IpvsFacts, LinkFact, NeighbourFact, NodeFacts, RouteFact, ServiceFact, SocketFact,
};

/// A kernel's timeouts of IPVS in seconds, where none are set (`ip_vs_proto_tcp.c`, `ip_vs_proto_udp.c`).
const IPVS_TIMEOUTS_S: (u32, u32, u32) = (900, 120, 300);

/// The facts of all nodes as they are built, and as the timeline leaves them. Nodes that programs of their own configure are
/// left out: only a kernel can tell what these set.
pub fn facts(plan: &Plan) -> (Vec<NodeFacts>, Vec<NodeFacts>) {
    let mut before: Vec<NodeFacts> = plan.nodes.iter().map(node).collect();
    // The switch has facts only where it does more than switch.
    let ports: Vec<_> = plan.segments.iter().flat_map(|s| &s.ports).filter_map(super::Port::fact).collect();
    if !ports.is_empty() {
        before.push(NodeFacts { ports, ..NodeFacts::unread(NodeName::switch()) });
    }
    acts::detect(plan, &mut before);
    let mut after = before.clone();
    for act in super::case::acts(plan) {
        acts::apply(plan, act, &mut after);
        acts::detect(plan, &mut after);
    }
    let own = plan.with_programs();
    before.retain(|facts| !own.contains(&facts.node));
    after.retain(|facts| !own.contains(&facts.node));
    (before, after)
}

/// What clients will ask for: one request of each load, none of them made yet.
pub fn asked(plan: &Plan) -> Ran {
    let loads = plan.timeline.iter().filter_map(|step| match &step.act {
        super::Act::Load(load) => Some(load),
        _ => None,
    });
    let of = |load: &super::Load| -> Option<LoadResult> {
        let client = load.clients.first()?.node.clone();
        let request = RequestResult {
            number: 0,
            client,
            local: None,
            target: load.target,
            protocol: load.protocol,
            path: load.paths.first().cloned().unwrap_or_default(),
            start_ns: 0,
            latency_us: 0,
            outcome: Outcome::Failed { kind: "local".to_owned(), detail: "not asked yet".to_owned() },
            lacks: None,
        };
        Some(LoadResult { name: load.name.clone(), ms: 0.0, requests: vec![request] })
    };
    Ran {
        loads: loads.filter_map(of).collect(),
        access_logs: BTreeMap::new(),
        probes: Vec::new(),
        stopped: None,
        ended: Vec::new(),
    }
}

fn node(node: &Node) -> NodeFacts {
    let sysctls = sysctls::of(node);
    let mut facts = NodeFacts {
        links: (1..).zip(&node.interfaces).map(|(index, interface)| link(index, interface)).collect(),
        arptables: Some(rules(&node.arptables, "arptables")),
        iptables: Some(rules(&node.iptables, "iptables")),
        sockets: Some(node.servers.iter().map(|s| SocketFact { protocol: s.protocol, at: s.bind }).collect()),
        sysctls,
        ..NodeFacts::unread(node.name.clone())
    };
    for interface in &node.interfaces {
        if interface.kind == LinkKind::Loopback && interface.up {
            for own in ["127.0.0.1/8", "::1/128"].iter().filter_map(|text| text.parse().ok()) {
                add_address(&mut facts, &interface.name, &plain(own));
            }
        }
        let own = |a: &&Address| {
            let by_itself = crate::facts::statements::is_loopback_default(&a.address);
            interface.kind != LinkKind::Loopback || !interface.up || !by_itself
        };
        for address in interface.addresses.iter().filter(own) {
            add_address(&mut facts, &interface.name, address);
        }
        if let Some(address) = interface.mac.filter(|_| interface.up).and_then(link_local) {
            add_address(&mut facts, &interface.name, &plain(address));
        }
    }
    for route in &node.routes {
        facts.routes.push(RouteFact {
            table: "main".to_owned(),
            kind: "unicast".to_owned(),
            destination: route.destination.trunc(),
            gateway: route.gateway,
            interface: leaves_by(node, route).cloned(),
            source: route.source,
            scope: if route.gateway.is_some() || route.destination.addr().is_ipv6() { "global" } else { "link" }
                .to_owned(),
            metric: if route.destination.addr().is_ipv6() { 1024 } else { 0 },
            mtu: route.mtu,
            protocol: "static".to_owned(),
        });
    }
    facts.neighbours = node.neighbours.iter().map(permanent).collect();
    facts.ipvs = node.ipvs.as_ref().map(|table| {
        let (tcp, fin, udp) = table.timeouts_s.unwrap_or(IPVS_TIMEOUTS_S);
        IpvsFacts {
            version: String::new(),
            timeout_tcp_s: tcp,
            timeout_tcp_fin_s: fin,
            timeout_udp_s: udp,
            services: table.services.iter().map(service).collect(),
            connections: Vec::new(),
            total_connections: 0,
            total_in_packets: 0,
            total_out_packets: 0,
        }
    });
    // A node without a Director's part has no table to be read.
    facts.ipvs = facts.ipvs.filter(|_| node.role == Role::Director || node.ipvs.is_some());
    facts
}

fn link(index: u32, interface: &Interface) -> LinkFact {
    LinkFact {
        name: interface.name.clone(),
        index,
        kind: match &interface.kind {
            LinkKind::Loopback => None,
            LinkKind::Segment(_) => Some("veth".to_owned()),
            LinkKind::Dummy => Some("dummy".to_owned()),
            LinkKind::Ipip => Some("ipip".to_owned()),
            LinkKind::Upper(upper) => Some(if upper.macvlan { "macvlan" } else { "ipvlan" }.to_owned()),
        },
        mac: interface.mac,
        mtu: interface.mtu,
        up: interface.up,
        carrier: interface.up,
        noarp: !interface.arp || matches!(interface.kind, LinkKind::Dummy | LinkKind::Ipip),
        tx_checksum: matches!(interface.kind, LinkKind::Segment(_)).then_some(interface.tx_checksum),
        rx_packets: 0,
        tx_packets: 0,
        dropped: 0,
    }
}

fn plain(address: IpNet) -> Address {
    Address { address, broadcast: None, label: None, nodad: false }
}

/// The link-local address that an interface gives itself (RFC 4291, appendix A).
fn link_local(Mac(mac): Mac) -> Option<IpNet> {
    let pair = |high: u8, low: u8| u16::from_be_bytes([high, low]);
    let host = [pair(mac[0] ^ 2, mac[1]), pair(mac[2], 0xff), pair(0xfe, mac[3]), pair(mac[4], mac[5])];
    let address = Ipv6Addr::new(0xfe80, 0, 0, 0, host[0], host[1], host[2], host[3]);
    Ipv6Net::new(address, 64).ok().map(IpNet::V6)
}

/// Adds an address with what follows from it (`inet_insert_ifa`, `fib_add_ifaddr`, `addrconf_add_ifaddr`).
fn add_address(facts: &mut NodeFacts, interface: &IfName, address: &Address) {
    let ip = address.address.addr();
    if ip.is_ipv6() && facts.sysctls.get(&sysctls::disabled_v6(interface)).is_some_and(|value| value != "0") {
        return;
    }
    let carried = facts.addresses.iter().filter(|a| a.interface == *interface);
    // The first address of a subnet is its primary one; IPv6 knows no such difference.
    let secondary = ip.is_ipv4() && carried.clone().any(|a| a.address.trunc() == address.address.trunc());
    let mut flags = Vec::new();
    flags.extend(secondary.then(|| "secondary".to_owned()));
    flags.extend(address.nodad.then(|| "nodad".to_owned()));
    flags.push("permanent".to_owned());
    let fact = AddressFact {
        interface: interface.clone(),
        address: address.address,
        broadcast: address.broadcast.map(IpAddr::V4),
        label: address.label.clone().filter(|label| interface != label.as_str()),
        scope: match ip {
            _ if ip.is_loopback() => "host",
            IpAddr::V6(v6) if v6.is_unicast_link_local() => "link",
            _ => "global",
        }
        .to_owned(),
        flags,
    };
    facts.routes.extend(routes_of(&fact, facts.links.iter().any(|l| l.name == *interface && l.up)));
    facts.addresses.push(fact);
}

/// The routes that an address brings: to itself, and to its subnet where its interface is up.
fn routes_of(fact: &AddressFact, up: bool) -> Vec<RouteFact> {
    let ip = fact.address.addr();
    let single = IpNet::from(ip);
    let v6 = ip.is_ipv6();
    let route = |table: &str, kind: &str, destination: IpNet| RouteFact {
        table: table.to_owned(),
        kind: kind.to_owned(),
        destination,
        gateway: None,
        interface: Some(fact.interface.clone()),
        source: (!v6).then_some(ip),
        scope: match (kind, v6) {
            (_, true) => "global",
            ("local", _) => "host",
            _ => "link",
        }
        .to_owned(),
        metric: if v6 && kind == "unicast" { 256 } else { 0 },
        mtu: None,
        protocol: "kernel".to_owned(),
    };
    let mut routes = vec![route("local", "local", single)];
    let subnet = fact.address.trunc();
    let whole = fact.interface == "lo" && !v6;
    if !up || fact.flags.iter().any(|flag| flag == "secondary") {
    } else if whole && subnet != single {
        // All of a subnet on `lo` is the node's own.
        routes.push(route("local", "local", subnet));
    } else if (v6 && !ip.is_loopback()) || subnet != single {
        routes.push(route("main", "unicast", subnet));
    }
    routes
}

fn permanent(entry: &super::Neighbour) -> NeighbourFact {
    NeighbourFact {
        interface: entry.interface.clone(),
        address: entry.address,
        mac: Some(entry.mac),
        state: "permanent".to_owned(),
    }
}

/// A service that nobody has asked for yet.
pub(super) fn service(service: &Service) -> ServiceFact {
    ServiceFact {
        service: service.id,
        scheduler: service.scheduler.clone(),
        flags: service.flags.clone(),
        persistence_s: service.persistence_s,
        destinations: service.destinations.iter().map(destination).collect(),
        connections: 0,
        in_packets: 0,
    }
}

fn destination(to: &super::Destination) -> DestinationFact {
    DestinationFact { upper: to.upper, lower: to.lower, ..DestinationFact::unused(to.at, to.forwarding, to.weight) }
}

/// The rules that calls of a filter's tool leave behind, one `-A CHAIN …` each, headed by `-t TABLE` where that is not
/// `filter`; a chain that does not accept by default is a `-P` line.
fn rules(calls: &[Vec<String>], tool: &str) -> Vec<String> {
    let mut left: Vec<(String, String)> = Vec::new();
    for call in calls {
        let named = |word: &String| *word == tool || *word == "ip6tables";
        let mut words: Vec<&str> =
            call.iter().skip(usize::from(call.first().is_some_and(named))).map(String::as_str).collect();
        let mut table = "filter".to_owned();
        if let Some(at) = words.iter().position(|w| matches!(*w, "-t" | "--table")) {
            if let Some(name) = words.get(at + 1) {
                (*name).clone_into(&mut table);
            }
            words.drain(at..(at + 2).min(words.len()));
        }
        let head = if table == "filter" { String::new() } else { format!("-t {table} ") };
        let Some((order, rest)) = words.split_first() else { continue };
        let line = |rest: &[&str]| format!("{head}-A {}", rest.join(" "));
        match *order {
            "-A" | "--append" => left.push((table, line(rest))),
            "-I" | "--insert" => {
                let mut rest = rest.to_vec();
                let number = rest.get(1).and_then(|word| word.parse::<usize>().ok());
                if number.is_some() {
                    rest.remove(1);
                }
                let chain = format!("{head}-A {} ", rest.first().copied().unwrap_or_default());
                let mut here = left.iter().enumerate().filter(|(_, (_, l))| l.starts_with(&chain)).map(|(at, _)| at);
                let at = here.nth(number.unwrap_or(1).saturating_sub(1)).unwrap_or(left.len());
                left.insert(at, (table, line(&rest)));
            }
            "-D" | "--delete" => {
                let gone = line(rest);
                if let Some(at) = left.iter().position(|(_, known)| *known == gone) {
                    left.remove(at);
                }
            }
            "-F" | "--flush" => {
                let chain = rest.first().map(|name| format!("{head}-A {name} "));
                left.retain(|(of, known)| {
                    *of != table || known.contains("-P ") || chain.as_ref().is_some_and(|c| !known.starts_with(c))
                });
            }
            "-P" | "--policy" => {
                let (chain, policy) = (rest.first().copied().unwrap_or_default(), rest.last().copied());
                let start = format!("{head}-P {chain} ");
                left.retain(|(_, known)| !known.starts_with(&start));
                if let Some(policy) = policy.filter(|p| *p != "ACCEPT") {
                    left.push((table, format!("{start}{policy}")));
                }
            }
            _ => {}
        }
    }
    left.into_iter().map(|(_, line)| line).collect()
}

#[cfg(test)]
mod tests;
