//! Mutations: a correct plan, broken in one thing at a time, and what an administrator would say of each.
//!
//! Owns: what there is to break in a plan, the causes that may be named for it on that topology or the reason why it
//! does nothing there, and the score of a run against that. Refuses: running labs, and asking the judge what to expect:
//! what may be named comes from the plan and from what the kernel's documents say, so that a wrong finding shows.

mod change;
mod families;
mod ground;
pub mod report;
pub mod score;
mod voice;

use std::cell::OnceCell;

use serde::Serialize;

use crate::base::{DirectorKind, NodeName};
use crate::plan::{Act, Node, Plan};
use change::Change;
use ground::Ground;
pub use score::{Outcome, Score};

/// One thing of a plan, broken.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Mutation {
    /// What is done, in words, as `rs1: address 172.16.0.66/32 on lo gone`; unique among a plan's mutations.
    pub what: String,
    /// The node that it is done to.
    pub node: NodeName,
    /// What kind of thing is broken.
    pub thing: Thing,
    /// What it touches; two mutations that touch the same can't be had at once.
    #[serde(skip)]
    touches: Vec<String>,
    /// The edits.
    changes: Vec<Change>,
    /// What is to come of it.
    pub expected: Expected,
}

/// What kind of thing a mutation breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Thing {
    /// A sysctl.
    Sysctl,
    /// An address, its prefix length, its interface.
    Address,
    /// A route or its gateway.
    Route,
    /// An interface or its MAC.
    Link,
    /// A permanent neighbour entry.
    Neighbour,
    /// A rule of `arptables` or `iptables`.
    Filter,
    /// A virtual service.
    Service,
    /// A real server of a service.
    Destination,
    /// What is served.
    Server,
    /// The order of steps.
    Order,
}

/// What is to come of a mutation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Expected {
    /// A check breaks, and one of these is named, nothing else.
    Killed(Vec<Cause>),
    /// Nothing breaks, for that reason.
    Without(String),
}

/// A root cause that may be named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Cause {
    /// The finding's id.
    pub id: &'static str,
    /// The nodes that it may be told of.
    pub nodes: Vec<NodeName>,
}

impl Cause {
    fn at(id: &'static str, node: &NodeName) -> Self {
        Self { id, nodes: vec![node.clone()] }
    }
}

impl Expected {
    fn without(why: impl Into<String>) -> Self {
        Self::Without(why.into())
    }

    fn one(id: &'static str, node: &NodeName) -> Self {
        Self::Killed(vec![Cause::at(id, node)])
    }

    /// The causes that may be named.
    pub fn causes(&self) -> &[Cause] {
        match self {
            Self::Killed(causes) => causes,
            Self::Without(_) => &[],
        }
    }
}

/// One run to make: no mutation at all, one, or two.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Trial {
    /// What is broken in it.
    pub what: String,
    /// What may be named.
    pub may: Vec<Cause>,
    /// For each mutation what is to come of it where the other is there too.
    pub parts: Vec<Part>,
    /// The edits.
    #[serde(skip)]
    changes: Vec<Change>,
}

/// One mutation of a trial.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Part {
    /// What is broken.
    pub what: String,
    /// What is to come of it, beside the other where there is one.
    pub expected: Expected,
    /// What would come of it alone.
    pub alone: Expected,
}

impl Part {
    /// The causes of which one tells of it.
    fn causes(&self) -> Vec<&Cause> {
        self.expected.causes().iter().chain(self.alone.causes()).collect()
    }
}

/// Requests of a load in a mutated plan, all at once; what breaks breaks with few, and each that fails takes its time.
const REQUESTS: u32 = 8;

/// How long each may take, in milliseconds.
const TIMEOUT_MS: u64 = 1500;

/// Why it can't be told what there is to break.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OwnHand {
    /// A Director by its own programs.
    #[error(
        "could not derive mutations of {scenario}: what {nodes} runs has the VIP and the table in hand and may mend what is \
         broken, so that nothing can be said of it beforehand; a Director of kind `ipvs` can be broken"
    )]
    Director {
        /// The scenario.
        scenario: String,
        /// Such Directors.
        nodes: String,
    },
    /// Nodes that commands set up.
    #[error(
        "could not derive mutations of {scenario}: commands or a script set up {nodes}, and the plan does not say what \
         there is to break"
    )]
    Commands {
        /// The scenario.
        scenario: String,
        /// The nodes.
        nodes: String,
    },
}

/// Whether a plan says all that there is to break, and who has it in hand where it does not.
///
/// # Errors
/// [`OwnHand`].
pub fn told_by(plan: &Plan) -> Result<(), OwnHand> {
    let named = |which: &dyn Fn(&Node) -> bool| {
        let names: Vec<&str> = plan.nodes.iter().filter(|node| which(node)).map(|node| node.name.as_str()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let scenario = || plan.scenario.clone();
    if let Some(nodes) = named(&|node| node.kind != DirectorKind::Ipvs) {
        return Err(OwnHand::Director { scenario: scenario(), nodes });
    }
    match named(&|node| !node.commands.is_empty() || node.commands_later) {
        Some(nodes) => Err(OwnHand::Commands { scenario: scenario(), nodes }),
        None => Ok(()),
    }
}

/// What is not broken of a plan, a line for each node: what its daemons are set up to do.
pub fn left_out(plan: &Plan) -> Vec<String> {
    let with_daemons = plan.nodes.iter().filter(|node| !node.daemons.is_empty());
    let line = |node: &Node| {
        let names: Vec<&str> = node.daemons.iter().map(|daemon| daemon.name.as_str()).collect();
        format!("{}: how {} is set up", node.name, names.join(", "))
    };
    with_daemons.map(line).collect()
}

/// Every mutation of a plan, in the order of its nodes.
pub fn derive(plan: &Plan) -> Vec<Mutation> {
    let ground = Ground::of(plan);
    let mut maker = Maker { ground: &ground, all: Vec::new() };
    families::derive(&mut maker);
    maker.all
}

/// The plan with the changes made, or nothing where one of them finds nothing to change.
fn mutated(plan: &Plan, changes: &[Change]) -> Option<Plan> {
    let mut plan = plan.clone();
    if !changes.iter().all(|change| change.apply(&mut plan)) {
        return None;
    }
    change::settle(&mut plan);
    Some(plan)
}

/// The plan as it is run: with short loads, and named for what is broken in it.
pub fn to_run(plan: &Plan, trial: &Trial) -> Option<Plan> {
    let mut plan = mutated(plan, &trial.changes)?;
    for timed in &mut plan.timeline {
        if let Act::Load(load) = &mut timed.act {
            load.timeout_ms = load.timeout_ms.min(TIMEOUT_MS);
            if load.during.is_empty() {
                load.requests = load.requests.min(REQUESTS);
                load.concurrency = load.requests;
            }
        }
    }
    Some(plan)
}

/// Each mutation alone, after the plan as it is.
pub fn singles(all: &[Mutation]) -> Vec<Trial> {
    let control = Trial { what: String::new(), may: Vec::new(), parts: Vec::new(), changes: Vec::new() };
    let alone = all.iter().map(|m| Trial {
        what: m.what.clone(),
        may: m.expected.causes().to_vec(),
        parts: vec![Part { what: m.what.clone(), expected: m.expected.clone(), alone: m.expected.clone() }],
        changes: m.changes.clone(),
    });
    std::iter::once(control).chain(alone).collect()
}

/// Two mutations at once: those that each break something, each with what comes of it where the other is there too.
///
/// With `sample` that many of them, evenly from all.
pub fn pairs(plan: &Plan, all: &[Mutation], sample: Option<usize>) -> Vec<Trial> {
    let killing: Vec<&Mutation> = all.iter().filter(|m| !m.expected.causes().is_empty()).collect();
    let mut couples = Vec::new();
    for (at, one) in killing.iter().enumerate() {
        let others = killing.iter().enumerate().skip(at + 1);
        let others = others.filter(|(_, other)| !one.touches.iter().any(|t| other.touches.contains(t)));
        couples.extend(others.map(|(beside, _)| (at, beside)));
    }
    // What is left of each mutation's effect where another is there hangs on that other alone.
    let beside: Vec<OnceCell<Vec<Mutation>>> = killing.iter().map(|_| OnceCell::new()).collect();
    let around = |at: usize| -> &[Mutation] {
        let derived = || mutated(plan, &killing[at].changes).map(|plan| derive(&plan)).unwrap_or_default();
        beside[at].get_or_init(derived)
    };
    let wanted = sample.unwrap_or(couples.len()).min(couples.len());
    // A step that shares no factor with the number of pairs visits each once, far from the last one.
    let (count, least) = (couples.len().max(1), couples.len() * 618 / 1000);
    let step = (least..=least + count).find(|s| gcd(*s, count) == 1).unwrap_or(1);
    let mut chosen: Vec<Trial> = Vec::new();
    for nth in 0..couples.len() {
        if chosen.len() == wanted {
            break;
        }
        let Some(&(at, beside)) = couples.get(nth * step % couples.len()) else { continue };
        let (one, other) = (killing[at], killing[beside]);
        chosen.extend(couple(plan, (one, around(beside)), (other, around(at))));
    }
    chosen
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Two mutations, each with what there is to break where the other is there.
fn couple(plan: &Plan, one: (&Mutation, &[Mutation]), other: (&Mutation, &[Mutation])) -> Option<Trial> {
    let changes: Vec<Change> = one.0.changes.iter().chain(&other.0.changes).cloned().collect();
    mutated(plan, &changes)?;
    let part = |(this, around): (&Mutation, &[Mutation]), that: &Mutation| {
        let gone = || Expected::without(format!("there is nothing to break where `{}`", that.what));
        let beside = around.iter().find(|m| m.changes == this.changes).map(|m| m.expected.clone());
        Part { what: this.what.clone(), expected: beside.unwrap_or_else(gone), alone: this.expected.clone() }
    };
    let parts = vec![part(one, other.0), part(other, one.0)];
    let may = parts.iter().flat_map(Part::causes).cloned().collect();
    Some(Trial { what: format!("{} + {}", one.0.what, other.0.what), may, parts, changes })
}

/// Collects mutations of a plan.
struct Maker<'p> {
    ground: &'p Ground<'p>,
    all: Vec<Mutation>,
}

impl Maker<'_> {
    /// Adds one, unless the plan already is so.
    fn add(
        &mut self,
        thing: Thing,
        node: &NodeName,
        (key, what): (&str, String),
        changes: Vec<Change>,
        expected: Expected,
    ) {
        let what = format!("{node}: {what}");
        let same = |plan: Plan| plan == *self.ground.plan;
        if self.all.iter().any(|m| m.what == what) || self.after(&changes).is_none_or(same) {
            return;
        }
        let touches = vec![format!("{node} {key}")];
        self.all.push(Mutation { what, node: node.clone(), thing, touches, changes, expected });
    }

    /// The plan after the changes.
    fn after(&self, changes: &[Change]) -> Option<Plan> {
        mutated(self.ground.plan, changes)
    }
}
