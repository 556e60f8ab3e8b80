//! The formats of strings that the schema names: MACs, names, addresses. Each is judged by the type that reads it.

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use crate::base::{IfName, Mac, NodeName};

/// Why a text is not of its format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) message: String,
    pub(crate) label: String,
    pub(crate) help: Option<String>,
}

/// Judges a text by the format of that name; formats without a name here take every text.
pub(crate) fn check(wanted: &str, text: &str) -> Result<(), Wrong> {
    let other =
        |error: String| Wrong { message: error, label: format!("expected {}", words(Some(wanted))), help: None };
    match wanted {
        "mac" => text.parse::<Mac>().map(drop).map_err(|e| other(e.to_string())),
        "node-name" => {
            text.parse::<NodeName>().map(drop).map_err(|e| Wrong { help: lowered(text), ..other(e.to_string()) })
        }
        "interface-name" => text.parse::<IfName>().map(drop).map_err(|e| shorter(text, other(e.to_string()))),
        "ip" | "ipv4" | "ipv6" => address(text).map(drop),
        "ip-net" => subnet(text).map(drop),
        "socket-address" => text.parse::<SocketAddr>().map(drop).map_err(|_| Wrong {
            help: text.parse::<IpAddr>().ok().map(|ip| format!("write `\"{}\"`", SocketAddr::new(ip, 80))),
            ..other(format!("`{text}` is no address with a port"))
        }),
        _ => Ok(()),
    }
}

/// What a format is called, with its article.
pub(crate) fn words(wanted: Option<&str>) -> &'static str {
    match wanted {
        Some("mac") => "a MAC address",
        Some("node-name") => "a name",
        Some("interface-name") => "an interface's name",
        Some("ip" | "ipv4" | "ipv6") => "an IP address",
        Some("ip-net") => "an address with prefix length",
        Some("socket-address") => "an address with a port",
        _ => "a string",
    }
}

/// An address without prefix length.
pub(crate) fn address(text: &str) -> Result<IpAddr, Wrong> {
    text.parse().map_err(|_| Wrong {
        message: format!("`{text}` is no IP address"),
        label: why_no_address(text).unwrap_or("expected an IP address").into(),
        help: text.parse::<IpNet>().ok().map(|net| format!("write `\"{}\"`, without the prefix length", net.addr())),
    })
}

/// An address with prefix length.
pub(crate) fn subnet(text: &str) -> Result<IpNet, Wrong> {
    text.parse().map_err(|_| {
        let help = text.parse::<IpAddr>().ok().map(|ip| {
            let usual = IpNet::new(ip, if ip.is_ipv4() { 24 } else { 64 }).map_or(IpNet::from(ip), |net| net.trunc());
            format!("write the prefix length too: `\"{usual}\"`, or `\"{}\"` for this address alone", IpNet::from(ip))
        });
        Wrong {
            message: format!("`{text}` is no address with prefix length"),
            label: why_no_address(text.split_once('/').map_or(text, |(address, _)| address))
                .or_else(|| why_no_prefix(text))
                .unwrap_or("expected an address with prefix length, as in 172.16.0.0/16")
                .into(),
            help,
        }
    })
}

/// An address, with prefix length or without.
pub(crate) fn address_or_net(text: &str) -> Result<(IpAddr, Option<u8>), Wrong> {
    match text.parse::<IpNet>() {
        Ok(net) => Ok((net.addr(), Some(net.prefix_len()))),
        Err(_) if text.contains('/') => Err(subnet(text).err().unwrap_or(Wrong {
            message: format!("`{text}` is no address with prefix length"),
            label: "expected an address with prefix length".into(),
            help: None,
        })),
        Err(_) => address(text).map(|ip| (ip, None)),
    }
}

fn why_no_address(text: &str) -> Option<&'static str> {
    if text.contains(':') || text.is_empty() {
        return None;
    }
    let parts: Vec<&str> = text.split('.').collect();
    let digits = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    if !parts.iter().all(digits) {
        None
    } else if parts.len() != 4 {
        Some("an IPv4 address has four numbers")
    } else if parts.iter().any(|p| p.parse::<u8>().is_err()) {
        Some("each of the four numbers is 0 to 255")
    } else if parts.iter().any(|p| p.len() > 1 && p.starts_with('0')) {
        Some("a number with a leading zero could be meant as octal")
    } else {
        None
    }
}

fn why_no_prefix(text: &str) -> Option<&'static str> {
    let (address, prefix) = text.split_once('/')?;
    match address.parse::<IpAddr>().ok()? {
        IpAddr::V4(_) if prefix.contains('.') => Some("the mask is written as a length: /16 for 255.255.0.0"),
        IpAddr::V4(_) => Some("the prefix length is 0 to 32"),
        IpAddr::V6(_) => Some("the prefix length is 0 to 128"),
    }
}

/// The name that is most like a text that is none.
pub(crate) fn legal(wanted: &str, text: &str) -> Option<String> {
    match wanted {
        "node-name" => {
            let low: String = text.to_lowercase().replace(['_', ' ', '.'], "-").chars().take(32).collect();
            low.parse::<NodeName>().ok().map(|name| name.to_string())
        }
        "interface-name" if !is_label(text) => {
            let plain = text.chars().filter(char::is_ascii_graphic).filter(|c| !"/:".contains(*c));
            plain.take(15).collect::<String>().parse::<IfName>().ok().map(|name| name.to_string())
        }
        _ => None,
    }
}

fn is_label(text: &str) -> bool {
    text.split_once(':').is_some_and(|(device, _)| device.parse::<IfName>().is_ok())
}

fn lowered(text: &str) -> Option<String> {
    legal("node-name", text).map(|name| format!("write `{name}`"))
}

fn shorter(text: &str, wrong: Wrong) -> Wrong {
    let help = match text.split_once(':') {
        Some((device, _)) if is_label(text) => {
            Some(format!("`{text}` is an address's label; the interface is `{device}`"))
        }
        _ => legal("interface-name", text).map(|name| format!("write a shorter or plainer one, as `{name}`")),
    };
    Wrong { help, ..wrong }
}
