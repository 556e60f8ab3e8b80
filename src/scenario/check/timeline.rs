//! The timeline: every action has its node, its interface, its service, and an end.

use super::devices::{interface, place};
use super::lab::role;
use super::load::{self, LONGEST_MS};
use super::{Context, programs, routes, sysctls};
use crate::base::{NodeName, Protocol, Role};
use crate::scenario::problem::Complaint;
use crate::scenario::source::Path;
use crate::scenario::spec::{Action, Condition, RealServer, Serve, SysctlValue};
use crate::scenario::suggest;

pub(super) fn check(cx: &mut Context<'_>) {
    let scenario = cx.scenario;
    for (at, step) in scenario.timeline.iter().enumerate() {
        let path = Path::of(&["timeline"]).at(at).at("do");
        action(cx, &path, &step.action);
    }
}

/// `path` leads to the table with the action's one key.
pub(super) fn action(cx: &mut Context<'_>, path: &Path, action: &Action) {
    match action {
        Action::Load(said) => load::one(cx, &path.at("load"), said),
        Action::SetSysctl { node, key, value } => set_sysctl(cx, &path.at("set_sysctl"), node, key, value),
        Action::SetWeight { real_server, weight, service } => {
            let path = path.at("set_weight");
            destination(cx, &path, real_server, *service);
            cx.bound(
                &path.at("weight"),
                Some(*weight),
                0,
                65_535,
                "IPVS shares out by weight; 0 takes no new connections",
            );
        }
        Action::AddService { service: at } => service(cx, &path.at("add_service"), *at),
        Action::DeleteService { service: at } => service(cx, &path.at("delete_service"), *at),
        Action::DeleteRealServer { real_server, service } => {
            destination(cx, &path.at("delete_real_server"), real_server, *service);
        }
        Action::AddRealServer { real_server, service } => {
            destination(cx, &path.at("add_real_server"), real_server, *service);
        }
        Action::SetLink { node, interface, up: _ } => {
            on_node(cx, &path.at("set_link"), node, Some(interface.as_str()));
        }
        Action::AddAddress { node, on, .. } => address(cx, &path.at("add_address"), node, on),
        Action::DeleteAddress { node, on, address: _ } => address(cx, &path.at("delete_address"), node, on),
        Action::StopServer { node, server } => self::server(cx, &path.at("stop_server"), node, server.as_deref()),
        Action::StartServer { node, server } => self::server(cx, &path.at("start_server"), node, server.as_deref()),
        Action::StartDaemon { node, daemon } => {
            programs::named(cx, &path.at("start_daemon"), node, daemon.as_deref());
        }
        Action::StopDaemon { node, daemon } => {
            programs::named(cx, &path.at("stop_daemon"), node, daemon.as_deref());
        }
        Action::KillDaemon { node, daemon } => {
            programs::named(cx, &path.at("kill_daemon"), node, daemon.as_deref());
        }
        Action::Run { node, command, may_fail: _, deadline_ms } => {
            let path = path.at("run");
            on_node(cx, &path, node, None);
            programs::command(cx, &path, command, *deadline_ms);
        }
        Action::FlushNeighbours { node, interface, address: _ } => {
            on_node(cx, &path.at("flush_neighbours"), node, interface.as_ref().map(crate::base::IfName::as_str));
        }
        Action::SetNeighbour { node, address: _, mac, permanent: _ } => {
            let path = path.at("set_neighbour");
            on_node(cx, &path, node, None);
            routes::mac(cx, &path.at("mac"), mac);
        }
        Action::GratuitousArp { node, interface, address: _, mac: _ } => {
            on_node(cx, &path.at("gratuitous_arp"), node, interface.as_ref().map(crate::base::IfName::as_str));
        }
        Action::Ping { node, to, count, timeout_ms } => ping(cx, &path.at("ping"), node, to, *count, *timeout_ms),
        Action::Pause { ms } => {
            let help = "a lab ends: ten minutes at most";
            cx.bound(&path.at("pause").at("ms"), Some(*ms), 1, load::LONGEST_MS, help);
        }
        Action::WaitUntil { condition: wanted, deadline_ms } => {
            let path = path.at("wait_until");
            condition(cx, &path.at("condition"), wanted);
            cx.bound(&path.at("deadline_ms"), *deadline_ms, 1, LONGEST_MS, "a wait ends: ten minutes at most");
        }
    }
}

fn on_node(cx: &mut Context<'_>, path: &Path, node: &NodeName, port: Option<&str>) {
    if cx.node(&path.at("node"), node.as_str()).is_some()
        && let Some(port) = port
    {
        interface(cx, &path.at("interface"), node.as_str(), port);
    }
}

fn set_sysctl(cx: &mut Context<'_>, path: &Path, node: &NodeName, key: &str, value: &SysctlValue) {
    on_node(cx, path, node, None);
    sysctls::one(cx, (&path.at("key"), false), &path.at("value"), (key, value), node.as_str());
}

fn address(cx: &mut Context<'_>, path: &Path, node: &NodeName, on: &str) {
    if cx.node(&path.at("node"), node.as_str()).is_some() {
        place(cx, &path.at("on"), on, &[node.as_str()]);
    }
}

fn ping(cx: &mut Context<'_>, path: &Path, node: &NodeName, to: &str, count: Option<u16>, timeout_ms: Option<u64>) {
    on_node(cx, path, node, None);
    if to.parse::<std::net::IpAddr>().is_err() && !cx.scenario.nodes.contains_key(to) {
        let complaint = Complaint::value(&path.at("to"), format!("`{to}` is neither an address nor a node's name"));
        let near = suggest::nearest(to, cx.node_names()).map(|near| format!("did you mean `{near}`?"));
        cx.add(complaint.maybe_help(near).relies_on_name(&Path::of(&["nodes"]), to));
    }
    cx.bound(&path.at("count"), count, 1, 1000, "so many echo requests are sent");
    cx.bound(&path.at("timeout_ms"), timeout_ms, 1, LONGEST_MS, "a wait ends: ten minutes at most");
}

fn service(cx: &mut Context<'_>, path: &Path, at: usize) {
    // Without a service of its own a scenario has one: TCP port 80.
    let count = cx.scenario.services.len().max(1);
    if at >= count {
        let help = if count == 1 {
            "the only one is 0".to_owned()
        } else {
            format!("they are counted from 0 to {}", count - 1)
        };
        let message = format!("there is no service {at}");
        let complaint = Complaint::value(&path.at("service"), message).help(help).spoils();
        cx.add(complaint.relies_on_names(&Path::of(&["services"])));
    }
}

fn destination(cx: &mut Context<'_>, path: &Path, real_server: &NodeName, at: usize) {
    service(cx, path, at);
    let here = path.at("real_server");
    let Some(node) = cx.node(&here, real_server.as_str()) else { return };
    let listed = cx.scenario.services.get(at).and_then(|s| s.real_servers.as_ref());
    // A real server that is given by address alone may be any node.
    let of_service = listed.map(|list| {
        list.iter().any(|server| match server {
            RealServer::Node(name) => name == real_server,
            RealServer::Detailed(said) => said.node.as_ref().is_none_or(|name| name == real_server),
        })
    });
    if !of_service.unwrap_or(node.role == Role::RealServer) {
        let message = format!("`{real_server}` is no real server of service {at}");
        let services = Path::of(&["services"]);
        let help = "list it in the service's `real_servers`: one that the timeline adds before all else is not in the \
                    table at the start";
        let mut complaint = Complaint::value(&here, message)
            .help(help)
            .relies_on_names(&services)
            .relies_on(&services.at(at).at("real_servers"))
            .relies_on(&path.at("service"));
        if listed.is_none() {
            complaint = complaint.relies_on(&role(real_server.as_str()));
        }
        cx.add(complaint);
    }
}

fn server(cx: &mut Context<'_>, path: &Path, name: &NodeName, server: Option<&str>) {
    let Some(node) = cx.node(&path.at("node"), name.as_str()) else { return };
    let serve = Path::of(&["nodes", name.as_str(), "serve"]);
    let said = node.serve.as_deref();
    if said.is_some_and(<[_]>::is_empty) || (said.is_none() && node.role != Role::RealServer) {
        let help = "a node serves what its `serve` says, a real server HTTP where not said";
        cx.add(
            Complaint::value(&path.at("node"), format!("node `{name}` serves nothing"))
                .help(help)
                .relies_on(&role(name.as_str()))
                .relies_on(&serve),
        );
        return;
    }
    let Some(list) = said else { return };
    let names: Vec<String> = list.iter().map(name_of).collect();
    match (server, names) {
        (None, _) if list.len() > 1 => {
            let complaint = Complaint::value(path, format!("node `{name}` has {} servers", list.len()));
            cx.add(complaint.help("say which one: `server = \"…\"`").relies_on(&path.at("server")).relies_on(&serve));
        }
        (Some(server), names) if !names.iter().any(|name| name == server) => {
            let complaint = Complaint::value(&path.at("server"), format!("node `{name}` has no server `{server}`"));
            cx.add(complaint.maybe_help(suggest::or_list(server, names.iter().map(String::as_str))).relies_on(&serve));
        }
        _ => {}
    }
}

fn name_of(serve: &Serve) -> String {
    let usual = match serve.protocol.unwrap_or(Protocol::Tcp) {
        Protocol::Tcp => "http",
        Protocol::Udp => "udp",
    };
    serve.name.clone().unwrap_or_else(|| format!("{usual}-{}", serve.port))
}

fn condition(cx: &mut Context<'_>, path: &Path, condition: &Condition) {
    match condition {
        Condition::Neighbour { node, address: _, mac } => {
            let path = path.at("neighbour");
            on_node(cx, &path, node, None);
            if let Some(mac) = mac {
                routes::mac(cx, &path.at("mac"), mac);
            }
        }
        Condition::NoNeighbour { node, address: _ } => on_node(cx, &path.at("no_neighbour"), node, None),
        Condition::PortOpen { node, at } => {
            let path = path.at("port_open");
            on_node(cx, &path, node, None);
            if at.port() == 0 {
                cx.add(Complaint::value(&path.at("at"), "nothing listens on port 0"));
            }
        }
        Condition::Sysctl { node, key, value } => set_sysctl(cx, &path.at("sysctl"), node, key, value),
        Condition::LinkUp { node, interface } => on_node(cx, &path.at("link_up"), node, Some(interface.as_str())),
        Condition::Address { node, .. } => on_node(cx, &path.at("address"), node, None),
        Condition::RealServer { real_server, director, weight, listed } => {
            let path = path.at("real_server");
            cx.node(&path.at("real_server"), real_server.as_str());
            if let Some(director) = director {
                cx.node(&path.at("director"), director.as_str());
            }
            if *listed == Some(false) && weight.is_some() {
                let message = "what is not in the table has no weight there";
                cx.add(Complaint::key(&path.at("weight"), message).help("take `weight` or `listed` away"));
            }
        }
        Condition::Connections { node, at_least, at_most } => {
            let path = path.at("connections");
            if let Some(most) = at_most.filter(|most| most < at_least) {
                let message = format!("no number is {at_least} at least and {most} at most");
                cx.add(Complaint::value(&path.at("at_most"), message));
            }
            if let Some(node) = node {
                on_node(cx, &path, node, None);
            }
        }
    }
}
