//! `ipvs-service-missing`: the Director has no service for what clients ask.

use std::net::SocketAddr;

use super::diagnosis::Diagnosis;
use super::diagnosis::mended;
use super::{Affliction, Rule, ways};
use crate::base::{Forwarding, Protocol, ServiceId};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "ipvs-service-missing",
    title: "the Director has no service at that address",
    teaches: "IPVS balances what matches a service by protocol, VIP and port, or by mark. What matches none goes \
              up to the Director's own sockets, and is refused where nothing listens: by a RST with the Director's \
              MAC. The usual reasons are a rule that was not restored at boot, another port, -u for -t, a typing \
              error in a script.",
    causes: "connections are refused at once, or answered by the Director's own server",
    source: "net/netfilter/ipvs/ip_vs_ctl.c: ip_vs_service_find; net/ipv4/tcp_ipv4.c: tcp_v4_send_reset",
    outranks: &[],
    what: |nodes| format!("nothing balances what clients ask for, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::NoService { protocol, at } = deviation.kind else { return None };
    let node = deviation.node;
    let services = diagnosis.facts(node)?.ipvs.as_ref().map_or(&[][..], |i| &i.services);
    let all: Vec<String> = services.iter().map(|s| s.service.to_string()).collect();
    let all = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
    let evidence = vec![Evidence::fact(format!("clients ask for {protocol} {at}; services of {node}"), all)];
    let flag = ipvs_flag(protocol);
    let here = || diagnosis.world.case.services.iter().filter(|s| s.director == *node);
    let same = here().find(|s| s.id == ServiceId::Address { protocol, at });
    let scheduler = same.map_or("rr", |s| s.scheduler.as_str());
    let persistent = same.and_then(|s| s.persistence_s).map_or_else(String::new, |seconds| format!(" -p {seconds}"));
    let mut commands = vec![format!("ipvsadm -A {flag} {at} -s {scheduler}{persistent}")];
    let mut mend = Vec::new();
    let mut seen = Vec::new();
    for to in here().filter(|s| same.is_none_or(|same| s.id == same.id)).flat_map(|s| &s.destinations) {
        let rip = to.at.ip();
        if to.forwarding != Forwarding::DirectRouting || rip.is_ipv4() != at.is_ipv4() || seen.contains(&rip) {
            continue;
        }
        seen.push(rip);
        commands.push(format!("ipvsadm -a {flag} {at} -r {} -g -w {}", SocketAddr::new(rip, at.port()), to.weight));
        let Some(server) = diagnosis.world.case.stations.iter().find(|s| s.has(rip)) else { continue };
        // The port may be one that servers don't listen at, as they are asked at another one by what is planned.
        let socket = ways::stand_in(diagnosis, &server.node, (protocol, at), Some(to.at.port()));
        if let Some(socket) = socket.filter(|s| s.at.port() != at.port()) {
            mend.push(mended(&server.node, Dialect::Iptables, ways::turn(protocol, at, socket)));
            let other = format!("let the server listen at port {}", at.port());
            mend.push(mended(&server.node, Dialect::ByHand, other));
        }
    }
    mend.insert(0, mended(node, Dialect::Ipvsadm, commands.join(" && ")));
    Some(Diagnosis::afflict(deviation, evidence, mend))
}

/// How ipvsadm writes the transport.
pub(super) fn ipvs_flag(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "-t",
        Protocol::Udp => "-u",
    }
}
