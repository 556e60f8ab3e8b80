//! Plans written by hand, so that what is built is tested apart from how plans come to be.

use drlab::base::{Forwarding, Mac, Protocol, Role, ServiceId};
use drlab::plan::{
    Address, Destination, Expect, Interface, Ipvs, LinkKind, Neighbour, Node, Plan, Port, Route, Segment, Service,
    Sysctl,
};

/// The VIP of [`textbook`].
pub(crate) const VIP: &str = "172.16.0.66";

/// Client, router, Director and two real servers, as in the textbook.
pub(crate) fn textbook() -> Plan {
    let mut client = node("client", Role::Client);
    client.interfaces.push(veth("eth0", "outside", "02:d1:00:00:00:02", &["10.0.0.2/24"]));
    client.routes.push(default_route("10.0.0.1"));

    let mut router = node("router", Role::Router);
    router.interfaces.push(veth("eth0", "outside", "02:d1:00:00:01:00", &["10.0.0.1/24"]));
    router.interfaces.push(veth("eth1", "lan", "02:d1:00:00:01:01", &["172.16.0.1/16", "2001:db8::1/64"]));
    router.sysctls.push(sysctl("net.ipv4.ip_forward", "1"));

    let mut director = node("director", Role::Director);
    let mut eth0 = veth("eth0", "lan", "02:d1:00:00:02:00", &["172.16.251.73/16", "2001:db8::73/64"]);
    eth0.addresses.push(vip("eth0:0"));
    director.interfaces.push(eth0);
    director.sysctls.push(sysctl("net.ipv4.ip_forward", "1"));
    director.routes.push(default_route("172.16.0.1"));
    director.ipvs = Some(Ipvs {
        services: vec![Service {
            id: http(),
            scheduler: "rr".to_owned(),
            flags: Vec::new(),
            persistence_s: None,
            persistence_prefix: None,
            destinations: ["172.16.252.137:80", "172.16.253.202:80"].map(real_server).to_vec(),
        }],
        timeouts_s: Some((900, 120, 300)),
    });

    Plan {
        scenario: "by-hand".to_owned(),
        title: "Written by hand".to_owned(),
        vips: vec![VIP.parse().unwrap()],
        segments: vec![
            segment("outside", "br0", 1, &[("client", "eth0"), ("router", "eth0")]),
            segment("lan", "br1", 2, &[("router", "eth1"), ("director", "eth0"), ("rs1", "eth0"), ("rs2", "eth0")]),
        ],
        nodes: vec![
            client,
            router,
            director,
            rs("rs1", "02:d1:00:00:03:00", "172.16.252.137/16"),
            rs("rs2", "02:d1:00:00:04:00", "172.16.253.202/16"),
        ],
        timeline: Vec::new(),
        probes: Vec::new(),
        implied: Vec::new(),
        expect: Expect::default(),
        memory_mib: 0,
    }
}

/// One client and so many real servers on one segment.
pub(crate) fn wide(real_servers: u32) -> Plan {
    let mut plan = textbook();
    plan.nodes.retain(|node| node.name != "rs1" && node.name != "rs2");
    plan.segments[1].ports.retain(|port| port.node != "rs1" && port.node != "rs2");
    for number in 0..real_servers {
        let name = format!("rs{number}");
        let (high, low) = (number / 200 + 1, number % 200 + 10);
        plan.segments[1].ports.push(Port {
            node: name.parse().unwrap(),
            interface: "eth0".parse().unwrap(),
            name: format!("p2-{name}").parse().unwrap(),
            isolated: false,
            vlan: None,
            locked: None,
            filters: vec![],
        });
        plan.nodes.push(rs(&name, &format!("02:d1:01:00:{high:02x}:{low:02x}"), &format!("172.16.{high}.{low}/16")));
    }
    plan
}

/// The service of [`textbook`].
pub(crate) fn http() -> ServiceId {
    ServiceId::Address { protocol: Protocol::Tcp, at: format!("{VIP}:80").parse().unwrap() }
}

/// A real server by direct routing with weight 1.
pub(crate) fn real_server(at: &str) -> Destination {
    Destination {
        node: None,
        at: at.parse().unwrap(),
        forwarding: Forwarding::DirectRouting,
        weight: 1,
        upper: 0,
        lower: 0,
    }
}

/// A sysctl that is not of the baseline.
pub(crate) fn sysctl(key: &str, value: &str) -> Sysctl {
    Sysctl { key: key.to_owned(), value: value.to_owned(), baseline: false }
}

fn rs(name: &str, mac: &str, address: &str) -> Node {
    let mut rs = node(name, Role::RealServer);
    rs.interfaces[0].addresses.push(vip("lo:0"));
    rs.interfaces.push(veth("eth0", "lan", mac, &[address]));
    rs.sysctls.push(sysctl("net.ipv4.conf.all.arp_ignore", "1"));
    rs.sysctls.push(sysctl("net.ipv4.conf.eth0.arp_announce", "2"));
    rs.routes.push(default_route("172.16.0.1"));
    rs.neighbours.push(Neighbour {
        interface: "eth0".parse().unwrap(),
        address: "172.16.0.1".parse().unwrap(),
        mac: "02:d1:00:00:01:01".parse().unwrap(),
    });
    rs
}

fn node(name: &str, role: Role) -> Node {
    let baseline = [
        ("net.ipv4.conf.all.rp_filter", "0"),
        ("net.ipv4.conf.default.rp_filter", "0"),
        ("net.ipv4.conf.all.arp_ignore", "0"),
        ("net.ipv6.conf.default.accept_dad", "0"),
        ("net.ipv6.conf.all.no_such_key_anywhere", "0"),
    ];
    let sysctls = baseline.map(|(key, value)| Sysctl { baseline: true, ..sysctl(key, value) });
    Node {
        name: name.parse().unwrap(),
        role,
        runs_on: None,
        interfaces: vec![Interface {
            name: "lo".parse().unwrap(),
            kind: LinkKind::Loopback,
            mac: None,
            mtu: 65_536,
            arp: true,
            tx_checksum: false,
            up: true,
            addresses: Vec::new(),
        }],
        sysctls: sysctls.to_vec(),
        routes: Vec::new(),
        neighbours: Vec::new(),
        arptables: Vec::new(),
        iptables: Vec::new(),
        kind: drlab::base::DirectorKind::default(),
        ipvs: None,
        balances: Vec::new(),
        servers: Vec::new(),
        access_logs: Vec::new(),
        packages: Vec::new(),
        files: Vec::new(),
        daemons: Vec::new(),
        commands: Vec::new(),
        commands_later: false,
    }
}

fn veth(name: &str, segment: &str, mac: &str, addresses: &[&str]) -> Interface {
    Interface {
        name: name.parse().unwrap(),
        kind: LinkKind::Segment(segment.parse().unwrap()),
        mac: Some(mac.parse::<Mac>().unwrap()),
        mtu: 1500,
        arp: true,
        tx_checksum: false,
        up: true,
        addresses: addresses.iter().map(|text| address(text)).collect(),
    }
}

fn address(text: &str) -> Address {
    let address: ipnet::IpNet = text.parse().unwrap();
    let broadcast = match address {
        ipnet::IpNet::V4(v4) => Some(v4.broadcast()),
        ipnet::IpNet::V6(_) => None,
    };
    Address { address, broadcast, label: None, nodad: true }
}

fn vip(label: &str) -> Address {
    Address {
        address: format!("{VIP}/32").parse().unwrap(),
        broadcast: Some(VIP.parse().unwrap()),
        label: Some(label.to_owned()),
        nodad: false,
    }
}

fn default_route(gateway: &str) -> Route {
    Route {
        destination: "0.0.0.0/0".parse().unwrap(),
        gateway: Some(gateway.parse().unwrap()),
        interface: None,
        source: None,
        mtu: None,
    }
}

fn segment(name: &str, bridge: &str, number: u8, ports: &[(&str, &str)]) -> Segment {
    Segment {
        name: name.parse().unwrap(),
        v4: None,
        v6: None,
        mtu: 1500,
        bridge: bridge.parse().unwrap(),
        ports: ports
            .iter()
            .map(|(node, interface)| Port {
                node: node.parse().unwrap(),
                interface: interface.parse().unwrap(),
                name: format!("p{number}-{node}").parse().unwrap(),
                isolated: false,
                vlan: None,
                locked: None,
                filters: vec![],
            })
            .collect(),
    }
}
