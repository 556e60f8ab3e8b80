//! `ipvs-port-mapping`: a real server is wanted at another port than the service's, with a method that can't do it.

use super::diagnosis::Diagnosis;
use super::diagnosis::mended;
use super::ipvs_service_missing::ipvs_flag;
use super::{Affliction, Rule, ways};
use crate::base::ServiceId;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "ipvs-port-mapping",
    title: "direct routing is asked to map a port",
    teaches: "Direct routing leaves the packet as it is, its destination port included. ipvsadm takes `-r RIP:8080 \
              -g` all the same and the kernel quietly puts the service's port in its place, so `ipvsadm -Ln` looks \
              right while the server listens at 8080. Only NAT maps ports; else the server listens at the \
              service's port, or the real server redirects.",
    causes: "the real server gets requests at the service's port, where nothing listens: connection refused",
    source: "ipvsadm(8): --gatewaying; net/netfilter/ipvs/ip_vs_ctl.c and ip_vs_xmit.c: ip_vs_dr_xmit",
    outranks: &[],
    what: |nodes| format!("a port is to be mapped, which direct routing can't, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Mapped { service: ServiceId::Address { protocol, at }, at: to, wanted } = deviation.kind else {
        return None;
    };
    let node = deviation.node;
    let (flag, rip) = (ipvs_flag(protocol), to.ip());
    let right = std::net::SocketAddr::new(rip, at.port());
    let station = diagnosis.world.case.stations.iter().find(|s| s.has(rip));
    let server = station.map_or(node, |s| &s.node);
    let evidence = vec![Evidence::fact(
        format!("{server} is wanted at port {wanted} for a service at port {}", at.port()),
        format!("-a {flag} {at} -r {to} -g"),
    )];
    let planned = diagnosis.world.case.services.iter().filter(|s| s.director == *node).flat_map(|s| &s.destinations);
    let weight = planned.into_iter().find(|d| d.at == to).map_or(1, |d| d.weight);
    let command = format!("ipvsadm -a {flag} {at} -r {right} -g -w {weight} && ipvsadm -d {flag} {at} -r {to}");
    let mut mend = vec![
        mended(node, Dialect::Ipvsadm, command),
        mended(node, Dialect::Keepalived, format!("real_server {rip} {}", at.port())),
    ];
    let socket = ways::stand_in(diagnosis, server, (protocol, at), Some(wanted));
    if let Some(socket) = socket.filter(|s| s.at.port() != at.port()) {
        mend.push(mended(server, Dialect::Iptables, ways::turn(protocol, at, socket)));
        mend.push(mended(server, Dialect::ByHand, format!("let the server listen at port {}", at.port())));
    } else if socket.is_none() {
        mend.push(mended(server, Dialect::ByHand, format!("let the server listen at port {}", at.port())));
    }
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
