//! `pmtu-icmp-blackhole`: a packet filter drops the ICMP by which a sender learns that its packets are too large.

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};
use crate::wire::frame::Transport;

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "pmtu-icmp-blackhole",
    title: "ICMP fragmentation needed is dropped on its way to the sender",
    teaches: "A router whose next link is too narrow tells the packet's source to send smaller ones. The source of a reply \
              is the VIP, so that word goes to the Director; IPVS finds the connection that it quotes and hands it on to \
              the right real server. A filter that drops all ICMP, or what is INVALID (to a Director every such word \
              is), keeps it from there: the real server repeats its large packet until it gives up. Let type 3 code 4 \
              in, on the Director and on real servers. A smaller MSS on the narrow router helps TCP alone.",
    causes: "small answers arrive, large ones hang for clients behind a link with a smaller MTU",
    source: "RFC 1191; RFC 2923 section 2.1; net/netfilter/ipvs/ip_vs_core.c: ip_vs_in_icmp",
    outranks: &[],
    what: |nodes| format!("ICMP that would make packets smaller is dropped on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Muted { rule, to, narrow, interface, mtu } = deviation.kind else { return None };
    let node = deviation.node;
    let trace = diagnosis.traffic.input.trace;
    let mut evidence = vec![
        Evidence::fact(format!("{node} drops what {narrow} sends to {to}"), format!("iptables {rule}")),
        Evidence::fact(format!("{narrow} can't send larger packets by {interface}"), format!("{interface} mtu {mtu}")),
    ];
    let word = trace.frames.iter().find(|f| {
        f.ip()
            .is_some_and(|ip| ip.destination == to && matches!(ip.transport, Transport::Icmp { kind: 3, code: 4, .. }))
    });
    evidence.extend(word.map(|f| Evidence::frame(trace, f, format!("{narrow} tells {to} to send smaller packets"))));
    let chain = ["INPUT", "OUTPUT", "FORWARD"].into_iter().find(|c| rule.contains(c)).unwrap_or("INPUT");
    let clamp =
        format!("iptables -t mangle -A FORWARD -d {to} -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --clamp-mss-to-pmtu");
    let mend = vec![
        mended(
            node,
            Dialect::Iptables,
            format!("iptables -I {chain} -p icmp --icmp-type fragmentation-needed -j ACCEPT"),
        ),
        mended(
            node,
            Dialect::Nft,
            format!("nft insert rule ip filter {chain} icmp type destination-unreachable icmp code frag-needed accept"),
        ),
        mended(narrow, Dialect::Iptables, clamp),
    ];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
