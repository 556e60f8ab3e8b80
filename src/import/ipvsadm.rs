//! Rules of `ipvsadm`: its command lines (of `ipvsadm-save` too, which leaves out the program's name) and the table as
//! `ipvsadm -Ln` lists it.
//!
//! Both long and short options are read, short ones combined as people write them (`-At`). Defaults are ipvsadm's:
//! scheduler `wlc`, direct routing, weight 1, persistence of 300 seconds.

use std::net::{IpAddr, Ipv4Addr};

use super::heard::{Heard, Key, Server, Statement, VirtualService};
use super::source::{Place, Sources, Word, lines, words};
use super::values;
use crate::base::{Forwarding, Protocol, SCHEDULERS};

/// What a service has when nothing else is said (`ipvsadm.c`: `DEF_SCHED`).
pub(super) const SCHEDULER: &str = "wlc";

/// Reads a rule file or a listing.
pub(super) fn read(sources: &mut Sources, file: usize) -> Heard {
    let text = sources.text(file).to_owned();
    let mut heard = Heard::default();
    let mut listed = None;
    for (start, line) in lines(&text) {
        let line_words = words(file, start, line);
        let Some(first) = line_words.first() else { continue };
        match first.text.as_str() {
            comment if comment.starts_with('#') => {}
            // The three lines above a listing.
            "IP" | "Prot" => {}
            "->" if line_words.get(1).is_some_and(|w| w.text.starts_with("RemoteAddress")) => {}
            "TCP" | "UDP" | "FWM" | "SCTP" => listed = service_listed(sources, &mut heard, &line_words),
            "->" => server_listed(sources, &mut heard, &line_words, listed),
            program if program.ends_with("ipvsadm") => command(sources, &mut heard, &line_words[1..], &first.place),
            option if option.starts_with('-') => command(sources, &mut heard, &line_words, &first.place),
            other => heard.wonder(&first.place, format!("`{other}` is no rule of ipvsadm")),
        }
    }
    heard
}

/// What a command line comes to, its program's name left out.
#[derive(Default)]
struct Line {
    act: Option<Act>,
    key: Option<Key>,
    scheduler: Option<String>,
    flags: Vec<String>,
    persistence_s: Option<u32>,
    persistence_prefix: Option<u8>,
    server: Option<(IpAddr, Option<u16>)>,
    weight: Option<u32>,
    forwarding: Option<Forwarding>,
    upper: u32,
    lower: u32,
    timeouts: Option<(u32, u32, u32)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    AddService,
    DeleteService,
    AddServer,
    DeleteServer,
    Clear,
    Timeouts,
    /// It changes nothing that a lab has.
    Other,
}

/// The long options and the letters that they stand for.
const LONG: &[(&str, char)] = &[
    ("--add-service", 'A'),
    ("--edit-service", 'E'),
    ("--delete-service", 'D'),
    ("--clear", 'C'),
    ("--restore", 'R'),
    ("--save", 'S'),
    ("--add-server", 'a'),
    ("--edit-server", 'e'),
    ("--delete-server", 'd'),
    ("--list", 'L'),
    ("--zero", 'Z'),
    ("--tcp-service", 't'),
    ("--udp-service", 'u'),
    ("--sctp-service", '!'),
    ("--fwmark-service", 'f'),
    ("--scheduler", 's'),
    ("--sched-flags", 'b'),
    ("--persistent", 'p'),
    ("--netmask", 'M'),
    ("--real-server", 'r'),
    ("--gatewaying", 'g'),
    ("--ipip", 'i'),
    ("--masquerading", 'm'),
    ("--weight", 'w'),
    ("--u-threshold", 'x'),
    ("--l-threshold", 'y'),
    ("--ops", 'o'),
    ("--ipv6", '6'),
    ("--numeric", 'n'),
    ("--set", '='),
    ("--start-daemon", '*'),
    ("--stop-daemon", '*'),
    ("--exact", '-'),
    ("--stats", '-'),
    ("--rate", '-'),
];

/// Reads one command line.
pub(super) fn command(sources: &mut Sources, heard: &mut Heard, arguments: &[Word], program: &Place) {
    let mut line = Line::default();
    let mut rest = arguments.iter().peekable();
    let mut broken = false;
    while let Some(word) = rest.next() {
        let (long, given) = match word.text.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_owned())),
            _ => (word.text.as_str(), None),
        };
        let letters: Vec<char> = if long.starts_with("--") {
            let exact = LONG.iter().find(|(name, _)| *name == long);
            let begins = || LONG.iter().find(|(name, _)| long.len() > 3 && name.starts_with(long));
            if let Some((_, letter)) = exact.or_else(begins) {
                vec![*letter]
            } else {
                heard.wonder(&word.place, format!("`{}` is no option of ipvsadm that is known", word.text));
                continue;
            }
        } else if let Some(letters) = long.strip_prefix('-').filter(|l| !l.is_empty()) {
            letters.chars().collect()
        } else {
            heard.wonder(&word.place, format!("`{}` is no option of ipvsadm", word.text));
            continue;
        };
        for (at, letter) in letters.iter().enumerate() {
            let mut value = || -> Option<Word> {
                if let Some(text) = &given {
                    return Some(Word { text: text.clone(), place: word.place.clone() });
                }
                if at + 1 < letters.len() {
                    return None;
                }
                rest.next_if(|next| !next.text.starts_with('-')).cloned()
            };
            match one(&mut line, *letter, &mut value) {
                Ok(Known::Yes) => {}
                Ok(Known::No) => {
                    heard.wonder(&word.place, format!("`{}` is no option of ipvsadm that is known", word.text));
                }
                Err(Wrong { place, message }) => {
                    sources.wrong_at(&place.unwrap_or_else(|| word.place.clone()), message, None);
                    broken = true;
                }
            }
        }
    }
    if !broken {
        let place = arguments.last().map_or_else(|| program.clone(), |last| program.to(&last.place));
        conclude(sources, heard, line, &place);
    }
}

enum Known {
    Yes,
    No,
}

struct Wrong {
    place: Option<Place>,
    message: String,
}

fn one(line: &mut Line, letter: char, value: &mut dyn FnMut() -> Option<Word>) -> Result<Known, Wrong> {
    let act = match letter {
        'A' | 'E' => Some(Act::AddService),
        'D' => Some(Act::DeleteService),
        'a' | 'e' => Some(Act::AddServer),
        'd' => Some(Act::DeleteServer),
        'C' => Some(Act::Clear),
        'L' | 'l' | 'Z' | 'S' | 'R' | '*' => Some(Act::Other),
        _ => None,
    };
    if let Some(act) = act {
        line.act = Some(act);
        if letter == '*' {
            drop(value());
        }
        return Ok(Known::Yes);
    }
    let mut wanted = |what: &str| {
        value().ok_or_else(|| Wrong { place: None, message: format!("ipvsadm's `-{letter}` needs {what}") })
    };
    match letter {
        't' | 'u' => {
            let word = wanted("an address and a port, as 172.16.0.66:80")?;
            let (address, port) = read_with(&word, values::at)?;
            let protocol = if letter == 't' { Protocol::Tcp } else { Protocol::Udp };
            line.key = Some(Key::Address(protocol, address, port.unwrap_or(0)));
        }
        'f' => {
            let word = wanted("a firewall mark")?;
            let mark = read_with(&word, |text| {
                values::number(text)
                    .and_then(|n| if n == 0 { Err("firewall mark 0 marks nothing".to_owned()) } else { Ok(n) })
            })?;
            line.key = Some(Key::Mark(mark));
        }
        's' => {
            let word = wanted("a scheduler")?;
            line.scheduler = Some(read_with(&word, scheduler)?);
        }
        'b' => {
            let word = wanted("flags, as sh-port")?;
            line.flags.extend(word.text.split(',').map(str::to_owned));
        }
        'p' => {
            line.persistence_s = Some(match value() {
                Some(word) => read_with(&word, values::seconds)?,
                None => 300,
            });
        }
        'M' => {
            let word = wanted("a netmask")?;
            line.persistence_prefix = Some(read_with(&word, mask)?);
        }
        'r' => {
            let word = wanted("a real server's address")?;
            line.server = Some(read_with(&word, values::at)?);
        }
        'w' => line.weight = Some(read_with(&wanted("a weight")?, weight)?),
        'x' => line.upper = read_with(&wanted("a number of connections")?, values::number)?,
        'y' => line.lower = read_with(&wanted("a number of connections")?, values::number)?,
        'g' => line.forwarding = Some(Forwarding::DirectRouting),
        'i' => line.forwarding = Some(Forwarding::Tun),
        'm' => line.forwarding = Some(Forwarding::Nat),
        'o' => line.flags.push("ops".to_owned()),
        'n' | '6' | '-' | 'c' | 'h' => {}
        '=' => {
            let mut next = || read_with(&wanted("three timeouts in seconds")?, values::seconds);
            line.timeouts = Some((next()?, next()?, next()?));
            line.act = Some(Act::Timeouts);
        }
        _ => return Ok(Known::No),
    }
    Ok(Known::Yes)
}

fn read_with<T>(word: &Word, how: impl FnOnce(&str) -> Result<T, String>) -> Result<T, Wrong> {
    how(&word.text).map_err(|message| Wrong { place: Some(word.place.clone()), message })
}

/// A scheduler that the kernel has.
pub(super) fn scheduler(text: &str) -> Result<String, String> {
    let name = text.strip_prefix("ip_vs_").unwrap_or(text);
    if SCHEDULERS.contains(&name) { Ok(name.to_owned()) } else { Err(format!("the kernel has no scheduler `{text}`")) }
}

pub(super) fn weight(text: &str) -> Result<u32, String> {
    let weight = values::number(text)?;
    if weight <= 65_535 { Ok(weight) } else { Err(format!("weight {weight} is beyond 65535")) }
}

fn mask(text: &str) -> Result<u8, String> {
    match text.parse::<Ipv4Addr>() {
        Ok(mask) => values::prefix(mask),
        Err(_) => text.parse().ok().filter(|n| (1..=128).contains(n)).ok_or_else(|| format!("`{text}` is no netmask")),
    }
}

fn conclude(sources: &mut Sources, heard: &mut Heard, line: Line, place: &Place) {
    match line.act {
        Some(Act::Clear) => return heard.say(Statement::NoServices, place),
        Some(Act::Other) => {
            return heard.leave_out(place, "this ipvsadm command changes no service");
        }
        Some(Act::Timeouts) => {
            let (tcp, fin, udp) = line.timeouts.unwrap_or_default();
            return heard.say(Statement::Timeouts { tcp, fin, udp }, place);
        }
        None => return heard.wonder(place, "an ipvsadm command that says nothing to do"),
        Some(_) => {}
    }
    let Some(key) = line.key else {
        return sources.wrong_at(place, "the ipvsadm rule names no service", Some("add `-t VIP:PORT`".to_owned()));
    };
    match line.act {
        Some(Act::AddService) => heard.say(
            Statement::Service(VirtualService {
                key,
                place: place.clone(),
                scheduler: line.scheduler.unwrap_or_else(|| SCHEDULER.to_owned()),
                flags: line.flags,
                persistence_s: line.persistence_s,
                persistence_prefix: line.persistence_prefix.filter(|p| *p < 32),
                servers: Vec::new(),
                protocol_forgotten: false,
            }),
            place,
        ),
        Some(Act::DeleteService) => heard.say(Statement::NoService(key), place),
        Some(Act::AddServer | Act::DeleteServer) => {
            let Some((address, port)) = line.server else {
                let help = Some("add `-r RIP:PORT`".to_owned());
                return sources.wrong_at(place, "the ipvsadm rule names no real server", help);
            };
            if line.act == Some(Act::DeleteServer) {
                return heard.say(Statement::NoServer { of: key, at: address }, place);
            }
            let server = Server {
                address,
                port,
                weight: line.weight.unwrap_or(1),
                forwarding: line.forwarding.unwrap_or(Forwarding::DirectRouting),
                upper: line.upper,
                lower: line.lower,
                place: place.clone(),
            };
            heard.say(Statement::Server { of: key, server }, place);
        }
        _ => {}
    }
}

/// `TCP  172.16.0.66:80 rr persistent 360 mask 255.255.255.0`.
fn service_listed(sources: &mut Sources, heard: &mut Heard, line: &[Word]) -> Option<Key> {
    let first = line.first()?;
    let Some(at) = line.get(1) else {
        sources.wrong_at(&first.place, "the listed service has no address", None);
        return None;
    };
    let protocol = match first.text.as_str() {
        "TCP" => Some(Protocol::Tcp),
        "UDP" => Some(Protocol::Udp),
        _ => None,
    };
    let key = match (first.text.as_str(), protocol) {
        ("FWM", _) => values::number(&at.text).map(Key::Mark),
        (_, Some(protocol)) => values::at(&at.text).map(|(ip, port)| Key::Address(protocol, ip, port.unwrap_or(0))),
        _ => {
            heard.wonder(&first.place, "services over SCTP are not built");
            return None;
        }
    };
    let key = key.map_err(|message| sources.wrong_at(&at.place, message, None)).ok()?;
    let mut rest = line[2..].iter().skip_while(|w| w.text.starts_with("IPv")).peekable();
    let mut service = VirtualService {
        key,
        place: first.place.to(&line[line.len() - 1].place),
        scheduler: SCHEDULER.to_owned(),
        flags: Vec::new(),
        persistence_s: None,
        persistence_prefix: None,
        servers: Vec::new(),
        protocol_forgotten: false,
    };
    if let Some(word) = rest.next() {
        match scheduler(&word.text) {
            Ok(name) => service.scheduler = name,
            Err(message) => sources.wrong_at(&word.place, message, None),
        }
    }
    while let Some(word) = rest.next() {
        match word.text.as_str() {
            "persistent" => service.persistence_s = rest.next().and_then(|w| values::seconds(&w.text).ok()),
            "mask" => service.persistence_prefix = rest.next().and_then(|w| mask(&w.text).ok()).filter(|p| *p < 32),
            "ops" => service.flags.push("ops".to_owned()),
            flags if flags.starts_with('(') => {
                service.flags.extend(flags.trim_matches(['(', ')']).split(',').map(str::to_owned));
            }
            other => heard.wonder(&word.place, format!("`{other}` of a listed service")),
        }
    }
    let place = service.place.clone();
    heard.say(Statement::Service(service), &place);
    Some(key)
}

/// `-> 172.16.252.137:80  Route  1  0  0`.
fn server_listed(sources: &mut Sources, heard: &mut Heard, line: &[Word], of: Option<Key>) {
    let place = line[0].place.to(&line[line.len() - 1].place);
    let (Some(of), Some(at)) = (of, line.get(1)) else {
        return heard.wonder(&place, "a listed real server without a service above it");
    };
    let (address, port) = match values::at(&at.text) {
        Ok(at) => at,
        Err(message) => return sources.wrong_at(&at.place, message, None),
    };
    let forwarding = match line.get(2).map(|w| w.text.as_str()) {
        Some("Route") | None => Forwarding::DirectRouting,
        Some("Masq") => Forwarding::Nat,
        Some("Tunnel") => Forwarding::Tun,
        Some("Local") => Forwarding::LocalNode,
        Some(other) => {
            return sources.wrong_at(
                &line[2].place,
                format!("`{other}` is no way of forwarding"),
                Some("they are `Route`, `Masq`, `Tunnel`, `Local`".to_owned()),
            );
        }
    };
    let weight = match line.get(3).map(|w| (weight(&w.text), &w.place)) {
        Some((Ok(weight), _)) => weight,
        Some((Err(message), place)) => return sources.wrong_at(place, message, None),
        None => 1,
    };
    let server = Server { address, port, weight, forwarding, upper: 0, lower: 0, place: place.clone() };
    heard.say(Statement::Server { of, server }, &place);
}

#[cfg(test)]
mod tests {
    use super::super::heard::{Key, Statement};
    use super::super::source::Sources;
    use super::read;
    use crate::base::{Forwarding, Protocol};

    fn said(text: &str) -> Vec<Statement> {
        let mut sources = Sources::default();
        let file = sources.add("rules", text);
        let heard = read(&mut sources, file);
        assert_eq!(sources.wrong(), [], "{}", sources.wrong()[0].render(false));
        heard.said.into_iter().map(|(statement, _)| statement).collect()
    }

    #[test]
    fn short_long_and_combined_options_mean_the_same() {
        let of = Key::Address(Protocol::Tcp, "10.0.0.1".parse().unwrap(), 80);
        for text in [
            "-A -t 10.0.0.1:80 -s rr -p 360\n-a -t 10.0.0.1:80 -r 10.0.0.2:80 -g -w 3\n",
            "-At 10.0.0.1:http -s rr -p 360\n-at 10.0.0.1:http -r 10.0.0.2:http -gw 3\n",
            "--add-service --tcp-service 10.0.0.1:80 --scheduler rr --persistent=360\n\
             --add-server --tcp-service 10.0.0.1:80 --real-server=10.0.0.2:80 --gatewaying --weight 3\n",
            "TCP  10.0.0.1:80 rr persistent 360\n  -> 10.0.0.2:80 Route 3 0 0\n",
        ] {
            let said = said(text);
            let [Statement::Service(service), Statement::Server { of: to, server }] = said.as_slice() else {
                panic!("{said:?}")
            };
            assert_eq!((service.key, service.persistence_s, *to), (of, Some(360), of), "{text}");
            assert_eq!((server.weight, server.forwarding, server.port), (3, Forwarding::DirectRouting, Some(80)));
        }
    }

    #[test]
    fn what_is_wrong_is_told_at_its_place() {
        let mut sources = Sources::default();
        let file =
            sources.add("rules", "-A -t 10.0.0.300:80 -s rr\n-A -t 10.0.0.1:80 -s robin\n-a -t 10.0.0.1:80 -r\n");
        read(&mut sources, file);
        let wrong: Vec<_> = sources.wrong()[0].list().iter().map(|p| (p.line, p.column, p.message.clone())).collect();
        assert_eq!(
            wrong,
            [
                (1, 7, "`10.0.0.300` is no IP address".to_owned()),
                (2, 22, "the kernel has no scheduler `robin`".to_owned()),
                (3, 19, "ipvsadm's `-r` needs a real server's address".to_owned()),
            ]
        );
    }
}
