//! `virt-arp-guard`: the port drops ARP in which the sender is not its own address.

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule};
use crate::facts::LooksAt;
use crate::judge::model::switch::Block;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "virt-arp-guard",
    title: "a hypervisor's or switch's port drops ARP that speaks of the VIP",
    teaches: "ARP guards (Neutron's port security, dynamic ARP inspection) compare the sender's address in each ARP \
              packet with those that belong to the port. The Director's answer to who-has for the VIP has the VIP as \
              sender: it leaves the Director and gets to nobody, gratuitous ARP neither. Allow the VIP at the ports \
              of all Directors. Trap: with the VIP allowed on one of them only, everything works until the failover.",
    causes: "nobody can resolve the VIP: `No route to host` for everyone",
    source: "RFC 826; OpenStack Networking: allowed-address-pairs",
    outranks: &[],
    what: |nodes| format!("ARP that says where the VIP is is dropped at a port of the {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Blocked { port, why: Block::Filter { filter, address }, from, to, sent } = deviation.kind else {
        return None;
    };
    if filter.looks_at != LooksAt::ArpSender {
        return None;
    }
    let mut evidence: Vec<Evidence> = diagnosis.vanished(from, to, sent).into_iter().collect();
    let lines = port.lines().into_iter().filter(|l| l.contains(filter.looks_at.name()));
    evidence.extend(lines.map(|l| Evidence::fact(format!("{address} does not pass at the port of {}", port.node), l)));
    let pair = format!("openstack port set --allowed-address ip-address={address} PORT");
    let lift = format!("tc filter del dev {} ingress protocol arp pref {}", port.name, filter.looks_at.preference());
    let mend = vec![
        mended(deviation.node, Dialect::Ip, lift),
        mended(&port.node, Dialect::ByHand, pair),
    ];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
