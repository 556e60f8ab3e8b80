//! Mends that several rules name: what was learned is forgotten, a VIP comes to `lo`, a filter's rule is taken out, a
//! port is turned to where something listens.
//!
//! Owns: their words. A command can be typed twice: what it adds it replaces, what it removes comes last, so that the
//! second time only the removal finds nothing to do.

use std::net::{IpAddr, SocketAddr};

use super::diagnosis::{Diagnosis, mended, single};
use crate::base::{NodeName, Protocol, ServiceId};
use crate::facts::{AddressFact, SocketFact};
use crate::judge::model::local::usable;
use crate::judge::{Dialect, Mend};

/// A sysctl of a device below `net.ipv4.conf`; a dot in a device's name is written as a slash.
pub(super) fn conf(device: &str, key: &str) -> String {
    format!("net.ipv4.conf.{}.{key}", device.replace('.', "/"))
}

/// Whoever has learned a neighbour for the address forgets it: what it learned may be wrong, or become so until the mend
/// is done.
pub(super) fn forget(diagnosis: &Diagnosis<'_>, address: IpAddr) -> Vec<Mend> {
    let mut mend = Vec::new();
    for station in &diagnosis.world.case.stations {
        let after = diagnosis.traffic.input.facts_after(&station.node);
        let Some(facts) = after.or_else(|| diagnosis.facts(&station.node)) else { continue };
        let learned = |n: &&crate::facts::NeighbourFact| {
            n.address == address && n.mac.is_some() && !matches!(n.state.as_str(), "permanent" | "noarp")
        };
        for entry in facts.neighbours.iter().filter(learned) {
            let command = format!("ip neighbour flush to {address} dev {}", entry.interface);
            mend.push(mended(&station.node, Dialect::Ip, command));
            if address.is_ipv4() {
                mend.push(mended(&station.node, Dialect::NetTools, format!("arp -d {address}")));
            }
        }
    }
    mend
}

/// The sysctls that keep a VIP on `lo` silent, as one command.
pub(super) const SILENT: &str = "sysctl -w net.ipv4.conf.all.arp_ignore=1 net.ipv4.conf.all.arp_announce=2";

/// The VIP from where it is to `lo`, as a single address, silent first.
pub(super) fn to_lo(node: &NodeName, from: &AddressFact) -> Vec<Mend> {
    let (net, vip, on) = (from.address, from.address.addr(), &from.interface);
    let remove = format!("ip address del {net} dev {on}");
    if vip.is_ipv6() {
        return vec![mended(node, Dialect::Ip, format!("ip address replace {} dev lo && {remove}", single(vip)))];
    }
    let name = if on.as_str() == "lo" { from.label.as_deref() } else { None };
    let name = name.filter(|name| name.starts_with("lo:")).unwrap_or("lo:0");
    let add = format!("ip address replace {} dev lo label {name}", single(vip));
    let ifconfig = format!("ifconfig {name} {vip} netmask 255.255.255.255 broadcast {vip} up");
    let old = match &from.label {
        _ if on.as_str() == "lo" => String::new(),
        Some(label) if label.contains(':') => format!(" && ifconfig {label} down"),
        _ => format!(" && {remove}"),
    };
    vec![
        mended(node, Dialect::Ip, format!("{SILENT} && {add} && {remove}")),
        mended(node, Dialect::NetTools, format!("{SILENT} && {ifconfig}{old}")),
    ]
}

/// A filter's rule is taken out; a chain that drops by default lets these addresses pass.
pub(super) fn lift(tool: &str, rule: &str, source: Option<IpAddr>, destination: IpAddr) -> String {
    let (table, chain) = match rule.strip_prefix("-t ").and_then(|rest| rest.split_once(' ')) {
        Some((table, rest)) => (format!("-t {table} "), rest),
        None => (String::new(), rule),
    };
    match chain.strip_prefix("-P ").and_then(|rest| rest.split(' ').next()) {
        Some(chain) => {
            let source = source.map_or_else(String::new, |s| format!("-s {s} "));
            format!("{tool} {table}-I {chain} {source}-d {destination} -j ACCEPT")
        }
        None => format!("{tool} {table}{}", chain.replacen("-A ", "-D ", 1)),
    }
}

/// Whether the node has the address and may use it.
pub(super) fn has(diagnosis: &Diagnosis<'_>, node: &NodeName, address: IpAddr) -> bool {
    let facts = diagnosis.facts(node);
    facts.is_none_or(|f| f.addresses.iter().any(|a| a.address.addr() == address && usable(a)))
}

/// A VIP for a real server that lacks it and is to be reached by direct routing.
pub(super) fn own_vip(diagnosis: &Diagnosis<'_>, node: &NodeName, vip: IpAddr) -> Vec<Mend> {
    if has(diagnosis, node, vip) { Vec::new() } else { super::rs_vip_missing::mend(node, vip) }
}

/// How ipvsadm names a service.
pub(super) fn service(id: ServiceId) -> String {
    match id {
        ServiceId::Address { protocol: Protocol::Tcp, at } => format!("-t {at}"),
        ServiceId::Address { protocol: Protocol::Udp, at } => format!("-u {at}"),
        ServiceId::Fwmark { mark, v6 } => format!("-f {mark}{}", if v6 { " -6" } else { "" }),
    }
}

/// What comes for an address and port goes to the socket instead, on the same node.
pub(super) fn turn(protocol: Protocol, at: SocketAddr, to: &SocketFact) -> String {
    let tool = if at.is_ipv4() { "iptables" } else { "ip6tables" };
    let ip = if to.at.ip().is_unspecified() { at.ip() } else { to.at.ip() };
    let word = protocol.to_string().to_lowercase();
    format!(
        "{tool} -t nat -A PREROUTING -d {} -p {word} --dport {} -j DNAT --to-destination {}",
        at.ip(),
        at.port(),
        SocketAddr::new(ip, to.at.port())
    )
}

/// The socket on the node that may stand in for one at the address: at that port first, then at the port that is named.
pub(super) fn stand_in<'a>(
    diagnosis: &Diagnosis<'a>,
    node: &NodeName,
    (protocol, at): (Protocol, SocketAddr),
    port: Option<u16>,
) -> Option<&'a SocketFact> {
    let sockets = diagnosis.facts(node)?.sockets.as_deref()?;
    let fits = |s: &&SocketFact| {
        let family = s.at.is_ipv4() == at.is_ipv4() || (s.at.ip().is_unspecified() && s.at.is_ipv6());
        s.protocol == protocol && family && !s.at.ip().is_loopback()
    };
    [Some(at.port()), port].into_iter().flatten().find_map(|p| sockets.iter().filter(fits).find(|s| s.at.port() == p))
}

#[cfg(test)]
mod tests {
    use super::{SILENT, conf, lift, to_lo, turn};
    use crate::base::Protocol;
    use crate::facts::SocketFact;
    use crate::judge::testlab::{carried, name};

    #[test]
    fn a_dot_in_an_interfaces_name_is_no_dot_in_a_key() {
        assert_eq!(conf("eth0.7", "arp_ignore"), "net.ipv4.conf.eth0/7.arp_ignore");
    }

    #[test]
    fn a_vip_is_silent_before_it_is_on_lo_and_leaves_its_old_place_last() {
        let mend = to_lo(&name("rs1"), &carried("eth0", "172.16.0.66/16", None));
        let wanted = "ip address replace 172.16.0.66/32 dev lo label lo:0 && ip address del 172.16.0.66/16 dev eth0";
        assert_eq!(mend[0].command, format!("{SILENT} && {wanted}"));
    }

    #[test]
    fn a_rule_is_taken_out_of_its_own_table_and_a_policy_is_let_stand() {
        let vip = "172.16.0.66".parse().unwrap();
        assert_eq!(lift("iptables", "-A INPUT -j DROP", None, vip), "iptables -D INPUT -j DROP");
        assert_eq!(lift("iptables", "-t mangle -A INPUT -j DROP", None, vip), "iptables -t mangle -D INPUT -j DROP");
        let policy = lift("iptables", "-t mangle -P INPUT DROP", None, vip);
        assert_eq!(policy, "iptables -t mangle -I INPUT -d 172.16.0.66 -j ACCEPT");
    }

    #[test]
    fn a_server_on_every_address_is_reached_at_the_vip_and_one_on_the_rip_there() {
        let at = "172.16.0.66:80".parse().unwrap();
        let to = |at: &str| SocketFact { protocol: Protocol::Tcp, at: at.parse().unwrap() };
        assert!(turn(Protocol::Tcp, at, &to("0.0.0.0:8080")).ends_with("--to-destination 172.16.0.66:8080"));
        assert!(turn(Protocol::Tcp, at, &to("172.16.1.1:80")).ends_with("--to-destination 172.16.1.1:80"));
    }
}
