//! `switch-wrong-vlan`: a port is in another VLAN than the others.

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule};
use crate::judge::model::switch::Block;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "switch-wrong-vlan",
    title: "a port of the switch is in another VLAN than the rest of the segment",
    teaches: "A port in the wrong VLAN has link, its host sees no error, and no frame goes from it to the others. ARP \
              for that host is never answered, its own questions neither. Direct routing needs Director and real \
              servers in one VLAN, since only the MAC leads from one to the other. Put the port into the right VLAN. \
              Trap: a router between the VLANs that answers by proxy ARP makes it look reachable.",
    causes: "nobody on the segment reaches that host: its share of connections fails",
    source: "IEEE 802.1Q section 8.6; net/bridge/br_vlan.c: br_allowed_ingress, br_allowed_egress",
    outranks: &[],
    what: |nodes| format!("a port is in another VLAN than the rest of its segment, on the {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Blocked { port, why: Block::Vlan { from: near, to: far }, from, to, sent } = deviation.kind else {
        return None;
    };
    let mut evidence: Vec<Evidence> = diagnosis.vanished(from, to, sent).into_iter().collect();
    let both = diagnosis.world.switch().iter().filter(|p| p.node == *from || p.node == *to);
    let shown = both.filter_map(|p| {
        Some(Evidence::fact(format!("the port of {}", p.node), format!("port {} vlan {}", p.name, p.vlan?)))
    });
    evidence.extend(shown);
    let wrong = port.vlan?;
    let right = if wrong == near { far } else { near };
    let name = &port.name;
    let mend = vec![
        mended(
            deviation.node,
            Dialect::Ip,
            format!("bridge vlan del dev {name} vid {wrong} && bridge vlan add dev {name} vid {right} pvid untagged"),
        ),
        mended(&port.node, Dialect::ByHand, format!("on the switch: switchport access vlan {right}")),
    ];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
