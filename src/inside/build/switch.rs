//! The switch: one namespace with a bridge for each segment and a port for each interface.
//!
//! Owns: bridges, ports, the order in which ports join, waiting until they forward. Refuses: anything with an address;
//! the switch itself never speaks.

use std::sync::Arc;
use std::time::Duration;

use rtnetlink::packet_route::link::{BridgePortState, InfoBridgePort, LinkMessage, State};

use super::{BuildError, StepError, far_index, settled};
use crate::base::{IfName, Mac, NodeName, error_chain};
use crate::facts::{NodeFacts, PortFact, Unread};
use crate::inside::link::offload::Ethtool;
use crate::inside::link::{self, End};
use crate::inside::ns::{Space, Worker};
use crate::inside::rtnl::{self, RtnlError, pipeline};
use crate::inside::sysctl;
use crate::plan::{Plan, Port, Segment};

/// Numbers of ports begin here; below are bridges.
const FIRST_PORT: u32 = 1000;
/// The first bridge's number; below are the loopback and tunnel devices that the kernel puts into every namespace.
const FIRST_BRIDGE: u32 = 100;

/// A port that is to be made, with all that its veth's far end needs.
pub(super) struct Wire {
    bridge: u32,
    port: IfName,
    index: u32,
    far: IfName,
    far_index: u32,
    mac: Option<Mac>,
    mtu: u32,
    /// A switch carries what its segment does, whatever the node at the port takes.
    port_mtu: u32,
    space: Arc<Space>,
}

/// Finds what each port of a plan leads to.
///
/// # Errors
/// [`BuildError::Plan`] for a port that leads nowhere.
pub(super) fn wires(plan: &Plan, workers: &[Worker]) -> Result<Vec<Wire>, BuildError> {
    let ports = plan
        .segments
        .iter()
        .zip(FIRST_BRIDGE..)
        .flat_map(|(segment, bridge)| segment.ports.iter().map(move |port| (segment, bridge, port)));
    ports
        .zip(FIRST_PORT..)
        .map(|((segment, bridge, port), index)| wire(plan, workers, segment, bridge, port, index))
        .collect()
}

fn wire(
    plan: &Plan,
    workers: &[Worker],
    segment: &Segment,
    bridge: u32,
    port: &Port,
    index: u32,
) -> Result<Wire, BuildError> {
    let nowhere = || BuildError::Plan(format!("port {} of {} leads nowhere", port.name, segment.name));
    let (node, worker) = plan.nodes.iter().zip(workers).find(|(node, _)| node.name == port.node).ok_or_else(nowhere)?;
    let interface = node.interfaces.iter().find(|one| one.name == port.interface).ok_or_else(nowhere)?;
    Ok(Wire {
        bridge,
        port: port.name.clone(),
        index,
        far: interface.name.clone(),
        far_index: far_index(node, &interface.name).ok_or_else(nowhere)?,
        mac: interface.mac,
        mtu: interface.mtu,
        port_mtu: interface.mtu.max(segment.mtu),
        space: Arc::clone(worker.space()),
    })
}

/// Makes bridges and ports, in the plan's order, for it decides who is flooded first.
pub(super) async fn create(plan: Arc<Plan>, wires: Vec<Wire>, jitter_us: u32) -> Result<(), StepError> {
    silence()?;
    let handle = rtnl::open()?;
    let bridges = plan.segments.iter().zip(FIRST_BRIDGE..);
    pipeline(bridges.map(|(segment, index)| {
        let vlans = segment.ports.iter().any(|port| port.vlan.is_some());
        link::add_bridge(&handle, &segment.bridge, index, segment.mtu, vlans)
    }))
    .await?;
    pipeline(wires.iter().map(|wire| {
        let port = End { name: &wire.port, index: wire.index, mac: None };
        let far = End { name: &wire.far, index: wire.far_index, mac: wire.mac };
        link::add_veth(&handle, port, wire.bridge, far, wire.space.net(), (wire.port_mtu, wire.mtu))
    }))
    .await?;
    let ethtool = Ethtool::open().map_err(StepError::Ethtool)?;
    // A switch neither computes checksums nor looks at them: one that is left open stays so.
    let left_open = plan.nodes.iter().flat_map(|node| &node.interfaces).any(|interface| interface.tx_checksum);
    wires.iter().try_for_each(|wire| ethtool.offloads_off(&wire.port, left_open))?;
    for (port, index) in doing_more(&plan) {
        link::port::set(&handle, index, port).await?;
    }
    if jitter_us > 0 {
        for wire in &wires {
            link::jitter::set(&handle, wire.index, &wire.port, jitter_us).await?;
        }
    }
    Ok(())
}

/// The ports that do more than switch, with their numbers.
fn doing_more(plan: &Plan) -> impl Iterator<Item = (&Port, u32)> {
    let ports = plan.segments.iter().flat_map(|segment| &segment.ports).zip(FIRST_PORT..);
    ports.filter(|(port, _)| port.fact().is_some())
}

/// Reads back what the switch does beyond switching; nothing where it is to do nothing more.
pub(super) async fn facts(plan: Arc<Plan>) -> Option<NodeFacts> {
    doing_more(&plan).next()?;
    let mut facts = NodeFacts::unread(NodeName::switch());
    match read(&plan).await {
        Ok(ports) => facts.ports = ports,
        Err(error) => facts.unread.push(Unread { what: "ports".to_owned(), why: error_chain(&error).join(": ") }),
    }
    Some(facts)
}

async fn read(plan: &Plan) -> Result<Vec<PortFact>, RtnlError> {
    let handle = rtnl::open()?;
    let vlans = link::port::vlans(&handle).await?;
    let mut pinned = link::port::pinned(&handle).await?;
    let mut heeding = Vec::new();
    for (segment, index) in plan.segments.iter().zip(FIRST_BRIDGE..) {
        if link::port::heeds_vlans(&link::one(&handle, index, &segment.bridge).await?) {
            heeding.extend(segment.ports.iter().map(|port| &port.name));
        }
    }
    let mut facts = Vec::new();
    for (port, index) in plan.segments.iter().flat_map(|segment| &segment.ports).zip(FIRST_PORT..) {
        let (isolated, locked) = link::port::attributes(&link::one(&handle, index, &port.name).await?);
        let fact = PortFact {
            name: port.name.clone(),
            node: port.node.clone(),
            interface: port.interface.clone(),
            isolated,
            vlan: vlans.get(&index).copied().filter(|_| heeding.contains(&&port.name)),
            locked: locked.then(|| pinned.remove(&index).unwrap_or_default()),
            filters: link::port::filters(&handle, index).await?,
        };
        facts.extend((!fact.lines().is_empty()).then_some(fact));
    }
    Ok(facts)
}

/// Keeps the switch from speaking on its own (IPv6) and from filtering what it carries. Keys that this kernel lacks
/// stand for something that can't happen then.
fn silence() -> Result<(), StepError> {
    let quiet = [
        ("net.ipv6.conf.all.disable_ipv6", "1"),
        ("net.ipv6.conf.default.disable_ipv6", "1"),
        ("net.bridge.bridge-nf-call-arptables", "0"),
        ("net.bridge.bridge-nf-call-iptables", "0"),
        ("net.bridge.bridge-nf-call-ip6tables", "0"),
    ];
    for (key, value) in quiet {
        match sysctl::set(key, value) {
            Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => {}
            other => other?,
        }
    }
    Ok(())
}

/// Sets bridges and ports up.
pub(super) async fn set_up(plan: Arc<Plan>) -> Result<(), StepError> {
    let handle = rtnl::open()?;
    let bridges = plan.segments.iter().map(|segment| &segment.bridge).zip(FIRST_BRIDGE..);
    let ports = plan.segments.iter().flat_map(|segment| &segment.ports).map(|port| &port.name).zip(FIRST_PORT..);
    pipeline(bridges.chain(ports).map(|(name, index)| link::set_up(&handle, index, name, true))).await?;
    Ok(())
}

/// Waits until every port whose far end is up forwards. A port gets there by work that the kernel puts off; frames that
/// come before are lost, and a lost ARP costs a second.
pub(super) async fn settle(plan: Arc<Plan>, patience: Duration) -> Result<(), StepError> {
    let handle = rtnl::open()?;
    let mut waiting: Vec<(u32, &IfName)> = plan
        .segments
        .iter()
        .flat_map(|segment| &segment.ports)
        .zip(FIRST_PORT..)
        .filter(|(port, _)| is_up(&plan, port))
        .map(|(port, index)| (index, &port.name))
        .collect();
    settled(patience, async || {
        let mut seen = Vec::new();
        let mut still = Vec::new();
        for (index, name) in std::mem::take(&mut waiting) {
            let link = link::one(&handle, index, name).await?;
            let state = (link::operational(&link), forwarding(&link));
            if state != (State::Up, Some(BridgePortState::Forwarding)) {
                seen.push(format!("{name} {:?}/{:?}", state.0, state.1));
                still.push((index, name));
            }
        }
        waiting = still;
        Ok(seen)
    })
    .await
}

fn is_up(plan: &Plan, port: &Port) -> bool {
    let node = plan.nodes.iter().find(|node| node.name == port.node);
    node.and_then(|node| node.interfaces.iter().find(|one| one.name == port.interface)).is_some_and(|one| one.up)
}

fn forwarding(link: &LinkMessage) -> Option<BridgePortState> {
    link::port::parts(link).find_map(|part| match part {
        InfoBridgePort::State(state) => Some(*state),
        _ => None,
    })
}
