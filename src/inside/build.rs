//! Building a lab from its plan, in two steps, and taking it down.
//!
//! Owns: the order of things. [`Lab::create`] makes namespaces and interfaces, all down, so that captures can start;
//! [`Lab::configure`] does the rest: sysctls, links up, addresses, routes, neighbours, filters, IPVS, and waits until
//! every segment forwards. Refuses: filling gaps of a plan. Nothing is left behind by a lab that could not be built.

pub mod act;
mod node;
mod switch;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::errno::Errno;

use super::arpfilter::{ArpFilterError, Filters};
use super::bounds::{self, Bound, BoundsError};
use super::ipvs::IpvsError;
use super::link::offload::OffloadError;
use super::neigh;
use super::ns::{self, NsError, Seed, Space, Worker, WorkerGone};
use super::programs::files::{self, FileError};
use super::programs::launch::Launcher;
use super::programs::log::Log;
use super::programs::{self, DaemonError, Daemons, syslog};
use super::read::{self, Wanted};
use super::rtnl::{self, RtnlError};
use super::shell::{ShellError, Toolbox};
use super::sysctl::SysctlError;
use crate::base::{IfName, NodeName};
use crate::channel::{BuildOptions, Executed, FailureKind};
use crate::facts::{NodeFacts, Unread};
use crate::plan::{LinkKind, Node, Plan};

/// How long interfaces may take to carry frames. A loaded machine was seen to take 0.2 s; the kernel's own patience with
/// such events is 1 s.
const SETTLE_DEADLINE: Duration = Duration::from_secs(10);

/// Why a lab could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Namespaces could not be made or entered.
    #[error("could not make the lab's namespaces")]
    Space(#[from] NsError),
    /// A node or the switch could not be set up.
    #[error("could not set up {node}")]
    Node {
        /// Which one.
        node: String,
        /// What went wrong there.
        source: StepError,
    },
    /// Programs can't be bounded.
    #[error(transparent)]
    Bounds(#[from] BoundsError),
    /// A daemon's log could not be made.
    #[error(transparent)]
    Daemons(#[from] DaemonError),
    /// The plan names something that it does not have.
    #[error("the plan is not whole: {0}")]
    Plan(String),
    /// A worker ended.
    #[error("could not set up the lab")]
    Gone(#[from] WorkerGone),
}

/// What went wrong on one node.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// A link, address, route or neighbour.
    #[error(transparent)]
    Rtnl(#[from] RtnlError),
    /// An offload.
    #[error(transparent)]
    Offload(#[from] OffloadError),
    /// The socket for offloads.
    #[error("could not open a socket for ethtool")]
    Ethtool(#[source] Errno),
    /// A sysctl.
    #[error(transparent)]
    Sysctl(#[from] SysctlError),
    /// A rule of arptables or iptables.
    #[error(transparent)]
    Filter(#[from] ArpFilterError),
    /// The IPVS table.
    #[error(transparent)]
    Ipvs(#[from] IpvsError),
    /// A file of the scenario's.
    #[error(transparent)]
    File(#[from] FileError),
    /// Tools under their plain names.
    #[error("could not lay out the tools")]
    LayOut(#[source] io::Error),
    /// What programs send to the system's log.
    #[error("could not listen at /dev/log")]
    Syslog(#[source] io::Error),
    /// Interfaces that never carried frames, or addresses that never came into use.
    #[error("after {waited_ms} ms this was not yet as it should be: {last_seen}")]
    NotSettled {
        /// How long it was waited.
        waited_ms: u128,
        /// Each of them with the state that was seen last, `port operational/bridge` for the switch.
        last_seen: String,
    },
}

impl BuildError {
    /// Whether the machine lacks something or the lab is at fault.
    pub fn kind(&self) -> FailureKind {
        let lacking = match self {
            Self::Bounds(_) => true,
            // All that making namespaces takes is root and a kernel that has them.
            Self::Space(error) => !matches!(error, NsError::Threads(_)),
            Self::Node { source, .. } => source.is_lacking(),
            Self::Daemons(_) | Self::Plan(_) | Self::Gone(_) => false,
        };
        if lacking { FailureKind::Lacking } else { FailureKind::Lab }
    }
}

impl StepError {
    /// Whether it is the machine or its kernel that lacks something.
    pub fn is_lacking(&self) -> bool {
        match self {
            Self::Filter(error) => error.is_lacking(),
            Self::Ipvs(error) => error.is_lacking(),
            // A kind of device that the kernel does not know.
            Self::Rtnl(error) => error.source.errno() == Some(Errno::EOPNOTSUPP) && error.what.starts_with("make the "),
            Self::Sysctl(error) => error.source.kind() == io::ErrorKind::NotFound,
            Self::Offload(_)
            | Self::Ethtool(_)
            | Self::File(_)
            | Self::LayOut(_)
            | Self::Syslog(_)
            | Self::NotSettled { .. } => false,
        }
    }
}

/// A lab that was built or is being built. Dropping it takes it down, too, but says nothing of what is left.
#[derive(Debug)]
pub struct Lab {
    plan: Arc<Plan>,
    skip_ipvs: bool,
    jitter_us: u32,
    filters: Arc<Filters>,
    toolbox: Toolbox,
    switch: Option<Worker>,
    nodes: Vec<Worker>,
    /// The bounds of the nodes in which programs run.
    bounds: Vec<(NodeName, Arc<Bound>)>,
}

/// What configuring a lab came to, beyond that it worked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Configured {
    /// Sysctls of the baseline that this kernel does not have, by node.
    pub absent_sysctls: Vec<(NodeName, String)>,
}

impl Lab {
    /// Makes all namespaces and all interfaces, which are down. Must be called from the process's only thread, and that
    /// thread must live as long as the lab.
    ///
    /// `search` is the environment's `PATH`; `ready` is told time and again how many nodes are ready, and may start
    /// threads at the last one.
    ///
    /// # Errors
    /// [`BuildError`]; what was made is gone then.
    pub fn create(
        plan: &Plan,
        options: &BuildOptions,
        search: &str,
        ready: &mut dyn FnMut(usize),
    ) -> Result<Self, BuildError> {
        let roots: Vec<PathBuf> =
            options.tool_roots.iter().map(PathBuf::from).filter(|root| Path::is_dir(root)).collect();
        let seeds: Vec<Seed<'_>> =
            plan.nodes.iter().map(|node| seed(node, options)).collect::<Result<_, BuildError>>()?;
        let nodes = Space::nodes(seeds, &roots, ready)?;
        let mut spaces: Vec<Arc<Space>> = nodes.into_iter().map(Arc::new).collect();
        let filters = Arc::new(Filters::find(search, &roots));
        let toolbox = Toolbox::find(search, &roots);
        let workers = Space::switch("the switch").and_then(|switch| {
            spaces.push(Arc::new(switch));
            Worker::all(spaces.clone())
        });
        let mut workers = match workers {
            Ok(workers) => workers,
            Err(error) => {
                drop(ns::end(spaces));
                return Err(error.into());
            }
        };
        drop(spaces);
        let switch = workers.pop();
        let plan = Arc::new(plan.clone());
        let (skip_ipvs, jitter_us) = (options.skip_ipvs, options.jitter_us);
        let mut lab = Self { plan, skip_ipvs, jitter_us, filters, toolbox, switch, nodes: workers, bounds: Vec::new() };
        for node in lab.plan.nodes.iter().filter(|node| node.has_programs()) {
            let bound = Bound::new(node.name.as_str(), bounds::of_a_node(options.memory_mib))?;
            lab.bounds.push((node.name.clone(), Arc::new(bound)));
        }
        lab.wire()?;
        Ok(lab)
    }

    /// Makes bridges, veths and the nodes' other interfaces.
    fn wire(&self) -> Result<(), BuildError> {
        let wires = switch::wires(&self.plan, &self.nodes)?;
        let plan = Arc::clone(&self.plan);
        let jitter_us = self.jitter_us;
        self.on_switch(move || switch::create(plan, wires, jitter_us))?;
        self.on_nodes(|node, _| {
            let uppers = node::uppers(&node, &self.plan, &self.nodes);
            move || async move { node::create(&node, uppers).await }
        })?;
        Ok(())
    }

    /// Configures everything and waits until every segment forwards.
    ///
    /// # Errors
    /// [`BuildError`]; the lab is to be taken down then.
    pub fn configure(&self) -> Result<Configured, BuildError> {
        let plan = Arc::clone(&self.plan);
        // Ports first: a node's end that comes up then finds its peer up, and carrier is there at once.
        self.on_switch(move || switch::set_up(plan))?;
        let filters = Arc::clone(&self.filters);
        let skip_ipvs = self.skip_ipvs;
        let absent = self.on_nodes(|node, space| {
            let (space, filters) = (Arc::clone(space), Arc::clone(&filters));
            move || async move { node::configure(&node, &space, &filters, skip_ipvs).await }
        })?;
        let plan = Arc::clone(&self.plan);
        self.on_switch(move || switch::settle(plan, SETTLE_DEADLINE))?;
        self.on_nodes(|node, _| move || async move { node::settle(&node, SETTLE_DEADLINE).await })?;
        self.on_nodes(|node, _| move || async move { node::add_detected(&node, SETTLE_DEADLINE).await })?;
        let named = self.plan.nodes.iter().zip(absent);
        let absent_sysctls =
            named.flat_map(|(node, keys)| keys.into_iter().map(|key| (node.name.clone(), key))).collect();
        Ok(Configured { absent_sysctls })
    }

    /// Makes nodes in which the scenario's programs are to run ready for them: tools, files, `/dev/log`, and logs below
    /// `output`. None of the programs runs yet.
    ///
    /// # Errors
    /// [`BuildError`].
    pub fn furnish(&self, output: &Path) -> Result<Daemons, BuildError> {
        let mut furnished = Vec::new();
        for (node, worker) in self.workers().filter(|(node, _)| node.has_programs()) {
            let failed = |source| BuildError::Node { node: node.name.to_string(), source };
            let path = programs::logs_of(output, &node.name).join("syslog.log");
            let log = Log::new(&path).map_err(|error| failed(StepError::Syslog(error)))?;
            let (own, toolbox, syslog) = (node.clone(), self.toolbox.clone(), log.clone());
            let done = worker.run(move || async move {
                toolbox.lay_out().map_err(StepError::LayOut)?;
                files::place_names(&own.name)?;
                files::place(&own.name, &own.files)?;
                syslog::listen(syslog).map_err(StepError::Syslog)
            })?;
            done.map_err(failed)?;
            let bound = self.bounds.iter().find(|(of, _)| *of == node.name).map(|(_, bound)| Arc::clone(bound));
            let bound = bound.ok_or_else(|| BuildError::Plan(format!("no bound for programs in {}", node.name)))?;
            furnished.push((
                node,
                Launcher { space: Arc::clone(worker.space()), toolbox: self.toolbox.clone(), bound },
                log,
            ));
        }
        Ok(Daemons::new(furnished, output)?)
    }

    /// Waits until no node waits for a neighbour's answer any more.
    ///
    /// # Errors
    /// [`BuildError`] where one goes on asking.
    pub fn rest(&self) -> Result<(), BuildError> {
        self.on_nodes(|_, _| {
            || async move {
                let handle = rtnl::open()?;
                settled(SETTLE_DEADLINE, async || neigh::asked_for(&handle).await).await
            }
        })?;
        Ok(())
    }

    /// Runs a text of shell commands in a node, or in the switch.
    ///
    /// # Errors
    /// [`ShellError`]; a command that fails is none.
    pub fn shell(&self, node: &NodeName, text: &str) -> Result<Executed, ShellError> {
        let switch = self.switch.as_ref().filter(|_| node.as_str() == "switch");
        let worker = self.worker(node).or(switch).ok_or_else(|| ShellError::NoNode { node: node.clone() })?;
        self.toolbox.run(worker.space(), text)
    }

    /// Reads all nodes' facts, in the plan's order; then the switch's, where it does more than switch.
    pub fn facts(&self) -> Vec<NodeFacts> {
        self.facts_after(&BTreeMap::new())
    }

    /// The same after shell commands were run in nodes: also what these may have set.
    pub fn facts_after(&self, shell: &BTreeMap<NodeName, String>) -> Vec<NodeFacts> {
        let pending: Vec<_> = self
            .plan
            .nodes
            .iter()
            .zip(&self.nodes)
            .map(|(node, worker)| {
                let mut wanted = Wanted::of(node);
                wanted.ipvs &= !self.skip_ipvs;
                if let Some(text) = shell.get(&node.name) {
                    wanted.touched_by(text);
                }
                let (space, filters) = (Arc::clone(worker.space()), Arc::clone(&self.filters));
                let empty = wanted.clone();
                (empty, worker.start(move || read::facts(wanted, space, filters)))
            })
            .collect();
        let plan = Arc::clone(&self.plan);
        let switch = self.switch.as_ref().map(|switch| switch.start(move || switch::facts(plan)));
        let mut facts: Vec<NodeFacts> = pending
            .into_iter()
            .map(|(wanted, answer)| {
                answer.wait().unwrap_or_else(|gone| {
                    let mut facts = NodeFacts::unread(wanted.node);
                    facts.unread.push(Unread { what: "everything".to_owned(), why: gone.to_string() });
                    facts
                })
            })
            .collect();
        facts.extend(switch.and_then(|answer| answer.wait().ok().flatten()));
        facts
    }

    /// The plan that it is built from.
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// By up to how much a node's work is held back before it begins, in microseconds.
    pub fn jitter_us(&self) -> u32 {
        self.jitter_us
    }

    /// The worker that lives in a node.
    pub fn worker(&self, node: &NodeName) -> Option<&Worker> {
        self.plan.nodes.iter().zip(&self.nodes).find(|(planned, _)| planned.name == *node).map(|(_, worker)| worker)
    }

    /// All nodes with their workers, in the plan's order.
    pub fn workers(&self) -> impl Iterator<Item = (&Node, &Worker)> {
        self.plan.nodes.iter().zip(&self.nodes)
    }

    /// Takes the lab down and says what is left. Whoever holds a [`Space`] of it is to let go before.
    pub fn tear_down(mut self) -> Vec<String> {
        self.end()
    }

    fn end(&mut self) -> Vec<String> {
        let workers = self.nodes.drain(..).chain(self.switch.take());
        // Each worker's thread ends when it is dropped.
        let spaces = workers.map(|worker| Arc::clone(worker.space())).collect();
        let mut left = ns::end(spaces);
        // All that was in them ended with the nodes.
        for (node, bound) in self.bounds.drain(..) {
            if let Err(error) = bound.remove() {
                left.push(format!("{node}: its control group {}: {error}", bound.folder().display()));
            }
        }
        left
    }

    fn on_switch<T, F>(&self, job: impl FnOnce() -> F + Send + 'static) -> Result<T, BuildError>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, StepError>> + 'static,
    {
        let switch = self.switch.as_ref().ok_or_else(|| BuildError::Plan("the lab is down".to_owned()))?;
        switch.run(job)?.map_err(|source| BuildError::Node { node: switch.space().name().to_owned(), source })
    }

    /// Does something on all nodes at once; the first error in the plan's order counts.
    fn on_nodes<T, J, F>(&self, job: impl Fn(Node, &Arc<Space>) -> J) -> Result<Vec<T>, BuildError>
    where
        T: Send + 'static,
        J: FnOnce() -> F + Send + 'static,
        F: Future<Output = Result<T, StepError>> + 'static,
    {
        let begun: Vec<_> =
            self.workers().map(|(node, worker)| worker.start(job(node.clone(), worker.space()))).collect();
        let answers: Vec<_> = begun.into_iter().map(ns::Pending::wait).collect();
        let named = self.plan.nodes.iter().zip(answers);
        named
            .map(|(node, answer)| answer?.map_err(|source| BuildError::Node { node: node.name.to_string(), source }))
            .collect()
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        drop(self.end());
    }
}

/// A node as it is to be made, with the tree of its packages.
fn seed<'a>(node: &'a Node, options: &'a BuildOptions) -> Result<Seed<'a>, BuildError> {
    let name = node.name.as_str();
    let guarded = node.has_programs();
    if node.packages.is_empty() {
        return Ok(Seed { name, guarded, tree: None });
    }
    let tree = options.trees.iter().find(|tree| tree.packages == node.packages);
    let tree = tree.ok_or_else(|| BuildError::Plan(format!("the packages of {name} were not unpacked")))?;
    Ok(Seed { name, guarded, tree: Some(Path::new(&tree.folder)) })
}

/// Looks again and again until nothing is seen that is not yet as it should be.
///
/// # Errors
/// [`StepError::NotSettled`] with what was seen last.
async fn settled(
    patience: Duration,
    mut look: impl AsyncFnMut() -> Result<Vec<String>, RtnlError>,
) -> Result<(), StepError> {
    let begun = Instant::now();
    loop {
        let seen = look().await?;
        if seen.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > patience {
            return Err(StepError::NotSettled { waited_ms: begun.elapsed().as_millis(), last_seen: seen.join(", ") });
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The number of a node's interface, by its place in the plan. The first ones stay free for tunnel devices that the
/// kernel puts into every namespace. What is on top of another interface has one apart: the kernel refuses a number that
/// is taken where it is made, which may be another node.
fn far_index(node: &Node, interface: &IfName) -> Option<u32> {
    const FIRST: u32 = 16;
    const FIRST_UPPER: u32 = 500;
    let place = node.interfaces.iter().position(|one| one.name == *interface)?;
    let upper = matches!(node.interfaces.get(place)?.kind, LinkKind::Upper(_));
    Some(if upper { FIRST_UPPER } else { FIRST } + u32::try_from(place).ok()?)
}

/// The interfaces of a node that are in segments.
fn in_segments(node: &Node) -> impl Iterator<Item = &crate::plan::Interface> {
    node.interfaces.iter().filter(|interface| matches!(interface.kind, LinkKind::Segment(_)))
}
