//! sysctl.conf and files of sysctl.d (`sysctl.conf(5)`, `sysctl.d(5)`).

use super::heard::{Heard, Statement};
use super::source::{Place, Sources, Word, lines};

/// Reads a file of settings.
pub(super) fn read(sources: &mut Sources, file: usize) -> Heard {
    let text = sources.text(file).to_owned();
    let mut heard = Heard::default();
    for (start, line) in lines(&text) {
        let from = line.len() - line.trim_start().len();
        let line = line.trim();
        if line.is_empty() || line.starts_with(['#', ';']) {
            continue;
        }
        let place = Place { file, span: start + from..start + from + line.len() };
        match line.split_once('=') {
            Some((key, value)) => {
                let key = key.trim().trim_start_matches('-').trim();
                set(sources, &mut heard, key, value.trim(), &place);
            }
            None => {
                if let Some(key) = line.strip_prefix('-').and_then(key) {
                    heard.say(Statement::NoSysctl { key }, &place);
                } else {
                    let help = Some("write `key = value`, as `net.ipv4.conf.all.arp_ignore = 1`".to_owned());
                    sources.wrong_at(&place, "a line without `=`", help);
                }
            }
        }
    }
    heard
}

/// A setting, however its key is written.
pub(super) fn set(sources: &mut Sources, heard: &mut Heard, written: &str, value: &str, place: &Place) {
    let Some(key) = key(written) else {
        return sources.wrong_at(place, format!("`{written}` is no sysctl"), None);
    };
    let value = value.trim_matches(['"', '\'']).trim();
    if value.is_empty() {
        let help = Some(format!("write one, as `{key} = 1`"));
        return sources.wrong_at(place, format!("sysctl `{key}` has no value"), help);
    }
    if !key.starts_with("net.") {
        return heard.leave_out(place, format!("sysctl `{key}` is not one of the network"));
    }
    heard.say(Statement::Sysctl { key, value: value.split_whitespace().collect::<Vec<_>>().join(" ") }, place);
}

/// `key=value` words, as `sysctl -w` takes them.
pub(super) fn assignments(sources: &mut Sources, heard: &mut Heard, words: &[Word]) {
    for word in words {
        match word.text.split_once('=') {
            Some((key, value)) => set(sources, heard, key.trim(), value, &word.place),
            None => heard.leave_out(&word.place, format!("`{}` only reads a sysctl", word.text)),
        }
    }
}

/// A key with dots between its parts. Where the first separator is a slash, dots belong to names (`sysctl(8)`).
pub(super) fn key(written: &str) -> Option<String> {
    let bare = written.strip_prefix("/proc/sys/").unwrap_or(written);
    let by_slash = bare.find(['.', '/']).is_some_and(|at| bare[at..].starts_with('/'));
    let dotted = if by_slash {
        bare.split('/').filter(|p| !p.is_empty()).map(|p| p.replace('.', "/")).collect::<Vec<_>>().join(".")
    } else {
        bare.to_owned()
    };
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-/*@:".contains(c);
    (dotted.contains('.') && dotted.chars().all(legal)).then_some(dotted)
}

#[cfg(test)]
mod tests {
    use super::super::heard::Statement;
    use super::super::source::Sources;
    use super::{key, read};

    #[test]
    fn a_key_is_the_same_with_dots_slashes_and_as_a_path() {
        for written in
            ["net.ipv4.conf.all.arp_ignore", "net/ipv4/conf/all/arp_ignore", "/proc/sys/net/ipv4/conf/all/arp_ignore"]
        {
            assert_eq!(key(written).as_deref(), Some("net.ipv4.conf.all.arp_ignore"));
        }
        assert_eq!(key("net/ipv4/conf/eth0.100/arp_ignore").as_deref(), Some("net.ipv4.conf.eth0/100.arp_ignore"));
        assert_eq!(key("arp_ignore"), None);
    }

    #[test]
    fn settings_comments_and_mistakes_are_told_apart() {
        let mut sources = Sources::default();
        let text =
            "# cure\n-net.ipv4.conf.all.arp_ignore = 1\nvm.swappiness=10\nnet.ipv4.ip_forward\nnet.ipv4.ip_forward=\n";
        let file = sources.add("99-lvs.conf", text);
        let heard = read(&mut sources, file);
        assert!(
            matches!(&heard.said[..], [(Statement::Sysctl { key, value }, _)] if key.ends_with("arp_ignore") && value == "1")
        );
        assert_eq!(heard.left_out.len(), 1);
        let wrong: Vec<_> = sources.wrong()[0].list().iter().map(|p| p.line).collect();
        assert_eq!(wrong, [4, 5]);
    }
}
