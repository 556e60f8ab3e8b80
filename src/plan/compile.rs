//! A scenario becomes a plan: the parts in their order. Each part fixes one kind of object and says what it implied.
//!
//! The order matters: real servers' addresses come before services, services before the VIP's placement (who owns it
//! follows from the forwarding method), and all interfaces before routes, sysctls and neighbours.

use super::draft::{Draft, many};
use super::{
    CompileError, Plan, addresses, arp, expect, filters, interfaces, ipvs, loads, macs, neighbours, probes, programs,
    routes, segments, servers, sysctls, timeline, vip,
};
use crate::scenario::Scenario;

/// Fixes all that a scenario leaves open. `name` is the scenario's, as `basic/lvs-dr`.
///
/// # Errors
/// What only shows here, as a subnet without a free address, and whatever an unchecked scenario holds that no lab can
/// be built of.
pub fn compile(name: &str, scenario: &Scenario) -> Result<Plan, CompileError> {
    let vips = many(&scenario.vip).to_vec();
    if vips.is_empty() {
        return Err(CompileError::NoVip);
    }
    let segments = segments::segments(scenario);
    let mut draft = Draft { scenario, vips, segments, nodes: Vec::new(), services: Vec::new(), implied: Vec::new() };
    interfaces::add(&mut draft)?;
    addresses::add(&mut draft)?;
    draft.services = ipvs::wanted(&mut draft)?;
    vip::place(&mut draft)?;
    let loads = loads::all(&draft)?;
    loads::add_addresses(&mut draft, &loads)?;
    macs::fix(&mut draft);
    macs::share(&mut draft);
    segments::join(&mut draft);
    routes::add(&mut draft)?;
    neighbours::add(&mut draft)?;
    sysctls::add(&mut draft, &loads);
    arp::cure(&mut draft);
    filters::add(&mut draft)?;
    ipvs::fill(&mut draft);
    servers::add(&mut draft);
    programs::add(&mut draft);
    let timeline = timeline::timeline(&mut draft, &loads)?;
    let expect = expect::expect(&mut draft, &timeline)?;
    let probes = probes::probes(&draft);
    let mut plan = Plan {
        scenario: name.to_owned(),
        title: scenario.title.clone(),
        vips: draft.vips,
        segments: draft.segments,
        nodes: draft.nodes,
        timeline,
        probes,
        implied: draft.implied,
        expect,
        memory_mib: scenario.memory_mib.unwrap_or(0),
    };
    ipvs::leave_out(&mut plan);
    Ok(plan)
}

#[cfg(test)]
mod tests;
