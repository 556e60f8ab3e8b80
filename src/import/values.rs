//! Addresses, ports and numbers as the tools take them.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

/// Service names that appear in rule files which were saved without `-n` (`/etc/services`).
const SERVICES: &[(&str, u16)] = &[
    ("domain", 53),
    ("ftp", 21),
    ("ftp-data", 20),
    ("http", 80),
    ("http-alt", 8080),
    ("https", 443),
    ("imap2", 143),
    ("imaps", 993),
    ("ldap", 389),
    ("ldaps", 636),
    ("mysql", 3306),
    ("ntp", 123),
    ("pop3", 110),
    ("pop3s", 995),
    ("postgresql", 5432),
    ("smtp", 25),
    ("ssh", 22),
    ("submission", 587),
    ("syslog", 514),
    ("telnet", 23),
    ("webcache", 8080),
    ("www", 80),
];

/// A port, or the name of one.
pub(super) fn port(text: &str) -> Result<u16, String> {
    if let Some((_, port)) = SERVICES.iter().find(|(name, _)| *name == text) {
        return Ok(*port);
    }
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    text.parse().map_err(
        |_| {
            if digits { format!("port {text} is beyond 65535") } else { format!("`{text}` is no port") }
        },
    )
}

/// An address.
pub(super) fn address(text: &str) -> Result<IpAddr, String> {
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')).unwrap_or(text);
    let bare = bare.split('%').next().unwrap_or(bare);
    bare.parse().map_err(|_| format!("`{text}` is no IP address"))
}

/// An address, with a port where one is: `10.0.0.1:80`, `[2001:db8::1]:80`, `10.0.0.1`.
pub(super) fn at(text: &str) -> Result<(IpAddr, Option<u16>), String> {
    if let Some(rest) = text.strip_prefix('[') {
        let (inner, after) = rest.split_once(']').ok_or_else(|| format!("`{text}` has no `]`"))?;
        return match after.strip_prefix(':') {
            Some(number) => Ok((address(inner)?, Some(port(number)?))),
            None if after.is_empty() => Ok((address(inner)?, None)),
            None => Err(format!("`{text}` is no address with a port")),
        };
    }
    match text.split_once(':') {
        Some((host, number)) if !number.contains(':') => Ok((address(host)?, Some(port(number)?))),
        _ => Ok((address(text)?, None)),
    }
}

/// An address with prefix length, or the whole of its bits.
pub(super) fn net(text: &str) -> Result<IpNet, String> {
    match text.split_once('/') {
        None => address(text).map(IpNet::from),
        Some((host, length)) => {
            let host = address(host)?;
            let length = match length.parse::<Ipv4Addr>() {
                Ok(mask) => prefix(mask)?,
                Err(_) => length.parse().map_err(|_| format!("`{length}` is no prefix length"))?,
            };
            IpNet::new(host, length).map_err(|_| format!("/{length} is longer than the address"))
        }
    }
}

/// The prefix length of a mask.
pub(super) fn prefix(mask: Ipv4Addr) -> Result<u8, String> {
    ipnet::ipv4_mask_to_prefix(mask).map_err(|_| format!("{mask} is no netmask"))
}

/// The prefix length that `ifconfig` takes where no netmask is given: that of the address's class.
pub(super) fn class(address: Ipv4Addr) -> u8 {
    match address.octets()[0] {
        0..=127 => 8,
        128..=191 => 16,
        _ => 24,
    }
}

/// The smallest of the usual subnets that holds all of them.
pub(super) fn common(addresses: &[IpAddr]) -> Option<IpNet> {
    let first = *addresses.first()?;
    let lengths: &[u8] = if first.is_ipv4() { &[24, 16, 8] } else { &[64, 48, 32] };
    let nets = lengths.iter().filter_map(|length| IpNet::new(first, *length).ok()).map(|net| net.trunc());
    nets.into_iter().find(|net| addresses.iter().all(|address| net.contains(address) && !is_edge(net, *address)))
}

/// Whether the address is its subnet's first or last, which no host has.
pub(super) fn is_edge(net: &IpNet, address: IpAddr) -> bool {
    match (net, address) {
        (IpNet::V4(net), IpAddr::V4(v4)) => net.prefix_len() < 31 && (v4 == net.network() || v4 == net.broadcast()),
        (IpNet::V6(net), IpAddr::V6(v6)) => net.prefix_len() < 127 && v6 == net.network(),
        _ => false,
    }
}

/// A host of the subnet that is free: of IPv4 the wished number or those behind it, else from the first.
pub(super) fn free(net: IpNet, wish: u32, taken: &dyn Fn(IpAddr) -> bool) -> Option<IpAddr> {
    let fits = |a: &IpAddr| net.contains(a) && !is_edge(&net, *a) && !taken(*a);
    match net {
        IpNet::V4(v4) => {
            let base = u32::from(v4.network());
            let wished = (0..4096).filter_map(|n: u32| base.checked_add(wish)?.checked_add(n));
            wished.map(|n| IpAddr::V4(n.into())).find(fits).or_else(|| from_first(v4).find(fits))
        }
        IpNet::V6(v6) => {
            let base = u128::from(v6.network());
            (0..4096_u128)
                .filter_map(|n| base.checked_add(u128::from(wish) + n))
                .map(|n| IpAddr::V6(n.into()))
                .find(fits)
        }
    }
}

fn from_first(net: Ipv4Net) -> impl Iterator<Item = IpAddr> {
    net.hosts().take(4096).map(IpAddr::V4)
}

/// `30`, `5m`, `1h`: a time in seconds as `ipvsadm` and keepalived take it.
pub(super) fn seconds(text: &str) -> Result<u32, String> {
    text.parse().map_err(|_| format!("`{text}` is no number of seconds"))
}

/// A number.
pub(super) fn number(text: &str) -> Result<u32, String> {
    let hex = text.strip_prefix("0x").map(|digits| u32::from_str_radix(digits, 16));
    hex.unwrap_or_else(|| text.parse()).map_err(|_| format!("`{text}` is no number"))
}

#[cfg(test)]
mod tests {
    use super::{at, class, common, free, net};

    #[test]
    fn an_address_comes_with_or_without_a_port() {
        assert_eq!(at("10.0.0.1:http").unwrap(), ("10.0.0.1".parse().unwrap(), Some(80)));
        assert_eq!(at("[2001:db8::1]:443").unwrap(), ("2001:db8::1".parse().unwrap(), Some(443)));
        assert_eq!(at("2001:db8::1").unwrap(), ("2001:db8::1".parse().unwrap(), None));
        assert!(at("10.0.0.256:80").is_err() && at("10.0.0.1:99999").is_err() && at("").is_err());
    }

    #[test]
    fn a_mask_is_read_as_a_length() {
        assert_eq!(net("10.0.0.1/255.255.0.0").unwrap(), "10.0.0.1/16".parse().unwrap());
        assert!(net("10.0.0.1/255.0.255.0").is_err() && net("10.0.0.1/33").is_err());
        assert_eq!(
            [class([10, 0, 0, 1].into()), class([172, 16, 0, 1].into()), class([192, 0, 2, 1].into())],
            [8, 16, 24]
        );
    }

    #[test]
    fn a_common_subnet_holds_all_and_a_free_host_is_nobodys() {
        let all = ["172.16.252.137".parse().unwrap(), "172.16.253.202".parse().unwrap()];
        assert_eq!(common(&all), "172.16.0.0/16".parse().ok());
        assert_eq!(common(&["10.0.0.1".parse().unwrap(), "172.16.0.1".parse().unwrap()]), None);
        let net = "192.0.2.0/24".parse().unwrap();
        let taken = |a: std::net::IpAddr| a.to_string() == "192.0.2.1";
        assert_eq!(free(net, 1, &taken).unwrap().to_string(), "192.0.2.2");
        assert_eq!(free("192.0.2.0/30".parse().unwrap(), 254, &taken).unwrap().to_string(), "192.0.2.2");
    }
}
