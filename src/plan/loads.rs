//! Loads: who asks whom for what, how often, how many at once, from which source addresses.
//!
//! A load that says nothing is the scenario's own; of one that says something, what it leaves out is the scenario's
//! too, but for its name and what happens during it.

use std::net::{IpAddr, SocketAddr};

use super::draft::{Draft, Family};
use super::timeline::acts;
use super::{CompileError, During, Load, LoadMode, Trigger, addresses};
use crate::base::{NodeName, Protocol, Role};
use crate::plan::act::LoadClient;
use crate::scenario::spec::{self, Action};

const REQUESTS: u32 = 20;
const CONCURRENCY: u32 = 4;
const TIMEOUT_MS: u64 = 3000;

/// A load whose defaults are filled in, before addresses are counted.
pub(super) struct Wave {
    /// Unique in the plan.
    pub(super) name: String,
    /// The nodes that send.
    pub(super) clients: Vec<NodeName>,
    /// Source addresses for each of them.
    pub(super) addresses: u32,
    /// How many in all.
    pub(super) requests: u32,
    target: SocketAddr,
    protocol: Protocol,
    said: spec::Load,
}

/// Every load of the timeline in order; the scenario's own where there is no timeline.
pub(super) fn all(draft: &Draft<'_>) -> Result<Vec<Wave>, CompileError> {
    let scenario = draft.scenario;
    let own = scenario.load.clone().unwrap_or_default();
    let said: Vec<spec::Load> = if scenario.timeline.is_empty() {
        vec![own]
    } else {
        let loads =
            scenario.timeline.iter().filter_map(|s| if let Action::Load(l) = &s.action { Some(l) } else { None });
        loads.map(|step| over(&own, step)).collect()
    };
    let mut waves: Vec<Wave> = Vec::new();
    for load in said {
        let wanted = load.name.clone().unwrap_or_else(|| "load".to_owned());
        let free = |name: &str| !waves.iter().any(|w| w.name == name);
        let numbered = (2..=waves.len() + 2).map(|n| format!("{wanted}-{n}"));
        let name = std::iter::once(wanted.clone()).chain(numbered).find(|n| free(n)).unwrap_or(wanted.clone());
        waves.push(wave(draft, name, load)?);
    }
    Ok(waves)
}

/// What a step says of a load, over the scenario's own.
fn over(own: &spec::Load, step: &spec::Load) -> spec::Load {
    if *step == spec::Load::default() {
        return own.clone();
    }
    let list = |step: &Vec<String>, own: &Vec<String>| if step.is_empty() { own.clone() } else { step.clone() };
    spec::Load {
        name: step.name.clone(),
        clients: if step.clients.is_empty() { own.clients.clone() } else { step.clients.clone() },
        addresses_per_client: step.addresses_per_client.or(own.addresses_per_client),
        vip: step.vip.or(own.vip),
        port: step.port.or(own.port),
        protocol: step.protocol.or(own.protocol),
        requests: step.requests.or(own.requests),
        concurrency: step.concurrency.or(own.concurrency),
        rate_per_s: step.rate_per_s.or(own.rate_per_s),
        duration_ms: step.duration_ms.or(own.duration_ms),
        connections: step.connections.or(own.connections),
        paths: list(&step.paths, &own.paths),
        host: step.host.clone().or_else(|| own.host.clone()),
        source_port: step.source_port.or(own.source_port),
        upload_bytes: step.upload_bytes.or(own.upload_bytes),
        contains: step.contains.clone().or_else(|| own.contains.clone()),
        timeout_ms: step.timeout_ms.or(own.timeout_ms),
        during: step.during.clone(),
    }
}

fn wave(draft: &Draft<'_>, name: String, said: spec::Load) -> Result<Wave, CompileError> {
    let clients: Vec<NodeName> = if said.clients.is_empty() {
        draft.with_role(Role::Client).map(|n| n.name.clone()).collect()
    } else {
        let what = format!("the load {name}");
        said.clients.iter().map(|c| Ok(draft.node(c.as_str(), &what)?.name.clone())).collect::<Result<_, _>>()?
    };
    if clients.is_empty() {
        return Err(CompileError::NoClient { load: name });
    }
    let asked = |w: &&super::draft::Wanted| said.vip.is_none_or(|vip| vip == w.vip);
    let service = draft.services.iter().find(asked).or_else(|| draft.services.first());
    let vip = said.vip.or(service.map(|w| w.vip)).unwrap_or(draft.vips[0]);
    let port = said.port.or(service.map(super::draft::Wanted::asked_port)).unwrap_or(80);
    let protocol = said.protocol.or(service.map(|w| w.protocol)).unwrap_or(Protocol::Tcp);
    let unsaid = if said.duration_ms.is_some() { u32::MAX } else { REQUESTS };
    Ok(Wave {
        name,
        clients,
        addresses: said.addresses_per_client.unwrap_or(1).max(1),
        requests: said.requests.unwrap_or(unsaid),
        target: SocketAddr::new(vip, port),
        protocol,
        said,
    })
}

/// Gives clients the further source addresses that loads send from.
pub(super) fn add_addresses(draft: &mut Draft<'_>, waves: &[Wave]) -> Result<(), CompileError> {
    for wave in waves {
        let vip = wave.target.ip();
        for client in &wave.clients {
            while wave.addresses > 1 && sources(draft, client, vip).len() < wave.addresses as usize {
                let missing = || CompileError::NoAddress {
                    node: client.clone(),
                    family: Family::of(vip).name(),
                    what: format!("the load {}", wave.name),
                };
                let (index, at) = front(draft, client, vip).ok_or_else(missing)?;
                let address = addresses::next(draft, index, at, Family::of(vip))?.ok_or_else(missing)?;
                let interface = &mut draft.nodes[index].interfaces[at];
                interface.addresses.push(addresses::on_segment(address));
                let what = format!("address {address} on {}", interface.name);
                draft.imply(client, what, format!("the load {} sends from {} addresses", wave.name, wave.addresses));
            }
        }
    }
    Ok(())
}

/// A client's interface towards the VIP: the numbers of node and interface.
fn front(draft: &Draft<'_>, client: &NodeName, vip: IpAddr) -> Option<(usize, usize)> {
    let index = draft.nodes.iter().position(|n| n.name == *client)?;
    let node = &draft.nodes[index];
    let front = &draft.front(node, vip)?.name;
    Some((index, node.interfaces.iter().position(|i| i.name == *front)?))
}

fn sources(draft: &Draft<'_>, client: &NodeName, vip: IpAddr) -> Vec<IpAddr> {
    let Some((index, at)) = front(draft, client, vip) else { return Vec::new() };
    let all = draft.nodes[index].interfaces[at].addresses.iter().map(|a| a.address.addr());
    all.filter(|a| Family::of(*a) == Family::of(vip) && !draft.vips.contains(a)).collect()
}

/// The load as it is run.
pub(super) fn build(draft: &Draft<'_>, wave: &Wave) -> Result<Load, CompileError> {
    let (said, vip) = (&wave.said, wave.target.ip());
    let mut clients = Vec::new();
    for nth in 0..wave.addresses {
        for node in &wave.clients {
            let source = if wave.addresses > 1 { sources(draft, node, vip).get(nth as usize).copied() } else { None };
            clients.push(LoadClient { node: node.clone(), source });
        }
    }
    let host = || if vip.is_ipv6() { format!("[{vip}]") } else { vip.to_string() };
    let mut during = Vec::new();
    for step in &said.during {
        let when = match (step.after_requests, step.at_ms) {
            (Some(requests), None) => Trigger::AfterRequests(requests),
            (None, Some(ms)) => Trigger::AtMs(ms),
            _ => return Err(CompileError::NoTrigger { load: wave.name.clone() }),
        };
        if matches!(step.action, Action::Load(_)) {
            return Err(CompileError::LoadDuringLoad { load: wave.name.clone() });
        }
        during.extend(acts(draft, &step.action, None)?.into_iter().map(|act| During { when, act }));
    }
    Ok(Load {
        name: wave.name.clone(),
        clients,
        protocol: wave.protocol,
        target: wave.target,
        requests: wave.requests,
        concurrency: said.concurrency.unwrap_or(if said.source_port.is_some() { 1 } else { CONCURRENCY }).max(1),
        rate_per_s: said.rate_per_s,
        duration_ms: said.duration_ms,
        mode: said.connections.unwrap_or(LoadMode::PerRequest),
        paths: if said.paths.is_empty() { vec!["/".to_owned()] } else { said.paths.clone() },
        host: said.host.clone().unwrap_or_else(host),
        source_port: said.source_port,
        upload_bytes: said.upload_bytes.unwrap_or(0),
        contains: said.contains.clone(),
        timeout_ms: said.timeout_ms.unwrap_or(TIMEOUT_MS),
        foreign: draft.nodes.iter().any(|node| !node.access_logs.is_empty()),
        during,
    })
}
