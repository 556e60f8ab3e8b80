//! Loads: bounded, and from nodes that are there.

use super::service::known_vip;
use super::{Context, timeline};
use crate::scenario::problem::Complaint;
use crate::scenario::source::Path;
use crate::scenario::spec::{Action, Load};

/// A lab ends: no load and no wait lasts longer.
pub(super) const LONGEST_MS: u64 = 600_000;

pub(super) fn check(cx: &mut Context<'_>) {
    if let Some(load) = &cx.scenario.load {
        one(cx, &Path::of(&["load"]), load);
    }
}

pub(super) fn one(cx: &mut Context<'_>, path: &Path, load: &Load) {
    for (at, client) in load.clients.iter().enumerate() {
        cx.node(&path.at("clients").at(at), client.as_str());
    }
    known_vip(cx, &path.at("vip"), load.vip);
    cx.bound(&path.at("requests"), load.requests, 1, 1_000_000, "a load is bounded, so that every lab ends");
    cx.bound(&path.at("concurrency"), load.concurrency, 1, 10_000, "so many requests are under way at once");
    cx.bound(&path.at("duration_ms"), load.duration_ms, 1, LONGEST_MS, "a load is bounded: ten minutes at most");
    cx.bound(
        &path.at("timeout_ms"),
        load.timeout_ms,
        1,
        LONGEST_MS,
        "a request is waited for so long; ten minutes at most",
    );
    cx.bound(
        &path.at("addresses_per_client"),
        load.addresses_per_client,
        1,
        1000,
        "each is added to the client's interface",
    );
    cx.bound(&path.at("port"), load.port, 1, u16::MAX, "a client asks one port");
    cx.bound(&path.at("source_port"), load.source_port, 1, u16::MAX, "a socket is bound to one port");
    cx.bound(&path.at("upload_bytes"), load.upload_bytes, 0, 16 << 20, "a request carries at most 16 MiB");
    if load.source_port.is_some() && load.concurrency.is_some_and(|n| n > 1) {
        let message = "one port can't be bound by several requests at once";
        cx.add(Complaint::value(&path.at("concurrency"), message).also(&path.at("source_port"), "the port"));
    }
    if load.source_port.is_some() && load.connections == Some(crate::base::LoadMode::KeepAlive) {
        let message = "a client that keeps its connections chooses their ports itself";
        cx.add(Complaint::value(&path.at("source_port"), message).also(&path.at("connections"), "the mode"));
    }
    if let Some(rate) = load.rate_per_s
        && (!rate.is_finite() || rate <= 0.0)
    {
        let help = "leave it out for as fast as it goes";
        cx.add(Complaint::value(&path.at("rate_per_s"), format!("{rate} requests a second is no rate")).help(help));
    }
    for (at, said) in load.paths.iter().enumerate() {
        if !said.starts_with('/') || !said.bytes().all(|b| b.is_ascii_graphic()) {
            let help = format!("write `\"/{}\"`", said.trim_start_matches('/').replace(' ', "%20"));
            cx.add(Complaint::value(&path.at("paths").at(at), format!("`{said}` is no path of HTTP")).help(help));
        }
    }
    if load.host.as_ref().is_some_and(|host| host.is_empty() || !host.bytes().all(|b| b.is_ascii_graphic())) {
        cx.add(Complaint::value(&path.at("host"), "the `Host` header has a character that it can't have, or none"));
    }
    if load.contains.as_ref().is_some_and(String::is_empty) {
        cx.add(Complaint::value(&path.at("contains"), "every answer holds an empty text").help("leave it out"));
    }
    if load.contains.is_some() && load.protocol == Some(crate::base::Protocol::Udp) {
        let message = "a datagram's echo holds what was sent, and nothing else";
        cx.add(Complaint::value(&path.at("contains"), message).also(&path.at("protocol"), "the transport"));
    }
    during(cx, path, load);
}

fn during(cx: &mut Context<'_>, path: &Path, load: &Load) {
    for (at, step) in load.during.iter().enumerate() {
        let here = path.at("during").at(at);
        let help = "write one of the two: `after_requests = 10` or `at_ms = 500`";
        match (step.after_requests, step.at_ms) {
            (Some(_), Some(_)) => {
                let message = "the step has two moments";
                cx.add(
                    Complaint::key(&here.at("at_ms"), message).also(&here.at("after_requests"), "the first").help(help),
                );
            }
            (None, None) => {
                let complaint = Complaint::value(&here, "the step has no moment").help(help);
                cx.add(complaint.relies_on(&here.at("after_requests")).relies_on(&here.at("at_ms")));
            }
            (Some(after), None) => {
                if let Some(requests) = load.requests.filter(|requests| after > *requests) {
                    let message = format!("the step waits for {after} requests, the load has {requests}");
                    cx.add(Complaint::value(&here.at("after_requests"), message).help("it would never come"));
                }
            }
            (None, at_ms) => {
                let help = "a load is bounded: ten minutes at most";
                cx.bound(&here.at("at_ms"), at_ms, 0, LONGEST_MS, help);
            }
        }
        let action = here.at("do");
        if matches!(step.action, Action::Load(_)) {
            let help = "several loads follow each other in the timeline";
            cx.add(Complaint::key(&action.at("load"), "a load can't run within a load").help(help));
        } else {
            timeline::action(cx, &action, &step.action);
        }
    }
}
