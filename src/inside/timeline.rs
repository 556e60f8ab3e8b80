//! The timeline: acts, one after the other, each told with its time and what came of it.
//!
//! Owns: the order, loads, servers, pings, announcements, and waiting. Refuses: anything that goes to the kernel by
//! netlink or `/proc`; that is behind [`Configure`]. It errs towards stopping: the first act that fails ends it, and a wait
//! in vain leaves out what comes after it.

pub mod clock;
pub mod nodes;
mod wait;

use std::cell::RefCell;
use std::error::Error;
use std::future::Future;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use self::clock::epoch_ns;
use self::nodes::{NodeGone, Nodes, on_node};
use super::load::{self, LoadError};
use super::ping::{self, PingError};
use super::probe::{self, ProbeError};
use super::programs::{CommandError, DaemonError, Daemons};
use super::serve::{ServeError, Servers};
use crate::base::{IfName, Mac, NodeName};
use crate::facts::run::{Acted, LoadResult, Outcome, Stopped};
use crate::plan::{Act, Condition, Probe, TimedAct};

/// Why an act failed.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The kernel did not take a setting, or could not be asked.
    #[error("could not change or read the node's kernel")]
    Configure(#[source] Box<dyn Error + Send + Sync>),
    /// A server could not be started or stopped.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// A daemon could not be started or ended.
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    /// A command failed.
    #[error(transparent)]
    Command(#[from] CommandError),
    /// No echo request could be sent.
    #[error(transparent)]
    Ping(#[from] PingError),
    /// No announcement could be sent.
    #[error(transparent)]
    Announce(#[from] ProbeError),
    /// A node takes no work.
    #[error(transparent)]
    Node(#[from] NodeGone),
    /// A load could not be run to its end.
    #[error(transparent)]
    Load(Box<LoadError<TimelineError>>),
    /// A load stands in the middle of another one.
    #[error("could not start a load within a load")]
    LoadWithinLoad,
    /// A condition did not come to hold.
    #[error("waited {deadline_ms} ms in vain until {condition}; last seen: {seen}")]
    Waited {
        /// How long, in milliseconds.
        deadline_ms: u64,
        /// For what.
        condition: String,
        /// What was seen the last time.
        seen: String,
    },
}

/// An act of the timeline failed.
#[derive(Debug, thiserror::Error)]
#[error("could not do `{label}`")]
pub struct TimelineError {
    /// The act's label.
    pub label: String,
    /// Why.
    pub source: ActError,
}

/// What a timeline gave.
#[derive(Debug)]
pub struct Played {
    /// What each load gave.
    pub loads: Vec<LoadResult>,
    /// The wait at which it ended, where one was in vain.
    pub stopped: Option<Stopped>,
}

/// What was seen of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// Whether it holds.
    pub holds: bool,
    /// What there is instead, or how it holds, in a few words.
    pub seen: String,
}

/// The acts and conditions that are a matter of netlink or `/proc`.
pub trait Configure {
    /// Does one act and says what came of it, in a few words or none. Only called with `SetSysctl`, `SetWeight`,
    /// `AddService`, `DeleteService`, `AddDestination`, `DeleteDestination`, `SetLink`, `AddAddress`, `DeleteAddress`,
    /// `FlushNeighbours` and `SetNeighbour`.
    ///
    /// # Errors
    /// [`ActError::Configure`].
    fn apply(&self, act: &Act) -> impl Future<Output = Result<String, ActError>>;

    /// Looks once whether a condition holds. Only called with `Neighbour`, `NoNeighbour`, `Sysctl`, `LinkUp` and
    /// `Connections`.
    ///
    /// # Errors
    /// [`ActError::Configure`] where it can't be told.
    fn observe(&self, condition: &Condition) -> impl Future<Output = Result<Observed, ActError>>;
}

/// What a timeline works on.
#[derive(Debug)]
pub struct Stage<'a, N, C> {
    /// The nodes' threads.
    pub nodes: &'a N,
    /// The servers on them.
    pub servers: &'a Servers,
    /// The daemons on them.
    pub daemons: &'a Daemons,
    /// The nodes' kernels.
    pub kernel: &'a C,
}

/// Does all acts in their order and tells of each once it is done. After a wait in vain a load that is under way still
/// runs to its end, and nothing else is done.
///
/// # Errors
/// The first act that fails; those after it are not done.
pub async fn run<N: Nodes, C: Configure>(
    timeline: &[TimedAct],
    stage: &Stage<'_, N, C>,
    tell: impl Fn(Acted),
) -> Result<Played, TimelineError> {
    let mut loads = Vec::new();
    let stopped = RefCell::new(None);
    for timed in timeline {
        let Act::Load(load) = &timed.act else {
            stage.act(timed, &tell, &stopped).await?;
            continue;
        };
        if left_out(&stopped) {
            continue;
        }
        let (at_ns, began) = (epoch_ns(), Instant::now());
        let result = load::run(load, stage.nodes, async |timed: &TimedAct| stage.act(timed, &tell, &stopped).await)
            .await
            .map_err(|error| TimelineError { label: timed.label.clone(), source: ActError::Load(Box::new(error)) })?;
        tell(acted(timed, at_ns, began, in_words(&result)));
        loads.push(result);
    }
    Ok(Played { loads, stopped: stopped.into_inner() })
}

/// Whether the timeline has ended at a wait; counts what comes after it.
fn left_out(stopped: &RefCell<Option<Stopped>>) -> bool {
    stopped.borrow_mut().as_mut().map(|stopped| stopped.left_out += 1).is_some()
}

impl<N: Nodes, C: Configure> Stage<'_, N, C> {
    /// Does one act that is no load.
    async fn act(
        &self,
        timed: &TimedAct,
        tell: &impl Fn(Acted),
        stopped: &RefCell<Option<Stopped>>,
    ) -> Result<(), TimelineError> {
        if left_out(stopped) {
            return Ok(());
        }
        let (at_ns, began) = (epoch_ns(), Instant::now());
        let outcome = match self.outcome(&timed.act).await {
            Ok(outcome) => outcome,
            Err(ActError::Waited { deadline_ms, condition, seen }) => {
                let outcome = "in vain".to_owned();
                let label = timed.label.clone();
                *stopped.borrow_mut() = Some(Stopped { label, condition, deadline_ms, seen, left_out: 0 });
                outcome
            }
            Err(source) => return Err(TimelineError { label: timed.label.clone(), source }),
        };
        let mut told = acted(timed, at_ns, began, outcome);
        if stopped.borrow().is_none() {
            told.table = timed.act.table_change().map(Box::new);
        }
        tell(told);
        Ok(())
    }

    async fn outcome(&self, act: &Act) -> Result<String, ActError> {
        match act {
            Act::Load(_) => Err(ActError::LoadWithinLoad),
            Act::StopServer { node, server } => {
                self.servers.stop(node, server).await?;
                Ok(String::new())
            }
            Act::StartServer { node, server } => {
                self.servers.start(self.nodes, node, server).await?;
                Ok(String::new())
            }
            Act::StartDaemon { node, daemon } => {
                self.daemons.start(self.nodes, node, daemon).await?;
                Ok(String::new())
            }
            Act::StopDaemon { node, daemon } => {
                self.daemons.stop(node, daemon).await?;
                Ok(String::new())
            }
            Act::KillDaemon { node, daemon } => {
                self.daemons.kill(node, daemon).await?;
                Ok(String::new())
            }
            Act::Run { node, command } => {
                let (result, outcome) = self.daemons.command(node, command).await;
                outcome?;
                Ok(result.and_then(|result| result.status).map(|status| format!("status {status}")).unwrap_or_default())
            }
            Act::GratuitousArp { node, interface, address, mac } => {
                self.announce(node, interface, *address, *mac).await
            }
            Act::Ping { node, target, count, timeout_ms } => {
                let (from, target, count) = (node.clone(), *target, *count);
                let timeout = Duration::from_millis(*timeout_ms);
                let job = move || async move { ping::ping(&from, target, count, timeout).await };
                Ok(on_node(self.nodes, node, job).await??.to_string())
            }
            Act::Pause { ms } => {
                tokio::time::sleep(Duration::from_millis(*ms)).await;
                Ok(String::new())
            }
            Act::WaitUntil { condition, deadline_ms } => self.wait(condition, *deadline_ms).await,
            Act::AddAddress { node, interface, address, unless_taken: true } => {
                let target = address.address.addr();
                let sender = if target.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
                let probe = Probe { node: node.clone(), interface: interface.clone(), sender, target };
                let asked = on_node(self.nodes, node, move || async move { probe::ask(&probe).await }).await??;
                match asked.answers.as_slice() {
                    [] => self.kernel.apply(act).await,
                    [taken, ..] => Ok(format!("not added: {target} is at {taken}")),
                }
            }
            Act::SetSysctl { .. }
            | Act::SetWeight { .. }
            | Act::AddService { .. }
            | Act::DeleteService { .. }
            | Act::AddDestination { .. }
            | Act::DeleteDestination { .. }
            | Act::SetLink { .. }
            | Act::AddAddress { .. }
            | Act::DeleteAddress { .. }
            | Act::FlushNeighbours { .. }
            | Act::SetNeighbour { .. } => self.kernel.apply(act).await,
        }
    }

    async fn announce(
        &self,
        node: &NodeName,
        interface: &IfName,
        address: std::net::IpAddr,
        mac: Option<Mac>,
    ) -> Result<String, ActError> {
        let (from, by) = (node.clone(), interface.clone());
        let job = move || async move { probe::announce(&from, &by, address, mac).await };
        let claimed = on_node(self.nodes, node, job).await??;
        Ok(format!("{address} is at {claimed}"))
    }
}

fn acted(timed: &TimedAct, at_ns: u64, began: Instant, outcome: String) -> Acted {
    Acted { label: timed.label.clone(), at_ns, ms: began.elapsed().as_secs_f64() * 1e3, outcome, table: None }
}

fn in_words(load: &LoadResult) -> String {
    let whole = |outcome: &Outcome| matches!(outcome, Outcome::Answered { whole: true, .. });
    let answered = load.requests.iter().filter(|request| whole(&request.outcome)).count();
    format!("{answered} of {} answered whole", load.requests.len())
}

#[cfg(test)]
mod tests;
