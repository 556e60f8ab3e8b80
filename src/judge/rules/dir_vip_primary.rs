//! `dir-vip-primary`: the Director asks for its real servers in the VIP's name.

use super::diagnosis::Diagnosis;
use super::diagnosis::mended;
use super::{Affliction, Rule};
use crate::judge::host::address_line;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "dir-vip-primary",
    title: "the VIP is the Director's primary address",
    teaches: "The sender of an ARP question is the first address of the interface whose prefix holds the target. \
              Where the VIP with the subnet's mask was added before the DIP, or there is no DIP, the Director asks \
              in the VIP's name, and a real server, which has the VIP itself, ignores a question from its own \
              address without a word. Add the DIP first, and the VIP as /32. arp_announce=2 does not help: the VIP \
              is the primary address.",
    causes: "no real server answers the Director's questions; every connection fails, health checks too",
    source: "net/ipv4/devinet.c: inet_select_addr; net/ipv4/arp.c: arp_process (ip_route_input refuses its own \
              address)",
    outranks: &[],
    what: |nodes| format!("real servers are asked for in the VIP's name by {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::AsksInVain { sender, next_hop, of } = deviation.kind else { return None };
    let interface = deviation.interface?;
    let facts = diagnosis.facts(deviation.node)?;
    let vip = facts.addresses.iter().find(|a| a.address.addr() == sender && a.interface == *interface)?;
    let asks = format!("{} asks who has {next_hop} with {sender} as sender, which {of} has too", deviation.node);
    let mut evidence = vec![Evidence::fact(asks, address_line(vip))];
    evidence.extend(diagnosis.address_shown(of, sender));
    let command =
        format!("ip address del {} dev {interface} && ip address add {}/32 dev {interface}", vip.address, sender);
    let secondary =
        facts.addresses.iter().filter(|a| a.interface == *interface && a.flags.iter().any(|f| f == "secondary"));
    let again: Vec<String> =
        secondary.map(|a| format!(" && (ip address add {} dev {interface} || true)", a.address)).collect();
    let mend = vec![mended(deviation.node, Dialect::Ip, command + &again.concat())];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
