//! `ha-peer-loop`: a Director that stands by balances what the active one hands it as a real server.

use std::net::SocketAddr;

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule};
use crate::base::ServiceId;
use crate::judge::model::{Deviation, Kind};
use crate::judge::traffic::Way;
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "ha-peer-loop",
    title: "a real server balances what the Director sends it once more",
    teaches: "A Director that stands by and is a real server as well has the VIP and the same virtual service. IPVS \
              looks at every packet for the VIP that comes in and cannot know that it was balanced before: it chooses \
              again, and may choose the one that it came from. The packet goes to and fro, one off its TTL each time, \
              until the last one says time exceeded. Have the table on the active Director only (keepalived's notify \
              scripts). Trap: net.ipv4.vs.backup_only=1 would do, but is only heeded while the backup sync daemon \
              runs. With sh and the same order of real servers both choose the same, and there is no loop.",
    causes: "a fixed share of connections ends in a loop: `No route to host`, with a burst of frames",
    source: "net/netfilter/ipvs/ip_vs_core.c: ip_vs_in_hook; Documentation/networking/ipvs-sysctl.rst: backup_only",
    outranks: &[],
    what: |nodes| format!("what the Director sends is balanced once more, by {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::BalancesAgain { service, from } = deviation.kind else { return None };
    let node = deviation.node;
    let to: Vec<String> = service.destinations.iter().map(|d| d.at.to_string()).collect();
    let mut evidence = vec![Evidence::fact(
        format!("{node} is a real server of {from} and holds the service as well"),
        format!("{} {} -> {}", service.service, service.scheduler, to.join(", ")),
    )];
    evidence.extend(looping(diagnosis, deviation));
    let mut mend = match service.service {
        ServiceId::Address { protocol, at } => {
            let flag = super::ipvs_service_missing::ipvs_flag(protocol);
            vec![mended(node, Dialect::Ipvsadm, format!("ipvsadm -D {flag} {at}"))]
        }
        ServiceId::Fwmark { mark, .. } => vec![mended(node, Dialect::Ipvsadm, format!("ipvsadm -D -f {mark}"))],
    };
    mend.push(mended(node, Dialect::Keepalived, "notify_backup \"/sbin/ipvsadm -C\", and the table in notify_master"));
    let daemon = "ipvsadm --start-daemon backup --mcast-interface eth0 && sysctl -w net.ipv4.vs.backup_only=1";
    mend.push(mended(node, Dialect::Ipvsadm, daemon));
    Some(Diagnosis::afflict(deviation, evidence, mend))
}

/// The frame in which a packet leaves the node that it came to as to a real server.
fn looping<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Evidence> {
    let Kind::BalancesAgain { from, .. } = deviation.kind else { return None };
    let trace = diagnosis.traffic.input.trace;
    diagnosis.traffic.requests().find_map(|(packet, _)| {
        let at = |way: Way| packet.hops.iter().filter(move |h| h.way == way && h.station.node == *deviation.node);
        let first = at(Way::Enters).next()?;
        let handed = diagnosis.world.case.owners(first.frame.decoded.source).iter().any(|(s, _)| s.node == *from);
        let out = at(Way::Leaves).find(|h| handed && h.frame.number > first.frame.number)?;
        let client: SocketAddr = packet.source;
        let what = format!("the packet of {client} that {from} handed to {} leaves it again", deviation.node);
        Some(Evidence::frame(trace, out.frame, what))
    })
}
