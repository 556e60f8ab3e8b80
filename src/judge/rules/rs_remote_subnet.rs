//! `rs-remote-subnet`: a real server for direct routing is not on the Director's segment.

use super::diagnosis::Diagnosis;
use super::diagnosis::mended;
use super::{Affliction, Rule, ways};
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
    let services = diagnosis.facts(from)?.ipvs.iter().flat_map(|i| &i.services);
    let id = ways::service(service);
    // The others serve until it is moved, where there are others.
    let remote = |at: std::net::IpAddr| {
        let mut all = diagnosis.predicted.deviations.iter();
        all.any(|d| matches!(d.kind, Kind::Remote { rip, service: of, .. } if rip == at && of == service))
    };
    let all = diagnosis.facts(from)?.ipvs.iter().flat_map(|i| &i.services).filter(|s| s.service == service);
    let others = all.flat_map(|s| &s.destinations).any(|d| !remote(d.at.ip()));
    let mut mend = Vec::new();
    for to in services.filter(|s| s.service == service).flat_map(|s| &s.destinations).filter(|d| d.at.ip() == rip) {
        if others {
            mend.push(mended(from, Dialect::Ipvsadm, format!("ipvsadm -d {id} -r {}", to.at)));
        }
        mend.push(mended(
            node,
            Dialect::ByHand,
            format!(
                "move {rip} to a segment of {from}, then on {from}: ipvsadm -a {id} -r {} -g -w {}",
                to.at, to.weight
            ),
        ));
        if let ServiceId::Address { at, .. } = service
            && at.is_ipv4()
        {
            let vip = at.ip();
            mend.push(mended(
                node,
                Dialect::ByHand,
                format!(
                    "or by tunnel: modprobe ipip; ip link set tunl0 up; ip address replace {vip}/32 dev tunl0; \
                     sysctl -w net.ipv4.conf.tunl0.rp_filter=0 net.ipv4.conf.all.rp_filter=0; \
                     then on {from}: ipvsadm -a {id} -r {} -i -w {}",
                    to.at, to.weight
                ),
            ));
        }
    }
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
