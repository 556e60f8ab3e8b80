//! What IPVS makes of a packet (`ip_vs_in_hook`, `ip_vs_service_find`): the service, and the real servers that it may
//! be sent to.

use std::net::SocketAddr;

use super::Place;
use super::filter::{Shown, matches};
use crate::base::{Protocol, ServiceId};
use crate::facts::ServiceFact;

/// What IPVS makes of a packet.
#[derive(Debug, Clone, PartialEq)]
pub(in crate::judge) enum Decision<'a> {
    /// That service balances it.
    Balanced(&'a ServiceFact),
    /// A service by mark would, if anything set the mark.
    Unmarked { mark: u32 },
    /// None does.
    Unknown,
    /// The table was not read.
    Unread,
}

/// The decision on a packet for the address.
pub(in crate::judge) fn decide<'a>(place: &Place<'a>, protocol: Protocol, at: SocketAddr) -> Decision<'a> {
    let Some(ipvs) = &place.facts.ipvs else { return Decision::Unread };
    let by_mark = |v6: bool| {
        ipvs.services.iter().filter_map(move |s| match s.service {
            ServiceId::Fwmark { mark, v6: of } if of == v6 => Some((s, mark)),
            _ => None,
        })
    };
    let mut unmarked = None;
    for (service, mark) in by_mark(at.is_ipv6()) {
        match marked(place, protocol, at, mark) {
            // Rules that were not read are taken to be there.
            None | Some(true) => return Decision::Balanced(service),
            Some(false) => unmarked = Some(mark),
        }
    }
    let by_address =
        |wanted: SocketAddr| ipvs.services.iter().find(|s| s.service == ServiceId::Address { protocol, at: wanted });
    match by_address(at).or_else(|| by_address(SocketAddr::new(at.ip(), 0))) {
        Some(service) => Decision::Balanced(service),
        None => unmarked.map_or(Decision::Unknown, |mark| Decision::Unmarked { mark }),
    }
}

/// Whether a rule gives packets for the address the mark; nothing where rules were not read.
fn marked(place: &Place<'_>, protocol: Protocol, at: SocketAddr, mark: u32) -> Option<bool> {
    let rules = place.facts.iptables.as_deref()?;
    let word = protocol.to_string().to_lowercase();
    let shown = Shown { destination: Some(at.ip()), protocol: Some(&word), port: Some(at.port()), ..Shown::default() };
    Some(rules.iter().any(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let mut pairs = words.windows(2);
        let sets = pairs.any(|w| matches!(w[0], "--set-mark" | "--set-xmark") && number(w[1]) == Some(mark));
        let chain = words.windows(2).any(|w| w[0] == "-A" && matches!(w[1], "PREROUTING" | "INPUT"));
        sets && chain && matches(&words, shown)
    }))
}

/// `1`, `0x1`, `0x1/0xffffffff`.
fn number(text: &str) -> Option<u32> {
    let value = text.split('/').next()?;
    value.strip_prefix("0x").map_or_else(|| value.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok())
}
