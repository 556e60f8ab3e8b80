//! `distribution`: connections are shared out as the scheduler must, and three witnesses agree on it.

mod witnesses;

use std::collections::BTreeMap;

use super::Check;
use crate::base::{NodeName, Protocol, ServiceId, natural};
use crate::facts::ServiceFact;
use crate::facts::run::Outcome;
use crate::judge::case::WantedService;
use crate::judge::schedule::{self, Arrival, Policy, Server};
use crate::judge::tally::{Tally, count};
use crate::judge::traffic::{Connection, Traffic};
use crate::judge::{CheckResult, Evidence, Input};

/// The check.
pub(super) const CHECK: Check = Check {
    id: "distribution",
    title: "connections are shared out as the scheduler must, and three witnesses agree",
    proves: "Each new connection went to the real server that the scheduler had to choose: exactly for rr, wrr, sh, dh, \
             mh and fo; within bounds, given with their reason, for those that look at connection counts. The capture, \
             the real servers' access logs and the kernel's IPVS table tell the same; a Director that is not IPVS has \
             no table, and then the other two do.",
    fooled_by: "Totals that come out right by chance: the order of turns is checked, not only the numbers. Repeated SYNs \
                and reused ports are no new connections. Where the timeline changes weights or servers, only the \
                agreement of the witnesses is judged; where the scenario states shares, those.",
    usual_cause: "Other weights or another scheduler than planned, a real server in trouble, persistence, or clients \
                  that reuse connections. On the Director: `ipvsadm -Ln --stats`, `ipvsadm -Lnc`.",
    source: "net/netfilter/ipvs/ip_vs_rr.c, ip_vs_wrr.c, ip_vs_sh.c, ip_vs_dh.c, ip_vs_mh.c, ip_vs_wlc.c and others; \
             ip_vs_core.c: ip_vs_schedule",
    run,
};

fn run(input: &Input<'_>) -> CheckResult {
    let traffic = Traffic::new(input);
    let mut tally = Tally::default();
    for director in traffic.directors() {
        tally.captured(input, &director.node);
    }
    let all = traffic.connections();
    let mut sentences = Vec::new();
    for service in &input.case.services {
        let own: Vec<&Connection<'_>> = all
            .new
            .iter()
            .filter(|c| c.service.id == service.id && c.entered.station.node == service.director)
            .collect();
        if own.is_empty() {
            sentences.push(format!("{}: no connection", service.id));
            continue;
        }
        sentences.push(shared_out(input, service, &own, &mut tally));
    }
    stated_shares(input, &mut tally);
    let agreeing = witnesses::agree(&traffic, &all, &mut tally);
    let examined = all.new.len() as u64;
    let held = format!("{}; {agreeing}", sentences.join("; "));
    tally.result(CHECK.id, examined, "connections", nothing(&traffic), held)
}

fn nothing(traffic: &Traffic<'_>) -> &'static str {
    if traffic.requests().next().is_some() {
        "requests were sent, but no new connection entered the Director"
    } else {
        "no connection was made: an empty trace proves nothing"
    }
}

/// Judges one service by its scheduler; the sentence tells its shares and by which rule they are right.
fn shared_out(input: &Input<'_>, service: &WantedService, own: &[&Connection<'_>], tally: &mut Tally) -> String {
    let servers = servers(input, service);
    let index = |c: &Connection<'_>| {
        let to = c.to?;
        servers.iter().position(|s| s.name == to.node.as_str() || to.has(s.at.ip()))
    };
    let arrivals: Vec<Arrival> = own
        .iter()
        .map(|c| Arrival { client: c.client, target: c.target, at_ns: c.at_ns, closed_ns: c.closed_ns, to: index(c) })
        .collect();
    let mut shares: BTreeMap<&str, u64> = servers.iter().map(|s| (s.name.as_str(), 0)).collect();
    for to in own.iter().filter_map(|c| c.to) {
        let name = index_name(&servers, to.node.as_str(), |s| to.has(s.at.ip()));
        *shares.entry(name).or_default() += 1;
    }
    let stayed = own.iter().filter(|c| c.to.is_none()).count();
    let mut told: Vec<_> = shares.into_iter().collect();
    told.sort_by_key(|(name, _)| natural(name));
    let mut told: Vec<String> = told.into_iter().map(|(name, n)| format!("{name} {n}")).collect();
    if stayed > 0 {
        told.push(format!("none of them {stayed}"));
    }
    if stayed == own.len() {
        tally.doubt(format!("no connection to {} reached a real server", service.id));
    }
    let sentence =
        format!("{} to {}: {}", count(own.len() as u64, "connection", "connections"), service.id, told.join(", "));
    if input.case.reschedules {
        return format!("{sentence} (the timeline changes the service, so no share is due)");
    }
    let policy = Policy {
        scheduler: &service.scheduler,
        flags: &service.flags,
        persistent: service.persistence_s.is_some(),
        closes: !matches!(service.id, ServiceId::Address { protocol: Protocol::Udp, .. }),
    };
    let ruling = schedule::rule(policy, &servers, &arrivals);
    if !input.case.share.is_empty() {
        let due = if ruling.faults.is_empty() { format!("; {}", ruling.due) } else { String::new() };
        return format!("{sentence} (as the scenario states{due})");
    }
    for (what, arrival) in &ruling.faults {
        let shown = match arrival.and_then(|at| own.get(at)) {
            Some(c) => Evidence::frame(
                input.trace,
                c.entered.frame,
                format!("{} opens a connection to {}", c.client, c.target),
            ),
            None => Evidence::told(told.join(", ")),
        };
        // A connection whose opening was lost had a turn as well.
        tally.missing(input, &service.director, format!("{what} ({})", ruling.due), shown);
    }
    if let Some(first) = own.first().filter(|_| tally.shows_nothing()) {
        let to = first.to.map_or("nobody", |s| s.node.as_str());
        tally.shows(Evidence::frame(
            input.trace,
            first.entered.frame,
            format!("the first connection, which went to {to}"),
        ));
    }
    format!("{sentence} ({})", ruling.due)
}

fn index_name<'s>(servers: &'s [Server], node: &'s str, is: impl Fn(&Server) -> bool) -> &'s str {
    servers.iter().find(|s| s.name == node || is(s)).map_or(node, |s| s.name.as_str())
}

/// The service's real servers in the kernel's order: as it was read, or the reverse of the order of adding
/// (`list_add_rcu` in `__ip_vs_update_dest` puts the newest first).
fn servers(input: &Input<'_>, service: &WantedService) -> Vec<Server> {
    let name = |at: std::net::SocketAddr| {
        let wanted = service.destinations.iter().find(|d| d.at.ip() == at.ip()).and_then(|d| d.node.clone());
        let station = || input.case.stations.iter().find(|s| s.has(at.ip())).map(|s| s.node.clone());
        wanted.or_else(station).map_or_else(|| at.ip().to_string(), |n: NodeName| n.to_string())
    };
    match fact(input, service) {
        Some(fact) => fact
            .destinations
            .iter()
            .map(|d| Server { name: name(d.at), at: d.at, weight: d.weight, limited: d.upper > 0 })
            .collect(),
        None => service
            .destinations
            .iter()
            .rev()
            .map(|d| Server { name: name(d.at), at: d.at, weight: d.weight, limited: false })
            .collect(),
    }
}

fn fact<'a>(input: &Input<'a>, service: &WantedService) -> Option<&'a ServiceFact> {
    let ipvs = input.facts(&service.director)?.ipvs.as_ref()?;
    ipvs.services.iter().find(|s| s.service == service.id)
}

/// Judges answers by the shares that the scenario states.
fn stated_shares(input: &Input<'_>, tally: &mut Tally) {
    for (node, (least, most)) in &input.case.share {
        let from_node =
            |outcome: &Outcome| matches!(outcome, Outcome::Answered { server: Some(s), .. } if *node == s.as_str());
        let answers = input.ran.loads.iter().flat_map(|l| &l.requests).filter(|r| from_node(&r.outcome)).count() as u64;
        if answers < *least || answers > *most {
            let what = format!("{node} gave {}, {least} to {most} are expected", count(answers, "answer", "answers"));
            tally.broken("the share is not as the scenario states", Evidence::told(what));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use crate::base::Verdict::{Broken, Held, Undecided};
    use crate::judge::testlab::{Exchange, Lab, There, name};

    #[test]
    fn holds_when_turns_are_kept_and_all_witnesses_agree() {
        let result = Lab::ran(5).expect("distribution", Held);
        assert_eq!(result.examined, 5);
        assert!(
            result.summary.starts_with("5 connections to TCP 172.16.0.66:80: rs1 2, rs2 3 (rr: in strict turn)"),
            "{}",
            result.summary
        );
        assert!(
            result.summary.contains("access logs (5 requests) and the IPVS table (5 entries) agree"),
            "{}",
            result.summary
        );
    }

    #[test]
    fn right_totals_in_the_wrong_order_break_it() {
        let mut lab = Lab::textbook();
        for server in ["rs1", "rs1", "rs2", "rs2"] {
            lab.exchange(&Exchange::with(server));
        }
        let summary = lab.expect("distribution", Broken).summary;
        assert!(summary.contains("connection 2 went to rs1, though it was the turn of rs2"), "{summary}");
    }

    #[test]
    fn a_repeated_syn_is_no_second_connection() {
        let mut lab = Lab::ran(2);
        let is_syn = |data: &[u8]| data[12..14] == [8, 0] && data[47] == 2;
        let syn: Vec<_> = lab.frames.iter().filter(|f| is_syn(&f.data)).take(6).cloned().collect();
        for mut frame in syn {
            frame.at_ns += 300_000;
            frame.data[18] = 0x77;
            lab.frames.push(frame);
        }
        assert_eq!(lab.expect("distribution", Held).examined, 2);
    }

    #[test]
    fn a_port_used_again_goes_where_it_went_and_is_not_scheduled() {
        let mut lab = Lab::ran(3);
        let first: SocketAddr = lab.ran.loads[0].requests[0].local.unwrap();
        lab.exchange(&Exchange::with("rs2").from(first));
        lab.exchange(&Exchange::with("rs1"));
        assert_eq!(lab.expect("distribution", Held).examined, 4);
    }

    #[test]
    fn a_log_that_tells_otherwise_breaks_it() {
        let mut lab = Lab::ran(2);
        let moved = lab.ran.access_logs.get_mut(&name("rs1")).unwrap().pop().unwrap();
        lab.ran.access_logs.get_mut(&name("rs2")).unwrap().push(moved);
        assert!(lab.expect("distribution", Broken).summary.contains("an access log and the capture differ"));
    }

    #[test]
    fn ipvs_entries_or_counters_that_tell_otherwise_break_it() {
        let mut lab = Lab::ran(2);
        let rs2 = lab.address("rs2", "lan");
        lab.edit_facts("director", |f| {
            for entry in &mut f.ipvs.as_mut().unwrap().connections {
                entry.destination.set_ip(rs2);
            }
        });
        assert!(lab.expect("distribution", Broken).summary.contains("the IPVS table and the capture differ"));
        let mut lab = Lab::ran(2);
        lab.after.iter_mut().filter_map(|f| f.ipvs.as_mut()).for_each(|i| i.total_connections += 1);
        assert!(lab.expect("distribution", Broken).summary.contains("the IPVS counters and the capture differ"));
    }

    #[test]
    fn a_director_without_ipvs_has_no_table_that_could_be_asked() {
        let mut lab = Lab::ran(5);
        lab.without_ipvs();
        let summary = lab.expect("distribution", Held).summary;
        assert!(summary.ends_with("the capture and the access logs (5 requests) agree"), "{summary}");
        lab.case.without_ipvs.clear();
        lab.expect("distribution", Undecided);
    }

    #[test]
    fn connections_past_the_director_leave_nothing_to_judge() {
        let mut lab = Lab::textbook();
        lab.exchange(&Exchange::with("rs1").there(There::PastDirector));
        lab.expect("distribution", Undecided);
    }

    #[test]
    fn a_timeline_that_changes_weights_leaves_only_the_witnesses() {
        let mut lab = Lab::textbook();
        for _ in 0..3 {
            lab.exchange(&Exchange::with("rs1"));
        }
        lab.expect("distribution", Broken);
        lab.case.reschedules = true;
        lab.expect("distribution", Held);
    }

    #[test]
    fn stated_shares_take_the_schedulers_place() {
        let mut lab = Lab::textbook();
        for _ in 0..3 {
            lab.exchange(&Exchange::with("rs1"));
        }
        lab.case.share = [(name("rs1"), (3, 3)), (name("rs2"), (0, 0))].into();
        lab.expect("distribution", Held);
        lab.case.share = [(name("rs2"), (1, 2))].into();
        lab.expect("distribution", Broken);
    }

    #[test]
    fn a_connection_that_ipvs_swallowed_takes_its_turn_and_may_be_counted() {
        let mut lab = Lab::ran(2);
        lab.exchange(&Exchange::with("rs2").there(There::Swallowed));
        lab.exchange(&Exchange::with("rs1"));
        assert!(lab.expect("distribution", Held).summary.contains("none of them 1"));
    }

    #[test]
    fn least_connections_are_bound_tightly_only_one_by_one() {
        let mut lab = Lab::textbook();
        lab.service().scheduler = "lc".into();
        for server in ["rs2", "rs1", "rs1", "rs1"] {
            lab.exchange(&Exchange::with(server).left_open());
        }
        lab.expect("distribution", Held);
        let mut lab = Lab::textbook();
        lab.service().scheduler = "lc".into();
        for server in ["rs2", "rs1", "rs1", "rs1"] {
            lab.exchange(&Exchange::with(server));
        }
        lab.expect("distribution", Broken);
    }

    #[test]
    fn connections_of_which_none_reached_a_real_server_prove_nothing() {
        let mut lab = Lab::textbook();
        lab.exchange(&Exchange::with("rs2").there(There::Swallowed));
        lab.expect("distribution", Undecided);
    }

    #[test]
    fn a_connection_sent_to_a_router_is_no_real_servers() {
        let mut lab = Lab::ran(3);
        let (rs1, router) = (lab.port("rs1", "lan").mac, lab.port("router", "lan").mac);
        lab.edit_frames("director", crate::trace::Direction::Out, |data| {
            if data[0..6] == rs1.0 {
                data[0..6].copy_from_slice(&router.0);
            }
        });
        assert!(lab.expect("distribution", Held).summary.contains("rs1 0, rs2 2, none of them 1"));
    }

    #[test]
    fn lost_frames_leave_it_undecided() {
        Lab::ran(2).lose("director").expect("distribution", Undecided);
    }
}
