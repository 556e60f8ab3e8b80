//! Sysctls: those that were set, taken back, set wrongly, in the wrong place or at the wrong time; and those whose
//! default matters, set.
//!
//! Left out: `conf/default`, which nothing reads once the interfaces are there, `icmp_ratelimit`, `disable_ipv6` and
//! what a load needs (`ip_local_port_range`), which have no say in where a packet goes.

use crate::base::{Forwarding, NodeName};
use crate::mutate::ground::{Ground, conf, forwards, level, route, sysctl};
use crate::mutate::voice::speech;
use crate::mutate::{Cause, Change, Expected, Maker, Thing};
use crate::plan::{LinkKind, Node};

pub(super) fn derive(maker: &mut Maker<'_>) {
    for node in &maker.ground.plan.nodes {
        arp(maker, node, "arp_ignore", &[0, 2, 3, 4, 8], &[1, 8]);
        arp(maker, node, "arp_announce", &[0, 1], &[2]);
        order(maker, node);
        for key in ["arp_filter", "proxy_arp", "arp_notify", "arp_accept", "accept_local"] {
            flag(maker, node, key);
        }
        rp_filter(maker, node);
        send_redirects(maker, node);
        forwarding(maker, node);
    }
}

/// The keys of that name that a role, a cure or the scenario set, with their values.
fn set(node: &Node, key: &str) -> Vec<(String, u32)> {
    let told = node.sysctls.iter().filter(|s| !s.baseline && s.key.starts_with("net.ipv4.conf."));
    let told = told.filter(|s| s.key.rsplit('.').next() == Some(key));
    told.filter_map(|s| Some((s.key.clone(), s.value.parse().ok().filter(|v| *v > 0)?))).collect()
}

fn to(node: &NodeName, key: &str, value: u32) -> Change {
    Change::Sysctl { node: node.clone(), key: key.to_owned(), value: value.to_string() }
}

fn whole(device: &str, key: &str) -> String {
    format!("net.ipv4.conf.{device}.{key}")
}

/// What the node's ARP comes to after the changes.
pub(super) fn spoken(maker: &Maker<'_>, node: &NodeName, changes: &[Change]) -> Option<Expected> {
    let plan = maker.after(changes)?;
    let node = plan.nodes.iter().find(|n| n.name == *node)?;
    Some(speech(&Ground::of(&plan), node))
}

fn arp(maker: &mut Maker<'_>, node: &Node, key: &str, wrong: &[u32], unset: &[u32]) {
    let name = &node.name;
    let told = set(node, key);
    let mut tried: Vec<(String, Vec<Change>)> = Vec::new();
    for (whole_key, now) in &told {
        for value in wrong.iter().filter(|v| *v != now) {
            tried.push((format!("{whole_key} {now} → {value}"), vec![to(name, whole_key, *value)]));
        }
        let other = node.interfaces.iter().find(|i| matches!(i.kind, LinkKind::Segment(_))).map(|i| i.name.as_str());
        for device in ["lo", "default"].into_iter().chain(other) {
            let elsewhere = whole(device, key);
            if elsewhere != *whole_key {
                let what = format!("{whole_key}={now} on {device} instead");
                tried.push((what, vec![to(name, whole_key, 0), to(name, &elsewhere, *now)]));
            }
        }
    }
    if told.is_empty() {
        for value in unset {
            tried.push((format!("{key}={value} for all"), vec![to(name, &whole("all", key), *value)]));
        }
    }
    for (what, changes) in tried {
        if let Some(expected) = spoken(maker, name, &changes) {
            maker.add(Thing::Sysctl, name, (key, what), changes, expected);
        }
    }
}

/// The ARP sysctls at the wrong time.
fn order(maker: &mut Maker<'_>, node: &Node) {
    let name = &node.name;
    let all: Vec<(String, u32)> = ["arp_ignore", "arp_announce"].into_iter().flat_map(|key| set(node, key)).collect();
    let off: Vec<Change> = all.iter().map(|(key, _)| to(name, key, 0)).collect();
    let Some(without) = spoken(maker, name, &off).filter(|_| !all.is_empty()) else { return };
    let later = |value: Option<u32>| {
        let one = |(key, now): &(String, u32)| Change::SysctlLater {
            node: name.clone(),
            key: key.clone(),
            value: value.unwrap_or(*now).to_string(),
        };
        all.iter().map(one).collect::<Vec<_>>()
    };
    let named = |id| match &without {
        Expected::Killed(_) => Expected::one(id, name),
        without @ Expected::Without(_) => without.clone(),
    };
    let (late, reverted) = (named("rs-vip-before-sysctl"), named("rs-sysctl-reverted"));
    let mut afterwards = off;
    afterwards.extend(later(None));
    maker.add(Thing::Order, name, ("arp", "the ARP sysctls set after the first requests".into()), afterwards, late);
    maker.add(
        Thing::Order,
        name,
        ("arp", "the ARP sysctls set back after the first requests".into()),
        later(Some(0)),
        reverted,
    );
    // They are not to be had together with another value of the same.
    for mutation in maker.all.iter_mut().rev().take(2) {
        mutation.touches.extend(["arp_ignore", "arp_announce"].map(|key| format!("{name} {key}")));
    }
}

fn flag(maker: &mut Maker<'_>, node: &Node, key: &str) {
    let name = &node.name;
    if conf(node, "all", key) > 0 {
        return;
    }
    let changes = vec![to(name, &whole("all", key), 1)];
    let expected = match key {
        "arp_filter" => match spoken(maker, name, &changes) {
            Some(Expected::Killed(causes)) => Expected::Killed(causes),
            _ => arp_filter(maker.ground, node),
        },
        "proxy_arp" => proxy_arp(maker.ground, node),
        "arp_notify" => Expected::without("interfaces come up before they have addresses, so nothing is announced"),
        "arp_accept" => Expected::without("nobody announces an address of another"),
        _ => Expected::without("no packet comes in from one of its own addresses"),
    };
    maker.add(Thing::Sysctl, name, (key, format!("{key}=1 for all")), changes, expected);
}

fn arp_filter(ground: &Ground<'_>, node: &Node) -> Expected {
    let questions = ground.hops().filter(|h| h.to.name == node.name);
    let silent = questions.filter(|h| {
        let asker = h.out.addresses.iter().map(|a| a.address.addr()).find(|a| !ground.is_vip(*a));
        asker.and_then(|a| route(node, a)).is_some_and(|(out, _)| out.name != h.into.name)
    });
    if silent.count() > 0 {
        Expected::one("arp-unanswered", &node.name)
    } else {
        Expected::without("the way back to whoever asks leaves by the interface that hears the question")
    }
}

fn proxy_arp(ground: &Ground<'_>, node: &Node) -> Expected {
    for vip in ground.plan.vips.iter().filter(|v| v.is_ipv4()) {
        if !forwards(node, *vip) {
            return Expected::without(format!("{} does not forward, so it answers for nobody", node.name));
        }
        let heard = |h: &&crate::mutate::ground::Hop<'_>| {
            h.from.name != node.name
                && h.to.name != node.name
                && node.interfaces.iter().any(|i| i.kind == h.out.kind)
                && route(node, *vip).is_some_and(|(out, _)| out.kind != h.out.kind)
        };
        if ground.asking(*vip).any(|h| heard(&h)) {
            return Expected::one("proxy-arp", &node.name);
        }
    }
    Expected::without("nobody asks there for what it would reach by another interface")
}

fn rp_filter(maker: &mut Maker<'_>, node: &Node) {
    let name = &node.name;
    if level(node, "all", "rp_filter") > 0 {
        return;
    }
    let arriving = maker.ground.hops().filter(|h| h.to.name == *name && h.source.is_ipv4());
    let mut refused = arriving.filter(|h| route(node, h.source).is_none_or(|(out, _)| out.name != h.into.name));
    let tunnel = node.interfaces.iter().any(|i| i.kind == LinkKind::Ipip && i.up);
    let tunnelled =
        maker.ground.destinations().any(|(_, _, d)| d.node.as_ref() == Some(name) && d.forwarding == Forwarding::Tun);
    let expected = if tunnel && tunnelled {
        Expected::Killed(vec![Cause::at("ipvs-method-tun", name), Cause::at("rs-rpfilter-two-nic", name)])
    } else if refused.next().is_some() {
        Expected::Killed(match (node.ipvs.is_some(), node.role) {
            (true, _) => vec![Cause::at("dir-rpfilter-two-arm", name)],
            (false, crate::base::Role::RealServer) => vec![Cause::at("rs-rpfilter-two-nic", name)],
            _ => vec![Cause::at("source-refused", name)],
        })
    } else {
        Expected::without("each packet comes in by the interface that the way back to its source leaves by")
    };
    let changes = vec![to(name, &whole("all", "rp_filter"), 1)];
    maker.add(Thing::Sysctl, name, ("rp_filter", "rp_filter=1 for all".into()), changes, expected);
}

fn send_redirects(maker: &mut Maker<'_>, node: &Node) {
    let name = &node.name;
    let keys: Vec<_> = node.sysctls.iter().filter(|s| s.key.ends_with(".send_redirects")).collect();
    // Where it was turned off on purpose what it would do hangs on whether the others heed it.
    if keys.is_empty() || keys.iter().any(|s| s.value != "1") {
        return;
    }
    let changes: Vec<Change> = keys.iter().map(|s| to(name, &s.key, 0)).collect();
    let why = "a redirect is advice; every packet takes the same way without it";
    maker.add(Thing::Sysctl, name, ("send_redirects", "send_redirects=0".into()), changes, Expected::without(why));
}

fn forwarding(maker: &mut Maker<'_>, node: &Node) {
    let (name, key) = (&node.name, "net.ipv4.ip_forward");
    if !maker.ground.plan.vips.iter().any(std::net::IpAddr::is_ipv4) {
        return;
    }
    let now = sysctl(node, key) == Some("1");
    let passing = maker.ground.legs.iter().flat_map(|l| l.hops.iter().skip(1)).any(|h| h.from.name == *name);
    let masquerades = maker.ground.destinations().any(|(n, _, d)| n.name == *name && d.forwarding == Forwarding::Nat);
    let served =
        maker.ground.destinations().any(|(_, _, d)| d.node.as_ref() == Some(name) && d.forwarding != Forwarding::Nat);
    let bare = served && maker.ground.vip_on(node).next().is_none();
    let expected = match now {
        true if passing || masquerades => Expected::one("not-forwarding", name),
        true => Expected::without("nothing has to be sent on"),
        false if bare => Expected::one("rs-vip-missing-forwarding", name),
        false => Expected::without("all that comes in is its own, so there is nothing to send on"),
    };
    let value = u32::from(!now);
    maker.add(Thing::Sysctl, name, ("ip_forward", format!("ip_forward={value}")), vec![to(name, key, value)], expected);
}
