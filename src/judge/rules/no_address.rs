//! `no-address`: an interface that has to be used has no address of its own.

use std::net::IpAddr;

use ipnet::IpNet;

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule};
use crate::base::Role;
use crate::judge::host::address_line;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "no-address",
    title: "an interface has no address of its own",
    teaches: "An interface that is up but has no address (DHCP that got no lease, a configuration file with another \
              interface's name) has no subnet either: the kernel knows nobody there, takes no route with a gateway \
              there, and answers nobody who asks for the address that it should have. A VIP of /32 does not help, \
              as its subnet is itself alone. With the last address of an interface the kernel drops all its routes.",
    causes: "nothing is sent there, and whoever sends to it gets no answer to who-has",
    source: "net/ipv4/fib_frontend.c: fib_inetaddr_event, fib_disable_ip",
    outranks: &["no-route", "rs-gw-missing"],
    what: |nodes| format!("an interface has no address of its own on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Unaddressed { wanted } = deviation.kind else { return None };
    let (interface, node) = (deviation.interface?, deviation.node);
    let place = diagnosis.place(deviation)?;
    let all: Vec<String> = place.facts.addresses.iter().map(address_line).collect();
    let all = if all.is_empty() { "none".to_owned() } else { all.join(", ") };
    let evidence = vec![Evidence::fact(format!("all addresses of {node}; none of its own is on {interface}"), all)];
    let port = place.port(interface.as_str())?;
    let planned = port.addresses.iter().copied().find(|a| !diagnosis.world.case.is_vip(a.addr()));
    let around = |ip: IpAddr| {
        let others = diagnosis.world.on(&port.segment).flat_map(|(p, _)| &p.facts.addresses);
        others.map(|a| a.address).filter(|net| net.contains(&ip)).map(|net| net.prefix_len()).min()
    };
    let sought = wanted.and_then(|ip| IpNet::new(ip, around(ip)?).ok());
    let Some(address) = planned.or(sought) else {
        let words = format!("give {interface} an address of the segment's subnet, and the routes that went with it");
        return Some(Diagnosis::afflict(deviation, evidence, vec![mended(node, Dialect::ByHand, words)]));
    };
    let mut command = format!("ip address add {address} dev {interface}");
    if place.station.role != Role::Router
        && let Some(next) = diagnosis.world.router_on(&place, port, address.addr())
    {
        command = format!("{command} && ip route replace default via {} dev {interface}", next.address);
    }
    Some(Diagnosis::afflict(deviation, evidence, vec![mended(node, Dialect::Ip, command)]))
}
