//! Words in place of addresses that were made up for stand-ins: nobody is to type them.

use std::net::IpAddr;

use crate::judge::Finding;

impl Finding {
    /// With words in place of addresses that were made up.
    pub(super) fn without(mut self, made_up: &[(IpAddr, &'static str)]) -> Self {
        let clean = |text: &mut String| {
            for (ip, word) in made_up {
                *text = replaced(text, &ip.to_string(), word);
            }
        };
        clean(&mut self.what);
        self.effects.iter_mut().for_each(clean);
        self.evidence.iter_mut().for_each(|e| {
            clean(&mut e.what);
            e.fact.iter_mut().for_each(clean);
        });
        for mend in &mut self.mend {
            let before = mend.command.clone();
            clean(&mut mend.command);
            if mend.command != before {
                // A word has to be filled in first.
                mend.dialect = crate::judge::Dialect::ByHand;
            }
        }
        self
    }
}

/// The text with a word in place of an address, where that is not part of a longer one.
fn replaced(text: &str, ip: &str, word: &str) -> String {
    let longer = |c: Option<char>| c.is_some_and(|c| c.is_ascii_hexdigit() || c == '.' || c == ':');
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find(ip) {
        let (before, after) = (&rest[..at], &rest[at + ip.len()..]);
        let before_is = before.chars().next_back().or_else(|| out.chars().next_back().filter(|_| before.is_empty()));
        let end = after.chars().next().filter(|c| *c != '.' || after[1..].starts_with(|c: char| c.is_ascii_digit()));
        out.push_str(before);
        out.push_str(if longer(before_is) || longer(end.filter(|c| *c != ':')) { ip } else { word });
        rest = after;
    }
    out + rest
}
