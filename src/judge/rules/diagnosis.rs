//! What rules look at: all that the model and the capture say is wrong, with the words for evidence and mends.

use std::net::IpAddr;

use super::Affliction;
use crate::base::NodeName;
use crate::facts::NodeFacts;
use crate::judge::host::{Host, address_line};
use crate::judge::model::deviation::{Deviation, Predicted};
use crate::judge::model::survey::own_address;
use crate::judge::model::switch::Sent;
use crate::judge::model::{Place, World};
use crate::judge::traffic::Traffic;
use crate::judge::{Dialect, Evidence, Mend};
use crate::trace::{Direction, Frame};
use crate::wire::frame::Body;

/// One moment of a run, as rules see it.
pub(super) struct Diagnosis<'a> {
    pub(super) traffic: Traffic<'a>,
    pub(super) world: World<'a>,
    pub(super) predicted: &'a Predicted<'a>,
    /// What deviates at the other end of the timeline, where that changes what was configured, and whether it is later.
    pub(super) other: Option<(&'a Predicted<'a>, Moment)>,
}

/// Which end of the timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moment {
    /// Before it.
    Before,
    /// After it.
    After,
}

impl<'a> Diagnosis<'a> {
    pub(super) fn facts(&self, node: &NodeName) -> Option<&'a NodeFacts> {
        self.traffic.input.facts(node)
    }

    pub(super) fn place(&self, deviation: &Deviation<'a>) -> Option<Place<'a>> {
        self.world.place(deviation.node)
    }

    /// Whether the node is a real server.
    pub(super) fn is_server(&self, node: &NodeName) -> bool {
        self.world.case.station(node).is_some_and(|s| self.traffic.is_real_server(s))
    }

    /// Whether the node is a Director.
    pub(super) fn is_director(&self, node: &NodeName) -> bool {
        self.world.case.station(node).is_some_and(|s| self.traffic.is_director(s))
    }

    /// A sysctl below `net.ipv4.conf` on the deviation's node.
    pub(super) fn conf(&self, deviation: &Deviation<'a>, device: &str, key: &str) -> u32 {
        self.facts(deviation.node).and_then(|f| Host(f).conf(device, key)).unwrap_or(0)
    }

    /// What counts on the deviation's interface: the larger of `all` and it.
    pub(super) fn level(&self, deviation: &Deviation<'a>, key: &str) -> u32 {
        let on = deviation.interface.map_or(0, |i| self.conf(deviation, i.as_str(), key));
        self.conf(deviation, "all", key).max(on)
    }

    /// The values of a sysctl that matter on the deviation's interface.
    pub(super) fn conf_shown(&self, deviation: &Deviation<'a>, key: &str) -> Vec<Evidence> {
        let (Some(facts), Some(interface)) = (self.facts(deviation.node), deviation.interface) else {
            return Vec::new();
        };
        let node = deviation.node;
        let mut shown = Vec::new();
        for device in ["all", interface.as_str(), "lo", "default"] {
            let Some(value) = Host(facts).conf(device, key) else { continue };
            let what = match device {
                "lo" | "default" if value == 0 => continue,
                "lo" => format!("{node}: never read for what passes {interface}"),
                "default" => format!("{node}: only copied to interfaces that are made later"),
                _ => format!("{node}: counts for {interface}, with the larger of the two"),
            };
            shown.push(Evidence::fact(what, format!("net.ipv4.conf.{device}.{key} = {value}")));
        }
        shown
    }

    /// Where the node carries an address.
    pub(super) fn address_shown(&self, node: &NodeName, address: IpAddr) -> Vec<Evidence> {
        let carried = self.facts(node).into_iter().flat_map(|f| Host(f).carries(address));
        carried.map(|a| Evidence::fact(format!("{node} has {address}"), address_line(a))).collect()
    }

    /// The cure of the ARP problem on the deviation's interface, in every dialect.
    pub(super) fn arp_cure(&self, deviation: &Deviation<'a>, vip: IpAddr) -> Vec<Mend> {
        let mut values = vec![("net.ipv4.conf.all.arp_ignore".to_owned(), 1)];
        if let Some(interface) = deviation.interface {
            // The larger one counts, so a larger one on the interface has to go.
            if self.conf(deviation, interface.as_str(), "arp_ignore") > 1 {
                values.push((format!("net.ipv4.conf.{interface}.arp_ignore"), 1));
            }
        }
        values.push(("net.ipv4.conf.all.arp_announce".to_owned(), 2));
        let mut mend = sysctls(deviation.node, &values, "90-lvs-dr");
        let rip = self.place(deviation).zip(deviation.interface);
        if let Some(rip) = rip.and_then(|(p, i)| own_address(&self.world, &p, i.as_str(), vip)) {
            mend.push(mended(
                deviation.node,
                Dialect::Arptables,
                format!(
                    "arptables -A INPUT -d {vip} -j DROP && arptables -A OUTPUT -s {vip} -j mangle --mangle-ip-s {rip}"
                ),
            ));
        }
        mend
    }

    /// A frame that one station sent to another and that did not get there: the trace has it at the one and not at the
    /// other.
    pub(super) fn vanished(&self, from: &NodeName, to: &NodeName, sent: Sent) -> Option<Evidence> {
        let (trace, case) = (self.traffic.input.trace, self.world.case);
        if self.traffic.input.lost(to) > 0 {
            return None;
        }
        let alike = |frame: &Frame| match &frame.decoded.body {
            Body::Arp(arp) => {
                sent.arp && IpAddr::V4(arp.sender_ip) == sent.source && IpAddr::V4(arp.target_ip) == sent.destination
            }
            Body::Ip(ip) => !sent.arp && ip.source == sent.source && ip.destination == sent.destination,
            Body::Other(_) | Body::Malformed(_) => false,
        };
        let at = |node: &NodeName, direction: Direction| {
            let vantages = &trace.vantages;
            let node = node.clone();
            trace.frames.iter().filter(move |f| {
                f.direction == direction && vantages.get(f.vantage).is_some_and(|v| v.node == node) && alike(f)
            })
        };
        let captured = trace.vantages.iter().any(|v| v.node == *to);
        let arrived =
            at(to, Direction::In).any(|f| case.owner_of(f.decoded.source).is_some_and(|(s, _)| s.node == *from));
        let meant = |f: &&Frame| {
            let mac = f.decoded.destination;
            mac.is_group() || case.owners(mac).iter().any(|(s, _)| s.node == *to)
        };
        let left = at(from, Direction::Out).find(meant).filter(|_| captured && !arrived)?;
        let what = if sent.arp { "ARP" } else { "packet" };
        let what =
            format!("{from} sends this {what} from {} to {}; it never gets to {to}", sent.source, sent.destination);
        Some(Evidence::frame(trace, left, what))
    }

    /// The finding's part for the deviation.
    pub(super) fn afflict(deviation: &Deviation<'a>, evidence: Vec<Evidence>, mend: Vec<Mend>) -> Affliction {
        Affliction { node: deviation.node.clone(), interface: deviation.interface.cloned(), evidence, mend }
    }
}

/// Sysctls for now, and for good.
pub(super) fn sysctls(node: &NodeName, values: &[(String, u32)], file: &str) -> Vec<Mend> {
    let now: Vec<String> = values.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let lines: Vec<String> = values.iter().map(|(key, value)| format!("{key} = {value}\\n")).collect();
    let lines = lines.concat();
    vec![
        mended(node, Dialect::Sysctl, format!("sysctl -w {}", now.join(" "))),
        mended(node, Dialect::SysctlD, format!("printf '{lines}' > /etc/sysctl.d/{file}.conf && sysctl --system")),
    ]
}

/// One sysctl, for now and for good.
pub(super) fn sysctl(node: &NodeName, key: &str, value: u32, file: &str) -> Vec<Mend> {
    sysctls(node, &[(key.to_owned(), value)], file)
}

/// A command.
pub(super) fn mended(node: &NodeName, dialect: Dialect, command: impl Into<String>) -> Mend {
    Mend { node: node.clone(), dialect, command: command.into() }
}

/// An address alone, with the length of its family.
pub(super) fn single(address: IpAddr) -> String {
    format!("{address}/{}", if address.is_ipv4() { 32 } else { 128 })
}
