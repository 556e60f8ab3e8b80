//! `rs-remote-subnet`: a real server for direct routing is not on the Director's segment.

use super::{Affliction, Rule};
use crate::base::Forwarding;
use crate::judge::Evidence;
use crate::judge::host::{Host, route_line};
use crate::judge::traffic::Traffic;

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-remote-subnet",
    title: "a real server is behind a router",
    teaches: "Direct routing changes only the frame's MACs, so the packet with the VIP as destination must reach the real \
              server within one segment. With a router on the way that router gets it, looks at the VIP and sends it \
              back to the Director, until the TTL is used up. Put the real server on the segment, or tunnel to it.",
    causes: "connections to that real server end in a loop between Director and router: `No route to host`",
    source: "net/netfilter/ipvs/ip_vs_xmit.c: ip_vs_dr_xmit (IP_VS_RT_MODE_KNOWN_NH)",
    outranks: &["rs-gw-director"],
    what: |nodes| format!("on no segment of the Director, which direct routing needs: {nodes}"),
    afflicted,
};

fn afflicted(traffic: &Traffic<'_>) -> Vec<Affliction> {
    let input = traffic.input;
    let mut found: Vec<Affliction> = Vec::new();
    for service in &input.case.services {
        let Some(director) = input.case.station(&service.director) else { continue };
        for wanted in service.destinations.iter().filter(|d| d.forwarding == Forwarding::DirectRouting) {
            let rip = wanted.at.ip();
            let by_name = wanted.node.as_ref().and_then(|n| input.case.station(n));
            let Some(station) = by_name.or_else(|| input.case.stations.iter().find(|s| s.has(rip))) else { continue };
            let beside = station.ports.iter().any(|p| p.has(rip) && director.is_on(&p.segment));
            let route = input.facts(&director.node).and_then(|f| Host(f).route_to(rip));
            let next_hop = route.is_some_and(|r| r.gateway.is_some());
            if station.node == director.node || (beside && !next_hop) || found.iter().any(|f| f.node == station.node) {
                continue;
            }
            let (node, from) = (&station.node, &director.node);
            let what = format!("{from} reaches {node} ({rip}) by");
            let evidence = match route {
                Some(route) => Evidence::fact(what, route_line(route)),
                None => Evidence::told(format!("{from} and {node} share no segment")),
            };
            let mend = match (service.id, traffic.vips_of(service).first()) {
                (crate::base::ServiceId::Address { protocol, at }, Some(vip)) if vip.is_ipv4() => {
                    let flag = super::ipvs_method_masq::flag(protocol);
                    vec![
                        format!("on {from}: ipvsadm -e {flag} {at} -r {} -i -w {}", wanted.at, wanted.weight),
                        format!("on {from}: in keepalived.conf, virtual_server {} {}: lb_kind TUN", at.ip(), at.port()),
                        format!(
                            "on {node}: modprobe ipip; ip link set tunl0 up; ip address add {vip}/32 dev tunl0; \
                             sysctl -w net.ipv4.conf.tunl0.rp_filter=0 net.ipv4.conf.all.rp_filter=0"
                        ),
                    ]
                }
                _ => vec![format!("on {node}: move {rip} to a segment of {from}")],
            };
            found.push(Affliction { node: node.clone(), interface: None, evidence: vec![evidence], mend });
        }
    }
    found
}
