//! `virt-ipvlan`: real servers on ipvlan share one MAC.

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "virt-ipvlan",
    title: "real servers on ipvlan share the MAC of their host",
    teaches: "All ipvlan interfaces of a host have its MAC; which of them gets a packet is told by the destination \
              address, which must be on that very interface. Direct routing changes nothing but the MAC: the packet \
              comes in with the VIP as destination, no ipvlan has that (the containers have it on lo), and the host \
              takes the packet for its own and drops it. Use macvlan, where every container has a MAC of its own, or \
              a tunnel. Trap: the VIP on the ipvlan interface itself works for one container at most, since the host \
              keeps one owner for each address, and that one answers ARP for it.",
    causes: "what the Director sends to these real servers ends on their host: connections time out",
    source: "drivers/net/ipvlan/ipvlan_core.c: ipvlan_handle_mode_l2, ipvlan_addr_lookup",
    outranks: &[],
    what: |nodes| format!("packets for the VIP find no ipvlan interface that has it, for {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Unheard { vip } = deviation.kind else { return None };
    let (place, interface) = (diagnosis.place(deviation)?, deviation.interface?);
    let mac = place.link(interface.as_str())?.mac?;
    let node = deviation.node;
    let case = diagnosis.world.case;
    let sharing: Vec<String> = case.owners(mac).iter().map(|(s, p)| format!("{}:{}", s.node, p.interface)).collect();
    let mut evidence = vec![Evidence::fact(
        format!("{} have one MAC", sharing.join(", ")),
        format!("link {interface} mac {mac}, ipvlan"),
    )];
    evidence.extend(diagnosis.address_shown(node, vip));
    let trace = diagnosis.traffic.input.trace;
    let handed = diagnosis.traffic.requests().filter(|(p, _)| p.destination.ip() == vip).find_map(|(packet, _)| {
        packet.exit(|s| diagnosis.traffic.is_director(s)).filter(|h| h.frame.decoded.destination == mac)
    });
    evidence.extend(handed.map(|h| Evidence::frame(trace, h.frame, format!("handed to {mac} with destination {vip}"))));
    let macvlan = format!("ip link add link eth0 name {interface} netns {node} type macvlan mode bridge");
    let mend = vec![
        mended(node, Dialect::ByHand, format!("on its host, in place of the ipvlan: {macvlan}")),
        mended(node, Dialect::ByHand, "or reach it by tunnel: ipvsadm -e … -i on the Director"),
    ];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
