//! A built lab as the timeline sees it: nodes that take jobs, kernels that take settings.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::thread;
use std::time::Duration;

use super::build::{Lab, StepError, act};
use super::timeline::nodes::{NodeGone, NodeJob, Nodes, on_node};
use super::timeline::{ActError, Configure, Observed};
use crate::base::NodeName;
use crate::plan::{Act, Condition};

/// A time below so many microseconds, drawn from the kernel's random numbers as those of hash maps are.
fn drawn_below(limit_us: u32) -> Duration {
    if limit_us == 0 {
        return Duration::ZERO;
    }
    let drawn = RandomState::new().build_hasher().finish();
    Duration::from_nanos(drawn % (u64::from(limit_us) * 1000))
}

impl Nodes for Lab {
    fn spawn(&self, node: &NodeName, job: NodeJob) -> Result<(), NodeGone> {
        let worker = self.worker(node).ok_or_else(|| NodeGone { node: node.clone() })?;
        // The node's only thread is held up, as by other work that it has.
        let pause = drawn_below(self.jitter_us());
        let late = move || {
            if !pause.is_zero() {
                thread::sleep(pause);
            }
            job()
        };
        // Whoever waits for the job has a channel of their own for its result.
        drop(worker.start(late));
        Ok(())
    }
}

impl Configure for Lab {
    async fn apply(&self, act: &Act) -> Result<String, ActError> {
        let own = act.clone();
        let Some(node) = act.node() else { return Ok(String::new()) };
        let known = on_node(self, node, move || async move { act::apply(&own).await }).await?.map_err(configure)?;
        debug_assert!(known, "the timeline hands over only what a kernel holds");
        Ok(String::new())
    }

    async fn observe(&self, condition: &Condition) -> Result<Observed, ActError> {
        let own = condition.clone();
        let seen =
            on_node(self, condition.node(), move || async move { act::look(&own).await }).await?.map_err(configure)?;
        Ok(seen.map_or_else(
            || Observed { holds: false, seen: "nothing: this can't be asked of a kernel".to_owned() },
            |seen| Observed { holds: seen.holds, seen: seen.what },
        ))
    }
}

fn configure(error: StepError) -> ActError {
    ActError::Configure(Box::new(error))
}
