//! `ipvs-persistence-pins`: persistence takes many users for one client.

use super::diagnosis::{Diagnosis, mended};
use super::ipvs_service_missing::ipvs_flag;
use super::{Affliction, Rule};
use crate::base::ServiceId;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "ipvs-persistence-pins",
    title: "persistence sends all of a client's connections to one real server",
    teaches: "A persistent service asks its scheduler once for each client, by address or by the prefix of -M, and sends \
              all that follows the same way. Users behind a NAT or a proxy are one client to it, and so is a test from one \
              machine. Do without persistence where sessions do not need it, make it short, or have the scheduler choose \
              by address and port: mh or sh with its port flag.",
    causes: "one real server gets all, however many there are",
    source: "net/netfilter/ipvs/ip_vs_core.c: ip_vs_sched_persist; ipvsadm(8): --persistent, --netmask",
    outranks: &[],
    what: |nodes| format!("persistence binds more to one real server than it was to get, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Sticky { service, client } = deviation.kind else { return None };
    let (node, trace) = (deviation.node, diagnosis.traffic.input.trace);
    let seconds = service.persistence_s?;
    let mut evidence =
        vec![Evidence::fact(format!("{} on {node}", service.service), format!("persistent {seconds} s"))];
    let connections = diagnosis.traffic.connections();
    let own: Vec<_> = connections.new.iter().filter(|c| c.client.ip() == client).collect();
    let to = own.first().and_then(|c| c.to).map_or("one real server", |s| s.node.as_str());
    let text = format!("the first of {} connections from {client}, all of which went to {to}", own.len());
    evidence.extend(own.first().map(|c| Evidence::frame(trace, c.entered.frame, text)));
    let id = match service.service {
        ServiceId::Address { protocol, at } => format!("{} {at}", ipvs_flag(protocol)),
        ServiceId::Fwmark { mark, v6 } => format!("-f {mark}{}", if v6 { " -6" } else { "" }),
    };
    let mend = vec![
        mended(node, Dialect::Ipvsadm, format!("ipvsadm -E {id} -s {}", service.scheduler)),
        mended(node, Dialect::Keepalived, "in virtual_server: no persistence_timeout"),
    ];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
