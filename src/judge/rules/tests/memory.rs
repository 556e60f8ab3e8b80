//! What IPVS remembers of connections, and what it makes of packets for which it remembers nothing or too much.

use std::net::{IpAddr, SocketAddr};

use super::ids;
use crate::base::{Protocol, ServiceId};
use crate::facts::{ConnectionFact, NodeFacts};
use crate::judge::testlab::{CLIENT, Exchange, Lab, SERVICE, There, name, tcp};

const FROM: SocketAddr = SocketAddr::new(IpAddr::V4(CLIENT), 50_000);
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// Changes what the Director has after the timeline, which then changes what was configured.
fn after(lab: &mut Lab, edit: impl Fn(&mut NodeFacts)) {
    lab.case.changes = true;
    lab.after.iter_mut().filter(|f| f.node == "director").for_each(edit);
}

pub(super) fn sysctl(lab: &mut Lab, key: &str, value: &str) {
    lab.sysctl("director", &format!("net.ipv4.vs.{key}"), value);
}

/// rs2 is removed, and a connection to it goes on.
pub(super) fn removed(protocol: Protocol, expire: &str) -> Lab {
    let mut lab = if protocol == Protocol::Tcp { Lab::ran(2) } else { Lab::textbook() };
    if protocol == Protocol::Udp {
        let id = ServiceId::Address { protocol, at: SERVICE };
        lab.service().id = id;
        lab.edit_facts("director", |f| f.ipvs.as_mut().unwrap().services[0].service = id);
        for node in ["rs1", "rs2"] {
            lab.edit_facts(node, |f| f.sockets = None);
        }
    }
    lab.case.reschedules = true;
    lab.exchange(&Exchange::with("rs2").by(protocol).from(FROM).there(There::Swallowed));
    sysctl(&mut lab, "expire_nodest_conn", expire);
    let gone = lab.address("rs2", "lan");
    after(&mut lab, |f| f.ipvs.as_mut().unwrap().services[0].destinations.retain(|d| d.at.ip() != gone));
    lab
}

#[test]
fn connections_to_a_real_server_that_was_removed_are_found_by_transport() {
    assert_eq!(ids(&removed(Protocol::Tcp, "0")), ["ipvs-nodest-drop"]);
    assert_eq!(ids(&removed(Protocol::Udp, "0")), ["ipvs-udp-sticky"]);
}

#[test]
fn entries_that_expire_or_whose_switch_was_not_read_explain_nothing() {
    assert_eq!(ids(&removed(Protocol::Tcp, "1")), [""; 0]);
    let mut lab = removed(Protocol::Tcp, "0");
    lab.edit_facts("director", |f| f.sysctls.retain(|key, _| !key.ends_with("expire_nodest_conn")));
    assert_eq!(ids(&lab), [""; 0]);
}

#[test]
fn a_lost_frame_may_be_the_one_that_left() {
    let mut lab = removed(Protocol::Tcp, "0");
    lab.lose("director");
    assert_eq!(ids(&lab), [""; 0]);
}

#[test]
fn a_packet_that_ends_at_the_director_for_a_real_server_that_is_there_is_another_matter() {
    let mut lab = Lab::ran(2);
    sysctl(&mut lab, "expire_nodest_conn", "0");
    lab.exchange(&Exchange::with("rs2").from(FROM).there(There::Swallowed));
    assert_eq!(ids(&lab), [""; 0]);
}

/// A connection that goes on after so many milliseconds, and what the Director answers.
pub(super) fn idle(exchange: &Exchange, ms: u64, refused: bool) -> Lab {
    let mut lab = Lab::ran(2);
    lab.exchange(&exchange.clone().from(FROM));
    lab.wait_ms(ms);
    lab.unicast("router", "director", "lan", tcp(FROM, SERVICE, 900, 77, ACK, b"more"));
    if refused {
        lab.unicast("director", "router", "lan", tcp(SERVICE, FROM, 901, 5, RST, b""));
    }
    lab
}

#[test]
fn a_connection_that_was_idle_for_longer_than_ipvs_remembers_is_found() {
    let open = Exchange::with("rs2").left_open();
    assert_eq!(ids(&idle(&open, 900_000, true)), ["ipvs-idle-timeout"]);
    // After its FIN it is remembered for 120 seconds.
    assert_eq!(ids(&idle(&Exchange::with("rs2"), 120_000, true)), ["ipvs-idle-timeout"]);
}

#[test]
fn a_connection_that_is_remembered_or_not_refused_was_not_forgotten() {
    let open = Exchange::with("rs2").left_open();
    assert_eq!(ids(&idle(&open, 890_000, true)), [""; 0]);
    assert_eq!(ids(&idle(&open, 120_000, true)), [""; 0]);
    assert_eq!(ids(&idle(&open, 900_000, false)), [""; 0]);
    let mut lossy = idle(&open, 900_000, true);
    lossy.lose("director");
    assert_eq!(ids(&lossy), [""; 0]);
}

/// A port that comes again: its SYN ends at the Director, and the repetition does not.
pub(super) fn again(conntrack: &str, mode: &str, first: Option<Exchange>) -> Lab {
    let mut lab = Lab::ran(2);
    sysctl(&mut lab, "conntrack", conntrack);
    sysctl(&mut lab, "conn_reuse_mode", mode);
    if let Some(first) = first {
        lab.exchange(&first.from(FROM));
    }
    let syn = |id| tcp(FROM, SERVICE, id, 77, SYN, b"");
    lab.unicast("router", "director", "lan", syn(900));
    lab.wait_ms(1000);
    lab.unicast("router", "director", "lan", syn(901));
    lab.unicast("director", "rs1", "lan", syn(901));
    lab
}

#[test]
fn a_port_that_comes_again_and_waits_is_found() {
    assert_eq!(ids(&again("1", "1", Some(Exchange::with("rs2")))), ["ipvs-conn-reuse-1s"]);
}

#[test]
fn a_lost_syn_of_a_new_port_or_without_conntrack_is_no_reuse() {
    assert_eq!(ids(&again("1", "1", None)), [""; 0]);
    assert_eq!(ids(&again("1", "1", Some(Exchange::with("rs2").left_open()))), [""; 0]);
    assert_eq!(ids(&again("0", "1", Some(Exchange::with("rs2")))), [""; 0]);
    assert_eq!(ids(&again("1", "0", Some(Exchange::with("rs2")))), [""; 0]);
}

/// All connections of one client go to rs2, which is to get one of them at most.
pub(super) fn faithful(persistent: bool) -> Lab {
    let mut lab = Lab::textbook();
    for _ in 0..3 {
        lab.exchange(&Exchange::with("rs2"));
    }
    lab.case.reschedules = true;
    lab.case.share = [(name("rs2"), (0, 1))].into();
    let rs2 = lab.address("rs2", "lan");
    lab.edit_facts("director", |f| {
        let ipvs = f.ipvs.as_mut().unwrap();
        ipvs.services[0].persistence_s = persistent.then_some(300);
        ipvs.connections.push(ConnectionFact {
            protocol: Protocol::Tcp,
            client: SocketAddr::new(IpAddr::V4(CLIENT), 0),
            service: SERVICE,
            destination: SocketAddr::new(rs2, 80),
            state: "NONE".into(),
            expires_s: 300,
        });
    });
    lab
}

/// rs2 is drained.
pub(super) fn drained(lab: &mut Lab, expire: &str) {
    sysctl(lab, "expire_quiescent_template", expire);
    let rs2 = lab.address("rs2", "lan");
    after(lab, |f| {
        let destinations = &mut f.ipvs.as_mut().unwrap().services[0].destinations;
        destinations.iter_mut().filter(|d| d.at.ip() == rs2).for_each(|d| d.weight = 0);
    });
}

#[test]
fn persistence_that_keeps_clients_where_they_are_not_wanted_is_found() {
    assert_eq!(ids(&faithful(true)), ["ipvs-persistence-pins"]);
    let mut lab = faithful(true);
    drained(&mut lab, "0");
    assert_eq!(ids(&lab), ["ipvs-persistence-quiesced"]);
}

#[test]
fn shares_that_are_not_kept_without_persistence_have_another_cause() {
    assert_eq!(ids(&faithful(false)), [""; 0]);
    let mut lab = faithful(false);
    drained(&mut lab, "0");
    assert_eq!(ids(&lab), [""; 0]);
}

#[test]
fn a_template_that_expires_binds_nobody() {
    let mut lab = faithful(true);
    drained(&mut lab, "1");
    assert!(!ids(&lab).contains(&"ipvs-persistence-quiesced".to_owned()));
}

#[test]
fn persistence_where_no_share_is_wanted_does_what_it_is_for() {
    let mut lab = faithful(true);
    lab.case.share.clear();
    drained(&mut lab, "0");
    assert_eq!(ids(&lab), [""; 0]);
}

/// Two answers of each, where weights of 3 and 1 were to make it three and one.
pub(super) fn weighted(scheduler: &'static str, weights: [u32; 2], share: bool) -> Lab {
    let mut lab = Lab::ran(4);
    if share {
        lab.case.share = [(name("rs1"), (3, 3)), (name("rs2"), (1, 1))].into();
    }
    lab.edit_facts("director", |f| {
        let service = &mut f.ipvs.as_mut().unwrap().services[0];
        service.scheduler = scheduler.into();
        service.destinations.iter_mut().zip(weights).for_each(|(d, weight)| d.weight = weight);
    });
    lab
}

#[test]
fn weights_that_the_scheduler_ignores_are_found_where_shares_are_wanted() {
    for scheduler in ["rr", "lc", "dh"] {
        assert_eq!(ids(&weighted(scheduler, [1, 3], true)), ["ipvs-weights-ignored"], "{scheduler}");
    }
    assert_eq!(ids(&weighted("wrr", [1, 3], true)), [""; 0]);
    assert_eq!(ids(&weighted("rr", [1, 1], true)), [""; 0]);
    assert!(!ids(&weighted("rr", [1, 3], false)).contains(&"ipvs-weights-ignored".to_owned()));
    // Weight 0 is heeded by all.
    assert_eq!(ids(&weighted("rr", [0, 1], true)), [""; 0]);
}
