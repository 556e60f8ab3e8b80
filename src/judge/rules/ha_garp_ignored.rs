//! `ha-garp-ignored`: the VIP moved and was announced, and somebody does not take announcements.

use super::diagnosis::{Diagnosis, mended, sysctls};
use super::{Affliction, Rule, ways};
use crate::judge::host::Host;
use crate::judge::model::filter::{Fate, Shown, chain};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "ha-garp-ignored",
    title: "the VIP moved, and its announcement was not taken",
    teaches: "A takeover is told by gratuitous ARP alone: whoever has an entry for the VIP learns the new MAC from it. A \
              router that drops such frames keeps the old Director's MAC: drop_gratuitous_arp=1, which hardening guides \
              set against forged ARP, or a rule of arptables. It goes on sending there until the entry expires: half a \
              minute to a minute on Linux, hours on other gear. Trap: before the first takeover nothing shows it, and a \
              router that was just started has no entry yet and gets it right.",
    causes: "its packets go to the Director that had the VIP; all who come by way of it wait until its entry expires",
    source: "Documentation/networking/ip-sysctl.rst: drop_gratuitous_arp; net/ipv4/arp.c: arp_process",
    outranks: &["rs-arp-cache-survives-fix"],
    what: |nodes| format!("the announcement that the VIP has moved is dropped on {nodes}"),
    claims,
};

/// Drops what announces an address (`net/ipv4/arp.c`).
const DROP: &str = "drop_gratuitous_arp";

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Unheeded { vip, from, to, heard, frame } = deviation.kind else { return None };
    let (node, interface) = (deviation.node, deviation.interface?);
    let facts = diagnosis.facts(node)?;
    let host = Host(facts);
    let flush = format!("ip neighbour flush to {vip} dev {interface}");
    let told = Shown {
        source: Some(vip),
        destination: Some(vip),
        into: Some(interface.as_str()),
        operation: Some(1),
        ..Shown::default()
    };
    let (mut evidence, mend) = if host.conf_or(interface.as_str(), DROP) {
        let on = |device: &&str| host.conf(device, DROP).is_some_and(|value| value > 0);
        let set = ["all", interface.as_str()].into_iter().filter(on);
        let values: Vec<(String, u32)> = set.map(|device| (ways::conf(device, DROP), 0)).collect();
        let mut mend = sysctls(node, &values, "90-take-announcements");
        for one in &mut mend {
            one.command = format!("{} && {flush}", one.command);
        }
        (diagnosis.conf_shown(deviation, DROP), mend)
    } else {
        let Fate::Dropped(rule) = chain(facts.arptables.as_deref()?, "filter", "INPUT", told) else { return None };
        let lifted = ways::lift("arptables", rule, Some(vip), vip);
        let mend = vec![mended(node, Dialect::Arptables, format!("{lifted} && {flush}"))];
        (vec![Evidence::fact(format!("{node} drops ARP from {vip}"), rule)], mend)
    };
    let trace = diagnosis.traffic.input.trace;
    let mut show = |number: u32, what: String| {
        evidence.extend(trace.frame(number).map(|f| Evidence::frame(trace, f, what)));
    };
    show(heard, format!("{to} announces {vip}, and {node} hears it"));
    show(frame, format!("after that {node} still sends to {from}"));
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
