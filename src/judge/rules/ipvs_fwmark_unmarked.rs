//! `ipvs-fwmark-unmarked`: a service by mark whose packets nobody marks.

use super::diagnosis::Diagnosis;
use super::diagnosis::mended;
use super::{Affliction, Rule};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "ipvs-fwmark-unmarked",
    title: "nothing marks the packets of a service by mark",
    teaches: "A service by firewall mark balances what carries the mark, whatever its address. The mark is set by \
              iptables in the table mangle, before IPVS looks. Without that rule, or with one for another port, \
              packets go up to the Director's own sockets and are refused.",
    causes: "connections are refused at once with the Director's MAC",
    source: "ipvsadm(8): --fwmark-service; net/netfilter/ipvs/ip_vs_ctl.c: __ip_vs_svc_fwm_find",
    outranks: &[],
    what: |nodes| format!("no rule sets the mark that a service asks for, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Unmarked { mark, at, protocol } = deviation.kind else { return None };
    let node = deviation.node;
    let rules = diagnosis.facts(node)?.iptables.as_ref().map_or(&[][..], Vec::as_slice);
    let shown = if rules.is_empty() { "none".to_owned() } else { rules.join(", ") };
    let evidence = vec![
        Evidence::fact(format!("a service of {node}"), format!("FWM {mark}")),
        Evidence::fact(format!("packet filter rules of {node}"), shown),
    ];
    let tool = if at.is_ipv4() { "iptables" } else { "ip6tables" };
    let command = format!(
        "{tool} -t mangle -A PREROUTING -d {} -p {} --dport {} -j MARK --set-mark {mark}",
        at.ip(),
        protocol.to_string().to_lowercase(),
        at.port()
    );
    Some(Diagnosis::afflict(deviation, evidence, vec![mended(node, Dialect::Iptables, command)]))
}
