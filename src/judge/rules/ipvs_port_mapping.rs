//! `ipvs-port-mapping`: a real server is wanted at another port than the service's, with a method that can't do it.

use super::ipvs_method_masq::flag;
use super::{Affliction, Rule};
use crate::base::{Forwarding, ServiceId};
use crate::judge::Evidence;
use crate::judge::traffic::Traffic;

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "ipvs-port-mapping",
    title: "direct routing is asked to map a port",
    teaches: "Direct routing leaves the packet as it is, its destination port included. ipvsadm takes `-r RIP:8080 -g` all \
              the same and the kernel quietly puts the service's port in its place, so `ipvsadm -Ln` looks right while \
              the server listens at 8080. Only NAT maps ports; else the server listens at the service's port, or the \
              real server redirects.",
    causes: "the real server gets requests at the service's port, where nothing listens: connection refused",
    source: "ipvsadm(8): --gatewaying; net/netfilter/ipvs/ip_vs_ctl.c and ip_vs_xmit.c: ip_vs_dr_xmit",
    outranks: &[],
    what: |nodes| format!("a port is to be mapped, which direct routing can't, on {nodes}"),
    afflicted,
};

fn afflicted(traffic: &Traffic<'_>) -> Vec<Affliction> {
    let mut found = Vec::new();
    for service in &traffic.input.case.services {
        let ServiceId::Address { protocol, at } = service.id else { continue };
        let mapped = |d: &&crate::judge::case::WantedDestination| {
            matches!(d.forwarding, Forwarding::DirectRouting | Forwarding::Tun)
                && at.port() != 0
                && d.at.port() != 0
                && d.at.port() != at.port()
        };
        for wanted in service.destinations.iter().filter(mapped) {
            let (director, flag, word) = (&service.director, flag(protocol), protocol.to_string().to_lowercase());
            let rip = wanted.at.ip();
            let right = std::net::SocketAddr::new(rip, at.port());
            let server = wanted.node.as_ref().map_or_else(|| rip.to_string(), ToString::to_string);
            let iptables = if rip.is_ipv4() { "iptables" } else { "ip6tables" };
            found.push(Affliction {
                node: director.clone(),
                interface: None,
                evidence: vec![Evidence::fact(
                    format!("{} is wanted at port {} for a service at port {}", server, wanted.at.port(), at.port()),
                    format!("-a {flag} {at} -r {} -g", wanted.at),
                )],
                mend: vec![
                    format!("on {director}: ipvsadm -a {flag} {at} -r {right} -g -w {}", wanted.weight),
                    format!("on {director}: in keepalived.conf: real_server {rip} {}", at.port()),
                    format!(
                        "on {server}: {iptables} -t nat -A PREROUTING -d {} -p {word} --dport {} -j REDIRECT --to-ports {}",
                        at.ip(),
                        at.port(),
                        wanted.at.port()
                    ),
                ],
            });
        }
    }
    found
}
