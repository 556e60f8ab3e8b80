//! Virtual services: what the kernel would refuse, said before it is asked.

use std::net::IpAddr;

use super::lab::role;
use super::{Context, each};
use crate::base::{Protocol, Role, SCHEDULERS};
use crate::scenario::problem::Complaint;
use crate::scenario::source::Path;
use crate::scenario::spec::{DetailedRealServer, RealServer, Service};
use crate::scenario::suggest;

/// Every flag, and the scheduler that has it; `ops` belongs to the service.
const FLAGS: &[(&str, Option<&str>)] = &[
    ("sh-fallback", Some("sh")),
    ("sh-port", Some("sh")),
    ("mh-fallback", Some("mh")),
    ("mh-port", Some("mh")),
    ("ops", None),
];

/// What tells one service from another.
const IDENTITY: [&str; 5] = ["vip", "port", "protocol", "fwmark", "director"];

/// The longest IPVS timeout in seconds (`INT_MAX / HZ`, `ip_vs_ctl.c`).
const LONGEST_S: u32 = 2_147_483;

pub(super) fn check(cx: &mut Context<'_>) {
    let scenario = cx.scenario;
    for (at, service) in scenario.services.iter().enumerate() {
        let path = Path::of(&["services"]).at(at);
        identity(cx, &path, service);
        scheduling(cx, &path, service);
        persistence(cx, &path, service);
        real_servers(cx, &path, service);
        same_as_before(cx, at);
    }
    if let Some(timeouts) = scenario.timeouts {
        let path = Path::of(&["timeouts"]);
        for (key, value) in [("tcp_s", timeouts.tcp_s), ("tcp_fin_s", timeouts.tcp_fin_s), ("udp_s", timeouts.udp_s)] {
            cx.bound(
                &path.at(key),
                value,
                1,
                LONGEST_S,
                "to the kernel 0 says \"leave it\": leave the key out for that",
            );
        }
    }
    servers(cx);
}

fn vip_of(cx: &Context<'_>, service: &Service) -> Option<IpAddr> {
    service.vip.or_else(|| each(&Path::default(), &cx.scenario.vip).first().map(|(_, vip)| **vip))
}

/// Complains about a VIP that is not one of the scenario's.
pub(super) fn known_vip(cx: &mut Context<'_>, path: &Path, vip: Option<IpAddr>) {
    let vips: Vec<String> = each(&Path::default(), &cx.scenario.vip).iter().map(|(_, vip)| vip.to_string()).collect();
    let Some(vip) = vip.map(|vip| vip.to_string()).filter(|vip| !vips.contains(vip)) else { return };
    let complaint = Complaint::value(path, format!("{vip} is none of the scenario's VIPs"))
        .also(&Path::of(&["vip"]), "the VIPs")
        .maybe_help(suggest::or_list(&vip, vips.iter().map(String::as_str)))
        .relies_on(&Path::of(&["vip"]))
        .spoils();
    cx.add(complaint);
}

fn identity(cx: &mut Context<'_>, path: &Path, service: &Service) {
    if let Some(director) = &service.director
        && let Some(node) = cx.node(&path.at("director"), director.as_str())
        && node.role != Role::Director
    {
        let complaint = Complaint::value(&path.at("director"), format!("`{director}` is a {}, no Director", node.role));
        cx.add(complaint.relies_on(&role(director.as_str())).spoils());
    }
    known_vip(cx, &path.at("vip"), service.vip);
    if service.port == Some(0) && service.persistence_s.is_none() && service.fwmark.is_none() {
        let complaint = Complaint::value(
            &path.at("port"),
            "port 0 stands for every port, which only a persistent service can take",
        )
        .relies_on(&path.at("persistence_s"))
        .relies_on(&path.at("fwmark"))
        .help("add `persistence_s = 300`, or write the port");
        cx.add(complaint);
    }
    if service.fwmark == Some(0) {
        let help = "0 is what a packet without a mark has; write 1 or more";
        cx.add(Complaint::value(&path.at("fwmark"), "firewall mark 0 marks nothing").help(help));
    }
    if service.mark_packets.is_some() && service.fwmark.is_none() {
        let help = "add `fwmark = 1`, or leave `mark_packets` out";
        cx.add(
            Complaint::key(&path.at("mark_packets"), "the service has no firewall mark to give to packets")
                .help(help)
                .relies_on(&path.at("fwmark")),
        );
    }
}

fn scheduling(cx: &mut Context<'_>, path: &Path, service: &Service) {
    let scheduler = service.scheduler.as_deref().unwrap_or("rr");
    if !SCHEDULERS.contains(&scheduler) {
        let complaint = Complaint::value(&path.at("scheduler"), format!("the kernel has no scheduler `{scheduler}`"))
            .maybe_help(suggest::or_list(scheduler, SCHEDULERS.iter().copied()))
            .spoils();
        cx.add(complaint);
    }
    for (at, flag) in service.flags.iter().enumerate() {
        let here = path.at("flags").at(at);
        match FLAGS.iter().find(|(name, _)| name == flag) {
            None => {
                let names = FLAGS.iter().map(|(name, _)| *name);
                let complaint = Complaint::value(&here, format!("`{flag}` is no flag of a service"));
                cx.add(complaint.maybe_help(suggest::or_list(flag, names)));
            }
            Some((_, Some(owner))) if *owner != scheduler => {
                let message = format!("`{flag}` is a flag of scheduler `{owner}`, not of `{scheduler}`");
                cx.add(
                    Complaint::value(&here, message)
                        .relies_on(&path.at("scheduler"))
                        .help(format!("write `scheduler = \"{owner}\"`, or leave the flag out")),
                );
            }
            Some((_, None)) if service.fwmark.is_none() && service.protocol != Some(Protocol::Udp) => {
                let help = "add `protocol = \"udp\"`, or leave the flag out";
                let complaint = Complaint::value(&here, "one-packet scheduling (`ops`) is for UDP").help(help);
                cx.add(complaint.relies_on(&path.at("protocol")).relies_on(&path.at("fwmark")));
            }
            Some(_) => {}
        }
    }
}

fn persistence(cx: &mut Context<'_>, path: &Path, service: &Service) {
    cx.bound(
        &path.at("persistence_s"),
        service.persistence_s,
        1,
        LONGEST_S,
        "leave it out for a service without persistence",
    );
    let family_is_known = cx.damage.knows(&path.at("vip")) && cx.damage.knows(&Path::of(&["vip"]));
    let v4 = family_is_known && vip_of(cx, service).is_none_or(|vip| vip.is_ipv4());
    let longest = if v4 { 32 } else { 128 };
    let here = path.at("persistence_prefix");
    cx.bound(&here, service.persistence_prefix, 1, longest, "it is the length of a prefix of the client's address");
    if service.persistence_prefix.is_some() && service.persistence_s.is_none() {
        cx.add(
            Complaint::key(&here, "the service is not persistent")
                .help("add `persistence_s = 300`")
                .relies_on(&path.at("persistence_s")),
        );
    }
}

fn real_servers(cx: &mut Context<'_>, path: &Path, service: &Service) {
    let list = service.real_servers.as_deref().unwrap_or_default();
    for (at, real_server) in list.iter().enumerate() {
        let here = path.at("real_servers").at(at);
        match real_server {
            RealServer::Node(node) => {
                cx.node(&here, node.as_str());
            }
            RealServer::Detailed(said) => detailed(cx, path, &here, service, said),
        }
        if let Some(first) = list[..at].iter().position(|before| same_destination(before, real_server)) {
            let help = "IPVS holds each address and port once per service; give a weight of 2 instead";
            let first = path.at("real_servers").at(first);
            let complaint = Complaint::value(&here, "the real server is listed twice").help(help);
            cx.add(complaint.relies_on(&here).relies_on(&first));
        }
    }
}

fn same_destination(one: &RealServer, other: &RealServer) -> bool {
    let key = |server: &RealServer| match server {
        RealServer::Node(node) => (Some(node.clone()), None, None),
        RealServer::Detailed(said) => (said.node.clone(), said.address, said.port),
    };
    key(one) == key(other)
}

fn detailed(cx: &mut Context<'_>, of: &Path, path: &Path, service: &Service, said: &DetailedRealServer) {
    match (&said.node, said.address) {
        (Some(node), _) => {
            cx.node(&path.at("node"), node.as_str());
        }
        (None, None) => cx.add(
            Complaint::value(path, "a real server without `node` and without `address`")
                .help("write `node = \"rs1\"`")
                .relies_on(&path.at("node"))
                .relies_on(&path.at("address")),
        ),
        (None, Some(_)) => {}
    }
    if let (Some(address), Some(vip)) = (said.address, vip_of(cx, service)) {
        let tunnel = said.forwarding.or(service.forwarding) == Some(crate::base::Forwarding::Tun);
        if address.is_ipv4() != vip.is_ipv4() && !tunnel {
            let message = format!("{address} and the VIP {vip} are of two families");
            cx.add(
                Complaint::value(&path.at("address"), message)
                    .help("only `forwarding = \"tun\"` crosses families")
                    .relies_on(&path.at("forwarding"))
                    .relies_on(&of.at("forwarding"))
                    .relies_on(&of.at("vip"))
                    .relies_on(&Path::of(&["vip"])),
            );
        }
    }
    cx.bound(&path.at("weight"), said.weight, 0, 65_535, "IPVS shares out by weight; 0 takes no new connections");
    if said.lower.unwrap_or(0) > said.upper.unwrap_or(0) {
        let message = "the lower threshold is above the upper one, which the kernel refuses";
        let complaint = Complaint::value(&path.at("lower"), message).relies_on(&path.at("upper"));
        cx.add(if said.upper.is_some() {
            complaint.also(&path.at("upper"), "the upper one")
        } else {
            complaint.help("add `upper`")
        });
    }
}

fn same_as_before(cx: &mut Context<'_>, at: usize) {
    let services = &cx.scenario.services;
    let key = |s: &Service| {
        let address = (vip_of(cx, s), s.port.unwrap_or(80), s.protocol.unwrap_or(Protocol::Tcp));
        match s.fwmark {
            Some(mark) => {
                (Some(mark), (vip_of(cx, s).filter(IpAddr::is_ipv6).map(|_| IpAddr::V6(0.into())), 0, Protocol::Tcp))
            }
            None => (None, address),
        }
    };
    let meet = |a: &Service, b: &Service| a.director.is_none() || b.director.is_none() || a.director == b.director;
    let me = &services[at];
    let Some(before) = services[..at].iter().position(|other| key(other) == key(me) && meet(other, me)) else { return };
    let path = Path::of(&["services"]);
    let complaint = Complaint::key(&path.at(at), "the Director would hold this service twice")
        .also(&path.at(before), "the first")
        .help("give one of them another `vip`, `port`, `protocol` or `fwmark`")
        .relies_on(&Path::of(&["vip"]))
        .relies_on_all([at, before].into_iter().flat_map(|at| IDENTITY.map(|key| path.at(at).at(key))));
    cx.add(complaint);
}

fn servers(cx: &mut Context<'_>) {
    let scenario = cx.scenario;
    for (name, node) in &scenario.nodes {
        let list = node.serve.as_deref().unwrap_or_default();
        let path = Path::of(&["nodes", name.as_str(), "serve"]);
        for (at, serve) in list.iter().enumerate() {
            let (here, before) = (path.at(at), &list[..at]);
            cx.bound(&here.at("port"), Some(serve.port), 1, u16::MAX, "a server listens on one port");
            if serve.protocol == Some(Protocol::Udp) && !serve.hosts.is_empty() {
                let complaint = Complaint::value(&here.at("hosts"), "an echo over UDP has no sites");
                cx.add(complaint.relies_on(&here.at("protocol")));
            }
            if serve.protocol != Some(Protocol::Udp) && serve.source_by_route.is_some() {
                let message = "a TCP connection keeps the address that it was made to";
                cx.add(Complaint::value(&here.at("source_by_route"), message).relies_on(&here.at("protocol")));
            }
            cx.bound(&here.at("body_bytes"), serve.body_bytes, 0, 16 << 20, "a body has at most 16 MiB");
            let socket = |s: &crate::scenario::spec::Serve| (s.protocol.unwrap_or(Protocol::Tcp), s.port, s.bind);
            if let Some(first) = before.iter().position(|other| socket(other) == socket(serve)) {
                let message = format!("two servers of `{name}` listen on port {}", serve.port);
                let complaint =
                    Complaint::value(&here.at("port"), message).also(&path.at(first).at("port"), "the first");
                let sockets = [&here, &path.at(first)].map(|server| ["protocol", "bind"].map(|key| server.at(key)));
                cx.add(complaint.relies_on_all(sockets.into_iter().flatten()));
            }
            if let Some(said) = &serve.name
                && let Some(first) = before.iter().position(|other| other.name.as_ref() == Some(said))
            {
                let message = format!("two servers of `{name}` are called `{said}`");
                cx.add(Complaint::value(&here.at("name"), message).also(&path.at(first).at("name"), "the first"));
            }
        }
    }
}
