//! `ipvs-method-tun`: a tunnel to a real server that can't open it.

use super::diagnosis::Diagnosis;
use super::diagnosis::{mended, single};
use super::{Affliction, Rule, ways};
use crate::base::{Forwarding, ServiceId};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "ipvs-method-tun",
    title: "the service forwards by tunnel, and a real server can't open it",
    teaches: "With tunnelling (`-i`) the Director wraps the packet into another one to the RIP. The real server \
              needs the module ipip, tunl0 up, the VIP, and no source check on tunl0. Without the device it \
              answers ICMP protocol unreachable, which the Director hands to the client. Direct routing (`-g`) \
              needs none of it on one segment.",
    causes: "the client is told `Protocol not available`, or times out",
    source: "net/netfilter/ipvs/ip_vs_xmit.c: ip_vs_tunnel_xmit; net/ipv4/ip_input.c: ip_protocol_deliver_rcu",
    outranks: &[],
    what: |nodes| format!("a tunnel arrives that can't be opened, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Unwrapped { service, to, weight, vip, from } = deviation.kind else { return None };
    let node = deviation.node;
    let links: Vec<String> = diagnosis
        .facts(node)?
        .links
        .iter()
        .map(|l| format!("{} {}", l.name, if l.up { "up" } else { "down" }))
        .collect();
    let evidence = vec![
        Evidence::fact(format!("{from} reaches {node} by tunnel"), format!("{service} -> {to} {}", Forwarding::Tun)),
        Evidence::fact(format!("all interfaces of {node}"), links.join(", ")),
    ];
    let command = format!("ipvsadm -e {} -r {to} -g -w {weight}", ways::service(service));
    let mut mend = vec![mended(from, Dialect::Ipvsadm, command)];
    if let ServiceId::Address { at, .. } = service {
        let keepalived = format!("in virtual_server {} {}: lb_kind DR", at.ip(), at.port());
        mend.push(mended(from, Dialect::Keepalived, keepalived));
    }
    mend.extend(ways::own_vip(diagnosis, node, vip));
    let command = format!(
        "modprobe ipip; ip link set tunl0 up; ip address replace {} dev tunl0; sysctl -w net.ipv4.conf.tunl0.rp_filter=0 net.ipv4.conf.all.rp_filter=0",
        single(vip)
    );
    mend.push(mended(from, Dialect::ByHand, format!("to keep the tunnel, on {node}: {command}")));
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
