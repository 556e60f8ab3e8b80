//! The model against tables that were measured on a real kernel: a row each for what a kernel does with which facts.

mod answers;
mod filters;
mod questions;
mod ways;

use std::net::IpAddr;

use super::{Place, World};
use crate::facts::{LinkFact, NodeFacts};
use crate::judge::testlab::{Lab, VIP, carried, name};

/// Who asks: the router, on the segment's subnet.
const ROUTER: &str = "172.16.255.254";
/// An address of rs1's eth0.
const RIP: &str = "172.16.252.137";
/// An address on no segment.
const FAR: &str = "198.51.100.9";

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Looks at rs1 with other facts.
fn rs1<T>(edit: impl Fn(&mut NodeFacts), look: impl FnOnce(&Place<'_>) -> T) -> T {
    node("rs1", edit, look)
}

fn node<T>(node: &str, edit: impl Fn(&mut NodeFacts), look: impl FnOnce(&Place<'_>) -> T) -> T {
    let mut lab = Lab::textbook();
    lab.edit_facts(node, edit);
    lab.judged(|input| look(&World::new(input).place(&name(node)).unwrap()))
}

fn set(facts: &mut NodeFacts, key: &str, value: u32) {
    facts.sysctls.insert(format!("net.ipv4.conf.{key}"), value.to_string());
}

/// The VIP on that device alone, with that prefix length and scope.
fn vip_on(facts: &mut NodeFacts, device: &str, length: u8, scope: &str) {
    facts.addresses.retain(|a| a.address.addr() != VIP);
    let mut vip = carried(device, &format!("{VIP}/{length}"), None);
    vip.scope = scope.into();
    facts.addresses.push(vip);
    if !facts.links.iter().any(|l| l.name == *device) {
        facts.links.push(LinkFact { name: device.parse().unwrap(), index: 9, ..facts.links[0].clone() });
    }
}
