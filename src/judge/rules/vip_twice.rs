//! `vip-twice`: a host that has nothing to do with the service has the VIP.

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule};
use crate::judge::host::Host;
use crate::judge::model::answer::Because;
use crate::judge::model::local::Local;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "vip-twice",
    title: "a host of the segment that is no part of the service has the VIP",
    teaches: "An address can be typed into any host. One that has the VIP answers who-has for it as the Director \
              does, and whoever asks keeps the first answer of the second. Nothing on the Director or on a real \
              server shows it: only the answers on the wire do, by their MAC. Take the address off that host; until \
              it is found, the switch's table of MACs tells its port. Trap: sysctls on real servers are no cure, for \
              it is none of them.",
    causes: "who heard that host sends it what is for the VIP: connections are refused or time out",
    source: "RFC 5227 section 1 (address conflicts); net/ipv4/arp.c: arp_process",
    outranks: &["rs-arp-cache-survives-fix"],
    what: |nodes| format!("the VIP is on a host that is neither Director nor real server: {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Answers { asked, because: Because::Own(Local::Address(_)) } = deviation.kind else { return None };
    let node = deviation.node;
    if !diagnosis.world.case.is_vip(asked) || diagnosis.is_server(node) || diagnosis.is_director(node) {
        return None;
    }
    let evidence: Vec<Evidence> = diagnosis.address_shown(node, asked);
    let carried = Host(diagnosis.facts(node)?).carries(asked);
    let mend = carried.flat_map(|a| {
        let (address, device) = (a.address, &a.interface);
        [
            mended(node, Dialect::Ip, format!("ip address del {address} dev {device}")),
            mended(node, Dialect::NetTools, format!("ifconfig {} down", a.label.as_deref().unwrap_or(device.as_str()))),
        ]
    });
    Some(Diagnosis::afflict(deviation, evidence, mend.collect()))
}
