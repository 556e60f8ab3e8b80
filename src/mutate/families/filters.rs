//! Rules of `arptables` and `iptables`: gone, about another address, in the wrong chain; and one that drops what comes
//! for the VIP where there is none.

use std::net::{IpAddr, Ipv4Addr};

use super::sysctls::spoken;
use crate::base::ServiceId;
use crate::mutate::ground::Part;
use crate::mutate::{Change, Expected, Maker, Thing};
use crate::plan::Node;

pub(super) fn derive(maker: &mut Maker<'_>) {
    for node in &maker.ground.plan.nodes {
        arptables(maker, node);
        marks(maker, node);
        dropped(maker, node);
    }
}

fn arptables(maker: &mut Maker<'_>, node: &Node) {
    let name = &node.name;
    for rule in &node.arptables {
        let mut others = vec![("gone".to_owned(), None)];
        let vip = rule.iter().position(|w| w.parse().is_ok_and(|ip: IpAddr| maker.ground.is_vip(ip)));
        if let Some((at, IpAddr::V4(vip))) = vip.and_then(|at| Some((at, rule[at].parse().ok()?))) {
            let mut other = rule.clone();
            other[at] = Ipv4Addr::from(u32::from(vip) + 1).to_string();
            others.push((format!("about {}", other[at]), Some(other)));
        }
        if let Some(at) = rule.iter().position(|w| w == "INPUT") {
            let mut other = rule.clone();
            "OUTPUT".clone_into(&mut other[at]);
            others.push(("in OUTPUT".to_owned(), Some(other)));
        }
        if let Some(at) = rule.iter().position(|w| w == "mangle") {
            let mut other: Vec<String> = rule[..at].to_vec();
            other.push("DROP".to_owned());
            others.push(("with -j DROP".to_owned(), Some(other)));
        }
        for (word, to) in others {
            let changes = vec![Change::ArpRule { node: name.clone(), rule: rule.clone(), to }];
            let what = format!("arptables {} {word}", rule.join(" "));
            if let Some(expected) = spoken(maker, name, &changes) {
                maker.add(Thing::Filter, name, (&rule.join(" "), what), changes, expected);
            }
        }
    }
}

/// Rules that set the mark of a service.
fn marks(maker: &mut Maker<'_>, node: &Node) {
    let name = &node.name;
    for rule in &node.iptables {
        let mark = rule.windows(2).find(|w| w[0] == "--set-mark").map(|w| w[1].clone());
        let services = || node.ipvs.iter().flat_map(|i| &i.services);
        let wanted =
            services().any(|s| matches!(s.id, ServiceId::Fwmark { mark: m, .. } if Some(m.to_string()) == mark));
        if !wanted {
            continue;
        }
        let expected = || Expected::one("ipvs-fwmark-unmarked", name);
        let change = |to| vec![Change::IpRule { node: name.clone(), rule: rule.clone(), to }];
        let key = rule.join(" ");
        maker.add(Thing::Filter, name, (&key, format!("{key} gone")), change(None), expected());
        if let Some(at) = rule.iter().position(|w| w == "--set-mark") {
            let mut other = rule.clone();
            "77".clone_into(&mut other[at + 1]);
            maker.add(Thing::Filter, name, (&key, format!("{key} with mark 77")), change(Some(other)), expected());
        }
    }
}

fn dropped(maker: &mut Maker<'_>, node: &Node) {
    let name = &node.name;
    for vip in maker.ground.vip_on(node).filter(IpAddr::is_ipv4).collect::<Vec<_>>() {
        let arrives = |l: &&crate::mutate::ground::Leg<'_>| {
            let part = if node.ipvs.is_some() { Part::Ask } else { Part::Hand };
            l.part == part && l.whole && l.hops.last().is_some_and(|h| h.to.name == *name)
        };
        let expected = match (maker.ground.legs.iter().any(|l| arrives(&l)), node.ipvs.is_some()) {
            (false, _) => Expected::without("nothing for the VIP comes here"),
            (true, true) => Expected::one("dir-fw-input", name),
            (true, false) => Expected::one("rs-fw", name),
        };
        let rule: Vec<String> = ["-A", "INPUT", "-d", &vip.to_string(), "-j", "DROP"].map(str::to_owned).to_vec();
        let what = format!("iptables {}", rule.join(" "));
        let changes = vec![Change::AddIpRule { node: name.clone(), rule }];
        maker.add(Thing::Filter, name, (&what.clone(), what), changes, expected);
    }
}
