//! A load: clients ask a virtual service, in turn, so many at once, so fast.
//!
//! Owns: which request is sent when and by whom, and what came of each. Refuses: knowing how nodes' threads are made
//! ([`Nodes`]) and what acts in the middle of a load do. With a concurrency of one, requests follow each other in the
//! plan's order without overlap. It errs towards failure: an act that a load ended too early for is an error.

pub mod failure;
pub(in crate::inside) mod request;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use self::request::{Answer, Ask};
use super::session::Session;
use super::timeline::clock::epoch_ns;
use super::timeline::nodes::{NodeGone, Nodes, start_on};
use crate::base::Protocol;
use crate::facts::run::{LoadResult, Outcome, RequestResult};
use crate::plan::act::LoadClient;
use crate::plan::{During, Load, LoadMode, TimedAct, Trigger};

/// Why a load could not be run to its end. A request that fails is no such reason.
#[derive(Debug, thiserror::Error)]
pub enum LoadError<E: std::error::Error + 'static> {
    /// The plan names no client, or no path.
    #[error("could not start load `{load}`: it has no {what}")]
    Empty {
        /// The load's name.
        load: String,
        /// What is missing.
        what: &'static str,
    },
    /// A client's node takes no work.
    #[error("could not send load `{load}`")]
    Node {
        /// The load's name.
        load: String,
        /// Why.
        source: NodeGone,
    },
    /// All clients' threads ended in the middle.
    #[error("could not finish load `{load}`: its clients are gone after {ended} requests")]
    ClientsGone {
        /// The load's name.
        load: String,
        /// Requests that had ended.
        ended: usize,
    },
    /// An act was to happen after more requests than there were.
    #[error("could not do `{act}` after {wanted} requests of load `{load}`: it ended after {ended}")]
    NeverReached {
        /// The load's name.
        load: String,
        /// The act's label.
        act: String,
        /// After how many requests it was to happen.
        wanted: u32,
        /// How many there were.
        ended: usize,
    },
    /// An act in the middle of the load failed.
    #[error("could not go on with load `{load}`")]
    During {
        /// The load's name.
        load: String,
        /// Why.
        source: E,
    },
}

/// Runs a load to its end; `during` does the acts that the load has in its middle.
///
/// # Errors
/// [`LoadError`]; requests that are under way are then left to end by themselves.
pub async fn run<E>(
    load: &Load,
    nodes: &impl Nodes,
    during: impl AsyncFn(&TimedAct) -> Result<(), E>,
) -> Result<LoadResult, LoadError<E>>
where
    E: std::error::Error + 'static,
{
    let empty = |what| LoadError::Empty { load: load.name.clone(), what };
    if load.clients.is_empty() {
        return Err(empty("client"));
    }
    if load.paths.is_empty() {
        return Err(empty("path"));
    }
    let began = Instant::now();
    let failed = |source| LoadError::During { load: load.name.clone(), source };
    let timed = async { timed_acts(load, began, &during).await.map_err(failed) };
    let (requests, ()) = if is_unhindered(load) {
        tokio::try_join!(alone(load, nodes), timed)?
    } else {
        tokio::try_join!(conducted(load, began, nodes, &during), timed)?
    };
    Ok(LoadResult { name: load.name.clone(), ms: began.elapsed().as_secs_f64() * 1e3, requests })
}

/// Whether all that its one client has to know is known beforehand.
fn is_unhindered(load: &Load) -> bool {
    let waits = |one: &During| matches!(one.when, Trigger::AfterRequests(_));
    load.clients.len() == 1 && load.rate_per_s.is_none() && load.duration_ms.is_none() && !load.during.iter().any(waits)
}

/// Has the client send all by itself: two switches of threads for each request would take as long as the request.
async fn alone<E: std::error::Error + 'static>(
    load: &Load,
    nodes: &impl Nodes,
) -> Result<Vec<RequestResult>, LoadError<E>> {
    let gone = |ended| LoadError::ClientsGone { load: load.name.clone(), ended };
    let client = load.clients.first().ok_or_else(|| gone(0))?;
    let (own, spec) = (client.clone(), Load { during: Vec::new(), ..load.clone() });
    let all = Client { load: spec, own };
    // Goes where the load is given up.
    let wanted = Arc::new(());
    let still = Arc::downgrade(&wanted);
    let asking = start_on(nodes, &client.node, move || all.ask_all(still))
        .map_err(|source| LoadError::Node { load: load.name.clone(), source })?;
    let mut ended = asking.result().await.map_err(|_| gone(0))?;
    drop(wanted);
    if ended.len() < load.requests as usize {
        return Err(gone(ended.len()));
    }
    ended.sort_by_key(|result| result.number);
    Ok(ended)
}

/// Gives each request to its client when its time has come.
async fn conducted<E: std::error::Error + 'static>(
    load: &Load,
    began: Instant,
    nodes: &impl Nodes,
    during: &impl AsyncFn(&TimedAct) -> Result<(), E>,
) -> Result<Vec<RequestResult>, LoadError<E>> {
    let (done, results) = mpsc::unbounded_channel();
    let mut clients = Vec::with_capacity(load.clients.len());
    for client in &load.clients {
        clients.push(start_client(load, client, nodes, done.clone())?);
    }
    drop(done);
    Course { load, began, clients, results, ended: Vec::new() }.run(during).await
}

async fn timed_acts<E>(
    load: &Load,
    began: Instant,
    during: &impl AsyncFn(&TimedAct) -> Result<(), E>,
) -> Result<(), E> {
    let mut acts: Vec<(u64, &TimedAct)> = load
        .during
        .iter()
        .filter_map(|During { when, act }| match when {
            Trigger::AtMs(ms) => Some((*ms, act)),
            Trigger::AfterRequests(_) => None,
        })
        .collect();
    acts.sort_by_key(|(ms, _)| *ms);
    for (ms, act) in acts {
        tokio::time::sleep_until((began + Duration::from_millis(ms)).into()).await;
        during(act).await?;
    }
    Ok(())
}

/// A load on its way.
struct Course<'a> {
    load: &'a Load,
    began: Instant,
    clients: Vec<mpsc::UnboundedSender<u32>>,
    results: mpsc::UnboundedReceiver<RequestResult>,
    ended: Vec<RequestResult>,
}

impl Course<'_> {
    async fn run<E>(
        mut self,
        during: &impl AsyncFn(&TimedAct) -> Result<(), E>,
    ) -> Result<Vec<RequestResult>, LoadError<E>>
    where
        E: std::error::Error + 'static,
    {
        let load = self.load;
        let mut gates = gates(load);
        let mut pace = load.rate_per_s.map(pace);
        let until = load.duration_ms.map(|ms| tokio::time::Instant::from(self.began + Duration::from_millis(ms)));
        let mut end = load.requests;
        let mut next = 0;
        loop {
            let ended = self.ended.len();
            while let Some(&(_, act)) = gates.last().filter(|(after, _)| *after as usize <= ended) {
                gates.pop();
                during(act).await.map_err(|source| LoadError::During { load: load.name.clone(), source })?;
                if let Some(pace) = &mut pace {
                    pace.reset_immediately();
                }
            }
            // A load has one request at least, or it shows nothing.
            if next > 0 && until.is_some_and(|until| tokio::time::Instant::now() >= until) {
                end = end.min(next);
            }
            if next == end && ended == next as usize {
                break;
            }
            // A gate is a place between two requests: those before it end first, so that every run is alike.
            let shut = gates.last().is_some_and(|(after, _)| *after <= next);
            let room = next as usize - ended < load.concurrency.max(1) as usize;
            if next < end && room && !shut && pace.is_none() {
                self.send(next)?;
                next += 1;
                continue;
            }
            tokio::select! {
                biased;
                result = self.results.recv() => match result {
                    Some(result) => self.ended.push(result),
                    None => return Err(LoadError::ClientsGone { load: load.name.clone(), ended }),
                },
                // Before the pace, so that nothing starts after the end however late this is looked at.
                () = at(until), if next > 0 && next < end => {}
                () = tick(&mut pace), if next < end && room && !shut => {
                    self.send(next)?;
                    next += 1;
                }
            }
        }
        if let Some((wanted, act)) = gates.pop() {
            let (load, act) = (load.name.clone(), act.label.clone());
            return Err(LoadError::NeverReached { load, act, wanted, ended: self.ended.len() });
        }
        self.ended.sort_by_key(|result| result.number);
        Ok(self.ended)
    }

    fn send<E: std::error::Error + 'static>(&self, number: u32) -> Result<(), LoadError<E>> {
        let at = number as usize % self.clients.len();
        self.clients[at].send(number).map_err(|_| LoadError::Node {
            load: self.load.name.clone(),
            source: NodeGone { node: self.load.clients[at].node.clone() },
        })
    }
}

/// Acts that wait for requests to have ended, the last one first.
fn gates(load: &Load) -> Vec<(u32, &TimedAct)> {
    let mut gates: Vec<(u32, &TimedAct)> = load
        .during
        .iter()
        .filter_map(|During { when, act }| match when {
            Trigger::AfterRequests(after) => Some((*after, act)),
            Trigger::AtMs(_) => None,
        })
        .collect();
    gates.sort_by_key(|(after, _)| *after);
    gates.reverse();
    gates
}

fn pace(per_second: f64) -> tokio::time::Interval {
    let period = Duration::try_from_secs_f64(1.0 / per_second).unwrap_or(Duration::MAX);
    let mut pace = tokio::time::interval(period.clamp(Duration::from_nanos(1), Duration::from_hours(1)));
    // Timers are good to a millisecond; catching up keeps the rate where the period is below that.
    pace.set_missed_tick_behavior(MissedTickBehavior::Burst);
    pace
}

async fn tick(pace: &mut Option<tokio::time::Interval>) {
    match pace {
        Some(pace) => drop(pace.tick().await),
        None => std::future::pending().await,
    }
}

async fn at(until: Option<tokio::time::Instant>) {
    match until {
        Some(until) => tokio::time::sleep_until(until).await,
        None => std::future::pending().await,
    }
}

fn start_client<E: std::error::Error + 'static>(
    load: &Load,
    client: &LoadClient,
    nodes: &impl Nodes,
    done: mpsc::UnboundedSender<RequestResult>,
) -> Result<mpsc::UnboundedSender<u32>, LoadError<E>> {
    let (numbers, asked) = mpsc::unbounded_channel();
    let (own, spec) = (client.clone(), Load { during: Vec::new(), ..load.clone() });
    nodes
        .spawn(&client.node, Box::new(move || Box::pin(live(Client { load: spec, own }, asked, done))))
        .map_err(|source| LoadError::Node { load: load.name.clone(), source })?;
    Ok(numbers)
}

struct Client {
    load: Load,
    own: LoadClient,
}

/// A client's life on its node: one task for each number that it is given, until no more can come.
async fn live(client: Client, mut asked: mpsc::UnboundedReceiver<u32>, done: mpsc::UnboundedSender<RequestResult>) {
    let session = client.session();
    let shared = Rc::new((client, session));
    while let Some(number) = asked.recv().await {
        let (shared, done) = (Rc::clone(&shared), done.clone());
        tokio::task::spawn_local(async move {
            let (client, session) = &*shared;
            // Nobody counts any more where the load was given up.
            drop(done.send(client.ask(number, session.as_ref()).await));
        });
    }
}

impl Client {
    fn session(&self) -> Option<Result<Session, super::session::SessionError>> {
        match self.load.mode {
            LoadMode::KeepAlive => Some(Session::new(self.own.source, self.load.timeout_ms)),
            LoadMode::PerRequest => None,
        }
    }

    /// Sends all requests, as many at once as the load says; in order where that is one. Sends no more once nobody wants them.
    async fn ask_all(self, wanted: Weak<()>) -> Vec<RequestResult> {
        let session = self.session();
        let lanes = self.load.concurrency.clamp(1, self.load.requests.max(1));
        let shared = Rc::new((self, session, Cell::new(0), wanted));
        let lanes: Vec<_> = (0..lanes)
            .map(|_| {
                let shared = Rc::clone(&shared);
                tokio::task::spawn_local(async move {
                    let (client, session, next, wanted) = &*shared;
                    let mut ended = Vec::new();
                    while next.get() < client.load.requests && wanted.strong_count() > 0 {
                        let number = next.replace(next.get() + 1);
                        ended.push(client.ask(number, session.as_ref()).await);
                    }
                    ended
                })
            })
            .collect();
        let mut ended = Vec::new();
        for lane in lanes {
            // One that has panicked has said so; its requests are missing, which is told.
            ended.extend(lane.await.unwrap_or_default());
        }
        ended
    }

    async fn ask(&self, number: u32, session: Option<&Result<Session, super::session::SessionError>>) -> RequestResult {
        let load = &self.load;
        let path = &load.paths[number as usize % load.paths.len()];
        let id = format!("{}/{number}", load.name);
        let ask = Ask {
            target: load.target,
            source: self.own.source,
            source_port: load.source_port.unwrap_or(0),
            upload_bytes: load.upload_bytes,
            host: &load.host,
            path,
            id: &id,
            timeout_ms: load.timeout_ms,
            foreign: load.foreign,
            contains: load.contains.as_deref(),
        };
        let (start_ns, began) = (epoch_ns(), Instant::now());
        let answer = match (load.protocol, session) {
            (Protocol::Udp, _) => request::datagram(ask).await,
            (Protocol::Tcp, None) => request::http(ask).await,
            (Protocol::Tcp, Some(Ok(session))) => session.ask(ask).await,
            (Protocol::Tcp, Some(Err(error))) => {
                Answer::failed(None, failure::Kind::Local.outcome("could not ask", error))
            }
        };
        let took = answer.whole_at.map_or_else(|| began.elapsed(), |at| at.duration_since(began));
        let lacks = load.contains.clone().filter(|_| answer.lacks);
        let outcome: Outcome = answer.outcome;
        RequestResult {
            number,
            client: self.own.node.clone(),
            local: answer.local,
            target: load.target,
            protocol: load.protocol,
            path: path.clone(),
            start_ns,
            latency_us: u64::try_from(took.as_micros()).unwrap_or(u64::MAX),
            outcome,
            lacks,
        }
    }
}

#[cfg(test)]
mod tests;
