//! What is wrong with a text is told with its line, and nothing is started.

use std::collections::BTreeMap;

use drlab::import::{self, ImportError, Library, Request, Text};

/// Texts by name.
struct Shelf(BTreeMap<&'static str, &'static str>);

impl Library for Shelf {
    fn included(&mut self, _: &str, pattern: &str) -> Result<Vec<(String, String)>, String> {
        match self.0.get(pattern) {
            Some(text) => Ok(vec![(pattern.to_owned(), (*text).to_owned())]),
            None => Err("no such file".to_owned()),
        }
    }
}

fn error(name: &str, text: &str, shelf: &[(&'static str, &'static str)]) -> ImportError {
    let text = Text { name: name.to_owned(), text: text.to_owned(), node: None, format: None };
    let request = Request { texts: vec![text], ..Request::default() };
    match import::import(&request, &mut Shelf(shelf.iter().copied().collect())) {
        Ok(imported) => panic!("{}", imported.scenario),
        Err(error) => error,
    }
}

#[test]
fn every_mistake_of_a_keepalived_conf_is_told_at_once() {
    let text = "\
global_defs {
    router_id lb1
}
vrrp_instance VI_1 {
    state MASTERR
    interface eth0
    virtual_router_id
    priority 300
    virtual_ipaddress {
        10.0.0.300/24
    }
}
virtual_server 10.0.0.100 80 {
    lb_algo robin
    lb_kind DSR
    real_server 10.0.0.11 8O {
        weight
    }
    real_server $RS2 80 {
    }
}
virtual_server group NONE {
}
include conf.d/missing.conf
}
virtual_server 10.0.0.101 80 {
";
    insta::assert_snapshot!(error("keepalived.conf", text, &[]));
}

#[test]
fn a_circular_include_is_told_with_the_circle() {
    let shelf = [("a.conf", "include b.conf\n"), ("b.conf", "global_defs {\n}\ninclude a.conf\n")];
    insta::assert_snapshot!(error("keepalived.conf", "global_defs {\n}\ninclude a.conf\n", &shelf));
}

#[test]
fn mistakes_of_other_formats_have_their_places_too() {
    insta::assert_snapshot!(
        "rules",
        error("rules", "-A -t 10.0.0.1 -s rr -w\n-a -t 10.0.0.1:80 -r 10.0.0.2:80 -g -w many\n", &[])
    );
    insta::assert_snapshot!(
        "script",
        error("rs.sh", "#!/bin/sh\nif true; then\n  ifconfig lo:0 10.0.0.1 netmask 255.0.255.0\n", &[])
    );
    insta::assert_snapshot!(
        "sysctl",
        error("sysctl.conf", "net.ipv4.conf.all.arp_ignore = 1\nnet.ipv4.ip_forward 1\n", &[])
    );
}

#[test]
fn definitions_that_grow_without_end_are_stopped() {
    let mut text = String::from("$A=aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n");
    for (one, other) in ["B", "C", "D", "E", "F", "G", "H"].iter().zip(["A", "B", "C", "D", "E", "F", "G"]) {
        let line = format!("${one}={}\n", format!("${other} ").repeat(10));
        text.push_str(&line);
    }
    text.push_str("global_defs {\n  router_id $H\n}\n");
    let said = error("keepalived.conf", &text, &[]).to_string();
    assert!(said.contains("definitions come to more text than is read"), "{said}");
}

#[test]
fn a_text_that_is_too_large_or_unknown_is_refused_by_name() {
    let large = error("big.conf", &"global_defs {\n}\n".repeat(1 << 20), &[]).to_string();
    assert!(large.contains("big.conf has 16777216 bytes"), "{large}");
    let unknown = error("letter.txt", "Dear operator,\n", &[]).to_string();
    assert!(unknown.contains("can't tell what letter.txt is"), "{unknown}");
    let nothing = error("sysctl.conf", "net.ipv4.ip_forward = 1\n", &[]).to_string();
    assert!(nothing.contains("no file has a virtual service"), "{nothing}");
}
