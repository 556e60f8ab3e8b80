//! `ipvs-rip-nobody`: the IPVS table names a real server's address that nobody has.

use std::net::SocketAddr;

use super::diagnosis::{Diagnosis, mended};
use super::ipvs_no_dest::method_flag;
use super::ipvs_service_missing::ipvs_flag;
use super::{Affliction, Rule};
use crate::base::{Forwarding, ServiceId};
use crate::judge::host::address_line;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "ipvs-rip-nobody",
    title: "the Director's table names an address that nobody has",
    teaches: "ipvsadm takes any address for a real server's. One that nobody has (a typing error, a real server that \
              was renumbered) gets its share of all connections: the Director asks who has it, three times, and \
              drops what waits. Without health checks nothing takes it out of the table.",
    causes: "connections that are scheduled there time out or end with `No route to host`, a fixed share of all",
    source: "ipvsadm(8): --real-server; net/netfilter/ipvs/ip_vs_xmit.c: ip_vs_dr_xmit",
    outranks: &[],
    what: |nodes| format!("a real server is sent to at an address that nobody has, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::RipNobody { at, service, weight, server } = deviation.kind else { return None };
    let node = deviation.node;
    let mut evidence =
        vec![Evidence::fact(format!("{node} sends to it"), format!("{service} -> {at} weight {weight}"))];
    let facts = server.and_then(|s| diagnosis.facts(s)).map_or(&[][..], |f| &f.addresses);
    let own = || facts.iter().filter(|a| !diagnosis.world.case.is_vip(a.address.addr()) && a.interface != "lo");
    let shown: Vec<String> = own().map(address_line).collect();
    if let Some(server) = server.filter(|_| !shown.is_empty()) {
        evidence.push(Evidence::fact(format!("addresses of {server}"), shown.join(", ")));
    }
    let id = match service {
        ServiceId::Address { protocol, at } => format!("{} {at}", ipvs_flag(protocol)),
        ServiceId::Fwmark { mark, v6 } => format!("-f {mark}{}", if v6 { " -6" } else { "" }),
    };
    let right = own().map(|a| a.address.addr()).find(|ip| ip.is_ipv4() == at.is_ipv4());
    let gone = format!("ipvsadm -d {id} -r {at}");
    let mend = match right.map(|ip| SocketAddr::new(ip, at.port())) {
        Some(right) => {
            let flag = method_flag(Forwarding::DirectRouting);
            vec![mended(node, Dialect::Ipvsadm, format!("{gone} && ipvsadm -a {id} -r {right} {flag} -w {weight}"))]
        }
        None => vec![mended(node, Dialect::Ipvsadm, gone)],
    };
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
