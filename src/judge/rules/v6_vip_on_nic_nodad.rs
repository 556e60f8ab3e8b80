//! `v6-vip-on-nic-nodad`: the IPv6 VIP is on the interface that hears the solicitations.

use super::diagnosis::Diagnosis;
use super::{Affliction, Rule, ways};
use crate::judge::Evidence;
use crate::judge::model::answer::Because;
use crate::judge::model::{Deviation, Kind};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "v6-vip-on-nic-nodad",
    title: "the IPv6 VIP is on the real server's network interface",
    teaches: "A neighbour solicitation is answered for addresses of the interface that it came in by. With the VIP \
              on eth0 and duplicate address detection off (nodad) Director and real servers all advertise it, and \
              the last one to speak gets the traffic. On lo it is neither advertised nor does it need nodad.",
    causes: "the real server competes with the Director for the VIP; who wins gets all connections of that router \
              or client",
    source: "net/ipv6/ndisc.c: ndisc_recv_ns; RFC 4861 section 7.2.4",
    outranks: &[],
    what: |nodes| format!("the IPv6 VIP is on the interface that hears solicitations for it, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Answers { asked, because: Because::Own(own) } = &deviation.kind else { return None };
    if asked.is_ipv4() {
        return None;
    }
    let evidence = vec![Evidence::fact(format!("{} takes {asked} for its own", deviation.node), own.line())];
    let mut mend = diagnosis.misplaced(deviation, *asked).map_or_else(Vec::new, |a| ways::to_lo(deviation.node, a));
    mend.extend(ways::forget(diagnosis, *asked));
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
