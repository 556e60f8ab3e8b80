//! What nodes serve: HTTP over TCP, an echo over UDP, on the port that packets for the service arrive with.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::draft::{Draft, Family, Wanted};
use super::{Destination, Server};
use crate::base::{Forwarding, NodeName, Protocol};
use crate::scenario::spec::Serve;

/// Bytes of body beyond the line that tells the node.
const BODY_BYTES: u32 = 512;

/// Adds each node's servers: those that it states, else one for each service that it is a real server of.
pub(super) fn add(draft: &mut Draft<'_>) {
    for index in 0..draft.nodes.len() {
        let name = draft.nodes[index].name.clone();
        let mut servers: Vec<Server> = Vec::new();
        let mut said = Vec::new();
        if let Some(own) = draft.said(&name).and_then(|n| n.serve.as_ref()) {
            for serve in own {
                let mut server = stated(draft, serve);
                server.name = unique(server.name, &servers);
                servers.push(server);
            }
        } else if draft.nodes[index].access_logs.is_empty() {
            for (wanted, destination) in mine(draft, &name) {
                let mut server = implied(draft, index, wanted, destination);
                if servers.iter().any(|s| s.protocol == server.protocol && s.bind == server.bind) {
                    continue;
                }
                server.name = unique(server.name, &servers);
                said.push((
                    format!("server {} on {} {}", server.name, server.protocol, server.bind),
                    why(wanted, destination),
                ));
                servers.push(server);
            }
        }
        draft.nodes[index].servers = servers;
        for (what, why) in said {
            draft.imply(&name, what, why);
        }
    }
}

fn mine<'d>(draft: &'d Draft<'_>, node: &'d NodeName) -> impl Iterator<Item = (&'d Wanted, &'d Destination)> {
    let all = draft.services.iter().flat_map(|w| w.service.destinations.iter().map(move |d| (w, d)));
    all.filter(move |(_, d)| d.node.as_ref() == Some(node))
}

fn stated(draft: &Draft<'_>, serve: &Serve) -> Server {
    let protocol = serve.protocol.unwrap_or(Protocol::Tcp);
    let everywhere = if draft.speaks_v6() { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    Server {
        name: serve.name.clone().unwrap_or_else(|| usual_name(protocol, serve.port)),
        protocol,
        bind: SocketAddr::new(serve.bind.unwrap_or(everywhere), serve.port),
        body_bytes: serve.body_bytes.unwrap_or(BODY_BYTES),
        hosts: serve.hosts.clone(),
        source_by_route: serve.source_by_route.unwrap_or(false),
    }
}

fn implied(draft: &Draft<'_>, index: usize, wanted: &Wanted, destination: &Destination) -> Server {
    let port = if destination.at.port() == 0 { wanted.asked_port() } else { destination.at.port() };
    let unspecified = match (Family::of(wanted.vip), both_families(draft, wanted, port)) {
        (Family::V4, false) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        (Family::V6, _) | (Family::V4, true) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
    };
    // A datagram socket without an address answers from the RIP, which no client takes for the VIP.
    let bound = wanted.protocol == Protocol::Udp && draft.nodes[index].owns(wanted.vip);
    Server {
        name: usual_name(wanted.protocol, port),
        protocol: wanted.protocol,
        bind: SocketAddr::new(if bound { wanted.vip } else { unspecified }, port),
        body_bytes: BODY_BYTES,
        hosts: Vec::new(),
        source_by_route: false,
    }
}

/// Whether the same port is served for VIPs of both families: one socket then serves both.
fn both_families(draft: &Draft<'_>, wanted: &Wanted, port: u16) -> bool {
    let other = |w: &&Wanted| w.protocol == wanted.protocol && Family::of(w.vip) != Family::of(wanted.vip);
    draft.services.iter().filter(other).any(|w| w.asked_port() == port)
}

fn why(wanted: &Wanted, destination: &Destination) -> &'static str {
    let mapped = destination.at.port() != 0 && destination.at.port() != wanted.asked_port();
    match (destination.forwarding, wanted.protocol) {
        (Forwarding::Nat, _) => "the Director rewrites the port to the real server's",
        (_, _) if mapped => "the table names this port, although packets keep the VIP's",
        (_, Protocol::Udp) => "it answers from the VIP only if it binds it",
        (_, Protocol::Tcp) => "packets arrive with the service's port",
    }
}

fn usual_name(protocol: Protocol, port: u16) -> String {
    match protocol {
        Protocol::Tcp => format!("http-{port}"),
        Protocol::Udp => format!("udp-{port}"),
    }
}

fn unique(name: String, taken: &[Server]) -> String {
    let free = |name: &str| !taken.iter().any(|s| s.name == name);
    if free(&name) {
        return name;
    }
    (2..=taken.len() + 2).map(|n| format!("{name}-{n}")).find(|n| free(n)).unwrap_or(name)
}
