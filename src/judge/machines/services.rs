//! What clients ask for, and what of the facts can be judged with what is known.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::{Around, name, stand_in};
use crate::base::{Forwarding, NodeName, Protocol, Role, ServiceId};
use crate::facts::DestinationFact;
use crate::facts::run::{LoadResult, Outcome, Ran, RequestResult};
use crate::judge::case::{Station, WantedDestination, WantedService};

impl Around<'_> {
    /// What clients ask for: a Director's table, else what was told, else HTTP; sent to every real server.
    pub(super) fn services(&mut self) -> Vec<WantedService> {
        let mut services = Vec::new();
        for at in self.of_role(Role::Director) {
            let director = self.facts[at].node.clone();
            let Some(ipvs) = &self.facts[at].ipvs else { continue };
            let concerns = |s: &&crate::facts::ServiceFact| match s.service {
                ServiceId::Address { at, .. } => at.ip() == self.vip,
                ServiceId::Fwmark { v6, .. } => v6 == self.vip.is_ipv6(),
            };
            services.extend(ipvs.services.iter().filter(concerns).map(|s| {
                WantedService {
                    director: director.clone(),
                    id: s.service,
                    scheduler: s.scheduler.clone(),
                    flags: s.flags.clone(),
                    persistence_s: s.persistence_s,
                    destinations: s
                        .destinations
                        .iter()
                        .map(|d| WantedDestination {
                            node: self.owner(d.at.ip()).cloned(),
                            at: d.at,
                            forwarding: d.forwarding,
                            weight: d.weight,
                        })
                        .collect(),
                }
            }));
        }
        if !services.is_empty() {
            return services;
        }
        let mut asked = self.hints.services.clone();
        if asked.is_empty() {
            asked.push((Protocol::Tcp, 80));
        }
        let directors: Vec<Station> = self.stations.iter().filter(|s| s.role == Role::Director).cloned().collect();
        for director in directors {
            let Some(facts) = self.facts.iter().position(|f| f.node == director.node) else { continue };
            // A table that was read and has nothing for the VIP is left as it is.
            let given = self.facts[facts].ipvs.is_some() && self.machines.get(facts).is_some();
            let made: Vec<WantedService> =
                asked.iter().map(|(protocol, port)| self.service(&director.node, *protocol, *port)).collect();
            if !given {
                if self.machines.get(facts).is_some() {
                    self.assumed.push(format!("the IPVS table of {}, which was not read, is right", director.node));
                }
                self.facts[facts].ipvs = Some(stand_in::table(&made));
            }
            services.extend(made);
        }
        services
    }

    fn service(&self, director: &NodeName, protocol: Protocol, port: u16) -> WantedService {
        let servers = self.stations.iter().filter(|s| s.role == Role::RealServer);
        let destinations = servers.filter_map(|s| {
            let told = self.machines.iter().find(|m| m.facts.node == s.node).and_then(|m| m.hints.rip);
            let near = s.ports.iter().find(|p| p.segment == self.home).or_else(|| s.ports.first())?;
            let mut own = near.addresses.iter().map(IpNet::addr);
            let rip = told.or_else(|| own.find(|ip| ip.is_ipv4() == self.vip.is_ipv4() && *ip != self.vip))?;
            Some(WantedDestination {
                node: Some(s.node.clone()),
                at: SocketAddr::new(rip, port),
                forwarding: Forwarding::DirectRouting,
                weight: 1,
            })
        });
        WantedService {
            director: director.clone(),
            id: ServiceId::Address { protocol, at: SocketAddr::new(self.vip, port) },
            scheduler: "rr".to_owned(),
            flags: Vec::new(),
            persistence_s: None,
            destinations: destinations.collect(),
        }
    }

    /// Takes away what can't be judged here: real servers by NAT or tunnel that were not read, and, where nobody said
    /// what clients ask for, packet filters and sockets, which go by ports.
    pub(super) fn judged_only(&mut self, mut services: Vec<WantedService>) -> Vec<WantedService> {
        let known: Vec<IpAddr> = self.facts.iter().flat_map(|f| &f.addresses).map(|a| a.address.addr()).collect();
        let judged = |d: &DestinationFact| d.forwarding == Forwarding::DirectRouting || known.contains(&d.at.ip());
        let count = self.machines.len();
        for table in self.facts.iter_mut().take(count).filter_map(|f| f.ipvs.as_mut()) {
            for service in table.services.iter_mut().filter(|s| !s.destinations.iter().all(judged)) {
                let id = service.service;
                self.assumed.push(format!("real servers of {id} by NAT or tunnel, which were not read, are right"));
                service.destinations.retain(judged);
                if service.destinations.is_empty() {
                    services.retain(|s| s.id != id);
                    self.hints.services.retain(|(protocol, port)| {
                        id != ServiceId::Address { protocol: *protocol, at: SocketAddr::new(self.vip, *port) }
                    });
                }
            }
        }
        let guessed = self.hints.services.is_empty()
            && self.machines.iter().all(|m| m.role != Role::Director || m.facts.ipvs.is_none());
        for facts in self.facts.iter_mut().take(count).filter(|_| guessed) {
            (facts.sockets, facts.iptables) = (None, None);
        }
        if guessed {
            self.assumed.push(
                "what clients ask for is let in and served: tell it by --service, as --service tcp:80".to_owned(),
            );
        }
        for facts in self.facts.iter_mut().skip(count) {
            stand_in::serve(facts, &services);
        }
        services
    }

    /// What is asked besides what the services offer.
    pub(super) fn ran(&self) -> Ran {
        let request = |(protocol, port): &(Protocol, u16)| RequestResult {
            number: 0,
            client: name("client"),
            local: None,
            target: SocketAddr::new(self.vip, *port),
            protocol: *protocol,
            path: String::new(),
            start_ns: 0,
            latency_us: 0,
            outcome: Outcome::Failed { kind: "local".to_owned(), detail: "not asked".to_owned() },
            lacks: None,
        };
        let requests = self.hints.services.iter().map(request).collect();
        let load = LoadResult { name: "clients".to_owned(), ms: 0.0, requests };
        Ran { loads: vec![load], access_logs: BTreeMap::new(), probes: Vec::new(), stopped: None, ended: Vec::new() }
    }
}
