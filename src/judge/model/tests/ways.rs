//! What is local, which route is taken, whose source is believed.

use super::{FAR, RIP, ROUTER, ip, node, rs1, set, vip_on};
use crate::facts::NodeFacts;
use crate::judge::model::answer::forwards;
use crate::judge::model::local::{Local, local, usable};
use crate::judge::model::route::{Way, lookup};
use crate::judge::model::source::{Refusal, refusal};
use crate::judge::testlab::{VIP, carried, route};

#[test]
fn an_address_is_local_by_itself_by_a_prefix_on_lo_or_by_a_route() {
    let kind = |address: &str, edit: fn(&mut NodeFacts)| {
        rs1(edit, |place| match local(place.facts, ip(address)) {
            None => "no",
            Some(Local::Address(_)) => "address",
            Some(Local::Prefix(_)) => "prefix",
            Some(Local::Route(_)) => "route",
        })
    };
    let vip = VIP.to_string();
    assert_eq!(kind(&vip, |_| {}), "address");
    assert_eq!(kind(RIP, |_| {}), "address");
    // The subnet of eth0 is not local; the same mask on lo is (`fib_add_ifaddr`).
    assert_eq!(kind("172.16.0.200", |_| {}), "no");
    assert_eq!(kind("172.16.0.200", |f| vip_on(f, "lo", 24, "global")), "prefix");
    assert_eq!(kind("172.16.0.200", |f| vip_on(f, "dummy0", 24, "global")), "no");
    let routed = |f: &mut NodeFacts| {
        let mut all = route("198.51.100.0/24", None, "lo");
        all.kind = "local".into();
        f.routes.push(all);
    };
    assert_eq!(kind(FAR, routed), "route");
    assert_eq!(kind("2001:db8::2", |f| f.addresses.push(carried("lo", "2001:db8::1/64", None))), "no");
}

#[test]
fn an_address_on_trial_is_not_local() {
    for (flag, wanted) in [("permanent", true), ("tentative", false), ("dadfailed", false), ("optimistic", true)] {
        let mut address = carried("eth0", "2001:db8::66/128", None);
        address.flags = vec![flag.into()];
        assert_eq!(usable(&address), wanted, "{flag}");
    }
}

#[test]
fn the_local_table_comes_first_then_the_longest_prefix_then_the_metric() {
    let way = |to: &str, edit: fn(&mut NodeFacts)| {
        rs1(edit, |place| match lookup(place.facts, ip(to)) {
            Way::Here(_) => "here".to_owned(),
            Way::By(route) => route.gateway.map_or_else(|| "direct".to_owned(), |g| g.to_string()),
            Way::Nowhere(Some(route)) => route.kind.clone(),
            Way::Nowhere(None) => "nowhere".to_owned(),
        })
    };
    let vip = VIP.to_string();
    assert_eq!(way(&vip, |f| f.routes.push(route("172.16.0.66/32", Some("172.16.9.9"), "eth0"))), "here");
    assert_eq!(way("172.16.1.1", |_| {}), "direct");
    assert_eq!(way(FAR, |_| {}), ROUTER);
    assert_eq!(way(FAR, |f| f.routes.push(route("198.51.100.0/24", Some("172.16.9.9"), "eth0"))), "172.16.9.9");
    assert_eq!(way(FAR, |f| f.routes.clear()), "nowhere");
    let refused = |f: &mut NodeFacts| {
        let mut route = route("198.51.100.0/24", None, "eth0");
        route.kind = "unreachable".into();
        f.routes.push(route);
    };
    assert_eq!(way(FAR, refused), "unreachable");
    let costly = |f: &mut NodeFacts| {
        let mut cheap = route("0.0.0.0/0", Some("172.16.9.9"), "eth0");
        cheap.metric = 100;
        f.routes.push(cheap);
    };
    assert_eq!(way(FAR, costly), ROUTER);
    let other_table = |f: &mut NodeFacts| {
        let mut other = route("198.51.100.0/24", Some("172.16.9.9"), "eth0");
        other.table = "100".into();
        f.routes.push(other);
    };
    assert_eq!(way(FAR, other_table), ROUTER);
}

#[test]
fn rp_filter_by_level_and_by_the_way_back() {
    // Level (the larger of all and eth0), then whether a source is refused whose way back leaves by eth0, leaves
    // elsewhere, and does not exist.
    for (all, eth0, [same, elsewhere, none]) in [
        (0, 0, [false, false, false]),
        (1, 0, [false, true, true]),
        (0, 1, [false, true, true]),
        (2, 0, [false, false, true]),
        (1, 2, [false, false, true]),
    ] {
        let refused = |edit: fn(&mut NodeFacts)| {
            let levels = move |f: &mut NodeFacts| {
                edit(f);
                set(f, "all.rp_filter", all);
                set(f, "eth0.rp_filter", eth0);
            };
            rs1(levels, |place| refusal(place.facts, "eth0", ip(FAR)).is_some())
        };
        assert_eq!(refused(|_| {}), same, "all {all}, eth0 {eth0}");
        assert_eq!(refused(|f| f.routes.push(route("198.51.100.0/24", None, "eth1"))), elsewhere, "{all} {eth0}");
        assert_eq!(refused(|f| f.routes.clear()), none, "no way back: {all} {eth0}");
    }
}

#[test]
fn an_own_address_as_source_is_refused_unless_accept_local_is_set() {
    let of = |source: &str, edit: fn(&mut NodeFacts)| {
        rs1(edit, |place| matches!(refusal(place.facts, "eth0", ip(source)), Some(Refusal::Own(_))))
    };
    let vip = VIP.to_string();
    assert!(of(&vip, |_| {}));
    assert!(!of(&vip, |f| set(f, "all.accept_local", 1)));
    assert!(!of(&vip, |f| set(f, "eth0.accept_local", 1)));
    assert!(of(&vip, |f| set(f, "lo.accept_local", 1)));
    // A prefix on lo is met only where a route is looked up at all: without rp_filter addresses alone are compared.
    assert!(!of("172.16.0.200", |f| vip_on(f, "lo", 24, "global")));
    assert!(of("172.16.0.200", |f| {
        vip_on(f, "lo", 24, "global");
        set(f, "all.rp_filter", 1);
    }));
}

#[test]
fn forwarding_is_the_ingress_devices_own() {
    let of = |edit: fn(&mut NodeFacts)| node("router", edit, |place| forwards(place, "eth0"));
    assert!(of(|_| {}));
    assert!(!of(|f| set(f, "eth0.forwarding", 0)));
    assert!(of(|f| set(f, "eth1.forwarding", 0)));
    let single = |f: &mut NodeFacts| {
        f.sysctls.retain(|k, _| !k.ends_with("forwarding"));
        f.sysctls.insert("net.ipv4.ip_forward".into(), "1".into());
    };
    assert!(of(single));
    assert!(!of(|f| f.sysctls.clear()));
}
