//! `vip-owned`: the Director and every real server have the VIP, the real servers for themselves alone.

use std::net::IpAddr;

use super::Check;
use crate::base::Forwarding;
use crate::facts::{AddressFact, NodeFacts};
use crate::judge::case::{Station, WantedService};
use crate::judge::host::{Host, address_line};
use crate::judge::tally::{Tally, count};
use crate::judge::traffic::Traffic;
use crate::judge::{CheckResult, Evidence, Input};

/// The check.
pub(super) const CHECK: Check = Check {
    id: "vip-owned",
    title: "the Director and each real server own the VIP",
    proves: "A Director and every real server of a service carry its VIP, usable (no failed duplicate address \
             detection), and on a real server's loopback it is a single address (/32, /128).",
    fooled_by: "An address that only looks like the VIP: a prefix on lo that contains it makes the real server answer, \
                but take its neighbours' addresses for its own as well.",
    usual_cause: "The start script did not run or used the subnet's mask. On the real server: \
                  `ip address show to VIP`, then `ip address add VIP/32 dev lo`.",
    source: "net/ipv4/devinet.c and fib_frontend.c: fib_add_ifaddr (an address on lo makes its whole prefix local)",
    run,
};

fn run(input: &Input<'_>) -> CheckResult {
    let traffic = Traffic::new(input);
    let mut tally = Tally::default();
    let mut examined = 0;
    for service in &input.case.services {
        let by_nat =
            |ip: IpAddr| service.destinations.iter().any(|d| d.at.ip() == ip && d.forwarding == Forwarding::Nat);
        let director = input.case.station(&service.director);
        for vip in traffic.vips_of(service) {
            for station in director.into_iter().chain(traffic.members(service).iter().copied()) {
                let real_server = traffic.is_real_server(station);
                if real_server && station.ports.iter().flat_map(|p| &p.addresses).any(|a| by_nat(a.addr())) {
                    continue;
                }
                examined += 1;
                let node = &station.node;
                let facts =
                    if comes_later(input, service, station) { input.facts_after(node) } else { input.facts(node) };
                let Some(facts) = facts else {
                    tally.doubt(format!("the addresses of {node} were not read"));
                    continue;
                };
                let carried: Vec<&AddressFact> = Host(facts).carries(vip).collect();
                if carried.is_empty() && *node == service.director && held_elsewhere(input, service, vip) {
                    examined -= 1;
                    continue;
                }
                if carried.is_empty() {
                    let addresses: Vec<String> = facts.addresses.iter().map(address_line).collect();
                    let what = format!("none of {node}'s addresses is {vip}");
                    tally.broken(format!("{node} does not have {vip}"), Evidence::fact(what, addresses.join(", ")));
                }
                for address in carried {
                    judge(node.as_str(), real_server, address, &mut tally);
                }
            }
        }
    }
    lost(&traffic, &mut tally);
    let held = format!("{} in place, on real servers as a single address", count(examined, "VIP is", "VIPs are"));
    tally.result(CHECK.id, examined, "nodes", "no service names a VIP", held)
}

/// Real servers that had the VIP, lost it on the way, and are sent connections all the same. Only a change of the
/// timeline makes one; what is read after the load is otherwise as it was before.
fn lost(traffic: &Traffic<'_>, tally: &mut Tally) {
    let input = traffic.input;
    for service in &input.case.services {
        for node in traffic.still_used(service).into_iter().map(|s| &s.node) {
            let (Some(before), Some(after)) = (input.facts(node), input.facts_after(node)) else { continue };
            let has = |facts, vip| Host(facts).carries(vip).next().is_some();
            for vip in traffic.vips_of(service).into_iter().filter(|vip| has(before, *vip) && !has(after, *vip)) {
                let addresses: Vec<String> = after.addresses.iter().map(address_line).collect();
                let what =
                    format!("{node} had {vip} before the load and is still in the table of {}", service.director);
                tally.broken(format!("{node} lost {vip} on the way"), Evidence::fact(what, addresses.join(", ")));
            }
        }
    }
}

/// Whether the timeline put a real server into the table: it needs the VIP from then on.
fn comes_later(input: &Input<'_>, service: &WantedService, station: &Station) -> bool {
    let holds = |facts: Option<&NodeFacts>| {
        let table = facts?.ipvs.as_ref()?.services.iter().filter(|s| s.service == service.id);
        Some(table.flat_map(|s| &s.destinations).any(|d| station.has(d.at.ip())))
    };
    let before = input.before.iter().find(|f| f.node == service.director);
    holds(before) == Some(false) && holds(input.facts_after(&service.director)) == Some(true)
}

/// Whether another Director with the same service has its VIP: one without it then stands by.
fn held_elsewhere(input: &Input<'_>, service: &WantedService, vip: IpAddr) -> bool {
    let others = input.case.services.iter().filter(|s| s.id == service.id && s.director != service.director);
    others.filter_map(|s| input.facts(&s.director)).any(|f| Host(f).carries(vip).next().is_some())
}

fn judge(node: &str, real_server: bool, address: &AddressFact, tally: &mut Tally) {
    let line = address_line(address);
    let vip = address.address.addr();
    if address.flags.iter().any(|f| matches!(f.as_str(), "tentative" | "dadfailed")) {
        let what = format!("{node} may not use {vip}: {}", address.flags.join(" "));
        tally.broken(format!("{node} has {vip}, but not usably"), Evidence::fact(what, line));
    } else if real_server
        && address.interface == "lo"
        && address.address.prefix_len() != address.address.max_prefix_len()
    {
        let what = format!("{node} takes all of {} for its own", address.address.trunc());
        tally.broken(format!("{node} has {vip} on lo with the mask of a subnet"), Evidence::fact(what, line));
    } else if tally.shows_nothing() || real_server {
        tally.shows(Evidence::fact(format!("{node} has {vip}"), line));
    }
}

#[cfg(test)]
mod tests {
    use crate::base::Forwarding;
    use crate::base::Verdict::{Broken, Held, Undecided};
    use crate::judge::testlab::{Lab, carried};

    #[test]
    fn holds_when_all_have_it() {
        assert_eq!(Lab::textbook().expect("vip-owned", Held).examined, 3);
    }

    #[test]
    fn breaks_where_one_lacks_it() {
        for node in ["rs2", "director"] {
            let mut lab = Lab::textbook();
            lab.edit_facts(node, |f| f.addresses.retain(|a| a.address.prefix_len() != 32));
            assert!(lab.expect("vip-owned", Broken).summary.starts_with(&format!("{node} does not have")));
        }
    }

    #[test]
    fn a_director_that_stands_by_needs_no_vip_while_another_has_it() {
        let mut lab = Lab::textbook();
        let standby =
            crate::judge::case::WantedService { director: "router".parse().unwrap(), ..lab.case.services[0].clone() };
        lab.case.services.push(standby);
        lab.expect("vip-owned", Held);
        lab.edit_facts("director", |f| f.addresses.retain(|a| a.address.prefix_len() != 32));
        lab.expect("vip-owned", Broken);
    }

    #[test]
    fn a_vip_lost_on_the_way_breaks_it_unless_nothing_is_sent_there_any_more() {
        let mut lab = Lab::textbook();
        let rs1 = lab.after.iter_mut().find(|f| f.node == "rs1").unwrap();
        rs1.addresses.retain(|a| a.interface != "lo");
        assert!(lab.expect("vip-owned", Broken).summary.starts_with("rs1 lost 172.16.0.66"));
        let address = lab.address("rs1", "lan");
        let table = lab.after.iter_mut().find_map(|f| f.ipvs.as_mut()).unwrap();
        table.services[0].destinations.retain(|d| d.at.ip() != address);
        lab.expect("vip-owned", Held);
    }

    #[test]
    fn a_real_server_that_the_timeline_adds_needs_the_vip_from_then_on() {
        let mut lab = Lab::textbook();
        let address = lab.address("rs1", "lan");
        let without = |facts: &mut crate::facts::NodeFacts| facts.addresses.retain(|a| a.interface != "lo");
        lab.before.iter_mut().filter(|f| f.node == "rs1").for_each(without);
        lab.expect("vip-owned", Broken);
        let table = lab.before.iter_mut().find_map(|f| f.ipvs.as_mut()).unwrap();
        table.services[0].destinations.retain(|d| d.at.ip() != address);
        lab.expect("vip-owned", Held);
        lab.after.iter_mut().filter(|f| f.node == "rs1").for_each(without);
        lab.expect("vip-owned", Broken);
    }

    #[test]
    fn the_subnets_mask_breaks_it_on_lo_but_not_elsewhere() {
        for (interface, verdict) in [("lo", Broken), ("dummy0", Held)] {
            let mut lab = Lab::textbook();
            lab.edit_facts("rs1", |f| {
                f.addresses.pop();
                f.addresses.push(carried(interface, "172.16.0.66/16", None));
            });
            lab.expect("vip-owned", verdict);
        }
    }

    #[test]
    fn an_address_that_failed_detection_is_not_owned() {
        let mut lab = Lab::textbook();
        lab.edit_facts("rs1", |f| f.addresses.last_mut().unwrap().flags.push("dadfailed".into()));
        lab.expect("vip-owned", Broken);
    }

    #[test]
    fn with_nat_real_servers_need_no_vip() {
        let mut lab = Lab::textbook();
        lab.edit_facts("rs1", |f| f.addresses.retain(|a| a.interface != "lo"));
        lab.service().destinations[0].forwarding = Forwarding::Nat;
        lab.expect("vip-owned", Held);
    }

    #[test]
    fn facts_that_were_not_read_leave_it_undecided() {
        let mut lab = Lab::textbook();
        lab.before.remove(3);
        lab.after.remove(3);
        lab.expect("vip-owned", Undecided);
    }
}
