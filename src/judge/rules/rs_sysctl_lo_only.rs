//! `rs-sysctl-lo-only`: `arp_ignore` is set on lo, where no ARP ever comes in.

use super::Rule;
use super::answering::{Answering, answering};
use crate::judge::host::Host;

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-sysctl-lo-only",
    title: "the ARP sysctls are set on lo only",
    teaches: "arp_ignore is read for the interface that a request comes in by, and arp_announce for the one that a \
              question leaves by. Neither is ever lo, though the VIP lives there and many tutorials say so. Only conf/all \
              and conf/INTERFACE count, the larger of the two.",
    causes: "the real server answers ARP for the VIP as if nothing had been set",
    source: "include/linux/inetdevice.h: IN_DEV_ARP_IGNORE (IN_DEV_MAXCONF); net/ipv4/arp.c: arp_process",
    outranks: &["rs-arp-default"],
    what: |nodes| format!("arp_ignore is set on lo only, where it does nothing, on {nodes}"),
    afflicted: |traffic| {
        let set_on_lo = |a: &&Answering<'_>| Host(a.facts).conf("lo", "arp_ignore").is_some_and(|v| v > 0);
        answering(traffic).iter().filter(set_on_lo).map(Answering::affliction).collect()
    },
};
