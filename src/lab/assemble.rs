//! A report's content out of a plan and what a run gave. Computes everything that renderers show.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use crate::base::{Forwarding, NodeName, Role, Verdict};
use crate::facts::NodeFacts;
use crate::facts::run::{CaptureStats, DaemonEnded, Outcome, Ran, Stopped};
use crate::facts::statements::is_left_open;
use crate::judge::{Case, CheckResult, Finding};
use crate::plan::{Expect, Interface, LinkKind, Node, Plan, statements};
use crate::report::{
    ByPrograms, CaptureSummary, Expected, Latency, LoadSummary, Topology, TopologyMember, TopologySegment,
};

/// The lab's shape, for pictures.
pub fn topology(plan: &Plan) -> Topology {
    let segments = plan
        .segments
        .iter()
        .map(|segment| TopologySegment {
            name: segment.name.to_string(),
            subnets: segment
                .v4
                .iter()
                .map(ToString::to_string)
                .chain(segment.v6.iter().map(ToString::to_string))
                .collect(),
            members: plan
                .nodes
                .iter()
                .flat_map(|node| node.interfaces.iter().map(move |interface| (node, interface)))
                .filter(|(_, interface)| interface.kind == LinkKind::Segment(segment.name.clone()))
                .filter_map(|(node, interface)| member(plan, node, interface))
                .collect(),
        })
        .collect();
    Topology {
        vips: plan.vips.iter().map(ToString::to_string).collect(),
        segments,
        services: services(plan, &|_| true),
    }
}

/// The same where nodes' own programs configure them: there the VIPs and services are those that were read.
pub fn topology_as_read(plan: &Plan, case: &Case, facts: &[NodeFacts]) -> Topology {
    let mut topology = topology(plan);
    let own = plan.with_programs();
    let members = topology.segments.iter_mut().flat_map(|segment| &mut segment.members);
    for member in members.filter(|member| own.contains(&member.node)) {
        let Some(read) = facts.iter().find(|facts| facts.node == member.node) else { continue };
        let vips = read.addresses.iter().filter(|address| plan.vips.contains(&address.address.addr()));
        member.vip_on = each_once(vips.map(|vip| vip.label.clone().unwrap_or_else(|| vip.interface.to_string())));
    }
    topology.services = services(plan, &|node| !own.contains(&node.name));
    for service in case.services.iter().filter(|service| own.contains(&service.director)) {
        let servers: Vec<String> = service
            .destinations
            .iter()
            .map(|to| destination(to.node.as_ref(), to.at, to.forwarding, to.weight))
            .collect();
        topology.services.push(format!("{} {} -> {}", service.id, service.scheduler, servers.join(", ")));
    }
    topology.services = each_once(topology.services);
    topology
}

fn each_once(all: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut told = Vec::new();
    for one in all {
        if !told.contains(&one) {
            told.push(one);
        }
    }
    told
}

/// A real server in a few words.
fn destination(node: Option<&NodeName>, at: SocketAddr, forwarding: Forwarding, weight: u32) -> String {
    let name = node.map_or_else(|| at.to_string(), ToString::to_string);
    let method = if forwarding == Forwarding::DirectRouting { String::new() } else { format!(" {forwarding}") };
    if weight == 1 { format!("{name}{method}") } else { format!("{name}{method} weight {weight}") }
}

fn services(plan: &Plan, of: &dyn Fn(&Node) -> bool) -> Vec<String> {
    let tables = plan
        .nodes
        .iter()
        .filter(|node| of(node))
        .map(|node| (node.ipvs.iter().flat_map(|table| &table.services), &node.balances));
    // Directors that stand in for each other have the same ones.
    each_once(tables.flat_map(|(built, own)| built.chain(own)).map(|service| {
        let servers: Vec<_> =
            service.destinations.iter().map(|d| destination(d.node.as_ref(), d.at, d.forwarding, d.weight)).collect();
        format!("{} {} -> {}", service.id, service.scheduler, servers.join(", "))
    }))
}

fn member(plan: &Plan, node: &Node, interface: &Interface) -> Option<TopologyMember> {
    let is_vip = |address: IpAddr| plan.vips.contains(&address);
    Some(TopologyMember {
        node: node.name.clone(),
        role: node.role,
        kind: Some(node.kind).filter(|_| node.role == Role::Director),
        interface: interface.name.to_string(),
        mac: interface.mac?,
        addresses: interface
            .addresses
            .iter()
            .filter(|a| !is_vip(a.address.addr()))
            .map(|a| a.address.addr().to_string())
            .collect(),
        vip_on: each_once(
            node.interfaces
                .iter()
                .flat_map(|i| i.addresses.iter().map(move |a| (i, a)))
                .filter(|(_, a)| is_vip(a.address.addr()))
                .map(|(i, a)| a.label.clone().unwrap_or_else(|| i.name.to_string())),
        ),
    })
}

/// All loads together.
pub fn load(plan: &Plan, ran: &Ran) -> LoadSummary {
    let mut summary = LoadSummary::default();
    // A server that answered nothing is the point of many a picture.
    let serving = plan.nodes.iter().filter(|node| !node.servers.is_empty());
    summary.per_server = serving.map(|node| (node.name.to_string(), 0)).collect();
    let mut latencies = Vec::new();
    for request in ran.loads.iter().flat_map(|load| &load.requests) {
        summary.requests += 1;
        match &request.outcome {
            Outcome::Answered { status, server, whole, .. } => {
                if *status == 200 && *whole {
                    summary.ok += 1;
                } else {
                    summary.failed += 1;
                    let kind = match &request.lacks {
                        Some(_) if *status == 200 => "without the text that it has to hold".to_owned(),
                        _ if *whole || *status != 200 => format!("status {status}"),
                        _ => "wrong or cut body".to_owned(),
                    };
                    *summary.errors.entry(kind).or_default() += 1;
                }
                latencies.push(request.latency_us);
                *summary.per_server.entry(server.clone().unwrap_or_else(|| "unknown".to_owned())).or_default() += 1;
            }
            Outcome::Failed { kind, .. } => {
                summary.failed += 1;
                *summary.errors.entry(kind.clone()).or_default() += 1;
            }
        }
    }
    summary.latency = percentiles(latencies);
    summary
}

/// Percentiles by the nearest rank.
fn percentiles(mut latencies: Vec<u64>) -> Latency {
    latencies.sort_unstable();
    let at = |percent: usize| {
        let rank = (latencies.len() * percent).div_ceil(100).max(1) - 1;
        latencies.get(rank).copied().unwrap_or(0)
    };
    Latency { min_us: at(0), p50_us: at(50), p90_us: at(90), p99_us: at(99), max_us: at(100) }
}

/// The capture's numbers.
pub fn capture(stats: &CaptureStats) -> CaptureSummary {
    CaptureSummary { frames: stats.frames, dropped: stats.dropped.values().sum(), vantages: stats.vantages.clone() }
}

/// What came of a run against what its scenario expects.
pub fn expected(expect: &Expect, checks: &[CheckResult], findings: &[Finding], load: &LoadSummary) -> Expected {
    let mut differences = Vec::new();
    for check in checks {
        let wanted = expect.checks.get(&check.id).copied().unwrap_or(Verdict::Held);
        if check.verdict != wanted {
            differences.push(format!("check {} is {}, expected {wanted}", check.id, check.verdict));
        }
    }
    let found: Vec<&str> = findings.iter().map(|f| f.id.as_str()).collect();
    for wanted in expect.findings.iter().filter(|id| !found.contains(&id.as_str())) {
        differences.push(format!("finding {wanted} is expected and was not made"));
    }
    for finding in found.iter().filter(|id| !expect.findings.iter().any(|w| w == **id)) {
        differences.push(format!("finding {finding} is not expected"));
    }
    let answered: BTreeMap<&str, u64> = load.per_server.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    // Where `distribution` is to be broken, the shares are what is wanted and not what comes of it.
    let unkept = expect.checks.get("distribution") == Some(&Verdict::Broken);
    for (node, (least, most)) in expect.share.iter().filter(|_| !unkept) {
        let count = answered.get(node.as_str()).copied().unwrap_or(0);
        if !(*least..=*most).contains(&count) {
            let wanted = if least == most { least.to_string() } else { format!("{least} to {most}") };
            differences.push(format!("{node} gave {count} answers, expected {wanted}"));
        }
    }
    let broken = expect.checks.values().any(|verdict| *verdict == Verdict::Broken);
    Expected { met: differences.is_empty(), broken, differences }
}

/// What the nodes' own programs had set by the time at which facts were read.
pub fn by_programs(plan: &Plan, facts: &[NodeFacts]) -> Vec<ByPrograms> {
    let compared = plan.nodes.iter().filter(|node| node.has_programs()).filter_map(|node| {
        let read = facts.iter().find(|facts| facts.node == node.name)?.statements();
        let planned = statements::planned(node);
        let new = |line: &&String| !planned.contains(line) && !is_left_open(line, &planned);
        let added: Vec<String> = read.iter().filter(new).cloned().collect();
        let gone: Vec<String> = planned.iter().filter(|line| !read.contains(line)).cloned().collect();
        Some(ByPrograms { node: node.name.clone(), added, gone })
    });
    compared.filter(|one| !one.added.is_empty() || !one.gone.is_empty()).collect()
}

/// No scenario expects that it waits in vain.
pub fn stopped(expected: &mut Expected, stopped: Option<&Stopped>) {
    let Some(Stopped { label, condition, deadline_ms, seen, .. }) = stopped else { return };
    expected.met = false;
    // A label that was made from the step says all of it.
    let until = if label.contains(condition) { String::new() } else { format!(", {deadline_ms} ms until {condition}") };
    expected.differences.insert(0, format!("step `{label}` waited in vain{until}; last seen: {seen}"));
}

/// No scenario expects that a daemon ends which nothing told to.
pub fn ended(expected: &mut Expected, ended: &[DaemonEnded]) {
    for DaemonEnded { node, daemon, how, last_lines } in ended {
        expected.met = false;
        let last =
            last_lines.last().map_or_else(|| "it wrote nothing".to_owned(), |line| format!("its last line: {line}"));
        expected.differences.push(format!("daemon {daemon} on {node} ended by itself ({how}); {last}"));
    }
}

#[cfg(test)]
mod tests {
    use super::percentiles;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let latency = percentiles((1..=10).rev().collect());
        assert_eq!((latency.min_us, latency.p50_us, latency.p90_us, latency.p99_us, latency.max_us), (1, 5, 9, 10, 10));
    }

    #[test]
    fn nothing_answered_has_no_latency() {
        assert_eq!(percentiles(Vec::new()).max_us, 0);
    }
}
