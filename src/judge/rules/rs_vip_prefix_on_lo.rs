//! `rs-vip-prefix-on-lo`: the VIP stands on a real server's lo with the subnet's mask.

use super::{Affliction, Rule};
use crate::judge::Evidence;
use crate::judge::host::address_line;
use crate::judge::traffic::Traffic;

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "rs-vip-prefix-on-lo",
    title: "the VIP on lo has the mask of a subnet",
    teaches: "An address on lo makes its whole prefix local: with VIP/16 the real server takes every neighbour's address, \
              the router's and the Director's among them, for its own. It can't reach anybody on the segment, and with \
              rp_filter it does not even answer their ARP. The VIP on lo is a single address: /32, /128.",
    causes: "clients and checks on the segment get no answer, remote ones only as long as a neighbour entry lasts",
    source: "net/ipv4/fib_frontend.c: fib_add_ifaddr; LVS-HOWTO: the VIP on the realserver, netmask 255.255.255.255",
    outranks: &["rs-arp-default"],
    what: |nodes| format!("the VIP is on lo with the mask of a whole subnet, on {nodes}"),
    afflicted,
};

fn afflicted(traffic: &Traffic<'_>) -> Vec<Affliction> {
    let mut found = Vec::new();
    for station in traffic.real_servers() {
        let Some(facts) = traffic.input.facts(&station.node) else { continue };
        for address in &facts.addresses {
            let (net, vip) = (address.address, address.address.addr());
            let single = net.max_prefix_len();
            if address.interface != "lo" || net.prefix_len() == single || !traffic.input.case.is_vip(vip) {
                continue;
            }
            let node = &station.node;
            let label = address.label.as_deref().map_or_else(String::new, |l| format!(" label {l}"));
            let mut mend =
                vec![format!("on {node}: ip address del {net} dev lo && ip address add {vip}/{single} dev lo{label}")];
            if vip.is_ipv4() {
                let name = address.label.as_deref().unwrap_or("lo:0");
                mend.push(format!("on {node}: ifconfig {name} {vip} netmask 255.255.255.255 broadcast {vip} up"));
            }
            let what = format!("{node} takes all of {} for its own", net.trunc());
            let evidence = vec![Evidence::fact(what, address_line(address))];
            found.push(Affliction { node: node.clone(), interface: Some(address.interface.clone()), evidence, mend });
        }
    }
    found
}
