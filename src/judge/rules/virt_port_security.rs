//! `virt-port-security`: the port of a real server drops packets whose source is not its own address.

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule};
use crate::facts::LooksAt;
use crate::judge::model::switch::Block;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "virt-port-security",
    title: "a hypervisor's or switch's port drops packets from the VIP",
    teaches: "Virtual switches (Neutron, Calico, VMware, libvirt's clean-traffic) and IP source guard on real ones \
              let a port send only with the addresses that they know it by. The reply of direct routing comes from \
              the VIP, which is not among them: it leaves the real server and is on no wire after that. Allow the VIP \
              on the ports of all real servers (allowed address pairs), or switch the check off there. Trap: the \
              Director's own port needs the VIP allowed as well, or it cannot answer ARP.",
    causes: "the real server answers and nobody ever hears it: connections time out",
    source: "OpenStack Networking: allowed-address-pairs; RFC 2827",
    outranks: &[],
    what: |nodes| format!("packets from the VIP are dropped at the port of a real server, on the {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Blocked { port, why: Block::Filter { filter, address }, from, to, sent } = deviation.kind else {
        return None;
    };
    if filter.looks_at == LooksAt::ArpSender {
        return None;
    }
    let mut evidence: Vec<Evidence> = diagnosis.vanished(from, to, sent).into_iter().collect();
    let lines = port.lines().into_iter().filter(|l| l.contains(filter.looks_at.name()));
    evidence.extend(lines.map(|l| Evidence::fact(format!("{address} does not pass at the port of {}", port.node), l)));
    let way = if filter.looks_at == LooksAt::SourceIp { "ingress" } else { "egress" };
    let lift = format!("tc filter del dev {} {way} protocol ip pref {}", port.name, filter.looks_at.preference());
    let pair = format!("openstack port set --allowed-address ip-address={address} PORT");
    let mend = vec![
        mended(deviation.node, Dialect::Ip, lift),
        mended(&port.node, Dialect::ByHand, pair),
    ];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
