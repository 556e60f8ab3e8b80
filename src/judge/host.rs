//! A node as its kernel sees things: which addresses are its own, where a packet goes, what it answers ARP for.
//!
//! Owns: the kernel's own ways of combining facts (longest prefix, the larger of `all` and the interface). Refuses:
//! opinions. What was not read is `None`, not a default.

use std::net::IpAddr;

use crate::base::Mac;
use crate::facts::{AddressFact, NodeFacts, RouteFact};

/// A node's facts, asked as the kernel would be asked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Host<'a>(pub(super) &'a NodeFacts);

impl<'a> Host<'a> {
    /// Where the node carries the address, by the address itself and not by a prefix around it.
    pub(super) fn carries(self, address: IpAddr) -> impl Iterator<Item = &'a AddressFact> {
        self.0.addresses.iter().filter(move |a| a.address.addr() == address)
    }

    /// The route of the table `main` that a packet to the address takes (`fib_table_lookup`: longest prefix, then
    /// lowest metric).
    pub(super) fn route_to(self, address: IpAddr) -> Option<&'a RouteFact> {
        self.0
            .routes
            .iter()
            .filter(|r| r.table == "main" && r.destination.contains(&address))
            .min_by_key(|r| (std::cmp::Reverse(r.destination.prefix_len()), r.metric))
    }

    /// A sysctl's number under `net.ipv4.conf`.
    pub(super) fn conf(self, device: &str, key: &str) -> Option<u32> {
        let device = device.replace('.', "/");
        self.0.sysctls.get(&format!("net.ipv4.conf.{device}.{key}"))?.trim().parse().ok()
    }

    /// What counts for an interface where the kernel takes the larger of `conf/all` and `conf/DEVICE`
    /// (`IN_DEV_MAXCONF` in `include/linux/inetdevice.h`).
    pub(super) fn conf_max(self, device: &str, key: &str) -> Option<u32> {
        Some(self.conf("all", key)?.max(self.conf(device, key)?))
    }

    /// Whether `conf/all` or `conf/DEVICE` sets it (`IN_DEV_ORCONF`); what was not read sets nothing.
    pub(super) fn conf_or(self, device: &str, key: &str) -> bool {
        [device, "all"].iter().any(|d| self.conf(d, key).is_some_and(|v| v > 0))
    }

    /// A sysctl's number by its whole key.
    pub(super) fn single(self, key: &str) -> Option<u32> {
        self.0.sysctls.get(key)?.trim().parse().ok()
    }

    /// The MAC of a permanent neighbour entry for the address.
    pub(super) fn bound(self, address: IpAddr) -> Option<Mac> {
        let entry = self.0.neighbours.iter().find(|n| n.address == address && n.state == "permanent")?;
        entry.mac
    }
}

/// The route as `ip route` writes it.
pub(super) fn route_line(route: &RouteFact) -> String {
    let to = if route.destination.prefix_len() == 0 { "default".into() } else { route.destination.to_string() };
    let kind = if route.kind == "unicast" { String::new() } else { format!("{} ", route.kind) };
    let gateway = route.gateway.map_or_else(String::new, |g| format!(" via {g}"));
    let interface = route.interface.as_ref().map_or_else(String::new, |i| format!(" dev {i}"));
    format!("{kind}{to}{gateway}{interface}")
}

/// The address as `ip address` writes it.
pub(super) fn address_line(address: &AddressFact) -> String {
    format!("{} dev {}", address.address, address.label.as_deref().unwrap_or(address.interface.as_str()))
}

#[cfg(test)]
mod tests {
    use super::{Host, route_line};
    use crate::judge::testlab::{Lab, route};

    #[test]
    fn the_longest_prefix_wins_and_then_the_lowest_metric() {
        let mut facts = Lab::textbook().before.remove(3);
        facts.routes.push(route("203.0.113.0/24", Some("172.16.0.1"), "eth0"));
        facts.routes.push(route("203.0.113.0/24", Some("172.16.0.2"), "eth0"));
        facts.routes.iter_mut().filter(|r| r.gateway == Some("172.16.0.1".parse().unwrap())).for_each(|r| r.metric = 5);
        let taken = Host(&facts).route_to("203.0.113.2".parse().unwrap()).unwrap();
        assert_eq!(route_line(taken), "203.0.113.0/24 via 172.16.0.2 dev eth0");
    }

    #[test]
    fn the_larger_of_all_and_the_interface_counts_and_what_was_not_read_is_not_0() {
        let mut facts = Lab::textbook().before.remove(3);
        assert_eq!(Host(&facts).conf_max("eth0", "arp_ignore"), Some(1));
        facts.sysctls.insert("net.ipv4.conf.eth0/7.arp_ignore".into(), "2".into());
        assert_eq!(Host(&facts).conf_max("eth0.7", "arp_ignore"), Some(2));
        assert_eq!(Host(&facts).conf_max("eth9", "arp_ignore"), None);
    }
}
