//! `gateway-not-director`: a real server's way to the clients does not lead back through a Director.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::Check;
use crate::base::NodeName;
use crate::judge::host::{Host, route_line};
use crate::judge::tally::{Tally, count};
use crate::judge::traffic::Traffic;
use crate::judge::{CheckResult, Evidence, Input};

/// The check.
pub(super) const CHECK: Check = Check {
    id: "gateway-not-director",
    title: "real servers route to the clients without the Director",
    proves: "Each real server has a route to each client, and its next hop is none of the addresses of a Director.",
    fooled_by: "Looking at the default route only: a more specific route may lead elsewhere. The route is looked up as \
                the kernel does, by the longest prefix, for every client's address.",
    usual_cause: "The default gateway was left at the Director, as NAT wants it. On the real server: \
                  `ip route get CLIENT from VIP`.",
    source: "net/ipv4/fib_trie.c: fib_table_lookup; net/ipv4/fib_frontend.c: __fib_validate_source (the Director drops \
             packets from its own VIP as martians)",
    run,
};

fn run(input: &Input<'_>) -> CheckResult {
    let traffic = Traffic::new(input);
    let mut tally = Tally::default();
    let mut examined = 0;
    let clients = traffic.client_addresses();
    for station in traffic.real_servers() {
        let Some(facts) = input.facts(&station.node) else {
            tally.doubt(format!("the routes of {} were not read", station.node));
            continue;
        };
        for &client in &clients {
            if station.has(client) {
                continue;
            }
            examined += 1;
            let route = Host(facts).route_to(client).filter(|r| r.kind == "unicast");
            let Some(route) = route else {
                let what = format!("{} has no route to the client {client}", station.node);
                tally.broken(format!("{} can't reach the clients", station.node), Evidence::told(what));
                continue;
            };
            let shown = Evidence::fact(format!("{} reaches {client} by", station.node), route_line(route));
            match route.gateway.filter(|&g| traffic.is_directors_address(g)) {
                Some(_) => tally.broken(format!("{} sends to the clients through the Director", station.node), shown),
                None if tally.shows_nothing() => tally.shows(shown),
                None => {}
            }
        }
    }
    lost(&traffic, &clients, &mut tally);
    let held = format!("{} to clients, none through a Director", count(examined, "route", "routes"));
    tally.result(CHECK.id, examined, "routes", "there is no real server or no client to route to", held)
}

/// Real servers that had a route to the clients, lost it on the way, and are sent connections all the same.
fn lost(traffic: &Traffic<'_>, clients: &BTreeSet<IpAddr>, tally: &mut Tally) {
    let input = traffic.input;
    let stations: BTreeSet<&NodeName> =
        input.case.services.iter().flat_map(|s| traffic.still_used(s)).map(|s| &s.node).collect();
    for node in stations {
        let (Some(before), Some(after)) = (input.facts(node), input.facts_after(node)) else { continue };
        let reaches = |facts, client| Host(facts).route_to(client).is_some_and(|r| r.kind == "unicast");
        if let Some(client) = clients.iter().find(|c| reaches(before, **c) && !reaches(after, **c)) {
            let what = format!("{node} had a route to the client {client} before the load and has none after it");
            tally.broken(format!("{node} lost its way to the clients"), Evidence::told(what));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::base::Verdict::{Broken, Held, Undecided};
    use crate::judge::testlab::{Lab, route};

    const DIRECTOR: Option<&str> = Some("172.16.251.73");

    #[test]
    fn holds_with_the_router_as_gateway() {
        assert_eq!(Lab::textbook().expect("gateway-not-director", Held).examined, 2);
    }

    #[test]
    fn a_route_lost_on_the_way_breaks_it() {
        let mut lab = Lab::textbook();
        let rs1 = lab.after.iter_mut().find(|f| f.node == "rs1").unwrap();
        rs1.routes.retain(|r| r.destination.prefix_len() > 0);
        assert!(lab.expect("gateway-not-director", Broken).summary.starts_with("rs1 lost its way"));
    }

    #[test]
    fn breaks_with_the_director_as_default_gateway() {
        let mut lab = Lab::textbook();
        lab.edit_facts("rs1", |f| {
            f.routes.retain(|r| r.destination.prefix_len() > 0);
            f.routes.push(route("0.0.0.0/0", DIRECTOR, "eth0"));
        });
        let result = lab.expect("gateway-not-director", Broken);
        assert_eq!(result.evidence[0].fact.as_deref(), Some("default via 172.16.251.73 dev eth0"));
    }

    #[test]
    fn only_the_longest_prefix_counts() {
        let mut lab = Lab::textbook();
        lab.edit_facts("rs1", |f| f.routes.push(route("203.0.0.0/8", DIRECTOR, "eth0")));
        lab.expect("gateway-not-director", Broken);
        lab.edit_facts("rs1", |f| f.routes.push(route("203.0.113.0/24", Some("172.16.255.254"), "eth0")));
        lab.expect("gateway-not-director", Held);
    }

    #[test]
    fn no_route_at_all_breaks_it() {
        let mut lab = Lab::textbook();
        lab.edit_facts("rs2", |f| f.routes.retain(|r| r.destination.prefix_len() > 0));
        assert!(lab.expect("gateway-not-director", Broken).summary.contains("can't reach the clients"));
    }

    #[test]
    fn facts_that_were_not_read_leave_it_undecided() {
        let mut lab = Lab::textbook();
        lab.before.clear();
        lab.after.clear();
        lab.expect("gateway-not-director", Undecided);
    }
}
