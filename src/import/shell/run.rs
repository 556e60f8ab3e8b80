//! What a script does, followed without running it.
//!
//! A condition that only a running machine can answer is taken as true, unless what it leads to gives up (`exit`).

use std::collections::BTreeMap;

use super::super::heard::Heard;
use super::super::source::{Place, Sources, Word};
use super::commands;
use super::lexer::{Part, RawWord};
use super::tree::{Command, Link, Simple};

/// How many commands are followed.
const COMMANDS: usize = 20_000;

/// How deep functions may call one another.
const CALLS: usize = 32;

/// Follows a script with its first argument `start`, unless variables say otherwise.
pub(super) fn run(sources: &mut Sources, heard: &mut Heard, file: usize, body: &[Command], given: &[(String, String)]) {
    let mut known: BTreeMap<String, Option<String>> = BTreeMap::new();
    for (name, value) in
        [("UID", "0"), ("EUID", "0"), ("USER", "root"), ("?", "0"), ("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")]
    {
        known.insert(name.to_owned(), Some(value.to_owned()));
    }
    known.insert("0".to_owned(), Some(sources.name(file).to_owned()));
    let given: BTreeMap<String, String> = given.iter().cloned().collect();
    let first = given.get("1").cloned();
    let assumed_first = first.is_none();
    known.insert("1".to_owned(), Some(first.unwrap_or_else(|| "start".to_owned())));
    for (name, value) in &given {
        known.insert(name.clone(), Some(value.clone()));
    }
    let mut runner = Runner {
        sources,
        heard,
        file,
        known,
        given,
        functions: BTreeMap::new(),
        left: COMMANDS,
        calls: 0,
        assumed_first,
    };
    runner.all(body);
}

/// Whether commands go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    On,
    Return,
    Exit,
}

struct Runner<'a> {
    sources: &'a mut Sources,
    heard: &'a mut Heard,
    file: usize,
    /// Variables; nothing for one whose value only a running machine has.
    known: BTreeMap<String, Option<String>>,
    /// Variables that assignments in the script don't change.
    given: BTreeMap<String, String>,
    functions: BTreeMap<String, Vec<Command>>,
    left: usize,
    calls: usize,
    assumed_first: bool,
}

/// A word with its variables put in, or why it can't be.
type Expanded = Result<Word, String>;

impl Runner<'_> {
    fn all(&mut self, commands: &[Command]) -> Flow {
        for command in commands {
            let flow = self.one(command).0;
            if flow != Flow::On {
                return flow;
            }
        }
        Flow::On
    }

    /// Follows a command: how it goes on, and whether it succeeds, where that is known.
    fn one(&mut self, command: &Command) -> (Flow, Option<bool>) {
        match command {
            Command::Simple(simple) => self.simple(simple, None),
            Command::If { arms, otherwise, place } => (self.choose(arms, otherwise, place), None),
            Command::Case { subject, arms } => (self.case(subject, arms), None),
            Command::For { variable, words, body, place } => (self.each(variable, words, body, place), None),
            Command::Function { name, body } => {
                self.functions.insert(name.clone(), body.clone());
                (Flow::On, Some(true))
            }
            Command::Chain(all) => self.chain(all),
            Command::Pipe(all) => (self.pipe(all), None),
            Command::Group(body) => (self.all(body), None),
            Command::Loop(place, kind) => {
                self.heard.wonder(place, format!("a loop (`{kind}`)"));
                (Flow::On, None)
            }
        }
    }

    fn chain(&mut self, all: &[(Link, Command)]) -> (Flow, Option<bool>) {
        let mut status = Some(true);
        for (link, command) in all {
            let follow = match (link, status) {
                (Link::First, _) | (Link::And, Some(true)) | (Link::Or, Some(false)) => true,
                (Link::And, Some(false)) | (Link::Or, Some(true) | None) => false,
                // What comes of an unknown condition is done, unless it gives up.
                (Link::And, None) => !gives_up(std::slice::from_ref(command)),
            };
            if !follow {
                continue;
            }
            let (flow, outcome) = self.one(command);
            if flow != Flow::On {
                return (flow, outcome);
            }
            status = outcome;
        }
        (Flow::On, status)
    }

    fn choose(&mut self, arms: &[(Vec<Command>, Vec<Command>)], otherwise: &[Command], place: &Place) -> Flow {
        for (condition, body) in arms {
            let mut status = Some(true);
            for command in condition {
                let (flow, outcome) = self.one(command);
                if flow != Flow::On {
                    return flow;
                }
                status = outcome;
            }
            match status {
                Some(true) => return self.all(body),
                Some(false) => {}
                None if gives_up(body) => {}
                None => {
                    if !otherwise.is_empty() || arms.len() > 1 {
                        self.heard.leave_out(place, "a condition of the running machine: taken as true");
                    }
                    return self.all(body);
                }
            }
        }
        self.all(otherwise)
    }

    fn case(&mut self, subject: &RawWord, arms: &[(Vec<RawWord>, Vec<Command>)]) -> Flow {
        let mut said = subject.parts.iter().filter(|p| !matches!(p, Part::Text(text, _) if text.is_empty()));
        let subject_is_argument =
            matches!((said.next(), said.next()), (Some(Part::Variable(name, ..)), None) if name == "1");
        let value = self.expand(subject).ok().map(|w| w.text);
        let texts: Vec<Vec<String>> = arms
            .iter()
            .map(|(patterns, _)| patterns.iter().filter_map(|p| self.expand(p).ok().map(|w| w.text)).collect())
            .collect();
        let fitting = |wanted: &str| texts.iter().position(|all| all.iter().any(|p| fits(p, wanted) && p != "*"));
        let any = || texts.iter().position(|all| all.iter().any(|p| p == "*"));
        let found = match &value {
            Some(value) => match fitting(value) {
                None if subject_is_argument && self.assumed_first => (!texts.is_empty()).then_some(0),
                None => any(),
                found => found,
            },
            None => fitting("start").or((!texts.is_empty()).then_some(0)),
        };
        let Some(found) = found else { return Flow::On };
        if value.is_none() || (subject_is_argument && self.assumed_first) {
            let name = texts.get(found).map(|all| all.join("|")).unwrap_or_default();
            let file = self.sources.name(self.file).to_owned();
            self.heard
                .assume(format!("{file}: of its `case`, the part `{name}` is taken (another one by --set 1=WORD)"));
        }
        arms.get(found).map_or(Flow::On, |(_, body)| self.all(body))
    }

    fn each(&mut self, variable: &str, words: &[RawWord], body: &[Command], place: &Place) -> Flow {
        let mut values = Vec::new();
        for word in words {
            match self.split(word) {
                Ok(all) => values.extend(all.into_iter().map(|w| w.text)),
                Err(why) => {
                    self.heard.wonder(place, format!("`for {variable}`: {why}"));
                    return Flow::On;
                }
            }
        }
        for value in values {
            self.known.insert(variable.to_owned(), Some(value));
            let flow = self.all(body);
            if flow != Flow::On {
                return flow;
            }
        }
        Flow::On
    }

    /// What is piped: only into `tee` and tools that read rules does something come of it.
    fn pipe(&mut self, all: &[Command]) -> Flow {
        let printed = match all.first() {
            Some(Command::Simple(simple)) => self.printed(simple),
            _ => None,
        };
        for (at, command) in all.iter().enumerate() {
            let Command::Simple(simple) = command else {
                if at > 0 {
                    self.heard.wonder(&first_place(command), "commands behind a `|`");
                }
                continue;
            };
            let input = if at > 0 { printed.clone() } else { None };
            if at == 0 && all.len() > 1 && printed.is_some() {
                continue;
            }
            self.simple(simple, input);
        }
        Flow::On
    }

    /// What `echo` prints.
    fn printed(&mut self, simple: &Simple) -> Option<String> {
        let words = self.words(simple).ok()?;
        let (name, arguments) = words.split_first()?;
        (name.text == "echo" || name.text == "printf").then(|| commands::echoed(&name.text, arguments))
    }

    fn words(&mut self, simple: &Simple) -> Result<Vec<Word>, String> {
        let mut all = Vec::new();
        for word in &simple.words {
            all.extend(self.split(word)?);
        }
        Ok(all)
    }

    fn simple(&mut self, simple: &Simple, piped: Option<String>) -> (Flow, Option<bool>) {
        if self.left == 0 {
            return (Flow::Exit, None);
        }
        self.left -= 1;
        if self.left == 0 {
            self.heard.wonder(&simple.place, format!("what follows: more than {COMMANDS} commands"));
            return (Flow::Exit, None);
        }
        let mut rest = simple.words.as_slice();
        while let Some((name, value)) = rest.first().and_then(assignment) {
            let value = self.expand(&value).ok().map(|w| w.text);
            self.assign(&name, value);
            rest = &rest[1..];
        }
        if rest.is_empty() && simple.output.is_none() {
            return (Flow::On, Some(true));
        }
        let bare = Simple { words: rest.to_vec(), ..simple.clone() };
        let words = match self.words(&bare) {
            Ok(words) => words,
            Err(why) => {
                if !self.is_idle(rest) {
                    let written = self.written(&simple.place);
                    self.heard.wonder(&simple.place, format!("`{written}`: {why}"));
                }
                return (Flow::On, None);
            }
        };
        let words = commands::without_prefixes(&words);
        let Some((name, arguments)) = words.split_first() else { return (Flow::On, Some(true)) };
        let (flow, status) = self.known_command(simple, name, arguments).unwrap_or_else(|| {
            let output = simple.output.as_ref().map(|target| self.expand(target));
            let input = simple.input.as_ref().map(|(text, place)| (self.filled(text), place.clone()));
            let piped = piped.map(|text| (text, simple.place.clone()));
            let call = commands::Call {
                name,
                arguments,
                output: match &output {
                    Some(Ok(word)) => Some(word.text.as_str()),
                    Some(Err(_)) => Some("?"),
                    None => None,
                },
                input: input.or(piped),
                place: &simple.place,
            };
            commands::call(self.sources, self.heard, &call);
            (Flow::On, commands::status(&name.text, arguments))
        });
        (flow, if simple.negated { status.map(|s| !s) } else { status })
    }

    /// Commands of the shell itself.
    fn known_command(&mut self, simple: &Simple, name: &Word, arguments: &[Word]) -> Option<(Flow, Option<bool>)> {
        let done = Some((Flow::On, Some(true)));
        if let Some(body) = self.functions.get(&name.text).cloned() {
            if self.calls >= CALLS {
                self.heard.wonder(&simple.place, format!("`{}` calls itself again and again", name.text));
                return done;
            }
            let outer: Vec<_> = (1..=9).map(|n| self.known.get(&n.to_string()).cloned()).collect();
            for n in 1..=9_usize {
                self.known
                    .insert(n.to_string(), Some(arguments.get(n - 1).map(|w| w.text.clone()).unwrap_or_default()));
            }
            self.calls += 1;
            let flow = self.all(&body);
            self.calls -= 1;
            for (n, value) in (1..=9).zip(outer) {
                match value {
                    Some(value) => self.known.insert(n.to_string(), value),
                    None => self.known.remove(&n.to_string()),
                };
            }
            return Some((if flow == Flow::Exit { Flow::Exit } else { Flow::On }, None));
        }
        match name.text.as_str() {
            "exit" => Some((Flow::Exit, None)),
            "return" => Some((Flow::Return, None)),
            "export" | "local" | "readonly" | "declare" | "typeset" => {
                for word in arguments {
                    if let Some((name, value)) = word.text.split_once('=') {
                        self.assign(name, Some(value.to_owned()));
                    }
                }
                done
            }
            "read" => {
                for word in arguments.iter().filter(|w| !w.text.starts_with('-')) {
                    self.assign(&word.text, None);
                }
                done
            }
            "shift" => {
                for n in 1..=8 {
                    let next = self.known.get(&(n + 1).to_string()).cloned().unwrap_or(Some(String::new()));
                    self.known.insert(n.to_string(), next);
                }
                done
            }
            "[" | "[[" | "test" => {
                let inner: Vec<&str> =
                    arguments.iter().map(|w| w.text.as_str()).filter(|w| !["]", "]]"].contains(w)).collect();
                Some((Flow::On, commands::test(&inner)))
            }
            _ => None,
        }
    }

    fn assign(&mut self, name: &str, value: Option<String>) {
        if !self.given.contains_key(name) {
            self.known.insert(name.to_owned(), value);
        }
    }

    /// Whether the command only prints, so that an unknown value in it does no harm.
    fn is_idle(&self, words: &[RawWord]) -> bool {
        let name = words.first().and_then(RawWord::plain).unwrap_or_default();
        commands::is_idle(name) && !self.functions.contains_key(name)
    }

    fn written(&self, place: &Place) -> String {
        let text = self.sources.text(place.file).get(place.span.clone()).unwrap_or_default();
        commands::short(text)
    }

    /// A here-document with its variables put in.
    fn filled(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(at) = rest.find('$') {
            out.push_str(&rest[..at]);
            let after = &rest[at + 1..];
            let braced = after.starts_with('{');
            let from = usize::from(braced);
            let name: String = after[from..].chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            let end = from + name.len() + usize::from(braced);
            match self.known.get(&name) {
                Some(Some(value)) if !name.is_empty() && end <= after.len() => {
                    out.push_str(value);
                    rest = after.get(end..).unwrap_or_default();
                }
                _ => {
                    out.push('$');
                    rest = after;
                }
            }
        }
        out.push_str(rest);
        out
    }

    /// A word as one.
    fn expand(&self, word: &RawWord) -> Expanded {
        let mut text = String::new();
        for part in &word.parts {
            text.push_str(&self.part(part)?);
        }
        Ok(Word { text, place: word.place.clone() })
    }

    /// A word as the shell splits it: at blanks of variables that are not in quotes.
    fn split(&self, word: &RawWord) -> Result<Vec<Word>, String> {
        let splits = word.parts.iter().any(|p| {
            matches!(p, Part::Variable(_, _, false)) || matches!(p, Part::Text(t, false) if t.contains([' ', '{']))
        });
        let whole = self.expand(word)?;
        if !splits {
            return Ok(vec![whole]);
        }
        let texts = whole.text.split_whitespace().flat_map(braces);
        Ok(texts.map(|text| Word { text, place: word.place.clone() }).collect())
    }

    fn part(&self, part: &Part) -> Result<String, String> {
        match part {
            Part::Text(text, _) => Ok(text.clone()),
            Part::Computed(written) => Err(format!("`{}` is known only when it runs", commands::short(written))),
            Part::Variable(name, default, _) => match (self.known.get(name), default) {
                (Some(Some(value)), _) if !value.is_empty() || default.is_none() => Ok(value.clone()),
                (_, Some(default)) => Ok(default.clone()),
                (Some(None), None) => {
                    Err(format!("`${name}` is known only when it runs (give it by --set {name}=VALUE)"))
                }
                (None, None)
                    if ["@", "*", "#", "$", "!", "-", "2", "3", "4", "5", "6", "7", "8", "9"]
                        .contains(&name.as_str()) =>
                {
                    Err(format!("`${name}` is an argument (give it by --set {name}=VALUE)"))
                }
                _ => Err(format!("`${name}` is not set (give it by --set {name}=VALUE)")),
            },
        }
    }
}

/// Whether commands end the script or report a mistake.
fn gives_up(commands: &[Command]) -> bool {
    commands.iter().any(|command| match command {
        Command::Simple(simple) => {
            matches!(simple.words.first().and_then(RawWord::plain), Some("exit" | "return" | "die" | "usage" | "fail"))
        }
        Command::Group(body) => gives_up(body),
        Command::Chain(all) => all.iter().any(|(_, c)| gives_up(std::slice::from_ref(c))),
        _ => false,
    })
}

fn first_place(command: &Command) -> Place {
    match command {
        Command::Simple(simple) => simple.place.clone(),
        Command::If { place, .. } | Command::For { place, .. } | Command::Loop(place, _) => place.clone(),
        Command::Case { subject, .. } => subject.place.clone(),
        Command::Group(body) | Command::Pipe(body) | Command::Function { body, .. } => {
            body.first().map_or(Place { file: 0, span: 0..0 }, first_place)
        }
        Command::Chain(all) => all.first().map_or(Place { file: 0, span: 0..0 }, |(_, c)| first_place(c)),
    }
}

/// `NAME=value`.
fn assignment(word: &RawWord) -> Option<(String, RawWord)> {
    let Some(Part::Text(first, false)) = word.parts.first() else { return None };
    let (name, rest) = first.split_once('=')?;
    let legal = !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && !name.starts_with(|c: char| c.is_ascii_digit());
    let mut parts = word.parts.clone();
    parts[0] = Part::Text(rest.to_owned(), false);
    legal.then(|| (name.to_owned(), RawWord { parts, place: word.place.clone() }))
}

/// Whether a text fits a pattern of `case`.
fn fits(pattern: &str, text: &str) -> bool {
    glob::Pattern::new(pattern).map_or(pattern == text, |p| p.matches(text))
}

/// `a{1,2}b` is `a1b a2b`.
fn braces(text: &str) -> Vec<String> {
    let found = text.find('{').and_then(|open| Some((open, open + text[open..].find('}')?)));
    match found {
        Some((open, close)) if text[open..close].contains(',') => {
            let (before, after) = (&text[..open], &text[close + 1..]);
            text[open + 1..close].split(',').map(|inner| format!("{before}{inner}{after}")).collect()
        }
        _ => vec![text.to_owned()],
    }
}
