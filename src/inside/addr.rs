//! Addresses of the namespace that the handle was opened in.
//!
//! Owns: adding, deleting. Refuses: filling in what the plan left out; an address without a broadcast address gets none.

use std::net::IpAddr;

use ipnet::IpNet;
use rtnetlink::Handle;
use rtnetlink::packet_route::AddressFamily;
use rtnetlink::packet_route::address::{
    AddressAttribute, AddressFlags, AddressHeaderFlags, AddressMessage, AddressScope,
};

use super::rtnl::{Attempt, RtnlError};
use crate::base::IfName;
use crate::plan::Address;

/// Adds an address to the interface with this number.
///
/// # Errors
/// The kernel's refusal; `EEXIST` where it is there already.
pub async fn add(handle: &Handle, index: u32, interface: &IfName, address: &Address) -> Result<(), RtnlError> {
    let mut request = handle.address().add(index, address.address.addr(), address.address.prefix_len());
    *request.message_mut() = message(index, address);
    request.execute().await.attempt(|| format!("add {} to {interface}", address.address))
}

/// Removes an address.
///
/// # Errors
/// The kernel's refusal; `EADDRNOTAVAIL` where it is not there.
pub async fn delete(handle: &Handle, index: u32, interface: &IfName, address: IpNet) -> Result<(), RtnlError> {
    let message = message(index, &Address { address, broadcast: None, label: None, nodad: false });
    handle.address().del(message).execute().await.attempt(|| format!("remove {address} from {interface}"))
}

fn message(index: u32, wanted: &Address) -> AddressMessage {
    let mut message = AddressMessage::default();
    let address = wanted.address.addr();
    message.header.index = index;
    message.header.prefix_len = wanted.address.prefix_len();
    message.header.scope = scope(address);
    message.header.family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    message.attributes = vec![AddressAttribute::Local(address), AddressAttribute::Address(address)];
    message.attributes.extend(wanted.broadcast.map(AddressAttribute::Broadcast));
    message.attributes.extend(wanted.label.clone().map(AddressAttribute::Label));
    if wanted.nodad {
        message.header.flags |= AddressHeaderFlags::Nodad;
        message.attributes.push(AddressAttribute::Flags(AddressFlags::Nodad));
    }
    message
}

/// The scope that ip(8) would give.
fn scope(address: IpAddr) -> AddressScope {
    match address {
        IpAddr::V4(v4) if v4.is_loopback() => AddressScope::Host,
        IpAddr::V4(_) | IpAddr::V6(_) => AddressScope::Universe,
    }
}
