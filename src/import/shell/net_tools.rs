//! `ifconfig`, `route` and `arp`.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;

use super::super::heard::{Heard, HostAddress, HostRoute, Statement};
use super::super::source::{Place, Sources, Word};
use super::super::values;

/// `lo:0` is the label of an address of `lo`.
pub(super) fn device_and_label(text: &str) -> (String, Option<String>) {
    match text.split_once(':') {
        Some((device, _)) => (device.to_owned(), Some(text.to_owned())),
        None => (text.to_owned(), None),
    }
}

/// `ifconfig lo:0 172.16.0.66 netmask 255.255.255.255 broadcast 172.16.0.66 up`.
pub(super) fn ifconfig(sources: &mut Sources, heard: &mut Heard, arguments: &[Word], place: &Place) {
    let Some(first) = arguments.iter().find(|w| w.text != "-a").filter(|w| !w.text.starts_with('-')) else { return };
    let (device, label) = device_and_label(&first.text);
    let (mut address, mut mask, mut broadcast): (Option<IpNet>, Option<u8>, Option<Ipv4Addr>) = (None, None, None);
    let mut up = None;
    let mut rest = arguments.iter().skip_while(|w| w.text != first.text).skip(1);
    let dev = || label.clone().unwrap_or_else(|| device.clone());
    while let Some(word) = rest.next() {
        let mut wrong = |place: &Place, message: String| sources.wrong_at(place, message, None);
        match word.text.as_str() {
            "up" => up = Some(true),
            "down" => up = Some(false),
            "netmask" => match rest.next().map(|w| (w.text.parse::<Ipv4Addr>(), w)) {
                Some((Ok(given), w)) => match values::prefix(given) {
                    Ok(length) => mask = Some(length),
                    Err(message) => return wrong(&w.place, message),
                },
                Some((Err(_), w)) => match hex_mask(&w.text) {
                    Some(length) => mask = Some(length),
                    None => return wrong(&w.place, format!("`{}` is no netmask", w.text)),
                },
                None => return wrong(&word.place, "`netmask` has no value".to_owned()),
            },
            "broadcast" | "-broadcast" => broadcast = rest.next().and_then(|w| w.text.parse().ok()),
            "arp" | "-arp" => heard.say(Statement::Arp { device: device.clone(), arp: word.text == "arp" }, place),
            "mtu" => match rest.next().and_then(|w| w.text.parse().ok()) {
                Some(mtu) => heard.say(Statement::Mtu { device: device.clone(), mtu }, place),
                None => return wrong(&word.place, "`mtu` has no value".to_owned()),
            },
            "hw" => match rest.by_ref().find(|w| w.text != "ether").and_then(|w| w.text.parse().ok()) {
                Some(mac) => heard.say(Statement::Hardware { device: device.clone(), mac }, place),
                None => return wrong(&word.place, "`hw ether` has no MAC".to_owned()),
            },
            "promisc" | "-promisc" | "allmulti" | "-allmulti" | "multicast" | "-multicast" | "dynamic" | "inet"
            | "add" => {}
            "inet6" | "metric" | "txqueuelen" | "media" => drop(rest.next()),
            "del" | "delete" => {
                let gone = rest.next().and_then(|w| values::net(&w.text).ok()).map(|net| net.addr());
                return heard.say(Statement::NoAddress { device: dev(), address: gone }, place);
            }
            text if address.is_none()
                && text.starts_with(|c: char| c.is_ascii_hexdigit())
                && text.contains(['.', ':']) =>
            {
                match values::net(text) {
                    Ok(net) => {
                        mask = mask.or(text.contains('/').then_some(net.prefix_len()));
                        address = Some(net);
                    }
                    Err(message) => return wrong(&word.place, message),
                }
            }
            other => heard.wonder(&word.place, format!("`{other}` of ifconfig")),
        }
    }
    if let Some(net) = address {
        let usual = match net.addr() {
            IpAddr::V4(v4) => values::class(v4),
            IpAddr::V6(_) => 128,
        };
        let Ok(net) = IpNet::new(net.addr(), mask.unwrap_or(usual)) else { return };
        heard.say(
            Statement::Address(HostAddress { device: device.clone(), label: label.clone(), net, broadcast }),
            place,
        );
    }
    match (up, label.is_some()) {
        // A label that goes down takes its address with it, and leaves the device as it is.
        (Some(false), true) => heard.say(Statement::NoAddress { device: dev(), address: None }, place),
        (Some(up), false) => heard.say(Statement::Up { device, up }, place),
        _ => {}
    }
}

fn hex_mask(text: &str) -> Option<u8> {
    let bits = u32::from_str_radix(text.strip_prefix("0x")?, 16).ok()?;
    values::prefix(Ipv4Addr::from(bits)).ok()
}

/// `route add -host 172.16.0.66 dev lo:0`, `route add default gw 172.16.0.1`.
pub(super) fn route(sources: &mut Sources, heard: &mut Heard, arguments: &[Word], place: &Place) {
    let mut words = arguments.iter().skip_while(|w| w.text.starts_with('-'));
    let adds = match words.next().map(|w| w.text.as_str()) {
        Some("add") => true,
        Some("del" | "delete") => false,
        _ => return,
    };
    let (mut to, mut via, mut device, mut mask): (Option<IpNet>, _, _, Option<u8>) = (None, None, None, None);
    let (mut host, mut target) = (false, false);
    while let Some(word) = words.next() {
        match word.text.as_str() {
            "-host" => host = true,
            "-net" | "reject" => {}
            "default" => target = true,
            "gw" => match words.next().map(|w| (values::address(&w.text), w)) {
                Some((Ok(ip), _)) => via = Some(ip),
                Some((Err(message), w)) => return sources.wrong_at(&w.place, message, None),
                None => return sources.wrong_at(&word.place, "`gw` has no value", None),
            },
            "netmask" => mask = words.next().and_then(|w| w.text.parse().ok()).and_then(|m| values::prefix(m).ok()),
            "dev" => device = words.next().map(|w| device_and_label(&w.text).0),
            "metric" | "mss" | "window" => drop(words.next()),
            text if !target => match values::net(text) {
                Ok(net) => {
                    to = Some(net);
                    target = true;
                }
                Err(message) => return sources.wrong_at(&word.place, message, None),
            },
            text => device = Some(device_and_label(text).0),
        }
    }
    let length = |net: IpNet| match net.addr() {
        _ if host => net.max_prefix_len(),
        IpAddr::V4(v4) if mask.is_none() && net.prefix_len() == 32 && v4.octets()[3] == 0 => values::class(v4),
        _ => mask.unwrap_or(net.prefix_len()),
    };
    let to = to
        .and_then(|net| IpNet::new(net.addr(), length(net)).ok())
        .map(|net| net.trunc())
        .filter(|net| net.prefix_len() > 0);
    if !target {
        return sources.wrong_at(place, "`route` names no destination", None);
    }
    let statement =
        if adds { Statement::Route(HostRoute { to, via, device, source: None }) } else { Statement::NoRoute { to } };
    heard.say(statement, place);
}

/// `arp -s 172.16.0.66 02:…`.
pub(super) fn arp(sources: &mut Sources, heard: &mut Heard, arguments: &[Word], place: &Place) {
    let Some(at) = arguments.iter().position(|w| w.text == "-s" || w.text == "--set") else {
        return heard.leave_out(place, "this arp command adds no entry");
    };
    let address = arguments.get(at + 1).and_then(|w| values::address(&w.text).ok());
    let mac = arguments.get(at + 2).and_then(|w| w.text.parse().ok());
    match (address, mac) {
        (Some(address), Some(mac)) => heard.say(Statement::Neighbour { address, mac, device: None }, place),
        _ => sources.wrong_at(place, "`arp -s` needs an address and a MAC", None),
    }
}
