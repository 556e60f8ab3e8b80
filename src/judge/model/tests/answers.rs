//! Who answers who-has for what: `arp_ignore`, `arp_filter`, sources that are refused, proxies.

use super::{FAR, RIP, ROUTER, ip, node, rs1, set, vip_on};
use crate::facts::NodeFacts;
use crate::judge::model::answer::{Answer, Because, Silence, answer};
use crate::judge::model::local::Local;
use crate::judge::model::source::Refusal;
use crate::judge::testlab::{VIP, carried, route};

fn answers(target: &str, sender: &str, edit: impl Fn(&mut NodeFacts)) -> bool {
    rs1(edit, |place| match answer(place, "eth0", ip(target), ip(sender)) {
        Answer::Yes(_) => true,
        Answer::No(_) => false,
        Answer::Unknown => panic!("the facts suffice"),
    })
}

#[test]
fn arp_ignore_by_level_and_by_where_the_vip_is() {
    // Level, then whether the VIP is answered for: on lo, on lo with scope host, on a dummy, on eth0, and on eth0 with an
    // asker of another subnet; then the RIP. Measured under 6.1 and 6.18; levels beyond 8 after `arp_ignore()`.
    let table: &[(u32, [bool; 6])] = &[
        (0, [true, true, true, true, true, true]),
        (1, [false, false, false, true, true, true]),
        (2, [false, false, false, true, false, true]),
        (3, [true, false, true, true, true, true]),
        (4, [true, true, true, true, true, true]),
        (5, [true, true, true, true, true, true]),
        (6, [true, true, true, true, true, true]),
        (7, [true, true, true, true, true, true]),
        (8, [false, false, false, false, false, false]),
        (9, [true, true, true, true, true, true]),
    ];
    let vip = VIP.to_string();
    for (level, [on_lo, host, dummy, nic, far, rip]) in table {
        let with = |device: &'static str, scope: &'static str| {
            move |f: &mut NodeFacts| {
                set(f, "all.arp_ignore", *level);
                vip_on(f, device, 32, scope);
            }
        };
        assert_eq!(answers(&vip, ROUTER, with("lo", "global")), *on_lo, "lo, level {level}");
        assert_eq!(answers(&vip, ROUTER, with("lo", "host")), *host, "lo of scope host, level {level}");
        assert_eq!(answers(&vip, ROUTER, with("dummy0", "global")), *dummy, "dummy, level {level}");
        assert_eq!(answers(&vip, ROUTER, with("eth0", "global")), *nic, "eth0, level {level}");
        assert_eq!(answers(&vip, FAR, with("eth0", "global")), *far, "eth0, asked from afar, level {level}");
        assert_eq!(answers(RIP, ROUTER, with("lo", "global")), *rip, "RIP, level {level}");
    }
}

#[test]
fn the_larger_of_all_and_the_ingress_device_counts_and_lo_and_default_never() {
    let table: &[(u32, u32, u32, u32, bool)] =
        &[(0, 0, 1, 1, true), (1, 0, 0, 0, false), (0, 1, 0, 0, false), (8, 1, 0, 0, false), (1, 5, 0, 0, true)];
    for (all, eth0, lo, default, answered) in table {
        let edit = |f: &mut NodeFacts| {
            for (device, value) in [("all", all), ("eth0", eth0), ("lo", lo), ("default", default)] {
                set(f, &format!("{device}.arp_ignore"), *value);
            }
        };
        assert_eq!(answers(&VIP.to_string(), ROUTER, edit), *answered, "all {all}, eth0 {eth0}");
    }
}

#[test]
fn a_level_that_was_not_read_is_unknown() {
    let edit = |f: &mut NodeFacts| f.sysctls.retain(|k, _| !k.contains("arp_ignore"));
    rs1(edit, |place| assert_eq!(answer(place, "eth0", VIP.into(), ip(ROUTER)), Answer::Unknown));
}

#[test]
fn arp_ignore_2_keeps_a_director_silent_about_a_foreign_vip() {
    let edit = |f: &mut NodeFacts| {
        set(f, "all.arp_ignore", 2);
        f.addresses.push(carried("eth0", "198.51.100.66/32", None));
    };
    node("director", edit, |place| {
        let silent = Answer::No(Silence::Ignored(2));
        assert_eq!(answer(place, "eth0", ip("198.51.100.66"), ip(ROUTER)), silent);
        // The VIP of the segment's own subnet is in the DIP's prefix, as the asker is.
        assert!(matches!(answer(place, "eth0", VIP.into(), ip(ROUTER)), Answer::Yes(_)));
    });
}

#[test]
fn a_whole_prefix_on_lo_is_answered_for() {
    let wide = |f: &mut NodeFacts| {
        set(f, "all.arp_ignore", 0);
        vip_on(f, "lo", 24, "global");
    };
    rs1(wide, |place| {
        let said = answer(place, "eth0", ip("172.16.0.200"), ip(ROUTER));
        assert!(matches!(said, Answer::Yes(Because::Own(Local::Prefix(_)))), "{said:?}");
        assert_eq!(answer(place, "eth0", ip("172.16.1.1"), ip(ROUTER)), Answer::No(Silence::NotOwn));
    });
}

#[test]
fn a_question_in_the_name_of_an_own_address_is_not_answered() {
    rs1(
        |_| {},
        |place| {
            let said = answer(place, "eth0", ip(RIP), VIP.into());
            assert!(matches!(said, Answer::No(Silence::Refused(Refusal::Own(_)))), "{said:?}");
        },
    );
    assert!(answers(RIP, &VIP.to_string(), |f| set(f, "eth0.accept_local", 1)));
}

#[test]
fn rp_filter_has_a_say_in_answers() {
    let elsewhere = |level: u32| {
        move |f: &mut NodeFacts| {
            set(f, "all.rp_filter", level);
            f.routes.push(route("172.16.255.254/32", None, "eth1"));
        }
    };
    for (level, answered) in [(0, true), (1, false), (2, true)] {
        assert_eq!(answers(RIP, ROUTER, elsewhere(level)), answered, "rp_filter {level}");
    }
    // A probe for duplicates has no sender to be checked (RFC 5227).
    assert!(answers(RIP, "0.0.0.0", elsewhere(1)));
}

#[test]
fn arp_filter_asks_by_which_interface_the_asker_is_reached() {
    let filter = |device: &'static str, elsewhere: bool| {
        move |f: &mut NodeFacts| {
            set(f, &format!("{device}.arp_filter"), 1);
            if elsewhere {
                f.routes.push(route("172.16.255.254/32", None, "eth1"));
            }
        }
    };
    for (device, elsewhere, answered) in
        [("all", false, true), ("all", true, false), ("eth0", true, false), ("lo", true, true)]
    {
        assert_eq!(answers(RIP, ROUTER, filter(device, elsewhere)), answered, "{device} {elsewhere}");
    }
}

#[test]
fn an_interface_that_is_down_or_does_no_arp_is_silent() {
    let silent = |edit: fn(&mut NodeFacts)| rs1(edit, |p| format!("{:?}", answer(p, "eth0", ip(RIP), ip(ROUTER))));
    assert_eq!(silent(|f| f.links[0].up = false), "No(Down)");
    assert_eq!(silent(|f| f.links[0].carrier = false), "No(Down)");
    assert_eq!(silent(|f| f.links[0].noarp = true), "No(NoArp)");
}

#[test]
fn an_arp_filter_drops_questions_and_answers_by_chain() {
    let rule = |rule: &'static str| move |f: &mut NodeFacts| f.arptables = Some(vec![rule.to_owned()]);
    for (text, answered) in [
        ("-A INPUT -d 172.16.252.137 -j DROP", false),
        ("-A OUTPUT -s 172.16.252.137 -j DROP", false),
        ("-A INPUT -s 172.16.252.137 -j DROP", true),
        ("-A INPUT -i eth1 -d 172.16.252.137 -j DROP", true),
        ("-A OUTPUT -s 172.16.252.137 -j mangle --mangle-ip-s 172.16.9.9", false),
        ("-A INPUT -d 172.16.0.0/24 -j DROP", true),
        ("-A INPUT -d ! 172.16.0.66 -j DROP", false),
    ] {
        assert_eq!(answers(RIP, ROUTER, rule(text)), answered, "{text}");
    }
}

#[test]
fn a_proxy_answers_for_what_it_forwards_to_elsewhere() {
    let proxy = |proxy: u32, forwarding: u32, target: &str| {
        let edit = move |f: &mut NodeFacts| {
            set(f, "eth0.proxy_arp", proxy);
            set(f, "eth0.forwarding", forwarding);
        };
        node("router", edit, |place| answer(place, "eth0", ip(target), ip(RIP)) != Answer::No(Silence::NotOwn))
    };
    assert!(proxy(1, 1, "203.0.113.2"));
    assert!(!proxy(0, 1, "203.0.113.2"));
    assert!(!proxy(1, 0, "203.0.113.2"));
    // What it reaches by the same interface it leaves to those who are there.
    assert!(!proxy(1, 1, "172.16.0.66"));
}

#[test]
fn neighbour_discovery_answers_for_addresses_of_the_interface_that_are_usable() {
    let vip6 = |device: &'static str, flag: &'static str| {
        let edit = move |f: &mut NodeFacts| {
            let mut vip = carried(device, "2001:db8::66/128", None);
            vip.flags = vec![flag.into()];
            f.addresses.push(vip);
        };
        rs1(edit, |place| matches!(answer(place, "eth0", ip("2001:db8::66"), ip("2001:db8::1")), Answer::Yes(_)))
    };
    assert!(vip6("eth0", "nodad"));
    assert!(!vip6("lo", "nodad"));
    assert!(!vip6("eth0", "tentative"));
    assert!(!vip6("eth0", "dadfailed"));
}
