//! What all checks have in common.

use super::ALL;
use crate::base::Verdict::{Broken, Held, Undecided};
use crate::base::{Protocol, ServiceId};
use crate::judge::testlab::{Back, Exchange, Lab, SERVICE, There};
use crate::trace::Direction::{In, Out};

#[test]
fn a_textbook_run_holds_in_every_check_that_looks_at_it() {
    let lab = Lab::ran(10);
    for check in ALL {
        lab.expect(check.id, Held);
    }
}

#[test]
fn an_empty_trace_proves_nothing() {
    let lab = Lab::textbook();
    for id in ["mac-rewrite", "direct-return", "via-director", "arp-census", "distribution", "http", "port-kept"] {
        lab.expect(id, Undecided);
    }
}

#[test]
fn a_run_that_holds_has_no_findings() {
    assert_eq!(Lab::ran(4).findings(), []);
}

#[test]
fn ids_are_unique_and_in_kebab_case() {
    for (at, check) in ALL.iter().enumerate() {
        assert!(check.id.chars().all(|c| c.is_ascii_lowercase() || c == '-'), "{}", check.id);
        assert!(ALL[..at].iter().all(|other| other.id != check.id), "{}", check.id);
    }
}

#[test]
fn a_director_that_serves_too_is_one_of_its_own_real_servers() {
    let mut lab = Lab::textbook();
    lab.serve_on_director();
    lab.ask("router", &["director"]);
    for _ in 0..2 {
        lab.exchange(&Exchange::with("director").there(There::Local));
        lab.exchange(&Exchange::with("rs2"));
        lab.exchange(&Exchange::with("rs1"));
    }
    for check in ALL.iter().filter(|c| c.id != "read-back") {
        lab.expect(check.id, Held);
    }
    assert!(lab.expect("mac-rewrite", Held).summary.contains("LocalNode"));
}

#[test]
fn an_answer_by_a_director_that_is_no_real_server_breaks_the_frame_checks() {
    let mut lab = Lab::textbook();
    lab.exchange(&Exchange::with("director").there(There::Local));
    for id in ["mac-rewrite", "direct-return"] {
        lab.expect(id, Broken);
    }
    lab.expect("via-director", Undecided);
}

#[test]
fn datagrams_are_judged_as_connections_are() {
    let mut lab = Lab::textbook();
    let id = ServiceId::Address { protocol: Protocol::Udp, at: SERVICE };
    lab.service().id = id;
    lab.edit_facts("director", |f| f.ipvs.as_mut().unwrap().services[0].service = id);
    for server in ["rs2", "rs1", "rs2"] {
        lab.exchange(&Exchange::with(server).by(Protocol::Udp));
    }
    for check in ["mac-rewrite", "direct-return", "via-director", "distribution", "http", "port-kept"] {
        lab.expect(check, Held);
    }
    lab.exchange(&Exchange::with("rs1").by(Protocol::Udp).there(There::Nat).back(Back::FromRip));
    for check in ["mac-rewrite", "direct-return"] {
        lab.expect(check, Broken);
    }
}

#[test]
fn a_capture_without_the_directors_frames_shows_it() {
    let mut lab = Lab::ran(2);
    lab.remove_frames("director", In).remove_frames("director", Out);
    lab.expect("mac-rewrite", Undecided);
    lab.expect("distribution", Broken);
    lab.expect("via-director", Broken);
    lab.lose("director").expect("via-director", Undecided);
}
