//! Acts of a timeline that change what a kernel holds, and conditions that it can be asked about.
//!
//! Owns: doing an act, or looking at a condition once, in the worker of the node that it names. Refuses: acts that send
//! frames or concern servers and loads, and waiting.

use super::StepError;
use crate::inside::{addr, ipvs, link, neigh, read, rtnl, sysctl};
use crate::plan::{Act, Condition};

/// Does an act; `false` where it is none that changes a kernel's tables. Must run in the worker of the act's node.
///
/// # Errors
/// What the kernel refused.
pub async fn apply(act: &Act) -> Result<bool, StepError> {
    match act {
        Act::SetSysctl { key, value, .. } => sysctl::set(key, value)?,
        Act::SetWeight { service, destination, weight, .. } => {
            ipvs::Session::open()?.set_weight(*service, *destination, *weight)?;
        }
        Act::AddService { service, .. } => ipvs::Session::open()?.add_service(service)?,
        Act::DeleteService { service, .. } => ipvs::Session::open()?.delete_service(*service)?,
        Act::AddDestination { service, destination, .. } => {
            ipvs::Session::open()?.add_destination(*service, destination)?;
        }
        Act::DeleteDestination { service, destination, .. } => {
            ipvs::Session::open()?.delete_destination(*service, *destination)?;
        }
        Act::SetLink { interface, up, .. } => {
            let handle = rtnl::open()?;
            let index = link::index(&handle, interface).await?;
            link::set_up(&handle, index, interface, *up).await?;
        }
        Act::AddAddress { interface, address, .. } => {
            let handle = rtnl::open()?;
            let index = link::index(&handle, interface).await?;
            addr::add(&handle, index, interface, address).await?;
        }
        Act::DeleteAddress { interface, address, .. } => {
            let handle = rtnl::open()?;
            let index = link::index(&handle, interface).await?;
            addr::delete(&handle, index, interface, *address).await?;
        }
        Act::FlushNeighbours { interface, address, .. } => {
            let handle = rtnl::open()?;
            let index = match interface {
                Some(interface) => Some(link::index(&handle, interface).await?),
                None => None,
            };
            neigh::flush(&handle, index, *address).await?;
        }
        Act::SetNeighbour { interface, address, mac, permanent, .. } => {
            let handle = rtnl::open()?;
            let index = link::index(&handle, interface).await?;
            neigh::set(&handle, index, interface, *address, *mac, *permanent).await?;
        }
        Act::Load(_)
        | Act::StopServer { .. }
        | Act::StartServer { .. }
        | Act::StartDaemon { .. }
        | Act::StopDaemon { .. }
        | Act::KillDaemon { .. }
        | Act::Run { .. }
        | Act::GratuitousArp { .. }
        | Act::Ping { .. }
        | Act::Pause { .. }
        | Act::WaitUntil { .. } => return Ok(false),
    }
    Ok(true)
}

/// What looking at a condition gave: whether it holds, and what was seen, for the error of whoever waits in vain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Whether it holds.
    pub holds: bool,
    /// What was seen.
    pub what: String,
}

/// Looks at a condition once; `None` where it is none that a kernel can be asked about. Must run in the worker of the
/// condition's node.
///
/// # Errors
/// What could not be read.
pub async fn look(condition: &Condition) -> Result<Option<Seen>, StepError> {
    let seen = match condition {
        Condition::Neighbour { address, mac, .. } => {
            let entry = neighbour(*address).await?;
            let known = entry.as_ref().and_then(|entry| entry.mac.filter(|_| is_usable(&entry.state)));
            Seen { holds: known.is_some_and(|known| mac.is_none_or(|mac| mac == known)), what: describe(entry) }
        }
        Condition::NoNeighbour { address, .. } => {
            let entry = neighbour(*address).await?;
            Seen { holds: !entry.as_ref().is_some_and(|entry| is_usable(&entry.state)), what: describe(entry) }
        }
        Condition::Sysctl { key, value, .. } => match sysctl::get(key) {
            Ok(found) => Seen { holds: found == *value, what: format!("{key} is {found}") },
            Err(error) => Seen { holds: false, what: format!("{key} could not be read: {error}") },
        },
        Condition::LinkUp { interface, .. } => {
            let links = read::netlink::links(&rtnl::open()?).await?;
            let found = links.into_iter().find(|link| link.name == *interface);
            Seen {
                holds: found.as_ref().is_some_and(|link| link.up && link.carrier),
                what: found.map_or_else(
                    || format!("there is no {interface}"),
                    |link| format!("{interface} is up: {}, has carrier: {}", link.up, link.carrier),
                ),
            }
        }
        Condition::Address { address, usable, .. } => {
            let handle = rtnl::open()?;
            let links = read::netlink::links(&handle).await?;
            let names = links.into_iter().map(|link| (link.index, link.name)).collect();
            let all = read::netlink::addresses(&handle, &names).await?;
            let found = all.into_iter().find(|one| one.address.addr() == *address);
            let has = |flag: &str| found.as_ref().is_some_and(|one| one.flags.iter().any(|f| f == flag));
            let in_use = found.is_some() && !has("tentative") && !has("dadfailed");
            Seen {
                holds: if *usable { in_use } else { has("dadfailed") },
                what: found.map_or_else(
                    || format!("there is no {address}"),
                    |one| format!("{} has the flags {}", one.address, one.flags.join(" ")),
                ),
            }
        }
        Condition::Connections { at_least, at_most, .. } => {
            let text = read::net_file("ip_vs_conn").unwrap_or_default();
            // The first line names the columns.
            let count = text.lines().skip(1).count();
            Seen {
                holds: u32::try_from(count)
                    .is_ok_and(|count| count >= *at_least && at_most.is_none_or(|most| count <= most)),
                what: format!("IPVS holds {count} connections"),
            }
        }
        Condition::RealServer { real_server, addresses, weight, listed, .. } => {
            let services = ipvs::Session::open()?.services()?;
            let found = services.iter().flat_map(|service| &service.destinations);
            let weights: Vec<u32> =
                found.filter(|one| addresses.contains(&one.at.ip())).map(|one| one.weight).collect();
            let is_right = |found: &u32| weight.map_or(*found > 0, |wanted| *found == wanted);
            Seen {
                holds: if *listed { !weights.is_empty() && weights.iter().all(is_right) } else { weights.is_empty() },
                what: weights.first().map_or_else(
                    || format!("{real_server} is not in the table"),
                    |weight| format!("{real_server} is in the table with weight {weight}"),
                ),
            }
        }
        Condition::PortOpen { .. } => return Ok(None),
    };
    Ok(Some(seen))
}

async fn neighbour(address: std::net::IpAddr) -> Result<Option<crate::facts::NeighbourFact>, StepError> {
    let handle = rtnl::open()?;
    let links = read::netlink::links(&handle).await?;
    let names = links.into_iter().map(|link| (link.index, link.name)).collect();
    let entries = read::netlink::neighbours(&handle, &names).await?;
    Ok(entries.into_iter().find(|entry| entry.address == address))
}

fn is_usable(state: &str) -> bool {
    matches!(state, "permanent" | "reachable" | "stale" | "delay" | "probe")
}

fn describe(entry: Option<crate::facts::NeighbourFact>) -> String {
    entry.map_or_else(
        || "there is no entry".to_owned(),
        |entry| match entry.mac {
            Some(mac) => format!("{} has {mac} ({})", entry.address, entry.state),
            None => format!("{} is {}", entry.address, entry.state),
        },
    )
}
