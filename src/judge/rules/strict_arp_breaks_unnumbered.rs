//! `strict-arp-breaks-unnumbered`: `arp_ignore` on all silences an interface without an address, whose gateway address is elsewhere on the host.

use super::diagnosis::{Diagnosis, sysctls};
use super::{Affliction, Rule};
use crate::judge::Evidence;
use crate::judge::host::Host;
use crate::judge::model::answer::Silence;
use crate::judge::model::{Deviation, Kind};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "strict-arp-breaks-unnumbered",
    title: "arp_ignore on all silences a gateway address that is on another interface",
    teaches: "arp_ignore=1 answers only for addresses of the interface that the question comes in by. A host that \
              routes for containers or guests often has an interface to them without any address and the gateway's \
              address on another one (lo, a dummy, the network card). With arp_ignore=1 on `all` nobody answers for \
              the gateway any more. Set it on the interface that faces the VIP's segment only. Trap: `all` cannot be \
              undone for one interface, since the larger of the two values counts.",
    causes: "hosts behind that interface lose their gateway",
    source: "net/ipv4/arp.c: arp_ignore; Documentation/networking/ip-sysctl.rst: arp_ignore",
    outranks: &[],
    what: |nodes| format!("arp_ignore on all silences the gateway address, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Silent { asked, asker, why: Silence::Ignored(_), .. } = deviation.kind else { return None };
    let (place, interface) = (diagnosis.place(deviation)?, deviation.interface?);
    let node = deviation.node;
    let numbered =
        |name: &str| place.facts.addresses.iter().any(|a| a.interface == *name && a.address.addr().is_ipv4());
    let elsewhere = Host(place.facts).carries(asked).any(|a| a.interface != *interface);
    if diagnosis.world.case.is_vip(asked) || numbered(interface.as_str()) || !elsewhere {
        return None;
    }
    let mut evidence = vec![Evidence::told(format!("{asker} asks who has {asked}; {interface} has no address"))];
    evidence.extend(diagnosis.address_shown(node, asked));
    evidence.extend(diagnosis.conf_shown(deviation, "arp_ignore"));
    let mut values = vec![("net.ipv4.conf.all.arp_ignore".to_owned(), 0)];
    values.push((format!("net.ipv4.conf.{interface}.arp_ignore"), 0));
    let others = place.station.ports.iter().map(|p| &p.interface).filter(|i| **i != *interface);
    values.extend(others.map(|i| (format!("net.ipv4.conf.{i}.arp_ignore"), 1)));
    Some(Diagnosis::afflict(deviation, evidence, sysctls(node, &values, "90-lvs-dr")))
}
