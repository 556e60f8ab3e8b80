//! What all checks have in common.

use super::ALL;
use crate::base::Verdict::{Held, Undecided};
use crate::judge::testlab::Lab;

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
