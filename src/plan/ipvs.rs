//! The Director's table: services with their defaults, real servers with RIP, port, weight and forwarding method.

use std::net::{IpAddr, SocketAddr};

use super::draft::{Draft, Family, Wanted};
use super::{CompileError, Destination, Implied, Ipvs, Plan, Service};
use crate::base::{DirectorKind, Forwarding, NodeName, Protocol, Role, SCHEDULERS, ServiceId};
use crate::scenario::spec::{self, Action, DetailedRealServer, RealServer};

/// The kernel's timeouts in seconds: established TCP, TCP after FIN, UDP (`ip_vs_proto_tcp.c`, `ip_vs_proto_udp.c`).
const KERNEL_TIMEOUTS_S: (u32, u32, u32) = (900, 120, 300);

/// All services of the scenario, complete.
pub(super) fn wanted(draft: &mut Draft<'_>) -> Result<Vec<Wanted>, CompileError> {
    let scenario = draft.scenario;
    if scenario.services.is_empty() {
        draft.imply(
            "lab",
            format!(
                "the virtual service TCP {} with scheduler rr and every real server",
                SocketAddr::new(draft.vips[0], 80)
            ),
            "a lab without a service of its own balances HTTP",
        );
        let default: spec::Service = spec::Service {
            director: None,
            vip: None,
            port: None,
            protocol: None,
            fwmark: None,
            mark_packets: None,
            scheduler: None,
            flags: Vec::new(),
            persistence_s: None,
            persistence_prefix: None,
            forwarding: None,
            real_servers: None,
            built: None,
        };
        return Ok(vec![service(draft, 0, &default)?]);
    }
    scenario.services.iter().enumerate().map(|(index, said)| service(draft, index, said)).collect()
}

fn service(draft: &Draft<'_>, index: usize, said: &spec::Service) -> Result<Wanted, CompileError> {
    let directors: Vec<NodeName> = match &said.director {
        Some(one) => vec![draft.node(one.as_str(), "a virtual service")?.name.clone()],
        None => draft.with_role(Role::Director).map(|d| d.name.clone()).collect(),
    };
    if directors.is_empty() {
        return Err(CompileError::NoDirector { index });
    }
    let vip = said.vip.unwrap_or(draft.vips[0]);
    let port = said.port.unwrap_or(80);
    let protocol = said.protocol.unwrap_or(Protocol::Tcp);
    let id = match said.fwmark {
        Some(mark) => ServiceId::Fwmark { mark, v6: vip.is_ipv6() },
        None => ServiceId::Address { protocol, at: SocketAddr::new(vip, port) },
    };
    let scheduler = said.scheduler.clone().unwrap_or_else(|| "rr".to_owned());
    if !SCHEDULERS.contains(&scheduler.as_str()) {
        return Err(CompileError::UnknownScheduler { name: scheduler });
    }
    let every = || draft.with_role(Role::RealServer).map(|n| RealServer::Node(n.name.clone())).collect();
    let real_servers: Vec<RealServer> = said.real_servers.clone().unwrap_or_else(every);
    let destinations = real_servers
        .iter()
        .map(|real_server| destination(draft, index, said, vip, &directors, real_server))
        .collect::<Result<_, _>>()?;
    Ok(Wanted {
        vip,
        port,
        protocol,
        service: Service {
            id,
            flags: said.flags.iter().map(|f| flag(f, &scheduler)).collect::<Result<_, _>>()?,
            scheduler,
            persistence_s: said.persistence_s,
            persistence_prefix: said.persistence_prefix,
            destinations,
        },
        directors,
    })
}

fn flag(name: &str, scheduler: &str) -> Result<String, CompileError> {
    let kernel = match (name, scheduler) {
        ("ops", _) => "ops",
        ("sh-fallback", "sh") | ("mh-fallback", "mh") => "sched-1",
        ("sh-port", "sh") | ("mh-port", "mh") => "sched-2",
        _ => return Err(CompileError::UnknownFlag { name: name.to_owned(), scheduler: scheduler.to_owned() }),
    };
    Ok(kernel.to_owned())
}

fn destination(
    draft: &Draft<'_>,
    index: usize,
    service: &spec::Service,
    vip: IpAddr,
    directors: &[NodeName],
    said: &RealServer,
) -> Result<Destination, CompileError> {
    let said = match said {
        RealServer::Detailed(detailed) => detailed.clone(),
        RealServer::Node(node) => bare(node.clone()),
    };
    let family = Family::of(vip);
    let (node, address) = match (&said.node, said.address) {
        (Some(node), given) => {
            let what = format!("service {index}");
            let here = draft.node(node.as_str(), &what)?;
            let director = directors.first().and_then(|d| draft.nodes.iter().find(|n| n.name == *d));
            let missing = || CompileError::NoAddress { node: node.clone(), family: family.name(), what };
            let rip = given.or_else(|| draft.own_address(here, director, family)).ok_or_else(missing)?;
            (Some(here), rip)
        }
        (None, Some(address)) => (draft.nodes.iter().find(|n| n.owns(address)), address),
        (None, None) => return Err(CompileError::NobodyServes { index }),
    };
    let local = node.is_some_and(|n| directors.contains(&n.name));
    let usual = if local { Some(Forwarding::LocalNode) } else { service.forwarding };
    let forwarding = said.forwarding.or(usual).unwrap_or_default();
    // Under a firewall mark any port may come; `ipvsadm` gives 0, which keeps the packet's own.
    let port = if service.fwmark.is_some() { 0 } else { service.port.unwrap_or(80) };
    Ok(Destination {
        node: node.map(|n| n.name.clone()),
        at: SocketAddr::new(address, said.port.unwrap_or(port)),
        forwarding,
        weight: said.weight.unwrap_or(1),
        upper: said.upper.unwrap_or(0),
        lower: said.lower.unwrap_or(0),
    })
}

fn bare(node: NodeName) -> DetailedRealServer {
    DetailedRealServer {
        node: Some(node),
        address: None,
        port: None,
        weight: None,
        forwarding: None,
        upper: None,
        lower: None,
    }
}

/// Gives each Director its table as it is at the start.
pub(super) fn fill(draft: &mut Draft<'_>) {
    let timeouts_s = draft.scenario.timeouts.map(|t| {
        let (tcp, fin, udp) = KERNEL_TIMEOUTS_S;
        (t.tcp_s.unwrap_or(tcp), t.tcp_fin_s.unwrap_or(fin), t.udp_s.unwrap_or(udp))
    });
    let actions = actions(draft.scenario);
    let mut said = Vec::new();
    for node in draft.nodes.iter_mut().filter(|n| n.role == Role::Director) {
        let mut services = Vec::new();
        for (index, wanted) in draft.services.iter().enumerate().filter(|(_, w)| w.directors.contains(&node.name)) {
            if comes_later(&actions, index, None) {
                said.push((node.name.clone(), format!("no {} yet", wanted.service.id), "the timeline adds it"));
                continue;
            }
            let unbuilt = draft.scenario.services.get(index).is_some_and(|said| said.built == Some(false));
            let mut service = wanted.service.clone();
            service.destinations.retain(|d| !comes_later(&actions, index, d.node.as_ref()));
            let list = if unbuilt || node.kind != DirectorKind::Ipvs { &mut node.balances } else { &mut services };
            list.push(service);
        }
        node.ipvs = Some(Ipvs { services, timeouts_s });
    }
    for (whom, what, why) in said {
        draft.imply(whom, what, why);
    }
}

/// What makes an IPVS table where a Director's own programs call it.
const OF_IPVS: [&str; 3] = ["ipvsadm", "keepalived", "ldirectord"];

/// Takes the table away from Directors whose script calls nothing that makes one: they balance by other means, and their
/// kernel need not have IPVS.
pub(super) fn leave_out(plan: &mut Plan) {
    let calls = |node| plan.texts_of(node).any(|text| OF_IPVS.iter().any(|name| text.contains(name)));
    let scripts = |node: &&super::Node| node.role == Role::Director && node.kind == DirectorKind::Script;
    let without: Vec<NodeName> =
        plan.nodes.iter().filter(scripts).filter(|node| !calls(node)).map(|node| node.name.clone()).collect();
    for node in plan.nodes.iter_mut().filter(|node| without.contains(&node.name)) {
        node.ipvs = None;
    }
    plan.implied.extend(without.into_iter().map(|name| Implied {
        whom: name.to_string(),
        what: "no IPVS table, and none is asked for".to_owned(),
        why: "what its script calls makes none, so that it balances by other means".to_owned(),
    }));
}

/// Every action of the scenario, in order, those during loads included.
pub(super) fn actions(scenario: &crate::scenario::Scenario) -> Vec<&Action> {
    let own = scenario.load.iter().flat_map(|l| l.during.iter().map(|d| &d.action));
    let timeline = scenario.timeline.iter().flat_map(|s| std::iter::once(&s.action).chain(during(&s.action)));
    timeline.chain(own).collect()
}

fn during(action: &Action) -> impl Iterator<Item = &Action> {
    let steps = if let Action::Load(load) = action { load.during.as_slice() } else { &[] };
    steps.iter().map(|d| &d.action)
}

/// Whether the first that the timeline says of a service, or of one of its real servers, is that it is added: then it
/// is not there at the start.
fn comes_later(actions: &[&Action], index: usize, node: Option<&NodeName>) -> bool {
    let added = actions.iter().find_map(|action| match (action, node) {
        (Action::AddService { service }, None) if *service == index => Some(true),
        (Action::DeleteService { service }, None) if *service == index => Some(false),
        (Action::AddRealServer { real_server, service }, Some(node)) if *service == index && real_server == node => {
            Some(true)
        }
        (Action::DeleteRealServer { real_server, service }, Some(node)) if *service == index && real_server == node => {
            Some(false)
        }
        _ => None,
    });
    added.unwrap_or(false)
}
