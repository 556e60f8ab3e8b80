//! In whose name a node asks for a next hop: `arp_announce`, and an ARP filter's mangling.

use super::{FAR, RIP, ROUTER, ip, rs1, set, vip_on};
use crate::facts::NodeFacts;
use crate::judge::model::ask::{Question, question};
use crate::judge::testlab::{VIP, carried};

/// The sender of the question for the router that a packet from there gives rise to.
fn sender(source: &str, edit: impl Fn(&mut NodeFacts)) -> String {
    rs1(edit, |place| match question(place, "eth0", ip(ROUTER), ip(source)) {
        Question::Asked { sender, .. } => sender.to_string(),
        Question::Dropped { .. } => "dropped".to_owned(),
        Question::Unknown => "unknown".to_owned(),
    })
}

#[test]
fn arp_announce_by_level_and_by_the_packets_source() {
    let vip = VIP.to_string();
    let vip = vip.as_str();
    // Level, then the sender for a packet from the VIP on lo (in the RIP's subnet), from a VIP of a foreign subnet, from
    // the RIP, and for one that is only passed on. Measured under 6.1 and 6.18; beyond 2 after `arp_solicit()`.
    let table: &[(u32, [&str; 4])] =
        &[(0, [vip, FAR, RIP, RIP]), (1, [vip, RIP, RIP, RIP]), (2, [RIP, RIP, RIP, RIP]), (3, [vip, FAR, RIP, RIP])];
    for (level, senders) in table {
        let edit = |f: &mut NodeFacts| {
            set(f, "all.arp_announce", *level);
            f.addresses.push(carried("lo", &format!("{FAR}/32"), None));
        };
        for (source, wanted) in [vip, FAR, RIP, "203.0.113.2"].iter().zip(senders) {
            assert_eq!(sender(source, edit), *wanted, "level {level}, packet from {source}");
        }
    }
}

#[test]
fn the_larger_of_all_and_the_egress_device_counts_and_lo_never() {
    let vip = VIP.to_string();
    for (all, eth0, lo, wanted) in [(0, 0, 2, vip.as_str()), (2, 0, 0, RIP), (0, 2, 0, RIP), (1, 2, 0, RIP)] {
        let edit = |f: &mut NodeFacts| {
            for (device, value) in [("all", all), ("eth0", eth0), ("lo", lo)] {
                set(f, &format!("{device}.arp_announce"), value);
            }
        };
        assert_eq!(sender(&vip, edit), wanted, "all {all}, eth0 {eth0}, lo {lo}");
    }
}

#[test]
fn the_first_primary_address_around_the_next_hop_is_chosen() {
    let vip = VIP.to_string();
    let before_the_rip = |length: u8, flag: &'static str| {
        move |f: &mut NodeFacts| {
            vip_on(f, "eth0", length, "global");
            let mut vip = f.addresses.pop().unwrap();
            vip.flags.push(flag.into());
            f.addresses.insert(0, vip);
        }
    };
    // With its subnet's mask it is the first that fits; alone in its prefix it does not fit; a secondary is not looked at.
    assert_eq!(sender(RIP, before_the_rip(16, "noprefixroute")), vip);
    assert_eq!(sender(RIP, before_the_rip(32, "noprefixroute")), RIP);
    assert_eq!(sender(RIP, before_the_rip(16, "secondary")), RIP);
}

#[test]
fn where_none_fits_the_first_primary_of_the_device_is_chosen() {
    let far = |f: &mut NodeFacts| {
        f.addresses.retain(|a| a.interface != "eth0");
        f.addresses.push(carried("eth0", "10.0.0.9/24", None));
        f.addresses.push(carried("eth0", "10.0.1.9/24", None));
    };
    assert_eq!(sender("203.0.113.2", far), "10.0.0.9");
}

#[test]
fn an_arp_filter_mangles_or_drops_the_question() {
    let rule = |rule: &'static str| {
        move |f: &mut NodeFacts| {
            set(f, "all.arp_announce", 0);
            f.arptables = Some(vec![rule.to_owned()]);
        }
    };
    let vip = VIP.to_string();
    let mangle = "-A OUTPUT -s 172.16.0.66 -j mangle --mangle-ip-s 172.16.252.137";
    assert_eq!(sender(&vip, rule(mangle)), RIP);
    assert_eq!(sender(&vip, rule("-A OUTPUT -s 172.16.0.66 -j DROP")), "dropped");
    assert_eq!(sender(&vip, rule("-A INPUT -s 172.16.0.66 -j DROP")), vip);
}

#[test]
fn a_level_that_was_not_read_or_a_device_without_address_is_unknown() {
    assert_eq!(sender(RIP, |f| f.sysctls.retain(|k, _| !k.contains("arp_announce"))), "unknown");
    assert_eq!(sender("203.0.113.2", |f| f.addresses.retain(|a| a.interface != "eth0")), "unknown");
}
