//! Who answers for the VIP, who asks in its name, and who learned what of it.

use std::net::IpAddr;

use super::{
    Four, dual, edit, no_sysctls, services, sysctls, vip6_on, without, without_director, without_router, without_rs1,
};
use crate::judge::rules::tests::faults::{OFF, SOMEBODY, bind, failed, second, set, vip_on};
use crate::judge::rules::tests::segment::{beside, stranger, unnumbered};
use crate::judge::rules::tests::takeover::{objects, refused};
use crate::judge::testlab::{Lab, VIP, arp, carried, name, route};

fn cured_on_eth0(lab: &mut Lab) {
    sysctls(lab, "rs1", &[OFF[0], OFF[1], ("eth0.arp_ignore", 1), ("eth0.arp_announce", 2)]);
}

fn masked(lab: &mut Lab, values: &[(&str, u32)]) {
    edit(lab, "rs1", |f| {
        f.addresses.pop();
        f.addresses.push(carried("lo", "172.16.0.66/16", None));
    });
    sysctls(lab, "rs1", values);
}

fn arptables(lab: &mut Lab, node: &str, rules: &[&str]) {
    let rules: Vec<String> = rules.iter().map(|r| (*r).to_owned()).collect();
    edit(lab, node, |f| f.arptables = Some(rules.clone()));
}

fn on_dummy(lab: &mut Lab, node: &str, values: &'static [(&'static str, u32)]) {
    edit(lab, node, |f| {
        second(f, "dummy0", "10.9.9.9/32", true);
        if node == "director" {
            let vips = f.addresses.iter_mut().filter(|a| a.address.addr() == VIP);
            vips.for_each(|a| a.interface = "dummy0".parse().unwrap());
        } else {
            vip_on(f, "dummy0");
        }
        set(f, values);
    });
}

fn announced(lab: &mut Lab, node: &str) {
    let mac = lab.port(node, "lan").mac;
    lab.broadcast(node, "lan", arp(1, mac, VIP.into(), crate::base::Mac([0; 6]), VIP.into()));
}

const HIDE: &str = "-A INPUT -j DROP -d 172.16.0.66";

const MANGLE: &str = "-A OUTPUT -j mangle -s 172.16.0.66 --mangle-ip-s 172.16.252.137";

/// The kernel announces the VIP on `eth0`, where ARP filters hide it from who asks.
fn notified(lab: &mut Lab, on: &'static str) {
    edit(lab, "rs1", |f| vip_on(f, "eth0"));
    arptables(lab, "rs1", &[HIDE, MANGLE]);
    sysctls(lab, "rs1", &[(on, 1)]);
    announced(lab, "rs1");
}

fn runs_on(lab: &mut Lab, host: &str) {
    lab.case.stations.iter_mut().find(|s| s.node == "rs1").unwrap().runs_on = Some(name(host));
}

#[rustfmt::skip]
pub(super) const FOURS: &[Four] = &[
    Four { rule: "rs-vip-before-sysctl", run: failed,
        broken: |l| { l.case.changes = true; for f in l.before.iter_mut().filter(|f| f.node == "rs1") { set(f, &OFF); } },
        unread: |l| l.before.iter_mut().filter(|f| f.node == "rs1").for_each(|f| f.sysctls.clear()),
        near: |l| { l.case.changes = true; for f in l.before.iter_mut().filter(|f| f.node == "rs1") {
            set(f, &[OFF[0], OFF[1], ("eth0.arp_ignore", 1), ("eth0.arp_announce", 2)]); } } },
    Four { rule: "rs-sysctl-reverted", run: failed,
        broken: |l| { l.case.changes = true; for f in l.after.iter_mut().filter(|f| f.node == "rs1") { set(f, &OFF); } },
        unread: |l| l.after.iter_mut().filter(|f| f.node == "rs1").for_each(|f| f.sysctls.clear()),
        near: |l| { l.case.changes = true; for f in l.after.iter_mut().filter(|f| f.node == "rs1") {
            set(f, &[("all.arp_ignore", 2), ("lo.arp_ignore", 0)]); } } },
    Four { rule: "rs-vip-prefix-on-lo-arp", run: failed,
        broken: |l| masked(l, &OFF), unread: without_rs1, near: |l| sysctls(l, "rs1", &[("all.arp_ignore", 2)]) },
    Four { rule: "rs-vip-prefix-on-lo-rpf", run: failed,
        broken: |l| masked(l, &[("all.rp_filter", 1)]), unread: without_rs1, near: |l| sysctls(l, "rs1", &[("all.rp_filter", 1)]) },
    Four { rule: "rs-vip-prefix-on-lo", run: failed,
        broken: |l| masked(l, &[]), unread: without_rs1,
        near: |l| edit(l, "rs1", |f| f.addresses.push(carried("lo", "10.66.0.1/24", None))) },
    Four { rule: "rs-vip-on-nic", run: failed,
        broken: |l| edit(l, "rs1", |f| vip_on(f, "eth0")), unread: no_sysctls,
        near: |l| on_dummy(l, "rs1", &[]) },
    Four { rule: "v6-vip-on-nic-nodad", run: dual,
        broken: |l| vip6_on(l, "rs1", "eth0", "nodad"), unread: without_rs1, near: |_| {} },
    Four { rule: "rs-ignore-3-global-scope", run: failed,
        broken: |l| sysctls(l, "rs1", &[("all.arp_ignore", 3)]), unread: no_sysctls,
        near: |l| edit(l, "rs1", |f| { set(f, &[("all.arp_ignore", 3)]); f.addresses.last_mut().unwrap().scope = "host".into(); }) },
    Four { rule: "rs-ignore-reserved", run: failed,
        broken: |l| sysctls(l, "rs1", &[("all.arp_ignore", 5)]), unread: no_sysctls,
        near: |l| sysctls(l, "rs2", &[("all.arp_ignore", 2)]) },
    Four { rule: "rs-sysctl-lo-only", run: failed,
        broken: |l| sysctls(l, "rs1", &[OFF[0], OFF[1], ("lo.arp_ignore", 1), ("lo.arp_announce", 2)]), unread: no_sysctls,
        near: |l| { cured_on_eth0(l); sysctls(l, "rs1", &[("lo.arp_ignore", 1)]); } },
    Four { rule: "rs-sysctl-default-only", run: failed,
        broken: |l| sysctls(l, "rs1", &[OFF[0], OFF[1], ("default.arp_ignore", 1)]), unread: no_sysctls,
        near: |l| { cured_on_eth0(l); sysctls(l, "rs1", &[("default.arp_ignore", 1)]); } },
    Four { rule: "rs-arp-filter-instead", run: failed,
        broken: |l| sysctls(l, "rs1", &[OFF[0], OFF[1], ("all.arp_filter", 1)]), unread: no_sysctls,
        near: |l| sysctls(l, "rs1", &[("all.arp_filter", 1)]) },
    Four { rule: "all-nodes-own-vip", run: failed,
        broken: |l| { for node in ["rs1", "rs2"] { on_dummy(l, node, &OFF); } on_dummy(l, "director", &[]); },
        unread: |l| { without(l, "rs1"); without(l, "rs2"); },
        near: |l| { for node in ["rs1", "rs2"] { on_dummy(l, node, &[]); } on_dummy(l, "director", &[]); } },
    Four { rule: "rs-vip-noarp-dummy", run: failed,
        broken: |l| on_dummy(l, "rs1", &OFF), unread: no_sysctls, near: |l| on_dummy(l, "rs1", &[]) },
    Four { rule: "rs-arp-default", run: failed,
        broken: |l| sysctls(l, "rs1", &OFF), unread: no_sysctls, near: cured_on_eth0 },
    Four { rule: "proxy-arp", run: failed,
        broken: |l| { services(l, |i| i.services[0].destinations.retain(|d| d.at.ip() != IpAddr::from([172, 16, 252, 137])));
            edit(l, "rs1", |f| { f.addresses.retain(|a| a.interface != "lo"); second(f, "eth9", "10.9.9.9/24", false);
                f.routes.push(route("172.16.0.66/32", None, "eth9")); set(f, &[("eth0.forwarding", 1), ("eth0.proxy_arp", 1)]); }); },
        unread: without_rs1,
        near: |l| sysctls(l, "router", &[("eth1.proxy_arp", 1)]) },
    Four { rule: "rs-announce-1-same-subnet", run: failed,
        broken: |l| sysctls(l, "rs1", &[("all.arp_announce", 1)]), unread: no_sysctls,
        near: |l| sysctls(l, "rs1", &[("all.arp_announce", 1), ("eth0.arp_announce", 2)]) },
    Four { rule: "rs-announce-0", run: failed,
        broken: |l| sysctls(l, "rs1", &[("all.arp_announce", 0)]), unread: no_sysctls,
        near: |l| sysctls(l, "rs1", &[("all.arp_announce", 0), ("eth0.arp_announce", 2)]) },
    Four { rule: "rs-arptables-in-only", run: failed,
        broken: |l| { sysctls(l, "rs1", &OFF); arptables(l, "rs1", &[HIDE]); }, unread: no_sysctls,
        near: |l| { sysctls(l, "rs1", &OFF); arptables(l, "rs1", &[HIDE, MANGLE]); } },
    Four { rule: "rs-arptables-out-drop", run: failed,
        broken: |l| { sysctls(l, "rs1", &OFF); arptables(l, "rs1", &[HIDE, "-A OUTPUT -j DROP -s 172.16.0.66"]); }, unread: no_sysctls,
        near: |l| arptables(l, "rs1", &[HIDE, "-A OUTPUT -j DROP -s 172.16.0.67"]) },
    Four { rule: "dir-vip-primary", run: failed,
        broken: |l| edit(l, "director", |f| { f.addresses.retain(|a| a.address.addr() != VIP); f.addresses.insert(0, carried("eth0", "172.16.0.66/16", None)); }),
        unread: without_director,
        near: |l| edit(l, "director", |f| { f.addresses.retain(|a| a.address.addr() != VIP); f.addresses.insert(0, carried("eth0", "172.16.0.66/32", None)); }) },
    Four { rule: "rs-ignore-8", run: failed,
        broken: |l| sysctls(l, "rs1", &[("all.arp_ignore", 8)]), unread: no_sysctls,
        near: |l| sysctls(l, "rs1", &[("lo.arp_ignore", 8)]) },
    Four { rule: "dir-arp-suppressed", run: failed,
        broken: |l| { edit(l, "director", |f| { f.addresses.retain(|a| a.address.addr() != VIP); f.addresses.push(carried("lo", "172.16.0.66/32", None)); });
            sysctls(l, "director", &[("all.arp_ignore", 1)]); },
        unread: |l| edit(l, "director", |f| f.sysctls.clear()),
        near: |l| sysctls(l, "director", &[("all.arp_ignore", 1), ("all.arp_announce", 2)]) },
    Four { rule: "dir-vip-missing", run: failed,
        broken: |l| edit(l, "director", |f| f.addresses.retain(|a| a.address.addr() != VIP)), unread: without_director,
        near: |l| on_dummy(l, "director", &[]) },
    Four { rule: "arp-unanswered", run: failed,
        broken: |l| arptables(l, "rs1", &["-A INPUT -j DROP -s 172.16.251.73"]), unread: without_rs1,
        near: |l| arptables(l, "rs1", &["-A INPUT -j DROP -s 172.16.251.74"]) },
    Four { rule: "router-static-arp", run: failed,
        broken: |l| edit(l, "router", |f| bind(f, VIP.into(), SOMEBODY, "permanent")), unread: without_router,
        near: |l| { let mac = l.port("director", "lan").mac; edit(l, "router", |f| bind(f, VIP.into(), mac, "permanent")); } },
    Four { rule: "rip-neigh-stale", run: failed,
        broken: |l| { let rip = l.address("rs1", "lan"); edit(l, "director", |f| bind(f, rip, SOMEBODY, "permanent")); }, unread: without_director,
        near: |l| { let (rip, mac) = (l.address("rs1", "lan"), l.port("rs1", "lan").mac); edit(l, "director", |f| bind(f, rip, mac, "permanent")); } },
    Four { rule: "rs-arp-cache-survives-fix", run: failed,
        broken: |l| { let mac = l.port("rs1", "lan").mac; edit(l, "router", |f| bind(f, VIP.into(), mac, "stale")); }, unread: without_router,
        near: |l| { let mac = l.port("rs1", "lan").mac; edit(l, "router", |f| bind(f, VIP.into(), mac, "failed")); } },
    Four { rule: "rs-garp-on-boot", run: failed,
        broken: |l| announced(l, "rs1"), unread: |l| { l.frames.retain(|f| f.data[12..14] != [8, 6]); },
        near: |l| announced(l, "director") },
    Four { rule: "rs-same-mac", run: failed,
        broken: |l| { let mac = l.port("rs1", "lan").mac; edit(l, "rs2", |f| f.links[0].mac = Some(mac)); },
        unread: |l| edit(l, "rs2", |f| f.links[0].mac = None),
        near: |l| { let mac = l.port("client", "front").mac; edit(l, "rs2", |f| f.links[0].mac = Some(mac)); } },
    Four { rule: "dir-dad-conflict", run: failed,
        broken: |l| refused(l, true, false),
        // Real servers that were not read have no mistake of their own either.
        unread: |l| { without_director(l); without_rs1(l); },
        near: objects },
    Four { rule: "arp-flux", run: failed,
        broken: |l| beside(l, &[]), unread: no_sysctls,
        near: |l| beside(l, &[("eth1.arp_ignore", 1), ("eth1.arp_announce", 2)]) },
    Four { rule: "host-sysctl-not-in-container", run: failed,
        broken: |l| { runs_on(l, "rs2"); sysctls(l, "rs1", &OFF); }, unread: no_sysctls,
        near: |l| { runs_on(l, "rs2"); cured_on_eth0(l); } },
    Four { rule: "strict-arp-breaks-unnumbered", run: failed,
        broken: |l| unnumbered(l, &[("all.arp_ignore", 1)]), unread: |l| edit(l, "router", |f| f.sysctls.clear()),
        near: |l| unnumbered(l, &[("eth0.arp_ignore", 1)]) },
    Four { rule: "vip-twice", run: failed,
        broken: |l| stranger(l, Some("eth0")), unread: |l| without(l, "printer"),
        near: |l| stranger(l, Some("lo")) },
    Four { rule: "rs-arp-notify", run: failed,
        broken: |l| notified(l, "eth0.arp_notify"), unread: |l| { no_sysctls(l); l.frames.retain(|f| f.data[12..14] != [8, 6]); },
        near: |l| { sysctls(l, "rs1", &[("eth0.arp_notify", 1)]); announced(l, "director"); } },
    Four { rule: "v6-takeover-dad", run: dual,
        broken: |l| vip6_on(l, "director", "eth0", "dadfailed"), unread: without_director,
        near: |l| vip6_on(l, "director", "eth0", "optimistic") },
];
