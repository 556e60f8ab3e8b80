//! Rules of `arptables` and `iptables` as lines, as far as the model follows them: what a rule matches on, its target.
//!
//! A rule with a match that is not known here matches nothing: the model would rather miss a drop than invent one.

use std::net::IpAddr;

use ipnet::IpNet;

/// What a packet shows to a filter.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::judge) struct Shown<'a> {
    pub(in crate::judge) source: Option<IpAddr>,
    pub(in crate::judge) destination: Option<IpAddr>,
    pub(in crate::judge) into: Option<&'a str>,
    pub(in crate::judge) out_of: Option<&'a str>,
    /// `tcp`, `udp`, `icmp`.
    pub(in crate::judge) protocol: Option<&'a str>,
    pub(in crate::judge) port: Option<u16>,
    /// 1 for an ARP request, 2 for a reply.
    pub(in crate::judge) operation: Option<u16>,
}

/// What becomes of a packet in a chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::judge) enum Fate<'a> {
    /// It goes on.
    Passes,
    /// The rule drops or rejects it.
    Dropped(&'a str),
    /// It goes on with another sender address (`mangle --mangle-ip-s`).
    Mangled(IpAddr),
}

/// Follows the lines of one chain. `table` is `filter` where a line names none.
pub(in crate::judge) fn chain<'a>(rules: &'a [String], table: &str, name: &str, packet: Shown<'_>) -> Fate<'a> {
    let mut policy = Fate::Passes;
    for line in rules {
        let words: Vec<&str> = line.split_whitespace().collect();
        let after = |flag: &str| words.windows(2).find(|w| w[0] == flag).map(|w| w[1]);
        if after("-t").unwrap_or("filter") != table {
            continue;
        }
        if words.windows(2).any(|w| matches!(w[0], "-P" | "--policy") && w[1] == name) {
            if words.last().is_some_and(|w| *w == "DROP") {
                policy = Fate::Dropped(line);
            }
            continue;
        }
        let here = ["-A", "-I", "--append", "--insert"].iter().any(|f| after(f) == Some(name));
        if !here || !matches(&words, packet) {
            continue;
        }
        match after("-j").or_else(|| after("--jump")) {
            Some("DROP" | "REJECT") => return Fate::Dropped(line),
            Some("ACCEPT" | "RETURN") => return Fate::Passes,
            Some("mangle") => {
                if let Some(address) = after("--mangle-ip-s").and_then(|a| a.parse().ok()) {
                    return Fate::Mangled(address);
                }
            }
            _ => {}
        }
    }
    policy
}

/// The rule that sends a packet elsewhere before it is routed: to the node itself, or to another.
pub(in crate::judge) fn redirected<'a>(rules: &'a [String], packet: Shown<'_>) -> Option<&'a str> {
    let redirects = |line: &&'a String| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let has = |flag: &str, value: &str| words.windows(2).any(|w| w[0] == flag && w[1] == value);
        let early = has("-t", "nat") && has("-A", "PREROUTING");
        early && (has("-j", "REDIRECT") || has("-j", "DNAT")) && matches(&words, packet)
    };
    rules.iter().find(redirects).map(String::as_str)
}

/// Whether all matches of a rule hold.
pub(in crate::judge) fn matches(words: &[&str], packet: Shown<'_>) -> bool {
    let mut at = 0;
    let mut negated = false;
    while let Some(&word) = words.get(at) {
        let value = words.get(at + 1).copied().unwrap_or_default();
        // `-s ! ADDRESS` is the old way to write `! -s ADDRESS`.
        let (value, inner, width) =
            if value == "!" { (words.get(at + 2).copied().unwrap_or_default(), true, 3) } else { (value, false, 2) };
        let holds = match word {
            "!" => {
                negated = true;
                at += 1;
                continue;
            }
            "-A" | "-I" | "--append" | "--insert" | "-j" | "--jump" | "-t" | "-m" | "--mangle-ip-s"
            | "--mangle-target" | "--set-mark" | "--set-xmark" | "--reject-with" | "--h-length" | "--to-ports"
            | "--to-destination" => Some(true),
            "-s" | "--source" | "--src-ip" | "--source-ip" => packet.source.map(|a| covers(value, a)),
            "-d" | "--destination" | "--dst-ip" | "--destination-ip" => packet.destination.map(|a| covers(value, a)),
            "-i" | "--in-interface" => packet.into.map(|i| i == value),
            "-o" | "--out-interface" => packet.out_of.map(|i| i == value),
            "-p" | "--protocol" => packet.protocol.map(|p| p == value),
            "--dport" | "--destination-port" => packet.port.map(|p| value.parse() == Ok(p)),
            "--opcode" => packet.operation.map(|o| match value {
                "Request" => o == 1,
                "Reply" => o == 2,
                number => number.parse() == Ok(o),
            }),
            _ => return false,
        };
        match holds {
            Some(holds) if matches!(word, "-A" | "-I" | "-j" | "-t" | "-m") || holds != (negated || inner) => {}
            _ => return false,
        }
        negated = false;
        at += width;
    }
    true
}

/// Whether a filter's `ADDRESS` or `ADDRESS/LENGTH` covers the address.
pub(in crate::judge) fn covers(filter: &str, address: IpAddr) -> bool {
    filter.parse::<IpAddr>().is_ok_and(|a| a == address)
        || filter.parse::<IpNet>().is_ok_and(|net| net.contains(&address))
}
