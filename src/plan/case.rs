//! What the judge is told of a planned lab. The dependency goes one way only, from the plan to [`crate::judge::case`];
//! the judge never sees a plan, so that a capture from elsewhere can be judged by the same code.

use std::collections::BTreeMap;

use super::statements::{planned, switch};
use super::{Act, Ipvs, Node, Plan, Service, facts};
use crate::base::{NodeName, Role};
use crate::facts::ServiceFact;
use crate::judge::case::{Case, Station, StationPort, WantedDestination, WantedService};

/// The case of a plan.
pub fn case(plan: &Plan) -> Case {
    let held = |node: &Node| -> Vec<WantedService> {
        let services = node.ipvs.iter().flat_map(|Ipvs { services, .. }| services).chain(&node.balances);
        services.map(|s| wanted(&node.name, s)).collect()
    };
    let mut services: Vec<WantedService> = plan.nodes.iter().flat_map(held).collect();
    for act in acts(plan) {
        match act {
            Act::AddService { node, service } if !known(&services, node, service) => {
                services.push(self::wanted(node, service));
            }
            Act::AddDestination { node, service, destination } => {
                let of = services.iter_mut().find(|s| s.director == *node && s.id == *service);
                if let Some(of) = of.filter(|s| !s.destinations.iter().any(|d| d.at == destination.at)) {
                    of.destinations.push(real_server(destination));
                }
            }
            _ => {}
        }
    }
    let mut wanted: BTreeMap<NodeName, Vec<String>> =
        plan.nodes.iter().map(|node| (node.name.clone(), planned(node))).collect();
    let of_switch = switch(plan);
    if !of_switch.is_empty() {
        wanted.insert(NodeName::switch(), of_switch);
    }
    Case {
        vips: plan.vips.clone(),
        stations: plan.nodes.iter().map(station).collect(),
        services,
        changes: acts(plan).any(Act::reconfigures),
        reschedules: acts(plan).any(Act::reschedules) || checks_servers(plan),
        share: plan.expect.share.clone(),
        elsewhere: None,
        without_ipvs: plan.nodes.iter().filter(|node| node.is_without_ipvs()).map(unseen).collect(),
        wanted,
    }
}

/// What a Director that is not IPVS is to do.
fn unseen(node: &Node) -> (NodeName, Vec<ServiceFact>) {
    (node.name.clone(), node.balances.iter().map(facts::service).collect())
}

/// Whether the timeline does to servers what a Director's own health checks answer with a change of its table.
fn checks_servers(plan: &Plan) -> bool {
    let checked = plan.nodes.iter().any(|node| node.role == Role::Director && node.has_programs());
    checked && acts(plan).any(|act| matches!(act, Act::StopServer { .. } | Act::StartServer { .. }))
}

fn station(node: &Node) -> Station {
    let ports = node.interfaces.iter().filter_map(|interface| {
        Some(StationPort {
            interface: interface.name.clone(),
            segment: interface.segment()?.clone(),
            mac: interface.mac?,
            addresses: interface.addresses.iter().map(|a| a.address).collect(),
        })
    });
    Station { node: node.name.clone(), role: node.role, runs_on: node.runs_on.clone(), ports: ports.collect() }
}

fn known(services: &[WantedService], node: &NodeName, service: &Service) -> bool {
    services.iter().any(|s| s.director == *node && s.id == service.id)
}

fn wanted(director: &NodeName, service: &Service) -> WantedService {
    WantedService {
        director: director.clone(),
        id: service.id,
        scheduler: service.scheduler.clone(),
        flags: service.flags.clone(),
        persistence_s: service.persistence_s,
        destinations: service.destinations.iter().map(real_server).collect(),
    }
}

fn real_server(destination: &super::Destination) -> WantedDestination {
    WantedDestination {
        node: destination.node.clone(),
        at: destination.at,
        forwarding: destination.forwarding,
        weight: destination.weight,
    }
}

/// Every act, those during loads included.
pub(super) fn acts(plan: &Plan) -> impl Iterator<Item = &Act> {
    plan.timeline.iter().flat_map(|t| std::iter::once(&t.act).chain(during(&t.act).iter().map(|d| &d.act.act)))
}

fn during(act: &Act) -> &[super::During] {
    match act {
        Act::Load(load) => &load.during,
        _ => &[],
    }
}
