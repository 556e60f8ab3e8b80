//! `dir-local-client`: the Director asks for a VIP that it balances itself.

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "dir-local-client",
    title: "the Director asks its own VIP",
    teaches: "A client on the Director gets the VIP as its own address, for the VIP is local there. IPVS takes the packet \
              up at LOCAL_OUT and sends it to a real server with the VIP as source and destination; the Director even \
              asks who has the RIP in the VIP's name. The real server has the VIP too, and believes no packet from its \
              own address. From the DIP it ends at the Director instead: the reply comes in from the VIP, which is its \
              own. Direct routing can't serve its own Director: test from another machine.",
    causes: "requests from the Director time out, though those of others are served",
    source: "net/netfilter/ipvs/ip_vs_core.c: ip_vs_ops (LOCAL_OUT); net/ipv4/route.c: martian source",
    outranks: &[],
    what: |nodes| format!("the VIP is asked for by the Director that balances it: {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::OwnClient { at, balanced: true } = deviation.kind else { return None };
    let (node, trace) = (deviation.node, diagnosis.traffic.input.trace);
    let mut evidence = diagnosis.address_shown(node, at.ip());
    let asking = trace.frames.iter().find(|f| {
        let asks = f.decoded.arp().is_some_and(|a| a.operation == 1 && a.sender_ip == at.ip() && !a.is_gratuitous());
        let sends = f.ip().is_some_and(|ip| ip.source == at.ip() && ip.destination == at.ip());
        (asks || sends) && diagnosis.traffic.hop(f).is_some_and(|h| h.station.node == *node)
    });
    let what = format!("{node} sends in the VIP's name, which every real server has for its own");
    evidence.extend(asking.map(|f| Evidence::frame(trace, f, what)));
    let rip = diagnosis.world.case.services.iter().flat_map(|s| &s.destinations).map(|d| d.at).next();
    let mut mend =
        vec![mended(node, Dialect::ByHand, format!("ask {at} from another machine; nothing has to be mended"))];
    let rip = rip.map(|rip| format!("to look at one real server from the Director, ask its RIP: curl http://{rip}/"));
    mend.extend(rip.map(|text| mended(node, Dialect::ByHand, text)));
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
