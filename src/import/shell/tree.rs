//! Commands of a script: lists, `if`, `case`, `for`, functions.

use std::collections::VecDeque;

use super::super::heard::Heard;
use super::super::source::{Place, Sources};
use super::lexer::{RawWord, Token};

const DEPTH: usize = 64;

/// A command.
#[derive(Debug, Clone)]
pub(super) enum Command {
    Simple(Simple),
    If {
        arms: Vec<(Vec<Command>, Vec<Command>)>,
        otherwise: Vec<Command>,
        place: Place,
    },
    Case {
        subject: RawWord,
        arms: Vec<(Vec<RawWord>, Vec<Command>)>,
    },
    For {
        variable: String,
        words: Vec<RawWord>,
        body: Vec<Command>,
        place: Place,
    },
    Function {
        name: String,
        body: Vec<Command>,
    },
    /// Commands in turn, each with what stands before it: `;`, `&&`, `||`.
    Chain(Vec<(Link, Command)>),
    /// Commands whose output is the next one's input.
    Pipe(Vec<Command>),
    Group(Vec<Command>),
    /// A loop with a condition, or a choice by a user.
    Loop(Place, String),
}

/// How a command of a chain is joined to the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Link {
    First,
    And,
    Or,
}

/// A plain command.
#[derive(Debug, Clone)]
pub(super) struct Simple {
    pub(super) words: Vec<RawWord>,
    /// Where its output goes: the file, and whether it is added to it.
    pub(super) output: Option<RawWord>,
    /// The text that it reads.
    pub(super) input: Option<(String, Place)>,
    pub(super) negated: bool,
    pub(super) place: Place,
}

/// All commands of a script.
pub(super) fn parse(sources: &mut Sources, heard: &mut Heard, tokens: Vec<Token>) -> Vec<Command> {
    let mut parser = Parser { sources, heard, tokens: tokens.into(), last: Place { file: 0, span: 0..0 }, depth: 0 };
    let mut all = Vec::new();
    while !parser.tokens.is_empty() {
        all.extend(parser.list(&[]));
        // What closes nothing, as a lone `fi`.
        if let Some(token) = parser.tokens.pop_front() {
            match token {
                Token::Word(word) => {
                    let text = word.plain().unwrap_or_default().to_owned();
                    parser.sources.wrong_at(&word.place, format!("`{text}` closes nothing"), None);
                }
                Token::Operator(operator, place) => {
                    parser.sources.wrong_at(
                        &place,
                        format!("`{}` stands where a command is expected", operator.trim()),
                        None,
                    );
                }
                _ => {}
            }
        }
    }
    all
}

struct Parser<'a> {
    sources: &'a mut Sources,
    heard: &'a mut Heard,
    tokens: VecDeque<Token>,
    last: Place,
    depth: usize,
}

const CLOSING: [&str; 9] = ["then", "elif", "else", "fi", "do", "done", "esac", "}", "in"];

impl Parser<'_> {
    fn next(&mut self) -> Option<Token> {
        let token = self.tokens.pop_front();
        match &token {
            Some(Token::Word(word)) => self.last = word.place.clone(),
            Some(Token::Operator(_, place) | Token::Redirect { place, .. }) => self.last = place.clone(),
            _ => {}
        }
        token
    }

    fn word(&self) -> Option<&str> {
        match self.tokens.front()? {
            Token::Word(word) => word.plain(),
            _ => None,
        }
    }

    fn operator(&self) -> Option<&'static str> {
        match self.tokens.front()? {
            Token::Operator(operator, _) => Some(operator),
            _ => None,
        }
    }

    fn skip_lines(&mut self) {
        while matches!(self.tokens.front(), Some(Token::Newline | Token::Operator(";" | "&", _))) {
            self.next();
        }
    }

    /// Takes the word, or complains that it is missing.
    fn expect(&mut self, wanted: &str, of: &Place, what: &str) {
        self.skip_lines();
        if self.word() == Some(wanted) {
            self.next();
        } else {
            self.sources.wrong_at(of, format!("this `{what}` has no `{wanted}`"), None);
        }
    }

    /// Commands up to one of the words, or to what closes some other command.
    fn list(&mut self, ends: &[&str]) -> Vec<Command> {
        let mut all = Vec::new();
        loop {
            self.skip_lines();
            match self.tokens.front() {
                None | Some(Token::Operator(";;" | ")", _)) => return all,
                _ => {}
            }
            if self.word().is_some_and(|w| ends.contains(&w) || CLOSING.contains(&w)) {
                return all;
            }
            let before = self.tokens.len();
            all.extend(self.chain());
            if self.tokens.len() == before {
                return all;
            }
        }
    }

    fn chain(&mut self) -> Option<Command> {
        let mut all = vec![(Link::First, self.pipe()?)];
        while let Some(operator @ ("&&" | "||")) = self.operator() {
            self.next();
            self.skip_lines();
            let link = if operator == "&&" { Link::And } else { Link::Or };
            if let Some(command) = self.pipe() {
                all.push((link, command));
            } else {
                let place = self.last.clone();
                self.sources.wrong_at(&place, format!("nothing stands behind `{operator}`"), None);
            }
        }
        if all.len() == 1 { all.pop().map(|(_, command)| command) } else { Some(Command::Chain(all)) }
    }

    fn pipe(&mut self) -> Option<Command> {
        let mut all = vec![self.command()?];
        while self.operator() == Some("|") {
            self.next();
            self.skip_lines();
            all.extend(self.command());
        }
        if all.len() == 1 { all.pop() } else { Some(Command::Pipe(all)) }
    }

    fn command(&mut self) -> Option<Command> {
        if self.depth >= DEPTH {
            let place = self.last.clone();
            self.sources.wrong_at(&place, format!("commands stand more than {DEPTH} deep in one another"), None);
            self.tokens.clear();
            return None;
        }
        self.depth += 1;
        let command = self.one();
        self.depth -= 1;
        command
    }

    fn one(&mut self) -> Option<Command> {
        if self.operator() == Some("(") {
            self.next();
            let open = self.last.clone();
            let body = self.list(&[]);
            if self.operator() == Some(")") {
                self.next();
            } else {
                self.sources.wrong_at(&open, "this `(` is never closed", None);
            }
            return Some(self.redirected(Command::Group(body)));
        }
        match self.word() {
            Some("if") => Some(self.condition()),
            Some("case") => self.case(),
            Some("for") => Some(self.each()),
            Some(word @ ("while" | "until" | "select")) => {
                let kind = word.to_owned();
                self.next();
                let place = self.last.clone();
                drop(self.list(&["do"]));
                self.expect("do", &place, &kind);
                drop(self.list(&["done"]));
                self.expect("done", &place, &kind);
                let looped = Command::Loop(place, kind);
                Some(self.redirected(looped))
            }
            Some("{") => {
                self.next();
                let open = self.last.clone();
                let body = self.list(&["}"]);
                self.expect("}", &open, "{");
                Some(self.redirected(Command::Group(body)))
            }
            Some("function") => {
                self.next();
                let Some(Token::Word(name)) = self.next() else { return None };
                Some(self.function(&name))
            }
            _ => self.simple(),
        }
    }

    /// Skips redirections behind a compound command.
    fn redirected(&mut self, command: Command) -> Command {
        while matches!(self.tokens.front(), Some(Token::Redirect { .. } | Token::Here(..))) {
            let is_redirect = matches!(self.next(), Some(Token::Redirect { .. }));
            if is_redirect && matches!(self.tokens.front(), Some(Token::Word(_))) {
                self.next();
            }
        }
        command
    }

    fn condition(&mut self) -> Command {
        self.next();
        let place = self.last.clone();
        let (mut arms, mut otherwise) = (Vec::new(), Vec::new());
        loop {
            let condition = self.list(&["then"]);
            self.expect("then", &place, "if");
            arms.push((condition, self.list(&["elif", "else", "fi"])));
            match self.word() {
                Some("elif") => drop(self.next()),
                Some("else") => {
                    self.next();
                    otherwise = self.list(&["fi"]);
                    break;
                }
                _ => break,
            }
        }
        self.expect("fi", &place, "if");
        self.redirected(Command::If { arms, otherwise, place })
    }

    fn case(&mut self) -> Option<Command> {
        self.next();
        let place = self.last.clone();
        let Some(Token::Word(subject)) = self.next() else {
            self.sources.wrong_at(&place, "`case` has no word", None);
            return None;
        };
        self.expect("in", &place, "case");
        let mut arms = Vec::new();
        loop {
            self.skip_lines();
            if self.word() == Some("esac") || self.tokens.is_empty() {
                break;
            }
            let before = self.tokens.len();
            let mut patterns = Vec::new();
            if self.operator() == Some("(") {
                self.next();
            }
            while let Some(Token::Word(_)) = self.tokens.front() {
                if let Some(Token::Word(word)) = self.next() {
                    patterns.push(word);
                }
                if self.operator() == Some("|") {
                    self.next();
                }
            }
            if self.operator() == Some(")") {
                self.next();
            } else {
                let at = patterns.last().map_or_else(|| place.clone(), |word| word.place.clone());
                self.sources.wrong_at(&at, "a pattern of `case` ends with `)`", None);
            }
            arms.push((patterns, self.list(&["esac"])));
            if self.operator() == Some(";;") {
                self.next();
            }
            if self.tokens.len() == before {
                break;
            }
        }
        self.expect("esac", &place, "case");
        Some(self.redirected(Command::Case { subject, arms }))
    }

    fn each(&mut self) -> Command {
        self.next();
        let place = self.last.clone();
        let variable = if let Some(Token::Word(word)) = self.next() {
            word.plain().unwrap_or_default().to_owned()
        } else {
            // An arithmetic loop.
            while !self.tokens.is_empty() && self.word() != Some("do") {
                self.next();
            }
            String::new()
        };
        let mut words = Vec::new();
        self.skip_lines();
        if self.word() == Some("in") {
            self.next();
            while let Some(Token::Word(_)) = self.tokens.front() {
                if let Some(Token::Word(word)) = self.next() {
                    words.push(word);
                }
            }
        }
        self.expect("do", &place, "for");
        let body = self.list(&["done"]);
        self.expect("done", &place, "for");
        if variable.is_empty() {
            return self.redirected(Command::Loop(place, "for ((…))".to_owned()));
        }
        self.redirected(Command::For { variable, words, body, place })
    }

    fn function(&mut self, name: &RawWord) -> Command {
        if self.operator() == Some("(") {
            self.next();
            if self.operator() == Some(")") {
                self.next();
            }
        }
        self.skip_lines();
        let body = match self.command() {
            Some(Command::Group(body)) => body,
            Some(other) => vec![other],
            None => Vec::new(),
        };
        Command::Function { name: name.plain().unwrap_or_default().to_owned(), body }
    }

    fn simple(&mut self) -> Option<Command> {
        let mut simple: Option<Simple> = None;
        let mut negated = false;
        while self.word() == Some("!") && simple.is_none() {
            negated = !negated;
            self.next();
        }
        loop {
            let is_part =
                matches!(self.tokens.front(), Some(Token::Word(_) | Token::Redirect { .. } | Token::Here(..)));
            let calls = self.operator() == Some("(") && simple.as_ref().is_some_and(|s| s.words.len() == 1);
            if calls {
                let name = simple.and_then(|s| s.words.into_iter().next())?;
                return Some(self.function(&name));
            }
            if !is_part {
                break;
            }
            let Some(token) = self.next() else { break };
            let last = self.last.clone();
            let simple = simple.get_or_insert_with(|| Simple {
                words: Vec::new(),
                output: None,
                input: None,
                negated,
                place: last.clone(),
            });
            match token {
                Token::Word(word) => {
                    simple.place = simple.place.to(&word.place);
                    simple.words.push(word);
                }
                Token::Redirect { input, standard, place, .. } => match self.tokens.front() {
                    Some(Token::Word(_)) => {
                        if let Some(Token::Word(target)) = self.next()
                            && standard
                            && !input
                        {
                            simple.place = simple.place.to(&target.place);
                            simple.output = Some(target);
                        }
                    }
                    _ => self.sources.wrong_at(
                        &place,
                        "a redirection leads nowhere",
                        Some("write a file behind it".to_owned()),
                    ),
                },
                Token::Here(text, place) => simple.input = Some((text, place)),
                Token::Operator(..) | Token::Newline => {}
            }
        }
        if simple.is_none() && negated {
            let place = self.last.clone();
            self.heard.wonder(&place, "`!` without a command");
        }
        simple.map(Command::Simple)
    }
}
