//! `ipvs-persistence-quiesced`: a drained real server keeps its persistent clients.

use super::diagnosis::{Diagnosis, sysctl};
use super::{Affliction, Rule};
use crate::judge::Evidence;
use crate::judge::model::{Deviation, Kind};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "ipvs-persistence-quiesced",
    title: "a drained real server keeps its persistent clients",
    teaches: "Persistence binds a client's address to a real server by an entry of its own, the template. New connections \
              of that client follow the template and no scheduler is asked, so weight 0 does not keep them away, and each \
              of them makes the template last longer. expire_quiescent_template=1 drops the template as soon as its real \
              server has weight 0. The trap: the client's session on that real server ends with it.",
    causes: "clients keep coming to the real server that is to be taken out, with new connections",
    source: "Documentation/networking/ipvs-sysctl.rst: expire_quiescent_template; net/netfilter/ipvs/ip_vs_conn.c: ip_vs_check_template",
    outranks: &["ipvs-persistence-pins"],
    what: |nodes| format!("persistence goes on sending clients to a real server of weight 0, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Pinned { entry, service } = deviation.kind else { return None };
    let (node, trace) = (deviation.node, diagnosis.traffic.input.trace);
    let mut evidence = vec![
        Evidence::fact(
            format!("{} has weight 0 on {node}, and {} is bound to it", entry.destination, entry.client.ip()),
            format!(
                "{} {} {} for {} s",
                entry.protocol,
                entry.client,
                entry.destination,
                service.persistence_s.unwrap_or(0)
            ),
        ),
        Evidence::fact(format!("{node} keeps the binding"), "net.ipv4.vs.expire_quiescent_template = 0"),
    ];
    let connections = diagnosis.traffic.connections();
    let last = connections
        .new
        .iter()
        .rfind(|c| c.client.ip() == entry.client.ip() && c.to.is_some_and(|s| s.has(entry.destination.ip())));
    let text = format!("a new connection that went to {}", entry.destination.ip());
    evidence.extend(last.map(|c| Evidence::frame(trace, c.entered.frame, text)));
    let mend = sysctl(node, "net.ipv4.vs.expire_quiescent_template", 1, "90-lvs-director");
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
