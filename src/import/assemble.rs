//! One lab out of what texts say of hosts.
//!
//! Owns: who is there, on which segment, with which addresses; what is assumed where no text says it. A real server of
//! which a text speaks gets what the text says and nothing else; one of which none speaks is taken to be right.

mod daemon;
mod director;
mod ground;
mod server;

use std::net::{IpAddr, SocketAddr};

use ipnet::IpNet;

use super::heard::{Key, VirtualService};
use super::parts::{self, Host, Parts};
use super::source::{Place, Sources};
use super::{Format, ImportError, OfText, Request, Told, values};
use crate::base::{Forwarding, Protocol, Role};
use ground::Ground;

/// The most real servers of a lab.
const SERVERS: usize = 64;

/// The most virtual services of a lab.
const SERVICES: usize = 64;

/// For how many services the lab sends a load.
const LOADS: usize = 8;

/// A lab that is ready to be written down.
#[derive(Debug, Default)]
pub(super) struct Scene {
    pub(super) vips: Vec<IpAddr>,
    pub(super) segments: Vec<Segment>,
    pub(super) nodes: Vec<Node>,
    pub(super) services: Vec<Service>,
    pub(super) timeouts: Option<(u32, u32, u32)>,
    pub(super) loads: Vec<Load>,
    /// Checks that are not made, and why.
    pub(super) skip: Option<(&'static [&'static str], &'static str)>,
    pub(super) assumed: Vec<String>,
    pub(super) left_out: Vec<Told>,
    pub(super) not_understood: Vec<Told>,
    /// What was not understood of what keepalived itself reads in the lab.
    pub(super) left_to_daemon: Vec<Told>,
}

/// A segment.
#[derive(Debug, Clone)]
pub(super) struct Segment {
    pub(super) name: String,
    pub(super) nets: Vec<IpNet>,
    /// Where its subnet is from, where no text says it.
    pub(super) assumed: Option<String>,
}

/// A node.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) interfaces: Vec<Interface>,
    pub(super) gateway: Option<String>,
    /// Destination, next hop, device, source.
    #[expect(clippy::type_complexity, reason = "read in one place, where each has its name")]
    pub(super) routes: Vec<(String, Option<IpAddr>, Option<String>, Option<IpAddr>)>,
    /// Address, MAC, device.
    pub(super) neighbours: Vec<(IpAddr, String, Option<String>)>,
    pub(super) sysctls: Vec<(String, String)>,
    pub(super) arptables: Vec<String>,
    pub(super) iptables: Vec<String>,
    pub(super) vip: VipPlace,
    /// The keepalived that runs on it.
    pub(super) daemon: Option<Daemon>,
    /// Whether it gets no cure of the ARP problem but what its texts say.
    pub(super) uncured: bool,
    /// Ports that it serves, where its role does not tell.
    pub(super) serve: Vec<(Protocol, u16)>,
    /// What a reader is told of it.
    pub(super) comment: Vec<String>,
}

/// A keepalived that runs on a Director.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Daemon {
    /// Its configuration id, where it is not the node's name.
    pub(super) id: Option<String>,
    /// What it reads, by the path that it reads it at.
    pub(super) files: Vec<(String, Source)>,
    /// The line of its log that tells that it is ready.
    pub(super) ready: Option<String>,
    /// Whether it is started after the other one.
    pub(super) second: bool,
}

/// Where a file of a node is from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Source {
    /// The file of that path, from the scenario's folder.
    Path(String),
    /// No file.
    Text(String),
}

/// An interface of a node.
#[derive(Debug, Clone, Default)]
pub(super) struct Interface {
    pub(super) name: String,
    pub(super) segment: Option<String>,
    pub(super) dummy: bool,
    pub(super) addresses: Vec<String>,
    pub(super) mtu: Option<u32>,
    pub(super) mac: Option<String>,
    pub(super) up: Option<bool>,
    pub(super) arp: Option<bool>,
}

/// Where a node has VIPs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum VipPlace {
    /// As its role has it.
    Usual,
    /// Nowhere.
    Nowhere,
    /// As its texts say.
    At(Vec<Placed>),
}

/// A VIP's place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) vip: IpAddr,
    pub(super) on: String,
    pub(super) prefix: u8,
    pub(super) broadcast: Option<std::net::Ipv4Addr>,
}

/// A virtual service.
#[derive(Debug, Clone)]
pub(super) struct Service {
    pub(super) director: Option<String>,
    pub(super) vip: IpAddr,
    pub(super) port: u16,
    pub(super) protocol: Protocol,
    pub(super) mark: Option<(u32, bool)>,
    pub(super) of: VirtualService,
    /// Each real server's node, in the order of the table.
    pub(super) servers: Vec<String>,
}

/// A load.
#[derive(Debug, Clone)]
pub(super) struct Load {
    pub(super) vip: IpAddr,
    pub(super) port: u16,
    pub(super) protocol: Protocol,
    pub(super) several_sources: bool,
}

impl Node {
    pub(super) fn new(name: &str, role: Role) -> Self {
        Self {
            name: name.to_owned(),
            role,
            interfaces: Vec::new(),
            gateway: None,
            routes: Vec::new(),
            neighbours: Vec::new(),
            sysctls: Vec::new(),
            arptables: Vec::new(),
            iptables: Vec::new(),
            vip: VipPlace::Usual,
            daemon: None,
            uncured: false,
            serve: Vec::new(),
            comment: Vec::new(),
        }
    }
}

impl Scene {
    /// Notes an assumption, once.
    pub(super) fn assume(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.assumed.contains(&what) {
            self.assumed.push(what);
        }
    }

    /// Puts what is told in the order of files and lines.
    pub(super) fn settle(&mut self) {
        self.left_out.dedup();
        self.not_understood.dedup();
        self.left_to_daemon.dedup();
    }
}

/// What the parts of the lab are made from.
struct Stage<'a> {
    sources: &'a Sources,
    /// How the scenario names the file of each text, where it is from one.
    paths: &'a [Option<String>],
    request: &'a Request,
    directors: Vec<Host>,
    /// Real servers: the address in the table, and what is said of it.
    servers: Vec<(IpAddr, Host)>,
    router: Option<Host>,
    client: Option<Host>,
    vips: Vec<IpAddr>,
}

impl Stage<'_> {
    /// How packets get to that real server.
    fn ways(&self, rip: IpAddr) -> Vec<Forwarding> {
        let services = self.directors.iter().flat_map(|d| &d.services);
        let mut ways: Vec<Forwarding> =
            services.flat_map(|s| &s.servers).filter(|s| s.address == rip).map(|s| s.forwarding).collect();
        ways.sort_unstable();
        ways.dedup();
        ways
    }

    /// The Director that has the address, or the first one for an address of its own (`127.0.0.1`).
    fn director_at(&self, address: IpAddr) -> Option<&Host> {
        let own = |d: &&Host| d.wire_of(address).is_some() || d.vrrps.iter().any(|v| v.source == Some(address));
        self.directors.iter().find(own).or_else(|| self.directors.first().filter(|_| address.is_loopback()))
    }

    fn server(&self, rip: IpAddr) -> Option<&Host> {
        self.servers.iter().find(|(known, _)| *known == rip).map(|(_, host)| host)
    }

    /// All addresses that somebody has by the texts.
    fn taken(&self) -> Vec<IpAddr> {
        let hosts = self.directors.iter().chain(self.servers.iter().map(|(_, host)| host));
        let hosts = hosts.chain(&self.router).chain(&self.client);
        let mut all: Vec<IpAddr> = hosts
            .flat_map(|h| {
                let vrrp = h
                    .vrrps
                    .iter()
                    .flat_map(|v| v.addresses.iter().map(|a| a.net.addr()).chain(v.source).chain(v.peers.clone()));
                h.addresses.iter().map(|a| a.net.addr()).chain(vrrp).chain(h.gateways()).collect::<Vec<_>>()
            })
            .collect();
        all.extend(self.servers.iter().map(|(rip, _)| *rip));
        all.extend(&self.vips);
        all.extend(self.request.router.map(|(router, _)| router));
        all
    }
}

/// Makes one lab of the texts.
pub(super) fn assemble(
    sources: &Sources,
    paths: &[Option<String>],
    request: &Request,
    texts: &[OfText],
) -> Result<Scene, ImportError> {
    let mut odd: Vec<(Place, String)> = Vec::new();
    let parts = parts::sort(texts, &mut odd);
    let mut scene = Scene::default();
    let stage = stage(sources, paths, request, parts)?;
    let runs = daemon::runs(&stage, &mut scene)?;
    let told = |said: &[(Place, String)]| -> Vec<Told> {
        said.iter().map(|(place, what)| sources.told(place, what.clone())).collect()
    };
    for text in texts {
        text.heard.assumed.iter().for_each(|what| scene.assume(what.clone()));
        if runs && text.format == Format::Keepalived {
            scene.left_to_daemon.extend(told(&text.heard.not_understood));
        } else {
            scene.left_out.extend(told(&text.heard.left_out));
            scene.not_understood.extend(told(&text.heard.not_understood));
        }
    }
    scene.not_understood.extend(told(&odd));
    scene.vips.clone_from(&stage.vips);
    let ground = Ground::lay(&stage, &mut scene);
    for host in &stage.directors {
        let node = director::node(&stage, &ground, &mut scene, host, runs);
        scene.nodes.push(node);
    }
    for (rip, host) in &stage.servers {
        let node = server::node(&stage, &ground, &mut scene, *rip, host);
        scene.nodes.push(node);
    }
    ground.front(&stage, &mut scene);
    services(&stage, &mut scene)?;
    checks_left_out(&stage, &mut scene);
    scene.timeouts = stage.directors.iter().find_map(|d| d.timeouts);
    twice(&scene)?;
    Ok(scene)
}

/// Finds out who is there.
fn stage<'a>(
    sources: &'a Sources,
    paths: &'a [Option<String>],
    request: &'a Request,
    parts: Parts,
) -> Result<Stage<'a>, ImportError> {
    let Parts { directors, every, named } = parts;
    let count = directors.iter().map(|d| d.services.len()).sum::<usize>();
    if count == 0 {
        return Err(ImportError::NoService);
    }
    if count > SERVICES {
        return Err(ImportError::TooMany { count, what: "virtual services", most: SERVICES });
    }
    let mut stage =
        Stage { sources, paths, request, directors, servers: Vec::new(), router: None, client: None, vips: Vec::new() };
    for director in &stage.directors {
        for service in &director.services {
            for (vip, ..) in asked(director, service)? {
                if !stage.vips.contains(&vip) {
                    stage.vips.push(vip);
                }
            }
        }
    }
    let mut rips: Vec<IpAddr> = Vec::new();
    for server in stage.directors.iter().flat_map(|d| &d.services).flat_map(|s| &s.servers) {
        if stage.director_at(server.address).is_none() && !rips.contains(&server.address) {
            rips.push(server.address);
        }
    }
    if rips.len() > SERVERS {
        return Err(ImportError::TooMany { count: rips.len(), what: "real servers", most: SERVERS });
    }
    let any_server = stage.directors.iter().flat_map(|d| &d.services).any(|s| !s.servers.is_empty());
    if !any_server {
        return Err(ImportError::NoRealServer);
    }
    cast(&mut stage, &rips, every.as_ref(), named)?;
    Ok(stage)
}

/// Gives each real server what is said of it.
fn cast(stage: &mut Stage<'_>, rips: &[IpAddr], every: Option<&Host>, named: Vec<Host>) -> Result<(), ImportError> {
    let mut own: Vec<(IpAddr, Host)> = Vec::new();
    for host in named {
        let by_address = host.name.parse::<IpAddr>().ok().filter(|ip| rips.contains(ip));
        let has = rips.iter().copied().find(|rip| host.wire_of(*rip).is_some());
        let number = host.name.strip_prefix("rs").and_then(|n| n.parse::<usize>().ok()).filter(|n| *n > 0);
        let by_number = number.and_then(|n| rips.get(n - 1).copied());
        let file = host.files.first().cloned().unwrap_or_default();
        if let Some(rip) = by_address.or(has).or(by_number) {
            match own.iter_mut().find(|(known, _)| *known == rip) {
                Some((_, other)) => merge(other, host),
                None => own.push((rip, host)),
            }
        } else if host.name == "router" {
            stage.router = Some(host);
        } else if host.name == "client" {
            stage.client = Some(host);
        } else if let Some(director) = stage.directors.iter_mut().find(|d| {
            host.name.starts_with('=')
                && stage.vips.iter().any(|vip| host.addresses.iter().any(|a| a.net.addr() == *vip))
                && d.addresses.is_empty()
        }) {
            merge(director, host);
        } else {
            let name = host.name.trim_start_matches('=');
            let list = rips.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
            let help = format!(
                "type NODE={file}, where NODE is `director`, `router`, `client`, `rs` for every real server, or a real server: `rs1`, or its address ({list})"
            );
            return Err(ImportError::Nobody {
                name: if host.name.starts_with('=') { file } else { format!("{name}={file}") },
                help,
            });
        }
    }
    for (at, rip) in rips.iter().enumerate() {
        let mut host = every.cloned().unwrap_or_default();
        let mut name = format!("rs{}", at + 1);
        if let Some(place) = own.iter().position(|(known, _)| known == rip) {
            let (_, mine) = own.swap_remove(place);
            if mine.name.parse::<crate::base::NodeName>().is_ok() {
                name.clone_from(&mine.name);
            }
            merge(&mut host, mine);
        }
        let taken = |name: &String| {
            let directs = stage.directors.iter().any(|d| d.name == *name);
            directs
                || ["router", "client"].contains(&name.as_str())
                || stage.servers.iter().any(|(_, s)| s.name == *name)
        };
        let numbered = (at + 1..).map(|n| format!("rs{n}"));
        host.name = std::iter::once(name).chain(numbered).find(|name| !taken(name)).unwrap_or_default();
        stage.servers.push((*rip, host));
    }
    Ok(())
}

/// Adds what is said of one host to what is said of it elsewhere.
fn merge(host: &mut Host, more: Host) {
    host.files.extend(more.files);
    host.addresses.extend(more.addresses);
    host.links.extend(more.links);
    host.routes.extend(more.routes);
    host.neighbours.extend(more.neighbours);
    host.sysctls.extend(more.sysctls);
    host.spared.extend(more.spared);
    host.arptables.extend(more.arptables);
    host.iptables.extend(more.iptables);
    host.says_addresses |= more.says_addresses;
    host.says_arp |= more.says_arp;
    host.says_filter |= more.says_filter;
    for device in more.devices {
        if !host.devices.contains(&device) {
            host.devices.push(device);
        }
    }
}

/// Where a service is asked: VIP, port, protocol. For a mark it is what rules mark, else the Director's other VIPs.
fn asked(director: &Host, service: &VirtualService) -> Result<Vec<(IpAddr, u16, Protocol)>, ImportError> {
    let mark = match service.key {
        Key::Address(protocol, ip, port) => return Ok(vec![(ip, port, protocol)]),
        Key::Mark(mark) => mark,
    };
    let rules = parts::marked(&director.iptables, mark);
    let by_address = director.services.iter().find_map(|s| match s.key {
        Key::Address(_, ip, _) => Some(ip),
        Key::Mark(_) => None,
    });
    let by_vrrp = || director.vrrps.iter().flat_map(|v| &v.addresses).map(|a| a.net.addr()).next();
    let by_label =
        || director.addresses.iter().find(|a| a.label.is_some() || a.net.prefix_len() == 32).map(|a| a.net.addr());
    let usual = by_address.or_else(by_vrrp).or_else(by_label);
    let v4 = service.servers.first().is_none_or(|s| s.address.is_ipv4());
    let mut all: Vec<(IpAddr, u16, Protocol)> = Vec::new();
    for (address, port, udp) in rules {
        if let Some(vip) = address.or(usual) {
            all.push((vip, port.unwrap_or(80), if udp { Protocol::Udp } else { Protocol::Tcp }));
        }
    }
    if all.is_empty() {
        let vip = usual.filter(|vip| vip.is_ipv4() == v4).ok_or(ImportError::NoVip { mark })?;
        all.push((vip, 80, Protocol::Tcp));
    }
    Ok(all)
}

fn services(stage: &Stage<'_>, scene: &mut Scene) -> Result<(), ImportError> {
    let several = stage.directors.len() > 1;
    for director in &stage.directors {
        for of in &director.services {
            let asked = asked(director, of)?;
            let Some((vip, port, protocol)) = asked.first().copied() else { continue };
            let mark = match of.key {
                Key::Address(..) => None,
                Key::Mark(mark) => {
                    let by_drlab = !director.says_filter;
                    if by_drlab {
                        scene.assume(format!(
                            "{}: packets for {} get firewall mark {mark}, though no file has the rule",
                            director.name,
                            SocketAddr::new(vip, port)
                        ));
                    }
                    Some((mark, by_drlab))
                }
            };
            let node = |address: IpAddr| {
                let server = stage.server(address).map(|h| h.name.clone());
                server.or_else(|| stage.director_at(address).map(|d| d.name.clone()))
            };
            let servers = of.servers.iter().map(|s| node(s.address).unwrap_or_default()).collect();
            let sticky = of.persistence_s.is_some() || ["sh", "mh"].contains(&of.scheduler.as_str());
            for (vip, port, protocol) in &asked {
                let forgotten = of.protocol_forgotten && matches!(of.key, Key::Address(..));
                let load = Load {
                    vip: *vip,
                    port: if *port == 0 { 80 } else { *port },
                    protocol: if forgotten { Protocol::Tcp } else { *protocol },
                    several_sources: sticky,
                };
                if !scene.loads.iter().any(|l| (l.vip, l.port, l.protocol) == (load.vip, load.port, load.protocol)) {
                    scene.loads.push(load);
                }
            }
            serve_locally(stage, scene, of, port, protocol);
            let name = several.then(|| director.name.clone());
            scene.services.push(Service { director: name, vip, port, protocol, mark, of: of.clone(), servers });
        }
    }
    if scene.loads.len() > LOADS {
        let all = scene.loads.len();
        scene.assume(format!("of {all} services the first {LOADS} get a load"));
        scene.loads.truncate(LOADS);
    }
    Ok(())
}

/// A Director that is its own real server serves too.
fn serve_locally(stage: &Stage<'_>, scene: &mut Scene, of: &VirtualService, port: u16, protocol: Protocol) {
    for server in &of.servers {
        if stage.server(server.address).is_some() {
            continue;
        }
        let Some(director) = stage.director_at(server.address).map(|d| d.name.clone()) else { continue };
        let at = (protocol, server.port.filter(|p| *p > 0).unwrap_or(if port == 0 { 80 } else { port }));
        if let Some(node) = scene.nodes.iter_mut().find(|n| n.name == director)
            && !node.serve.contains(&at)
        {
            node.serve.push(at);
        }
    }
}

/// What only direct routing promises is not checked of a setup that is meant to work otherwise.
fn checks_left_out(stage: &Stage<'_>, scene: &mut Scene) {
    let mut ways: Vec<Forwarding> = stage.servers.iter().flat_map(|(rip, _)| stage.ways(*rip)).collect();
    ways.sort_unstable();
    ways.dedup();
    let meant_for_dr =
        stage.servers.iter().any(|(_, host)| host.addresses.iter().any(|a| stage.vips.contains(&a.net.addr())));
    if ways.contains(&Forwarding::Nat) && !meant_for_dr {
        scene.skip = Some((
            &["mac-rewrite", "direct-return", "gateway-not-director", "via-director", "same-segment", "port-kept"],
            "the files ask for NAT, where packets are rewritten and replies come back through the Director",
        ));
    } else if stage.servers.iter().any(|(_, host)| server::redirects(stage, host)) {
        scene.skip = Some((&["vip-owned"], "real servers take what is for the VIP by a rule, and need not have it"));
    } else if ways == [Forwarding::Tun] {
        let far = scene.segments.iter().any(|segment| segment.name.starts_with("remote"));
        scene.skip = Some(if far {
            (
                &["mac-rewrite", "same-segment", "via-director"],
                "the files ask for tunnels, where packets travel in other packets, and past routers",
            )
        } else {
            (&["mac-rewrite", "same-segment"], "the files ask for tunnels, where packets travel in other packets")
        });
    }
}

/// Complains about an address that two nodes have.
fn twice(scene: &Scene) -> Result<(), ImportError> {
    let mut seen: Vec<(IpAddr, &str)> = Vec::new();
    for node in &scene.nodes {
        for text in node.interfaces.iter().flat_map(|i| &i.addresses) {
            let Ok(address) = values::net(text).map(|net| net.addr()) else { continue };
            if let Some((_, other)) = seen.iter().find(|(known, other)| *known == address && *other != node.name) {
                return Err(ImportError::Twice { address, one: (*other).to_owned(), other: node.name.clone() });
            }
            seen.push((address, &node.name));
        }
    }
    Ok(())
}
