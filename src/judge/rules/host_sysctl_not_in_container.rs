//! `host-sysctl-not-in-container`: the ARP sysctls are set on the host, and the real server is a container with its own.

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule};
use crate::judge::host::Host;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "host-sysctl-not-in-container",
    title: "the ARP sysctls are set on the host, not in the container",
    teaches: "Every network namespace has its own net.ipv4.conf. A container gets its copy when it is made and never \
              sees what is written on the host afterwards: `sysctl` on the host says 1 and 2, in the container they \
              are 0, and it answers ARP for the VIP. Set them inside: `docker run --sysctl`, \
              `securityContext.sysctls` in a pod (both names have to be allowed there), or an init container. Trap: a \
              container that is made after the host was set may get the host's values, another kernel's default \
              (net.core.devconf_inherit_init_net) says otherwise.",
    causes: "the container answers ARP for the VIP and takes connections past the Director",
    source: "net/ipv4/devinet.c: devinet_init_net; Documentation/admin-guide/sysctl/net.rst: devconf_inherit_init_net",
    outranks: &["rs-arp-cache-survives-fix", "rs-announce-0"],
    what: |nodes| format!("the ARP sysctls are on the host and not in the container: {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Answers { asked, .. } = deviation.kind else { return None };
    let station = diagnosis.world.case.station(deviation.node)?;
    let host = station.runs_on.as_ref()?;
    let values = Host(diagnosis.facts(host)?);
    let cured = values.conf("all", "arp_ignore").filter(|v| matches!(v, 1 | 2))?;
    if diagnosis.level(deviation, "arp_ignore") != 0 {
        return None;
    }
    let mut evidence =
        vec![Evidence::fact(format!("on {host}, its host"), format!("net.ipv4.conf.all.arp_ignore = {cured}"))];
    evidence.extend(diagnosis.conf_shown(deviation, "arp_ignore"));
    let mut mend = diagnosis.arp_cure(deviation, asked);
    let run = "docker run --sysctl net.ipv4.conf.all.arp_ignore=1 --sysctl net.ipv4.conf.all.arp_announce=2 …";
    mend.push(mended(host, Dialect::ByHand, run));
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
