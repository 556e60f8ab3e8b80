//! `ha-check-on-rip`: a health check that asks the RIP keeps a real server in the table that cannot serve the VIP.

use std::net::IpAddr;

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule, rs_vip_missing};
use crate::base::NodeName;
use crate::judge::case::Station;
use crate::judge::model::{Deviation, Kind};
use crate::judge::traffic::Packet;
use crate::judge::{Dialect, Evidence};
use crate::trace::Frame;
use crate::wire::frame::Tcp;

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "ha-check-on-rip",
    title: "the health check asks the RIP, and the VIP behind it is dead",
    teaches: "A TCP_CHECK or HTTP_GET of keepalived connects to the address of its real_server, which is the RIP. Clients' \
              packets come with the VIP as destination. A real server that lost the VIP answers the one and drops the \
              other: the check stays green, the real server stays in the table, and it goes on getting its share. What \
              a check proves is only what it asks. Where a check asks the VIP by way of the real server, the loss of the \
              VIP takes the real server out.",
    causes: "every connection that is sent there times out, a fixed share of all, and no check sees it",
    source: "keepalived.conf(5): TCP_CHECK, connect_ip; net/ipv4/route.c: ip_route_input_slow",
    outranks: &["rs-vip-missing", "rs-vip-missing-forwarding"],
    what: |nodes| format!("the VIP is missing, and the health check, which asks the RIP, does not see it, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::NotOwn { address, .. } = deviation.kind else { return None };
    let node = deviation.node;
    let station = diagnosis.world.case.station(node).filter(|_| diagnosis.is_server(node))?;
    let check = answered(diagnosis, station, address)?;
    let (trace, rip) = (diagnosis.traffic.input.trace, check.rip);
    let mut evidence = rs_vip_missing::not_own(diagnosis, node)?;
    evidence.extend(still_listed(diagnosis, check.by, rip));
    let asked = format!("the check of {} asks {node} at its RIP, {rip}", check.by);
    evidence.push(Evidence::frame(trace, check.asked, asked));
    evidence.push(Evidence::frame(trace, check.told, format!("{node} answers the check from {rip}")));
    let mut mend = rs_vip_missing::mend(node, address);
    mend.push(mended(
        check.by,
        Dialect::Keepalived,
        format!(
            "in the check of each real server: connect_ip {address}, bindto the DIP, and a fwmark of its own, whose \
             virtual_server has this real server alone; with accept_local=1"
        ),
    ));
    Some(Diagnosis::afflict(deviation, evidence, mend))
}

/// A health check of the RIP that was answered.
struct Check<'a> {
    by: &'a NodeName,
    rip: IpAddr,
    asked: &'a Frame,
    told: &'a Frame,
}

/// The first connection from a Director to the RIP, at a port that the service has, that the real server accepted.
fn answered<'a>(diagnosis: &Diagnosis<'a>, station: &'a Station, vip: IpAddr) -> Option<Check<'a>> {
    let traffic = &diagnosis.traffic;
    let case = traffic.input.case;
    let served = |p: &Packet<'a>| {
        let destinations = case.services.iter().flat_map(|s| &s.destinations);
        destinations.into_iter().any(|d| d.at.ip() == p.source.ip() && (d.at.port() == p.source.port()))
    };
    let flags = |p: &Packet<'a>| p.ip.tcp().map_or(0, |tcp| tcp.flags);
    let own = |p: &&Packet<'a>| {
        let rip = p.source.ip();
        rip.is_ipv4() == vip.is_ipv4() && !case.is_vip(rip) && station.has(rip) && served(p)
    };
    let accepted = traffic.packets.iter().filter(own).filter(|p| {
        flags(p) & (Tcp::SYN | Tcp::ACK) == Tcp::SYN | Tcp::ACK && traffic.is_directors_address(p.destination.ip())
    });
    accepted
        .filter_map(|answer| {
            let told = answer.entry(|s| traffic.is_director(s))?;
            answer.exit(|s| s.node == station.node)?;
            let question = traffic.packets.iter().find(|p| {
                (p.source, p.destination) == (answer.destination, answer.source)
                    && p.ip.tcp().is_some_and(Tcp::opens)
                    && p.exit(|s| s.node == told.station.node).is_some()
            })?;
            let asked = question.exit(|s| s.node == told.station.node)?;
            Some(Check { by: &told.station.node, rip: answer.source.ip(), asked: asked.frame, told: told.frame })
        })
        .next()
}

/// That the Director's table has the real server at the end as well.
fn still_listed(diagnosis: &Diagnosis<'_>, director: &NodeName, rip: IpAddr) -> Vec<Evidence> {
    let input = diagnosis.traffic.input;
    let facts = input.facts_after(director).or_else(|| diagnosis.facts(director));
    let services = facts.iter().flat_map(|f| &f.ipvs).flat_map(|i| &i.services);
    let listed = services.flat_map(|s| s.destinations.iter().map(move |d| (s.service, d)));
    listed
        .filter(|(_, d)| d.at.ip() == rip && d.weight > 0)
        .map(|(service, d)| {
            Evidence::fact(
                format!("{director} still sends to it"),
                format!("{service} -> {} weight {}", d.at, d.weight),
            )
        })
        .collect()
}
