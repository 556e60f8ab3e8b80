//! `cloud-src-dst-check`: the provider passes to a host only what is addressed to it, and from it only what has its address.

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule};
use crate::facts::LooksAt;
use crate::judge::model::switch::Block;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "cloud-src-dst-check",
    title: "the network checks source and destination addresses (cloud)",
    teaches: "Providers let an instance send only with its own addresses and give it only what is sent to them (AWS: \
              source/destination check; elsewhere anti-spoofing, BCP 38). Direct routing needs both to be off for \
              real servers: the Director's packet is addressed to the VIP, and the reply comes from it. On the hosts \
              everything is right, the counters of IPVS rise, and the packet is nowhere. Switch the check off for the \
              instances, or give them the VIP as a secondary address where the provider allows one on several. Trap: \
              ping and health checks use the RIP and pass.",
    causes: "what the Director hands to the real server never gets there, and its replies from the VIP would not \
             leave",
    source: "RFC 2827 (BCP 38); AWS: NetworkInterface SourceDestCheck",
    outranks: &["virt-port-security"],
    what: |nodes| format!("what is sent to a foreign address is not given to the hosts, at ports of the {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Blocked { port, why: Block::Filter { filter, address }, from, to, sent } = deviation.kind else {
        return None;
    };
    let checks = |looks_at| port.filters.iter().any(|f| f.looks_at == looks_at);
    if !(checks(LooksAt::SourceIp) && checks(LooksAt::DestinationIp)) || filter.looks_at == LooksAt::ArpSender {
        return None;
    }
    let mut evidence: Vec<Evidence> = diagnosis.vanished(from, to, sent).into_iter().collect();
    let lines = port.lines().into_iter().filter(|l| l.contains(filter.looks_at.name()));
    evidence.extend(lines.map(|l| Evidence::fact(format!("{address} does not pass at the port of {}", port.node), l)));
    let name = &port.name;
    let mend = vec![
        mended(deviation.node, Dialect::Ip, format!("tc qdisc del dev {name} clsact")),
        mended(
            &port.node,
            Dialect::ByHand,
            "aws ec2 modify-network-interface-attribute --no-source-dest-check --network-interface-id ID".to_owned(),
        ),
        mended(&port.node, Dialect::ByHand, "or tunnel (-i), or the provider's own load balancer".to_owned()),
    ];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
