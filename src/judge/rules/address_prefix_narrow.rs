//! `address-prefix-narrow`: an address has a longer prefix than its segment's subnet, and a next hop is left out.

use ipnet::IpNet;

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule};
use crate::judge::host::address_line;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "address-prefix-narrow",
    title: "an address has the mask of a smaller subnet than its neighbours",
    teaches: "The prefix length of an address says which neighbours are on the link. With /24, or with the VIP's own \
              /32, where the segment is a /16, the router or a real server is outside: the kernel refuses the \
              gateway (`Nexthop has invalid gateway`) or sends what is for the neighbour to the gateway. Neighbours \
              with the right mask still reach the host, so that pings in the other direction seem to work.",
    causes: "the node has no way to a neighbour, or takes one through a router",
    source: "net/ipv4/fib_frontend.c: fib_add_ifaddr; net/ipv4/fib_semantics.c: fib_check_nh",
    outranks: &["no-route", "rs-gw-missing"],
    what: |nodes| format!("an address has a prefix that leaves out its next hop, on {nodes}"),
    claims,
};

fn claims<'a>(_: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::NarrowPrefix { fact, wide, gateway } = deviation.kind else { return None };
    let (interface, node) = (deviation.interface?, deviation.node);
    let right = IpNet::new(fact.address.addr(), wide.address.prefix_len()).ok()?;
    let evidence = vec![
        Evidence::fact(
            format!("{node} takes no more than {} for its segment", fact.address.trunc()),
            address_line(fact),
        ),
        Evidence::fact("a neighbour's address on the same segment", address_line(wide)),
    ];
    let mut command =
        format!("ip address add {right} dev {interface} && ip address del {} dev {interface}", fact.address);
    if let Some(gateway) = gateway {
        command = format!("{command} && ip route replace default via {gateway} dev {interface}");
    }
    Some(Diagnosis::afflict(deviation, evidence, vec![mended(node, Dialect::Ip, command)]))
}
