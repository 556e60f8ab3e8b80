//! Words and operators of a script.

use super::super::source::{Place, Sources};

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// Text as it stands; whether it was in quotes.
    Text(String, bool),
    /// A variable, what stands for it where it is empty, and whether it was in quotes.
    Variable(String, Option<String>, bool),
    /// What only a running machine knows, as it is written.
    Computed(String),
}

/// A word before its variables are put in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RawWord {
    pub(super) parts: Vec<Part>,
    pub(super) place: Place,
}

impl RawWord {
    /// Its text, where it is plain.
    pub(super) fn plain(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Text(text, false)] => Some(text),
            _ => None,
        }
    }
}

/// A token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    Word(RawWord),
    /// `;`, `&&`, `(`, …
    Operator(&'static str, Place),
    /// `>`, `>>`, `<`, and whether it is of standard output or input.
    Redirect {
        append: bool,
        input: bool,
        standard: bool,
        place: Place,
    },
    /// A here-document's lines, and where they begin.
    Here(String, Place),
    Newline,
}

const OPERATORS: [&str; 8] = [";;", "&&", "||", ";", "&", "|", "(", ")"];

/// All tokens of a script.
pub(super) fn tokens(sources: &mut Sources, file: usize, text: &str) -> Vec<Token> {
    let mut lexer = Lexer { sources, file, text, at: 0, tokens: Vec::new(), heres: Vec::new() };
    lexer.all();
    lexer.tokens
}

struct Lexer<'a> {
    sources: &'a mut Sources,
    file: usize,
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
    /// Here-documents that begin at the next line: the word that ends each, and whether tabs are cut off.
    heres: Vec<(String, bool)>,
}

impl<'a> Lexer<'a> {
    fn rest(&self) -> &'a str {
        self.text.get(self.at..).unwrap_or_default()
    }

    fn place(&self, from: usize) -> Place {
        Place { file: self.file, span: from..self.at }
    }

    fn all(&mut self) {
        loop {
            let rest = self.rest();
            let Some(c) = rest.chars().next() else { break };
            let from = self.at;
            if rest.starts_with("\\\n") || rest.starts_with("\\\r\n") {
                self.at += if rest.starts_with("\\\n") { 2 } else { 3 };
            } else if c == '\n' {
                self.at += 1;
                self.tokens.push(Token::Newline);
                self.here_documents();
            } else if c.is_whitespace() {
                self.at += c.len_utf8();
            } else if c == '#' {
                self.at += rest.find('\n').unwrap_or(rest.len());
            } else if self.redirect() {
            } else if let Some(operator) = OPERATORS.iter().find(|o| rest.starts_with(**o)) {
                self.at += operator.len();
                let place = self.place(from);
                self.tokens.push(Token::Operator(operator, place));
            } else {
                self.word();
            }
        }
    }

    fn redirect(&mut self) -> bool {
        let from = self.at;
        let rest = self.rest();
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let both = rest.starts_with("&>");
        let after = if both { &rest[1..] } else { &rest[digits..] };
        if !after.starts_with(['<', '>']) || digits > 1 {
            return false;
        }
        let standard = digits == 0 && !both || matches!(&rest[..digits], "1" | "0");
        let skipped = if both { 1 } else { digits };
        let here = after.starts_with("<<") && !after.starts_with("<<<");
        if here {
            let cut = after.starts_with("<<-");
            self.at += skipped + if cut { 3 } else { 2 };
            let blanks = self.rest().len() - self.rest().trim_start_matches([' ', '\t']).len();
            self.at += blanks;
            let end: String =
                self.rest().chars().take_while(|c| !c.is_whitespace() && !";|&<>()".contains(*c)).collect();
            self.at += end.len();
            self.heres.push((end.replace(['"', '\'', '\\'], ""), cut));
            return true;
        }
        let (length, append, input) = match after {
            a if a.starts_with("<<<") => (3, false, true),
            a if a.starts_with(">>") => (2, true, false),
            a if a.starts_with(">|") => (2, false, false),
            a if a.starts_with(">&") || a.starts_with("<&") => {
                // Duplicated descriptors (`2>&1`) lead nowhere new.
                self.at += skipped + 2;
                let number = self.rest().bytes().take_while(|b| b.is_ascii_digit() || *b == b'-').count();
                self.at += number;
                return true;
            }
            a => (1, false, a.starts_with('<')),
        };
        self.at += skipped + length;
        let place = self.place(from);
        self.tokens.push(Token::Redirect { append, input, standard, place });
        true
    }

    fn here_documents(&mut self) {
        for (end, cut) in std::mem::take(&mut self.heres) {
            let from = self.at;
            let mut body = String::new();
            let mut closed = false;
            while !self.rest().is_empty() {
                let rest = self.rest();
                let length = rest.find('\n').map_or(rest.len(), |at| at + 1);
                let line = rest[..length].to_owned();
                self.at += length;
                let bare = line.trim_end_matches(['\n', '\r']);
                if (if cut { bare.trim_start_matches('\t') } else { bare }) == end {
                    closed = true;
                    break;
                }
                body.push_str(&line);
            }
            let place = Place { file: self.file, span: from..from + body.len() };
            if !closed {
                self.sources.wrong_at(&place, format!("a here-document without its end `{end}`"), None);
            }
            // It belongs to the command before the line's end.
            let newline = self.tokens.pop();
            self.tokens.push(Token::Here(body, place));
            self.tokens.extend(newline);
        }
    }

    fn word(&mut self) {
        let from = self.at;
        let mut parts: Vec<Part> = Vec::new();
        while let Some(c) = self.rest().chars().next() {
            match c {
                c if c.is_whitespace() => break,
                ';' | '&' | '|' | '<' | '>' | ')' => break,
                '(' => {
                    // A list: `NAME=(a b c)`.
                    let is_list = matches!(parts.last(), Some(Part::Text(text, false)) if text.ends_with('='));
                    if !is_list {
                        break;
                    }
                    let close = self.rest().find(')').unwrap_or(self.rest().len());
                    let inner = self.rest()[1..close.max(1)].to_owned();
                    push(&mut parts, &inner.split_whitespace().collect::<Vec<_>>().join(" "), true);
                    self.at += (close + 1).min(self.rest().len());
                }
                '\\' => {
                    let next = self.rest()[1..].chars().next();
                    self.at += 1 + next.map_or(0, char::len_utf8);
                    if let Some(next) = next.filter(|n| *n != '\n') {
                        push(&mut parts, next.encode_utf8(&mut [0; 4]), true);
                    }
                }
                '\'' => {
                    let Some(length) = self.rest()[1..].find('\'') else {
                        self.unclosed("'");
                        break;
                    };
                    let inner = self.rest()[1..=length].to_owned();
                    push(&mut parts, &inner, true);
                    self.at += length + 2;
                }
                '"' => {
                    if !self.double_quoted(&mut parts) {
                        break;
                    }
                }
                '$' | '`' => {
                    let part = self.variable(false);
                    parts.push(part);
                }
                c => {
                    self.at += c.len_utf8();
                    push(&mut parts, c.encode_utf8(&mut [0; 4]), false);
                }
            }
        }
        if self.at == from {
            // A character that begins nothing; it is taken so that reading goes on.
            self.at += self.rest().chars().next().map_or(1, char::len_utf8);
        }
        let place = self.place(from);
        self.tokens.push(Token::Word(RawWord { parts, place }));
    }

    fn unclosed(&mut self, quote: &str) {
        let place = Place { file: self.file, span: self.at..self.at + 1 };
        self.sources.wrong_at(&place, format!("a {quote} without its end"), None);
        self.at = self.text.len();
    }

    fn double_quoted(&mut self, parts: &mut Vec<Part>) -> bool {
        let begun = self.at;
        self.at += 1;
        push(parts, "", true);
        loop {
            let Some(c) = self.rest().chars().next() else {
                self.at = begun;
                self.unclosed("\"");
                return false;
            };
            match c {
                '"' => {
                    self.at += 1;
                    return true;
                }
                '\\' => {
                    let next = self.rest()[1..].chars().next();
                    self.at += 1 + next.map_or(0, char::len_utf8);
                    match next {
                        Some(next) if "$`\"\\".contains(next) => push(parts, next.encode_utf8(&mut [0; 4]), true),
                        Some('\n') | None => {}
                        Some(next) => {
                            push(parts, "\\", true);
                            push(parts, next.encode_utf8(&mut [0; 4]), true);
                        }
                    }
                }
                '$' | '`' => {
                    let part = self.variable(true);
                    parts.push(part);
                }
                c => {
                    self.at += c.len_utf8();
                    push(parts, c.encode_utf8(&mut [0; 4]), true);
                }
            }
        }
    }

    /// A variable, or something that is computed, at a `$` or a backquote.
    fn variable(&mut self, quoted: bool) -> Part {
        let rest = self.rest();
        if let Some(inner) = rest.strip_prefix('`') {
            let end = inner.find('`').map_or(rest.len(), |at| at + 2);
            let text = rest[..end].to_owned();
            self.at += end;
            return computed(&text, text.trim_matches('`'));
        }
        if rest.starts_with("$(") {
            let end = balanced(rest, '(', ')');
            let text = rest[..end].to_owned();
            self.at += end;
            return computed(&text, text.trim_start_matches("$(").trim_end_matches(')'));
        }
        if rest.starts_with("${") {
            let end = rest.find('}').map_or(rest.len(), |at| at + 1);
            let inner = rest[2..end.max(3).min(rest.len()) - usize::from(end > 2)].to_owned();
            let written = rest[..end].to_owned();
            self.at += end;
            let name: String = inner.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
            return match &inner[name.len()..] {
                "" | "[@]" | "[*]" if !name.is_empty() => Part::Variable(name, None, quoted),
                other if !name.is_empty() && (other.starts_with(":-") || other.starts_with(":=")) => {
                    Part::Variable(name, Some(other[2..].trim_matches('"').to_owned()), quoted)
                }
                _ => Part::Computed(written),
            };
        }
        let after = &rest[1..];
        let name: String = match after.chars().next() {
            Some(c) if c.is_ascii_digit() || "?#@*$!-".contains(c) => c.to_string(),
            _ => after.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect(),
        };
        self.at += 1 + name.len();
        if name.is_empty() { Part::Text("$".to_owned(), quoted) } else { Part::Variable(name, None, quoted) }
    }
}

/// What a command puts in its place, where that is known without running it.
fn computed(written: &str, command: &str) -> Part {
    match command.split_whitespace().collect::<Vec<_>>().as_slice() {
        ["id", "-u"] => Part::Text("0".to_owned(), false),
        ["echo", words @ ..] if words.iter().all(|w| !w.contains(['$', '|', '`'])) => Part::Text(words.join(" "), true),
        ["seq", bounds @ ..] => {
            let bounds: Option<Vec<u16>> = bounds.iter().map(|b| b.parse().ok()).collect();
            match bounds.as_deref() {
                Some([last]) if *last <= 256 => Part::Text(series(1, *last), false),
                Some([first, last]) if last.saturating_sub(*first) <= 256 => Part::Text(series(*first, *last), false),
                _ => Part::Computed(written.to_owned()),
            }
        }
        _ => Part::Computed(written.to_owned()),
    }
}

fn series(first: u16, last: u16) -> String {
    (first..=last).map(|n| n.to_string()).collect::<Vec<_>>().join(" ")
}

/// The length of what begins with `$(` up to where it closes.
fn balanced(text: &str, open: char, close: char) -> usize {
    let mut depth = 0_usize;
    for (at, c) in text.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth = depth.saturating_sub(1);
            if depth == 0 {
                return at + c.len_utf8();
            }
        }
    }
    text.len()
}

fn push(parts: &mut Vec<Part>, text: &str, quoted: bool) {
    match parts.last_mut() {
        Some(Part::Text(last, same)) if *same == quoted => last.push_str(text),
        _ => parts.push(Part::Text(text.to_owned(), quoted)),
    }
}
