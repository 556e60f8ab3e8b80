//! `virt-pvlan`: ports are isolated from each other.

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule};
use crate::judge::model::switch::Block;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "virt-pvlan",
    title: "the switch isolates the ports of Director and real servers from each other",
    teaches: "A private VLAN, client isolation or a hypervisor's port isolation lets each port talk to the uplink and \
              to no other isolated port. The router reaches all hosts, and they look fine from there; but direct \
              routing needs the Director to hand frames to real servers, and those ports do not pass them. Put \
              Director and real servers into one community, or take isolation off. Trap: a router that does local \
              proxy ARP makes ping between the hosts work, through itself, and direct routing still does not.",
    causes: "the Director cannot resolve or reach the real servers: `No route to host`",
    source: "RFC 5517 (private VLANs); net/bridge/br_forward.c: should_deliver (BR_ISOLATED)",
    outranks: &[],
    what: |nodes| format!("ports of Director and real servers are isolated from each other, on the {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Blocked { port, why: Block::Isolated, from, to, sent } = deviation.kind else { return None };
    let mut evidence: Vec<Evidence> = diagnosis.vanished(from, to, sent).into_iter().collect();
    let both = diagnosis.world.switch().iter().filter(|p| p.isolated && (p.node == *from || p.node == *to));
    evidence
        .extend(both.map(|p| Evidence::fact(format!("the port of {}", p.node), format!("port {} isolated", p.name))));
    let mend = vec![
        mended(deviation.node, Dialect::Ip, format!("bridge link set dev {} isolated off", port.name)),
        mended(&port.node, Dialect::ByHand, "put the ports of Director and real servers into one community VLAN"),
    ];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
