//! Rules of packet and ARP filters: those of the ARP cure, those that mark packets for a service, then the node's own.

use super::CompileError;
use super::arp;
use super::draft::{Draft, Wanted};
use crate::base::NodeName;

/// Adds all rules of `arptables` and `iptables`.
pub(super) fn add(draft: &mut Draft<'_>) -> Result<(), CompileError> {
    for index in 0..draft.nodes.len() {
        let name = draft.nodes[index].name.clone();
        let cure = arp::rules(draft, index)?;
        let marks = marks(draft, index);
        for rule in &cure {
            let what = format!("arptables {}", rule.join(" "));
            draft.imply(&name, what, "the ARP cure: the VIP is neither answered for nor asked from");
        }
        for rule in &marks {
            let what = format!("iptables {}", rule.join(" "));
            draft.imply(&name, what, "a service by firewall mark sees only packets that carry it");
        }
        let own = draft.said(&name);
        let (mut arptables, mut iptables) = (cure, marks);
        for line in own.into_iter().flat_map(|n| &n.arptables) {
            arptables.push(words(&name, line, "arptables")?);
        }
        for line in own.into_iter().flat_map(|n| &n.iptables) {
            iptables.push(words(&name, line, "iptables")?);
        }
        draft.nodes[index].arptables = arptables;
        draft.nodes[index].iptables = iptables;
    }
    Ok(())
}

/// The rules that mark packets for the services of a Director.
fn marks(draft: &Draft<'_>, index: usize) -> Vec<Vec<String>> {
    let held = |(at, wanted): (usize, &Wanted)| {
        let said = draft.scenario.services.get(at)?;
        let mark = said.fwmark.filter(|_| said.mark_packets != Some(false))?;
        wanted.directors.contains(&draft.nodes[index].name).then(|| mark_rule(mark, wanted))
    };
    draft.services.iter().enumerate().filter_map(held).collect()
}

fn mark_rule(mark: u32, wanted: &Wanted) -> Vec<String> {
    let (vip, protocol) = (wanted.vip.to_string(), wanted.protocol.to_string().to_lowercase());
    let mut rule = vec!["-t", "mangle", "-A", "PREROUTING", "-d", &vip, "-p", &protocol];
    let port = wanted.port.to_string();
    if wanted.port != 0 {
        rule.extend(["--dport", &port]);
    }
    let mark = mark.to_string();
    rule.extend(["-j", "MARK", "--set-mark", &mark]);
    rule.into_iter().map(ToOwned::to_owned).collect()
}

/// A line's words as a shell splits them, without the program's name.
fn words(node: &NodeName, line: &str, program: &str) -> Result<Vec<String>, CompileError> {
    let bad = |_| CompileError::BadRule { node: node.clone(), program: program.to_owned(), line: line.to_owned() };
    let mut words = shell_words::split(line).map_err(bad)?;
    if words.first().is_some_and(|first| first == program) {
        words.remove(0);
    }
    Ok(words)
}
