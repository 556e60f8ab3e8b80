use std::net::IpAddr;

use super::compile;
use crate::base::{Forwarding, ServiceId, Verdict};
use crate::plan::{Act, Address, CompileError, LinkKind, Node, Plan, case};

/// A lab behind a router; `more` is put before the segments, `rest` at the end.
fn lab(more: &str, rest: &str) -> String {
    format!(
        r#"
        format = 1
        title = "a lab"
        vip = "172.16.0.66"
        {more}
        [segments]
        outside = {{ subnet = "203.0.113.0/24" }}
        lan = {{ subnet = "172.16.0.0/16" }}
        [nodes]
        client = {{ role = "client", segment = "outside" }}
        router = {{ role = "router", interfaces = {{ eth0 = {{ segment = "lan" }}, eth1 = {{ segment = "outside" }} }} }}
        director = {{ role = "director", segment = "lan" }}
        rs1 = {{ role = "real-server", segment = "lan" }}
        rs2 = {{ role = "real-server", segment = "lan" }}
        {rest}
        "#
    )
}

fn tried(text: &str) -> Result<Plan, CompileError> {
    compile("lab", &toml::from_str(text).unwrap())
}

fn plan(text: &str) -> Plan {
    tried(text).unwrap()
}

fn node<'p>(plan: &'p Plan, name: &str) -> &'p Node {
    plan.nodes.iter().find(|n| n.name == *name).unwrap()
}

fn addresses<'p>(plan: &'p Plan, name: &str, interface: &str) -> Vec<&'p Address> {
    let found = node(plan, name).interfaces.iter().find(|i| i.name == *interface);
    found.map_or_else(Vec::new, |i| i.addresses.iter().collect())
}

fn sysctl<'p>(plan: &'p Plan, name: &str, key: &str) -> Option<&'p str> {
    node(plan, name).sysctls.iter().find(|s| s.key == key).map(|s| s.value.as_str())
}

fn default_gateway(plan: &Plan, name: &str) -> Option<IpAddr> {
    node(plan, name).routes.iter().find(|r| r.destination.prefix_len() == 0)?.gateway
}

fn vip() -> IpAddr {
    "172.16.0.66".parse().unwrap()
}

#[test]
fn the_director_has_its_dip_before_the_vip() {
    let plan = plan(&lab("", ""));
    let on_eth0: Vec<String> = addresses(&plan, "director", "eth0").iter().map(|a| a.address.to_string()).collect();
    assert_eq!(on_eth0, ["172.16.0.10/16", "172.16.0.66/32"]);
    assert_eq!(addresses(&plan, "director", "eth0")[1].label.as_deref(), Some("eth0:0"));
}

#[test]
fn a_real_server_has_the_vip_on_lo_with_the_vip_as_broadcast() {
    let plan = plan(&lab("", ""));
    let on_lo = addresses(&plan, "rs1", "lo");
    assert_eq!(on_lo[0].address.to_string(), "172.16.0.66/32");
    assert_eq!(on_lo[0].broadcast.map(IpAddr::V4), Some(vip()));
    assert_eq!(on_lo[0].label.as_deref(), Some("lo:0"));
}

#[test]
fn each_sysctl_is_written_once_and_the_nodes_own_value_stays() {
    let own = "rs1 = { sysctls = { \"net.ipv4.conf.all.arp_ignore\" = 8 }, role";
    let plan = plan(&lab("", "").replace("rs1 = { role", own));
    assert_eq!(sysctl(&plan, "rs1", "net.ipv4.conf.all.arp_ignore"), Some("8"));
    assert_eq!(sysctl(&plan, "rs1", "net.ipv4.conf.all.arp_announce"), Some("2"));
    for node in &plan.nodes {
        let mut keys: Vec<&str> = node.sysctls.iter().map(|s| s.key.as_str()).collect();
        keys.sort_unstable();
        let all = keys.len();
        keys.dedup();
        assert_eq!(keys.len(), all, "{}", node.name);
    }
}

#[test]
fn under_nat_real_servers_answer_by_the_director_and_have_no_vip() {
    let plan = plan(&lab("", "[[services]]\nforwarding = \"nat\""));
    assert_eq!(default_gateway(&plan, "rs1"), Some("172.16.0.10".parse().unwrap()));
    assert!(!node(&plan, "rs1").owns(vip()));
    assert_eq!(sysctl(&plan, "director", "net.ipv4.ip_forward"), Some("1"));
    assert_eq!(sysctl(&plan, "director", "net.ipv4.conf.all.send_redirects"), Some("0"));
    assert_eq!(sysctl(&plan, "rs1", "net.ipv4.conf.all.arp_ignore"), Some("0"));
}

#[test]
fn under_tunnelling_the_vip_is_on_tunl0() {
    let plan = plan(&lab("", "[[services]]\nforwarding = \"tun\""));
    let tunl0 = node(&plan, "rs1").interfaces.iter().find(|i| i.kind == LinkKind::Ipip).unwrap();
    assert!(tunl0.carries(vip()));
    assert!(addresses(&plan, "rs1", "lo").is_empty());
    assert_eq!(sysctl(&plan, "rs1", "net.ipv4.conf.tunl0.rp_filter"), Some("0"));
}

#[test]
fn static_binding_leaves_real_servers_alone_and_the_router_need_not_ask() {
    let plan = plan(&lab("arp_cure = \"static-binding\"", ""));
    let mac = node(&plan, "director").interfaces[1].mac.unwrap();
    let entry = &node(&plan, "router").neighbours[0];
    assert_eq!((entry.address, entry.mac, entry.interface.as_str()), (vip(), mac, "eth0"));
    assert_eq!(sysctl(&plan, "rs1", "net.ipv4.conf.all.arp_ignore"), Some("0"));
    assert!(plan.probes.is_empty());
}

#[test]
fn arptables_drops_requests_and_puts_the_rip_in_the_vips_place() {
    let plan = plan(&lab("arp_cure = \"arptables\"", ""));
    let rules: Vec<String> = node(&plan, "rs2").arptables.iter().map(|r| r.join(" ")).collect();
    assert_eq!(
        rules,
        ["-A INPUT -d 172.16.0.66 -j DROP", "-A OUTPUT -s 172.16.0.66 -j mangle --mangle-ip-s 172.16.0.22"]
    );
    assert_eq!(sysctl(&plan, "rs2", "net.ipv4.conf.all.arp_ignore"), Some("0"));
}

#[test]
fn a_vip_in_no_subnet_is_asked_for_on_the_directors_segment() {
    let plan = plan(&lab("", "").replace("vip = \"172.16.0.66\"", "vip = \"198.51.100.66\""));
    let route = node(&plan, "router").routes.iter().find(|r| r.destination.to_string() == "198.51.100.66/32").unwrap();
    assert_eq!((route.gateway, route.interface.as_ref().map(crate::base::IfName::as_str)), (None, Some("eth0")));
    assert!(plan.implied.iter().any(|i| i.whom == "router" && i.what.contains("198.51.100.66/32")));
}

#[test]
fn routers_know_the_way_to_segments_behind_other_routers() {
    let text = lab("", "").replace("outside = {", "far = { subnet = \"198.18.0.0/24\" }\noutside = {").replace(
        "client = { role = \"client\", segment = \"outside\" }",
        "client = { role = \"client\", segment = \"far\" }
         edge = { role = \"router\", interfaces = { eth0 = { segment = \"outside\" }, eth1 = { segment = \"far\" } } }",
    );
    let plan = plan(&text);
    let ways = |name: &str| -> Vec<String> {
        let routes = node(&plan, name).routes.iter();
        routes.map(|r| format!("{} via {}", r.destination, r.gateway.unwrap())).collect()
    };
    assert_eq!(ways("router"), ["198.18.0.0/24 via 203.0.113.1"]);
    assert_eq!(ways("edge"), ["172.16.0.0/16 via 203.0.113.2"]);
    assert_eq!(default_gateway(&plan, "client"), Some("198.18.0.1".parse().unwrap()));
}

#[test]
fn a_full_segment_is_an_error_that_names_node_and_subnet() {
    let text = lab("", "")
        .replace("203.0.113.0/24", "203.0.113.0/31")
        .replace("client = {", "client2 = { role = \"client\", segment = \"outside\" }\nclient = {");
    let error = tried(&text).unwrap_err();
    assert!(matches!(error, CompileError::NoFreeAddress { .. }), "{error}");
    assert!(error.to_string().contains("203.0.113.0/31"), "{error}");
}

#[test]
fn what_the_timeline_adds_first_is_not_there_at_the_start() {
    let text = lab(
        "",
        "[[services]]
         [[services]]
         port = 8080
         [[timeline]]
         do.add_real_server = { real_server = \"rs2\" }
         [[timeline]]
         do.add_service = { service = 1 }
         [[timeline]]
         do.load = {}",
    );
    let plan = plan(&text);
    let services = &node(&plan, "director").ipvs.as_ref().unwrap().services;
    assert_eq!(services.len(), 1);
    assert_eq!(services[0].destinations.len(), 1);
    let case = case(&plan);
    assert!(case.changes);
    assert_eq!(case.services.len(), 2);
    assert_eq!(case.services[0].destinations.len(), 2);
}

#[test]
fn an_empty_load_in_the_timeline_is_the_scenarios_own() {
    let text = lab(
        "",
        "[load]
         requests = 7
         timeout_ms = 900
         [[timeline]]
         do.load = {}
         [[timeline]]
         do.load = { requests = 3 }",
    );
    let loads: Vec<(String, u32, u64)> = plan(&text)
        .timeline
        .iter()
        .map(|t| match &t.act {
            Act::Load(load) => (load.name.clone(), load.requests, load.timeout_ms),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(loads, [("load".to_owned(), 7, 900), ("load-2".to_owned(), 3, 900)]);
}

#[test]
fn further_source_addresses_are_added_to_the_client() {
    let plan = plan(&lab("", "[load]\naddresses_per_client = 3"));
    assert_eq!(addresses(&plan, "client", "eth0").len(), 3);
    let Act::Load(load) = &plan.timeline[0].act else { panic!("the first act is the load") };
    let sources: Vec<String> = load.clients.iter().map(|c| c.source.unwrap().to_string()).collect();
    assert_eq!(sources, ["203.0.113.101", "203.0.113.102", "203.0.113.103"]);
}

#[test]
fn ipv6_is_on_only_where_the_scenario_speaks_it() {
    let v4 = plan(&lab("", ""));
    assert_eq!(sysctl(&v4, "rs1", "net.ipv6.conf.all.disable_ipv6"), Some("1"));
    let v6 = plan(
        &lab("", "")
            .replace("172.16.0.66", "2001:db8:16::66")
            .replace("172.16.0.0/16", "2001:db8:16::/64")
            .replace("203.0.113.0/24", "2001:db8:203::/64"),
    );
    assert_eq!(sysctl(&v6, "rs1", "net.ipv6.conf.all.disable_ipv6"), Some("0"));
    assert_eq!(sysctl(&v6, "router", "net.ipv6.conf.all.forwarding"), Some("1"));
    let on_lo = addresses(&v6, "rs1", "lo");
    assert_eq!((on_lo[0].address.to_string().as_str(), on_lo[0].label.as_ref()), ("2001:db8:16::66/128", None));
    assert!(addresses(&v6, "director", "eth0").iter().all(|a| a.nodad));
    assert_eq!(default_gateway(&v6, "rs1"), Some("2001:db8:16::1".parse().unwrap()));
    assert_eq!(v6.probes.len(), 1);
}

#[test]
fn a_firewall_mark_gets_its_rule_unless_it_is_refused() {
    let marked = plan(&lab("", "[[services]]\nfwmark = 7"));
    let rule = node(&marked, "director").iptables[0].join(" ");
    assert_eq!(rule, "-t mangle -A PREROUTING -d 172.16.0.66 -p tcp --dport 80 -j MARK --set-mark 7");
    let service = &node(&marked, "director").ipvs.as_ref().unwrap().services[0];
    assert_eq!(service.id, ServiceId::Fwmark { mark: 7, v6: false });
    assert_eq!(node(&marked, "rs1").servers[0].bind.port(), 80);
    let own = plan(&lab("", "[[services]]\nfwmark = 7\nmark_packets = false"));
    assert!(node(&own, "director").iptables.is_empty());
}

#[test]
fn flags_have_the_kernels_numbers() {
    let sh = plan(&lab("", "[[services]]\nscheduler = \"sh\"\nflags = [\"sh-fallback\", \"sh-port\", \"ops\"]"));
    assert_eq!(node(&sh, "director").ipvs.as_ref().unwrap().services[0].flags, ["sched-1", "sched-2", "ops"]);
    assert!(matches!(tried(&lab("", "[[services]]\nflags = [\"sh-port\"]")), Err(CompileError::UnknownFlag { .. })));
}

#[test]
fn a_datagram_server_binds_the_vip_so_that_it_answers_from_it() {
    let plan = plan(&lab("", "[[services]]\nprotocol = \"udp\"\nport = 53"));
    let server = &node(&plan, "rs1").servers[0];
    assert_eq!((server.name.as_str(), server.bind.to_string().as_str()), ("udp-53", "172.16.0.66:53"));
}

#[test]
fn a_director_among_the_real_servers_serves_by_itself() {
    let plan = plan(&lab("", "[[services]]\nreal_servers = [\"rs1\", \"director\"]"));
    let destinations = &node(&plan, "director").ipvs.as_ref().unwrap().services[0].destinations;
    assert_eq!(destinations[1].forwarding, Forwarding::LocalNode);
    assert_eq!(node(&plan, "director").servers[0].name, "http-80");
}

#[test]
fn a_second_director_does_not_own_the_vip() {
    let plan = plan(&lab("", "").replace("rs1 = {", "director2 = { role = \"director\", segment = \"lan\" }\nrs1 = {"));
    assert!(node(&plan, "director").owns(vip()));
    assert!(!node(&plan, "director2").owns(vip()));
    assert_eq!(node(&plan, "director2").ipvs.as_ref().unwrap().services.len(), 1);
}

#[test]
fn a_node_that_is_told_not_to_own_the_vip_does_not() {
    let plan = plan(&lab("", "").replace("rs2 = { role", "rs2 = { vip = false, role"));
    assert!(!node(&plan, "rs2").owns(vip()));
    assert_eq!(sysctl(&plan, "rs2", "net.ipv4.conf.all.arp_ignore"), Some("1"));
}

#[test]
fn a_vip_on_a_dummy_makes_the_dummy() {
    let plan = plan(&lab("[vip_placement]\nreal_server = \"dummy0\"", ""));
    let dummy = node(&plan, "rs1").interfaces.iter().find(|i| i.kind == LinkKind::Dummy).unwrap();
    assert!(dummy.carries(vip()) && dummy.mac.is_some());
}

#[test]
fn checks_of_a_load_are_not_made_without_one() {
    let plan =
        plan(&lab("", "[[timeline]]\ndo.ping = { node = \"client\", to = \"rs1\" }\n[expect]\nskip = [\"read-back\"]"));
    let checks: Vec<&str> = plan.expect.checks.keys().map(String::as_str).collect();
    assert_eq!(checks, ["arp-census", "gateway-not-director", "same-segment", "vip-owned"]);
    assert!(plan.expect.checks.values().all(|v| *v == Verdict::Held));
}

#[test]
fn the_last_port_is_a_real_servers_unless_the_scenario_orders_them() {
    let ports = |plan: &Plan| -> Vec<String> { plan.segments[1].ports.iter().map(|p| p.node.to_string()).collect() };
    assert_eq!(ports(&plan(&lab("", ""))), ["director", "router", "rs1", "rs2"]);
    let listed = lab("", "").replace(
        "lan = { subnet = \"172.16.0.0/16\" }",
        "lan = { subnet = \"172.16.0.0/16\", join_order = [\"rs2\", \"director\"] }",
    );
    assert_eq!(ports(&plan(&listed)), ["router", "rs1", "rs2", "director"]);
}

#[test]
fn an_odd_scenario_is_refused_without_a_panic() {
    let odd = [
        lab("", "").replace("vip = \"172.16.0.66\"", "vip = []"),
        lab("", "").replace("segment = \"lan\" }\n        rs1", "segment = \"nowhere\" }\n        rs1"),
        lab("", "[[services]]\nscheduler = \"magic\""),
        lab("", "[[services]]\nreal_servers = [\"nobody\"]"),
        lab("", "[[services]]\nreal_servers = [{ weight = 2 }]"),
        lab("", "[[services]]\ndirector = \"nobody\""),
        lab("", "").replace("role = \"director\"", "role = \"router\""),
        lab("", "").replace("role = \"client\"", "role = \"router\""),
        lab("", "[[timeline]]\ndo.stop_server = { node = \"rs1\", server = \"ftp\" }"),
        lab("", "[[timeline]]\ndo.stop_server = { node = \"client\" }"),
        lab("", "[[timeline]]\ndo.set_weight = { real_server = \"rs1\", weight = 1, service = 4 }"),
        lab("", "[[timeline]]\ndo.ping = { node = \"client\", to = \"nobody\" }"),
        lab("", "[[timeline]]\ndo.set_link = { node = \"rs1\", interface = \"eth9\", up = true }"),
        lab("", "[[load.during]]\ndo.ping = { node = \"client\", to = \"rs1\" }"),
        lab("", "[[load.during]]\nat_ms = 1\ndo.load = {}"),
        lab("", "[expect]\nskip = [\"everything\"]"),
        lab("[vip_placement]\nreal_server = \"wlan0\"", ""),
        lab("[vip_placement]\nprefix = 64", ""),
        lab("", "").replace("rs2 = { role", "rs2 = { address = \"here\", role"),
        lab("", "").replace("rs2 = { role", "rs2 = { gateway = \"there\", role"),
        lab("", "").replace("rs2 = { role", "rs2 = { routes = [{ to = \"x\" }], role"),
        lab("", "").replace("rs2 = { role", "rs2 = { neighbours = [{ address = \"172.16.0.1\", mac = \"who\" }], role"),
        lab("", "").replace("rs2 = { role", "rs2 = { arptables = [\"-A 'INPUT\"], role"),
    ];
    for text in odd {
        assert!(tried(&text).is_err(), "{text}");
    }
}

#[test]
fn an_interface_that_is_down_gets_no_implied_route() {
    let up = plan(&lab("", "rs3 = { role = \"real-server\", interfaces.eth0 = { segment = \"lan\" } }"));
    assert!(default_gateway(&up, "rs3").is_some());
    let down = plan(&lab("", "rs3 = { role = \"real-server\", interfaces.eth0 = { segment = \"lan\", up = false } }"));
    assert_eq!(default_gateway(&down, "rs3"), None);
}

#[test]
fn each_vip_is_on_the_director_that_holds_its_service() {
    let services = "d2 = { role = \"director\", segment = \"lan\" }
        [[services]]
        director = \"director\"
        [[services]]
        director = \"d2\"
        vip = \"172.16.0.67\"";
    let text = lab("", services).replace("vip = \"172.16.0.66\"", "vip = [\"172.16.0.66\", \"172.16.0.67\"]");
    let plan = plan(&text);
    let last = |name| addresses(&plan, name, "eth0").last().map(|a| a.address.to_string());
    assert_eq!(last("director").as_deref(), Some("172.16.0.66/32"));
    assert_eq!(last("d2").as_deref(), Some("172.16.0.67/32"));
}

#[test]
fn a_script_that_calls_nothing_of_ipvs_is_left_without_a_table() {
    let by = |what: &str| {
        let node = format!("director = {{ kind = \"script\", run = [\"{what}\"], role = ");
        plan(&lab("", "").replace("director = { role = ", &node))
    };
    let without = by("nft -f /etc/nftables.conf");
    assert!(node(&without, "director").is_without_ipvs());
    assert!(without.implied.iter().any(|i| i.whom == "director" && i.what.contains("no IPVS table")));
    let wanted = &case::case(&without).without_ipvs[&node(&without, "director").name];
    assert_eq!(wanted.len(), 1);
    assert_eq!(wanted[0].destinations.len(), 2);
    let with = by("ipvsadm -R < /etc/ipvsadm.rules");
    assert!(node(&with, "director").ipvs.is_some() && case::case(&with).without_ipvs.is_empty());
}

#[test]
fn checksums_are_left_open_only_where_that_is_said() {
    let open = plan(&lab("", "").replace(
        "client = { role = \"client\", segment = \"outside\" }",
        "client = { role = \"client\", interfaces.eth0 = { segment = \"outside\", tx_checksum = true } }",
    ));
    let left: Vec<&str> = open
        .nodes
        .iter()
        .filter(|node| node.interfaces.iter().any(|interface| interface.tx_checksum))
        .map(|node| node.name.as_str())
        .collect();
    assert_eq!(left, ["client"]);
}
