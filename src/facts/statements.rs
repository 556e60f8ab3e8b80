//! A node's configuration as lines of text, so that what was wanted and what is there can be compared and shown.
//!
//! Owns: the grammar of a statement, and which facts are somebody's wish and not the kernel's own doing. Refuses:
//! counters, states that come and go, and whether a difference matters. Two configurations are equal where their sorted
//! statements are; the order of addresses on an interface is not stated.
//!
//! ```text
//! link eth0 up mtu 1500 mac 02:d1:00:00:01:00
//! address lo 172.16.0.66/32 broadcast 172.16.0.66 label lo:0
//! route 0.0.0.0/0 via 172.16.0.1 dev eth0
//! neighbour 172.16.0.66 lladdr 02:d1:00:00:01:00 dev eth0 permanent
//! sysctl net.ipv4.conf.all.arp_ignore = 1
//! arptables -A INPUT -d 172.16.0.66 -j DROP
//! port rs1.eth0 source-ip only 172.16.252.137
//! ipvs TCP 172.16.0.66:80 rr
//! ipvs TCP 172.16.0.66:80 -> 172.16.252.137:80 Route weight 1
//! ```

use std::fmt::{Display, Write as _};
use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::{AddressFact, LinkFact, NodeFacts, RouteFact};
use crate::base::{Forwarding, IfName, Mac, ServiceId};

/// Kinds of devices that the kernel puts into every namespace once their module is loaded.
const FALLBACK_TUNNELS: [&str; 9] = ["ipip", "sit", "gre", "gretap", "erspan", "ip6tnl", "ip6gre", "vti", "vti6"];

impl NodeFacts {
    /// The configuration as sorted lines, all sysctls that were read included.
    ///
    /// Left out is what the kernel adds by itself: link-local IPv6 addresses, `127.0.0.1/8` and `::1`, connected and
    /// local routes, learned neighbours, tunnel devices that nobody has set up.
    pub fn statements(&self) -> Vec<String> {
        let mut lines: Vec<String> = self.links.iter().filter(|link| is_wanted(link)).map(link_of).collect();
        lines.extend(self.addresses.iter().filter(|address| !is_automatic(address)).map(address_of));
        lines.extend(self.routes.iter().filter(|route| is_configured(route)).map(route_of));
        let permanent = self.neighbours.iter().filter(|entry| entry.state == "permanent");
        lines.extend(permanent.filter_map(|entry| Some(neighbour(entry.address, entry.mac?, &entry.interface))));
        lines.extend(self.sysctls.iter().map(|(key, value)| sysctl(key, value)));
        lines.extend(self.arptables.iter().flatten().map(|rule| arptables(rule)));
        lines.extend(self.ports.iter().flat_map(super::PortFact::lines));
        if let Some(ipvs) = &self.ipvs {
            lines.push(timeouts(ipvs.timeout_tcp_s, ipvs.timeout_tcp_fin_s, ipvs.timeout_udp_s));
            for service in &ipvs.services {
                lines.push(ipvs_service(
                    service.service,
                    &service.scheduler,
                    service.persistence_s,
                    service.flags.iter().map(String::as_str),
                ));
                lines.extend(
                    service
                        .destinations
                        .iter()
                        .map(|to| destination(service.service, to.at, to.forwarding, to.weight, (to.upper, to.lower))),
                );
            }
        }
        lines.sort();
        lines
    }
}

fn is_wanted(link: &LinkFact) -> bool {
    let fallback = link.kind.as_deref().is_some_and(|kind| FALLBACK_TUNNELS.contains(&kind));
    link.up || !fallback
}

fn is_automatic(address: &AddressFact) -> bool {
    if is_link_local_v6(&address.address) {
        return true;
    }
    address.interface == "lo" && is_loopback_default(&address.address)
}

fn is_configured(route: &RouteFact) -> bool {
    route.table == "main" && !matches!(route.protocol.as_str(), "kernel" | "ra" | "redirect")
}

/// Whether it is an IPv6 address that an interface gives itself.
pub(crate) fn is_link_local_v6(address: &IpNet) -> bool {
    matches!(address.addr(), IpAddr::V6(v6) if v6.is_unicast_link_local())
}

/// Whether it is what the kernel puts on `lo` when it comes up.
pub(crate) fn is_loopback_default(address: &IpNet) -> bool {
    match address {
        IpNet::V4(v4) => v4.addr() == std::net::Ipv4Addr::LOCALHOST && v4.prefix_len() == 8,
        IpNet::V6(v6) => v6.addr() == std::net::Ipv6Addr::LOCALHOST && v6.prefix_len() == 128,
    }
}

fn link_of(fact: &LinkFact) -> String {
    let made = match fact.kind.as_deref() {
        Some("veth" | "macvlan") => Some((fact.mtu, fact.mac)),
        Some("dummy" | "ipvlan") => Some((fact.mtu, None)),
        _ => None,
    };
    let mut line = link(&fact.name, fact.up, made);
    // Other kinds do no ARP by themselves.
    if fact.noarp && matches!(fact.kind.as_deref(), Some("veth" | "macvlan")) {
        line.push_str(NOARP);
    }
    if fact.tx_checksum == Some(true) {
        line.push_str(TX_CHECKSUM);
    }
    line
}

/// What is said of a link besides that leaves checksums to others.
pub(crate) const TX_CHECKSUM: &str = " tx-checksum";

/// What is said of a link besides that does no ARP although it could.
pub(crate) const NOARP: &str = " noarp";

fn address_of(fact: &AddressFact) -> String {
    address(&fact.interface, &fact.address, fact.broadcast, fact.label.as_deref())
}

fn route_of(fact: &RouteFact) -> String {
    route(&fact.destination, fact.gateway, fact.interface.as_ref(), fact.source, fact.mtu)
}

/// A link; `made` is the MTU, and the MAC where it was chosen, of one that was made and did not come with the kernel.
pub(crate) fn link(name: &IfName, up: bool, made: Option<(u32, Option<Mac>)>) -> String {
    let mut line = format!("link {name} {}", if up { "up" } else { "down" });
    if let Some((mtu, mac)) = made {
        add(&mut line, "mtu", Some(mtu));
        add(&mut line, "mac", mac);
    }
    line
}

/// An address.
pub(crate) fn address(interface: &IfName, address: &IpNet, broadcast: Option<IpAddr>, label: Option<&str>) -> String {
    let mut line = format!("address {interface} {address}");
    add(&mut line, "broadcast", broadcast);
    add(&mut line, "label", label.filter(|label| interface != label));
    line
}

/// A route of the table `main`.
pub(crate) fn route(
    destination: &IpNet,
    gateway: Option<IpAddr>,
    interface: Option<&IfName>,
    source: Option<IpAddr>,
    mtu: Option<u32>,
) -> String {
    let mut line = format!("route {}", destination.trunc());
    add(&mut line, "via", gateway);
    add(&mut line, "dev", interface);
    add(&mut line, "src", source);
    add(&mut line, "mtu", mtu);
    line
}

/// A permanent neighbour entry.
pub(crate) fn neighbour(address: IpAddr, mac: Mac, interface: &IfName) -> String {
    format!("neighbour {address} lladdr {mac} dev {interface} permanent")
}

/// A sysctl; white space in the value is one space.
pub(crate) fn sysctl(key: &str, value: &str) -> String {
    format!("sysctl {key} = {}", value.split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The timeouts of IPVS.
pub(crate) fn timeouts(tcp: u32, fin: u32, udp: u32) -> String {
    format!("ipvs timeouts tcp {tcp} fin {fin} udp {udp}")
}

/// A virtual service.
pub(crate) fn ipvs_service<'a>(
    service: ServiceId,
    scheduler: &str,
    persistence_s: Option<u32>,
    flags: impl Iterator<Item = &'a str>,
) -> String {
    let mut line = format!("ipvs {service} {scheduler}");
    add(&mut line, "persistent", persistence_s);
    let mut flags: Vec<&str> = flags.filter(|flag| *flag != "persistent").collect();
    flags.sort_unstable();
    add(&mut line, "flags", (!flags.is_empty()).then(|| flags.join(",")));
    line
}

/// A real server of a service, with its upper and lower threshold.
pub(crate) fn destination(
    service: ServiceId,
    at: SocketAddr,
    forwarding: Forwarding,
    weight: u32,
    (upper, lower): (u32, u32),
) -> String {
    let mut line = format!("ipvs {service} -> {at} {forwarding} weight {weight}");
    add(&mut line, "upper", (upper != 0).then_some(upper));
    add(&mut line, "lower", (lower != 0).then_some(lower));
    line
}

/// A rule of the ARP filter in one order of options, whichever way it was written: chain first, then options by name,
/// each with its short or only name, its values and its `!`.
pub(crate) fn arptables(rule: &str) -> String {
    let mut groups: Vec<String> = Vec::new();
    let mut negated = false;
    for word in rule.split_ascii_whitespace() {
        match word {
            "!" => negated = true,
            "-n" | "--numeric" => {}
            option if option.starts_with('-') => {
                let bang = if std::mem::take(&mut negated) { "! " } else { "" };
                groups.push(format!("{bang}{}", short(option)));
            }
            value => {
                if let Some(group) = groups.last_mut() {
                    // `-s ! 1.2.3.4` is the old way to write `! -s 1.2.3.4`.
                    if std::mem::take(&mut negated) {
                        group.insert_str(0, "! ");
                    }
                    let value = plain(group, value);
                    group.push(' ');
                    group.push_str(&value);
                }
            }
        }
    }
    groups.retain(|group| group != "-t filter");
    let rank = |group: &String| match group.as_str() {
        chain if chain.starts_with("-A ") || chain.starts_with("-P ") => 0,
        jump if jump.starts_with("-j ") => 2,
        target if target.starts_with("--mangle") => 3,
        _ => 1,
    };
    groups.sort_by(|one, other| rank(one).cmp(&rank(other)).then_with(|| one.cmp(other)));
    format!("arptables {}", groups.join(" "))
}

/// An option of arptables(8) by one name for all of its names. Inserting is appending here, as the order of rules is not
/// stated.
fn short(option: &str) -> &str {
    match option {
        "-I" | "--append" | "--insert" => "-A",
        "--policy" => "-P",
        "--table" => "-t",
        "--jump" => "-j",
        "--source-ip" | "--src-ip" | "--source" | "--src" => "-s",
        "--destination-ip" | "--dst-ip" | "--destination" | "--dst" => "-d",
        "--in-interface" => "-i",
        "--out-interface" => "-o",
        "--source-mac" => "--src-mac",
        "--destination-mac" | "--target-mac" => "--dst-mac",
        "-l" | "--arhln" => "--h-length",
        other => other,
    }
}

/// A value as arptables lists it: an address without `/32`, an operation by number.
fn plain(group: &str, value: &str) -> String {
    let option = group.trim_start_matches("! ");
    if option == "--opcode" {
        const NAMES: [&str; 9] = [
            "Request",
            "Reply",
            "Request_Reverse",
            "Reply_Reverse",
            "DRARP_Request",
            "DRARP_Reply",
            "DRARP_Error",
            "InARP_Request",
            "ARP_NAK",
        ];
        let number = NAMES.iter().position(|name| name.eq_ignore_ascii_case(value));
        return number.map_or_else(|| value.to_owned(), |at| (at + 1).to_string());
    }
    value.strip_suffix("/32").unwrap_or(value).to_owned()
}

fn add(line: &mut String, word: &str, value: Option<impl Display>) {
    if let Some(value) = value {
        // Writing to a String can't fail.
        write!(line, " {word} {value}").unwrap_or_default();
    }
}

/// Whether a line is about something that a plan need not speak of, and this one (as lines) doesn't: a sysctl that it
/// does not set, timeouts that it does not state.
pub fn is_left_open(line: &str, wanted: &[String]) -> bool {
    let about = |line: &str| {
        let mut words = line.split(' ');
        match (words.next(), words.next()) {
            (Some("sysctl"), Some(key)) => Some(format!("sysctl {key} ")),
            (Some("ipvs"), Some("timeouts")) => Some("ipvs timeouts ".to_owned()),
            _ => None,
        }
    };
    about(line).is_some_and(|subject| !wanted.iter().any(|one| one.starts_with(&subject)))
}

#[cfg(test)]
mod tests {
    use super::arptables;

    #[test]
    fn a_rule_is_the_same_however_it_was_written() {
        let listed = arptables("-A INPUT -j DROP -d 172.16.0.66");
        assert_eq!(listed, "arptables -A INPUT -d 172.16.0.66 -j DROP");
        assert_eq!(listed, arptables("-A INPUT --destination-ip 172.16.0.66/32 --jump DROP"));
        assert_eq!(listed, arptables("-I INPUT -d 172.16.0.66 -j DROP"));
    }

    #[test]
    fn a_rule_that_says_the_contrary_is_another_one() {
        let refused = arptables("-A INPUT -j DROP ! -d 172.16.0.66");
        assert_ne!(refused, arptables("-A INPUT -j DROP -d 172.16.0.66"));
        assert_eq!(refused, arptables("-A INPUT -d ! 172.16.0.66 -j DROP"));
    }

    #[test]
    fn an_operation_is_its_number() {
        assert_eq!(arptables("-A OUTPUT --opcode Request -j DROP"), arptables("-A OUTPUT -j DROP --opcode 1"));
    }

    #[test]
    fn what_a_mangling_rule_writes_stays_with_it() {
        assert_eq!(
            arptables("-A OUTPUT -s 172.16.0.66 -j mangle --mangle-ip-s 172.16.252.137"),
            arptables("-A OUTPUT -j mangle -s 172.16.0.66 --mangle-ip-s 172.16.252.137"),
        );
    }
}
