//! What `ip -j addr`, `ip -j route` and `ip -j neigh` say of a live host.
//!
//! Only what somebody configured is taken: no link-local addresses, no routes of the kernel's own, no neighbours that
//! were learned.

use std::net::IpAddr;

use ipnet::IpNet;
use serde_json::Value;

use super::heard::{Heard, HostAddress, HostRoute, Statement};
use super::source::{Place, Sources};
use super::values;

/// Reads one document.
pub(super) fn read(sources: &mut Sources, file: usize) -> Heard {
    let text = sources.text(file).trim_start_matches('\u{feff}').to_owned();
    let mut heard = Heard::default();
    let items = match serde_json::from_str::<Value>(&text) {
        Ok(Value::Array(items)) => items,
        Ok(_) => {
            let place = Place { file, span: 0..text.len().min(1) };
            sources.wrong_at(&place, "what `ip -j` prints is an array", None);
            return heard;
        }
        Err(error) => {
            let line = text.split_inclusive('\n').take(error.line().saturating_sub(1)).map(str::len).sum::<usize>();
            let at = (line + error.column().saturating_sub(1)).min(text.len());
            let message = error.to_string();
            let message = message.split(" at line").next().unwrap_or_default().to_owned();
            sources.wrong_at(&Place { file, span: at..(at + 1).min(text.len()) }, message, None);
            return heard;
        }
    };
    // The document is one value; where in it something stands is looked up by its text.
    let mut from = 0;
    for item in &items {
        let name = ["ifname", "dst", "dev"].iter().find_map(|key| item[*key].as_str()).unwrap_or_default();
        let found = text[from..].find(&format!("\"{name}\"")).map_or(from, |at| from + at);
        from = found;
        let place = Place { file, span: found..found + name.len() + 2 };
        if item.get("addr_info").is_some() || item.get("link_type").is_some() {
            interface(&mut heard, item, &place);
        } else if item.get("lladdr").is_some() || item["state"].is_array() {
            neighbour(&mut heard, item, &place);
        } else if item.get("dst").is_some() {
            route(&mut heard, item, &place);
        } else if item.as_object().is_none_or(|object| !object.is_empty()) {
            heard.wonder(&place, "neither an interface nor a route nor a neighbour");
        }
    }
    heard
}

fn interface(heard: &mut Heard, item: &Value, place: &Place) {
    let Some(device) = item["ifname"].as_str() else { return heard.wonder(place, "an interface without a name") };
    let flag = |wanted: &str| item["flags"].as_array().is_some_and(|all| all.iter().any(|f| f == wanted));
    let kind = item["linkinfo"]["info_kind"].as_str();
    if kind == Some("dummy") || device.starts_with("dummy") {
        heard.say(Statement::Dummy { device: device.to_owned() }, place);
    }
    if item["flags"].is_array() && !flag("UP") {
        heard.say(Statement::Up { device: device.to_owned(), up: false }, place);
    }
    if flag("NOARP") && item["link_type"] == "ether" && kind != Some("dummy") && !device.starts_with("dummy") {
        heard.say(Statement::Arp { device: device.to_owned(), arp: false }, place);
    }
    if let Some(mtu) = item["mtu"].as_u64().and_then(|mtu| u32::try_from(mtu).ok())
        && item["link_type"] == "ether"
        && mtu != 1500
    {
        heard.say(Statement::Mtu { device: device.to_owned(), mtu }, place);
    }
    for info in item["addr_info"].as_array().into_iter().flatten() {
        let Some(local) = info["local"].as_str() else { continue };
        let length = info["prefixlen"].as_u64().and_then(|length| u8::try_from(length).ok());
        let (Ok(address), Some(length)) = (values::address(local), length) else {
            heard.wonder(place, format!("address `{local}` of {device}"));
            continue;
        };
        let Ok(net) = IpNet::new(address, length) else {
            heard.wonder(place, format!("{local} with prefix length {length}"));
            continue;
        };
        if address.is_loopback() || info["scope"] == "link" && address.is_ipv6() {
            continue;
        }
        let label = info["label"].as_str().filter(|label| label.contains(':')).map(str::to_owned);
        let broadcast = info["broadcast"].as_str().and_then(|text| text.parse().ok());
        heard.say(Statement::Address(HostAddress { device: device.to_owned(), label, net, broadcast }), place);
    }
}

fn route(heard: &mut Heard, item: &Value, place: &Place) {
    if item["protocol"] == "kernel" || item["type"].as_str().is_some_and(|kind| kind != "unicast") {
        return;
    }
    let to = match item["dst"].as_str() {
        Some("default") => None,
        Some(text) => match values::net(text) {
            Ok(net) => Some(net.trunc()),
            Err(message) => return heard.wonder(place, message),
        },
        None => return heard.wonder(place, "a route without destination"),
    };
    let address = |key: &str| item[key].as_str().and_then(|text| text.parse::<IpAddr>().ok());
    let device = item["dev"].as_str().map(str::to_owned);
    heard.say(Statement::Route(HostRoute { to, via: address("gateway"), device, source: address("prefsrc") }), place);
}

fn neighbour(heard: &mut Heard, item: &Value, place: &Place) {
    let permanent = item["state"].as_array().is_some_and(|all| all.iter().any(|state| state == "PERMANENT"));
    let address = item["dst"].as_str().and_then(|text| text.parse().ok());
    let mac = item["lladdr"].as_str().and_then(|text| text.parse().ok());
    if let (true, Some(address), Some(mac)) = (permanent, address, mac) {
        let device = item["dev"].as_str().map(str::to_owned);
        heard.say(Statement::Neighbour { address, mac, device }, place);
    }
}

#[cfg(test)]
mod tests {
    use super::super::heard::Statement;
    use super::super::source::Sources;
    use super::read;

    fn said(text: &str) -> Vec<Statement> {
        let mut sources = Sources::default();
        let file = sources.add("addr.json", text);
        let heard = read(&mut sources, file);
        assert!(sources.wrong().is_empty());
        heard.said.into_iter().map(|(statement, _)| statement).collect()
    }

    #[test]
    fn what_somebody_configured_is_taken() {
        let addr = r#"[{"ifname":"lo","flags":["LOOPBACK","UP"],"link_type":"loopback","mtu":65536,"addr_info":[
            {"local":"127.0.0.1","prefixlen":8},{"local":"10.0.0.9","prefixlen":32,"label":"lo:0"}]},
            {"ifname":"ens3","flags":["UP"],"link_type":"ether","mtu":1500,"addr_info":[
            {"local":"10.0.0.2","prefixlen":24,"broadcast":"10.0.0.255"},{"local":"fe80::1","prefixlen":64,"scope":"link"}]}]"#;
        assert_eq!(said(addr).iter().filter(|s| matches!(s, Statement::Address(_))).count(), 2);
        let routes = r#"[{"dst":"default","gateway":"10.0.0.1","dev":"ens3"},{"dst":"10.0.0.0/24","dev":"ens3","protocol":"kernel"}]"#;
        assert_eq!(said(routes).len(), 1);
        let neighbours = r#"[{"dst":"10.0.0.1","dev":"ens3","lladdr":"02:00:00:00:00:01","state":["REACHABLE"]},
            {"dst":"10.0.0.9","dev":"ens3","lladdr":"02:00:00:00:00:02","state":["PERMANENT"]}]"#;
        assert_eq!(said(neighbours).len(), 1);
    }

    #[test]
    fn broken_json_is_told_at_its_place() {
        let mut sources = Sources::default();
        let file = sources.add("addr.json", "[\n {\"ifname\": }\n]");
        read(&mut sources, file);
        let wrong = sources.wrong();
        assert_eq!((wrong[0].list()[0].line, wrong[0].list()[0].column), (2, 13));
    }
}
