//! What is expected: every check that applies holds, but for what the scenario says.

use std::collections::BTreeMap;

use super::draft::Draft;
use super::{Act, CompileError, Expect, TimedAct};
use crate::base::Verdict;
use crate::scenario::spec::Share;

/// The ids of all checks, in the order of reports.
pub const CHECKS: &[&str] = &[
    "mac-rewrite",
    "direct-return",
    "via-director",
    "arp-census",
    "distribution",
    "http",
    "port-kept",
    "same-segment",
    "gateway-not-director",
    "vip-owned",
    "read-back",
];

/// Those that have nothing to examine without a load.
const OF_A_LOAD: &[&str] = &["mac-rewrite", "direct-return", "via-director", "distribution", "http", "port-kept"];

/// The expectations of a scenario.
pub(super) fn expect(draft: &mut Draft<'_>, timeline: &[TimedAct]) -> Result<Expect, CompileError> {
    let said = &draft.scenario.expect;
    for id in said.checks.keys().chain(&said.skip) {
        if !CHECKS.contains(&id.as_str()) {
            return Err(CompileError::UnknownCheck { id: id.clone() });
        }
    }
    let loaded = timeline.iter().any(|t| matches!(t.act, Act::Load(_)));
    let applies = |id: &&&str| loaded || !OF_A_LOAD.contains(*id) || said.checks.contains_key(**id);
    let checks: BTreeMap<String, Verdict> = CHECKS
        .iter()
        .filter(applies)
        .filter(|id| !said.skip.iter().any(|s| s == *id))
        .map(|id| ((*id).to_owned(), said.checks.get(*id).copied().unwrap_or(Verdict::Held)))
        .collect();
    let share = said.share.iter().map(|(node, share)| {
        let bounds = match *share {
            Share::Exactly(n) => (n, n),
            Share::Between(least, most) => (least, most),
        };
        (node.clone(), bounds)
    });
    let expect = Expect { checks, findings: said.findings.clone(), share: share.collect() };
    let held: Vec<&str> =
        CHECKS.iter().copied().filter(|id| expect.checks.contains_key(*id) && !said.checks.contains_key(*id)).collect();
    if !held.is_empty() {
        draft.imply(
            "lab",
            format!("{} hold", held.join(", ")),
            "every check that applies is made, and holds unless said otherwise",
        );
    }
    Ok(expect)
}
