//! `link-down`: an interface on the way is down.

use super::diagnosis::Diagnosis;
use super::diagnosis::mended;
use super::{Affliction, Rule};
use crate::judge::host::route_line;
use crate::judge::model::answer::Silence;
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "link-down",
    title: "an interface is down",
    teaches: "With an interface the kernel takes down all routes that leave by it, and brings only the connected \
              ones back with it.",
    causes: "nothing enters or leaves there",
    source: "net/ipv4/fib_frontend.c: fib_disable_ip",
    outranks: &[],
    what: |nodes| format!("an interface is down on {nodes}"),
    claims,
};

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let silent = matches!(&deviation.kind, Kind::Silent { why: Silence::Down, .. });
    if !silent && deviation.kind != Kind::Down {
        return None;
    }
    let interface = deviation.interface?;
    let facts = diagnosis.facts(deviation.node)?;
    let link = facts.links.iter().find(|l| l.name == *interface)?;
    let state = if link.up { "without carrier" } else { "down" };
    let evidence =
        vec![Evidence::fact(format!("{} has to use it", deviation.node), format!("link {interface} {state}"))];
    // With the interface the kernel took its routes away, and gives back only those of its subnets.
    let earlier = diagnosis.first.iter().filter(|f| f.node == *deviation.node).flat_map(|f| &f.routes);
    let lost = earlier.filter(|r| {
        r.table == "main" && r.kind == "unicast" && r.gateway.is_some() && r.interface.as_ref() == Some(interface)
    });
    let mut commands = vec![format!("ip link set {interface} up")];
    commands.extend(lost.map(|r| format!("ip route replace {}", route_line(r))));
    let mend = vec![mended(deviation.node, Dialect::Ip, commands.join(" && "))];
    Some(Diagnosis::afflict(deviation, evidence, mend))
}
