//! Rules as `arptables-save` writes them.

use super::heard::{Heard, Statement};
use super::source::{Sources, lines, words};

/// Reads saved rules.
pub(super) fn read(sources: &mut Sources, file: usize) -> Heard {
    let saved = sources.text(file).to_owned();
    let mut heard = Heard::default();
    for (start, line) in lines(&saved) {
        let typed = words(file, start, line);
        let (Some(first), Some(last)) = (typed.first(), typed.last()) else { continue };
        let place = first.place.to(&last.place);
        // Counters in front of a rule (`[12:336] -A …`).
        let told = if first.text.starts_with('[') { &typed[1..] } else { &typed[..] };
        let Some(keyword) = told.first() else { continue };
        match keyword.text.as_str() {
            comment if comment.starts_with('#') => {}
            "*filter" | "COMMIT" => {}
            table if table.starts_with('*') => heard.wonder(&place, format!("table `{}` of arptables", &table[1..])),
            chain if chain.starts_with(':') => {
                let policy = told.get(1).map_or("", |w| w.text.as_str());
                match policy {
                    "ACCEPT" => {}
                    "DROP" => heard.say(Statement::Arptables(format!("-P {} DROP", &chain[1..])), &place),
                    "-" => heard.say(Statement::Arptables(format!("-N {}", &chain[1..])), &place),
                    _ => sources.wrong_at(&place, "a chain has the policy ACCEPT or DROP", None),
                }
            }
            option if option.starts_with('-') => {
                let rule: Vec<&str> = told.iter().map(|w| w.text.as_str()).collect();
                heard.say(Statement::Arptables(rule.join(" ")), &place);
            }
            other => heard.wonder(&place, format!("`{other}` is no rule of arptables")),
        }
    }
    heard
}

#[cfg(test)]
mod tests {
    use super::super::heard::Statement;
    use super::super::source::Sources;
    use super::read;

    #[test]
    fn rules_and_policies_are_kept_as_lines() {
        let mut sources = Sources::default();
        let text = "*filter\n:INPUT DROP [0:0]\n:OUTPUT ACCEPT\n[3:84] -A INPUT -j ACCEPT -d 10.0.0.2 \nCOMMIT\n";
        let file = sources.add("arptables", text);
        let said: Vec<_> = read(&mut sources, file).said.into_iter().map(|(s, _)| s).collect();
        assert_eq!(
            said,
            [
                Statement::Arptables("-P INPUT DROP".into()),
                Statement::Arptables("-A INPUT -j ACCEPT -d 10.0.0.2".into())
            ]
        );
    }
}
