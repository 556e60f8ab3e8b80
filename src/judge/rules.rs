//! The rules: root causes, one file each, over what the model predicts and the capture shows.
//!
//! Owns: naming each mistake once. Each deviation is claimed by the first rule in the list that knows it; nodes with the
//! same mistake share one finding, and a rule that outranks another takes its nodes away and keeps them as effects.
//! Refuses: looking for mistakes (see `model/`) and guessing from frames alone.

mod address_prefix_narrow;
mod address_prefix_wide;
mod all_nodes_own_vip;
mod app_bound_rip;
mod app_content_differs;
mod app_not_listening;
mod app_udp_source;
mod app_wrong_host;
mod arp_flux;
mod arp_unanswered;
mod by_frames;
mod cloud_l3_only;
mod cloud_src_dst_check;
mod diagnosis;
mod dir_arp_suppressed;
mod dir_dad_conflict;
mod dir_fw_input;
mod dir_fw_stateful;
mod dir_local_client;
mod dir_rpfilter_two_arm;
mod dir_vip_missing;
mod dir_vip_primary;
mod ha_backup_redirect_left;
mod ha_check_on_rip;
mod ha_failover_no_sync;
mod ha_garp_ignored;
mod ha_no_garp;
mod ha_peer_loop;
mod ha_split_brain;
mod ha_vmac;
mod host_sysctl_not_in_container;
mod ipvs_conn_reuse_1s;
mod ipvs_fwmark_unmarked;
mod ipvs_idle_timeout;
mod ipvs_method_masq;
mod ipvs_method_tun;
mod ipvs_no_dest;
mod ipvs_nodest_drop;
mod ipvs_persistence_pins;
mod ipvs_persistence_quiesced;
mod ipvs_port_mapping;
mod ipvs_rip_nobody;
mod ipvs_service_missing;
mod ipvs_udp_sticky;
mod ipvs_weights_ignored;
pub mod lessons;
mod link_down;
mod links;
mod mask;
mod moved;
mod mtu_dir_to_rs;
mod mtu_jumbo_one_side;
mod no_address;
mod no_route;
mod not_forwarding;
mod observed;
mod pmtu_icmp_blackhole;
mod proxy_arp;
mod rip_neigh_stale;
mod router_static_arp;
mod rs_announce_0;
mod rs_announce_1_same_subnet;
mod rs_arp_cache_survives_fix;
mod rs_arp_default;
mod rs_arp_filter_instead;
mod rs_arp_notify;
mod rs_arptables_in_only;
mod rs_arptables_out_drop;
mod rs_fw;
mod rs_garp_on_boot;
mod rs_gw_director;
mod rs_gw_missing;
mod rs_gw_wrong;
mod rs_ignore_3_global_scope;
mod rs_ignore_8;
mod rs_ignore_reserved;
mod rs_local_client;
mod rs_nic_noarp;
mod rs_remote_subnet;
mod rs_rpfilter_two_nic;
mod rs_same_mac;
mod rs_sysctl_default_only;
mod rs_sysctl_lo_only;
mod rs_sysctl_reverted;
mod rs_vip_before_sysctl;
mod rs_vip_missing;
mod rs_vip_missing_forwarding;
mod rs_vip_noarp_dummy;
mod rs_vip_on_nic;
mod rs_vip_prefix_on_lo;
mod rs_vip_prefix_on_lo_arp;
mod rs_vip_prefix_on_lo_rpf;
mod ruled_out;
mod shown;
mod source_refused;
mod strict_arp_breaks_unnumbered;
mod switch_mac_moved;
mod switch_wrong_vlan;
mod unexplained;
mod v6_takeover_dad;
mod v6_vip_on_nic_dad;
mod v6_vip_on_nic_nodad;
mod vip_twice;
mod virt_arp_guard;
mod virt_ipvlan;
mod virt_port_security;
mod virt_pvlan;
mod virt_tx_csum;
mod virt_vmac_filter;
mod ways;

use std::collections::BTreeMap;

use super::model::deviation::{Deviation, Predicted};
use super::model::{World, survey};
use super::traffic::Traffic;
use super::{Case, CheckResult, Confidence, Evidence, Finding, Input, Mend};
use crate::base::{IfName, NodeName, Verdict};
use crate::facts::NodeFacts;
use crate::facts::run::{CaptureStats, Ran};
use crate::trace::Trace;
pub use by_frames::{Clue, clues};
use diagnosis::{Diagnosis, Moment};
pub use ruled_out::ruled_out;
pub use unexplained::is_unexplained;

/// A rule: its id, what `drlab explain` says of it, and the function that applies it.
#[derive(Debug, Clone, Copy)]
pub struct Rule {
    /// In kebab-case; the id of its findings.
    pub id: &'static str,
    /// One line for lists.
    pub title: &'static str,
    /// What happens in the kernel, the cure, the trap in the cure.
    pub teaches: &'static str,
    /// What it causes, in a finding's words.
    pub causes: &'static str,
    /// Kernel file, document or RFC section.
    pub source: &'static str,
    /// Rules that this one explains away on the same node.
    pub outranks: &'static [&'static str],
    /// What is wrong, said of the nodes that are named.
    what: fn(&str) -> String,
    /// What the rule makes of a deviation that it knows.
    claims: for<'a> fn(&Diagnosis<'a>, &Deviation<'a>) -> Option<Affliction>,
}

/// A node that has what a rule is about.
#[derive(Debug, Clone)]
struct Affliction {
    node: NodeName,
    interface: Option<IfName>,
    evidence: Vec<Evidence>,
    mend: Vec<Mend>,
}

impl Affliction {
    /// The same, with the frames that show it.
    fn shown_by(mut self, frames: Vec<Evidence>) -> Self {
        self.evidence.extend(frames);
        self
    }
}

/// Every rule. What tells more of a mistake comes before what tells less of it.
pub const ALL: &[Rule] = &[
    ha_split_brain::RULE,
    ha_no_garp::RULE,
    ha_garp_ignored::RULE,
    ha_failover_no_sync::RULE,
    ha_peer_loop::RULE,
    ha_backup_redirect_left::RULE,
    vip_twice::RULE,
    cloud_src_dst_check::RULE,
    virt_port_security::RULE,
    virt_arp_guard::RULE,
    virt_pvlan::RULE,
    switch_wrong_vlan::RULE,
    virt_vmac_filter::RULE,
    switch_mac_moved::RULE,
    dir_dad_conflict::RULE,
    rs_vip_before_sysctl::RULE,
    rs_sysctl_reverted::RULE,
    rs_vip_prefix_on_lo_arp::RULE,
    rs_vip_prefix_on_lo_rpf::RULE,
    rs_vip_prefix_on_lo::RULE,
    arp_flux::RULE,
    host_sysctl_not_in_container::RULE,
    rs_vip_on_nic::RULE,
    v6_vip_on_nic_nodad::RULE,
    rs_ignore_3_global_scope::RULE,
    rs_ignore_reserved::RULE,
    rs_sysctl_lo_only::RULE,
    rs_sysctl_default_only::RULE,
    rs_arp_filter_instead::RULE,
    all_nodes_own_vip::RULE,
    rs_vip_noarp_dummy::RULE,
    rs_arp_default::RULE,
    proxy_arp::RULE,
    rs_announce_1_same_subnet::RULE,
    rs_announce_0::RULE,
    rs_arptables_in_only::RULE,
    rs_arptables_out_drop::RULE,
    dir_vip_primary::RULE,
    link_down::RULE,
    rs_ignore_8::RULE,
    rs_nic_noarp::RULE,
    strict_arp_breaks_unnumbered::RULE,
    ha_vmac::RULE,
    v6_takeover_dad::RULE,
    dir_arp_suppressed::RULE,
    dir_vip_missing::RULE,
    arp_unanswered::RULE,
    router_static_arp::RULE,
    rip_neigh_stale::RULE,
    rs_arp_cache_survives_fix::RULE,
    rs_arp_notify::RULE,
    rs_garp_on_boot::RULE,
    rs_same_mac::RULE,
    no_address::RULE,
    address_prefix_narrow::RULE,
    address_prefix_wide::RULE,
    rs_gw_director::RULE,
    rs_gw_missing::RULE,
    rs_gw_wrong::RULE,
    no_route::RULE,
    cloud_l3_only::RULE,
    rs_remote_subnet::RULE,
    v6_vip_on_nic_dad::RULE,
    virt_ipvlan::RULE,
    virt_tx_csum::RULE,
    ha_check_on_rip::RULE,
    rs_vip_missing_forwarding::RULE,
    rs_vip_missing::RULE,
    rs_rpfilter_two_nic::RULE,
    dir_rpfilter_two_arm::RULE,
    source_refused::RULE,
    not_forwarding::RULE,
    dir_fw_input::RULE,
    rs_fw::RULE,
    dir_fw_stateful::RULE,
    mtu_jumbo_one_side::RULE,
    mtu_dir_to_rs::RULE,
    pmtu_icmp_blackhole::RULE,
    dir_local_client::RULE,
    rs_local_client::RULE,
    ipvs_service_missing::RULE,
    ipvs_fwmark_unmarked::RULE,
    ipvs_no_dest::RULE,
    ipvs_rip_nobody::RULE,
    ipvs_port_mapping::RULE,
    ipvs_method_masq::RULE,
    ipvs_method_tun::RULE,
    ipvs_nodest_drop::RULE,
    ipvs_udp_sticky::RULE,
    ipvs_idle_timeout::RULE,
    ipvs_conn_reuse_1s::RULE,
    ipvs_persistence_quiesced::RULE,
    ipvs_persistence_pins::RULE,
    ipvs_weights_ignored::RULE,
    app_bound_rip::RULE,
    app_not_listening::RULE,
    app_udp_source::RULE,
    app_content_differs::RULE,
    app_wrong_host::RULE,
    unexplained::DROP,
    unexplained::REFUSAL,
];

/// Rules that explain another away on whichever node that is.
const EVERYWHERE: &[(&str, &str)] = &[("dir-dad-conflict", "dir-vip-missing")];

/// The rule of that id.
pub fn find(id: &str) -> Option<&'static Rule> {
    ALL.iter().find(|r| r.id == id)
}

/// All root findings, where at least one check did not hold; a setup whose checks all hold has none.
///
/// Where no rule names a cause and a check is broken, the place where packets end is told instead.
pub fn findings(input: &Input<'_>, checks: &[CheckResult]) -> Vec<Finding> {
    if checks.iter().all(|c| c.verdict == Verdict::Held) {
        return Vec::new();
    }
    let named = named(input, &|_| true);
    if named.is_empty() && input.case.elsewhere.is_none() && checks.iter().any(|c| c.verdict == Verdict::Broken) {
        return unexplained::findings(input);
    }
    named
}

/// The root findings that facts alone show, with no check asked, of a lab that was not run. `ran` says what clients would
/// ask.
pub fn foreseen(case: &Case, before: &[NodeFacts], after: &[NodeFacts], ran: &Ran) -> Vec<Finding> {
    let capture = CaptureStats { frames: 0, dropped: BTreeMap::new(), vantages: Vec::new() };
    named(&Input { case, trace: &Trace::default(), before, after, ran, capture: &capture }, &|_| true)
}

/// The same of machines that nobody drives a load through; nodes that are not `whose` have none.
pub fn foreseen_on(case: &Case, facts: &[NodeFacts], ran: &Ran, whose: &dyn Fn(&NodeName) -> bool) -> Vec<Finding> {
    let capture = CaptureStats { frames: 0, dropped: BTreeMap::new(), vantages: Vec::new() };
    named(&Input { case, trace: &Trace::default(), before: facts, after: &[], ran, capture: &capture }, whose)
}

/// The root causes that rules name.
///
/// Facts from before the timeline count, and where the timeline changes what was configured, those from after it too.
fn named(input: &Input<'_>, whose: &dyn Fn(&NodeName) -> bool) -> Vec<Finding> {
    let later = Input { before: input.after, ..*input };
    let before = predicted(input);
    let sockets = |facts: &[NodeFacts]| facts.iter().map(|f| (f.node.clone(), f.sockets.clone())).collect::<Vec<_>>();
    let stopped = !input.after.is_empty() && sockets(input.before) != sockets(input.after);
    if input.case.elsewhere.is_some() {
        let mut found = claimed(input, &before, None, input.before);
        found.extend(by_frames::certain(input));
        return weighed(&found);
    }
    if !input.case.changes && !stopped {
        let mut found = claimed(input, &before, None, input.before);
        for (_, whom) in &mut found {
            whom.retain(|affliction| whose(&affliction.node));
        }
        return weighed(&found);
    }
    let after = predicted(&later);
    let mut found = claimed(input, &before, Some((&after, Moment::After)), input.before);
    for (rule, whom) in claimed(&later, &after, Some((&before, Moment::Before)), input.before) {
        match found.iter_mut().find(|(known, _)| known.id == rule.id) {
            Some((_, known)) => {
                let new = whom.into_iter().filter(|a| !known.iter().any(|b| b.node == a.node));
                let new: Vec<Affliction> = new.collect();
                known.extend(new);
            }
            None => found.push((rule, whom)),
        }
    }
    weighed(&found)
}

/// What the model predicts and the capture shows.
fn predicted<'a>(input: &'a Input<'a>) -> Predicted<'a> {
    let mut predicted = survey::predict(input);
    observed::add(input, &mut predicted);
    predicted
}

/// Each rule with the nodes that it claims, in the order of the list.
fn claimed<'a>(
    input: &'a Input<'a>,
    predicted: &'a Predicted<'a>,
    other: Option<(&'a Predicted<'a>, Moment)>,
    first: &'a [NodeFacts],
) -> Vec<(&'static Rule, Vec<Affliction>)> {
    let diagnosis = Diagnosis { traffic: Traffic::new(input), world: World::new(input), predicted, first, other };
    let mut found: Vec<(&'static Rule, Vec<Affliction>)> = ALL.iter().map(|rule| (rule, Vec::new())).collect();
    for deviation in &predicted.deviations {
        let claim = ALL.iter().enumerate().find_map(|(at, rule)| Some((at, (rule.claims)(&diagnosis, deviation)?)));
        if let Some((_, whom)) = claim.as_ref().and_then(|(at, _)| found.get_mut(*at)) {
            whom.extend(claim.map(|(_, affliction)| affliction.shown_by(shown::shown(&diagnosis.traffic, deviation))));
        }
    }
    found
}

/// The findings that nothing outranks, each with those that it does.
fn weighed(found: &[(&'static Rule, Vec<Affliction>)]) -> Vec<Finding> {
    let outranked_by = |rule: &Rule, node: &NodeName| {
        found.iter().filter(|(other, _)| other.id != rule.id && other.outranks.contains(&rule.id)).find_map(
            |(other, whom)| {
                let anywhere = EVERYWHERE.contains(&(other.id, rule.id)) && !whom.is_empty();
                (anywhere || whom.iter().any(|a| a.node == *node)).then_some(other.id)
            },
        )
    };
    let mut findings: Vec<Finding> = Vec::new();
    let mut effects: Vec<(&str, String)> = Vec::new();
    for (rule, whom) in found {
        let (explained, rest): (Vec<&Affliction>, Vec<&Affliction>) =
            whom.iter().partition(|a| outranked_by(rule, &a.node).is_some());
        for affliction in explained {
            let text = (rule.what)(affliction.node.as_str());
            let by = outranked_by(rule, &affliction.node).unwrap_or_default();
            if !effects.contains(&(by, text.clone())) {
                effects.push((by, text));
            }
        }
        findings.extend(rule.finding(&rest));
    }
    for finding in &mut findings {
        let own = effects.iter().filter(|(by, _)| *by == finding.id);
        finding.effects = own.map(|(_, text)| text.clone()).collect();
    }
    findings
}

impl Rule {
    /// Where what it says can be read: kernel documents and sources, and RFCs.
    pub fn links(&self) -> Vec<String> {
        links::of(self.source)
    }

    fn finding(&self, whom: &[&Affliction]) -> Option<Finding> {
        let first = whom.first()?;
        let mut nodes: Vec<&NodeName> = Vec::new();
        let mut mend: Vec<Mend> = Vec::new();
        let mut evidence: Vec<Evidence> = Vec::new();
        for affliction in whom {
            if !nodes.contains(&&affliction.node) {
                nodes.push(&affliction.node);
            }
            for one in &affliction.evidence {
                if !evidence.contains(one) {
                    evidence.push(one.clone());
                }
            }
            for one in &affliction.mend {
                if !mend.contains(one) {
                    mend.push(one.clone());
                }
            }
        }
        mend.sort_by_key(super::mend::rank);
        Some(Finding {
            id: self.id.to_owned(),
            node: first.node.clone(),
            also: nodes.iter().skip(1).map(|node| (*node).clone()).collect(),
            interface: first.interface.clone(),
            what: (self.what)(&listed(&nodes.iter().map(|node| node.as_str()).collect::<Vec<_>>())),
            causes: self.causes.to_owned(),
            effects: Vec::new(),
            evidence,
            mend,
            source: self.source.to_owned(),
            links: links::of(self.source),
            confidence: confidence(whom),
        })
    }
}

/// Whether facts and frames agree on every node that is named.
fn confidence(whom: &[&Affliction]) -> Confidence {
    let shown = |node: &NodeName, such: fn(&Evidence) -> bool| {
        whom.iter().filter(|a| a.node == *node).any(|a| a.evidence.iter().any(such))
    };
    let both = |a: &&Affliction| shown(&a.node, |e| e.fact.is_some()) && shown(&a.node, |e| e.frame.is_some());
    if whom.iter().all(both) { Confidence::Certain } else { Confidence::Likely }
}

/// `rs1`, `rs1 and rs2`, `rs1, rs2 and rs3`.
fn listed(names: &[&str]) -> String {
    match names {
        [] => String::new(),
        [one] => (*one).to_owned(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

#[cfg(test)]
mod tests;
