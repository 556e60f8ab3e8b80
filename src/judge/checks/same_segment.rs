//! `same-segment`: the Director reaches every real server without a router between them.

use super::Check;
use crate::base::Forwarding;
use crate::judge::host::{Host, route_line};
use crate::judge::tally::{Tally, count};
use crate::judge::{CheckResult, Evidence, Input};

/// The check.
pub(super) const CHECK: Check = Check {
    id: "same-segment",
    title: "the Director and each real server share a segment",
    proves: "Each real server that is reached by direct routing has its RIP on a segment of the Director, and the \
             Director's own route to the RIP leads into that segment without a next hop.",
    fooled_by: "A RIP in the Director's subnet behind a router (proxy ARP, a cloud's fabric): not the subnet counts but \
                the segment that the interface is in.",
    usual_cause: "A real server behind a router, for which only tunnelling or NAT will do. On the Director: \
                  `ip route get RIP` must not say `via`.",
    source: "net/netfilter/ipvs/ip_vs_xmit.c: ip_vs_dr_xmit sends to the next hop towards the RIP with the VIP as \
             destination address",
    run,
};

fn run(input: &Input<'_>) -> CheckResult {
    let mut tally = Tally::default();
    let mut examined = 0;
    let case = input.case;
    for service in &case.services {
        let Some(director) = case.station(&service.director) else { continue };
        for wanted in service.destinations.iter().filter(|d| d.forwarding == Forwarding::DirectRouting) {
            let rip = wanted.at.ip();
            let station =
                case.stations.iter().find(|s| wanted.node.as_ref().map_or_else(|| s.has(rip), |n| s.node == *n));
            let Some(station) = station.filter(|s| s.node != director.node) else { continue };
            examined += 1;
            let (rs, from) = (&station.node, &director.node);
            let shared = station.ports.iter().find(|p| p.has(rip) && director.is_on(&p.segment));
            if shared.is_none() {
                let of = |s: &crate::judge::case::Station| {
                    s.ports.iter().map(|p| p.segment.as_str()).collect::<Vec<_>>().join(", ")
                };
                let what = format!("{from} is on {}, {rs} with {rip} on {}", of(director), of(station));
                tally.broken(format!("{rs} is on no segment of {from}"), Evidence::told(what));
            }
            let Some(facts) = input.facts(from) else {
                tally.doubt(format!("the routes of {from} were not read"));
                continue;
            };
            let Some(route) = Host(facts).route_to(rip) else {
                let what = format!("{from} has no route to {rip}");
                tally.broken(format!("{from} does not reach {rs}"), Evidence::told(what));
                continue;
            };
            let shown = |what: &str| Evidence::fact(format!("{from} reaches {rs} {what}"), route_line(route));
            let leads = |p: &crate::judge::case::StationPort| {
                director.ports.iter().any(|d| d.segment == p.segment && route.interface.as_ref() == Some(&d.interface))
            };
            if route.gateway.is_some() {
                tally.broken(format!("{from} reaches {rs} through a router"), shown("through a next hop"));
            } else if shared.is_some_and(|p| !leads(p)) {
                tally.broken(format!("{from} looks for {rs} on another segment"), shown("by another interface"));
            } else {
                tally.shows(shown("directly"));
            }
        }
    }
    let held = format!(
        "{} reached without a next hop, on a segment of the Director",
        count(examined, "real server is", "real servers are")
    );
    tally.result(CHECK.id, examined, "real servers", "no real server is to be reached by direct routing", held)
}

#[cfg(test)]
mod tests {
    use crate::base::Forwarding;
    use crate::base::Verdict::{Broken, Held, Undecided};
    use crate::judge::testlab::{Lab, name, route};

    #[test]
    fn holds_when_both_are_on_the_segment() {
        assert_eq!(Lab::textbook().expect("same-segment", Held).examined, 2);
    }

    #[test]
    fn breaks_for_a_real_server_behind_a_router() {
        let mut lab = Lab::textbook();
        lab.case.stations[3].ports[0].segment = name("front");
        lab.expect("same-segment", Broken);
        let mut lab = Lab::textbook();
        let gateway = Some("172.16.255.254");
        lab.edit_facts("director", |f| f.routes.push(route("172.16.252.137/32", gateway, "eth0")));
        assert!(lab.expect("same-segment", Broken).summary.contains("through a router"));
    }

    #[test]
    fn a_next_hop_for_others_does_not_matter() {
        let mut lab = Lab::textbook();
        let gateway = Some("172.16.255.254");
        lab.edit_facts("director", |f| f.routes.push(route("172.16.252.0/25", gateway, "eth0")));
        lab.expect("same-segment", Held);
    }

    #[test]
    fn facts_that_were_not_read_leave_it_undecided() {
        let mut lab = Lab::textbook();
        lab.before.clear();
        lab.after.clear();
        lab.expect("same-segment", Undecided);
        lab.service().destinations.iter_mut().for_each(|d| d.forwarding = Forwarding::Nat);
        lab.expect("same-segment", Undecided);
    }
}
