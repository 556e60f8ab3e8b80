//! From a next hop to a MAC: an entry that is there for good, or a question and who answers it.

use std::net::IpAddr;

use super::answer::{Answer, Because, Silence, answer};
use super::ask::{Question, question};
use super::filter::{Fate, Shown, chain};
use super::source::Refusal;
use super::switch::Sent;
use super::{Kind, Place, Predicted, World};
use crate::base::{IfName, NodeName};
use crate::judge::case::StationPort;

/// A next hop that is to be found.
#[derive(Debug, Clone, Copy)]
pub(in crate::judge) struct Sought<'a> {
    /// Who sends.
    pub(in crate::judge) from: Place<'a>,
    /// By which interface.
    pub(in crate::judge) out: &'a StationPort,
    pub(in crate::judge) next_hop: IpAddr,
    /// Who is meant.
    pub(in crate::judge) meant: (Place<'a>, &'a StationPort),
    /// The source of the packet that waits for it.
    pub(in crate::judge) source: IpAddr,
    /// Whether nobody can be told a wrong MAC for the VIPs.
    pub(in crate::judge) immune: bool,
}

/// Notes what keeps the packet from the one who is meant, and what the question does besides.
pub(in crate::judge) fn resolve<'a>(world: &World<'a>, sought: &Sought<'a>, predicted: &mut Predicted<'a>) {
    let Sought { from, out, next_hop, meant: (to, into), source, immune } = *sought;
    let interface: &'a IfName = &out.interface;
    let entry = from.facts.neighbours.iter().find(|n| {
        n.address == next_hop && n.interface == out.interface && matches!(n.state.as_str(), "permanent" | "noarp")
    });
    if let Some(entry) = entry {
        if entry.mac.is_some_and(|mac| mac != into.mac) {
            predicted.note(from.node(), Some(interface), Kind::Bound { entry, meant: to.node(), right: into.mac });
        }
        return;
    }
    if from.link(interface.as_str()).is_some_and(|l| l.noarp) {
        return;
    }
    let sender = match question(&from, interface.as_str(), next_hop, source) {
        Question::Unknown => return,
        Question::Dropped { rule, .. } => {
            return predicted.note(from.node(), Some(interface), Kind::Deafened { next_hop, rule, question: true });
        }
        Question::Asked { sender, level } => {
            let heard = Shown {
                source: Some(next_hop),
                destination: Some(sender),
                into: Some(interface.as_str()),
                operation: Some(2),
                ..Shown::default()
            };
            let rules = from.facts.arptables.as_deref().unwrap_or_default();
            if let Fate::Dropped(rule) = chain(rules, "filter", "INPUT", heard) {
                return predicted.note(
                    from.node(),
                    Some(interface),
                    Kind::Deafened { next_hop, rule, question: false },
                );
            }
            if world.case.is_vip(sender) && !world.speaks_for(&from, sender) && !immune {
                predicted.note(from.node(), Some(interface), Kind::AsksAs { vip: sender, next_hop, level });
            }
            sender
        }
    };
    let question = Sent { from: out.mac, source: sender, destination: next_hop, arp: true };
    let reply = Sent { from: into.mac, source: next_hop, destination: sender, arp: true };
    let (asker, owner) = ((from.node(), out), (to.node(), into));
    if let Some((port, why)) = world.blocked(asker, owner, question) {
        let kind = Kind::Blocked { port, why, from: from.node(), to: to.node(), sent: question };
        predicted.note(world.switch_name(from.node()), Some(&port.name), kind);
    } else if let Some((port, why)) = world.blocked(owner, asker, reply) {
        let kind = Kind::Blocked { port, why, from: to.node(), to: from.node(), sent: reply };
        predicted.note(world.switch_name(from.node()), Some(&port.name), kind);
    }
    if let Answer::No(why) = answer(&to, into.interface.as_str(), next_hop, sender) {
        let own = matches!(&why, Silence::Refused(Refusal::Own(super::local::Local::Address(_))));
        if own && world.case.is_vip(sender) {
            predicted.note(from.node(), Some(interface), Kind::AsksInVain { sender, next_hop, of: to.node() });
        } else {
            let kind = Kind::Silent { asked: next_hop, asker: from.node(), sender, why };
            predicted.note(to.node(), Some(&into.interface), kind);
        }
    }
    others(world, sought, sender, predicted);
}

/// Notes everybody else on the segment who answers as well.
fn others<'a>(world: &World<'a>, sought: &Sought<'a>, sender: IpAddr, predicted: &mut Predicted<'a>) {
    let vip = world.case.is_vip(sought.next_hop);
    for (place, port) in world.on(&sought.out.segment) {
        let node: &NodeName = place.node();
        if node == sought.from.node() || node == sought.meant.0.node() {
            continue;
        }
        if let Answer::Yes(because) = answer(&place, port.interface.as_str(), sought.next_hop, sender) {
            if vip && world.speaks_for(&place, sought.next_hop) {
                let kind = Kind::Rival { vip: sought.next_hop, of: sought.meant.0.node(), because };
                predicted.note(node, Some(&port.interface), kind);
                continue;
            }
            // A proxy that is asked for what it does lead to is somebody's wish.
            if vip || !matches!(because, Because::Proxy(_)) {
                predicted.note(node, Some(&port.interface), Kind::Answers { asked: sought.next_hop, because });
            }
        }
    }
}
