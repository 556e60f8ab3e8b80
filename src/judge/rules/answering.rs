//! Which real servers answer who-has for a VIP, told from facts (`arp_process` and `arp_ignore` in `net/ipv4/arp.c`).

use std::net::IpAddr;

use super::Affliction;
use crate::base::{IfName, NodeName};
use crate::facts::NodeFacts;
use crate::judge::Evidence;
use crate::judge::askers::all_bound;
use crate::judge::host::Host;
use crate::judge::traffic::Traffic;

/// A real server's interface that answers for a VIP which the node has elsewhere.
pub(super) struct Answering<'a> {
    pub(super) facts: &'a NodeFacts,
    pub(super) node: &'a NodeName,
    pub(super) interface: &'a IfName,
    pub(super) vip: IpAddr,
    /// The RIP on that interface.
    pub(super) rip: Option<IpAddr>,
}

/// All of them. Left out are those that are silent for another reason (an ARP filter, an interface without ARP) and
/// those whom nobody asks because every asker has its answer for good.
pub(super) fn answering<'a>(traffic: &Traffic<'a>) -> Vec<Answering<'a>> {
    let mut all = Vec::new();
    for station in traffic.real_servers() {
        let Some(facts) = traffic.input.facts(&station.node) else { continue };
        let host = Host(facts);
        for port in station.ports.iter().filter(|p| traffic.directors().any(|d| d.is_on(&p.segment))) {
            let interface = &port.interface;
            let silent = facts.links.iter().any(|l| l.name == *interface && (l.noarp || !l.up));
            let answers = matches!(host.conf_max(interface.as_str(), "arp_ignore"), Some(0 | 4..=7));
            for &vip in traffic.input.case.vips.iter().filter(|v| v.is_ipv4() && answers && !silent) {
                let elsewhere =
                    host.carries(vip).next().is_some() && host.carries(vip).all(|a| a.interface != *interface);
                if elsewhere && host.arptables_hides(vip).is_none() && !all_bound(traffic, vip, &port.segment) {
                    let addresses = port.addresses.iter().map(ipnet::IpNet::addr);
                    let rip = addresses.into_iter().find(|a| a.is_ipv4() && !traffic.input.case.is_vip(*a));
                    all.push(Answering { facts, node: &station.node, interface, vip, rip });
                }
            }
        }
    }
    all
}

impl Answering<'_> {
    /// The sysctls that decide, with the commands that make the node silent.
    pub(super) fn affliction(&self) -> Affliction {
        let (node, interface, vip) = (self.node, self.interface, self.vip);
        let mut evidence = Vec::new();
        for device in ["all", interface.as_str(), "lo"] {
            if let Some(value) = Host(self.facts).conf(device, "arp_ignore") {
                let what = match device {
                    "lo" => format!("{node}: never read for a request that comes in by {interface}"),
                    _ => format!("{node}: counts for {interface}, with the larger of the two"),
                };
                evidence.push(Evidence::fact(what, format!("net.ipv4.conf.{device}.arp_ignore = {value}")));
            }
        }
        let mut mend = vec![
            format!("on {node}: sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2"),
            format!(
                "on {node}: printf 'net.ipv4.conf.all.arp_ignore = 1\\nnet.ipv4.conf.all.arp_announce = 2\\n' \
                 > /etc/sysctl.d/90-lvs-dr.conf && sysctl --system"
            ),
        ];
        if let Some(rip) = self.rip {
            mend.push(format!(
                "on {node}: arptables -A INPUT -d {vip} -j DROP && arptables -A OUTPUT -s {vip} -j mangle --mangle-ip-s {rip}"
            ));
        }
        Affliction { node: node.clone(), interface: Some(interface.clone()), evidence, mend }
    }
}
