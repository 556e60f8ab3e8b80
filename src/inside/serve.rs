//! The servers of a lab: HTTP/1.1 over TCP, an echo over UDP, and the log of what they were asked.
//!
//! Owns: listening, answering, logging, stopping. Refuses: choosing the thread; a server lives in the namespace of the
//! thread that it is started on. It errs towards answering: a client that breaks off is no error of the server's.

pub mod body;
mod http;
mod udp;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::oneshot;

use super::timeline::nodes::{NodeGone, Nodes, on_node};
use crate::base::{NodeName, Protocol};
use crate::facts::run::AccessLogEntry;
use crate::plan::{Node, Server};

/// The header that carries `LOAD/NUMBER` from the client into the access log.
pub const REQUEST_HEADER: &str = "x-drlab-request";
/// The header that tells the server's node.
pub const SERVER_HEADER: &str = "x-drlab-server";

/// Why a server could not be started or stopped.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Its socket could not be had.
    #[error("could not {attempt} for {protocol} server `{server}` on {node} at {at}")]
    Socket {
        /// What was attempted.
        attempt: &'static str,
        /// The transport.
        protocol: Protocol,
        /// The server's name.
        server: String,
        /// Its node.
        node: NodeName,
        /// Where it was to listen.
        at: SocketAddr,
        /// The kernel's answer.
        source: io::Error,
    },
    /// The plan has no such server.
    #[error("could not find server `{server}` on {node}")]
    Unknown {
        /// The name asked for.
        server: String,
        /// The node.
        node: NodeName,
    },
    /// The node takes no work.
    #[error("could not reach server `{server}`")]
    Node {
        /// The server's name.
        server: String,
        /// Why.
        source: NodeGone,
    },
}

/// What a node's servers were asked, shared by all of them.
#[derive(Debug, Clone, Default)]
pub struct AccessLog(Arc<Mutex<Vec<AccessLogEntry>>>);

impl AccessLog {
    /// All entries so far, in the order of answering.
    pub fn entries(&self) -> Vec<AccessLogEntry> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn add(&self, entry: AccessLogEntry) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(entry);
    }
}

/// The address as its own family writes it: a socket of both families sees `::ffff:192.0.2.1` for `192.0.2.1`.
fn canonical(at: SocketAddr) -> SocketAddr {
    SocketAddr::new(at.ip().to_canonical(), at.port())
}

/// Whom a server on `[::]` serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// IPv4, too, as the kernel does by itself.
    Both,
    /// IPv6 alone, where another server of the node has the port for IPv4.
    OwnFamily,
}

/// A server that listens. Dropping it stops it without waiting.
#[derive(Debug)]
pub struct Running {
    stop: oneshot::Sender<()>,
    stopped: oneshot::Receiver<()>,
    at: SocketAddr,
}

impl Running {
    /// Where it listens; the port is the kernel's choice where port 0 was asked for.
    pub fn at(&self) -> SocketAddr {
        self.at
    }

    /// Closes its socket and all its connections, and returns once they are closed.
    pub async fn stop(self) {
        drop(self.stop);
        // An error means that the task is gone already, and its sockets with it.
        drop(self.stopped.await);
    }
}

/// Starts a server in the namespace of the calling thread, which has to run a `LocalSet`.
///
/// # Errors
/// Where the socket can't be bound.
pub fn start(node: &NodeName, server: &Server, reach: Reach, log: &AccessLog) -> Result<Running, ServeError> {
    let failed = |(attempt, source)| ServeError::Socket {
        attempt,
        protocol: server.protocol,
        server: server.name.clone(),
        node: node.clone(),
        at: server.bind,
        source,
    };
    let (stop, stopping) = oneshot::channel();
    let (done, stopped) = oneshot::channel();
    let at = match server.protocol {
        Protocol::Tcp => {
            let listener = http::listen(server.bind, reach).map_err(failed)?;
            let at = listener.local_addr().map_err(|e| failed(("ask for the address", e)))?;
            let site = http::Site {
                node: node.clone(),
                filler_bytes: server.body_bytes,
                hosts: server.hosts.clone(),
                log: log.clone(),
            };
            tokio::task::spawn_local(http::serve(listener, site, stopping, done));
            at
        }
        Protocol::Udp => {
            let socket = udp::open(server.bind, reach).map_err(failed)?;
            let at = socket.local_addr().map_err(|e| failed(("ask for the address", e)))?;
            let source = if server.source_by_route { udp::Source::ByRoute } else { udp::Source::AsAsked };
            tokio::task::spawn_local(udp::serve(socket, node.clone(), source, log.clone(), stopping, done));
            at
        }
    };
    Ok(Running { stop, stopped, at })
}

/// A server of the plan, and itself where it runs.
type State = (Server, Option<Running>);

/// All servers of a lab, by node and name.
#[derive(Debug, Default)]
pub struct Servers {
    all: tokio::sync::Mutex<BTreeMap<(NodeName, String), State>>,
    logs: BTreeMap<NodeName, AccessLog>,
}

impl Servers {
    /// Starts every server of the plan's nodes.
    ///
    /// # Errors
    /// The first server that does not start.
    pub async fn start_all(plan: &[Node], nodes: &impl Nodes) -> Result<Self, ServeError> {
        let mut servers = Self::default();
        for node in plan.iter().filter(|node| !node.servers.is_empty()) {
            servers.logs.insert(node.name.clone(), AccessLog::default());
            for server in &node.servers {
                let key = (node.name.clone(), server.name.clone());
                servers.all.get_mut().insert(key, (server.clone(), None));
            }
            for server in &node.servers {
                servers.start(nodes, &node.name, &server.name).await?;
            }
        }
        Ok(servers)
    }

    /// Starts a server that was stopped; one that runs is left alone.
    ///
    /// # Errors
    /// Where there is none of that name, or its socket can't be bound.
    pub async fn start(&self, nodes: &impl Nodes, node: &NodeName, server: &str) -> Result<(), ServeError> {
        let mut all = self.all.lock().await;
        let key = (node.clone(), server.to_owned());
        let (spec, _) = all.get(&key).ok_or_else(|| unknown(node, server))?;
        let has_port_for_v4 = |other: &Server| {
            other.protocol == spec.protocol && other.bind.port() == spec.bind.port() && other.bind.is_ipv4()
        };
        let shares = all.iter().any(|((whose, _), (other, _))| whose == node && has_port_for_v4(other));
        let reach = if shares { Reach::OwnFamily } else { Reach::Both };
        let (spec, running) = all.get_mut(&key).ok_or_else(|| unknown(node, server))?;
        if running.is_none() {
            let (name, spec) = (node.clone(), spec.clone());
            let log = self.logs.get(node).cloned().unwrap_or_default();
            let started = on_node(nodes, node, move || async move { start(&name, &spec, reach, &log) }).await;
            *running = Some(started.map_err(|source| ServeError::Node { server: server.to_owned(), source })??);
        }
        Ok(())
    }

    /// Stops a server; one that does not run is left alone.
    ///
    /// # Errors
    /// Where there is none of that name.
    pub async fn stop(&self, node: &NodeName, server: &str) -> Result<(), ServeError> {
        let mut all = self.all.lock().await;
        let (_, running) = all.get_mut(&(node.clone(), server.to_owned())).ok_or_else(|| unknown(node, server))?;
        if let Some(running) = running.take() {
            running.stop().await;
        }
        Ok(())
    }

    /// Stops all servers.
    pub async fn stop_all(&self) {
        for (_, running) in self.all.lock().await.values_mut() {
            if let Some(running) = running.take() {
                running.stop().await;
            }
        }
    }

    /// What each node's servers were asked so far; a node that was asked nothing has an empty log.
    pub fn access_logs(&self) -> BTreeMap<NodeName, Vec<AccessLogEntry>> {
        self.logs.iter().map(|(node, log)| (node.clone(), log.entries())).collect()
    }
}

fn unknown(node: &NodeName, server: &str) -> ServeError {
    ServeError::Unknown { server: server.to_owned(), node: node.clone() }
}
