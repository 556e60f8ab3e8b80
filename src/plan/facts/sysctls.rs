//! The sysctls of a node that rules go by: what a kernel has from the start, and what writing one does to others.

use std::collections::{BTreeMap, BTreeSet};

use crate::base::IfName;
use crate::plan::sysctls::IPV4_BASELINE;
use crate::plan::{LinkKind, Node};

/// Below `net.ipv6.conf.<interface>.`, with what a kernel has from the start.
const IPV6_DEFAULTS: &[(&str, &str)] = &[("disable_ipv6", "0"), ("accept_ra", "1"), ("forwarding", "0")];

/// All of a node's once it is built.
pub(super) fn of(node: &Node) -> BTreeMap<String, String> {
    let names: Vec<String> = node.interfaces.iter().map(|i| in_key(&i.name)).collect();
    let mut all = BTreeMap::new();
    for device in ["all", "default"].into_iter().chain(names.iter().map(String::as_str)) {
        for (key, value) in IPV4_BASELINE.iter().chain(&[("forwarding", "0")]) {
            all.insert(format!("net.ipv4.conf.{device}.{key}"), (*value).to_owned());
        }
        let detects = match (device, node.interfaces.iter().find(|i| in_key(&i.name) == device).map(|i| &i.kind)) {
            ("all", _) => "0",
            // What does no ARP detects no duplicates either (`ipv6_add_dev`).
            (_, Some(LinkKind::Loopback | LinkKind::Dummy | LinkKind::Ipip)) => "-1",
            _ => "1",
        };
        for (key, value) in IPV6_DEFAULTS.iter().chain(&[("accept_dad", detects)]) {
            all.insert(format!("net.ipv6.conf.{device}.{key}"), (*value).to_owned());
        }
    }
    for (key, value) in [("net.ipv4.ip_forward", "0"), ("net.ipv4.icmp_ratelimit", "1000")] {
        all.insert(key.to_owned(), value.to_owned());
    }
    let mut written: BTreeSet<&str> = BTreeSet::new();
    for sysctl in &node.sysctls {
        write(&mut all, &sysctl.key, &sysctl.value);
        // Until an interface has an address it takes over what nobody wrote for it (`devinet_copy_dflt_conf`).
        if let Some(key) = sysctl.key.strip_prefix("net.ipv4.conf.default.").filter(|key| *key != "forwarding") {
            for device in &names {
                let own = format!("net.ipv4.conf.{device}.{key}");
                if !written.contains(own.as_str()) {
                    all.insert(own, sysctl.value.clone());
                }
            }
        }
        written.insert(&sysctl.key);
    }
    all
}

/// Writes one. What is written to `conf/default` stays there: interfaces that have an address no longer take it over.
pub(super) fn write(all: &mut BTreeMap<String, String>, key: &str, value: &str) {
    let value = value.split_whitespace().collect::<Vec<_>>().join(" ");
    // These write through to `default` and every interface (`inet_forward_change`, `addrconf_disable_ipv6`,
    // `addrconf_fixup_forwarding`).
    let through = match key {
        "net.ipv4.ip_forward" | "net.ipv4.conf.all.forwarding" => Some(("net.ipv4.conf.", ".forwarding")),
        "net.ipv6.conf.all.disable_ipv6" => Some(("net.ipv6.conf.", ".disable_ipv6")),
        "net.ipv6.conf.all.forwarding" => Some(("net.ipv6.conf.", ".forwarding")),
        _ => None,
    };
    if let Some((start, end)) = through {
        for (_, held) in all.iter_mut().filter(|(known, _)| known.starts_with(start) && known.ends_with(end)) {
            held.clone_from(&value);
        }
        if end == ".forwarding" && start == "net.ipv4.conf." {
            all.insert("net.ipv4.ip_forward".to_owned(), value.clone());
        }
    }
    all.insert(key.to_owned(), value);
}

/// The key that says whether an interface has no IPv6.
pub(super) fn disabled_v6(interface: &IfName) -> String {
    format!("net.ipv6.conf.{}.disable_ipv6", in_key(interface))
}

/// An interface's name as it stands in a key.
fn in_key(name: &IfName) -> String {
    name.as_str().replace('.', "/")
}
