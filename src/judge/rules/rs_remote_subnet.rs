//! `rs-remote-subnet`: a real server for direct routing is not on the Director's segment.

use super::diagnosis::Diagnosis;
use super::diagnosis::mended;
use super::ipvs_service_missing::ipvs_flag;
use super::{Affliction, Rule};
use crate::base::ServiceId;
use crate::judge::host::route_line;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-remote-subnet",
    title: "a real server is behind a router",
    teaches: "Direct routing changes only the frame's MACs, so the packet with the VIP as destination must reach \
              the real server within one segment. With a router on the way that router gets it, looks at the VIP \
              and sends it back to the Director, until the TTL is used up. Put the real server on the segment, or \
              tunnel to it.",
    causes: "connections to that real server end in a loop between Director and router: `No route to host`",
    source: "net/netfilter/ipvs/ip_vs_xmit.c: ip_vs_dr_xmit (IP_VS_RT_MODE_KNOWN_NH)",
    outranks: &["rs-gw-director", "rs-vip-missing"],
    what: |nodes| format!("on no segment of the Director, which direct routing needs: {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Remote { rip, from, route, service } = deviation.kind else { return None };
    let node = deviation.node;
    let what = format!("{from} reaches {node} ({rip}) by");
    let evidence = vec![match route {
        Some(route) => Evidence::fact(what, route_line(route)),
        None => Evidence::told(format!("{from} and {node} share no segment")),
    }];
    let wanted = diagnosis.world.case.services.iter().flat_map(|s| &s.destinations).find(|d| d.at.ip() == rip);
    let weight = wanted.map_or(1, |d| d.weight);
    let mend = match service {
        ServiceId::Address { protocol, at } if at.is_ipv4() => {
            let (flag, vip, port) = (ipvs_flag(protocol), at.ip(), at.port());
            vec![
                mended(from, Dialect::Ipvsadm, format!("ipvsadm -e {flag} {at} -r {rip}:{port} -i -w {weight}")),
                mended(from, Dialect::Keepalived, format!("in virtual_server {vip} {port}: lb_kind TUN")),
                mended(
                    node,
                    Dialect::Ip,
                    format!(
                        "modprobe ipip; ip link set tunl0 up; ip address add {vip}/32 dev tunl0; \
                             sysctl -w net.ipv4.conf.tunl0.rp_filter=0 net.ipv4.conf.all.rp_filter=0"
                    ),
                ),
            ]
        }
        _ => vec![mended(node, Dialect::ByHand, format!("move {rip} to a segment of {from}"))],
    };
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
