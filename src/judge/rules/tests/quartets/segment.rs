//! What the switch passes on, and which of several Directors the segment turns to.

use super::{Four, edit, iptables, sysctls, without, without_director};
use crate::facts::IpvsFacts;
use crate::judge::rules::tests::faults::failed;
use crate::judge::rules::tests::segment::{ARP, BOTH, DIP, RIP, SOURCE, guarded, in_vlan, isolated, locked, switched};
use crate::judge::rules::tests::takeover::{join, moved, on_vmac, reset, tell, vip};
use crate::judge::testlab::{Back, Exchange, Lab, There, VIP};
use crate::trace::Direction::{In, Out};

/// A request whose checksum nobody computes, and how many of such rs1 counts.
fn unfinished(counted: u64) -> Lab {
    let mut lab = Lab::textbook();
    lab.exchange(&Exchange::with("rs1").back(Back::Never));
    for node in ["client", "router", "director", "rs1"] {
        for way in [In, Out] {
            lab.edit_frames(node, way, |data| {
                if data[12..14] == [8, 0] {
                    data[50] ^= 0x55;
                }
            });
        }
    }
    edit(&mut lab, "router", |f| f.links.iter_mut().for_each(|link| link.tx_checksum = Some(true)));
    for facts in lab.after.iter_mut().filter(|f| f.node == "rs1") {
        facts.counters.insert("TcpInCsumErrors".into(), counted);
    }
    lab
}

/// The ports of the switch were not read.
fn no_ports(lab: &mut Lab) {
    without(lab, "switch");
}

fn vlans(lab: &mut Lab, of_rs2: u16) {
    let most = ["director", "router", "rs1"].map(|node| in_vlan(node, 10));
    switched(lab, &[&most[..], &[in_vlan("rs2", of_rs2)]].concat());
}

/// The Director's port takes no MAC, and that of rs2 takes its own and those.
fn pinned(lab: &mut Lab, also: &[crate::base::Mac]) {
    let own = lab.port("rs2", "lan").mac;
    let director = lab.port("director", "lan").mac;
    switched(lab, &[locked("director", &[director]), locked("rs2", &[&[own], also].concat())]);
}

fn table() -> Option<IpvsFacts> {
    Lab::textbook().before.iter().find(|f| f.node == "director").unwrap().ipvs.clone()
}

/// rs1 has the Director's table, of which it keeps so many real servers, its own first.
fn also_balances(lab: &mut Lab, servers: usize) {
    edit(lab, "rs1", |f| {
        f.ipvs = table();
        let destinations = &mut f.ipvs.as_mut().unwrap().services[0].destinations;
        destinations.sort_by_key(|d| d.at);
        destinations.truncate(servers);
    });
}

fn redirects(lab: &mut Lab, address: &str) {
    let rule = format!("-t nat -A PREROUTING -d {address}/32 -p tcp -m tcp --dport 80 -j REDIRECT --to-ports 80");
    iptables(lab, "director", &rule);
}

fn deaf_to_announcements(lab: &mut Lab) {
    sysctls(lab, "router", &[("all.drop_gratuitous_arp", 1), ("eth0.drop_gratuitous_arp", 0)]);
}

#[rustfmt::skip]
pub(super) const FOURS: &[Four] = &[
    Four { rule: "virt-tx-csum", run: || unfinished(1),
        broken: |_| {}, unread: |l| without(l, "router"),
        // Wrong in every capture, and the kernels hand on the mark that it is not to be looked at yet.
        near: |l| *l = unfinished(0) },
    Four { rule: "cloud-src-dst-check", run: failed,
        broken: |l| switched(l, &[guarded("rs1", BOTH, &[RIP])]), unread: no_ports,
        near: |l| switched(l, &[guarded("rs1", BOTH, &[RIP, VIP])]) },
    Four { rule: "virt-port-security", run: failed,
        broken: |l| switched(l, &[guarded("rs1", SOURCE, &[RIP])]), unread: no_ports,
        near: |l| switched(l, &[guarded("rs1", SOURCE, &[RIP, VIP])]) },
    Four { rule: "virt-arp-guard", run: failed,
        broken: |l| switched(l, &[guarded("director", ARP, &[DIP])]), unread: no_ports,
        near: |l| switched(l, &[guarded("rs1", ARP, &[RIP])]) },
    Four { rule: "virt-pvlan", run: failed,
        broken: |l| switched(l, &[isolated("director"), isolated("rs1")]), unread: no_ports,
        near: |l| switched(l, &[isolated("rs1"), isolated("rs2")]) },
    Four { rule: "switch-wrong-vlan", run: failed,
        broken: |l| vlans(l, 20), unread: no_ports, near: |l| vlans(l, 10) },
    Four { rule: "virt-vmac-filter", run: failed,
        broken: |l| switched(l, &[locked("director", &[])]), unread: no_ports, near: |l| pinned(l, &[]) },
    Four { rule: "switch-mac-moved", run: failed,
        broken: |l| { let (own, moved) = (l.port("rs2", "lan").mac, l.port("director", "lan").mac);
            switched(l, &[locked("director", &[]), locked("rs2", &[own, moved])]); },
        unread: no_ports,
        // Where the old port still knows the MAC, and the new one does too.
        near: |l| { let moved = l.port("director", "lan").mac; pinned(l, &[moved]); } },
    Four { rule: "virt-ipvlan", run: failed,
        broken: |l| edit(l, "rs1", |f| f.links[0].kind = Some("ipvlan".into())),
        unread: |l| edit(l, "rs1", |f| f.links[0].kind = None),
        // The Director has the VIP on the very interface.
        near: |l| edit(l, "director", |f| f.links[0].kind = Some("ipvlan".into())) },
    Four { rule: "ha-split-brain", run: failed,
        broken: |l| { join(l); edit(l, "lb2", vip("eth0")); }, unread: |l| edit(l, "lb2", |f| f.sysctls.clear()),
        near: |l| { join(l); edit(l, "lb2", vip("lo")); sysctls(l, "lb2", &[("all.arp_ignore", 1)]); } },
    Four { rule: "ha-no-garp", run: moved,
        broken: |_| {}, unread: without_director, near: tell },
    Four { rule: "ha-garp-ignored", run: moved,
        broken: |l| { deaf_to_announcements(l); tell(l); l.exchange(&Exchange::with("rs1").there(There::Swallowed)); },
        unread: |l| edit(l, "router", |f| { f.sysctls.clear(); f.arptables = None; }),
        // What was sent before the announcement could not heed it.
        near: |l| { deaf_to_announcements(l); tell(l); } },
    Four { rule: "ha-failover-no-sync", run: moved,
        broken: |l| { tell(l); reset(l, 40_001); }, unread: without_director,
        near: |l| { tell(l); reset(l, 50_000); } },
    Four { rule: "ha-peer-loop", run: failed,
        broken: |l| also_balances(l, 2), unread: |l| edit(l, "rs1", |f| f.ipvs = None), near: |l| also_balances(l, 1) },
    Four { rule: "ha-backup-redirect-left", run: failed,
        broken: |l| redirects(l, "172.16.0.66"), unread: |l| edit(l, "director", |f| f.iptables = None),
        near: |l| redirects(l, "172.16.0.67") },
    Four { rule: "ha-vmac", run: failed,
        broken: |l| on_vmac(l, "macvlan", 1), unread: |l| edit(l, "director", |f| f.sysctls.clear()),
        near: |l| on_vmac(l, "macvlan", 0) },
];
