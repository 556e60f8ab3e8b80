//! Waiting for a condition: it is looked at again and again until it holds or its time is up.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::nodes::{Nodes, on_node};
use super::{ActError, Configure, Observed, Stage};
use crate::plan::{Condition, labels};

/// How long until the second look; each pause after it is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LONGEST_PAUSE: Duration = Duration::from_millis(25);

impl<N: Nodes, C: Configure> Stage<'_, N, C> {
    pub(super) async fn wait(&self, condition: &Condition, deadline_ms: u64) -> Result<String, ActError> {
        let deadline = Instant::now() + Duration::from_millis(deadline_ms);
        let mut pause = FIRST_PAUSE;
        let mut last_seen = "nothing, the first look did not end".to_owned();
        loop {
            // A look that hangs is given up with the rest.
            if let Ok(looked) = timeout_at(deadline, self.look(condition, deadline)).await {
                let Observed { holds, seen } = looked?;
                if holds {
                    return Ok(seen);
                }
                last_seen = seen;
            }
            if Instant::now() >= deadline {
                return Err(ActError::Waited { deadline_ms, condition: labels::until(condition), seen: last_seen });
            }
            sleep_until(deadline.min(Instant::now() + pause)).await;
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    async fn look(&self, condition: &Condition, deadline: Instant) -> Result<Observed, ActError> {
        match condition {
            Condition::PortOpen { node, at } => {
                let at = *at;
                Ok(on_node(self.nodes, node, move || port_open(at, deadline)).await?)
            }
            Condition::Neighbour { .. }
            | Condition::NoNeighbour { .. }
            | Condition::Sysctl { .. }
            | Condition::LinkUp { .. }
            | Condition::Address { .. }
            | Condition::RealServer { .. }
            | Condition::Connections { .. } => self.kernel.observe(condition).await,
        }
    }
}

async fn port_open(at: SocketAddr, deadline: Instant) -> Observed {
    match timeout_at(deadline, TcpStream::connect(at)).await {
        Ok(Ok(_)) => Observed { holds: true, seen: "open".to_owned() },
        Ok(Err(error)) => Observed { holds: false, seen: error.to_string() },
        Err(_) => Observed { holds: false, seen: "no answer to a connection request".to_owned() },
    }
}
