//! What the kernel does with facts: a small model of neighbour resolution, routing, source checks, packet filters and
//! their connection tracking, path MTUs, local delivery, IPVS and sockets, and the way that a client's packet and its reply take by it.
//!
//! Owns: prediction from facts alone. Refuses: opinions (see the rules) and frames. Where a fact was not read the model
//! does not guess: it predicts nothing that depends on it, so that it errs towards finding too little.
//!
//! Not modelled: policy routing, multipath, XFRM, ebtables.

pub(super) mod answer;
pub(super) mod ask;
pub(super) mod conntrack;
pub(super) mod deviation;
pub(super) mod director;
pub(super) mod filter;
pub(super) mod local;
pub(super) mod lost;
pub(super) mod own;
pub(super) mod passage;
pub(super) mod resolve;
pub(super) mod route;
pub(super) mod serve;
pub(super) mod size;
pub(super) mod source;
pub(super) mod survey;
pub(super) mod switch;
pub(super) mod walk;

use std::net::IpAddr;

use super::case::{Station, StationPort};
use super::{Case, Input};
use crate::base::NodeName;
use crate::facts::{LinkFact, NodeFacts};
pub(super) use deviation::{Deviation, Kind, Predicted};

/// A lab at one moment: its shape and what its kernels say.
#[derive(Debug, Clone, Copy)]
pub(super) struct World<'a> {
    pub(super) case: &'a Case,
    input: &'a Input<'a>,
}

/// A station with its facts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) station: &'a Station,
    pub(super) facts: &'a NodeFacts,
}

impl<'a> World<'a> {
    pub(super) fn new(input: &'a Input<'a>) -> Self {
        Self { case: input.case, input }
    }

    /// The station of that name, where its facts are known.
    pub(super) fn place(&self, node: &NodeName) -> Option<Place<'a>> {
        let station = self.case.station(node)?;
        let facts = self.input.facts(node).filter(|f| !f.addresses.is_empty() || !f.links.is_empty())?;
        Some(Place { station, facts })
    }

    /// All stations whose facts are known.
    pub(super) fn places(&self) -> impl Iterator<Item = Place<'a>> {
        let world = *self;
        self.case.stations.iter().filter_map(move |s| world.place(&s.node))
    }

    /// Their interfaces on a segment.
    pub(super) fn on(&self, segment: &NodeName) -> impl Iterator<Item = (Place<'a>, &'a StationPort)> {
        let segment = segment.clone();
        self.places().flat_map(move |p| {
            let segment = segment.clone();
            p.station.ports.iter().filter(move |port| port.segment == segment).map(move |port| (p, port))
        })
    }

    /// Whose address it is on the segment: by what the kernels say, VIPs left out, which several have.
    pub(super) fn owner(&self, segment: &NodeName, address: IpAddr) -> Option<(Place<'a>, &'a StationPort)> {
        let mut known = self.on(segment);
        let by_facts = known.find(|(place, port)| {
            let mut carried = place.facts.addresses.iter();
            carried.any(|a| a.interface == port.interface && a.address.addr() == address)
        });
        // One that has it on another of its interfaces may answer as well.
        let elsewhere =
            || self.on(segment).find(|(p, _)| p.facts.addresses.iter().any(|a| a.address.addr() == address));
        by_facts.or_else(|| self.on(segment).find(|(_, port)| port.has(address))).or_else(elsewhere)
    }
}

impl<'a> Place<'a> {
    pub(super) fn node(&self) -> &'a NodeName {
        &self.station.node
    }

    /// The station's interface of that name into a segment.
    pub(super) fn port(&self, interface: &str) -> Option<&'a StationPort> {
        self.station.ports.iter().find(|p| p.interface == *interface)
    }

    pub(super) fn link(&self, interface: &str) -> Option<&'a LinkFact> {
        self.facts.links.iter().find(|l| l.name == *interface)
    }
}

#[cfg(test)]
mod tests;
