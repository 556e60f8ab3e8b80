//! A thread that lives in a node: it enters once and never leaves, and runs what it is given.
//!
//! Owns: one thread per space with a tokio runtime of its own. Sockets and files that a job opens are the node's.
//! Refuses: starting programs (see [`Space::spawn`]); a job that blocks holds up the node's other jobs.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use tokio::sync::{mpsc, oneshot};
use tokio::task::LocalSet;

use super::{NsError, Space};

type Job = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// The worker of a node has ended, or a job of it has panicked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the worker of {node} gave no answer")]
pub struct WorkerGone {
    /// The node.
    pub node: String,
}

/// A thread inside a node's namespaces. Dropping it ends the thread and whatever it still runs.
#[derive(Debug)]
pub struct Worker {
    space: Arc<Space>,
    jobs: Option<mpsc::UnboundedSender<Job>>,
    thread: Option<JoinHandle<()>>,
}

/// A job's answer that is still to come.
#[derive(Debug)]
pub struct Pending<T> {
    node: Arc<Space>,
    answer: oneshot::Receiver<T>,
}

impl<T> Pending<T> {
    /// Blocks until the job is done. Must not be called from a job or any other async code.
    ///
    /// # Errors
    /// [`WorkerGone`].
    pub fn wait(self) -> Result<T, WorkerGone> {
        self.answer.blocking_recv().map_err(|_| WorkerGone { node: self.node.name().to_owned() })
    }
}

impl Worker {
    /// Starts a worker for each space, all at once.
    ///
    /// # Errors
    /// The first that could not start or enter; the others end.
    pub fn all(spaces: Vec<Arc<Space>>) -> Result<Vec<Self>, NsError> {
        let mut starting = Vec::with_capacity(spaces.len());
        for space in spaces {
            let (jobs, taken) = mpsc::unbounded_channel();
            let (entered, answer) = oneshot::channel();
            let own = Arc::clone(&space);
            let thread = thread::Builder::new()
                .name(space.name().to_owned())
                .spawn(move || live(&own, entered, taken))
                .map_err(|source| NsError::Io { node: space.name().to_owned(), what: "start a thread", source })?;
            starting.push((Self { space, jobs: Some(jobs), thread: Some(thread) }, answer));
        }
        starting
            .into_iter()
            .map(|(worker, answer)| match answer.blocking_recv() {
                Ok(entered) => entered.map(|()| worker),
                Err(_) => Err(NsError::Died { node: worker.space.name().to_owned() }),
            })
            .collect()
    }

    /// The space that it lives in.
    pub fn space(&self) -> &Arc<Space> {
        &self.space
    }

    /// Hands over a job: `job` is called on the worker's thread and its future run there beside the others.
    pub fn start<T, F>(&self, job: impl FnOnce() -> F + Send + 'static) -> Pending<T>
    where
        T: Send + 'static,
        F: Future<Output = T> + 'static,
    {
        let (answer, pending) = oneshot::channel();
        let job: Job = Box::new(move || {
            let work = job();
            Box::pin(async move {
                // Nobody may be waiting any more; then the answer is of no use.
                drop(answer.send(work.await));
            })
        });
        if let Some(jobs) = &self.jobs {
            // A worker that has ended drops the job, and with it the answer's sender: that is what `Pending` reports.
            drop(jobs.send(job));
        }
        Pending { node: Arc::clone(&self.space), answer: pending }
    }

    /// Hands over a job and blocks until it is done. Must not be called from async code.
    ///
    /// # Errors
    /// [`WorkerGone`].
    pub fn run<T, F>(&self, job: impl FnOnce() -> F + Send + 'static) -> Result<T, WorkerGone>
    where
        T: Send + 'static,
        F: Future<Output = T> + 'static,
    {
        self.start(job).wait()
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // A panic has already been printed by its thread and shown to whoever waited for the job.
            drop(thread.join());
        }
    }
}

fn live(space: &Space, entered: oneshot::Sender<Result<(), NsError>>, mut jobs: mpsc::UnboundedReceiver<Job>) {
    let runtime =
        space.enter().and_then(|()| {
            tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|source: io::Error| {
                NsError::Io { node: space.name().to_owned(), what: "start a runtime", source }
            })
        });
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return drop(entered.send(Err(error))),
    };
    if entered.send(Ok(())).is_err() {
        return;
    }
    LocalSet::new().block_on(&runtime, async move {
        while let Some(job) = jobs.recv().await {
            drop(tokio::task::spawn_local(job()));
        }
    });
}
