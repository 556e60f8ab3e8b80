//! `ipvs-port-mapping`: a real server is wanted at another port than the service's, with a method that can't do it.

use super::diagnosis::Diagnosis;
use super::diagnosis::mended;
use super::ipvs_service_missing::ipvs_flag;
use super::{Affliction, Rule};
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
    let (flag, word, rip) = (ipvs_flag(protocol), protocol.to_string().to_lowercase(), to.ip());
    let right = std::net::SocketAddr::new(rip, at.port());
    let station = diagnosis.world.case.stations.iter().find(|s| s.has(rip));
    let server = station.map_or(node, |s| &s.node);
    let evidence = vec![Evidence::fact(
        format!("{server} is wanted at port {wanted} for a service at port {}", at.port()),
        format!("-a {flag} {at} -r {to} -g"),
    )];
    let iptables = if rip.is_ipv4() { "iptables" } else { "ip6tables" };
    let redirect = format!(
        "{iptables} -t nat -A PREROUTING -d {} -p {word} --dport {} -j REDIRECT --to-ports {wanted}",
        at.ip(),
        at.port(),
    );
    let mend = vec![
        mended(server, Dialect::ByHand, format!("let the server listen at port {}", at.port())),
        mended(server, Dialect::Iptables, redirect),
        mended(node, Dialect::Ipvsadm, format!("ipvsadm -a {flag} {at} -r {right} -g")),
        mended(node, Dialect::Keepalived, format!("real_server {rip} {}", at.port())),
    ];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
