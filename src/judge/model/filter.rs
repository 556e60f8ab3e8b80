//! Rules of `arptables` and `iptables` as lines, as far as the model follows them: what a rule matches on, its target.
//!
//! A rule with a match that is not known here matches nothing: the model would rather miss a drop than invent one.

use std::net::IpAddr;

use ipnet::IpNet;

use super::conntrack::State;

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
    pub(in crate::judge) source_port: Option<u16>,
    /// 1 for an ARP request, 2 for a reply.
    pub(in crate::judge) operation: Option<u16>,
    /// TCP's flags, as in the header's fourteenth byte.
    pub(in crate::judge) flags: Option<u8>,
    /// Type and code of ICMP.
    pub(in crate::judge) icmp: Option<(u8, u8)>,
    /// What connection tracking makes of it.
    pub(in crate::judge) state: Option<State>,
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
    /// It goes on, and connection tracking leaves it alone.
    Untracked,
}

/// How deep chains may call each other here; the kernel allows no loops.
const DEPTH: usize = 16;

/// Follows the lines of one chain and of those that it calls. `table` is `filter` where a line names none.
pub(in crate::judge) fn chain<'a>(rules: &'a [String], table: &str, name: &str, packet: Shown<'_>) -> Fate<'a> {
    if let Some(fate) = follow(rules, table, name, packet, DEPTH) {
        return fate;
    }
    let policy = rules.iter().rfind(|line| {
        let words = words(line);
        of_table(&words, table) && words.windows(2).any(|w| matches!(w[0].as_str(), "-P" | "--policy") && w[1] == name)
    });
    match policy {
        Some(line) if line.split_whitespace().last() == Some("DROP") => Fate::Dropped(line),
        Some(_) | None => Fate::Passes,
    }
}

/// What becomes of the packet in a chain; nothing where it comes to the chain's end.
fn follow<'a>(rules: &'a [String], table: &str, name: &str, packet: Shown<'_>, depth: usize) -> Option<Fate<'a>> {
    for line in rules {
        let words = words(line);
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let after = |flag: &str| words.windows(2).find(|w| w[0] == flag).map(|w| w[1]);
        let here = ["-A", "-I", "--append", "--insert"].iter().any(|f| after(f) == Some(name));
        if !here || after("-t").unwrap_or("filter") != table || !matches(&words, packet) {
            continue;
        }
        let target = ["-j", "--jump", "-g", "--goto"].iter().find_map(|f| after(f));
        match target {
            Some("DROP" | "REJECT") => return Some(Fate::Dropped(line)),
            Some("ACCEPT") => return Some(Fate::Passes),
            Some("RETURN") => return None,
            Some("NOTRACK") => return Some(Fate::Untracked),
            Some("CT") if words.contains(&"--notrack") => return Some(Fate::Untracked),
            Some("mangle") => {
                if let Some(address) = after("--mangle-ip-s").and_then(|a| a.parse().ok()) {
                    return Some(Fate::Mangled(address));
                }
            }
            Some(other) if depth > 0 => {
                let fate = follow(rules, table, other, packet, depth - 1);
                if fate.is_some() {
                    return fate;
                }
            }
            _ => {}
        }
    }
    None
}

/// A line's words, quoted ones in one piece.
fn words(line: &str) -> Vec<String> {
    shell_words::split(line).unwrap_or_default()
}

fn of_table(words: &[String], table: &str) -> bool {
    words.windows(2).find(|w| w[0] == "-t").map_or("filter", |w| w[1].as_str()) == table
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
            "-A" | "-I" | "--append" | "--insert" | "-j" | "--jump" | "-g" | "--goto" | "-t" | "-m"
            | "--mangle-ip-s" | "--mangle-target" | "--set-mark" | "--set-xmark" | "--reject-with" | "--h-length"
            | "--comment" | "--to-ports" | "--to-destination" => Some(true),
            "--notrack" => {
                at += 1;
                continue;
            }
            "--ctstate" | "--state" => packet.state.map(|s| value.split(',').any(|word| word == s.word())),
            "--syn" => {
                if packet.flags.is_none_or(|f| (f & SYN_MASK == SYN) == negated) {
                    return false;
                }
                negated = false;
                at += 1;
                continue;
            }
            "--tcp-flags" => {
                let compared = words.get(at + 2).copied().unwrap_or_default();
                let (mask, wanted) = (tcp_flags(value), tcp_flags(compared));
                if packet.flags.is_none_or(|f| (f & mask == wanted) == negated) {
                    return false;
                }
                negated = false;
                at += 3;
                continue;
            }
            "--icmp-type" => packet.icmp.map(|icmp| is_icmp(value, icmp)),
            "--sport" | "--source-port" | "--sports" | "--source-ports" => {
                packet.source_port.map(|p| has_port(value, p))
            }
            "-s" | "--source" | "--src-ip" | "--source-ip" => packet.source.map(|a| covers(value, a)),
            "-d" | "--destination" | "--dst-ip" | "--destination-ip" => packet.destination.map(|a| covers(value, a)),
            "-i" | "--in-interface" => packet.into.map(|i| i == value),
            "-o" | "--out-interface" => packet.out_of.map(|i| i == value),
            "-p" | "--protocol" => packet.protocol.map(|p| p == value),
            "--dport" | "--destination-port" | "--dports" | "--destination-ports" => {
                packet.port.map(|p| has_port(value, p))
            }
            "--opcode" => packet.operation.map(|o| match value {
                "Request" => o == 1,
                "Reply" => o == 2,
                number => number.parse() == Ok(o),
            }),
            _ => return false,
        };
        match holds {
            Some(holds) if matches!(word, "-A" | "-I" | "-j" | "-g" | "-t" | "-m") || holds != (negated || inner) => {}
            _ => return false,
        }
        negated = false;
        at += width;
    }
    true
}

/// Whether a ports of ports and ranges, as `80,443,8000:8100`, has the port.
fn has_port(ports: &str, port: u16) -> bool {
    ports.split(',').any(|one| match one.split_once(':') {
        Some((first, last)) => {
            let lowest = if first.is_empty() { Ok(0) } else { first.parse::<u16>() };
            let highest = if last.is_empty() { Ok(u16::MAX) } else { last.parse::<u16>() };
            matches!((lowest, highest), (Ok(lowest), Ok(highest)) if (lowest..=highest).contains(&port))
        }
        None => one.parse() == Ok(port),
    })
}

/// FIN, SYN, RST and ACK, of which `--syn` wants SYN alone.
const SYN_MASK: u8 = 0x17;
const SYN: u8 = 2;

/// `FIN,SYN` as in the header; `ALL` and `NONE` too.
fn tcp_flags(names: &str) -> u8 {
    let bit = |name: &str| match name {
        "FIN" => 1,
        "SYN" => 2,
        "RST" => 4,
        "PSH" => 8,
        "ACK" => 16,
        "URG" => 32,
        "ALL" => 63,
        _ => 0,
    };
    names.split(',').map(bit).fold(0, |all, one| all | one)
}

/// Whether `3`, `3/4` or a name means that type and code.
fn is_icmp(value: &str, (kind, code): (u8, u8)) -> bool {
    match value {
        "any" => true,
        "destination-unreachable" => kind == 3,
        "fragmentation-needed" => (kind, code) == (3, 4),
        "echo-request" => kind == 8,
        "echo-reply" => kind == 0,
        "time-exceeded" => kind == 11,
        number => match number.split_once('/') {
            Some((k, c)) => k.parse() == Ok(kind) && c.parse() == Ok(code),
            None => number.parse() == Ok(kind),
        },
    }
}

/// Whether a filter's `ADDRESS` or `ADDRESS/LENGTH` covers the address.
pub(in crate::judge) fn covers(filter: &str, address: IpAddr) -> bool {
    filter.parse::<IpAddr>().is_ok_and(|a| a == address)
        || filter.parse::<IpNet>().is_ok_and(|net| net.contains(&address))
}
