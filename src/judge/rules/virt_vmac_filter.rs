//! `virt-vmac-filter`: the port drops frames with a MAC that is not the machine's own.

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule};
use crate::judge::model::switch::Block;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "virt-vmac-filter",
    title: "a hypervisor's port drops frames from a virtual MAC (VRRP)",
    teaches: "With use_vmac keepalived puts the VIP on a macvlan with VRRP's MAC, 00:00:5e:00:01:xx. A virtual switch \
              that forbids forged transmits or foreign MACs drops all frames from it: the answer to who-has leaves \
              the Director and gets to nobody. Direct routing itself sends from the Director's own MAC and is not \
              concerned. Allow forged transmits and MAC changes on the port, or leave use_vmac out. Trap: promiscuous \
              mode alone lets frames in, not out.",
    causes: "nobody can resolve the VIP: `No route to host` for everyone",
    source: "RFC 5798 section 7.3 (virtual router MAC); net/bridge/br_input.c: br_handle_frame_finish \
             (BR_PORT_LOCKED)",
    outranks: &[],
    what: |nodes| format!("frames from a virtual MAC are dropped at a port of the {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Blocked { port, why: Block::Locked { mac, elsewhere: None }, from, to, sent } = deviation.kind else {
        return None;
    };
    let mut evidence: Vec<Evidence> = diagnosis.vanished(from, to, sent).into_iter().collect();
    let lines = port.lines().into_iter().filter(|l| l.contains("source-mac"));
    evidence.extend(lines.map(|l| Evidence::fact(format!("{mac} does not pass at the port of {}", port.node), l)));
    let mend = vec![
        mended(deviation.node, Dialect::Ip, format!("bridge fdb replace {mac} dev {} master static", port.name)),
        mended(&port.node, Dialect::ByHand, "on the port group: accept forged transmits and MAC address changes"),
        mended(&port.node, Dialect::Keepalived, "in vrrp_instance: leave use_vmac out"),
    ];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
