//! `dir-fw-stateful`: the Director's packet filter goes by the state of connections of which it sees one half.

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule};
use crate::base::Protocol;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "dir-fw-stateful",
    title: "the Director's filter tracks connections that it sees half of",
    teaches: "Replies never pass the Director, and IPVS takes each request away before conntrack confirms it. So the \
              first SYN is NEW and passes, and what follows is NEW again, though no SYN, or INVALID: rules that accept \
              ESTABLISHED and drop the rest cut every connection after its first packet, or keep its FIN. Accept the \
              service before any rule that asks for a state, or leave it untracked. The trap: vs.conntrack=1 makes it \
              worse, for then the ACK is INVALID.",
    causes: "connections come to be and then hang: ACKs and data enter the Director and do not leave it",
    source: "net/netfilter/nf_conntrack_proto_tcp.c: tcp_new; net/netfilter/ipvs/ip_vs_core.c: ip_vs_ops (LOCAL_IN, after filter INPUT)",
    outranks: &[],
    what: |nodes| format!("the packet filter goes by the state of connections of which it sees one half, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::HalfSeen { rule, state, stage, protocol, at } = deviation.kind else { return None };
    let node = deviation.node;
    let (vip, port) = (at.ip(), at.port());
    let (tool, word) =
        (if vip.is_ipv4() { "iptables" } else { "ip6tables" }, if protocol == Protocol::Tcp { "tcp" } else { "udp" });
    let what = format!("{node} drops {} to {at}, which it takes for {}", stage.noun(), state.word());
    let mut evidence = vec![Evidence::fact(what, format!("{tool} {rule}"))];
    let traffic = &diagnosis.traffic;
    let ended = traffic.requests().filter(|(p, _)| p.ip.tcp().is_some_and(|t| !t.opens())).find_map(|(p, _)| {
        let into = p.entry(|s| s.node == *node)?;
        p.exit(|s| s.node == *node).is_none().then_some(into.frame)
    });
    evidence.extend(ended.map(|frame| {
        Evidence::frame(
            traffic.input.trace,
            frame,
            format!("enters {node} after the first packet and does not leave it"),
        )
    }));
    let what = format!("-d {vip} -p {word} --dport {port}");
    let mend = vec![
        mended(node, Dialect::Iptables, format!("{tool} -I INPUT {what} -j ACCEPT")),
        mended(
            node,
            Dialect::Nft,
            format!(
                "nft insert rule {} filter INPUT {} daddr {vip} {word} dport {port} accept",
                family(vip),
                family(vip)
            ),
        ),
        mended(
            node,
            Dialect::ByHand,
            format!(
                "or untracked: {tool} -t raw -I PREROUTING {what} -j CT --notrack; \
                 {tool} -I INPUT {what} -m conntrack --ctstate UNTRACKED -j ACCEPT"
            ),
        ),
    ];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}

fn family(address: std::net::IpAddr) -> &'static str {
    if address.is_ipv4() { "ip" } else { "ip6" }
}
