//! `drlab audit` on a live kernel: network namespaces made by hand, set up as real servers. Needs root (`CAP_SYS_ADMIN`),
//! `unshare` and `ip`: where they lack, every test here fails and says so.

#![expect(clippy::expect_used, reason = "a test that can't prepare its namespace has to fail")]

use std::process::Command;

/// A real server of the textbook, with nothing done about ARP.
const SERVER: &str =
    "ip link set lo up; ip link add eth0 type veth peer name far; ip link set far up; ip link set eth0 up
    ip address add 172.16.252.137/16 dev eth0; ip address add 172.16.0.66/32 dev lo label lo:0
    ip route add default via 172.16.0.1
    for key in arp_ignore arp_announce rp_filter; do
        for device in all eth0 lo; do echo 0 > /proc/sys/net/ipv4/conf/$device/$key; done
    done";

/// Runs an audit in a namespace of its own, with more done before, and gives the exit code and what was printed.
fn audit(more: &str, arguments: &str) -> (i32, String) {
    let drlab = env!("CARGO_BIN_EXE_drlab");
    let script = format!("set -e; {SERVER}\n{more}\nset +e; {drlab} audit --vip 172.16.0.66 --name rs1 {arguments}");
    let run = Command::new("unshare").args(["--net", "sh", "-c", &script]).output().expect("unshare can be started");
    let said = String::from_utf8_lossy(&run.stdout).into_owned();
    assert!(!said.is_empty(), "it said nothing: {}", String::from_utf8_lossy(&run.stderr));
    (run.status.code().unwrap_or(-1), said)
}

fn has(text: &str, words: &str) {
    let flat = text.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(flat.contains(words), "`{words}` is not in\n{text}");
}

#[test]
fn a_server_that_answers_for_the_vip_is_wrong_and_told_what_mends_it() {
    let (code, said) = audit("", "--role rs");
    assert_eq!(code, 1, "{said}");
    has(&said, "✗ wrong arp_ignore");
    has(&said, "on rs1: sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2");
}

#[test]
fn a_cured_server_has_nothing_wrong_with_its_arp() {
    let cure = "echo 1 > /proc/sys/net/ipv4/conf/all/arp_ignore; echo 2 > /proc/sys/net/ipv4/conf/all/arp_announce";
    let (code, said) = audit(cure, "--role rs");
    assert!(code == 0 || code == 3, "{said}");
    has(&said, "✓ ok arp_ignore all 1");
    assert!(!said.contains("✗ wrong"), "{said}");
}

#[test]
fn a_gateway_that_is_the_director_is_found_once_its_address_is_told() {
    let cure = "echo 1 > /proc/sys/net/ipv4/conf/all/arp_ignore; echo 2 > /proc/sys/net/ipv4/conf/all/arp_announce";
    let (code, said) = audit(cure, "--role rs --director 172.16.0.1 --format json");
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("\"id\": \"rs-gw-director\""), "{said}");
}

#[test]
fn the_facts_of_a_machine_are_kept_and_judged_with_others() {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("audit-rs1.json");
    let (code, _) = audit("", &format!("--role rs --facts-out {}", file.display()));
    assert_eq!(code, 1);
    let run = Command::new(env!("CARGO_BIN_EXE_drlab")).args(["check", "--facts"]).arg(&file).output();
    let run = run.unwrap_or_else(|error| panic!("drlab can't be started: {error}"));
    assert_eq!(run.status.code(), Some(1));
    has(&String::from_utf8_lossy(&run.stdout), "rs-arp-default on rs1");
}
