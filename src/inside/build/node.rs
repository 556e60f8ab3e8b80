//! One node's part of the build, done by its worker.
//!
//! Owns: the order on a node: links, sysctls, links up, addresses, routes, neighbours, filters, IPVS. Sysctls come before
//! links are up, so that nothing is sent or learned under other rules than the plan's. Refuses: order of its own within
//! each kind; it is the plan's.

use std::collections::BTreeMap;
use std::net::Ipv6Addr;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use rtnetlink::Handle;
use rtnetlink::packet_route::link::State;

use super::{StepError, far_index, in_segments, settled};
use crate::base::{IfName, Mac};
use crate::inside::arpfilter::Filters;
use crate::inside::link::offload::Ethtool;
use crate::inside::link::{self, End, LOOPBACK};
use crate::inside::ns::{Space, Worker};
use crate::inside::rtnl::{self, Attempt, Refused, pipeline};
use crate::inside::{addr, ipvs, neigh, read, route, sysctl};
use crate::plan::{Interface, LinkKind, Node, Plan};

/// Makes what is not a veth, and turns offloads off on what is.
pub(super) async fn create(node: &Node, uppers: Vec<Upper>) -> Result<(), StepError> {
    let ethtool = Ethtool::open().map_err(StepError::Ethtool)?;
    in_segments(node).try_for_each(|interface| ethtool.offloads_off(&interface.name, interface.tx_checksum))?;
    let others = |kind: LinkKind| node.interfaces.iter().filter(move |interface| interface.kind == kind);
    let mut dummies = others(LinkKind::Dummy).peekable();
    let mut tunnels = others(LinkKind::Ipip).peekable();
    let silent: Vec<&Interface> = in_segments(node).filter(|interface| !interface.arp).collect();
    if dummies.peek().is_none() && tunnels.peek().is_none() && uppers.is_empty() && silent.is_empty() {
        return Ok(());
    }
    let handle = rtnl::open()?;
    for interface in silent {
        let index = far_index(node, &interface.name).unwrap_or_default();
        link::no_arp(&handle, index, &interface.name).await?;
    }
    for upper in &uppers {
        let end = End { name: &upper.name, index: upper.index, mac: upper.mac.filter(|_| upper.macvlan) };
        link::add_upper(&handle, end, upper.macvlan, upper.lower, upper.space.net(), upper.mtu).await?;
    }
    for interface in dummies {
        let index = far_index(node, &interface.name).unwrap_or_default();
        let end = End { name: &interface.name, index, mac: interface.mac };
        link::add_dummy(&handle, end, interface.mtu).await?;
    }
    for interface in tunnels {
        link::ensure_ipip(&handle, &interface.name).await?;
    }
    Ok(())
}

/// An interface on top of one of this node, for this node or another.
pub(super) struct Upper {
    name: IfName,
    index: u32,
    mac: Option<Mac>,
    mtu: u32,
    macvlan: bool,
    lower: u32,
    space: Arc<Space>,
}

/// The interfaces that are on top of those of a node.
pub(super) fn uppers(node: &Node, plan: &Plan, workers: &[Worker]) -> Vec<Upper> {
    let all = plan
        .nodes
        .iter()
        .zip(workers)
        .flat_map(|(other, worker)| other.interfaces.iter().map(move |interface| (other, worker, interface)));
    all.filter_map(|(other, worker, interface)| {
        let LinkKind::Upper(upper) = &interface.kind else { return None };
        (upper.node == node.name).then_some(())?;
        Some(Upper {
            name: interface.name.clone(),
            index: far_index(other, &interface.name)?,
            mac: interface.mac,
            mtu: interface.mtu,
            macvlan: upper.macvlan,
            lower: far_index(node, &upper.lower)?,
            space: Arc::clone(worker.space()),
        })
    })
    .collect()
}

/// Adds the addresses that are in use only once duplicate address detection says so, when all else of the lab stands, and
/// waits until it has.
pub(super) async fn add_detected(node: &Node, patience: Duration) -> Result<(), StepError> {
    let late = || {
        let all = node.interfaces.iter().filter(|interface| interface.kind != LinkKind::Loopback);
        all.flat_map(|interface| interface.addresses.iter().map(move |one| (interface, one)))
            .filter(|(_, one)| is_late(one))
    };
    if late().next().is_none() {
        return Ok(());
    }
    let handle = rtnl::open()?;
    let numbers = Numbers::of(&handle, node).await?;
    for (interface, address) in late() {
        addr::add(&handle, numbers.one(&interface.name)?, &interface.name, address).await?;
    }
    let names = numbers.0.iter().map(|(name, index)| (*index, name.clone())).collect();
    settled(patience, async || {
        let all = read::netlink::addresses(&handle, &names).await?;
        let has = |one: &crate::facts::AddressFact, flag: &str| one.flags.iter().any(|f| f == flag);
        let on_trial = all.iter().filter(|one| has(one, "tentative") && !has(one, "dadfailed"));
        let of_plan = on_trial.filter(|one| late().any(|(_, planned)| planned.address == one.address));
        Ok(of_plan.map(|one| format!("{} {} tentative", one.interface, one.address)).collect())
    })
    .await
}

/// Whether duplicate address detection is made for it on a network interface.
fn is_late(address: &crate::plan::Address) -> bool {
    matches!(address.address, IpNet::V6(_)) && !address.nodad
}

/// Configures the node. Says which sysctls of the baseline this kernel does not have.
pub(super) async fn configure(
    node: &Node,
    space: &Space,
    filters: &Filters,
    skip_ipvs: bool,
) -> Result<Vec<String>, StepError> {
    let absent = sysctl::set_all(&node.sysctls)?;
    let handle = rtnl::open()?;
    let numbers = Numbers::of(&handle, node).await?;
    let up = node.interfaces.iter().filter(|interface| interface.up);
    pipeline(
        numbers.each(up)?.into_iter().map(|(index, interface)| link::set_up(&handle, index, &interface.name, true)),
    )
    .await?;
    let addresses = numbers.each(node.interfaces.iter())?.into_iter().flat_map(|(index, interface)| {
        let late = |one: &crate::plan::Address| interface.kind != LinkKind::Loopback && is_late(one);
        let planned = interface.addresses.iter().filter(move |one| !comes_by_itself(interface, one) && !late(one));
        planned.map(move |address| (index, interface, address))
    });
    pipeline(addresses.map(|(index, interface, address)| addr::add(&handle, index, &interface.name, address))).await?;
    let mut routes = Vec::with_capacity(node.routes.len());
    for planned in &node.routes {
        routes.push((numbers.maybe(planned.interface.as_ref())?, planned));
    }
    pipeline(routes.iter().map(|(index, planned)| route::add(&handle, *index, planned))).await?;
    let mut entries = Vec::with_capacity(node.neighbours.len());
    for planned in &node.neighbours {
        entries.push((numbers.one(&planned.interface)?, planned));
    }
    pipeline(
        entries.iter().map(|(index, planned)| {
            neigh::set(&handle, *index, &planned.interface, planned.address, planned.mac, true)
        }),
    )
    .await?;
    filters.apply_arp(space, &node.arptables)?;
    filters.apply_ip(space, &node.iptables)?;
    if let (Some(table), false) = (&node.ipvs, skip_ipvs) {
        ipvs::Session::open()?.apply(table)?;
    }
    Ok(absent)
}

/// Waits until the node's links are usable and no address of the plan is on trial: IPv6 looks at the link's operational state, which
/// the kernel brings up to date by work that it puts off, and takes an address into use by such work, too.
pub(super) async fn settle(node: &Node, patience: Duration) -> Result<(), StepError> {
    let handle = rtnl::open()?;
    let numbers = Numbers::of(&handle, node).await?;
    let links = numbers.each(in_segments(node).filter(|interface| interface.up))?;
    let names = links.iter().map(|(index, interface)| (*index, interface.name.clone())).collect();
    settled(patience, async || {
        let mut seen = Vec::new();
        for (index, interface) in &links {
            let state = link::operational(&link::one(&handle, *index, &interface.name).await?);
            if state != State::Up {
                seen.push(format!("{} {state:?}", interface.name));
            }
        }
        let addresses = read::netlink::addresses(&handle, &names).await?;
        let planned = |net: &IpNet| in_segments(node).flat_map(|one| &one.addresses).any(|one| one.address == *net);
        let on_trial = addresses.iter().filter(|one| one.flags.iter().any(|flag| flag == "tentative"));
        // The link-local address that an interface gives itself may take its second.
        let on_trial = on_trial.filter(|one| planned(&one.address));
        seen.extend(on_trial.map(|address| format!("{} {} tentative", address.interface, address.address)));
        seen.extend(deaf(node));
        Ok(seen)
    })
    .await
}

/// Addresses of the plan whose solicitations the node does not hear yet: it joins the multicast group (RFC 4291, section
/// 2.7.1) by work that is put off, and an address without duplicate detection shows no sign of it.
fn deaf(node: &Node) -> Vec<String> {
    let v6 = in_segments(node).filter(|interface| interface.up).flat_map(|interface| {
        interface.addresses.iter().filter(|one| !is_late(one)).filter_map(move |one| match one.address {
            IpNet::V6(net) => Some((&interface.name, net.addr())),
            IpNet::V4(_) => None,
        })
    });
    let wanted: Vec<_> = v6.collect();
    if wanted.is_empty() {
        return Vec::new();
    }
    let joined = read::net_file("igmp6").unwrap_or_default();
    let hears = |interface: &IfName, address: &Ipv6Addr| {
        let [.., high, low] = address.segments();
        let group = format!("ff0200000000000000000001ff{:02x}{low:04x}", high & 0xff);
        joined.lines().any(|line| {
            let mut words = line.split_ascii_whitespace().skip(1);
            words.next() == Some(interface.as_str()) && words.next() == Some(group.as_str())
        })
    };
    let deaf = wanted.into_iter().filter(|(interface, address)| !hears(interface, address));
    deaf.map(|(interface, address)| format!("{interface} {address} is not solicited yet")).collect()
}

/// Whether the kernel puts the address there as soon as `lo` is up.
fn comes_by_itself(interface: &Interface, address: &crate::plan::Address) -> bool {
    interface.kind == LinkKind::Loopback && crate::facts::statements::is_loopback_default(&address.address)
}

/// The numbers of a node's interfaces: chosen by us, but for `lo` and `tunl0`.
struct Numbers(BTreeMap<IfName, u32>);

impl Numbers {
    async fn of(handle: &Handle, node: &Node) -> Result<Self, StepError> {
        let mut numbers = BTreeMap::new();
        for interface in &node.interfaces {
            let number = match &interface.kind {
                LinkKind::Loopback => Some(LOOPBACK),
                LinkKind::Ipip => Some(link::index(handle, &interface.name).await?),
                LinkKind::Segment(_) | LinkKind::Dummy | LinkKind::Upper(_) => far_index(node, &interface.name),
            };
            numbers.extend(number.map(|number| (interface.name.clone(), number)));
        }
        Ok(Self(numbers))
    }

    fn one(&self, interface: &IfName) -> Result<u32, StepError> {
        let found = self.0.get(interface).copied().ok_or(Refused::Missing);
        Ok(found.attempt(|| format!("find the interface {interface}"))?)
    }

    fn maybe(&self, interface: Option<&IfName>) -> Result<Option<u32>, StepError> {
        interface.map(|interface| self.one(interface)).transpose()
    }

    fn each<'a>(
        &self,
        interfaces: impl Iterator<Item = &'a Interface>,
    ) -> Result<Vec<(u32, &'a Interface)>, StepError> {
        interfaces.map(|interface| Ok((self.one(&interface.name)?, interface))).collect()
    }
}
