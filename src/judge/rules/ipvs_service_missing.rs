//! `ipvs-service-missing`: the Director has no service for what clients ask.

use super::diagnosis::Diagnosis;
use super::diagnosis::mended;
use super::{Affliction, Rule};
use crate::base::{Forwarding, Protocol};
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
    let mut commands = vec![format!("ipvsadm -A {flag} {at} -s rr")];
    let mut seen = Vec::new();
    for to in diagnosis.world.case.services.iter().filter(|s| s.director == *node).flat_map(|s| &s.destinations) {
        if to.forwarding == Forwarding::DirectRouting && !seen.contains(&to.at.ip()) {
            seen.push(to.at.ip());
            let rip = std::net::SocketAddr::new(to.at.ip(), at.port());
            commands.push(format!("ipvsadm -a {flag} {at} -r {rip} -g -w {}", to.weight));
        }
    }
    let mend = vec![mended(node, Dialect::Ipvsadm, commands.join(" && "))];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}

/// How ipvsadm writes the transport.
pub(super) fn ipvs_flag(protocol: Protocol) -> &'static str {
    match protocol {
        Protocol::Tcp => "-t",
        Protocol::Udp => "-u",
    }
}
