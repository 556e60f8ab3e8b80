//! Lines and words of keepalived.conf: comments, quotes, definitions, conditionals, includes.
//!
//! A word that comes from a definition has the place at which the definition is used. Bounds: 16 files deep, 256 files,
//! 4 million characters after expansion.

use std::collections::BTreeMap;

use super::super::Library;
use super::super::heard::Heard;
use super::super::source::{Place, Sources, Word};

const DEPTH: usize = 16;
const FILES: usize = 256;
const CHARACTERS: usize = 4_000_000;

/// Where the daemon has its configuration.
const CONF: &str = "/etc/keepalived/keepalived.conf";

/// A piece of a configuration.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Word(Word),
    Open(Place),
    Close(Place),
    /// A line ends.
    End,
}

/// All pieces of a text and of those that it includes.
pub(super) fn pieces(
    sources: &mut Sources,
    heard: &mut Heard,
    file: usize,
    id: Option<&str>,
    library: &mut dyn Library,
) -> Vec<Piece> {
    let open = vec![(sources.name(file).to_owned(), CONF.to_owned())];
    heard.files.push((file, CONF.to_owned()));
    let mut lexer = Lexer {
        sources,
        heard,
        id,
        library,
        definitions: BTreeMap::new(),
        pieces: Vec::new(),
        open,
        files: 1,
        left: CHARACTERS,
    };
    lexer.file(file);
    lexer.pieces
}

struct Lexer<'a> {
    sources: &'a mut Sources,
    heard: &'a mut Heard,
    id: Option<&'a str>,
    library: &'a mut dyn Library,
    definitions: BTreeMap<String, String>,
    pieces: Vec<Piece>,
    /// The files that are being read, outermost first: the name of each, and where the daemon has it.
    open: Vec<(String, String)>,
    files: usize,
    /// How many characters may still come out of definitions.
    left: usize,
}

/// A character, and where the text has what it comes from.
type Cell = (char, usize, usize);

impl Lexer<'_> {
    fn file(&mut self, file: usize) {
        let text = self.sources.text(file).to_owned();
        let mut lines = super::super::source::lines(&text);
        while let Some((start, line)) = lines.next() {
            let cells: Vec<Cell> =
                line.char_indices().map(|(at, c)| (c, start + at, start + at + c.len_utf8())).collect();
            let Some(cells) = self.conditional(&cells) else { continue };
            if let Some((name, mut value)) = definition(&cells) {
                while value.ends_with('\\') {
                    value.pop();
                    let Some((_, next)) = lines.next() else { break };
                    value.truncate(value.trim_end().len());
                    value.push('\n');
                    value.push_str(next.trim());
                }
                self.definitions.insert(name, value);
                continue;
            }
            let expanded = self.expand(file, &cells, 0);
            for line in expanded.split(|(c, ..)| *c == '\n') {
                self.line(file, line);
            }
        }
    }

    /// The line without its `@id`, or nothing where it is for another id.
    fn conditional(&mut self, cells: &[Cell]) -> Option<Vec<Cell>> {
        let from = cells.iter().position(|(c, ..)| !c.is_whitespace()).unwrap_or(cells.len());
        if cells.get(from).is_none_or(|(c, ..)| *c != '@') {
            return Some(cells.to_vec());
        }
        let end = cells[from..].iter().position(|(c, ..)| c.is_whitespace()).map_or(cells.len(), |at| from + at);
        let word: String = cells[from + 1..end].iter().map(|(c, ..)| *c).collect();
        let (not, name) = match word.strip_prefix(['^', '!']) {
            Some(name) => (true, name),
            None => (false, word.as_str()),
        };
        // keepalived without an id leaves out `@id` lines and takes `@^id` ones.
        let applies = (self.id == Some(name)) != not;
        if self.id.is_none() {
            let taken = if not { "taken" } else { "left out" };
            self.heard.assume(format!(
                "keepalived runs without a configuration id, so lines of `@{word}` are {taken} (see --id)"
            ));
        }
        applies.then(|| cells[end..].to_vec())
    }

    /// The line with definitions put in.
    fn expand(&mut self, file: usize, cells: &[Cell], depth: usize) -> Vec<Cell> {
        let mut out = Vec::with_capacity(cells.len());
        let mut at = 0;
        while let Some(&cell) = cells.get(at) {
            let used = (cell.0 == '$' && depth < DEPTH).then(|| reference(&cells[at..])).flatten();
            if let Some((value, length)) =
                used.and_then(|(name, length)| Some((self.definitions.get(&name)?.clone(), length)))
            {
                let (from, to) = (cell.1, cells.get(at + length - 1).map_or(cell.2, |c| c.2));
                self.left = self.left.saturating_sub(value.len());
                if self.left == 0 {
                    let place = Place { file, span: from..to };
                    let help = Some("a definition that uses others many times grows fast".to_owned());
                    self.sources.wrong_at(&place, "definitions come to more text than is read", help);
                    return out;
                }
                let inner: Vec<Cell> = value.chars().map(|c| (c, from, to)).collect();
                out.extend(self.expand(file, &inner, depth + 1));
                at += length;
            } else {
                out.push(cell);
                at += 1;
            }
        }
        out
    }

    fn line(&mut self, file: usize, cells: &[Cell]) {
        let begun = self.pieces.len();
        let mut word: Option<(String, usize, usize)> = None;
        let mut quote = None;
        let mut at = 0;
        while let Some(&(c, from, to)) = cells.get(at) {
            at += 1;
            if quote.is_some() {
                if c == '"' {
                    quote = None;
                } else if let Some((text, _, end)) = &mut word {
                    let escaped =
                        (c == '\\').then(|| cells.get(at)).flatten().filter(|(next, ..)| "\"\\".contains(*next));
                    text.push(escaped.map_or(c, |(next, ..)| *next));
                    at += usize::from(escaped.is_some());
                    *end = to;
                }
                continue;
            }
            match c {
                '!' | '#' => break,
                '"' => {
                    quote = Some(Place { file, span: from..to });
                    let (_, _, end) = word.get_or_insert_with(|| (String::new(), from, to));
                    *end = to;
                }
                '{' | '}' => {
                    // `${NAME}` of something that is not defined stays a word.
                    if let Some((text, _, end)) =
                        word.as_mut().filter(|(t, ..)| t.ends_with('$') || (c == '}' && t.contains("${")))
                    {
                        text.push(c);
                        *end = to;
                        continue;
                    }
                    self.take(file, word.take());
                    let place = Place { file, span: from..to };
                    self.pieces.push(if c == '{' { Piece::Open(place) } else { Piece::Close(place) });
                }
                c if c.is_whitespace() => self.take(file, word.take()),
                c => {
                    let (text, _, end) = word.get_or_insert_with(|| (String::new(), from, to));
                    text.push(c);
                    *end = to;
                }
            }
        }
        self.take(file, word);
        if let Some(place) = quote {
            self.sources.wrong_at(&place, "a quote without its end", Some("a quoted text ends on its line".to_owned()));
        }
        let words: Vec<Word> = self.pieces[begun..]
            .iter()
            .filter_map(|p| if let Piece::Word(w) = p { Some(w.clone()) } else { None })
            .collect();
        match words.as_slice() {
            [keyword, rest @ ..] if keyword.text.starts_with("include") && keyword.text.len() <= 8 => {
                self.pieces.truncate(begun);
                self.include(keyword, rest);
            }
            [keyword, ..] if keyword.text.starts_with('~') => {
                self.pieces.truncate(begun);
                self.heard.wonder(&keyword.place, format!("`{}` (sequences and lists are not expanded)", keyword.text));
            }
            _ => {}
        }
        self.pieces.push(Piece::End);
    }

    fn take(&mut self, file: usize, word: Option<(String, usize, usize)>) {
        if let Some((text, from, to)) = word {
            self.pieces.push(Piece::Word(Word { text, place: Place { file, span: from..to } }));
        }
    }

    fn include(&mut self, keyword: &Word, rest: &[Word]) {
        let Some(pattern) = rest.first() else {
            return self.sources.wrong_at(
                &keyword.place,
                "`include` has no value",
                Some("write a file's path behind it".to_owned()),
            );
        };
        let place = keyword.place.to(&pattern.place);
        let (by, at) = self.open.last().cloned().unwrap_or_default();
        let texts = match self.library.included(&by, &pattern.text) {
            Ok(texts) => texts,
            Err(why) => {
                return self.sources.wrong_at(&place, format!("could not include `{}`: {why}", pattern.text), None);
            }
        };
        for (name, text) in texts {
            if self.open.iter().any(|(open, _)| *open == name) {
                let open = self.open.iter().map(|(open, _)| open);
                let chain = open.skip_while(|open| **open != name).chain([&name]).cloned();
                let help = Some(format!("the circle: {}", chain.collect::<Vec<_>>().join(" → ")));
                self.sources.wrong_at(&place, format!("`{}` includes itself", pattern.text), help);
                continue;
            }
            self.files += 1;
            if self.open.len() >= DEPTH || self.files > FILES {
                let message = format!("more than {DEPTH} includes deep, or more than {FILES} files");
                return self.sources.wrong_at(&place, message, None);
            }
            let file = self.sources.add(&name, &text);
            let there = place_of(&at, &pattern.text, &name);
            if !self.heard.files.iter().any(|(_, known)| *known == there) {
                self.heard.files.push((file, there.clone()));
            }
            self.open.push((name, there));
            self.file(file);
            self.open.pop();
        }
    }
}

/// Where the daemon finds a file that one of its own files includes by a pattern: what the pattern leaves open is as in
/// the file's name.
fn place_of(by: &str, pattern: &str, name: &str) -> String {
    let mut named = name.rsplit('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in pattern.rsplit('/') {
        let real = named.next();
        parts.push(if part.contains(['*', '?', '[']) { real.unwrap_or(part) } else { part });
    }
    parts.reverse();
    let folder = if pattern.starts_with('/') { "" } else { by.rsplit_once('/').map_or("", |(folder, _)| folder) };
    let mut whole: Vec<&str> = Vec::new();
    for part in folder.split('/').chain(parts) {
        match part {
            "" | "." => {}
            ".." => drop(whole.pop()),
            part => whole.push(part),
        }
    }
    format!("/{}", whole.join("/"))
}

/// `$NAME=value` at a line's beginning.
fn definition(cells: &[Cell]) -> Option<(String, String)> {
    let line: String = cells.iter().map(|(c, ..)| *c).collect();
    let (name, value) = line.trim().strip_prefix('$')?.split_once('=')?;
    let name = name.trim_end();
    is_name(name).then(|| (name.to_owned(), value.trim().to_owned()))
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// The name behind a `$`, and how many characters the whole takes.
fn reference(cells: &[Cell]) -> Option<(String, usize)> {
    let braced = cells.get(1)?.0 == '{';
    let from = if braced { 2 } else { 1 };
    let name: String =
        cells[from..].iter().map(|(c, ..)| *c).take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
    let end = from + name.len();
    let closed = !braced || cells.get(end).is_some_and(|(c, ..)| *c == '}');
    (is_name(&name) && closed).then_some((name, end + usize::from(braced)))
}

#[cfg(test)]
mod tests {
    use super::{CONF, place_of};

    #[test]
    fn the_daemon_finds_what_is_included_where_its_own_include_looks() {
        assert_eq!(place_of(CONF, "conf.d/*.conf", "lb/conf.d/web.conf"), "/etc/keepalived/conf.d/web.conf");
        assert_eq!(place_of(CONF, "/etc/keepalived/*/vs.conf", "lb/a/vs.conf"), "/etc/keepalived/a/vs.conf");
        assert_eq!(place_of("/etc/keepalived/a/vs.conf", "../rs.conf", "lb/rs.conf"), "/etc/keepalived/rs.conf");
        assert_eq!(place_of(CONF, "./rs.conf", "rs.conf"), "/etc/keepalived/rs.conf");
    }
}
