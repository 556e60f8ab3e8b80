//! How packets get from one to the next: links, addresses, routes, filters, sizes.

use std::net::{IpAddr, SocketAddr};

use super::{
    Four, dual, edit, filters, gateway, iptables, services, sysctls, vip6_on, without, without_director,
    without_router, without_rs1,
};
use crate::judge::rules::tests::clients::{answered, asks, timeout};
use crate::judge::rules::tests::faults::{failed, prefix, second, set, without_default};
use crate::judge::rules::tests::filters::{ESTABLISHED, INVALID, NEW_IS_SYN, POLICY, SERVED};
use crate::judge::rules::tests::sizes::{narrow, tunnelled};
use crate::judge::testlab::{Lab, carried, name, route, tcp};

fn clients_elsewhere(lab: &mut Lab, node: &str, level: u32) {
    edit(lab, node, |f| {
        second(f, "eth9", "10.9.9.9/24", false);
        f.routes.push(route("203.0.113.0/24", None, "eth9"));
        set(f, &[("eth0.rp_filter", level)]);
    });
}

/// rs1 has lost the VIP.
fn without_vip(lab: &mut Lab) {
    edit(lab, "rs1", |f| f.addresses.retain(|a| a.interface != "lo"));
}

/// The Director's health check asks that address of rs1, and is answered.
fn checked(lab: &mut Lab, address: &str) {
    let by = SocketAddr::new(lab.address("director", "lan"), 33_333);
    let at = SocketAddr::new(address.parse().unwrap(), 80);
    lab.unicast("director", "rs1", "lan", tcp(by, at, 901, 70, 2, b""));
    lab.unicast("rs1", "director", "lan", tcp(at, by, 902, 7, 18, b""));
}

const DROP: &str = "-A INPUT -d 172.16.0.66/32 -p tcp -m tcp --dport 80 -j DROP";

const OTHER_PORT: &str = "-A INPUT -d 172.16.0.66/32 -p tcp -m tcp --dport 81 -j DROP";

/// Another address on `eth0` of rs1, and all of its subnet with it.
fn subnet(lab: &mut Lab, address: &str, net: &str) {
    edit(lab, "rs1", |f| {
        f.addresses.push(carried("eth0", address, None));
        f.routes.push(route(net, None, "eth0"));
    });
}

fn takes(lab: &mut Lab, node: &str, mtu: u32) {
    edit(lab, node, |f| f.links.iter_mut().for_each(|l| l.mtu = mtu));
}

/// rs1 is beyond the router, to which the Director does or does not send what is for it.
fn beyond(lab: &mut Lab, proxy_arp: u32) {
    lab.case.stations[3].ports[0].segment = name("front");
    edit(lab, "router", |f| f.routes.push(route("172.16.252.137/32", None, "eth1")));
    sysctls(lab, "router", &[("eth0.proxy_arp", proxy_arp)]);
}

#[rustfmt::skip]
pub(super) const FOURS: &[Four] = &[
    Four { rule: "link-down", run: failed,
        broken: |l| edit(l, "rs1", |f| f.links[0].up = false), unread: without_rs1,
        near: |l| edit(l, "rs1", |f| { second(f, "eth9", "10.9.9.9/24", false); f.links.last_mut().unwrap().up = false; }) },
    Four { rule: "rs-nic-noarp", run: failed,
        broken: |l| edit(l, "rs1", |f| f.links[0].noarp = true), unread: without_rs1,
        near: |l| edit(l, "rs1", |f| second(f, "dummy0", "10.9.9.9/32", true)) },
    Four { rule: "rs-gw-director", run: failed,
        broken: |l| gateway(l, "rs1", "172.16.251.73"), unread: without_rs1,
        near: |l| edit(l, "rs1", |f| f.routes.push(route("10.0.0.0/8", Some("172.16.251.73"), "eth0"))) },
    Four { rule: "rs-gw-missing", run: failed,
        broken: |l| edit(l, "rs1", without_default), unread: without_rs1,
        near: |l| edit(l, "rs1", |f| { without_default(f); f.routes.push(route("203.0.113.0/24", Some("172.16.255.254"), "eth0")); }) },
    Four { rule: "rs-gw-wrong", run: failed,
        broken: |l| gateway(l, "rs1", "172.16.9.9"), unread: without_rs1,
        near: |l| edit(l, "rs1", |f| f.routes.push(route("10.0.0.0/8", Some("172.16.9.9"), "eth0"))) },
    Four { rule: "no-route", run: failed,
        broken: |l| edit(l, "client", without_default), unread: |l| without(l, "client"),
        near: |l| edit(l, "client", |f| { without_default(f); f.routes.push(route("172.16.0.0/16", Some("203.0.113.1"), "eth0")); }) },
    Four { rule: "rs-remote-subnet", run: || Lab::ran(2),
        broken: |l| l.case.stations[3].ports[0].segment = name("front"), unread: without_director,
        near: |l| { l.case.stations[3].ports[0].segment = name("front");
            services(l, |i| i.services[0].destinations.retain(|d| d.at.ip() != IpAddr::from([172, 16, 252, 137]))); } },
    Four { rule: "v6-vip-on-nic-dad", run: dual,
        broken: |l| vip6_on(l, "rs1", "eth0", "dadfailed"), unread: without_rs1, near: |_| {} },
    Four { rule: "ha-check-on-rip", run: failed,
        broken: |l| { without_vip(l); checked(l, "172.16.252.137"); }, unread: without_rs1,
        // The check is right where the VIP is.
        near: |l| checked(l, "172.16.252.137") },
    Four { rule: "rs-vip-missing-forwarding", run: failed,
        broken: |l| edit(l, "rs1", |f| { f.addresses.retain(|a| a.interface != "lo"); set(f, &[("eth0.forwarding", 1)]); }), unread: without_rs1,
        near: |l| sysctls(l, "rs1", &[("eth0.forwarding", 1)]) },
    Four { rule: "rs-vip-missing", run: failed,
        broken: |l| edit(l, "rs1", |f| f.addresses.retain(|a| a.interface != "lo")), unread: without_rs1,
        near: |l| edit(l, "rs1", |f| f.addresses.last_mut().unwrap().label = Some("lo:vip".into())) },
    Four { rule: "rs-rpfilter-two-nic", run: failed,
        broken: |l| { clients_elsewhere(l, "rs1", 1); }, unread: without_rs1, near: |l| clients_elsewhere(l, "rs1", 2) },
    Four { rule: "dir-rpfilter-two-arm", run: failed,
        broken: |l| clients_elsewhere(l, "director", 1), unread: without_director, near: |l| clients_elsewhere(l, "director", 2) },
    Four { rule: "source-refused", run: failed,
        broken: |l| edit(l, "director", |f| f.addresses.push(carried("lo", "203.0.113.2/32", None))), unread: without_director,
        near: |l| edit(l, "director", |f| f.addresses.push(carried("lo", "203.0.113.9/32", None))) },
    Four { rule: "not-forwarding", run: failed,
        broken: |l| sysctls(l, "router", &[("eth0.forwarding", 0), ("eth1.forwarding", 0)]), unread: without_router,
        near: |l| sysctls(l, "director", &[("eth0.forwarding", 0)]) },
    Four { rule: "dir-fw-input", run: failed,
        broken: |l| iptables(l, "director", DROP), unread: |l| edit(l, "director", |f| f.iptables = None),
        near: |l| iptables(l, "director", OTHER_PORT) },
    Four { rule: "rs-fw", run: failed,
        broken: |l| iptables(l, "rs1", DROP), unread: |l| edit(l, "rs1", |f| f.iptables = None),
        near: |l| iptables(l, "rs1", OTHER_PORT) },
    Four { rule: "no-address", run: failed,
        broken: |l| edit(l, "rs1", |f| prefix(f, None)), unread: without_rs1,
        near: |l| edit(l, "rs1", |f| f.addresses.insert(0, carried("eth0", "172.16.252.200/16", None))) },
    Four { rule: "address-prefix-narrow", run: failed,
        broken: |l| edit(l, "rs1", |f| prefix(f, Some(32))), unread: without_rs1,
        // The half of the subnet that holds all whom it sends to.
        near: |l| edit(l, "rs1", |f| { prefix(f, Some(17));
            f.routes.extend([route("172.16.128.0/17", None, "eth0"), route("0.0.0.0/0", Some("172.16.255.254"), "eth0")]); }) },
    Four { rule: "address-prefix-wide", run: failed,
        broken: |l| subnet(l, "203.0.113.77/24", "203.0.113.0/24"), unread: without_rs1,
        near: |l| subnet(l, "203.0.112.77/24", "203.0.112.0/24") },
    Four { rule: "cloud-l3-only", run: || Lab::ran(2),
        broken: |l| beyond(l, 1), unread: without_director,
        near: |l| sysctls(l, "router", &[("eth0.proxy_arp", 1)]) },
    Four { rule: "dir-fw-stateful", run: failed,
        broken: |l| filters(l, "director", &[ESTABLISHED, INVALID, NEW_IS_SYN, SERVED, POLICY]),
        unread: |l| edit(l, "director", |f| f.iptables = None),
        near: |l| filters(l, "director", &[SERVED, ESTABLISHED, INVALID, NEW_IS_SYN, POLICY]) },
    Four { rule: "mtu-jumbo-one-side", run: failed,
        broken: |l| takes(l, "director", 1400), unread: without_director, near: |l| takes(l, "rs1", 1400) },
    Four { rule: "mtu-dir-to-rs", run: failed,
        broken: |l| edit(l, "director", |f| narrow(f, 1400)), unread: |l| edit(l, "client", |f| f.links.clear()),
        near: |l| { edit(l, "director", |f| narrow(f, 1400)); takes(l, "rs2", 1400); } },
    Four { rule: "pmtu-icmp-blackhole", run: tunnelled,
        broken: |l| iptables(l, "director", "-A INPUT -p icmp -j DROP"), unread: |l| edit(l, "director", |f| f.iptables = None),
        near: |l| iptables(l, "director", "-A INPUT -p icmp -m icmp --icmp-type 8 -j DROP") },
    Four { rule: "dir-local-client", run: || Lab::ran(2),
        broken: |l| asks(l, "director", timeout()), unread: without_director, near: |l| asks(l, "router", timeout()) },
    Four { rule: "rs-local-client", run: || Lab::ran(2),
        broken: |l| asks(l, "rs1", answered(200)), unread: without_rs1, near: |l| asks(l, "client", answered(200)) },
];
