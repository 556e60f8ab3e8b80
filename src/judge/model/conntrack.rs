//! What connection tracking makes of a packet (`nf_conntrack_in`), for the state that packet filters ask for.
//!
//! A Director of direct routing sees the client's half of a connection alone, and IPVS takes each packet away before it is
//! confirmed: so a SYN is NEW each time, what follows is NEW again (`nf_conntrack_tcp_loose`), and a FIN is INVALID. Who sees
//! both halves has them as everybody expects. Refuses: helpers, zones, what other connections did.

use super::filter::{Fate, Shown, chain};
use crate::base::Protocol;
use crate::facts::NodeFacts;

/// The state that a filter is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::judge) enum State {
    New,
    Established,
    /// An ICMP error about a connection.
    Related,
    Invalid,
    Untracked,
}

impl State {
    /// As `--ctstate` has it.
    pub(in crate::judge) fn word(self) -> &'static str {
        match self {
            Self::New => "NEW",
            Self::Established => "ESTABLISHED",
            Self::Related => "RELATED",
            Self::Invalid => "INVALID",
            Self::Untracked => "UNTRACKED",
        }
    }
}

/// A moment in a connection's life, by what the client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::judge) enum Stage {
    /// The first packet.
    Opens,
    /// Acknowledgements and data.
    Goes,
    /// The FIN.
    Ends,
}

impl Stage {
    /// All that the transport has.
    pub(in crate::judge) fn all(protocol: Protocol) -> &'static [Self] {
        match protocol {
            Protocol::Tcp => &[Self::Opens, Self::Goes, Self::Ends],
            Protocol::Udp => &[Self::Opens, Self::Goes],
        }
    }

    /// TCP's flags at that moment.
    pub(in crate::judge) fn flags(self) -> u8 {
        match self {
            Self::Opens => 2,
            Self::Goes => 16,
            Self::Ends => 1 | 16,
        }
    }

    /// What such a packet is called.
    pub(in crate::judge) fn noun(self) -> &'static str {
        match self {
            Self::Opens => "a connection's first packet",
            Self::Goes => "an ACK without SYN",
            Self::Ends => "a FIN",
        }
    }
}

/// How much of a connection a node sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::judge) enum Halves {
    /// What the client sends and what comes back.
    Both,
    /// What the client sends, which IPVS then takes away.
    First,
}

/// The state of a client's packet as it comes in.
pub(in crate::judge) fn state(facts: &NodeFacts, shown: Shown<'_>, of: (Protocol, Stage, Halves)) -> State {
    let rules = facts.iptables.as_deref().unwrap_or_default();
    if chain(rules, "raw", "PREROUTING", shown) == Fate::Untracked {
        return State::Untracked;
    }
    let off = |key: &str| facts.sysctls.get(key).is_some_and(|v| v == "0");
    let strict = off("net.netfilter.nf_conntrack_tcp_loose") || kept(facts);
    match of {
        (_, Stage::Opens, _) | (Protocol::Udp, _, Halves::First) => State::New,
        (_, _, Halves::Both) => State::Established,
        (Protocol::Tcp, Stage::Goes, Halves::First) if !strict => State::New,
        (Protocol::Tcp, Stage::Goes | Stage::Ends, Halves::First) => State::Invalid,
    }
}

/// Whether IPVS lets conntrack keep what it balances (`vs.conntrack`): then a SYN without an answer is all it ever sees.
pub(in crate::judge) fn kept(facts: &NodeFacts) -> bool {
    facts.sysctls.get("net.ipv4.vs.conntrack").is_some_and(|v| v != "0")
}
