//! Routes: gone, by the Director, by nobody, by a host that does not forward.

use std::net::IpAddr;

use super::addresses::free;
use crate::base::Role;
use crate::mutate::ground::forwards;
use crate::mutate::{Change, Expected, Maker, Thing};
use crate::plan::{Node, Route};

pub(super) fn derive(maker: &mut Maker<'_>) {
    for node in &maker.ground.plan.nodes {
        for route in &node.routes {
            one(maker, node, route);
        }
    }
}

fn one(maker: &mut Maker<'_>, node: &Node, route: &Route) {
    let name = &node.name;
    let key = format!("route {}", route.destination);
    let word = if route.destination.prefix_len() == 0 { "default".to_owned() } else { route.destination.to_string() };
    let used = maker.ground.legs.iter().any(|l| {
        l.hops.iter().any(|h| {
            h.from.name == *name && Some(h.neighbour) == route.gateway && route.destination.contains(&l.target)
        })
    });
    let server = node.role == Role::RealServer && node.ipvs.is_none();
    let named = |of_server: &'static str, other: &'static str| {
        if used {
            Expected::one(if server { of_server } else { other }, name)
        } else {
            Expected::without("nothing that it sends goes by it")
        }
    };
    let change = |gateway| vec![Change::Route { node: name.clone(), destination: route.destination, gateway }];
    maker.add(
        Thing::Route,
        name,
        (&key, format!("route {word} gone")),
        change(None),
        named("rs-gw-missing", "no-route"),
    );
    let Some(old) = route.gateway else { return };
    let Some(subnet) = node.interfaces.iter().flat_map(|i| &i.addresses).map(|a| a.address).find(|a| a.contains(&old))
    else {
        return;
    };
    let inside = |ip: &IpAddr| subnet.contains(ip) && *ip != old && !maker.ground.is_vip(*ip);
    let of = |wanted: &dyn Fn(&Node) -> bool| {
        let others = maker.ground.plan.nodes.iter().filter(|n| n.name != *name && wanted(n));
        let mut own = others
            .flat_map(|n| n.interfaces.iter().map(move |i| (n, i)))
            .flat_map(|(n, i)| i.addresses.iter().map(move |a| (n, a.address.addr())));
        own.find(|(_, ip)| inside(ip))
    };
    let director = of(&|n| n.ipvs.is_some());
    let host = of(&|n| n.ipvs.is_none() && !forwards(n, old));
    if let Some((to, gateway)) = director.filter(|_| server) {
        let what = format!("route {word} by {} ({gateway}) instead of {old}", to.name);
        maker.add(Thing::Route, name, (&key, what), change(Some(gateway)), named("rs-gw-director", "no-route"));
    }
    if let Some((to, gateway)) = host {
        let what = format!("route {word} by {} ({gateway}) instead of {old}", to.name);
        maker.add(Thing::Route, name, (&key, what), change(Some(gateway)), named("rs-gw-wrong", "no-route"));
    }
    if let Some(nobody) = free(maker.ground.plan, subnet) {
        let what = format!("route {word} by nobody ({}) instead of {old}", nobody.addr());
        maker.add(Thing::Route, name, (&key, what), change(Some(nobody.addr())), named("rs-gw-wrong", "no-route"));
    }
}
