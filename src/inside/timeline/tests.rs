//! Timelines with every node on the test's own thread and a kernel that does what it is told.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::time::Duration;

use super::nodes::{NodeGone, NodeJob, Nodes};
use super::{ActError, Configure, Observed, Played, Stage, TimelineError, run};
use crate::base::NodeName;
use crate::inside::programs::Daemons;
use crate::inside::serve::Servers;
use crate::plan::{Act, Condition, TimedAct};

struct Here;

impl Nodes for Here {
    fn spawn(&self, node: &NodeName, job: NodeJob) -> Result<(), NodeGone> {
        if *node == "gone" {
            return Err(NodeGone { node: node.clone() });
        }
        tokio::task::spawn_local(job());
        Ok(())
    }
}

/// Counts how often it was looked at; conditions hold from the given look on.
struct Kernel {
    holds_from: usize,
    looks: Cell<usize>,
}

impl Configure for Kernel {
    async fn apply(&self, act: &Act) -> Result<String, ActError> {
        match act {
            Act::SetSysctl { value, .. } if value == "bad" => {
                Err(ActError::Configure(Box::new(std::io::Error::from_raw_os_error(libc::EINVAL))))
            }
            _ => Ok("set".to_owned()),
        }
    }

    async fn observe(&self, _: &Condition) -> Result<Observed, ActError> {
        self.looks.set(self.looks.get() + 1);
        Ok(Observed { holds: self.looks.get() >= self.holds_from, seen: format!("look {}", self.looks.get()) })
    }
}

fn here<T>(test: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, test)
}

/// Runs acts and gives each one's label and outcome beside the end.
fn told(kernel: &Kernel, acts: Vec<Act>) -> (Vec<(String, String)>, Result<Played, TimelineError>) {
    let timeline: Vec<_> =
        acts.into_iter().enumerate().map(|(at, act)| TimedAct { label: format!("act {at}"), act }).collect();
    let said = RefCell::new(Vec::new());
    let servers = Servers::default();
    let stage = Stage { nodes: &Here, servers: &servers, daemons: &Daemons::default(), kernel };
    let end = here(run(&timeline, &stage, |acted| said.borrow_mut().push((acted.label, acted.outcome))));
    (said.into_inner(), end)
}

fn kernel(holds_from: usize) -> Kernel {
    Kernel { holds_from, looks: Cell::new(0) }
}

fn sysctl(value: &str) -> Act {
    Act::SetSysctl { node: "rs1".parse().unwrap(), key: "net.ipv4.ip_forward".to_owned(), value: value.to_owned() }
}

fn wait(condition: Condition, deadline_ms: u64) -> Act {
    Act::WaitUntil { condition, deadline_ms }
}

fn connections() -> Condition {
    Condition::Connections { node: "director".parse().unwrap(), at_least: 3, at_most: None }
}

#[test]
fn acts_are_told_in_their_order_until_one_fails() {
    let (said, end) = told(&kernel(1), vec![sysctl("1"), sysctl("bad"), sysctl("0")]);
    assert_eq!(said, [("act 0".to_owned(), "set".to_owned())]);
    assert_eq!(end.unwrap_err().to_string(), "could not do `act 1`");
}

#[test]
fn waiting_ends_with_what_was_seen_once_the_condition_holds() {
    let (said, end) = told(&kernel(4), vec![wait(connections(), 1000)]);
    assert!(end.is_ok());
    assert_eq!(said[0].1, "look 4");
}

#[test]
fn waiting_in_vain_says_for_what_and_what_was_seen_last() {
    let kernel = kernel(usize::MAX);
    let (_, end) = told(&kernel, vec![wait(connections(), 20)]);
    let stopped = end.unwrap().stopped.unwrap();
    assert_eq!((stopped.label.as_str(), stopped.deadline_ms), ("act 0", 20));
    assert_eq!(stopped.condition, "IPVS on director holds 3 connections or more");
    assert_eq!(stopped.seen, format!("look {}", kernel.looks.get()));
}

#[test]
fn what_comes_after_a_wait_in_vain_is_left_out_and_counted() {
    let (said, end) = told(&kernel(usize::MAX), vec![sysctl("1"), wait(connections(), 5), sysctl("0"), sysctl("bad")]);
    let labels: Vec<&str> = said.iter().map(|(label, _)| label.as_str()).collect();
    assert_eq!(labels, ["act 0", "act 1"]);
    assert_eq!(said[1].1, "in vain");
    assert_eq!(end.unwrap().stopped.unwrap().left_out, 2);
}

#[test]
fn a_condition_that_holds_already_is_seen_even_without_time() {
    let (said, end) = told(&kernel(1), vec![wait(connections(), 0)]);
    assert!(end.is_ok(), "{end:?}");
    assert_eq!(said[0].1, "look 1");
}

#[test]
fn a_port_is_open_once_somebody_listens() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let at = listener.local_addr().unwrap();
    let open = || wait(Condition::PortOpen { node: "client".parse().unwrap(), at }, 20);
    assert!(told(&kernel(1), vec![open()]).1.is_ok());
    drop(listener);
    let seen = told(&kernel(1), vec![open()]).1.unwrap().stopped.unwrap().seen;
    assert!(seen.contains("Connection refused"), "{seen}");
}

#[test]
fn a_node_without_a_thread_is_named() {
    let timeout_ms = Duration::from_secs(1).as_millis().try_into().unwrap();
    let ping = Act::Ping { node: "gone".parse().unwrap(), target: "127.0.0.1".parse().unwrap(), count: 1, timeout_ms };
    let why = told(&kernel(1), vec![ping]).1.unwrap_err().source.to_string();
    assert_eq!(why, "could not work on gone: it has no running thread");
}

#[test]
fn a_server_that_is_not_in_the_plan_is_named() {
    let stop = Act::StopServer { node: "rs1".parse().unwrap(), server: "web".to_owned() };
    let why = told(&kernel(1), vec![stop]).1.unwrap_err().source.to_string();
    assert_eq!(why, "could not find server `web` on rs1");
}
