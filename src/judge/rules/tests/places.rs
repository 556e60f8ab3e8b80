//! Where packets end, when no cause is named: told with its frame, and not told where it can't be.

use crate::base::Mac;
use crate::judge::testlab::{Back, Exchange, Lab, There};
use crate::judge::{Confidence, Finding};
use crate::trace::Direction;

/// A run whose second request fails.
fn failed(exchange: &Exchange) -> Lab {
    let mut lab = Lab::ran(1);
    lab.exchange(exchange);
    lab
}

fn never() -> Lab {
    failed(&Exchange::with("rs1").back(Back::Never))
}

fn places(lab: &Lab) -> Vec<(String, String)> {
    lab.findings().into_iter().map(|f: Finding| (f.id, f.node.to_string())).collect()
}

#[test]
fn a_server_that_says_nothing_is_the_place() {
    let lab = never();
    let findings = lab.findings();
    assert_eq!(places(&lab), [("unexplained-drop".to_owned(), "rs1".to_owned())]);
    assert_eq!(findings[0].confidence, Confidence::Likely);
    assert!(findings[0].mend.is_empty());
    let frame = findings[0].evidence[0].frame.as_ref().unwrap();
    assert_eq!(frame.vantage, "rs1:eth0");
    assert!(findings[0].evidence[0].what.starts_with("SYN 203.0.113.2:"), "{findings:?}");
}

#[test]
fn a_packet_that_stays_in_the_director_ends_there() {
    let lab = failed(&Exchange::with("rs1").there(There::Swallowed));
    assert_eq!(places(&lab), [("unexplained-drop".to_owned(), "director".to_owned())]);
}

#[test]
fn what_a_switch_drops_ends_at_the_receiver_that_never_saw_it() {
    let mut lab = Lab::textbook();
    lab.ask_and_answer("router", "director");
    lab.exchange(&Exchange::with("rs1").back(Back::Never));
    lab.remove_frames("rs1", Direction::In);
    let findings = lab.findings();
    assert_eq!(places(&lab), [("unexplained-drop".to_owned(), "rs1".to_owned())]);
    assert_eq!(findings[0].evidence[0].frame.as_ref().unwrap().vantage, "director:eth0");
    assert!(findings[0].evidence[0].what.ends_with("(rs1:eth0), and is not seen there"), "{findings:?}");
}

#[test]
fn a_cause_that_is_named_leaves_no_place_to_tell() {
    let mut lab = never();
    lab.edit_facts("rs1", |f| f.addresses.retain(|a| a.interface != "lo"));
    assert_eq!(places(&lab), [("rs-vip-missing".to_owned(), "rs1".to_owned())]);
}

#[test]
fn a_capture_that_lost_frames_or_cut_them_tells_no_place() {
    let mut lab = never();
    lab.lose("rs2");
    assert_eq!(places(&lab), []);
    let mut lab = never();
    lab.frames[5].data.truncate(30);
    assert_eq!(places(&lab), []);
}

#[test]
fn requests_that_were_answered_have_no_end_to_tell() {
    let mut lab = Lab::ran(2);
    // The server is broken in another way: what the second one served is not what it should have.
    lab.case.services[0].destinations.pop();
    lab.remove_frames("rs1", Direction::In);
    assert!(places(&lab).iter().all(|(id, _)| id != "unexplained-drop"), "{:?}", places(&lab));
}

#[test]
fn a_packet_for_a_mac_that_nobody_has_ends_where_it_was_sent() {
    let mut lab = Lab::textbook();
    lab.ask_and_answer("router", "director");
    lab.exchange(&Exchange::with("rs1").there(There::Swallowed));
    lab.remove_frames("director", Direction::In);
    lab.edit_frames("router", Direction::Out, |data| data[0..6].copy_from_slice(&Mac([2, 0, 0, 0, 0, 0xee]).0));
    assert_eq!(places(&lab), [("unexplained-drop".to_owned(), "router".to_owned())]);
}
