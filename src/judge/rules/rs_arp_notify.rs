//! `rs-arp-notify`: the kernel of a real server announces the VIP when its link comes up.

use super::diagnosis::{Diagnosis, mended, single, sysctls};
use super::{Affliction, Rule};
use crate::judge::host::Host;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-arp-notify",
    title: "arp_notify makes a real server announce the VIP at each link-up",
    teaches: "With arp_notify=1 the kernel sends a gratuitous ARP for each address of an interface whenever that \
              comes up or changes its MAC (NETDEV_UP, NETDEV_CHANGEADDR). With the VIP on the real server's network \
              interface that includes the VIP, and arp_ignore and arp_announce have no say in it. After a pulled \
              cable or a reboot every router's entry points to the real server. Have the VIP on lo, where nothing is \
              ever announced, or arp_notify=0. Trap: the larger value of conf/all and of the interface counts.",
    causes: "at each link-up every router and client on the segment is sent to that real server",
    source: "net/ipv4/devinet.c: inetdev_event, inetdev_send_gratuitous_arp; Documentation/networking/ip-sysctl.rst: \
             arp_notify",
    outranks: &["rs-arp-cache-survives-fix"],
    what: |nodes| format!("the kernel announces the VIP when the link comes up, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Announces { vip, frame } = deviation.kind else { return None };
    let (node, interface) = (deviation.node, deviation.interface?);
    let mut carried = Host(diagnosis.facts(node)?).carries(vip);
    let on_it = carried.any(|a| a.interface == *interface);
    if !on_it || diagnosis.level(deviation, "arp_notify") == 0 {
        return None;
    }
    let trace = diagnosis.traffic.input.trace;
    let what = format!("{node} says unasked that it has {vip}");
    let mut evidence: Vec<Evidence> = trace.frame(frame).map(|f| Evidence::frame(trace, f, what)).into_iter().collect();
    evidence.extend(diagnosis.conf_shown(deviation, "arp_notify"));
    evidence.extend(diagnosis.address_shown(node, vip));
    let values = ["all", interface.as_str()].map(|d| (format!("net.ipv4.conf.{d}.arp_notify"), 0));
    let mut mend = sysctls(node, &values, "90-lvs-dr");
    let (from, to) =
        (format!("ip address del {} dev {interface}", single(vip)), format!("ip address add {} dev lo", single(vip)));
    mend.push(mended(node, Dialect::Ip, format!("{from} && {to}")));
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
