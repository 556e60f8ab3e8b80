//! What a text is, told by its content.

/// A format that can be imported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// keepalived.conf.
    Keepalived,
    /// Rules as `ipvsadm-save` writes them, or the table as `ipvsadm -Ln` lists it.
    Ipvsadm,
    /// sysctl.conf and files of sysctl.d.
    Sysctl,
    /// Rules as `arptables-save` writes them.
    Arptables,
    /// What `ip -j addr`, `ip -j route` or `ip -j neigh` says.
    IpJson,
    /// A shell script.
    Script,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 6] =
        [Self::Keepalived, Self::Ipvsadm, Self::Sysctl, Self::Arptables, Self::IpJson, Self::Script];

    /// Its word on the command line.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Keepalived => "keepalived",
            Self::Ipvsadm => "ipvsadm",
            Self::Sysctl => "sysctl",
            Self::Arptables => "arptables",
            Self::IpJson => "ip-json",
            Self::Script => "script",
        }
    }
}

/// Blocks of keepalived.conf by which it is known.
const BLOCKS: &[&str] = &[
    "global_defs",
    "vrrp_instance",
    "vrrp_sync_group",
    "vrrp_script",
    "virtual_server",
    "virtual_server_group",
    "static_ipaddress",
    "static_routes",
    "include",
];

/// Programs by whose lines a script is known that does not begin with `#!`.
const PROGRAMS: &[&str] = &[
    "ip",
    "ifconfig",
    "route",
    "sysctl",
    "echo",
    "arptables",
    "iptables",
    "ipvsadm",
    "modprobe",
    "arp",
    "case",
    "if",
    "for",
    "export",
    "nft",
    "sudo",
];

/// What a text is, where its content tells.
pub(super) fn tell(text: &str) -> Option<Format> {
    if text.starts_with("#!") {
        return Some(Format::Script);
    }
    let trimmed = text.trim_start_matches('\u{feff}').trim_start();
    if trimmed.starts_with('[') && trimmed[1..].trim_start().starts_with(['{', ']']) {
        return Some(Format::IpJson);
    }
    let lines = || text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with(['#', '!', ';']));
    lines().take(400).find_map(line)
}

fn line(line: &str) -> Option<Format> {
    let mut words = line.split_whitespace();
    let first = words.next()?;
    let second = words.next();
    let program = first.rsplit('/').next().unwrap_or(first);
    let name = first.trim_end_matches('{');
    if BLOCKS.contains(&name) || first.starts_with('$') || (first.starts_with('@') && second.is_some()) {
        return Some(Format::Keepalived);
    }
    if ["-A", "-a"].contains(&first) || first == "IP" || first == "->" || first.starts_with("--add-se") {
        let chain = second.is_some_and(|w| w.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'));
        return Some(if chain { Format::Arptables } else { Format::Ipvsadm });
    }
    if ["TCP", "UDP", "FWM", "SCTP"].contains(&first) && second.is_some() || ["-C", "-D", "-E"].contains(&first) {
        return Some(Format::Ipvsadm);
    }
    if first.starts_with("*filter") || (first.starts_with(':') && second.is_some()) {
        return Some(Format::Arptables);
    }
    if PROGRAMS.contains(&program) || program.starts_with(';') {
        return Some(Format::Script);
    }
    let key = line.split('=').next().unwrap_or_default().trim().trim_start_matches('-');
    let dotted = key.contains('.') || key.contains('/');
    let plain = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-/*@".contains(&b));
    if plain && dotted && (line.contains('=') || line.starts_with('-')) {
        return Some(Format::Sysctl);
    }
    let assigned = line
        .split_once('=')
        .is_some_and(|(name, _)| !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_'));
    assigned.then_some(Format::Script)
}

#[cfg(test)]
mod tests {
    use super::{Format, tell};

    #[test]
    fn each_format_is_told_by_its_content() {
        let cases = [
            ("! a comment\nglobal_defs {\n}\n", Format::Keepalived),
            ("$VIP=10.0.0.1\n", Format::Keepalived),
            ("-A -t 10.0.0.1:80 -s rr\n", Format::Ipvsadm),
            ("IP Virtual Server version 1.2.1 (size=4096)\n", Format::Ipvsadm),
            ("TCP 10.0.0.1:80 rr\n", Format::Ipvsadm),
            ("# cure\nnet.ipv4.conf.all.arp_ignore=1\n", Format::Sysctl),
            ("net/ipv4/conf/all/arp_ignore = 1\n", Format::Sysctl),
            ("*filter\n:INPUT ACCEPT\n", Format::Arptables),
            ("-A INPUT -j DROP -d 10.0.0.1\n", Format::Arptables),
            ("[{\"ifname\":\"lo\"}]", Format::IpJson),
            ("#!/bin/sh\n", Format::Script),
            ("VIP=10.0.0.1\nifconfig lo:0 $VIP\n", Format::Script),
            ("/sbin/ifconfig lo:0 10.0.0.1\n", Format::Script),
        ];
        for (text, format) in cases {
            assert_eq!(tell(text), Some(format), "{text}");
        }
        assert_eq!(tell("Dear operator,\nplease help.\n"), None);
        assert_eq!(tell(""), None);
    }
}
