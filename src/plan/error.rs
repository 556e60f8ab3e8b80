//! Why a scenario can't become a plan, where its file alone doesn't show it.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::base::name::BadName;
use crate::base::{IfName, NodeName};

/// What keeps a scenario from becoming a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// The timeline names a daemon that the node does not have.
    #[error("could not find the daemon{} of {node}: it has {}", .daemon.as_ref().map(|d| format!(" {d}")).unwrap_or_default(), if .has.is_empty() { "none".to_owned() } else { .has.join(", ") })]
    UnknownDaemon {
        /// The node.
        node: NodeName,
        /// As given.
        daemon: Option<String>,
        /// Those that it has.
        has: Vec<String>,
    },
    /// A subnet is full.
    #[error(
        "could not derive an address for {interface} of {node}: {subnet} of segment {segment} has no free host left"
    )]
    NoFreeAddress {
        /// Who wants one.
        node: NodeName,
        /// On which interface.
        interface: IfName,
        /// The segment.
        segment: NodeName,
        /// The subnet that is full.
        subnet: IpNet,
    },
    /// A text is neither an address nor an address with its prefix length.
    #[error("could not give {node} the address `{text}`: write it as 172.16.0.1 or 172.16.0.1/16")]
    BadAddress {
        /// Whom it is for.
        node: NodeName,
        /// As given.
        text: String,
    },
    /// A prefix length is longer than the address.
    #[error("could not give {node} the VIP {vip} with prefix length {prefix}: at most {} fits", if .vip.is_ipv4() { 32 } else { 128 })]
    BadPrefix {
        /// Whom it is for.
        node: NodeName,
        /// The VIP.
        vip: IpAddr,
        /// As given.
        prefix: u8,
    },
    /// A text is no route's destination.
    #[error("could not route {node} to `{text}`: write a prefix as 10.0.0.0/8, or `default`")]
    BadRoute {
        /// Whose route.
        node: NodeName,
        /// As given.
        text: String,
    },
    /// A gateway is neither an address, nor a node, nor `none`.
    #[error("could not take `{text}` as gateway of {node}: write an address, a node's name, or `none`")]
    BadGateway {
        /// Whose gateway.
        node: NodeName,
        /// As given.
        text: String,
    },
    /// A device's name is none.
    #[error("could not take `{text}` as a device of {node}")]
    BadDevice {
        /// Whose device.
        node: NodeName,
        /// As given.
        text: String,
        /// Why.
        source: BadName,
    },
    /// A label is longer than the kernel takes.
    #[error("could not label the VIP `{label}` on {node}: at most 15 characters fit")]
    LongLabel {
        /// Whose label.
        node: NodeName,
        /// As given.
        label: String,
    },
    /// A filter's line has a quote without its end.
    #[error("could not split the {program} line `{line}` of {node} into words: a quote has no end")]
    BadRule {
        /// Whose line.
        node: NodeName,
        /// `arptables` or `iptables`.
        program: String,
        /// As given.
        line: String,
    },
    /// A segment is named that is not there.
    #[error("could not connect {node} to segment {segment}: there is none of that name")]
    UnknownSegment {
        /// Who is to be connected.
        node: NodeName,
        /// The segment's name.
        segment: NodeName,
    },
    /// A node is named that is not there.
    #[error("could not find node {node} for {what}")]
    UnknownNode {
        /// The node's name.
        node: String,
        /// What it is needed for.
        what: String,
    },
    /// A node has no such interface.
    #[error("could not find {interface} on {node} for {what}")]
    UnknownInterface {
        /// The node.
        node: NodeName,
        /// The interface's name.
        interface: String,
        /// What it is needed for.
        what: String,
    },
    /// An interface is neither on a segment nor of a kind.
    #[error("could not make {interface} of {node}: it is on no segment and has no kind")]
    InterfaceNowhere {
        /// The node.
        node: NodeName,
        /// The interface.
        interface: IfName,
    },
    /// A MAC is named after a node that has none there.
    #[error("could not find the MAC `{mac}` for {what} on {node}: write a MAC, a node's name, or node:interface")]
    UnknownMac {
        /// Where it is to be used.
        node: NodeName,
        /// As given.
        mac: String,
        /// What for.
        what: String,
    },
    /// No interface of the node leads to the address.
    #[error("could not choose an interface of {node} for {address}: none of its subnets holds it, so name one")]
    NoInterfaceFor {
        /// The node.
        node: NodeName,
        /// The address.
        address: IpAddr,
    },
    /// A node lacks an address of the family that is needed.
    #[error("could not find an {family} address of {node} for {what}")]
    NoAddress {
        /// The node.
        node: NodeName,
        /// `IPv4` or `IPv6`.
        family: &'static str,
        /// What for.
        what: String,
    },
    /// A scenario names no VIP at all.
    #[error("could not plan a lab without a VIP")]
    NoVip,
    /// A scheduler that no kernel has.
    #[error("could not take `{name}` as scheduler: the kernel knows {}", crate::base::SCHEDULERS.join(", "))]
    UnknownScheduler {
        /// As given.
        name: String,
    },
    /// A flag that no service has.
    #[error(
        "could not set the flag `{name}` on a service with scheduler {scheduler}: there are sh-fallback, sh-port, mh-fallback, mh-port and ops"
    )]
    UnknownFlag {
        /// As given.
        name: String,
        /// The service's scheduler.
        scheduler: String,
    },
    /// A service's number is out of range.
    #[error("could not find service {index}: there are {count}, counted from 0")]
    UnknownService {
        /// As given.
        index: usize,
        /// How many there are.
        count: usize,
    },
    /// A real server that is not one of the service's.
    #[error("could not find {node} among the real servers of service {index}")]
    NotInService {
        /// The real server.
        node: NodeName,
        /// The service's number.
        index: usize,
    },
    /// Nobody holds the service.
    #[error("could not give service {index} to a Director: there is none")]
    NoDirector {
        /// The service's number.
        index: usize,
    },
    /// A destination has neither node nor address.
    #[error("could not find out who a real server of service {index} is: it has neither node nor address")]
    NobodyServes {
        /// The service's number.
        index: usize,
    },
    /// A server's name is not known on its node.
    #[error("could not find the server{} on {node}: it has {}", .server.as_ref().map(|s| format!(" {s}")).unwrap_or_default(), if .has.is_empty() { "none".to_owned() } else { .has.join(", ") })]
    UnknownServer {
        /// The node.
        node: NodeName,
        /// As given; `None` where the only one was meant.
        server: Option<String>,
        /// The servers that are there.
        has: Vec<String>,
    },
    /// There is nobody to send a load.
    #[error("could not plan the load {load}: there is no client")]
    NoClient {
        /// The load's name.
        load: String,
    },
    /// An action within a load says not when, or says it twice.
    #[error("could not plan what happens during the load {load}: write either after_requests or at_ms")]
    NoTrigger {
        /// The load's name.
        load: String,
    },
    /// A load within a load.
    #[error("could not plan a load during the load {load}: put it into the timeline")]
    LoadDuringLoad {
        /// The outer load's name.
        load: String,
    },
    /// A check's name that is none.
    #[error("could not expect anything of the check `{id}`: there are {}", super::expect::CHECKS.join(", "))]
    UnknownCheck {
        /// As given.
        id: String,
    },
}
