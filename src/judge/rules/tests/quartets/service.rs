//! What the Director and the servers make of connections.

use std::net::SocketAddr;

use super::{Four, edit, gateway, iptables, no_table, services};
use crate::base::{Forwarding, Protocol, ServiceId};
use crate::facts::SocketFact;
use crate::facts::run::Outcome;
use crate::judge::rules::tests::clients::by_name;
use crate::judge::rules::tests::faults::{failed, second};
use crate::judge::rules::tests::memory::{again, drained, faithful, idle, removed, weighted};
use crate::judge::testlab::{Back, Exchange, Lab, SERVICE, There, VIP, carried};

fn listens(lab: &mut Lab, at: &str) {
    let socket = SocketFact { protocol: Protocol::Tcp, at: at.parse().unwrap() };
    edit(lab, "rs1", |f| f.sockets = Some(vec![socket]));
}

fn datagrams(back: Back) -> Lab {
    let mut lab = Lab::textbook();
    let id = ServiceId::Address { protocol: Protocol::Udp, at: SERVICE };
    lab.service().id = id;
    let everywhere = SocketFact { protocol: Protocol::Udp, at: SocketAddr::new([0, 0, 0, 0].into(), 80) };
    for node in ["rs1", "rs2"] {
        edit(&mut lab, node, |f| f.sockets = Some(vec![everywhere]));
    }
    services(&mut lab, |i| i.services[0].service = id);
    lab.exchange(&Exchange::with("rs1").by(Protocol::Udp).back(back));
    lab
}

fn nat() -> Lab {
    let mut lab = Lab::textbook();
    lab.exchange(&Exchange::with("rs1").there(There::Nat).back(Back::FromRip));
    lab.service().destinations.iter_mut().for_each(|d| d.forwarding = Forwarding::Nat);
    lab
}

fn by_nat(lab: &mut Lab) {
    services(lab, |i| i.services[0].destinations.iter_mut().for_each(|d| d.forwarding = Forwarding::Nat));
}

fn by_tunnel(lab: &mut Lab) {
    services(lab, |i| i.services[0].destinations[0].forwarding = Forwarding::Tun);
}

/// The switch of IPVS was not read.
fn no_switch(lab: &mut Lab, key: &str) {
    edit(lab, "director", |f| f.sysctls.retain(|k, _| *k != format!("net.ipv4.vs.{key}")));
}

/// The table sends to an address that is not among those planned.
fn sends_to_another(lab: &mut Lab) {
    services(lab, |i| i.services[0].destinations[0].at = "172.16.9.9:80".parse().unwrap());
}

/// Every answer has to hold a text, and those of these real servers lack it.
fn lack(lab: &mut Lab, servers: &[&str]) {
    for request in &mut lab.ran.loads[0].requests {
        let Outcome::Answered { server, whole, .. } = &mut request.outcome else { continue };
        if server.as_deref().is_some_and(|server| servers.contains(&server)) {
            *whole = false;
            request.lacks = Some("Direct Routing".into());
        }
    }
}

/// Nobody knows who answered.
fn nameless(lab: &mut Lab) {
    for request in &mut lab.ran.loads[0].requests {
        let Outcome::Answered { server, .. } = &mut request.outcome else { continue };
        *server = None;
    }
}

#[rustfmt::skip]
pub(super) const FOURS: &[Four] = &[
    Four { rule: "ipvs-service-missing", run: failed,
        broken: |l| services(l, |i| i.services.clear()), unread: no_table,
        near: |l| services(l, |i| { let mut other = i.services[0].clone();
            other.service = ServiceId::Address { protocol: Protocol::Tcp, at: SocketAddr::new(VIP.into(), 81) }; i.services.push(other); }) },
    Four { rule: "app-content-differs", run: || Lab::ran(4),
        broken: |l| lack(l, &["rs2"]), unread: nameless,
        // What nobody has was not written at all.
        near: |l| lack(l, &["rs1", "rs2"]) },
    Four { rule: "ipvs-fwmark-unmarked", run: failed,
        broken: |l| services(l, |i| i.services[0].service = ServiceId::Fwmark { mark: 1, v6: false }),
        unread: |l| edit(l, "director", |f| f.iptables = None),
        near: |l| { services(l, |i| i.services[0].service = ServiceId::Fwmark { mark: 1, v6: false });
            iptables(l, "director", "-t mangle -A PREROUTING -d 172.16.0.66/32 -p tcp -m tcp --dport 80 -j MARK --set-xmark 0x1/0xffffffff"); } },
    Four { rule: "ipvs-no-dest", run: failed,
        broken: |l| services(l, |i| i.services[0].destinations.iter_mut().for_each(|d| d.weight = 0)), unread: no_table,
        near: |l| services(l, |i| i.services[0].destinations[0].weight = 0) },
    Four { rule: "ipvs-port-mapping", run: failed,
        broken: |l| l.service().destinations[1].at.set_port(8080), unread: |l| l.service().destinations[1].at.set_port(0),
        near: |l| l.service().destinations[1].weight = 3 },
    Four { rule: "ipvs-method-masq", run: nat,
        broken: by_nat, unread: no_table,
        near: |l| { by_nat(l); for node in ["rs1", "rs2"] { gateway(l, node, "172.16.251.73"); } } },
    Four { rule: "ipvs-method-tun", run: failed,
        broken: by_tunnel, unread: no_table,
        near: |l| { by_tunnel(l); for node in ["rs1", "rs2"] { edit(l, node, |f| {
            second(f, "tunl0", "10.9.9.9/32", true); f.links.last_mut().unwrap().kind = Some("ipip".into()); }); } } },
    Four { rule: "app-bound-rip", run: failed,
        broken: |l| listens(l, "172.16.252.137:80"), unread: |l| edit(l, "rs1", |f| f.sockets = None),
        near: |l| listens(l, "172.16.0.66:80") },
    Four { rule: "app-not-listening", run: failed,
        broken: |l| listens(l, "0.0.0.0:8080"), unread: |l| edit(l, "rs1", |f| f.sockets = None),
        near: |l| listens(l, "[::]:80") },
    Four { rule: "app-udp-source", run: || datagrams(Back::FromRip),
        broken: |_| {}, unread: |l| { l.frames.clear(); },
        near: |l| *l = datagrams(Back::Straight) },
    Four { rule: "ipvs-rip-nobody", run: failed,
        broken: sends_to_another, unread: no_table,
        near: |l| { sends_to_another(l); edit(l, "rs1", |f| f.addresses.push(carried("eth0", "172.16.9.9/16", None))); } },
    Four { rule: "ipvs-nodest-drop", run: || removed(Protocol::Tcp, "0"),
        broken: |_| {}, unread: |l| no_switch(l, "expire_nodest_conn"), near: |l| *l = removed(Protocol::Tcp, "1") },
    Four { rule: "ipvs-udp-sticky", run: || removed(Protocol::Udp, "0"),
        broken: |_| {}, unread: |l| no_switch(l, "expire_nodest_conn"), near: |l| *l = removed(Protocol::Udp, "1") },
    Four { rule: "ipvs-idle-timeout", run: || idle(&Exchange::with("rs2").left_open(), 900_000, true),
        broken: |_| {}, unread: no_table, near: |l| *l = idle(&Exchange::with("rs2").left_open(), 890_000, true) },
    Four { rule: "ipvs-conn-reuse-1s", run: || again("1", "1", Some(Exchange::with("rs2"))),
        broken: |_| {}, unread: |l| no_switch(l, "conn_reuse_mode"), near: |l| *l = again("1", "0", Some(Exchange::with("rs2"))) },
    Four { rule: "ipvs-persistence-quiesced", run: || faithful(true),
        broken: |l| drained(l, "0"), unread: |l| no_switch(l, "expire_quiescent_template"),
        near: |l| { drained(l, "0"); l.case.share.clear(); } },
    Four { rule: "ipvs-persistence-pins", run: || faithful(true),
        broken: |_| {}, unread: no_table, near: |l| *l = faithful(false) },
    Four { rule: "ipvs-weights-ignored", run: || weighted("rr", [1, 3], true),
        broken: |_| {}, unread: no_table, near: |l| *l = weighted("rr", [0, 1], true) },
    Four { rule: "app-wrong-host", run: || by_name(b"GET /\r\nHost: abc\r\n", 404),
        broken: |_| {}, unread: |l| { l.frames.clear(); }, near: |l| *l = by_name(b"GET / HTTP/1.0\r\n\r\n", 404) },
];
