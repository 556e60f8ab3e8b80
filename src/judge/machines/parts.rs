//! Stand-ins for the parts of which there are no facts: a Director, real servers, a router, a client.

use std::net::IpAddr;

use ipnet::IpNet;

use super::stand_in::{self, Made};
use super::{Around, host, name, with_length};
use crate::base::{Forwarding, Mac, NodeName, Role};
use crate::facts::NodeFacts;
use crate::judge::host::Host;

impl Around<'_> {
    /// A stand-in for the Director where none was read.
    pub(super) fn director(&mut self) {
        if !self.of_role(Role::Director).is_empty() {
            return;
        }
        // Whoever a router hands packets for the VIP to stands for the Director.
        let routers = self.of_role(Role::Router);
        let handed = routers.iter().find_map(|at| Host(&self.facts[*at]).route_to(self.vip)?.gateway);
        let told = self.hints.director.or(handed).filter(|ip| self.owner(*ip).is_none());
        let Some(own) = told.or_else(|| self.free(&self.home)) else { return };
        let Some(net) = self.subnet(&self.home) else { return };
        let known = if told.is_some() { format!("at {own}") } else { "at an address that is not known".to_owned() };
        self.assumed.push(format!("the Director is right: {known}, it has {} and balances it", self.vip));
        if told.is_none() {
            self.made_up.push((own, "DIRECTOR"));
        }
        let mac = self.mac_of(&[self.vip, own]);
        let mut made = Made::new("director", Role::Director).port("eth0", &self.home, mac, [with_length(own, net)]);
        // Where a real server is reached on another segment, the Director is there as well.
        let rips: Vec<IpAddr> = self.machines.iter().filter_map(|m| m.hints.rip).collect();
        let mut others: Vec<NodeName> = rips
            .iter()
            .filter_map(|rip| (0..self.machines.len()).find_map(|at| self.segment_around(at, *rip)))
            .collect();
        others.sort();
        others.dedup();
        others.retain(|segment| *segment != self.home);
        for (nth, segment) in (1..).zip(others) {
            let (Some(own), Some(net)) = (self.free(&segment), self.subnet(&segment)) else { continue };
            self.made_up.push((own, "DIRECTOR"));
            let mac = Mac([2, 0, 0x5d, 0, 0, nth]);
            made = made.port(&format!("eth{nth}"), &segment, mac, [with_length(own, net)]);
        }
        made.carry("eth0", self.vip);
        self.add(made);
    }

    /// Stand-ins for real servers that were not read: those of a Director's table, else one beside it.
    pub(super) fn servers(&mut self) {
        let mut wanted: Vec<(IpAddr, NodeName)> = Vec::new();
        let mut told = false;
        for at in self.of_role(Role::Director) {
            let Some(ipvs) = &self.facts[at].ipvs else { continue };
            let all = ipvs.services.iter().flat_map(|s| &s.destinations);
            for rip in all.filter(|d| d.forwarding == Forwarding::DirectRouting).map(|d| d.at.ip()) {
                told = true;
                let direct = Host(&self.facts[at]).route_to(rip).is_some_and(|r| r.gateway.is_none());
                let segment = self.segment_towards(at, rip).filter(|_| direct && self.owner(rip).is_none());
                if let Some(segment) = segment.filter(|_| !wanted.iter().any(|(ip, _)| *ip == rip)) {
                    wanted.push((rip, segment));
                }
            }
        }
        if !told && self.of_role(Role::RealServer).is_empty() {
            wanted.extend(self.free(&self.home).map(|ip| (ip, self.home.clone())));
            self.made_up.extend(wanted.iter().map(|(ip, _)| (*ip, "REAL-SERVER")));
        }
        for (nth, (rip, segment)) in (1..).zip(wanted) {
            let Some(net) = self.subnet(&segment) else { continue };
            let which = if told { format!("at {rip}") } else { "at an address that is not known".to_owned() };
            self.assumed.push(format!("a real server {which} is right: cured, with {} on lo", self.vip));
            let mac = self.mac_of(&[rip]);
            let mut made = Made::new(&format!("real-server-{nth}"), Role::RealServer).port(
                "eth0",
                &segment,
                mac,
                [with_length(rip, net)],
            );
            made.carry("lo", self.vip);
            self.add(made);
        }
    }

    /// Stand-ins for a client and, where it takes one, a router on the way to it.
    pub(super) fn way_to_client(&mut self) {
        let router = self.of_role(Role::Router).first().copied();
        let told = self.hints.client.is_some();
        let leads = |facts: &NodeFacts| Host(facts).route_to(self.outside()).is_some();
        // Where no machine has a way out, there is nobody out there.
        let nobody = !told && router.is_none() && !self.facts.iter().take(self.machines.len()).any(leads);
        let on_home =
            nobody || self.hints.client.is_some_and(|c| self.subnet(&self.home).is_some_and(|net| net.contains(&c)));
        let outside = if nobody { self.free(&self.home).unwrap_or_else(|| self.outside()) } else { self.outside() };
        let lone = if told { None } else { self.edge() };
        let router = lone.as_ref().map(|(at, _)| *at).or(router);
        let (segment, client, net) = match router {
            _ if on_home => (Some(self.home.clone()), outside, self.subnet(&self.home)),
            Some(_) if lone.is_some() => {
                let Some(segment) = lone.map(|(_, segment)| segment) else { return };
                let Some(client) = self.free(&segment) else { return };
                let net = self.subnet(&segment);
                (Some(segment), client, net)
            }
            Some(at) => {
                let towards = self.segment_towards(at, outside);
                let other = || self.stations[at].ports.iter().map(|p| &p.segment).find(|s| **s != self.home).cloned();
                let segment = towards.or_else(other).unwrap_or_else(|| self.home.clone());
                let gateway = Host(&self.facts[at]).route_to(outside).and_then(|r| r.gateway);
                let net = self.subnet(&segment);
                let held = net.is_some_and(|net| net.contains(&outside));
                let client = if held { Some(outside) } else { gateway.or_else(|| self.free(&segment)) };
                let Some(client) = client else { return };
                (Some(segment), client, net)
            }
            None => (None, outside, None),
        };
        let length = if self.vip.is_ipv4() { 24 } else { 64 };
        let far = IpNet::new(outside, length).map(|net| net.trunc());
        let (Some(net), Ok(far)) = (net.or(far.as_ref().ok().copied()), far) else { return };
        let beyond = segment.clone().unwrap_or_else(|| name("outside"));
        let needs_router = router.is_none() && !on_home;
        let mut gateways = self.gateways(client);
        let mut made =
            Made::new("client", Role::Client).port("eth0", &beyond, self.mac_of(&[client]), [with_length(client, net)]);
        if needs_router {
            let own = host(far, 1);
            if !gateways.iter().any(|(_, segment)| *segment == self.home) {
                let made_up = self.free(&self.home);
                self.made_up.extend(made_up.map(|ip| (ip, "ROUTER")));
                gateways.extend(made_up.map(|ip| (ip, self.home.clone())));
            }
            made.default_by(own);
            self.assumed.push(format!(
                "a router is right: it leads from clients to {}, and is every gateway that is not another's: {}",
                self.vip,
                gateways
                    .iter()
                    .map(|(ip, _)| ip.to_string())
                    .filter(|ip| self.made_up.iter().all(|(m, _)| m.to_string() != *ip))
                    .collect::<Vec<_>>()
                    .join(", ")
            ));
            let router =
                self.router("router", &gateways).port("out0", &beyond, self.mac_of(&[own]), [with_length(own, far)]);
            self.add(router);
        } else if let Some(at) = router {
            let own = self.stations[at].ports.iter().filter(|p| p.segment == beyond).flat_map(|p| &p.addresses);
            let own = own.map(IpNet::addr).find(|ip| ip.is_ipv4() == self.vip.is_ipv4() && *ip != self.vip);
            if let Some(own) = own.filter(|_| !on_home) {
                made.default_by(own);
            }
            let beyond_others: Vec<_> = gateways.into_iter().filter(|(ip, _)| *ip != client).collect();
            if !beyond_others.is_empty() {
                let second = self.router("router-2", &beyond_others);
                self.add(second);
            }
        }
        if on_home || net.contains(&self.vip) || !made.has_default() {
            made.direct(self.vip);
        }
        self.lead_back(on_home);
        self.assumed.push(match (told, nobody) {
            (true, _) => format!("clients are as {client}"),
            (_, true) => "clients are on the segment, for no default route leads beyond: tell by --client".to_owned(),
            _ => "clients are beyond the default route: tell by --client where they are not".to_owned(),
        });
        if router.is_none() {
            self.assumed.push(format!("nobody is bound to {} by a permanent neighbour entry", self.vip));
        }
        if self.hints.client.is_none() {
            self.made_up.push((client, "CLIENT"));
        }
        self.add(made);
    }

    /// Of several routers the one at the edge, and the segment there on which nobody else is.
    fn edge(&self) -> Option<(usize, NodeName)> {
        let routers = self.of_role(Role::Router);
        let alone = |segment: &NodeName| self.stations.iter().filter(|s| s.is_on(segment)).count() == 1;
        let beyond = |at: &usize| {
            let mut segments = self.stations[*at].ports.iter().map(|p| &p.segment);
            segments.find(|s| **s != self.home && alone(s)).map(|s| (*at, s.clone()))
        };
        if routers.len() > 1 { routers.iter().find_map(beyond) } else { None }
    }

    /// Gives stand-ins beside the router their way to clients.
    fn lead_back(&mut self, on_home: bool) {
        let routers = self.stations.iter().filter(|s| s.role == Role::Router).flat_map(|s| &s.ports);
        let at_home = routers.filter(|p| p.segment == self.home).flat_map(|p| &p.addresses).map(IpNet::addr);
        let router = at_home.into_iter().find(|ip| ip.is_ipv4() == self.vip.is_ipv4() && *ip != self.vip);
        let Some(router) = router.filter(|_| !on_home) else { return };
        let count = self.machines.len();
        for (station, facts) in self.stations.iter().zip(&mut self.facts).skip(count) {
            if matches!(station.role, Role::Director | Role::RealServer) {
                facts.routes.extend(station.ports.first().map(|port| stand_in::default_route(router, &port.interface)));
            }
        }
    }

    /// Next hops of the machines towards the VIP and the client that nobody here is, with their segments.
    fn gateways(&self, client: IpAddr) -> Vec<(IpAddr, NodeName)> {
        let mut all: Vec<(IpAddr, NodeName)> = Vec::new();
        for (at, machine) in self.machines.iter().enumerate() {
            // Where a router was read, a next hop that is not it has to be somebody who was read.
            let to = match machine.role {
                Role::Router => vec![self.vip, client],
                _ if self.of_role(Role::Router).is_empty() => vec![client],
                _ => Vec::new(),
            };
            for to in to {
                let Some(gateway) = Host(&self.facts[at]).route_to(to).and_then(|r| r.gateway) else { continue };
                let Some(segment) = self.segment_towards(at, to) else { continue };
                let holds = self.subnet(&segment).is_some_and(|net| net.contains(&gateway));
                let new = self.owner(gateway).is_none() && !all.iter().any(|(ip, _)| *ip == gateway);
                if holds && new && gateway != self.vip {
                    all.push((gateway, segment));
                }
            }
        }
        all
    }

    /// A router on those segments and on the Director's, that knows the way to the VIP.
    fn router(&self, called: &str, gateways: &[(IpAddr, NodeName)]) -> Made {
        let mut made = Made::new(called, Role::Router);
        let mut segments: Vec<&NodeName> = gateways.iter().map(|(_, segment)| segment).collect();
        segments.sort();
        segments.dedup();
        for (nth, segment) in (0..).zip(segments) {
            let Some(net) = self.subnet(segment) else { continue };
            let own: Vec<IpAddr> = gateways.iter().filter(|(_, s)| s == segment).map(|(ip, _)| *ip).collect();
            let interface = format!("in{nth}");
            made = made.port(&interface, segment, self.mac_of(&own), own.iter().map(|ip| with_length(*ip, net)));
            if *segment == self.home {
                made.leads_to(&interface, self.vip);
            }
        }
        made
    }
}
