//! `ip address`, `ip link`, `ip route` and `ip neighbour`.

use super::super::heard::{Heard, HostAddress, HostRoute, Statement};
use super::super::source::{Place, Sources, Word};
use super::super::values;
use super::commands::short_call;
use super::net_tools;

/// `ip OBJECT COMMAND …`.
pub(super) fn ip(sources: &mut Sources, heard: &mut Heard, arguments: &[Word], place: &Place) {
    let objects: Vec<Word> = arguments.iter().skip_while(|w| w.text.starts_with('-')).cloned().collect();
    let text = |at: usize| objects.get(at).map_or("", |w| w.text.as_str());
    let rest = objects.get(2..).unwrap_or_default();
    let (object, act) = (text(0), text(1));
    let is = |word: &str, whole: &str| !word.is_empty() && whole.starts_with(word);
    if act.is_empty() || ["show", "list", "get", "ls", "s", "l", "lst", "monitor", "save"].contains(&act) {
        return;
    }
    match object {
        o if is(o, "address") => ip_address(sources, heard, act, rest, place),
        o if is(o, "link") => ip_link(sources, heard, act, rest, place),
        o if is(o, "route") => ip_route(sources, heard, act, rest, place),
        o if is(o, "neighbour") || is(o, "neighbor") => ip_neighbour(sources, heard, act, rest, place),
        _ => heard.wonder(place, format!("`{}`", short_call(sources, place))),
    }
}

/// The words behind keywords: each keyword with its value, and what stands alone.
fn options<'w>(rest: &'w [Word], with_value: &[&str]) -> (Vec<(&'w str, &'w Word)>, Vec<&'w Word>) {
    let (mut pairs, mut alone) = (Vec::new(), Vec::new());
    let mut words = rest.iter().peekable();
    while let Some(word) = words.next() {
        if with_value.contains(&word.text.as_str())
            && let Some(value) = words.next()
        {
            pairs.push((word.text.as_str(), value));
        } else {
            alone.push(word);
        }
    }
    (pairs, alone)
}

fn ip_address(sources: &mut Sources, heard: &mut Heard, act: &str, rest: &[Word], place: &Place) {
    let with_value =
        ["dev", "label", "brd", "broadcast", "scope", "peer", "local", "valid_lft", "preferred_lft", "metric"];
    let (pairs, alone) = options(rest, &with_value);
    let value = |key: &str| pairs.iter().find(|(k, _)| *k == key).map(|(_, word)| *word);
    let device = value("dev").map(|w| w.text.clone());
    let address = alone.first().copied().or_else(|| value("local"));
    let flags = ["nodad", "home", "mngtmpaddr", "noprefixroute", "autojoin", "secondary", "permanent", "to"];
    for word in alone.iter().skip(1).filter(|w| !flags.contains(&w.text.as_str())) {
        heard.wonder(&word.place, format!("`{}` of `ip addr`", word.text));
    }
    if "flush".starts_with(act) {
        let Some(device) = device.or_else(|| address.map(|w| w.text.clone())) else { return };
        return heard.say(Statement::NoAddress { device, address: None }, place);
    }
    let (Some(device), Some(word)) = (device, address) else {
        return sources.wrong_at(place, "`ip addr` needs an address and `dev`", None);
    };
    let net = match values::net(&word.text) {
        Ok(net) => net,
        Err(message) => return sources.wrong_at(&word.place, message, None),
    };
    if act.starts_with('d') {
        return heard.say(Statement::NoAddress { device, address: Some(net.addr()) }, place);
    }
    let broadcast = value("brd").or_else(|| value("broadcast")).and_then(|w| w.text.parse().ok());
    // `dev lo:0` is taken by ip(8) as device and label.
    let (device, label) = net_tools::device_and_label(&device);
    let label = value("label").map(|w| w.text.clone()).filter(|l| l.contains(':')).or(label);
    heard.say(Statement::Address(HostAddress { device, label, net, broadcast }), place);
}

fn ip_link(sources: &mut Sources, heard: &mut Heard, act: &str, rest: &[Word], place: &Place) {
    let (pairs, alone) = options(
        rest,
        &["dev", "name", "type", "mtu", "address", "arp", "txqueuelen", "alias", "multicast", "master", "link"],
    );
    let value = |key: &str| pairs.iter().find(|(k, _)| *k == key).map(|(_, word)| *word);
    let named = value("dev").or_else(|| value("name")).or_else(|| alone.first().copied());
    let Some(device) = named.map(|w| w.text.clone()) else {
        return sources.wrong_at(place, "`ip link` needs a device", None);
    };
    if act.starts_with('a') {
        return match value("type").map(|w| w.text.as_str()) {
            Some("dummy") => heard.say(Statement::Dummy { device }, place),
            _ => heard.wonder(place, format!("`{}`", short_call(sources, place))),
        };
    }
    if act.starts_with('d') {
        return heard.wonder(place, format!("`{}`", short_call(sources, place)));
    }
    let mut told = false;
    for word in &alone {
        if word.text == "up" || word.text == "down" {
            heard.say(Statement::Up { device: device.clone(), up: word.text == "up" }, place);
            told = true;
        } else if word.text != device {
            heard.wonder(&word.place, format!("`{}` of `ip link set`", word.text));
            told = true;
        }
    }
    for (key, word) in &pairs {
        let wrong = |sources: &mut Sources, what: &str| {
            sources.wrong_at(&word.place, format!("`{}` is no {what}", word.text), None);
        };
        match *key {
            "arp" => heard.say(Statement::Arp { device: device.clone(), arp: word.text == "on" }, place),
            "mtu" => match word.text.parse() {
                Ok(mtu) => heard.say(Statement::Mtu { device: device.clone(), mtu }, place),
                Err(_) => wrong(sources, "MTU"),
            },
            "address" => match word.text.parse() {
                Ok(mac) => heard.say(Statement::Hardware { device: device.clone(), mac }, place),
                Err(_) => wrong(sources, "MAC"),
            },
            "dev" => {}
            other if !told => heard.wonder(&word.place, format!("`{other} {}` of `ip link set`", word.text)),
            _ => {}
        }
    }
}

fn ip_route(sources: &mut Sources, heard: &mut Heard, act: &str, rest: &[Word], place: &Place) {
    if act.starts_with('f') {
        return heard.leave_out(place, "`ip route flush`");
    }
    let with_value =
        ["via", "dev", "src", "metric", "table", "scope", "proto", "protocol", "mtu", "advmss", "tos", "nexthop"];
    let (pairs, alone) = options(rest, &with_value);
    let value = |key: &str| pairs.iter().find(|(k, _)| *k == key).map(|(_, word)| *word);
    if let Some(table) = value("table").filter(|w| w.text != "main" && w.text != "254") {
        return heard.wonder(&table.place, "a route of another table");
    }
    let target = alone.iter().find(|w| !["to", "unicast", "onlink", "-host", "-net"].contains(&w.text.as_str()));
    let to = match target.map(|w| (w.text.as_str(), *w)) {
        Some(("default", _)) | None => None,
        Some((kind @ ("local" | "blackhole" | "unreachable" | "prohibit"), word)) => {
            return heard.wonder(&word.place, format!("a {kind} route"));
        }
        Some((text, word)) => match values::net(text) {
            Ok(net) => Some(net.trunc()).filter(|net| net.prefix_len() > 0),
            Err(message) => return sources.wrong_at(&word.place, message, None),
        },
    };
    if act.starts_with('d') {
        return heard.say(Statement::NoRoute { to }, place);
    }
    let mut host = |key: &str| match value(key).map(|word| (values::address(&word.text), word)) {
        Some((Ok(ip), _)) => Some(ip),
        Some((Err(message), word)) => {
            sources.wrong_at(&word.place, message, None);
            None
        }
        None => None,
    };
    let (via, source) = (host("via"), host("src"));
    let device = value("dev").map(|w| net_tools::device_and_label(&w.text).0);
    if via.is_some() || device.is_some() {
        heard.say(Statement::Route(HostRoute { to, via, device, source }), place);
    }
}

fn ip_neighbour(sources: &mut Sources, heard: &mut Heard, act: &str, rest: &[Word], place: &Place) {
    if !act.starts_with(['a', 'r', 'c']) {
        return heard.leave_out(place, "this `ip neigh` command adds no entry");
    }
    let (pairs, alone) = options(rest, &["lladdr", "dev", "nud", "to"]);
    let value = |key: &str| pairs.iter().find(|(k, _)| *k == key).map(|(_, word)| *word);
    let address = alone.first().copied().or_else(|| value("to")).and_then(|w| values::address(&w.text).ok());
    let mac = value("lladdr").and_then(|w| w.text.parse().ok());
    match (address, mac) {
        (Some(address), Some(mac)) => {
            heard.say(Statement::Neighbour { address, mac, device: value("dev").map(|w| w.text.clone()) }, place);
        }
        _ => sources.wrong_at(place, "`ip neigh` needs an address and `lladdr MAC`", None),
    }
}
