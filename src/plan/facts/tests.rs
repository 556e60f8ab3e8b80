//! The facts of a plan against what a kernel is known to say.

use super::{acts, facts, rules};
use crate::facts::NodeFacts;
use crate::plan::{Act, Plan, compile};

const TEXTBOOK: &str = include_str!("../../../scenarios/basic/lvs-dr.toml");

fn plan(text: &str) -> Plan {
    let checks: Vec<&str> = crate::judge::checks::ALL.iter().map(|c| c.id).collect();
    let rules: Vec<&str> = crate::judge::rules::ALL.iter().map(|r| r.id).collect();
    let scenario = crate::scenario::load("test", text, &checks, &rules);
    let scenario = scenario.unwrap_or_else(|problems| panic!("{}", problems.render(false)));
    compile("test", &scenario).unwrap()
}

fn node(facts: &[NodeFacts], name: &str) -> NodeFacts {
    facts.iter().find(|f| f.node == *name).unwrap().clone()
}

fn routes(facts: &NodeFacts, table: &str) -> Vec<String> {
    let of = facts.routes.iter().filter(|r| r.table == table);
    of.map(|r| {
        let gateway = r.gateway.map_or_else(String::new, |g| format!(" via {g}"));
        let interface = r.interface.as_ref().map_or_else(String::new, |i| format!(" dev {i}"));
        format!("{} {}{gateway}{interface}", r.kind, r.destination)
    })
    .collect()
}

#[test]
fn a_node_has_connected_local_and_given_routes() {
    let (before, after) = facts(&plan(TEXTBOOK));
    let rs1 = node(&before, "rs1");
    assert_eq!(routes(&rs1, "main"), ["unicast 172.16.0.0/16 dev eth0", "unicast 0.0.0.0/0 via 172.16.0.1 dev eth0"]);
    assert_eq!(
        routes(&rs1, "local"),
        [
            "local 127.0.0.1/32 dev lo",
            "local 127.0.0.0/8 dev lo",
            "local 172.16.0.66/32 dev lo",
            "local 172.16.252.137/32 dev eth0"
        ]
    );
    assert_eq!(before, after);
}

#[test]
fn the_statements_of_the_facts_are_those_of_the_plan() {
    let plan = plan(TEXTBOOK);
    for (planned, facts) in plan.nodes.iter().zip(facts(&plan).0) {
        let said = facts.statements();
        let missing: Vec<_> =
            super::super::statements::planned(planned).into_iter().filter(|line| !said.contains(line)).collect();
        assert_eq!(missing, Vec::<String>::new(), "{}", planned.name);
    }
}

#[test]
fn a_mask_on_lo_makes_the_subnet_local_and_leaves_no_connected_route() {
    let plan = plan(include_str!("../../../scenarios/broken/routing/rs-vip-prefix-on-lo.toml"));
    let all = facts(&plan).0;
    let wide = |f: &&NodeFacts| f.addresses.iter().any(|a| a.interface == "lo" && a.address.prefix_len() == 16);
    let rs = all.iter().find(wide).unwrap().clone();
    assert!(routes(&rs, "local").iter().any(|r| r == "local 172.16.0.0/16 dev lo"), "{:?}", rs.routes);
    assert_eq!(routes(&rs, "main").iter().filter(|r| r.ends_with("dev lo")).count(), 0);
}

fn act(plan: &Plan, facts: &mut [NodeFacts], json: &str) {
    let act: Act = serde_json::from_str(json).unwrap();
    acts::apply(plan, &act, facts);
}

#[test]
fn a_primary_address_takes_secondary_ones_and_its_routes_along() {
    let plan = plan(TEXTBOOK);
    let mut all = facts(&plan).0;
    for ip in ["10.0.0.1/24", "10.0.0.2/24"] {
        let json = format!(
            r#"{{"add-address":{{"node":"rs1","interface":"eth0","address":{{"address":"{ip}","broadcast":null,"label":null,"nodad":false}},"unless_taken":false}}}}"#
        );
        act(&plan, &mut all, &json);
    }
    let rs1 = node(&all, "rs1");
    assert_eq!(rs1.addresses.last().unwrap().flags, ["secondary", "permanent"]);
    assert!(routes(&rs1, "main").contains(&"unicast 10.0.0.0/24 dev eth0".to_owned()));
    act(&plan, &mut all, r#"{"delete-address":{"node":"rs1","interface":"eth0","address":"10.0.0.1/24"}}"#);
    let rs1 = node(&all, "rs1");
    assert!(rs1.addresses.iter().all(|a| !a.address.to_string().starts_with("10.")), "{:?}", rs1.addresses);
    assert!(rs1.routes.iter().all(|r| !r.destination.to_string().starts_with("10.")), "{:?}", rs1.routes);
}

#[test]
fn a_link_that_went_down_comes_back_without_its_gateway() {
    let plan = plan(TEXTBOOK);
    let mut all = facts(&plan).0;
    act(&plan, &mut all, r#"{"set-link":{"node":"rs1","interface":"eth0","up":false}}"#);
    assert_eq!(routes(&node(&all, "rs1"), "main"), [""; 0]);
    act(&plan, &mut all, r#"{"set-link":{"node":"rs1","interface":"eth0","up":true}}"#);
    assert_eq!(routes(&node(&all, "rs1"), "main"), ["unicast 172.16.0.0/16 dev eth0"]);
}

#[test]
fn forwarding_writes_through_to_every_interface_and_a_default_does_not() {
    let plan = plan(TEXTBOOK);
    let mut all = facts(&plan).0;
    let value = |all: &[NodeFacts], key: &str| node(all, "rs1").sysctls[key].clone();
    act(&plan, &mut all, r#"{"set-sysctl":{"node":"rs1","key":"net.ipv4.ip_forward","value":"1"}}"#);
    assert_eq!(value(&all, "net.ipv4.conf.eth0.forwarding"), "1");
    act(&plan, &mut all, r#"{"set-sysctl":{"node":"rs1","key":"net.ipv4.conf.default.arp_ignore","value":"2"}}"#);
    assert_eq!(value(&all, "net.ipv4.conf.eth0.arp_ignore"), "0");
}

#[test]
fn filter_calls_leave_the_rules_that_a_listing_shows() {
    let calls: Vec<Vec<String>> = [
        "-A INPUT -d 172.16.0.66 -j DROP",
        "iptables -I INPUT -j ACCEPT",
        "-t mangle -A PREROUTING -j MARK --set-mark 1",
        "-P OUTPUT DROP",
        "-A FORWARD -j DROP",
        "-D FORWARD -j DROP",
        "-I INPUT 2 -p udp -j DROP",
    ]
    .iter()
    .map(|line| line.split(' ').map(str::to_owned).collect())
    .collect();
    assert_eq!(
        rules(&calls, "iptables"),
        [
            "-A INPUT -j ACCEPT",
            "-A INPUT -p udp -j DROP",
            "-A INPUT -d 172.16.0.66 -j DROP",
            "-t mangle -A PREROUTING -j MARK --set-mark 1",
            "-P OUTPUT DROP",
        ]
    );
    assert_eq!(rules(&[vec!["-A".into(), "INPUT".into()], vec!["-F".into()]], "arptables"), [""; 0]);
}
