//! A node that asks for a VIP which is its own address: it never leaves the node as it should.
//!
//! On a Director IPVS takes the packet up at `LOCAL_OUT` and sends it on, with the VIP as its source where the client chose
//! none; elsewhere the node serves itself.

use super::director::{Decision, decide};
use super::local::local;
use super::walk::Packet;
use super::{Kind, Place, Predicted};

/// Notes what becomes of a packet that the node sends to itself.
pub(super) fn asks<'a>(place: Place<'a>, packet: Packet, predicted: &mut Predicted<'a>) {
    if local(place.facts, packet.target.ip()).is_none() {
        return;
    }
    let balanced = match decide(&place, packet.protocol, packet.target) {
        Decision::Balanced(service) => {
            let away = service.destinations.iter().filter(|d| d.weight > 0 && local(place.facts, d.at.ip()).is_none());
            if away.count() == 0 {
                return;
            }
            true
        }
        Decision::Unmarked { .. } | Decision::Unknown | Decision::Unread => false,
    };
    predicted.note(place.node(), None, Kind::OwnClient { at: packet.target, balanced });
}
