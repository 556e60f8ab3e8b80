//! Hosts as texts say them, and which host each text is about.

use std::net::IpAddr;

use indexmap::IndexMap;

use super::heard::{Heard, HostAddress, HostRoute, Statement, VirtualService, Vrrp};
use super::source::Place;
use super::{Format, OfText};
use crate::base::{IfName, Mac};

/// What texts say of one host, all statements taken together.
#[derive(Debug, Clone, Default)]
pub(super) struct Host {
    pub(super) name: String,
    /// The texts that it is made of.
    pub(super) files: Vec<String>,
    pub(super) addresses: Vec<HostAddress>,
    pub(super) links: IndexMap<String, LinkSaid>,
    pub(super) routes: Vec<HostRoute>,
    pub(super) neighbours: Vec<(IpAddr, Mac, Option<String>)>,
    pub(super) sysctls: IndexMap<String, (String, Place)>,
    /// Keys that patterns leave alone.
    pub(super) spared: Vec<String>,
    pub(super) arptables: Vec<String>,
    pub(super) iptables: Vec<String>,
    pub(super) services: Vec<VirtualService>,
    pub(super) timeouts: Option<(u32, u32, u32)>,
    pub(super) vrrps: Vec<Vrrp>,
    /// Whether the texts say which addresses it has.
    pub(super) says_addresses: bool,
    /// Whether the texts say how it treats ARP.
    pub(super) says_arp: bool,
    /// Whether the texts say its packet filter.
    pub(super) says_filter: bool,
    /// Devices in the order in which they are named.
    pub(super) devices: Vec<String>,
    /// What keepalived reads on it, where there is a configuration of it.
    pub(super) conf: Option<Conf>,
    /// Whether virtual services are said by anything but keepalived's configuration.
    pub(super) balances_otherwise: bool,
}

/// A host's configuration of keepalived.
#[derive(Debug, Clone, Default)]
pub(super) struct Conf {
    /// How many texts begin it; the daemon reads one.
    pub(super) heads: usize,
    /// The texts by their numbers, each with the path that the daemon reads it at.
    pub(super) files: Vec<(usize, String)>,
    /// What it asks for and only the user's own machines have.
    pub(super) beyond: Vec<(Place, String)>,
}

/// What is said of a device.
#[derive(Debug, Clone, Default)]
pub(super) struct LinkSaid {
    pub(super) up: Option<bool>,
    pub(super) arp: Option<bool>,
    pub(super) mtu: Option<u32>,
    pub(super) mac: Option<Mac>,
    pub(super) dummy: bool,
}

impl Host {
    pub(super) fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }

    /// Takes in what a text says; what fits nothing said before goes into the last list.
    pub(super) fn hear(&mut self, format: Format, file: &str, heard: &Heard, odd: &mut Vec<(Place, String)>) {
        if !self.files.iter().any(|known| known == file) {
            self.files.push(file.to_owned());
        }
        let of_arp = |statement: &Statement| match statement {
            Statement::Sysctl { key, .. } => key.contains(".arp_"),
            Statement::Arptables(_) => true,
            _ => false,
        };
        for (statement, place) in &heard.said {
            self.take(statement, place, odd);
        }
        if format == Format::Keepalived {
            let conf = self.conf.get_or_insert_default();
            conf.heads += 1;
            conf.files.extend(heard.files.iter().cloned());
            conf.beyond.extend(heard.beyond.iter().cloned());
        } else {
            self.balances_otherwise |= heard.said.iter().any(|(said, _)| matches!(said, Statement::Service(_)));
        }
        // A script that sets up addresses is taken to be all that is done; one that only starts a server says nothing.
        let scripted = format == Format::Script && (self.says_addresses || heard.said.iter().any(|(s, _)| of_arp(s)));
        self.says_arp |= scripted || matches!(format, Format::Sysctl | Format::Arptables);
        self.says_filter |= !self.iptables.is_empty();
    }

    fn take(&mut self, statement: &Statement, place: &Place, odd: &mut Vec<(Place, String)>) {
        if let Some(device) = bad_device(statement) {
            return odd.push((place.clone(), format!("`{device}` can't be a device's name")));
        }
        match statement.clone() {
            Statement::Address(address) => {
                self.says_addresses = true;
                self.name_device(&address.device);
                let same = |a: &HostAddress| a.device == address.device && a.net.addr() == address.net.addr();
                // A label has one address; `ifconfig` puts the new one in the old one's place.
                self.addresses.retain(|a| !same(a) && (a.label.is_none() || a.label != address.label));
                self.addresses.push(address);
            }
            Statement::NoAddress { device, address } => {
                let of = |a: &HostAddress| a.label.as_deref() == Some(&device) || a.device == device;
                self.addresses.retain(|a| !of(a) || address.is_some_and(|gone| gone != a.net.addr()));
            }
            Statement::Up { device, up } => self.link(&device).up = Some(up),
            Statement::Arp { device, arp } => self.link(&device).arp = Some(arp),
            Statement::Mtu { device, mtu } => self.link(&device).mtu = Some(mtu),
            Statement::Hardware { device, mac } => self.link(&device).mac = Some(mac),
            Statement::Dummy { device } => self.link(&device).dummy = true,
            Statement::Route(route) => {
                if let Some(device) = &route.device {
                    self.name_device(device);
                }
                if route.to.is_none() {
                    // The first default route is the one that is used.
                    let v6 = |r: &HostRoute| r.via.is_some_and(|via| via.is_ipv6());
                    if self.routes.iter().any(|r| r.to.is_none() && v6(r) == v6(&route)) {
                        return odd.push((place.clone(), "a second default route: the first one is used".to_owned()));
                    }
                }
                if !self.routes.contains(&route) {
                    self.routes.push(route);
                }
            }
            Statement::NoRoute { to } => self.routes.retain(|r| r.to != to),
            Statement::Neighbour { address, mac, device } => {
                self.neighbours.retain(|(known, ..)| *known != address);
                self.neighbours.push((address, mac, device));
            }
            Statement::Sysctl { key, value } => {
                self.sysctls.shift_remove(&key);
                if let ["net", _, "conf", device, ..] = key.split('.').collect::<Vec<_>>().as_slice()
                    && device.parse::<IfName>().is_ok()
                {
                    self.name_device(device);
                }
                self.sysctls.insert(key, (value, place.clone()));
            }
            Statement::NoSysctl { key } => self.spared.push(key),
            Statement::Arptables(line) => self.arptables.push(line),
            Statement::NoArptables => self.arptables.clear(),
            Statement::Iptables(line) => self.iptables.push(line),
            Statement::NoIptables(table) => {
                self.says_filter = true;
                let of = |line: &String| after(line, "-t").unwrap_or("filter") == table && !line.starts_with("-P");
                self.iptables.retain(|line| !of(line));
            }
            other => self.take_service(other, place, odd),
        }
    }

    fn take_service(&mut self, statement: Statement, place: &Place, odd: &mut Vec<(Place, String)>) {
        match statement {
            Statement::Service(service) => match self.services.iter_mut().find(|s| s.key == service.key) {
                // `ipvsadm -E` changes a service and keeps its real servers.
                Some(known) => {
                    let servers =
                        if service.servers.is_empty() { known.servers.clone() } else { service.servers.clone() };
                    *known = VirtualService { servers, ..service };
                }
                None => self.services.push(service),
            },
            Statement::NoService(key) => self.services.retain(|s| s.key != key),
            Statement::Server { of, server } => match self.services.iter_mut().find(|s| s.key == of) {
                Some(service) => {
                    service.servers.retain(|s| (s.address, s.port) != (server.address, server.port));
                    service.servers.push(server);
                }
                None => odd.push((place.clone(), "a real server of a service that is not in the table".to_owned())),
            },
            Statement::NoServer { of, at } => {
                if let Some(service) = self.services.iter_mut().find(|s| s.key == of) {
                    service.servers.retain(|s| s.address != at);
                }
            }
            Statement::NoServices => self.services.clear(),
            Statement::Timeouts { tcp, fin, udp } => self.timeouts = Some((tcp, fin, udp)),
            Statement::Vrrp(vrrp) => {
                for device in vrrp.interface.iter().chain(vrrp.addresses.iter().map(|a| &a.device)) {
                    self.name_device(device);
                }
                self.vrrps.push(vrrp);
            }
            _ => {}
        }
    }

    fn link(&mut self, device: &str) -> &mut LinkSaid {
        self.name_device(device);
        self.links.entry(device.to_owned()).or_default()
    }

    fn name_device(&mut self, device: &str) {
        if !self.devices.iter().any(|known| known == device) {
            self.devices.push(device.to_owned());
        }
    }

    /// Whether it is a Director by what is said of it.
    pub(super) fn directs(&self) -> bool {
        !self.services.is_empty() || !self.vrrps.is_empty()
    }

    /// Its interfaces that can be on a wire, in the order in which they are named.
    pub(super) fn wires(&self) -> impl Iterator<Item = &String> {
        let on_wire = |device: &&String| {
            let virtual_kind =
                ["dummy", "tunl", "kube-", "docker", "veth", "nodelocal"].iter().any(|p| device.starts_with(p));
            let dummy = self.links.get(*device).is_some_and(|l| l.dummy);
            !["lo", "all", "default", "*"].contains(&device.as_str()) && !virtual_kind && !dummy
        };
        self.devices.iter().filter(on_wire)
    }

    /// The wire on which it has that address.
    pub(super) fn wire_of(&self, address: IpAddr) -> Option<&HostAddress> {
        self.addresses.iter().find(|a| a.net.addr() == address && self.wires().any(|wire| *wire == a.device))
    }

    /// The default gateways.
    pub(super) fn gateways(&self) -> impl Iterator<Item = IpAddr> {
        self.routes.iter().filter(|r| r.to.is_none()).filter_map(|r| r.via)
    }
}

/// The device that a statement names and no kernel can have.
fn bad_device(statement: &Statement) -> Option<&str> {
    let named: Vec<&String> = match statement {
        Statement::Address(address) => vec![&address.device],
        Statement::Up { device, .. }
        | Statement::Arp { device, .. }
        | Statement::Mtu { device, .. }
        | Statement::Hardware { device, .. }
        | Statement::Dummy { device } => vec![device],
        Statement::Route(route) => route.device.iter().collect(),
        Statement::Vrrp(vrrp) => {
            let routed = vrrp.routes.iter().filter_map(|r| r.device.as_ref());
            vrrp.interface.iter().chain(vrrp.addresses.iter().map(|a| &a.device)).chain(routed).collect()
        }
        _ => Vec::new(),
    };
    named.into_iter().map(String::as_str).find(|device| device.parse::<IfName>().is_err())
}

/// The label, where the kernel takes it for an address of the device.
pub(super) fn label_of(address: &HostAddress) -> String {
    let fits = |label: &&String| {
        let own = label.strip_prefix(&address.device).and_then(|rest| rest.strip_prefix(':'));
        label.len() <= 15
            && own.is_some_and(|rest| !rest.is_empty() && rest.chars().all(|c| c.is_ascii_graphic() && c != ':'))
    };
    address.label.as_ref().filter(fits).unwrap_or(&address.device).clone()
}

/// The value behind an option of a rule.
pub(super) fn after<'l>(line: &'l str, option: &str) -> Option<&'l str> {
    let mut words = line.split_whitespace();
    words.find(|word| *word == option)?;
    words.next()
}

/// What iptables rules mark with that number: the address and the port that they name.
pub(super) fn marked(rules: &[String], mark: u32) -> Vec<(Option<IpAddr>, Option<u16>, bool)> {
    let sets = |line: &&String| {
        let value = ["--set-mark", "--set-xmark", "--or-mark"].iter().find_map(|option| after(line, option));
        let number = value.and_then(|v| v.split('/').next()).and_then(|v| super::values::number(v).ok());
        number == Some(mark)
    };
    let rule = |line: &String| {
        let to = after(line, "-d").or_else(|| after(line, "--destination"));
        let address = to.and_then(|d| d.split('/').next()).and_then(|d| d.parse().ok());
        let ports = ["--dport", "--dports", "--destination-port"].iter().find_map(|option| after(line, option));
        let port = ports.and_then(|p| p.split([',', ':']).next()).and_then(|p| super::values::port(p).ok());
        (address, port, after(line, "-p") == Some("udp"))
    };
    rules.iter().filter(sets).map(rule).collect()
}

/// Texts sorted by whom they are about.
pub(super) struct Parts {
    /// Directors, in order.
    pub(super) directors: Vec<Host>,
    /// What is said of every real server.
    pub(super) every: Option<Host>,
    /// What is said of hosts by name or address.
    pub(super) named: Vec<Host>,
}

/// Sorts the texts.
pub(super) fn sort(texts: &[OfText], odd: &mut Vec<(Place, String)>) -> Parts {
    let mut parts = Parts { directors: Vec::new(), every: None, named: Vec::new() };
    let mut hosts: IndexMap<String, Vec<&OfText>> = IndexMap::new();
    for text in texts {
        let name = match &text.node {
            Some(name) => name.clone(),
            None => unnamed(&hosts, text),
        };
        hosts.entry(name).or_default().push(text);
    }
    for (name, texts) in &hosts {
        let mut host = Host::named(name);
        for text in texts {
            host.hear(text.format, &text.name, &text.heard, odd);
        }
        if host.directs() || name == "director" {
            parts.directors.push(host);
        } else if name == "rs" {
            parts.every = Some(host);
        } else {
            parts.named.push(host);
        }
    }
    parts
}

/// Whose an unnamed text is by what it says.
fn unnamed(hosts: &IndexMap<String, Vec<&OfText>>, text: &OfText) -> String {
    let said = || text.heard.said.iter().map(|(statement, _)| statement);
    let marks = |line: &str| line.contains("MARK");
    let directs = said().any(|s| match s {
        Statement::Service(_) | Statement::Vrrp(_) | Statement::Timeouts { .. } => true,
        Statement::Iptables(line) => marks(line),
        _ => false,
    });
    let virtual_router = |text: &OfText| {
        let mut all: Vec<Option<u32>> = Vec::new();
        for (statement, _) in &text.heard.said {
            if let Statement::Vrrp(vrrp) = statement {
                all.push(vrrp.router_id);
            }
        }
        all
    };
    if directs || text.format == Format::Keepalived {
        let mine = virtual_router(text);
        let free = |name: &str| {
            let taken = hosts.get(name).into_iter().flatten().flat_map(|other| virtual_router(other));
            mine.is_empty() || !taken.into_iter().any(|id| mine.contains(&id))
        };
        let numbered = (2..).map(|n| format!("director{n}"));
        return std::iter::once("director".to_owned()).chain(numbered).find(|name| free(name)).unwrap_or_default();
    }
    if text.format == Format::IpJson { format!("={}", text.name) } else { "rs".to_owned() }
}
