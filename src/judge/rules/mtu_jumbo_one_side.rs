//! `mtu-jumbo-one-side`: an interface takes in less than its neighbours send.

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "mtu-jumbo-one-side",
    title: "an interface takes smaller frames than its neighbours send",
    teaches: "All interfaces of a segment have to have one MTU. What is larger than an interface takes is dropped as it \
              comes in, by the card or the driver, with a counter and without a word to anybody: no ICMP comes of it, so \
              path MTU discovery does not help. TCP agrees on a size between client and real server, and the Director \
              and routers are not asked. Set one MTU everywhere, the switch's ports included.",
    causes: "large packets never get in: requests work, uploads or large pages hang",
    source: "RFC 4821 section 1; drivers/net/veth.c and net/core/dev.c: is_skb_forwardable",
    outranks: &[],
    what: |nodes| format!("smaller frames than the neighbours send are all that is taken in, on {nodes}"),
    claims,
};

fn claims<'a>(_: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Tight { mtu, size, from } = deviation.kind else { return None };
    let (node, interface) = (deviation.node, deviation.interface?);
    let what = format!("{from} sends packets of {size} bytes to {node}");
    let evidence = vec![Evidence::fact(what, format!("{interface} mtu {mtu}"))];
    let mend = vec![
        mended(node, Dialect::Ip, format!("ip link set dev {interface} mtu {size}")),
        mended(node, Dialect::NetTools, format!("ifconfig {interface} mtu {size}")),
    ];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
