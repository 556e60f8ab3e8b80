//! Reading the IPVS table back.
//!
//! Owns: services, real servers, statistics, timeouts and the version as facts. The statistics of services and real
//! servers are the estimator's and up to two seconds old; the numbers of connections are exact at once.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use neli::attr::Attribute as _;
use neli::consts::genl::NlAttrType;
use neli::consts::nl::NlmF;
use neli::err::DeError;
use neli::genl::Nlattr;
use neli::types::{Buffer, GenlBuffer};

use super::family::{
    Attribute, Command, Dest, FORWARDING_MASK, Info, SERVICE_ONE_PACKET, SERVICE_PERSISTENT, SERVICE_SCHEDULER,
    Service as Svc, Stats,
};
use super::{IpvsError, Payload, Session, broke, message};
use crate::base::{Forwarding, Protocol, ServiceId};
use crate::facts::{DestinationFact, ServiceFact};

/// The timeouts of IPVS, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Established TCP.
    pub tcp: u32,
    /// TCP after FIN.
    pub fin: u32,
    /// UDP.
    pub udp: u32,
}

type Handle<'a, T> = neli::attr::AttrHandle<'a, GenlBuffer<T, Buffer>, Nlattr<T, Buffer>>;

impl Session {
    /// All services with their real servers, in the kernel's order.
    ///
    /// # Errors
    /// The kernel's refusal, or an answer that can't be understood.
    pub fn services(&mut self) -> Result<Vec<ServiceFact>, IpvsError> {
        let what = || "list the services of IPVS".to_owned();
        let answers = self.ask(Command::GetService, Ok(message::none()), NlmF::DUMP, what)?;
        let mut services = answers
            .iter()
            .map(|answer| service(answer).map_err(|error| broke("read a service of IPVS", error)))
            .collect::<Result<Vec<_>, _>>()?;
        for found in &mut services {
            found.destinations = self.destinations(found.service)?;
        }
        Ok(services)
    }

    /// The real servers of a service, in the kernel's order.
    ///
    /// # Errors
    /// The kernel's refusal, or an answer that can't be understood.
    pub fn destinations(&mut self, of: ServiceId) -> Result<Vec<DestinationFact>, IpvsError> {
        let what = || format!("list the real servers of {of}");
        let answers = self.ask(Command::GetDest, message::service_only(of), NlmF::DUMP, what)?;
        answers
            .iter()
            .map(|answer| destination(answer, of).map_err(|error| broke("read a real server of IPVS", error)))
            .collect()
    }

    /// The timeouts.
    ///
    /// # Errors
    /// The kernel's refusal, or an answer that can't be understood.
    pub fn timeouts(&mut self) -> Result<Timeouts, IpvsError> {
        let what = "read the timeouts of IPVS";
        let answers = self.ask(Command::GetConfig, Ok(message::none()), NlmF::ACK, || what.to_owned())?;
        let answer = answers.first().ok_or_else(|| broke(what, "the answer is empty"))?;
        let handle = answer.attrs().get_attr_handle();
        let one = |kind| handle.get_attr_payload_as::<u32>(kind).map_err(|error| broke(what, error));
        Ok(Timeouts {
            tcp: one(Attribute::TimeoutTcp)?,
            fin: one(Attribute::TimeoutTcpFin)?,
            udp: one(Attribute::TimeoutUdp)?,
        })
    }

    /// The version of IPVS, as `1.2.1`.
    ///
    /// # Errors
    /// The kernel's refusal, or an answer that can't be understood.
    pub fn version(&mut self) -> Result<String, IpvsError> {
        let what = "read the version of IPVS";
        let answers = self.ask(Command::GetInfo, Ok(message::none()), NlmF::ACK, || what.to_owned())?;
        let answer = answers.first().ok_or_else(|| broke(what, "the answer is empty"))?;
        let found =
            answer.attrs().iter().find(|part| u16::from(part.nla_type().nla_type()) == u16::from(Info::Version));
        let number = found
            .ok_or_else(|| broke(what, "it holds no version"))?
            .get_payload_as::<u32>()
            .map_err(|error| broke(what, error))?;
        let [_, major, minor, patch] = number.to_be_bytes();
        Ok(format!("{major}.{minor}.{patch}"))
    }
}

fn service(answer: &Payload) -> Result<ServiceFact, DeError> {
    let outer = answer.attrs().get_attr_handle();
    let parts = outer.get_nested_attributes::<Svc>(Attribute::Service)?;
    let v6 = i32::from(parts.get_attr_payload_as::<u16>(Svc::Af)?) == libc::AF_INET6;
    let id = match parts.get_attr_payload_as::<u32>(Svc::Fwmark) {
        Ok(mark) if mark != 0 => ServiceId::Fwmark { mark, v6 },
        _ => {
            let number = parts.get_attr_payload_as::<u16>(Svc::Protocol)?;
            let protocol = match i32::from(number) {
                libc::IPPROTO_TCP => Protocol::Tcp,
                libc::IPPROTO_UDP => Protocol::Udp,
                other => return Err(DeError::new(format!("protocol {other} is neither TCP nor UDP"))),
            };
            let at = SocketAddr::new(address(&parts, Svc::Addr, v6)?, port(&parts, Svc::Port)?);
            ServiceId::Address { protocol, at }
        }
    };
    let bits =
        bytes(&parts, Svc::Flags).and_then(|found| found.get(..4)?.try_into().ok()).map_or(0, u32::from_ne_bytes);
    let mut flags = Vec::new();
    let named = [("persistent", SERVICE_PERSISTENT), ("ops", SERVICE_ONE_PACKET)];
    flags.extend(
        named.iter().chain(&SERVICE_SCHEDULER).filter(|(_, bit)| bits & bit != 0).map(|(name, _)| (*name).to_owned()),
    );
    let timeout = parts.get_attr_payload_as::<u32>(Svc::Timeout)?;
    let (connections, in_packets) = stats(&parts, Svc::Stats64);
    Ok(ServiceFact {
        service: id,
        scheduler: parts.get_attr_payload_as_with_len::<String>(Svc::SchedName)?,
        flags,
        persistence_s: (bits & SERVICE_PERSISTENT != 0).then_some(timeout),
        destinations: Vec::new(),
        connections,
        in_packets,
    })
}

fn destination(answer: &Payload, of: ServiceId) -> Result<DestinationFact, DeError> {
    let outer = answer.attrs().get_attr_handle();
    let parts = outer.get_nested_attributes::<Dest>(Attribute::Dest)?;
    let service_v6 = match of {
        ServiceId::Address { at, .. } => at.is_ipv6(),
        ServiceId::Fwmark { v6, .. } => v6,
    };
    // Kernels before 3.18 do not say the family; there it is the service's.
    let v6 = parts
        .get_attr_payload_as::<u16>(Dest::AddrFamily)
        .map_or(service_v6, |family| i32::from(family) == libc::AF_INET6);
    let number = |kind| parts.get_attr_payload_as::<u32>(kind);
    let forwarding = match number(Dest::FwdMethod)? & FORWARDING_MASK {
        0 => Forwarding::Nat,
        1 => Forwarding::LocalNode,
        2 => Forwarding::Tun,
        3 => Forwarding::DirectRouting,
        other => return Err(DeError::new(format!("forwarding method {other} is not known"))),
    };
    let (connections, in_packets) = stats(&parts, Dest::Stats64);
    Ok(DestinationFact {
        at: SocketAddr::new(address(&parts, Dest::Addr, v6)?, port(&parts, Dest::Port)?),
        forwarding,
        weight: number(Dest::Weight)?,
        upper: number(Dest::UThresh)?,
        lower: number(Dest::LThresh)?,
        active: number(Dest::ActiveConns)?,
        inactive: number(Dest::InactConns)?,
        persistent: number(Dest::PersistConns)?,
        connections,
        in_packets,
    })
}

fn bytes<T: NlAttrType>(parts: &Handle<'_, T>, kind: T) -> Option<Vec<u8>> {
    parts.get_attribute(kind).map(|found| found.nla_payload().as_ref().to_vec())
}

fn address<T: NlAttrType>(parts: &Handle<'_, T>, kind: T, v6: bool) -> Result<IpAddr, DeError> {
    let found = bytes(parts, kind).unwrap_or_default();
    let short = || DeError::new(format!("an address has {} bytes", found.len()));
    if v6 {
        let octets: [u8; 16] = found.get(..16).and_then(|head| head.try_into().ok()).ok_or_else(short)?;
        return Ok(Ipv6Addr::from(octets).into());
    }
    let octets: [u8; 4] = found.get(..4).and_then(|head| head.try_into().ok()).ok_or_else(short)?;
    Ok(Ipv4Addr::from(octets).into())
}

fn port<T: NlAttrType>(parts: &Handle<'_, T>, kind: T) -> Result<u16, DeError> {
    let found = bytes(parts, kind).unwrap_or_default();
    let head: Option<[u8; 2]> = found.get(..2).and_then(|head| head.try_into().ok());
    head.map(u16::from_be_bytes).ok_or_else(|| DeError::new("a port is missing"))
}

/// Connections and packets in; kernels before 4.1 have no 64-bit statistics, which reads as none.
fn stats<T: NlAttrType>(parts: &Handle<'_, T>, kind: T) -> (u64, u64) {
    let Ok(inner) = parts.get_nested_attributes::<Stats>(kind) else { return (0, 0) };
    let one = |kind| inner.get_attr_payload_as::<u64>(kind).unwrap_or(0);
    (one(Stats::Conns), one(Stats::InPkts))
}
