//! `switch-mac-moved`: the switch knows a MAC at another port and does not let it move.

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule};
use crate::judge::model::switch::Block;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "switch-mac-moved",
    title: "the switch does not let a MAC move to another port",
    teaches: "Port security with sticky MACs, or static entries in the switch's table, bind a MAC to the port where \
              it was first seen. A virtual MAC of VRRP moves with the VIP when the other Director takes over: at the \
              new port its frames are dropped, and what is sent to it still goes to the old one. Take the virtual MAC \
              out of port security on all Directors' ports. Trap: nothing shows it before the first failover.",
    causes: "after a failover nobody reaches the VIP, although the new Director does everything right",
    source: "IEEE 802.1D section 7.9 (static entries); net/bridge/br_input.c: br_handle_frame_finish (BR_PORT_LOCKED)",
    outranks: &[],
    what: |nodes| format!("a MAC that moved is dropped at its new port, on the {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Blocked { port, why: Block::Locked { mac, elsewhere: Some(old) }, from, to, sent } = deviation.kind
    else {
        return None;
    };
    let mut evidence: Vec<Evidence> = diagnosis.vanished(from, to, sent).into_iter().collect();
    for one in [old, port] {
        let lines = one.lines().into_iter().filter(|l| l.contains("source-mac"));
        evidence.extend(lines.map(|l| Evidence::fact(format!("the port of {}", one.node), l)));
    }
    let mend = vec![
        mended(deviation.node, Dialect::Ip, format!("bridge fdb replace {mac} dev {} master static", port.name)),
        mended(&port.node, Dialect::ByHand, "on the switch: no switchport port-security mac-address sticky"),
    ];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
