//! What one command of a script says of its host.

use super::super::heard::{Heard, HostAddress, HostRoute, Statement};
use super::super::source::{Place, Sources, Word};
use super::super::{arptables, ipvsadm, sysctl, values};
use super::net_tools;

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
        "ip" => ip(sources, heard, arguments, place),
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

fn short_call(sources: &Sources, place: &Place) -> String {
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

/// `ip OBJECT COMMAND …`.
fn ip(sources: &mut Sources, heard: &mut Heard, arguments: &[Word], place: &Place) {
    let objects: Vec<Word> = arguments.iter().skip_while(|w| w.text.starts_with('-')).cloned().collect();
    let text = |at: usize| objects.get(at).map_or("", |w| w.text.as_str());
    let rest = objects.get(2..).unwrap_or_default();
    let (object, act) = (text(0), text(1));
    let is = |word: &str, whole: &str| !word.is_empty() && whole.starts_with(word);
    if act.is_empty() || ["show", "list", "get", "ls", "s", "l", "lst", "monitor", "save"].contains(&act) {
        return;
    }
    match object {
        o if is(o, "address") => ip_address(sources, heard, act, rest, place),
        o if is(o, "link") => ip_link(sources, heard, act, rest, place),
        o if is(o, "route") => ip_route(sources, heard, act, rest, place),
        o if is(o, "neighbour") || is(o, "neighbor") => ip_neighbour(sources, heard, act, rest, place),
        _ => heard.wonder(place, format!("`{}`", short_call(sources, place))),
    }
}

/// The words behind keywords: each keyword with its value, and what stands alone.
fn options<'w>(rest: &'w [Word], with_value: &[&str]) -> (Vec<(&'w str, &'w Word)>, Vec<&'w Word>) {
    let (mut pairs, mut alone) = (Vec::new(), Vec::new());
    let mut words = rest.iter().peekable();
    while let Some(word) = words.next() {
        if with_value.contains(&word.text.as_str())
            && let Some(value) = words.next()
        {
            pairs.push((word.text.as_str(), value));
        } else {
            alone.push(word);
        }
    }
    (pairs, alone)
}

fn ip_address(sources: &mut Sources, heard: &mut Heard, act: &str, rest: &[Word], place: &Place) {
    let with_value =
        ["dev", "label", "brd", "broadcast", "scope", "peer", "local", "valid_lft", "preferred_lft", "metric"];
    let (pairs, alone) = options(rest, &with_value);
    let value = |key: &str| pairs.iter().find(|(k, _)| *k == key).map(|(_, word)| *word);
    let device = value("dev").map(|w| w.text.clone());
    let address = alone.first().copied().or_else(|| value("local"));
    let flags = ["nodad", "home", "mngtmpaddr", "noprefixroute", "autojoin", "secondary", "permanent", "to"];
    for word in alone.iter().skip(1).filter(|w| !flags.contains(&w.text.as_str())) {
        heard.wonder(&word.place, format!("`{}` of `ip addr`", word.text));
    }
    if "flush".starts_with(act) {
        let Some(device) = device.or_else(|| address.map(|w| w.text.clone())) else { return };
        return heard.say(Statement::NoAddress { device, address: None }, place);
    }
    let (Some(device), Some(word)) = (device, address) else {
        return sources.wrong_at(place, "`ip addr` needs an address and `dev`", None);
    };
    let net = match values::net(&word.text) {
        Ok(net) => net,
        Err(message) => return sources.wrong_at(&word.place, message, None),
    };
    if act.starts_with('d') {
        return heard.say(Statement::NoAddress { device, address: Some(net.addr()) }, place);
    }
    let broadcast = value("brd").or_else(|| value("broadcast")).and_then(|w| w.text.parse().ok());
    // `dev lo:0` is taken by ip(8) as device and label.
    let (device, label) = net_tools::device_and_label(&device);
    let label = value("label").map(|w| w.text.clone()).filter(|l| l.contains(':')).or(label);
    heard.say(Statement::Address(HostAddress { device, label, net, broadcast }), place);
}

fn ip_link(sources: &mut Sources, heard: &mut Heard, act: &str, rest: &[Word], place: &Place) {
    let (pairs, alone) = options(
        rest,
        &["dev", "name", "type", "mtu", "address", "arp", "txqueuelen", "alias", "multicast", "master", "link"],
    );
    let value = |key: &str| pairs.iter().find(|(k, _)| *k == key).map(|(_, word)| *word);
    let named = value("dev").or_else(|| value("name")).or_else(|| alone.first().copied());
    let Some(device) = named.map(|w| w.text.clone()) else {
        return sources.wrong_at(place, "`ip link` needs a device", None);
    };
    if act.starts_with('a') {
        return match value("type").map(|w| w.text.as_str()) {
            Some("dummy") => heard.say(Statement::Dummy { device }, place),
            _ => heard.wonder(place, format!("`{}`", short_call(sources, place))),
        };
    }
    if act.starts_with('d') {
        return heard.wonder(place, format!("`{}`", short_call(sources, place)));
    }
    let mut told = false;
    for word in &alone {
        if word.text == "up" || word.text == "down" {
            heard.say(Statement::Up { device: device.clone(), up: word.text == "up" }, place);
            told = true;
        } else if word.text != device {
            heard.wonder(&word.place, format!("`{}` of `ip link set`", word.text));
            told = true;
        }
    }
    for (key, word) in &pairs {
        let wrong = |sources: &mut Sources, what: &str| {
            sources.wrong_at(&word.place, format!("`{}` is no {what}", word.text), None);
        };
        match *key {
            "arp" => heard.say(Statement::Arp { device: device.clone(), arp: word.text == "on" }, place),
            "mtu" => match word.text.parse() {
                Ok(mtu) => heard.say(Statement::Mtu { device: device.clone(), mtu }, place),
                Err(_) => wrong(sources, "MTU"),
            },
            "address" => match word.text.parse() {
                Ok(mac) => heard.say(Statement::Hardware { device: device.clone(), mac }, place),
                Err(_) => wrong(sources, "MAC"),
            },
            "dev" => {}
            other if !told => heard.wonder(&word.place, format!("`{other} {}` of `ip link set`", word.text)),
            _ => {}
        }
    }
}

fn ip_route(sources: &mut Sources, heard: &mut Heard, act: &str, rest: &[Word], place: &Place) {
    if act.starts_with('f') {
        return heard.leave_out(place, "`ip route flush`");
    }
    let with_value =
        ["via", "dev", "src", "metric", "table", "scope", "proto", "protocol", "mtu", "advmss", "tos", "nexthop"];
    let (pairs, alone) = options(rest, &with_value);
    let value = |key: &str| pairs.iter().find(|(k, _)| *k == key).map(|(_, word)| *word);
    if let Some(table) = value("table").filter(|w| w.text != "main" && w.text != "254") {
        return heard.wonder(&table.place, "a route of another table");
    }
    let target = alone.iter().find(|w| !["to", "unicast", "onlink", "-host", "-net"].contains(&w.text.as_str()));
    let to = match target.map(|w| (w.text.as_str(), *w)) {
        Some(("default", _)) | None => None,
        Some((kind @ ("local" | "blackhole" | "unreachable" | "prohibit"), word)) => {
            return heard.wonder(&word.place, format!("a {kind} route"));
        }
        Some((text, word)) => match values::net(text) {
            Ok(net) => Some(net.trunc()).filter(|net| net.prefix_len() > 0),
            Err(message) => return sources.wrong_at(&word.place, message, None),
        },
    };
    if act.starts_with('d') {
        return heard.say(Statement::NoRoute { to }, place);
    }
    let mut host = |key: &str| match value(key).map(|word| (values::address(&word.text), word)) {
        Some((Ok(ip), _)) => Some(ip),
        Some((Err(message), word)) => {
            sources.wrong_at(&word.place, message, None);
            None
        }
        None => None,
    };
    let (via, source) = (host("via"), host("src"));
    let device = value("dev").map(|w| net_tools::device_and_label(&w.text).0);
    if via.is_some() || device.is_some() {
        heard.say(Statement::Route(HostRoute { to, via, device, source }), place);
    }
}

fn ip_neighbour(sources: &mut Sources, heard: &mut Heard, act: &str, rest: &[Word], place: &Place) {
    if !act.starts_with(['a', 'r', 'c']) {
        return heard.leave_out(place, "this `ip neigh` command adds no entry");
    }
    let (pairs, alone) = options(rest, &["lladdr", "dev", "nud", "to"]);
    let value = |key: &str| pairs.iter().find(|(k, _)| *k == key).map(|(_, word)| *word);
    let address = alone.first().copied().or_else(|| value("to")).and_then(|w| values::address(&w.text).ok());
    let mac = value("lladdr").and_then(|w| w.text.parse().ok());
    match (address, mac) {
        (Some(address), Some(mac)) => {
            heard.say(Statement::Neighbour { address, mac, device: value("dev").map(|w| w.text.clone()) }, place);
        }
        _ => sources.wrong_at(place, "`ip neigh` needs an address and `lladdr MAC`", None),
    }
}
