//! `mtu-dir-to-rs`: the Director's way to a real server takes less than what clients send.

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule};
use crate::judge::host::route_line;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};
use crate::wire::frame::Transport;

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "mtu-dir-to-rs",
    title: "the Director's way to a real server is too narrow",
    teaches: "Clients and real servers agree on a segment's size by their own interfaces and know nothing of the way \
              between them. IPVS asks the route to the RIP: what is larger and must not be fragmented it drops, and \
              answers with ICMP fragmentation needed whose source is the VIP. Where that arrives, uploads lose a round \
              trip; where it does not, they hang. Give the way the MTU of the rest, or have real servers announce a \
              smaller segment. The trap: a test with small requests never shows it.",
    causes: "each client's first large packets are dropped; where ICMP does not reach it, uploads hang",
    source: "net/netfilter/ipvs/ip_vs_xmit.c: ensure_mtu_is_adequate; RFC 1191",
    outranks: &[],
    what: |nodes| format!("the way to a real server takes less than what clients send, on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Narrow { to, mtu, size, route, server } = deviation.kind else { return None };
    let node = deviation.node;
    let (trace, vip) = (diagnosis.traffic.input.trace, diagnosis.world.case.vips.first()?);
    let interface = deviation.interface?;
    let by_route = route.mtu == Some(mtu);
    let line = route_line(route);
    let line = if by_route && !line.contains("mtu") { format!("{line} mtu {mtu}") } else { line };
    let what = format!("{node} reaches {server} ({to}) with packets of {mtu} bytes, clients send {size}");
    let mut evidence = vec![Evidence::fact(what, if by_route { line } else { format!("{interface} mtu {mtu}") })];
    let refusal = trace.frames.iter().find(|f| {
        let own = diagnosis
            .traffic
            .hop(f)
            .is_some_and(|h| h.station.node == *node && h.way == super::super::traffic::Way::Leaves);
        own && f.ip().is_some_and(|ip| matches!(ip.transport, Transport::Icmp { kind: 3, code: 4, .. }))
    });
    let text = format!("{node} tells a client that its packet is too large");
    evidence.extend(refusal.map(|f| Evidence::frame(trace, f, text)));
    let widen = if by_route {
        let via = route.gateway.map(|g| format!(" via {g}")).unwrap_or_default();
        let source = route.source.map(|s| format!(" src {s}")).unwrap_or_default();
        format!("ip route replace {}{via} dev {interface}{source}", destination(route))
    } else {
        format!("ip link set dev {interface} mtu {size}")
    };
    let clamp = format!("-s {vip} -p tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss {}", mtu.saturating_sub(40));
    let mend = vec![
        mended(node, Dialect::Ip, widen),
        mended(server, Dialect::Iptables, format!("iptables -t mangle -A OUTPUT {clamp}")),
    ];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}

/// A route's destination as `ip` writes it.
fn destination(route: &crate::facts::RouteFact) -> String {
    if route.destination.prefix_len() == 0 { "default".to_owned() } else { route.destination.to_string() }
}
