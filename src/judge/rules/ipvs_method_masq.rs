//! `ipvs-method-masq`: NAT in a topology that is made for direct routing.

use super::diagnosis::Diagnosis;
use super::diagnosis::mended;
use super::{Affliction, Rule, ways};
use crate::base::{Forwarding, ServiceId};
use crate::judge::host::route_line;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "ipvs-method-masq",
    title: "the service forwards by NAT, but replies do not come back through the Director",
    teaches: "With NAT (`-m`) the Director writes the RIP into the packet and must see the reply to put the VIP \
              back. Where real servers answer through another gateway, the client gets a packet from an address \
              that it never asked, and resets it. Direct routing (`-g`) fits that topology.",
    causes: "replies reach the client with the RIP as source: connections time out",
    source: "net/netfilter/ipvs/ip_vs_xmit.c: ip_vs_nat_xmit; ip_vs_core.c: handle_response",
    outranks: &[],
    what: |nodes| format!("NAT to real servers whose replies do not come back through it, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Bypassed { service, to, weight, real_server, client, route } = deviation.kind else { return None };
    let node = deviation.node;
    let command = format!("ipvsadm -e {} -r {to} -g -w {weight}", ways::service(service));
    let mut mend = vec![mended(node, Dialect::Ipvsadm, command)];
    let vip = match service {
        ServiceId::Address { at, .. } => {
            let lines = format!("in virtual_server {} {}: lb_kind DR", at.ip(), at.port());
            mend.push(mended(node, Dialect::Keepalived, lines));
            Some(at.ip())
        }
        ServiceId::Fwmark { .. } => diagnosis.world.case.vips.iter().copied().find(|v| v.is_ipv4() == to.is_ipv4()),
    };
    mend.extend(vip.into_iter().flat_map(|vip| ways::own_vip(diagnosis, real_server, vip)));
    let evidence = vec![
        Evidence::fact(
            format!("{node} reaches {real_server} by NAT"),
            format!("{service} -> {to} {}", Forwarding::Nat),
        ),
        Evidence::fact(format!("{real_server} answers {client} by"), route_line(route)),
    ];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
