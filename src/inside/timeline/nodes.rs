//! How work gets onto a node: the narrow view that loads and servers have of the threads that live in namespaces.

use std::future::Future;
use std::pin::Pin;

use tokio::sync::oneshot;

use crate::base::NodeName;

/// A job for a node's thread: it is called there, within that thread's `LocalSet`, and what it returns is run there.
pub type NodeJob = Box<dyn FnOnce() -> Pin<Box<dyn Future<Output = ()>>> + Send>;

/// The nodes' threads, each of which entered its node's namespaces once and runs a current-thread runtime.
pub trait Nodes {
    /// Hands a job to a node's thread and returns at once; jobs of one node run side by side.
    ///
    /// # Errors
    /// Where there is no such node, or its thread has ended.
    fn spawn(&self, node: &NodeName, job: NodeJob) -> Result<(), NodeGone>;
}

/// A node that takes no jobs.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not work on {node}: it has no running thread")]
pub struct NodeGone {
    /// The node.
    pub node: NodeName,
}

/// A job's result that is still to come.
#[derive(Debug)]
pub struct Awaited<T> {
    node: NodeName,
    result: oneshot::Receiver<T>,
}

impl<T> Awaited<T> {
    /// Waits for it.
    ///
    /// # Errors
    /// Where the node's thread ended before the job did, or the job panicked.
    pub async fn result(self) -> Result<T, NodeGone> {
        self.result.await.map_err(|_| NodeGone { node: self.node })
    }
}

/// Starts `job` on a node's thread.
///
/// # Errors
/// [`NodeGone`].
pub fn start_on<T, F, J>(nodes: &impl Nodes, node: &NodeName, job: J) -> Result<Awaited<T>, NodeGone>
where
    T: Send + 'static,
    F: Future<Output = T> + 'static,
    J: FnOnce() -> F + Send + 'static,
{
    let (done, result) = oneshot::channel();
    let run: NodeJob = Box::new(move || {
        Box::pin(async move {
            // Nobody waits any more where the receiver is gone.
            drop(done.send(job().await));
        })
    });
    nodes.spawn(node, run)?;
    Ok(Awaited { node: node.clone(), result })
}

/// Runs `job` on a node's thread and waits for its result.
///
/// # Errors
/// [`NodeGone`].
pub async fn on_node<T, F, J>(nodes: &impl Nodes, node: &NodeName, job: J) -> Result<T, NodeGone>
where
    T: Send + 'static,
    F: Future<Output = T> + 'static,
    J: FnOnce() -> F + Send + 'static,
{
    start_on(nodes, node, job)?.result().await
}
