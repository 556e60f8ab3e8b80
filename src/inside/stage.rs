//! A built lab as the timeline sees it: nodes that take jobs, kernels that take settings.

use super::build::{Lab, StepError, act};
use super::timeline::nodes::{NodeGone, NodeJob, Nodes, on_node};
use super::timeline::{ActError, Configure, Observed};
use crate::base::NodeName;
use crate::plan::{Act, Condition};

impl Nodes for Lab {
    fn spawn(&self, node: &NodeName, job: NodeJob) -> Result<(), NodeGone> {
        let worker = self.worker(node).ok_or_else(|| NodeGone { node: node.clone() })?;
        // Whoever waits for the job has a channel of their own for its result.
        drop(worker.start(job));
        Ok(())
    }
}

impl Configure for Lab {
    async fn apply(&self, act: &Act) -> Result<String, ActError> {
        let own = act.clone();
        let Some(node) = node_of(act) else { return Ok(String::new()) };
        on_node(self, node, move || async move { act::apply(&own).await }).await?.map_err(configure)?;
        Ok(String::new())
    }

    async fn observe(&self, condition: &Condition) -> Result<Observed, ActError> {
        let own = condition.clone();
        let node = match condition {
            Condition::Neighbour { node, .. }
            | Condition::NoNeighbour { node, .. }
            | Condition::PortOpen { node, .. }
            | Condition::Sysctl { node, .. }
            | Condition::LinkUp { node, .. }
            | Condition::Connections { node, .. } => node,
        };
        let seen = on_node(self, node, move || async move { act::look(&own).await }).await?.map_err(configure)?;
        Ok(seen.map_or_else(
            || Observed { holds: false, seen: "nothing: this can't be asked of a kernel".to_owned() },
            |seen| Observed { holds: seen.holds, seen: seen.what },
        ))
    }
}

fn configure(error: StepError) -> ActError {
    ActError::Configure(Box::new(error))
}

/// The node whose kernel an act changes.
fn node_of(act: &Act) -> Option<&NodeName> {
    match act {
        Act::SetSysctl { node, .. }
        | Act::SetWeight { node, .. }
        | Act::AddService { node, .. }
        | Act::DeleteService { node, .. }
        | Act::AddDestination { node, .. }
        | Act::DeleteDestination { node, .. }
        | Act::SetLink { node, .. }
        | Act::AddAddress { node, .. }
        | Act::DeleteAddress { node, .. }
        | Act::StopServer { node, .. }
        | Act::StartServer { node, .. }
        | Act::FlushNeighbours { node, .. }
        | Act::SetNeighbour { node, .. }
        | Act::GratuitousArp { node, .. }
        | Act::Ping { node, .. } => Some(node),
        Act::Load(_) | Act::WaitUntil { .. } => None,
    }
}
