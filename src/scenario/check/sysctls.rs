//! Sysctls: keys of the network that a kernel may have, and values that mean something.
//!
//! Errs towards silence: a key that is like none known is left to the kernel, which refuses it at the build.

mod known;

use super::Context;
use super::lab::{comes_by_name, interfaces};
use crate::scenario::problem::Complaint;
use crate::scenario::source::Path;
use crate::scenario::spec::SysctlValue;
use crate::scenario::suggest;
use known::Sysctl;

/// How many slips of the finger a known key is recognised through.
const SLIPS: usize = 2;

pub(super) fn check(cx: &mut Context<'_>) {
    let scenario = cx.scenario;
    for (name, node) in &scenario.nodes {
        for (key, value) in &node.sysctls {
            let path = Path::of(&["nodes", name.as_str(), "sysctls", key]);
            one(cx, (&path, true), &path, (key, value), name.as_str());
        }
    }
}

/// Complains about a key, whose place may be a key of the text, or its value.
pub(super) fn one(
    cx: &mut Context<'_>,
    (path, on_key): (&Path, bool),
    value_path: &Path,
    (key, value): (&str, &SysctlValue),
    node: &str,
) {
    named(cx, path, on_key, key, node);
    written(cx, value_path, value);
    let parts: Vec<&str> = key.split('.').collect();
    let Some((low, high)) = family(&parts).and_then(|(names, name)| range(names, name)) else { return };
    let number = match value {
        SysctlValue::Number(number) => Some(*number),
        SysctlValue::Text(text) => text.trim().parse().ok(),
    };
    if !number.is_some_and(|number| (low..=high).contains(&number)) {
        let said = match value {
            SysctlValue::Number(number) => number.to_string(),
            SysctlValue::Text(text) => format!("`{text}`"),
        };
        let fits = if high == i64::from(i32::MAX) { format!("{low} or more") } else { format!("{low} to {high}") };
        let complaint = Complaint::value(value_path, format!("sysctl `{key}` can't be {said}"));
        cx.add(complaint.label(format!("expected {fits}")));
    }
}

/// The names that there are where the key stands, and its own.
fn family<'k>(parts: &[&'k str]) -> Option<(&'static [Sysctl], &'k str)> {
    match parts {
        ["net", "ipv4", "conf", _, name] => Some((known::CONF, name)),
        ["net", "ipv6", "conf", _, name] => Some((known::CONF_V6, name)),
        ["net", "ipv4", "vs", name] => Some((known::VS, name)),
        ["net", "ipv4", name] => Some((known::V4, name)),
        _ => None,
    }
}

fn range(names: &[Sysctl], name: &str) -> Option<(i64, i64)> {
    names.iter().find(|(known, _)| *known == name)?.1
}

/// Whether the network has a sysctl of that name, and the values that it takes where these are bounded.
#[expect(clippy::option_option, reason = "no such name, and a name without bounds, are two things")]
pub(crate) fn known_sysctl(key: &str) -> Option<Option<(i64, i64)>> {
    let parts: Vec<&str> = key.split('.').collect();
    let (names, name) = family(&parts)?;
    names.iter().find(|(known, _)| *known == name).map(|(_, range)| *range)
}

/// What was most likely meant by a key that no kernel has.
fn meant(parts: &[&str]) -> Option<String> {
    let has = |names: &[Sysctl], name: &str| names.iter().any(|(known, _)| *known == name);
    match parts {
        // A device is missing.
        ["net", version @ ("ipv4" | "ipv6"), "conf", name]
            if has(if *version == "ipv4" { known::CONF } else { known::CONF_V6 }, name) =>
        {
            return Some(format!("net.{version}.conf.all.{name}"));
        }
        ["net", version, "conf", _, "ip_forward"] => return Some(format!("net.{version}.conf.all.forwarding")),
        _ => {}
    }
    let (names, name) = family(parts)?;
    if has(names, name) || ["conf", "neigh", "route", "vs"].contains(&name) {
        return None;
    }
    if parts.starts_with(&["net", "ipv4"]) {
        let places = [(known::CONF, "conf.all."), (known::VS, "vs."), (known::V4, "")];
        if let Some((_, place)) = places.iter().find(|(names, _)| has(names, name)) {
            return Some(format!("net.ipv4.{place}{name}"));
        }
    }
    let near = names
        .iter()
        .map(|(known, _)| (strsim::damerau_levenshtein(name, known), *known))
        .min_by_key(|(slips, _)| *slips)
        .filter(|(slips, known)| *slips <= SLIPS && *slips < known.len())?;
    let above = parts.split_last()?.1.join(".");
    Some(format!("{above}.{}", near.1))
}

/// Complains about a sysctl that is not one of the network's, or names an interface that is not there.
fn named(cx: &mut Context<'_>, path: &Path, on_key: bool, key: &str, node: &str) {
    let at = |message: String| {
        if on_key { Complaint::key(path, message) } else { Complaint::value(path, message) }
    };
    let dotted = key.trim_start_matches("/proc/sys/").replace('/', ".");
    let parts: Vec<&str> = key.split('.').collect();
    let legal =
        |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_@".contains(&b));
    if key.contains('/') {
        cx.add(at(format!("sysctl `{key}` is written with slashes")).help(format!("write `\"{dotted}\"`")));
    } else if !parts.iter().all(legal) || (parts[0] == "net" && parts.len() < 3) {
        cx.add(at(format!("`{key}` is no sysctl")).help("write it with dots, as `net.ipv4.conf.all.arp_ignore`"));
    } else if parts[0] != "net" {
        let help = "a lab sets the network's alone: keys that begin with `net.`";
        cx.add(at(format!("sysctl `{key}` is not one of the network")).help(help));
    } else if let Some(meant) = meant(&parts) {
        cx.add(at(format!("no kernel has a sysctl `{key}`")).help(format!("did you mean `{meant}`?")).spoils());
    } else if let ["net", "ipv4" | "ipv6", "conf" | "neigh", device, ..] = parts.as_slice() {
        let devices = cx.lab.devices(node);
        let known = ["all", "default"].contains(device) || comes_by_name(device) || devices.contains(device);
        if !known && cx.scenario.nodes.contains_key(node) {
            let candidates = devices.iter().copied().chain(["all", "default"]);
            let complaint = at(format!("node `{node}` has no interface `{device}` to set `{key}` on"))
                .maybe_help(suggest::or_list(device, candidates))
                .relies_on_name(&interfaces(node), device)
                .relies_on(&Path::of(&["nodes", node, "segment"]));
            cx.add(complaint);
        }
    }
}

/// Complains about a value that no sysctl takes.
fn written(cx: &mut Context<'_>, path: &Path, value: &SysctlValue) {
    if let SysctlValue::Text(text) = value
        && (text.trim().is_empty() || text.len() > 256 || text.contains(|c: char| c.is_control() && c != '\t'))
    {
        cx.add(Complaint::value(path, "a sysctl's value is one line of 1 to 256 characters"));
    }
}

#[cfg(test)]
mod tests {
    use super::{family, known, meant};

    fn meant_by(key: &str) -> Option<String> {
        meant(&key.split('.').collect::<Vec<_>>())
    }

    #[test]
    fn a_slip_and_a_wrong_place_are_seen_through() {
        for (written, wanted) in [
            ("net.ipv4.conf.all.arp_ingore", "net.ipv4.conf.all.arp_ignore"),
            ("net.ipv4.conf.arp_ignore", "net.ipv4.conf.all.arp_ignore"),
            ("net.ipv4.arp_ignore", "net.ipv4.conf.all.arp_ignore"),
            ("net.ipv4.conf.all.conntrack", "net.ipv4.vs.conntrack"),
            ("net.ipv4.ip_foward", "net.ipv4.ip_forward"),
            ("net.ipv4.conf.eth0.ip_forward", "net.ipv4.conf.all.forwarding"),
            ("net.ipv4.vs.expire_nodest_con", "net.ipv4.vs.expire_nodest_conn"),
            ("net.ipv6.conf.all.disable_ip6", "net.ipv6.conf.all.disable_ipv6"),
        ] {
            assert_eq!(meant_by(written).as_deref(), Some(wanted));
        }
    }

    #[test]
    fn what_is_known_and_what_is_like_nothing_known_is_left_alone() {
        for key in [
            "net.ipv4.conf.eth0.arp_ignore",
            "net.ipv4.conf.all.of_another_kernel",
            "net.ipv4.neigh.eth0.proxy_delay",
            "net.ipv4.route.flush",
            "net.netfilter.nf_conntrack_max",
            "net.core.somaxconn",
        ] {
            assert_eq!(meant_by(key), None);
        }
    }

    #[test]
    fn the_lists_are_sorted_and_each_range_holds_something() {
        for names in [known::CONF, known::VS, known::CONF_V6, known::V4] {
            assert!(names.is_sorted_by(|a, b| a.0 < b.0));
            assert!(names.iter().filter_map(|(_, range)| *range).all(|(low, high)| low < high));
        }
        assert!(family(&["net", "core", "somaxconn"]).is_none());
    }
}
