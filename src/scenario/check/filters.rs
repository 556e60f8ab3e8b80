//! Lines for `arptables` and `iptables`, and sysctls: that they can be read, and stay within the network.

use super::Context;
use super::lab::{comes_by_name, interfaces};
use crate::scenario::problem::Complaint;
use crate::scenario::source::Path;
use crate::scenario::spec::SysctlValue;
use crate::scenario::suggest;

pub(super) fn check(cx: &mut Context<'_>) {
    let scenario = cx.scenario;
    for (name, node) in &scenario.nodes {
        let path = Path::of(&["nodes", name.as_str()]);
        for (program, lines) in [("arptables", &node.arptables), ("iptables", &node.iptables)] {
            for (at, text) in lines.iter().enumerate() {
                line(cx, &path.at(program).at(at), program, text);
            }
        }
        for (key, value) in &node.sysctls {
            let path = path.at("sysctls").at(key);
            sysctl(cx, &path, true, key, name.as_str());
            sysctl_value(cx, &path, value);
        }
    }
}

fn line(cx: &mut Context<'_>, path: &Path, program: &str, text: &str) {
    let Ok(words) = shell_words::split(text) else {
        let message = format!("the line for `{program}` has a quote without its end");
        cx.add(Complaint::value(path, message).help("write the missing `'` or `\"`, or take the other away"));
        return;
    };
    let Some(first) = words.first() else {
        cx.add(Complaint::value(path, format!("the line for `{program}` is empty")));
        return;
    };
    if first.starts_with('-') {
        return;
    }
    let tables = first.rsplit('/').next().is_some_and(|f| f == "sudo" || f.contains("tables"));
    let complaint = if tables {
        let rest: Vec<&str> = text.split_whitespace().skip_while(|word| !word.starts_with('-')).collect();
        Complaint::value(path, format!("the line begins with a program's name, `{first}`"))
            .label(format!("`{program}` is called by itself"))
            .help(format!("write `\"{}\"`", rest.join(" ")))
    } else {
        Complaint::value(path, format!("the line for `{program}` begins with `{first}`, not with an option"))
            .help(format!("write it as after `{program}`: `-A INPUT -d 172.16.0.66 -j DROP`"))
    };
    cx.add(complaint);
}

/// Complains about a sysctl that is not one of the network's, or names an interface that is not there.
pub(super) fn sysctl(cx: &mut Context<'_>, path: &Path, on_key: bool, key: &str, node: &str) {
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
pub(super) fn sysctl_value(cx: &mut Context<'_>, path: &Path, value: &SysctlValue) {
    if let SysctlValue::Text(text) = value
        && (text.trim().is_empty() || text.len() > 256 || text.contains(|c: char| c.is_control() && c != '\t'))
    {
        cx.add(Complaint::value(path, "a sysctl's value is one line of 1 to 256 characters"));
    }
}
