//! What goes to the kernel: plans' services and real servers as nested attributes.
//!
//! Owns: the encoding (`ip_vs_genl_parse_service`, `ip_vs_genl_parse_dest` in `ip_vs_ctl.c`). Refuses: defaults beyond
//! those that the kernel demands a value for.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use ipnet::Ipv4Net;
use neli::consts::genl::{CtrlAttr, CtrlCmd, NlAttrType};
use neli::consts::nl::{GenlId, NlmF};
use neli::genl::{AttrTypeBuilder, Genlmsghdr, GenlmsghdrBuilder, Nlattr, NlattrBuilder, NoUserHeader};
use neli::nl::{NlPayload, NlmsghdrBuilder};
use neli::types::{Buffer, GenlBuffer};
use neli::{Size, ToBytes};

use super::family::{
    Attribute, Command, Dest, NAME, SERVICE_ONE_PACKET, SERVICE_PERSISTENT, SERVICE_SCHEDULER, Service as Svc, VERSION,
};
use super::{IpvsError, Payload, Session, address_family, broke};
use crate::base::{Forwarding, ServiceId};
use crate::plan::{Destination, Service};

/// A command's attributes.
pub(super) type Attributes = GenlBuffer<Attribute, Buffer>;

/// What a persistence of no group at all is: every client for itself.
const ALONE_V4: u8 = 32;
const ALONE_V6: u8 = 128;

pub(super) fn none() -> Attributes {
    GenlBuffer::new()
}

pub(super) fn payload(command: Command, attributes: Attributes) -> Result<Payload, String> {
    GenlmsghdrBuilder::<_, _, NoUserHeader>::default()
        .cmd(command)
        .version(VERSION)
        .attrs(attributes)
        .build()
        .map_err(|error| error.to_string())
}

pub(super) fn timeouts(tcp: u32, fin: u32, udp: u32) -> Result<Attributes, String> {
    [
        attribute(Attribute::TimeoutTcp, tcp),
        attribute(Attribute::TimeoutTcpFin, fin),
        attribute(Attribute::TimeoutUdp, udp),
    ]
    .into_iter()
    .collect()
}

/// A service in full.
pub(super) fn service(service: &Service) -> Result<Attributes, String> {
    let mut flags = 0;
    for flag in &service.flags {
        flags |= match flag.as_str() {
            "ops" => SERVICE_ONE_PACKET,
            "persistent" => SERVICE_PERSISTENT,
            name => {
                let known = SERVICE_SCHEDULER.iter().find(|(known, _)| *known == name);
                known.map(|(_, bit)| *bit).ok_or_else(|| format!("there is no service flag `{name}`"))?
            }
        };
    }
    if service.persistence_s.is_some() {
        flags |= SERVICE_PERSISTENT;
    }
    let mut whole = identity(service.id)?;
    for part in [
        attribute(Svc::SchedName, service.scheduler.as_str())?,
        // `struct ip_vs_flags`: the values, and which of them are meant.
        attribute(Svc::Flags, [flags.to_ne_bytes(), u32::MAX.to_ne_bytes()].concat())?,
        attribute(Svc::Timeout, service.persistence_s.unwrap_or(0))?,
        attribute(Svc::Netmask, netmask(service)?)?,
    ] {
        whole = whole.nest(&part).map_err(|error| error.to_string())?;
    }
    Ok(std::iter::once(whole).collect())
}

/// A service by what makes it one.
pub(super) fn service_only(service: ServiceId) -> Result<Attributes, String> {
    Ok(std::iter::once(identity(service)?).collect())
}

/// A real server in full.
pub(super) fn destination(service: ServiceId, destination: &Destination) -> Result<Attributes, String> {
    let method: u32 = match destination.forwarding {
        Forwarding::Nat => 0,
        Forwarding::LocalNode => 1,
        Forwarding::Tun => 2,
        Forwarding::DirectRouting => 3,
    };
    let mut whole = place(destination.at)?;
    for part in [
        attribute(Dest::FwdMethod, method)?,
        attribute(Dest::Weight, destination.weight)?,
        attribute(Dest::UThresh, destination.upper)?,
        attribute(Dest::LThresh, destination.lower)?,
    ] {
        whole = whole.nest(&part).map_err(|error| error.to_string())?;
    }
    Ok([identity(service)?, whole].into_iter().collect())
}

/// A real server by what makes it one.
pub(super) fn destination_only(service: ServiceId, at: SocketAddr) -> Result<Attributes, String> {
    Ok([identity(service)?, place(at)?].into_iter().collect())
}

fn identity(service: ServiceId) -> Result<Nlattr<Attribute, Buffer>, String> {
    let parts = match service {
        ServiceId::Address { protocol, at } => vec![
            attribute(Svc::Af, address_family(at.ip()))?,
            attribute(Svc::Protocol, u16::from(protocol.number()))?,
            attribute(Svc::Addr, octets(at.ip()))?,
            attribute(Svc::Port, at.port().to_be_bytes().to_vec())?,
        ],
        ServiceId::Fwmark { mark, v6 } => {
            let any = if v6 { std::net::Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
            vec![attribute(Svc::Af, address_family(any))?, attribute(Svc::Fwmark, mark)?]
        }
    };
    nested(Attribute::Service, &parts)
}

fn place(at: SocketAddr) -> Result<Nlattr<Attribute, Buffer>, String> {
    let parts = [
        attribute(Dest::AddrFamily, address_family(at.ip()))?,
        attribute(Dest::Addr, octets(at.ip()))?,
        attribute(Dest::Port, at.port().to_be_bytes().to_vec())?,
    ];
    nested(Attribute::Dest, &parts)
}

/// What persistence groups clients by: a mask for IPv4, the prefix's length for IPv6.
fn netmask(service: &Service) -> Result<Vec<u8>, String> {
    let v6 = match service.id {
        ServiceId::Address { at, .. } => at.is_ipv6(),
        ServiceId::Fwmark { v6, .. } => v6,
    };
    if v6 {
        return Ok(u32::from(service.persistence_prefix.unwrap_or(ALONE_V6)).to_ne_bytes().to_vec());
    }
    let length = service.persistence_prefix.unwrap_or(ALONE_V4);
    let net = Ipv4Net::new(Ipv4Addr::UNSPECIFIED, length).map_err(|error| error.to_string())?;
    Ok(net.netmask().octets().to_vec())
}

/// `union nf_inet_addr`: always 16 bytes.
fn octets(address: IpAddr) -> Vec<u8> {
    let mut bytes = match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    bytes.resize(16, 0);
    bytes
}

fn attribute<T: NlAttrType + Size, P: Size + ToBytes>(kind: T, value: P) -> Result<Nlattr<T, Buffer>, String> {
    let kind = AttrTypeBuilder::default().nla_type(kind).build().map_err(|error| error.to_string())?;
    NlattrBuilder::default().nla_type(kind).nla_payload(value).build().map_err(|error| error.to_string())
}

fn nested<T: NlAttrType>(kind: Attribute, parts: &[Nlattr<T, Buffer>]) -> Result<Nlattr<Attribute, Buffer>, String> {
    let whole = attribute(kind, Buffer::new())?;
    parts.iter().try_fold(whole, Nlattr::nest).map_err(|error| error.to_string())
}

/// Asks for the family's number.
pub(super) fn resolve(session: &mut Session) -> Result<u16, IpvsError> {
    let what = "look for the netlink family `IPVS`";
    let name = attribute(CtrlAttr::FamilyName, NAME).map_err(|error| broke(what, error))?;
    let payload = GenlmsghdrBuilder::<_, _, NoUserHeader>::default()
        .cmd(CtrlCmd::Getfamily)
        .version(2)
        .attrs(std::iter::once(name).collect::<GenlBuffer<_, _>>())
        .build()
        .map_err(|error| broke(what, error))?;
    let request = NlmsghdrBuilder::default()
        .nl_type(GenlId::Ctrl)
        .nl_flags(NlmF::REQUEST)
        .nl_payload(NlPayload::Payload(payload))
        .build()
        .map_err(|error| broke(what, error))?;
    session.socket.send(&request).map_err(|error| broke(what, error))?;
    let (messages, _) =
        session.socket.recv_all::<GenlId, Genlmsghdr<CtrlCmd, CtrlAttr>>().map_err(|error| broke(what, error))?;
    for message in messages {
        match message.nl_payload() {
            NlPayload::Payload(found) => {
                let handle = found.attrs().get_attr_handle();
                return handle.get_attr_payload_as::<u16>(CtrlAttr::FamilyId).map_err(|error| broke(what, error));
            }
            NlPayload::Err(error) if *error.error() == -libc::ENOENT => return Err(IpvsError::Lacking),
            NlPayload::Err(error) => return Err(broke(what, error)),
            NlPayload::Ack(_) | NlPayload::DumpExtAck(_) | NlPayload::Empty => {}
        }
    }
    Err(broke(what, "there was no answer"))
}
