//! Clients in the wrong place, and clients that ask for something that is not there.

use super::ids;
use crate::facts::run::{Outcome, RequestResult};
use crate::judge::testlab::{Exchange, Lab, name};
use crate::trace::Direction::{In, Out};

/// A request that a node of the lab made, without any frame.
fn asked_by(node: &str, outcome: Outcome) -> Lab {
    let mut lab = Lab::ran(2);
    asks(&mut lab, node, outcome);
    lab
}

/// Another request, of a node of the lab that has the VIP, without any frame.
pub(super) fn asks(lab: &mut Lab, node: &str, outcome: Outcome) {
    let one = lab.ran.loads[0].requests[0].clone();
    let local = Some("172.16.0.66:50000".parse().unwrap());
    lab.ran.loads[0].requests.push(RequestResult { number: 2, client: name(node), local, outcome, ..one });
}

pub(super) fn timeout() -> Outcome {
    Outcome::Failed { kind: "timeout".into(), detail: "nothing came back".into() }
}

pub(super) fn answered(status: u16) -> Outcome {
    Outcome::Answered { status, server: Some("rs1".into()), bytes: 4, whole: true }
}

#[test]
fn a_client_that_has_the_vip_itself_is_told_by_its_part() {
    assert_eq!(ids(&asked_by("director", timeout())), ["dir-local-client"]);
    assert_eq!(ids(&asked_by("rs1", answered(200))), ["rs-local-client"]);
}

#[test]
fn a_client_that_has_no_vip_is_as_good_as_any() {
    assert_eq!(ids(&asked_by("client", timeout())), [""; 0]);
    assert_eq!(ids(&asked_by("router", timeout())), [""; 0]);
}

#[test]
fn a_director_that_serves_by_itself_may_ask_itself() {
    let mut lab = asked_by("director", timeout());
    let own = lab.address("director", "lan");
    lab.edit_facts("director", |f| {
        let service = &mut f.ipvs.as_mut().unwrap().services[0];
        service.destinations.truncate(1);
        service.destinations[0].at.set_ip(own);
    });
    assert!(!ids(&lab).contains(&"dir-local-client".to_owned()));
}

#[test]
fn where_addresses_were_not_read_nobody_is_known_to_have_the_vip() {
    let mut lab = asked_by("rs1", answered(200));
    lab.edit_facts("rs1", |f| f.addresses.retain(|a| a.interface != "lo"));
    assert!(!ids(&lab).contains(&"rs-local-client".to_owned()));
}

/// A request by that name (18 bytes with its line) that is answered so.
pub(super) fn by_name(request: &'static [u8; 18], status: u16) -> Lab {
    let mut lab = Lab::textbook();
    lab.exchange(&Exchange::with("rs2"));
    lab.ran.loads[0].requests[0].outcome = Outcome::Answered { status, server: None, bytes: 0, whole: false };
    let line = format!("HTTP/1.1 {status}");
    for node in ["client", "router", "director", "rs1", "rs2"] {
        for direction in [In, Out] {
            lab.edit_frames(node, direction, |data| {
                if data.ends_with(b"GET / HTTP/1.1\r\n\r\n") {
                    let at = data.len() - 18;
                    data[at..].copy_from_slice(request);
                }
                if data.ends_with(b"HTTP/1.1 200 OK\r\n\r\n") {
                    let at = data.len() - 19;
                    data[at..at + 12].copy_from_slice(line.as_bytes());
                }
            });
        }
    }
    lab
}

#[test]
fn an_answer_that_knows_no_site_of_that_name_is_found() {
    for status in [404, 421, 301] {
        let findings = by_name(b"GET /\r\nHost: abc\r\n", status).findings();
        assert_eq!((findings.len(), findings[0].id.as_str()), (1, "app-wrong-host"), "{findings:#?}");
        assert_eq!(findings[0].node, "rs2");
        assert!(findings[0].evidence[0].what.contains("`Host: abc`"), "{findings:#?}");
    }
}

/// Four requests in turn to rs2 and rs1, whose answers have to hold a text; rs2's answer so.
fn reads(status: u16, lacks: [bool; 2]) -> Lab {
    let mut lab = Lab::ran(4);
    let of_rs2 = lab.ran.loads[0]
        .requests
        .iter_mut()
        .filter(|r| matches!(&r.outcome, Outcome::Answered { server: Some(server), .. } if server == "rs2"));
    for (request, lacks) in of_rs2.zip(lacks) {
        request.lacks = lacks.then(|| "a post".to_owned());
        request.outcome = Outcome::Answered { status, server: Some("rs2".into()), bytes: 4, whole: !lacks };
    }
    lab
}

/// The same after a POST that rs1 took.
fn written(status: u16) -> Lab {
    let mut lab = reads(status, [true, true]);
    for direction in [In, Out] {
        for node in ["client", "router", "director", "rs1", "rs2"] {
            lab.edit_frames(node, direction, |data| {
                if data.ends_with(b"GET / HTTP/1.1\r\n\r\n") {
                    let at = data.len() - 18;
                    data[at..].copy_from_slice(b"POST / HTTP/1.1\n\r\n");
                }
            });
        }
    }
    // The write is older than what is read.
    for request in lab.ran.loads[0].requests.iter_mut().filter(|r| r.lacks.is_some()) {
        request.start_ns += 3_600_000_000_000;
    }
    lab
}

#[test]
fn what_only_one_server_holds_is_named_with_the_write_where_it_was_seen() {
    let findings = reads(200, [true, true]).findings();
    assert_eq!((findings.len(), findings[0].id.as_str()), (1, "app-content-differs"), "{findings:#?}");
    assert_eq!(findings[0].node, "rs2");
    let shown = |findings: &[crate::judge::Finding]| {
        findings[0].evidence.iter().any(|e| e.what == "the last write goes to rs1")
    };
    assert!(!shown(&findings), "{findings:#?}");
    let findings = written(200).findings();
    assert!(shown(&findings), "{findings:#?}");
    assert_eq!(ids(&written(404)), ["app-content-differs"]);
}

#[test]
fn a_server_that_answers_now_so_now_so_is_in_trouble_or_never_had_the_page_is_another_matter() {
    assert_eq!(ids(&reads(200, [true, false])), [""; 0]);
    assert_eq!(ids(&reads(404, [true, true])), [""; 0]);
    assert_eq!(ids(&written(500)), [""; 0]);
}

#[test]
fn a_server_in_trouble_or_a_request_without_a_name_is_another_matter() {
    assert_eq!(ids(&by_name(b"GET /\r\nHost: abc\r\n", 500)), [""; 0]);
    assert_eq!(ids(&by_name(b"GET / HTTP/1.0\r\n\r\n", 404)), [""; 0]);
}
