//! Shares that are not what the scenario wants, for persistence has the last word. Where nobody says what the shares are to
//! be, persistence that keeps clients where they are does what it is for.

use std::net::IpAddr;

use crate::base::NodeName;
use crate::facts::run::Outcome;
use crate::facts::{IpvsFacts, ServiceFact};
use crate::judge::Input;
use crate::judge::case::Station;
use crate::judge::model::deviation::{Kind, Predicted};
use crate::judge::traffic::Traffic;

/// Adds what persistence explains of shares that are not kept.
pub(super) fn add<'a>(traffic: &Traffic<'a>, predicted: &mut Predicted<'a>) {
    let input = traffic.input;
    for director in traffic.directors() {
        let Some(facts) = input.facts_after(&director.node) else { continue };
        let Some(ipvs) = &facts.ipvs else { continue };
        let kept = facts.sysctls.get("net.ipv4.vs.expire_quiescent_template").is_some_and(|v| v == "0");
        for service in ipvs.services.iter().filter(|s| s.persistence_s.is_some()) {
            for destination in &service.destinations {
                let station = traffic.real_servers().find(|s| s.has(destination.at.ip()));
                let Some(station) = station.filter(|s| too_many(input, &s.node)) else { continue };
                if destination.weight == 0 {
                    let bound = template(ipvs, service, destination.at.ip()).filter(|_| kept);
                    if let Some(entry) = bound {
                        predicted.note(&director.node, None, Kind::Pinned { entry, service });
                    }
                } else if let Some(client) = faithful(traffic, station) {
                    predicted.note(&director.node, None, Kind::Sticky { service, client });
                }
            }
        }
    }
}

/// Whether a real server gave more answers than the scenario wants of it.
pub(in crate::judge::rules) fn too_many(input: &Input<'_>, node: &NodeName) -> bool {
    let from = |o: &Outcome| matches!(o, Outcome::Answered { server: Some(s), .. } if *node == s.as_str());
    let given = input.ran.loads.iter().flat_map(|l| &l.requests).filter(|r| from(&r.outcome)).count() as u64;
    input.case.share.get(node).is_some_and(|(_, most)| given > *most)
}

/// The entry that binds a client to that real server: it has no client's port (`ip_vs_sched_persist`).
fn template<'a>(ipvs: &'a IpvsFacts, service: &ServiceFact, rip: IpAddr) -> Option<&'a crate::facts::ConnectionFact> {
    let persistent = service.persistence_s.is_some();
    ipvs.connections.iter().find(|c| persistent && c.client.port() == 0 && c.destination.ip() == rip)
}

/// An address all of whose connections, two at least, went to that real server.
fn faithful(traffic: &Traffic<'_>, station: &Station) -> Option<IpAddr> {
    let all = traffic.connections().new;
    let of = |address: IpAddr| all.iter().filter(move |c| c.client.ip() == address);
    let there = |address: IpAddr| of(address).all(|c| c.to.is_some_and(|s| s.node == station.node));
    all.iter().map(|c| c.client.ip()).find(|a| of(*a).count() > 1 && there(*a))
}
