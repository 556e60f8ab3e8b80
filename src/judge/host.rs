//! A node as its kernel sees things: which addresses are its own, where a packet goes, what it answers ARP for.
//!
//! Owns: the kernel's own ways of combining facts (longest prefix, the larger of `all` and the interface). Refuses:
//! opinions. What was not read is `None`, not a default.

use std::net::IpAddr;

use ipnet::IpNet;

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

    /// The MAC of a permanent neighbour entry for the address.
    pub(super) fn bound(self, address: IpAddr) -> Option<Mac> {
        let entry = self.0.neighbours.iter().find(|n| n.address == address && n.state == "permanent")?;
        entry.mac
    }

    /// The rule of the ARP filter that keeps who-has requests for the address from this node's ARP.
    pub(super) fn arptables_hides(self, address: IpAddr) -> Option<&'a str> {
        let rules = self.0.arptables.as_deref()?;
        rules.iter().map(String::as_str).find(|rule| {
            let words: Vec<&str> = rule.split_whitespace().collect();
            let after = |flag: &str| words.windows(2).find(|w| w[0] == flag).map(|w| w[1]);
            let target = after("-d").or_else(|| after("--dst-ip")).or_else(|| after("--destination-ip"));
            after("-A") == Some("INPUT")
                && after("-j") == Some("DROP")
                && !words.contains(&"!")
                && target.is_some_and(|t| covers(t, address))
        })
    }
}

/// Whether a filter's `ADDRESS` or `ADDRESS/LENGTH` covers the address.
fn covers(filter: &str, address: IpAddr) -> bool {
    filter.parse::<IpAddr>().is_ok_and(|a| a == address)
        || filter.parse::<IpNet>().is_ok_and(|net| net.contains(&address))
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
    use crate::judge::testlab::{Lab, VIP, route};

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

    #[test]
    fn only_a_rule_that_drops_questions_for_the_vip_hides_it() {
        let mut facts = Lab::textbook().before.remove(3);
        let mut hides = |rule: &str| {
            facts.arptables = Some(vec![rule.to_owned()]);
            Host(&facts).arptables_hides(VIP.into()).is_some()
        };
        assert!(hides("-A INPUT -d 172.16.0.66 -j DROP"));
        assert!(hides("-A INPUT -j DROP --dst-ip 172.16.0.64/30"));
        assert!(!hides("-A OUTPUT -d 172.16.0.66 -j DROP"));
        assert!(!hides("-A INPUT ! -d 172.16.0.66 -j DROP"));
        assert!(!hides("-A INPUT -d 172.16.0.66 -j ACCEPT"));
        assert!(!hides("-A INPUT -s 172.16.0.66 -j DROP"));
    }
}
