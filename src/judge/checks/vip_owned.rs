//! `vip-owned`: the Director and every real server have the VIP, the real servers for themselves alone.

use std::net::IpAddr;

use super::Check;
use crate::base::Forwarding;
use crate::facts::AddressFact;
use crate::judge::host::{Host, address_line};
use crate::judge::tally::{Tally, count};
use crate::judge::traffic::Traffic;
use crate::judge::{CheckResult, Evidence, Input};

/// The check.
pub(super) const CHECK: Check = Check {
    id: "vip-owned",
    title: "the Director and each real server own the VIP",
    proves: "The Director and every real server of a service carry its VIP, usable (no failed duplicate address \
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
                let Some(facts) = input.facts(node) else {
                    tally.doubt(format!("the addresses of {node} were not read"));
                    continue;
                };
                let carried: Vec<&AddressFact> = Host(facts).carries(vip).collect();
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
    let held = format!("{} in place, on real servers as a single address", count(examined, "VIP is", "VIPs are"));
    tally.result(CHECK.id, examined, "nodes", "no service names a VIP", held)
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
