//! The other two witnesses: the real servers' access logs, and the kernel's IPVS where that is what balances.
//!
//! Each may only know less than the capture in ways that are allowed for: a connection that failed is in no log, an
//! entry may have expired, a connection that never left the Director was scheduled all the same.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use crate::base::{NodeName, Protocol};
use crate::facts::IpvsFacts;
use crate::facts::run::Outcome;
use crate::judge::tally::Tally;
use crate::judge::traffic::{Connection, Connections, Traffic};
use crate::judge::{Evidence, Input};

/// By client's end, the nodes that its connections went to.
type Went<'a> = BTreeMap<SocketAddr, BTreeSet<&'a NodeName>>;

/// Compares all three; the sentence says which of them spoke.
pub(super) fn agree(traffic: &Traffic<'_>, all: &Connections<'_>, tally: &mut Tally) -> String {
    let input = traffic.input;
    let mut went: Went<'_> = BTreeMap::new();
    for connection in &all.new {
        if let Some(to) = connection.to {
            went.entry(connection.client).or_default().insert(&to.node);
        }
    }
    let logged = access_logs(traffic, &went, tally);
    let (mut entries, mut tables) = (0, 0);
    let with_table = traffic.directors().filter(|d| !input.case.without_ipvs.contains_key(&d.node));
    for director in with_table {
        tables += 1;
        let Some(after) = input.facts_after(&director.node).and_then(|f| f.ipvs.as_ref()) else {
            tally.doubt(format!("the IPVS table of {} was not read", director.node));
            continue;
        };
        entries += table(traffic, after, &went, tally);
        totals(input, &director.node, after, all, tally);
    }
    if tables == 0 {
        return format!("the capture and the access logs ({logged} requests) agree");
    }
    format!("the capture, the access logs ({logged} requests) and the IPVS table ({entries} entries) agree")
}

/// Every logged request must have been sent to that server, every answered one must be logged.
fn access_logs(traffic: &Traffic<'_>, went: &Went<'_>, tally: &mut Tally) -> usize {
    let input = traffic.input;
    let mut logged: BTreeSet<(SocketAddr, &NodeName)> = BTreeSet::new();
    let mut entries = 0;
    for (node, entry) in input.ran.access_logs.iter().flat_map(|(node, log)| log.iter().map(move |e| (node, e))) {
        let Some(nodes) = went.get(&entry.client) else { continue };
        entries += 1;
        logged.insert((entry.client, node));
        if !nodes.contains(node) {
            let sent: Vec<String> = nodes.iter().map(ToString::to_string).collect();
            let what = format!(
                "{node} logged a request from {}, the capture shows it sent to {}",
                entry.client,
                sent.join(", ")
            );
            tally.broken("an access log and the capture differ", Evidence::told(what));
        }
    }
    for request in input.ran.loads.iter().flat_map(|l| &l.requests) {
        let answered = matches!(request.outcome, Outcome::Answered { .. }) && request.protocol == Protocol::Tcp;
        let Some(local) = request.local.filter(|_| answered) else { continue };
        let Some(nodes) = went.get(&local) else { continue };
        if !nodes.iter().any(|node| logged.contains(&(local, node))) {
            if input.ran.access_logs.is_empty() {
                tally.doubt("there are no access logs");
                continue;
            }
            let sent: Vec<String> = nodes.iter().map(ToString::to_string).collect();
            let what = format!("the answered request from {local} is not in the log of {}", sent.join(", "));
            tally.broken("an access log and the capture differ", Evidence::told(what));
        }
    }
    entries
}

/// Every entry of the connection table must name the server that the capture shows. Templates of persistence have no
/// client's port and are passed over.
fn table(traffic: &Traffic<'_>, after: &IpvsFacts, went: &Went<'_>, tally: &mut Tally) -> usize {
    let stations = &traffic.input.case.stations;
    let mut compared = 0;
    for entry in after.connections.iter().filter(|e| e.client.port() != 0) {
        let Some(nodes) = went.get(&entry.client) else { continue };
        compared += 1;
        let named = |node: &&&NodeName| stations.iter().any(|s| s.node == ***node && s.has(entry.destination.ip()));
        if nodes.iter().find(named).is_none() {
            let sent: Vec<String> = nodes.iter().map(ToString::to_string).collect();
            let fact = format!("{} {} {} {}", entry.client, entry.service, entry.destination, entry.state);
            let what = format!("the capture shows {} sent to {}", entry.client, sent.join(", "));
            tally.broken("the IPVS table and the capture differ", Evidence::fact(what, fact));
        }
    }
    compared
}

/// The kernel's counter of connections must have grown by as many as were handed on; those that stayed in the
/// Director or came from a port again may count or not.
fn totals(input: &Input<'_>, director: &NodeName, after: &IpvsFacts, all: &Connections<'_>, tally: &mut Tally) {
    let before = input.before.iter().find(|f| f.node == *director).and_then(|f| f.ipvs.as_ref());
    let Some(before) = before else {
        tally.doubt(format!("the IPVS table of {director} was not read before the load"));
        return;
    };
    let grown = after.total_connections.saturating_sub(before.total_connections);
    let own: Vec<&Connection<'_>> = all.new.iter().filter(|c| c.entered.station.node == *director).collect();
    let handed_on = own.iter().filter(|c| c.to.is_some()).count() as u64;
    // What the Director asked itself never entered it.
    let asked = input.ran.loads.iter().flat_map(|l| &l.requests).filter(|r| r.client == *director).count() as u64;
    let most = own.len() as u64 + all.reused + asked;
    if !(handed_on..=most).contains(&grown) && input.lost(director) == 0 {
        let what = format!("the capture shows {handed_on} connections handed on by {director}");
        let fact = format!("total connections {} before, {} after", before.total_connections, after.total_connections);
        tally.broken("the IPVS counters and the capture differ", Evidence::fact(what, fact));
    }
}
