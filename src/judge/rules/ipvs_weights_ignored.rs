//! `ipvs-weights-ignored`: the scheduler does not look at weights that differ.

use super::diagnosis::{Diagnosis, mended};
use super::ipvs_service_missing::ipvs_flag;
use super::observed::shares::too_many;
use super::{Affliction, Rule};
use crate::base::ServiceId;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "ipvs-weights-ignored",
    title: "the scheduler ignores weights",
    teaches: "rr, lc and dh look at a weight only to leave out a real server of weight 0. Weights of 3 and 1 are stored and \
              shown, and make no difference. The weighted ones are wrr and wlc, sh and mh by their tables, sed and nq. The \
              trap: ipvsadm -E without -s takes the default scheduler, wlc.",
    causes: "real servers get equal shares, whatever their weights",
    source: "ipvsadm(8): --scheduler, --weight; net/netfilter/ipvs/ip_vs_rr.c, ip_vs_lc.c, ip_vs_dh.c",
    outranks: &[],
    what: |nodes| format!("weights differ, and the scheduler does not look at them, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Unweighted { service } = deviation.kind else { return None };
    let node = deviation.node;
    let input = diagnosis.traffic.input;
    let stations = || input.case.stations.iter().filter(|s| service.destinations.iter().any(|d| s.has(d.at.ip())));
    // Where nobody says what the shares are to be, equal ones may be what is wanted.
    if !stations().any(|s| too_many(input, &s.node)) {
        return None;
    }
    let all: Vec<String> = service.destinations.iter().map(|d| format!("{} weight {}", d.at, d.weight)).collect();
    let evidence = vec![
        Evidence::fact(format!("{} on {node}", service.service), format!("scheduler {}", service.scheduler)),
        Evidence::fact(format!("real servers of {} on {node}", service.service), all.join(", ")),
    ];
    let scheduler = match service.scheduler.as_str() {
        "rr" => "wrr",
        "dh" => "sh",
        _ => "wlc",
    };
    let (id, header) = match service.service {
        ServiceId::Address { protocol, at } => {
            (format!("{} {at}", ipvs_flag(protocol)), format!("virtual_server {} {}", at.ip(), at.port()))
        }
        ServiceId::Fwmark { mark, v6 } => {
            (format!("-f {mark}{}", if v6 { " -6" } else { "" }), format!("virtual_server fwmark {mark}"))
        }
    };
    let kept = service.persistence_s.map(|s| format!(" -p {s}")).unwrap_or_default();
    let mend = vec![
        mended(node, Dialect::Ipvsadm, format!("ipvsadm -E {id} -s {scheduler}{kept}")),
        mended(node, Dialect::Keepalived, format!("in {header}: lb_algo {scheduler}")),
    ];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
