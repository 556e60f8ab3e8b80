//! What one command of a script says of its host.

use super::super::heard::{Heard, Statement};
use super::super::source::{Place, Sources, Word};
use super::super::{arptables, ipvsadm, sysctl};
use super::{iproute, net_tools};

/// A command and what it reads and writes.
pub(super) struct Call<'a> {
    pub(super) name: &'a Word,
    pub(super) arguments: &'a [Word],
    /// The file that its output goes to.
    pub(super) output: Option<&'a str>,
    /// The text that it reads.
    pub(super) input: Option<(String, Place)>,
    pub(super) place: &'a Place,
}

/// Programs that print, wait or look after files: nothing of it is in a lab.
const IDLE: &[&str] = &[
    "echo",
    "printf",
    ":",
    "true",
    "false",
    "set",
    "cd",
    "pwd",
    "clear",
    "logger",
    "log",
    "sleep",
    "date",
    "touch",
    "mkdir",
    "rm",
    "chmod",
    "chown",
    "ls",
    "umask",
    "trap",
    "wait",
    "unset",
    "shopt",
    "success",
    "failure",
    "action",
    "daemon",
    "ping",
    "arping",
    "grep",
    "egrep",
    "awk",
    "sed",
    "cut",
    "head",
    "tail",
    "wc",
    "sort",
    "which",
    "command",
    "type",
    "hash",
    "hostname",
    "uname",
    "id",
    "ps",
    "pidof",
    "tr",
    "xargs",
    "curl",
    "wget",
    "netstat",
    "ss",
    "tcpdump",
    "less",
    "more",
    "test",
    "break",
    "continue",
    "basename",
    "dirname",
    "basearch",
    "find",
    "lsmod",
    "whoami",
    "log_begin_msg",
    "log_end_msg",
    "log_daemon_msg",
    "let",
    "expr",
    "nslookup",
    "dig",
    "host",
    "watch",
    "sync",
    "usage",
];

/// Programs that install or start something; a lab has what it needs.
const SERVICES: &[&str] = &[
    "systemctl",
    "service",
    "chkconfig",
    "update-rc.d",
    "rc-service",
    "rc-update",
    "yum",
    "dnf",
    "apt",
    "apt-get",
    "rpm",
    "dpkg",
    "modprobe",
    "insmod",
    "depmod",
    "httpd",
    "nginx",
    "apachectl",
    "apache2ctl",
    "keepalived",
    "setenforce",
    "firewall-cmd",
    "ntpdate",
    "timedatectl",
    "hostnamectl",
    "useradd",
    "usermod",
    "crontab",
    "source",
    ".",
    "php",
    "python",
    "python3",
    "killall",
    "kill",
    "pkill",
    "nohup",
    "docker",
    "reboot",
    "shutdown",
    "ldconfig",
    "make",
    "tar",
    "cp",
    "mv",
    "ln",
    "nc",
    "ncat",
    "socat",
    "iperf3",
    "dnsmasq",
    "scp",
    "ssh",
    "ethtool",
    "tuned-adm",
    "semanage",
    "ulimit",
    "alternatives",
    "update-alternatives",
    "nmcli",
];

/// Whether the command changes nothing.
pub(super) fn is_idle(name: &str) -> bool {
    IDLE.contains(&program(name))
}

fn program(name: &str) -> &str {
    name.rsplit('/').next().unwrap_or(name)
}

/// The command without `sudo` and the like.
pub(super) fn without_prefixes(words: &[Word]) -> Vec<Word> {
    let mut rest = words;
    while let Some(first) = rest.first() {
        match program(&first.text) {
            "sudo" | "nohup" | "exec" | "command" | "builtin" | "time" | "nice" if rest.len() > 1 => {
                rest = &rest[1..];
                while rest.first().is_some_and(|w| w.text.starts_with('-')) && rest.len() > 1 {
                    rest = &rest[1..];
                }
            }
            _ => break,
        }
    }
    rest.to_vec()
}

/// A text on one line, cut where it is long.
pub(super) fn short(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 60 { line } else { format!("{}…", line.chars().take(59).collect::<String>()) }
}

/// What `echo` or `printf` prints of its words.
pub(super) fn echoed(name: &str, words: &[Word]) -> String {
    let flags = if name == "echo" {
        words.iter().take_while(|w| ["-n", "-e", "-en", "-ne"].contains(&w.text.as_str())).count()
    } else {
        0
    };
    let text = words[flags..].iter().map(|w| w.text.as_str()).collect::<Vec<_>>().join(" ");
    text.replace("\\n", "\n").replace("\\t", "\t")
}

/// Whether the command succeeds, where that is known.
pub(super) fn status(name: &str, arguments: &[Word]) -> Option<bool> {
    match program(name) {
        "false" => Some(false),
        "true" | ":" | "echo" | "printf" => Some(true),
        "ip" | "ifconfig" | "route" | "sysctl" | "arptables" | "iptables" | "ipvsadm" if !arguments.is_empty() => {
            Some(true)
        }
        _ => None,
    }
}

/// What `[ … ]` comes to, where it is known.
pub(super) fn test(words: &[&str]) -> Option<bool> {
    match words {
        ["!", rest @ ..] => test(rest).map(|b| !b),
        ["-z"] => Some(true),
        ["-n"] => Some(false),
        ["-z", text] => Some(text.is_empty()),
        ["-n", text] => Some(!text.is_empty()),
        [left, "=" | "==", right] => Some(left == right),
        [left, "!=", right] => Some(left != right),
        [left, operator, right] => {
            let (left, right) = (left.parse::<i64>().ok()?, right.parse::<i64>().ok()?);
            match *operator {
                "-eq" => Some(left == right),
                "-ne" => Some(left != right),
                "-lt" => Some(left < right),
                "-le" => Some(left <= right),
                "-gt" => Some(left > right),
                "-ge" => Some(left >= right),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Follows one command.
pub(super) fn call(sources: &mut Sources, heard: &mut Heard, call: &Call<'_>) {
    let (arguments, place) = (call.arguments, call.place);
    match program(&call.name.text) {
        name @ ("echo" | "printf" | "cat" | "tee") => written(sources, heard, call, name),
        "ip" => iproute::ip(sources, heard, arguments, place),
        "ifconfig" => net_tools::ifconfig(sources, heard, arguments, place),
        "route" => net_tools::route(sources, heard, arguments, place),
        "arp" => net_tools::arp(sources, heard, arguments, place),
        "ifdown" => {
            for device in arguments.iter().filter(|w| !w.text.starts_with('-')) {
                heard.say(Statement::NoAddress { device: device.text.clone(), address: None }, place);
            }
        }
        "ifup" => heard.leave_out(place, "ifup: what it brings up is in other files"),
        "sysctl" => sysctl_call(sources, heard, arguments, place),
        "arptables" | "arptables-legacy" | "arptables-nft" => filter(heard, arguments, place, Filter::Arp),
        "iptables" | "iptables-legacy" | "iptables-nft" => filter(heard, arguments, place, Filter::Ip),
        "ipvsadm" if arguments.iter().any(|w| w.text == "-R" || w.text == "--restore") => {
            rules(sources, heard, call, Rules::Ipvsadm);
        }
        "ipvsadm" => ipvsadm::command(sources, heard, arguments, &call.name.place),
        "ipvsadm-restore" => rules(sources, heard, call, Rules::Ipvsadm),
        "arptables-restore" => rules(sources, heard, call, Rules::Arptables),
        "ipvsadm-save" | "arptables-save" | "iptables-save" | "ip6tables-save" => {}
        name if SERVICES.contains(&name) => {
            heard.leave_out(place, format!("`{}`: nothing is installed, started or read", short_call(sources, place)));
        }
        name if IDLE.contains(&name) => {}
        _ => heard.wonder(place, format!("`{}`", short_call(sources, place))),
    }
}

pub(super) fn short_call(sources: &Sources, place: &Place) -> String {
    short(sources.text(place.file).get(place.span.clone()).unwrap_or_default())
}

/// What is written into files: sysctls at `/proc/sys`, settings for `sysctl -p`.
fn written(sources: &mut Sources, heard: &mut Heard, call: &Call<'_>, name: &str) {
    let text = match (name, &call.input) {
        ("echo" | "printf", _) => echoed(name, call.arguments),
        (_, Some((text, _))) => text.clone(),
        _ => String::new(),
    };
    let tee =
        call.arguments.iter().find(|w| !w.text.starts_with('-')).map(|w| w.text.as_str()).filter(|_| name == "tee");
    let Some(target) = tee.or(call.output) else { return };
    let place = call.place;
    if let Some(key) = target.strip_prefix("/proc/sys/") {
        return sysctl::set(sources, heard, &format!("/proc/sys/{key}"), text.trim(), place);
    }
    if target == "/dev/null" || target.starts_with("/var/l") || target.starts_with("/dev/") {
        return;
    }
    if target == "/etc/sysctl.conf" || target.contains("/sysctl.d/") {
        for line in text.lines().map(str::trim).filter(|l| !l.is_empty() && !l.starts_with(['#', ';'])) {
            match line.split_once('=') {
                Some((key, value)) => sysctl::set(sources, heard, key.trim(), value.trim(), place),
                None => heard.wonder(place, format!("`{}` in {target}", short(line))),
            }
        }
        return;
    }
    let help = if std::path::Path::new(target).extension().is_some_and(|ext| ext.eq_ignore_ascii_case("conf")) {
        "; give that file by itself"
    } else {
        ""
    };
    heard.wonder(place, format!("it writes {target}{help}"));
}

#[derive(Clone, Copy)]
enum Rules {
    Ipvsadm,
    Arptables,
}

/// Rules in a here-document.
fn rules(sources: &mut Sources, heard: &mut Heard, call: &Call<'_>, of: Rules) {
    let Some((text, place)) = &call.input else {
        return heard.wonder(call.place, "rules from another file; give that file by itself");
    };
    // Its lines are read as a text of their own, which has the document's name and place in messages.
    let name = sources.at(place);
    let file = sources.add(&name, text);
    let read = match of {
        Rules::Ipvsadm => ipvsadm::read(sources, file),
        Rules::Arptables => arptables::read(sources, file),
    };
    heard.said.extend(read.said);
    heard.left_out.extend(read.left_out);
    heard.not_understood.extend(read.not_understood);
}

fn sysctl_call(sources: &mut Sources, heard: &mut Heard, arguments: &[Word], place: &Place) {
    let reads = |w: &Word| w.text.starts_with("-p") || w.text == "--system" || w.text.starts_with("--load");
    if arguments.iter().any(reads) {
        if !arguments.iter().any(|w| w.text == "-p" && arguments.len() == 1) {
            heard.leave_out(place, "sysctl reads settings from files; give these too where they matter");
        }
        return;
    }
    let settings: Vec<Word> = arguments.iter().filter(|w| !w.text.starts_with('-')).cloned().collect();
    // `sysctl -w key = value` in three words is a common slip that sysctl refuses; one word with blanks is not.
    sysctl::assignments(sources, heard, &settings);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Filter {
    Arp,
    Ip,
}

fn filter(heard: &mut Heard, arguments: &[Word], place: &Place, of: Filter) {
    let has = |wanted: &[&str]| arguments.iter().any(|w| wanted.contains(&w.text.as_str()));
    let name = if of == Filter::Arp { "arptables" } else { "iptables" };
    if has(&["-F", "--flush"]) {
        let after = |flag: &str| arguments.windows(2).find(|w| w[0].text == flag).map(|w| w[1].text.clone());
        let table = after("-t").or_else(|| after("--table")).unwrap_or_else(|| "filter".to_owned());
        return heard.say(if of == Filter::Arp { Statement::NoArptables } else { Statement::NoIptables(table) }, place);
    }
    if has(&["-D", "--delete", "-X", "-Z", "-L", "-S", "--list", "-C", "--check", "-E"]) || arguments.is_empty() {
        return heard.leave_out(place, format!("this {name} command adds no rule"));
    }
    if !has(&["-A", "-I", "-P", "-N", "--append", "--insert", "--policy", "--new-chain"]) {
        return heard.wonder(place, format!("an {name} command that adds no rule"));
    }
    let line = shell_words::join(arguments.iter().map(|w| w.text.as_str()));
    heard.say(if of == Filter::Arp { Statement::Arptables(line) } else { Statement::Iptables(line) }, place);
}
