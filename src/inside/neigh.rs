//! Neighbour entries of the namespace that the handle was opened in.
//!
//! Owns: setting, deleting, flushing. Refuses: resolving; nothing is sent.

use std::net::IpAddr;

use futures_util::TryStreamExt;
use nix::errno::Errno;
use rtnetlink::Handle;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourMessage, NeighbourState};

use super::rtnl::{Attempt, Refused, RtnlError, pipeline};
use crate::base::{IfName, Mac};

/// Sets an entry, whatever was there.
///
/// # Errors
/// The kernel's refusal.
pub async fn set(
    handle: &Handle,
    index: u32,
    interface: &IfName,
    address: IpAddr,
    mac: Mac,
    permanent: bool,
) -> Result<(), RtnlError> {
    let state = if permanent { NeighbourState::Permanent } else { NeighbourState::Stale };
    let request = handle.neighbours().add(index, address).link_layer_address(&mac.0).state(state).replace();
    request.execute().await.attempt(|| format!("set the neighbour {address} to {mac} on {interface}"))
}

/// Deletes all entries that are not permanent, of one interface or all, of one address or all.
///
/// # Errors
/// The kernel's refusal; an entry that went by itself meanwhile is none.
pub async fn flush(handle: &Handle, index: Option<u32>, address: Option<IpAddr>) -> Result<(), RtnlError> {
    let gone = all(handle).await?.into_iter().filter(|entry| {
        !matches!(entry.header.state, NeighbourState::Permanent | NeighbourState::Noarp)
            && index.is_none_or(|index| entry.header.ifindex == index)
            && address.is_none_or(|address| destination(entry) == Some(address))
    });
    let requests = gone.map(|entry| {
        let what = destination(&entry);
        let request = handle.neighbours().del(entry);
        async move {
            match request.execute().await.map_err(Refused::from) {
                Err(refused) if refused.errno() == Some(Errno::ENOENT) => Ok(()),
                other => other.attempt(|| match what {
                    Some(address) => format!("delete the neighbour {address}"),
                    None => "delete a neighbour".to_owned(),
                }),
            }
        }
    });
    pipeline(requests.collect::<Vec<_>>()).await
}

/// Who is asked for and has not answered yet, a line each.
///
/// # Errors
/// The kernel's refusal.
pub async fn asked_for(handle: &Handle) -> Result<Vec<String>, RtnlError> {
    let open = all(handle).await?.into_iter().filter(|entry| entry.header.state == NeighbourState::Incomplete);
    Ok(open.filter_map(|entry| destination(&entry)).map(|address| format!("{address} is asked for")).collect())
}

/// All entries of ARP and neighbour discovery.
///
/// # Errors
/// The kernel's refusal.
pub(super) async fn all(handle: &Handle) -> Result<Vec<NeighbourMessage>, RtnlError> {
    let mut found = Vec::new();
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let entries = handle.neighbours().get().set_address_family(family).execute().try_collect::<Vec<_>>().await;
        found.extend(entries.attempt(|| "list neighbours".to_owned())?);
    }
    Ok(found)
}

/// Whose entry it is.
pub(super) fn destination(entry: &NeighbourMessage) -> Option<IpAddr> {
    entry.attributes.iter().find_map(|attribute| match attribute {
        NeighbourAttribute::Destination(NeighbourAddress::Inet(v4)) => Some(IpAddr::V4(*v4)),
        NeighbourAttribute::Destination(NeighbourAddress::Inet6(v6)) => Some(IpAddr::V6(*v6)),
        _ => None,
    })
}
