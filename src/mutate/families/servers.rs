//! Servers: gone, at another port, at the RIP alone, at the VIP alone, by another protocol.

use std::net::SocketAddr;

use crate::base::Protocol;
use crate::mutate::ground::Part;
use crate::mutate::{Change, Expected, Maker, Thing};
use crate::plan::{LinkKind, Node, Server};

pub(super) fn derive(maker: &mut Maker<'_>) {
    for node in &maker.ground.plan.nodes {
        for server in &node.servers {
            one(maker, node, server);
        }
    }
}

fn one(maker: &mut Maker<'_>, node: &Node, server: &Server) {
    let (name, bind) = (&node.name, server.bind);
    let key = format!("server {}", server.name);
    let change = |to| vec![Change::Server { node: name.clone(), name: server.name.clone(), to }];
    let asked = maker.ground.asked();
    let used = maker.ground.legs.iter().any(|l| l.part == Part::Reply && l.start.name == *name)
        && asked.iter().any(|(protocol, at)| *protocol == server.protocol && at.port() == bind.port());
    let named = |id| if used { Expected::one(id, name) } else { Expected::without("nobody is sent to that server") };
    maker.add(
        Thing::Server,
        name,
        (&key, format!("{} not running", server.name)),
        change(None),
        named("app-not-listening"),
    );
    let port = SocketAddr::new(bind.ip(), bind.port().wrapping_add(8000));
    let what = format!("{} on port {} instead of {}", server.name, port.port(), bind.port());
    maker.add(Thing::Server, name, (&key, what), change(Some((server.protocol, port))), named("app-not-listening"));
    let other = if server.protocol == Protocol::Tcp { Protocol::Udp } else { Protocol::Tcp };
    let what = format!("{} on {other} instead of {}", server.name, server.protocol);
    maker.add(Thing::Server, name, (&key, what), change(Some((other, bind))), named("app-not-listening"));
    let own = node
        .interfaces
        .iter()
        .filter(|i| matches!(i.kind, LinkKind::Segment(_)))
        .flat_map(|i| &i.addresses)
        .map(|a| a.address.addr());
    let rip = own.into_iter().find(|a| a.is_ipv4() == bind.is_ipv4() && !maker.ground.is_vip(*a));
    let by_nat =
        maker.ground.legs.iter().any(|l| l.part == Part::Reply && l.start.name == *name && Some(l.source) == rip);
    if let Some(rip) = rip.filter(|rip| *rip != bind.ip() && !by_nat) {
        let what = format!("{} bound to {rip} instead of {}", server.name, bind.ip());
        maker.add(
            Thing::Server,
            name,
            (&key, what),
            change(Some((server.protocol, SocketAddr::new(rip, bind.port())))),
            named("app-bound-rip"),
        );
    }
    let vips: Vec<_> = maker.ground.vip_on(node).collect();
    if let [vip] = vips.as_slice()
        && bind.ip().is_unspecified()
    {
        let what = format!("{} bound to {vip} instead of {}", server.name, bind.ip());
        let expected = Expected::without("packets come with the VIP as destination, and nothing else is asked");
        maker.add(
            Thing::Server,
            name,
            (&key, what),
            change(Some((server.protocol, SocketAddr::new(*vip, bind.port())))),
            expected,
        );
    }
}
