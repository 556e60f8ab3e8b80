//! What IPVS shows only in `/proc/net`: the connection table, and counters that are exact at once.
//!
//! Owns: the formats of `ip_vs_conn` and `ip_vs_stats_percpu`, as pure functions over their text. A line that can't be
//! understood is left out of the table; the formats have been the same since Linux 2.6.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::base::Protocol;
use crate::facts::ConnectionFact;

/// At most so many connections become facts.
pub const CONNECTION_LIMIT: usize = 10_000;

/// Connections, packets in and packets out of all CPUs together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// Connections.
    pub connections: u64,
    /// Packets from clients.
    pub in_packets: u64,
    /// Packets that came back through the Director.
    pub out_packets: u64,
}

/// Reads `/proc/net/ip_vs_conn`, at most [`CONNECTION_LIMIT`] entries of it.
pub fn connections(text: &str) -> Vec<ConnectionFact> {
    text.lines().skip(1).filter_map(connection).take(CONNECTION_LIMIT).collect()
}

fn connection(line: &str) -> Option<ConnectionFact> {
    let mut words = line.split_ascii_whitespace();
    let protocol = match words.next()? {
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        _ => return None,
    };
    let mut end = || Some(SocketAddr::new(address(words.next()?)?, u16::from_str_radix(words.next()?, 16).ok()?));
    let (client, service, destination) = (end()?, end()?, end()?);
    let state = words.next()?.to_owned();
    let expires_s = words.next()?.parse().ok()?;
    Some(ConnectionFact { protocol, client, service, destination, state, expires_s })
}

fn address(word: &str) -> Option<IpAddr> {
    if word.contains(':') {
        return word.parse::<Ipv6Addr>().ok().map(IpAddr::V6);
    }
    u32::from_str_radix(word, 16).ok().map(|number| Ipv4Addr::from(number).into())
}

/// Reads `/proc/net/ip_vs_stats_percpu` and adds the CPUs up. The line of totals (`~`) is left alone: it is the
/// estimator's, up to two seconds old, while the CPUs' lines are counted as the packets go by.
pub fn totals(text: &str) -> Totals {
    let cpu = |line: &str| -> Option<Totals> {
        let mut words = line.split_ascii_whitespace();
        u64::from_str_radix(words.next()?, 16).ok()?;
        let mut number = || u64::from_str_radix(words.next()?, 16).ok();
        Some(Totals { connections: number()?, in_packets: number()?, out_packets: number()? })
    };
    let add = |sum: Totals, one: Totals| Totals {
        connections: sum.connections + one.connections,
        in_packets: sum.in_packets + one.in_packets,
        out_packets: sum.out_packets + one.out_packets,
    };
    text.lines().skip(2).map_while(cpu).fold(Totals::default(), add)
}

#[cfg(test)]
mod tests {
    use super::{Totals, connections, totals};

    #[test]
    fn a_connection_of_either_family_is_read() {
        let text = "Pro FromIP   FPrt ToIP     TPrt DestIP   DPrt State       Expires PEName PEData\n\
                    TCP 0A000002 D431 AC100042 0050 AC10FC89 0050 ESTABLISHED     896\n\
                    TCP 2001:0db8:0000:0000:0000:0000:0000:0002 D431 2001:0db8:0000:0000:0000:0000:0000:0066 0050 \
                    2001:0db8:0000:0000:0000:0000:0000:0011 0050 FIN_WAIT        118\n";
        let found = connections(text);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0].client.to_string(), "10.0.0.2:54321");
        assert_eq!(found[0].service.to_string(), "172.16.0.66:80");
        assert_eq!(found[0].destination.to_string(), "172.16.252.137:80");
        assert_eq!((found[0].state.as_str(), found[0].expires_s), ("ESTABLISHED", 896));
        assert_eq!(found[1].service.to_string(), "[2001:db8::66]:80");
    }

    #[test]
    fn totals_are_those_of_the_cpus_and_not_of_the_late_estimator() {
        let text = "       Total Incoming Outgoing         Incoming         Outgoing\n\
                    CPU    Conns  Packets  Packets            Bytes            Bytes\n  \
                      0        A       1F        0              3E8                0\n  \
                      1        1        1        2                0                0\n  \
                      ~        0        0        0                0                0\n\n     \
                    Conns/s   Pkts/s   Pkts/s          Bytes/s          Bytes/s\n           0        0        0\n";
        assert_eq!(totals(text), Totals { connections: 11, in_packets: 32, out_packets: 2 });
    }
}
