//! The names of programs in a text of shell commands, so that those that a machine lacks are found before anything starts.
//!
//! Errs towards too few: what stands in variables, or is made by the text itself, is not found.

use std::collections::BTreeSet;

/// Words after which a command stands as at a line's beginning.
const BEFORE: [&str; 14] =
    ["!", "do", "elif", "else", "env", "exec", "if", "nohup", "setsid", "sudo", "then", "time", "until", "while"];

/// The first words of all commands in a text, as far as they are plain names or paths.
pub fn programs(text: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    for line in text.replace("\\\n", " ").lines() {
        let line = line.split(" #").next().unwrap_or(line);
        if line.trim_start().starts_with('#') {
            continue;
        }
        for command in line.split([';', '&', '|', '(', ')', '{', '}', '`']) {
            let words = command.split_whitespace();
            let first = words.into_iter().find(|word| !BEFORE.contains(word) && !is_assignment(word));
            found.extend(first.filter(|word| is_name(word)).map(str::to_owned));
        }
    }
    // What the text defines itself is none: `start() {`.
    let defined = |name: &str| text.contains(&format!("{name}()")) || text.contains(&format!("{name} ()"));
    found.retain(|name| !defined(name));
    found
}

fn is_assignment(word: &str) -> bool {
    let name = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    word.split_once('=').is_some_and(|(before, _)| name(before))
}

fn is_name(word: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._+-".contains(c);
    word.starts_with(|c: char| c.is_ascii_alphabetic() || c == '/') && word.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::programs;

    fn found(text: &str) -> Vec<String> {
        programs(text).into_iter().collect()
    }

    #[test]
    fn the_textbooks_lines_name_their_tools() {
        assert_eq!(found("ifconfig lo:0 172.16.0.66 up\nroute add -host 172.16.0.66 dev lo:0"), ["ifconfig", "route"]);
        assert_eq!(found("echo 1 > /proc/sys/net/ipv4/conf/all/arp_ignore"), ["echo"]);
    }

    #[test]
    fn a_real_servers_script_names_what_it_calls_and_not_what_it_defines() {
        let script = "#!/bin/sh\nVIP=172.16.0.66\n# ipvsadm is not for here\ncase $1 in\nstart)\n  LANG=C /sbin/ifconfig lo:0 \
                      $VIP up && sudo arptables -A INPUT -j DROP # nft\n  ;;\nesac\nstop() { ip link; }\nstop\n";
        assert_eq!(found(script), ["/sbin/ifconfig", "arptables", "case", "esac", "ip", "start"]);
    }

    #[test]
    fn what_stands_in_a_variable_is_not_found() {
        assert!(found("$IPVSADM -C; \"$x\" y; 'a b' c").is_empty());
    }
}
