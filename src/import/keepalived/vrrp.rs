//! VRRP instances and static addresses: what the master has on its interfaces.

use std::net::IpAddr;

use ipnet::IpNet;

use super::super::heard::{Heard, HostAddress, HostRoute, Statement, Vrrp};
use super::super::source::{Sources, Word};
use super::super::values;
use super::tree::Entry;
use super::{needs_block, parsed, read_value, value, whole};

/// Keywords of an instance that say how masters are elected, watched and announced, by their beginnings.
const ELECTION: &[&str] = &[
    "advert_int",
    "authentication",
    "nopreempt",
    "preempt",
    "track_",
    "notify",
    "smtp_alert",
    "garp_",
    "debug",
    "accept",
    "no_accept",
    "native_ipv6",
    "version",
    "dont_track_primary",
    "strict_mode",
    "skip_check_adv_addr",
    "lvs_sync_daemon",
    "higher_prio_send_advert",
    "start_down_up_delay",
    "down_timer_adverts",
    "checksum_compatibility",
    "kernel_rx_buf_size",
    "fault_init_exit_delay",
    "old_unicast_checksum",
    "unicast_ttl",
    "unicast_fault_no_peer",
    "owner_ignore_adverts",
    "linkbeat_use_polling",
    "promote_secondaries",
    "allow_no_vips",
    "no_virtual_ipaddress",
    "mcast_dst_ip",
    "rfc",
    "virtual_rules",
    "auth_type",
    "auth_pass",
    "check_unicast_src",
];

/// `vrrp_instance NAME { … }`.
pub(super) fn instance(sources: &mut Sources, heard: &mut Heard, entry: &Entry) {
    let Some(name) = value(sources, entry, "a name").cloned() else { return };
    if !needs_block(sources, entry) {
        return;
    }
    let mut vrrp = Vrrp {
        name: name.text,
        master: false,
        router_id: None,
        priority: 100,
        interface: None,
        source: None,
        peers: Vec::new(),
        terms: Vec::new(),
        yields: false,
        third: false,
        addresses: Vec::new(),
        routes: Vec::new(),
    };
    // An address's device is the instance's where none is said, wherever the keyword stands.
    vrrp.interface =
        entry.inner().iter().rfind(|e| e.key() == "interface").and_then(|e| e.words.get(1)).map(|w| w.text.clone());
    let mut left_out: Vec<&str> = Vec::new();
    for inner in entry.inner() {
        match inner.key() {
            "state" => {
                if let Some(master) = read_value(sources, inner, "MASTER or BACKUP", state) {
                    vrrp.master = master;
                }
            }
            "interface" => drop(value(sources, inner, "an interface")),
            "virtual_router_id" => vrrp.router_id = read_value(sources, inner, "a number of 1 to 255", router_id),
            "priority" => vrrp.priority = read_value(sources, inner, "a number of 1 to 255", router_id).unwrap_or(100),
            "unicast_src_ip" | "mcast_src_ip" => {
                vrrp.source = read_value(sources, inner, "an address", values::address);
            }
            "unicast_peer" => {
                for peer in inner.inner() {
                    vrrp.peers.extend(parsed(sources, &peer.words[0], values::address));
                }
            }
            "virtual_ipaddress" | "virtual_ipaddress_excluded" => {
                needs_block(sources, inner);
                for line in inner.inner() {
                    vrrp.addresses.extend(address(sources, heard, line, vrrp.interface.as_deref()));
                }
            }
            "virtual_routes" => {
                for line in inner.inner() {
                    vrrp.routes.extend(route(sources, heard, line));
                }
            }
            "use_vmac" | "vmac_xmit_base" | "use_ipvlan" | "vmac_addr" => {
                heard.wonder(
                    inner.place(),
                    format!("`{}`: the virtual MAC is not built, the VIP is on the interface itself", inner.key()),
                );
            }
            key if ELECTION.iter().any(|known| key.starts_with(known)) => {
                election(heard, &mut vrrp, inner);
                if !left_out.contains(&key) {
                    left_out.push(key);
                }
            }
            key => heard.wonder(inner.place(), format!("`{key}` of vrrp_instance {}", vrrp.name)),
        }
    }
    if !left_out.is_empty() {
        let what = format!(
            "vrrp_instance {}: {} (the master is settled, scripts are not run)",
            vrrp.name,
            left_out.join(", ")
        );
        heard.leave_out(entry.place(), what);
    }
    heard.say(Statement::Vrrp(vrrp), entry.place());
}

/// What decides who hears whom, and what is watched that only the user's machine has.
fn election(heard: &mut Heard, vrrp: &mut Vrrp, entry: &Entry) {
    let value = || entry.words.get(1).map(|word| word.text.as_str());
    match entry.key() {
        "advert_int" if value() != Some("1") => vrrp.terms.push(format!("advert_int {}", value().unwrap_or_default())),
        "version" => vrrp.third |= value() == Some("3"),
        // Of a password the first eight characters are sent.
        "authentication" => vrrp.terms.extend(entry.inner().iter().filter_map(|inner| {
            let word = inner.words.get(1)?.text.chars().take(8).collect::<String>();
            Some(format!("{} {word}", inner.key()))
        })),
        "nopreempt" => vrrp.yields = true,
        "track_interface" => {
            for line in entry.inner().iter().filter(|line| vrrp.interface.as_deref() != Some(line.key())) {
                heard.miss(line.place(), format!("vrrp_instance {} tracks the interface {}", vrrp.name, line.key()));
            }
        }
        _ => watched(heard, entry, &format!("vrrp_instance {}", vrrp.name)),
    }
    vrrp.terms.sort_unstable();
}

/// What of an instance's or a group's keywords watches the machine.
pub(super) fn watched(heard: &mut Heard, entry: &Entry, whose: &str) {
    let what = match entry.key() {
        "track_script" => "script",
        "track_process" => "process",
        "track_file" => "file",
        "track_bfd" => "BFD session",
        _ => return,
    };
    let names: Vec<&str> = entry.inner().iter().map(Entry::key).collect();
    heard.miss(entry.place(), format!("{whose} tracks the {what} {}", names.join(", ")));
}

fn state(text: &str) -> Result<bool, String> {
    match text {
        "MASTER" => Ok(true),
        "BACKUP" => Ok(false),
        other => Err(format!("`{other}` is no state: it is MASTER or BACKUP")),
    }
}

fn router_id(text: &str) -> Result<u32, String> {
    let number = values::number(text)?;
    if (1..=255).contains(&number) { Ok(number) } else { Err(format!("{number} is not 1 to 255")) }
}

/// `172.16.0.66/32 brd … dev eth0 label eth0:1 scope global`.
fn address(sources: &mut Sources, heard: &mut Heard, entry: &Entry, usual: Option<&str>) -> Option<HostAddress> {
    let net = parsed(sources, &entry.words[0], values::net)?;
    let mut found = HostAddress { device: usual.unwrap_or("eth0").to_owned(), label: None, net, broadcast: None };
    let mut rest = entry.words[1..].iter();
    while let Some(word) = rest.next() {
        let mut following = |sources: &mut Sources| -> Option<&Word> {
            let after = rest.next();
            if after.is_none() {
                sources.wrong_at(&word.place, format!("`{}` has no value", word.text), None);
            }
            after
        };
        match word.text.as_str() {
            "dev" => found.device.clone_from(&following(sources)?.text),
            "label" => found.label = following(sources).map(|w| w.text.clone()).filter(|label| label.contains(':')),
            "brd" | "broadcast" => found.broadcast = following(sources)?.text.parse().ok(),
            "scope" | "peer" | "preferred_lft" | "track_group" => drop(following(sources)),
            "home" | "-nodad" | "mngtmpaddr" | "noprefixroute" | "autojoin" | "no_track" | "nodad" => {}
            other => heard.wonder(&word.place, format!("`{other}` of an address")),
        }
    }
    Some(found)
}

/// `default via 10.0.0.1 dev eth0 src …`, `192.0.2.0/24 via …`.
fn route(sources: &mut Sources, heard: &mut Heard, entry: &Entry) -> Option<HostRoute> {
    let mut found = HostRoute { to: None, via: None, device: None, source: None };
    let mut rest = entry.words.iter();
    while let Some(word) = rest.next() {
        let mut following = |sources: &mut Sources| {
            rest.next().or_else(|| {
                sources.wrong_at(&word.place, format!("`{}` has no value", word.text), None);
                None
            })
        };
        let mut host = |sources: &mut Sources| -> Option<IpAddr> {
            let word = following(sources)?;
            parsed(sources, word, values::address)
        };
        match word.text.as_str() {
            "default" => found.to = None,
            "via" | "gw" | "gateway" => found.via = host(sources),
            "src" => found.source = host(sources),
            "dev" | "oif" => found.device = following(sources).map(|w| w.text.clone()),
            "metric" | "scope" | "table" | "proto" | "weight" | "mtu" | "tos" => drop(following(sources)),
            "no_track" | "onlink" | "to" => {}
            text => {
                if let Ok(net) = values::net(text) {
                    found.to = Some(net.trunc()).filter(|net: &IpNet| net.prefix_len() > 0);
                } else {
                    heard.wonder(&whole(&entry.words)?, format!("`{text}` of a route"));
                    return None;
                }
            }
        }
    }
    Some(found)
}

/// `static_ipaddress { … }`.
pub(super) fn static_addresses(sources: &mut Sources, heard: &mut Heard, entry: &Entry) {
    needs_block(sources, entry);
    for line in entry.inner() {
        if let Some(address) = address(sources, heard, line, None) {
            heard.say(Statement::Address(address), line.place());
        }
    }
}

/// `static_routes { … }`.
pub(super) fn static_routes(sources: &mut Sources, heard: &mut Heard, entry: &Entry) {
    needs_block(sources, entry);
    for line in entry.inner() {
        if let Some(route) = route(sources, heard, line) {
            heard.say(Statement::Route(route), line.place());
        }
    }
}
