//! What a scenario means, beyond its shape: names that must be there, addresses that must fit, numbers that must be
//! bounded. One file per subject; each adds what it finds, and none stops at the first.
//!
//! Errs towards silence where the kernel or the plan decides: a lab that is meant to fail must still be startable.

mod addresses;
mod devices;
mod expect;
mod filters;
mod lab;
mod load;
mod packages;
mod programs;
mod roles;
mod routes;
mod segments;
mod service;
pub(crate) mod sysctls;
mod timeline;
mod vip;

use std::fmt::Display;

use super::problem::Complaint;
use super::repair::Damage;
use super::source::Path;
use super::spec::{Node, OneOrMany, Scenario};
use super::suggest;
use crate::base::NodeName;
use lab::Lab;

/// Ids that an expectation may name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Known<'a> {
    pub(crate) checks: &'a [&'a str],
    pub(crate) findings: &'a [&'a str],
}

/// Everything that is wrong with a scenario whose shape is right.
pub(crate) fn complaints(scenario: &Scenario, known: Known<'_>, damage: &Damage) -> Vec<Complaint> {
    let lab = Lab::of(scenario);
    let mut cx = Context { scenario, lab, damage, complaints: Vec::new() };
    roles::check(&mut cx);
    segments::check(&mut cx);
    devices::check(&mut cx);
    addresses::check(&mut cx);
    vip::check(&mut cx);
    routes::check(&mut cx);
    filters::check(&mut cx);
    sysctls::check(&mut cx);
    packages::check(&mut cx);
    service::check(&mut cx);
    load::check(&mut cx);
    programs::check(&mut cx);
    timeline::check(&mut cx);
    expect::check(&mut cx, known);
    cx.complaints
}

/// What every check looks at, and where it puts what it finds.
struct Context<'a> {
    scenario: &'a Scenario,
    lab: Lab<'a>,
    /// What of the scenario is not as it was written.
    damage: &'a Damage,
    complaints: Vec<Complaint>,
}

impl<'a> Context<'a> {
    fn add(&mut self, complaint: Complaint) {
        self.complaints.push(complaint);
    }

    fn node_names(&self) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
        self.scenario.nodes.keys().map(NodeName::as_str)
    }

    /// The node of that name; a complaint where there is none.
    fn node(&mut self, path: &Path, name: &str) -> Option<&'a Node> {
        let found = self.scenario.nodes.get(name);
        if found.is_none() {
            let complaint = Complaint::value(path, format!("`{name}` is no node of this scenario"))
                .label("no such node")
                .maybe_help(suggest::or_list(name, self.node_names()))
                .relies_on_name(&Path::of(&["nodes"]), name)
                .spoils();
            self.add(complaint);
        }
        found
    }

    /// A complaint where a number is not from `low` to `high`.
    fn bound<N: PartialOrd + Display + Copy>(&mut self, path: &Path, value: Option<N>, low: N, high: N, why: &str) {
        let Some(value) = value else { return };
        if value < low || value > high {
            let message = format!("`{path}` is {value}, not {low} to {high}");
            self.add(Complaint::value(path, message).label(format!("expected {low} to {high}")).help(why));
        }
    }
}

/// Each of one or many values, with its own path.
fn each<'v, T>(path: &Path, values: &'v OneOrMany<T>) -> Vec<(Path, &'v T)> {
    match values {
        OneOrMany::One(value) => vec![(path.clone(), value)],
        OneOrMany::Many(values) => values.iter().enumerate().map(|(at, value)| (path.at(at), value)).collect(),
    }
}
