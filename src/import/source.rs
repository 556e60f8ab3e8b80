//! The texts that are read, and what is wrong with each.
//!
//! Owns: places, their lines and columns, the bound on how many problems are told of one text.

use std::ops::Range;

use super::Told;
use crate::scenario::Problems;

/// How many problems of one text are told; more tell nothing more.
const MOST: usize = 50;

/// A place in one of the texts, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The number of the text.
    pub file: usize,
    /// Where in it.
    pub span: Range<usize>,
}

impl Place {
    /// From here to the end of another place in the same text.
    #[must_use]
    pub fn to(&self, end: &Self) -> Self {
        let last = if end.file == self.file { end.span.end.max(self.span.end) } else { self.span.end };
        Self { file: self.file, span: self.span.start..last }
    }
}

/// A word of a text, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// Itself, without quotes.
    pub text: String,
    /// Where.
    pub place: Place,
}

/// Text by text: its name, itself, and what is wrong with it.
#[derive(Debug, Default)]
pub struct Sources {
    files: Vec<SourceFile>,
}

#[derive(Debug)]
struct SourceFile {
    name: String,
    text: String,
    lines: Vec<usize>,
    problems: Problems,
}

impl Sources {
    /// Takes a text, and gives its number.
    pub fn add(&mut self, name: &str, text: &str) -> usize {
        let lines = std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect();
        let problems = Problems::new(name, text);
        self.files.push(SourceFile { name: name.to_owned(), text: text.to_owned(), lines, problems });
        self.files.len() - 1
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.files.len()
    }

    /// A text.
    pub fn text(&self, file: usize) -> &str {
        self.files.get(file).map_or("", |f| &f.text)
    }

    /// A text's name.
    pub fn name(&self, file: usize) -> &str {
        self.files.get(file).map_or("", |f| &f.name)
    }

    /// Notes what is wrong there.
    pub fn wrong_at(&mut self, place: &Place, message: impl Into<String>, help: Option<String>) {
        if let Some(file) = self.files.get_mut(place.file)
            && file.problems.list().len() < MOST
        {
            file.problems.push(place.span.clone(), message.into(), help);
        }
    }

    /// The texts with which something is wrong.
    pub fn wrong(&self) -> Vec<Problems> {
        self.files.iter().map(|f| &f.problems).filter(|p| !p.is_empty()).cloned().collect()
    }

    /// `name:line:column` of a place.
    pub fn at(&self, place: &Place) -> String {
        let Some(file) = self.files.get(place.file) else { return String::new() };
        let line = file.lines.partition_point(|start| *start <= place.span.start).max(1);
        let start = file.lines.get(line - 1).copied().unwrap_or(0);
        let column = file.text.get(start..place.span.start).map_or(0, |before| before.chars().count());
        format!("{}:{line}:{}", file.name, column + 1)
    }

    /// Something told of a place.
    pub fn told(&self, place: &Place, what: impl Into<String>) -> Told {
        Told { at: self.at(place), what: what.into() }
    }
}

/// A text's lines, each with the place of its first byte.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split_inclusive('\n').map(move |line| {
        let start = at;
        at += line.len();
        (start, line.trim_end_matches(['\n', '\r']))
    })
}

/// A line's words between blanks.
pub(super) fn words(file: usize, start: usize, line: &str) -> Vec<Word> {
    let mut all = Vec::new();
    let mut from = None;
    for (at, c) in line.char_indices().chain([(line.len(), ' ')]) {
        match (c.is_whitespace(), from) {
            (false, None) => from = Some(at),
            (true, Some(begin)) => {
                let place = Place { file, span: start + begin..start + at };
                all.push(Word { text: line[begin..at].to_owned(), place });
                from = None;
            }
            _ => {}
        }
    }
    all
}

#[cfg(test)]
mod tests {
    use super::{Place, Sources, words};

    #[test]
    fn a_place_is_told_by_line_and_column() {
        let mut sources = Sources::default();
        let file = sources.add("x.conf", "a\nbä c\n");
        assert_eq!(sources.at(&Place { file, span: 6..7 }), "x.conf:2:4");
        assert_eq!(sources.at(&Place { file, span: 0..1 }), "x.conf:1:1");
    }

    #[test]
    fn words_keep_their_places() {
        let found = words(0, 10, "  -A  -t x");
        let places: Vec<_> = found.iter().map(|w| (w.text.as_str(), w.place.span.clone())).collect();
        assert_eq!(places, [("-A", 12..14), ("-t", 16..18), ("x", 19..20)]);
    }
}
