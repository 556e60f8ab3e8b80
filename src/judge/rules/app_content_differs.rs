//! `app-content-differs`: what was written by way of the VIP is on one real server and not on another.

use super::diagnosis::{Diagnosis, mended};
use super::{Affliction, Rule, app_not_listening};
use crate::base::{NodeName, Protocol};
use crate::judge::model::{Deviation, Kind};
use crate::judge::{Dialect, Evidence};

/// The rule.
pub(super) const RULE: Rule = Rule {
    id: "app-content-differs",
    title: "real servers of one service do not have the same content",
    teaches: "Direct routing shares out connections and nothing else. What a client writes goes to the real server that its \
              connection was given to, and stays there where each has a database or files of its own: the next read, \
              which is balanced to another one, does not find it. The real servers of a service need one database, and \
              one place for files and sessions, or each has to hand on to the others what it is given. Trap: persistence \
              lets the writer find his own post again, and nobody else; a test with one client then shows nothing.",
    causes: "what was written is there or not, as the scheduler has it",
    source: "net/netfilter/ipvs/ip_vs_core.c: ip_vs_schedule; RFC 9110 section 9.2.1",
    outranks: &["app-wrong-host"],
    what: |nodes| format!("what another real server of the service holds is missing on {nodes}"),
    claims,
};

/// Ports at which databases listen: MySQL and MariaDB, PostgreSQL, Redis, memcached, MongoDB.
const STORES: [(u16, &str); 5] =
    [(3306, "MariaDB or MySQL"), (5432, "PostgreSQL"), (6379, "Redis"), (11211, "memcached"), (27017, "MongoDB")];

fn claims<'a>(diagnosis: &Diagnosis<'a>, deviation: &Deviation<'a>) -> Option<Affliction> {
    let Kind::Lacks { text, path, status, at, frame, holder, held, written } = &deviation.kind else { return None };
    let (node, trace) = (deviation.node, diagnosis.traffic.input.trace);
    let mut evidence = Vec::new();
    let mut show = |number: Option<u32>, what: String| {
        evidence.extend(number.and_then(|n| trace.frame(n)).map(|f| Evidence::frame(trace, f, what)));
    };
    show(written.map(|w| w.frame), written.map_or(String::new(), |w| format!("the last write goes to {}", w.node)));
    show(*held, format!("{holder} answers {path} with `{text}` in it"));
    show(*frame, format!("{node} answers {path} with status {status} and without it"));
    let stores = [*holder, node].map(|who| (who, store(diagnosis, who)));
    let apart = stores.iter().all(|(_, store)| store.is_some());
    for (who, store) in stores {
        let own = store.map(|(name, at)| Evidence::fact(format!("{who} has a database of its own ({name})"), at));
        evidence.extend(own);
    }
    let mut mend = vec![mended(node, Dialect::ByHand, advice(node, holder, apart))];
    evidence.extend(diagnosis.address_shown(node, at.ip()));
    mend.extend(app_not_listening::quiesced(diagnosis, deviation, (Protocol::Tcp, *at)));
    Some(Diagnosis::afflict(deviation, evidence, mend))
}

/// The database that listens on a node.
fn store(diagnosis: &Diagnosis<'_>, node: &NodeName) -> Option<(&'static str, String)> {
    let sockets = diagnosis.facts(node)?.sockets.as_deref()?;
    STORES.iter().find_map(|(port, name)| {
        let socket = sockets.iter().find(|s| s.protocol == Protocol::Tcp && s.at.port() == *port)?;
        Some((*name, format!("{} {}", socket.protocol, socket.at)))
    })
}

fn advice(node: &NodeName, holder: &NodeName, apart: bool) -> String {
    if apart {
        format!(
            "let {node} and {holder} use one database (WordPress: the same DB_HOST in wp-config.php), or replicate it both ways"
        )
    } else {
        format!("give {node} what {holder} has: one store for both (a database, NFS), or a copy with each write")
    }
}
