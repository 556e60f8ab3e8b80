//! `drlab import` and `drlab verify` up to where a lab would begin.

use super::program::Place;

const RULES: &[u8] = b"-A -t 10.0.0.100:80 -s rr\n-a -t 10.0.0.100:80 -r 10.0.0.11:80 -g -w 1\n";

#[test]
fn an_imported_scenario_is_printed_and_can_be_planned() {
    let place = Place::new("import");
    let rules = place.file("rules", RULES);
    let said = place.drlab(&["import", &rules]).ends_with(0);
    assert!(said.out.contains("# Assumed, as no file says it:") && said.out.contains("[nodes.rs1]"), "{}", said.out);
    let scenario = place.path("made.toml");
    let told = place.drlab(&["import", &rules, "-o", &scenario]).ends_with(0).out;
    assert!(told.contains("run it: drlab run "), "{told}");
    place.drlab(&["plan", &scenario]).ends_with(0);
    place.drlab(&["check", &scenario]).ends_with(0);
}

#[test]
fn mistakes_have_their_place_in_the_users_file_and_nothing_is_started() {
    let place = Place::new("import-wrong");
    let wrong = place.file("keepalived.conf", b"virtual_server 10.0.0.300 80 {\n  lb_kind DR\n");
    for command in ["import", "verify"] {
        let said = place.drlab(&[command, &wrong]).ends_with(2);
        assert!(said.err.contains("keepalived.conf:1:16") && said.err.contains("is never closed"), "{}", said.err);
        assert_eq!(said.out, "");
    }
}

#[test]
fn an_unknown_keyword_is_listed_with_its_place() {
    let place = Place::new("import-unknown");
    let text = b"virtual_server 10.0.0.100 80 {\n  lb_kind DR\n  frobnicate 7\n  real_server 10.0.0.11 80 {\n  }\n}\n";
    let conf = place.file("keepalived.conf", text);
    let said = place.drlab(&["import", &conf]).ends_with(0);
    assert!(said.out.contains("keepalived.conf:3:3: `frobnicate` of a virtual_server"), "{}", said.out);
    assert!(said.err.contains("1 statement is not understood"), "{}", said.err);
}

#[test]
fn files_that_are_missing_large_no_text_or_include_themselves_are_refused_by_name() {
    let place = Place::new("import-bad");
    let missing = place.path("missing.conf");
    assert!(place.drlab(&["import", &missing]).ends_with(2).err.contains("could not read"));
    let large = place.file("large.conf", &b"global_defs {\n}\n".repeat(10 << 16));
    assert!(place.drlab(&["import", &large]).ends_with(2).err.contains("is larger than 1048576 bytes"));
    let bytes = place.file("bytes.conf", b"global_defs {\n  router_id \xff\xfe\n}\n");
    assert!(place.drlab(&["import", &bytes]).ends_with(2).err.contains("line 2 has a byte that is not UTF-8"));
    let circle = place.file("circle.conf", b"include ./circle.conf\n");
    let said = place.drlab(&["import", &circle]).ends_with(2);
    assert!(said.err.contains("includes itself") && said.err.contains("circle.conf:1:1"), "{}", said.err);
    let absent = place.file("absent.conf", b"global_defs {\n}\ninclude conf.d/*.conf\n");
    let said = place.drlab(&["import", &absent]).ends_with(2);
    assert!(said.err.contains("could not include `conf.d/*.conf`: no such file"), "{}", said.err);
    assert!(said.err.contains("absent.conf:3:1"), "{}", said.err);
}

#[test]
fn whose_a_file_is_must_be_clear() {
    let place = Place::new("import-whose");
    let rules = place.file("rules", RULES);
    let script = place.file("x.sh", b"#!/bin/sh\nip addr add 10.0.0.100/32 dev lo\n");
    let said = place.drlab(&["import", &rules, &format!("web9={script}")]).ends_with(2);
    assert!(said.err.contains("can't tell whose web9=") && said.err.contains("10.0.0.11"), "{}", said.err);
    let said = place.drlab(&["import", &rules, &format!("10.0.0.11={script}")]).ends_with(0);
    assert!(said.out.contains("arp_cure = \"none\""), "{}", said.out);
}

#[test]
fn the_router_gives_the_netmask() {
    let place = Place::new("import-stdin");
    let rules = place.file("rules", RULES);
    let said = place.drlab(&["import", &rules, "--router", "10.0.0.254/16"]).ends_with(0);
    assert!(said.out.contains("lan = { subnet = \"10.0.0.0/16\" }"), "{}", said.out);
    assert!(said.out.contains("address = \"10.0.0.254\""), "{}", said.out);
}
