//! Virtual services and their real servers.

use std::net::SocketAddr;

use ipnet::IpNet;

use super::addresses::free;
use crate::base::{Forwarding, Protocol, ServiceId};
use crate::mutate::ground::{Part, taker};
use crate::mutate::{Cause, Change, Expected, Maker, Thing};
use crate::plan::{Destination, LinkKind, Node, Service};

pub(super) fn derive(maker: &mut Maker<'_>) {
    for node in &maker.ground.plan.nodes {
        for service in node.ipvs.iter().flat_map(|i| &i.services) {
            service_of(maker, node, service);
            for to in &service.destinations {
                destination(maker, node, service, to);
            }
        }
    }
}

/// Whether clients' packets get to this service.
fn reached(maker: &Maker<'_>, node: &Node, service: &Service) -> bool {
    let arrives = maker
        .ground
        .legs
        .iter()
        .any(|l| l.part == Part::Ask && l.whole && l.hops.last().is_some_and(|h| h.to.name == node.name));
    let asked = maker.ground.asked();
    arrives
        && maker.ground.plan.nodes.iter().find(|n| n.name == node.name).is_some_and(|director| {
            asked.iter().any(|(p, at)| taker(director, *p, *at).is_some_and(|s| s.id == service.id))
        })
}

const UNASKED: &str = "nobody's packets get to that service";

fn service_of(maker: &mut Maker<'_>, node: &Node, service: &Service) {
    let (name, id) = (&node.name, service.id);
    let key = format!("service {id}");
    let reached = reached(maker, node, service);
    let missing = || if reached { Expected::one("ipvs-service-missing", name) } else { Expected::without(UNASKED) };
    let gone = vec![Change::NoService { node: name.clone(), service: id }];
    maker.add(Thing::Service, name, (&key, format!("service {id} gone")), gone, missing());
    let others: Vec<ServiceId> = match id {
        ServiceId::Address { protocol, at } => {
            let other = if protocol == Protocol::Tcp { Protocol::Udp } else { Protocol::Tcp };
            let port = SocketAddr::new(at.ip(), at.port().wrapping_add(8000).max(1));
            vec![ServiceId::Address { protocol: other, at }, ServiceId::Address { protocol, at: port }]
        }
        ServiceId::Fwmark { mark, v6 } => vec![ServiceId::Fwmark { mark: mark + 76, v6 }],
    };
    for to in others {
        let expected = match to {
            ServiceId::Fwmark { .. } if reached => Expected::one("ipvs-fwmark-unmarked", name),
            _ => missing(),
        };
        let changes = vec![Change::Service { node: name.clone(), service: id, to }];
        maker.add(Thing::Service, name, (&key, format!("service {to} instead of {id}")), changes, expected);
    }
    for scheduler in ["rr", "wlc", "sh"].into_iter().filter(|s| *s != service.scheduler) {
        let flags = !service.flags.is_empty();
        let changes = vec![Change::Scheduler { node: name.clone(), service: id, scheduler: scheduler.to_owned() }];
        let why = "any scheduler sends to real servers that serve; how many to which is nobody's demand here";
        if !flags && maker.ground.plan.expect.share.is_empty() {
            let what = format!("scheduler {scheduler} instead of {}", service.scheduler);
            maker.add(Thing::Service, name, (&format!("{key} scheduler"), what), changes, Expected::without(why));
        }
    }
    let every: Vec<Change> = service
        .destinations
        .iter()
        .map(|d| Change::Destination { node: name.clone(), service: id, at: d.at, to: None })
        .collect();
    let unserved = || if reached { Expected::one("ipvs-no-dest", name) } else { Expected::without(UNASKED) };
    if !every.is_empty() {
        maker.add(Thing::Destination, name, (&key, format!("no real server of {id}")), every, unserved());
    }
    let idle = |d: &Destination| Change::Destination {
        node: name.clone(),
        service: id,
        at: d.at,
        to: Some(Destination { weight: 0, ..d.clone() }),
    };
    if service.destinations.iter().any(|d| d.weight > 0) {
        let every = service.destinations.iter().map(idle).collect();
        maker.add(Thing::Destination, name, (&key, format!("weight 0 for all of {id}")), every, unserved());
    }
    // What changes all of them can't be had with what changes one.
    for mutation in maker.all.iter_mut().rev().take(2) {
        if mutation.thing == Thing::Destination {
            mutation.touches.extend(service.destinations.iter().map(|d| format!("{name} {}", of(service, d))));
        }
    }
}

fn of(service: &Service, to: &Destination) -> String {
    format!("real server {} of {}", to.at, service.id)
}

fn destination(maker: &mut Maker<'_>, node: &Node, service: &Service, to: &Destination) {
    let (name, id, at) = (&node.name, service.id, to.at);
    let key = of(service, to);
    let who = to.node.as_ref().map_or_else(|| at.to_string(), ToString::to_string);
    let change = |to: Option<Destination>| vec![Change::Destination { node: name.clone(), service: id, at, to }];
    let used = reached(maker, node, service) && to.weight > 0;
    let others = service.destinations.iter().any(|d| d.at != at && d.weight > 0);
    let fewer = |word: &str| match (used, others) {
        (false, _) => Expected::without(UNASKED),
        (true, true) => {
            Expected::without(format!("{who} is {word}, which is how a real server is drained; others serve"))
        }
        (true, false) => Expected::one("ipvs-no-dest", name),
    };
    if maker.ground.plan.expect.share.is_empty() {
        maker.add(Thing::Destination, name, (&key, format!("{who} taken out of {id}")), change(None), fewer("out"));
        let idle = Some(Destination { weight: 0, ..to.clone() });
        maker.add(
            Thing::Destination,
            name,
            (&key, format!("weight 0 for {who} in {id}")),
            change(idle),
            fewer("at weight 0"),
        );
        let heavy = Some(Destination { weight: to.weight + 4, ..to.clone() });
        let why = "weights shift shares, and no share is demanded";
        maker.add(
            Thing::Destination,
            name,
            (&key, format!("weight {} for {who} in {id}", to.weight + 4)),
            change(heavy),
            Expected::without(why),
        );
    }
    let or_idle = |expected: Expected| if used { expected } else { Expected::without(UNASKED) };
    if to.forwarding == Forwarding::DirectRouting && matches!(id, ServiceId::Address { .. }) {
        let other = at.port().wrapping_add(8000).max(1);
        let port = Some(Destination { at: SocketAddr::new(at.ip(), other), ..to.clone() });
        // The table says so whether packets come or not.
        let expected = or_idle(Expected::one("ipvs-port-mapping", name));
        maker.add(Thing::Destination, name, (&key, format!("{who} at port {other} in {id}")), change(port), expected);
    }
    let server = to.node.as_ref().unwrap_or(name);
    if to.forwarding == Forwarding::DirectRouting {
        let by_nat = Some(Destination { forwarding: Forwarding::Nat, ..to.clone() });
        let back = maker.ground.legs.iter().find(|l| l.part == Part::Reply && l.start.name == *server);
        let past = back.is_some_and(|l| l.whole && l.hops.iter().all(|h| h.to.name != *name));
        let expected = or_idle(if past {
            Expected::one("ipvs-method-masq", name)
        } else {
            Expected::without("no reply gets back anyway")
        });
        maker.add(Thing::Destination, name, (&key, format!("{who} by NAT in {id}")), change(by_nat), expected);
        let by_tunnel = Some(Destination { forwarding: Forwarding::Tun, ..to.clone() });
        let opens = maker.ground.plan.nodes.iter().find(|n| n.name == *server);
        let opens = opens.is_some_and(|n| n.interfaces.iter().any(|i| i.kind == LinkKind::Ipip && i.up));
        if !opens && at.is_ipv4() {
            let expected = or_idle(Expected::one("ipvs-method-tun", server));
            maker.add(
                Thing::Destination,
                name,
                (&key, format!("{who} by tunnel in {id}")),
                change(by_tunnel),
                expected,
            );
        }
    }
    let subnet = node.interfaces.iter().flat_map(|i| &i.addresses).map(|a| a.address).find(|a| a.contains(&at.ip()));
    if let Some(nobody) = subnet.and_then(|net: IpNet| free(maker.ground.plan, net)) {
        let wrong = Some(Destination { at: SocketAddr::new(nobody.addr(), at.port()), node: None, ..to.clone() });
        let expected =
            or_idle(Expected::Killed(vec![Cause { id: "ipvs-rip-nobody", nodes: vec![name.clone(), server.clone()] }]));
        let what = format!("{} instead of {who} in {id}", nobody.addr());
        maker.add(Thing::Destination, name, (&key, what), change(wrong), expected);
    }
}
