//! A text page that grows line by line.
//!
//! Owns: headings, hanging indents, folding. Everything that reaches the page is cleaned here, so no renderer can let
//! a control character through. Refuses: knowing what it shows.

use super::style::{Ink, Style, columns_of};

/// Columns that a hanging indent may take.
const DEEPEST: usize = 15;

/// A piece of a line and what it means.
pub(crate) type Span = (Ink, String);

/// A page of text.
#[derive(Debug)]
pub(crate) struct Page<'a> {
    style: &'a Style,
    text: String,
}

impl<'a> Page<'a> {
    /// An empty one.
    pub(crate) fn new(style: &'a Style) -> Self {
        Self { style, text: String::new() }
    }

    /// How it is shown.
    pub(crate) fn style(&self) -> &'a Style {
        self.style
    }

    /// All of it.
    pub(crate) fn finish(self) -> String {
        self.text
    }

    /// One line out of pieces.
    pub(crate) fn line(&mut self, spans: &[Span]) {
        let mut line = String::new();
        for (ink, text) in spans {
            line.push_str(&self.style.paint(*ink, text));
        }
        self.text.push_str(line.trim_end());
        self.text.push('\n');
    }

    /// An empty line.
    pub(crate) fn blank(&mut self) {
        self.text.push('\n');
    }

    /// An empty line and a heading with a rule to the page's edge.
    pub(crate) fn heading(&mut self, title: &str, note: &str) {
        self.blank();
        let note = if note.is_empty() { String::new() } else { format!("{} ", self.style.clean(note)) };
        let title = format!("{} ", self.style.clean(title));
        let used = columns_of(&title) + columns_of(&note);
        let rule = "─".repeat(self.style.columns().saturating_sub(used));
        self.line(&[(Ink::Strong, title), (Ink::Plain, note), (Ink::Faint, rule)]);
    }

    /// A text after a prefix, wrapped at the page's edge, its other lines below its first word, but no deeper than
    /// [`DEEPEST`].
    pub(crate) fn wrapped(&mut self, prefix: &[Span], ink: Ink, text: &str) {
        let prefix: Vec<Span> = prefix.iter().map(|(ink, text)| (*ink, self.style.clean(text))).collect();
        let indent = prefix.iter().map(|(_, text)| columns_of(text)).sum::<usize>();
        let room = self.style.columns().saturating_sub(indent).max(20);
        for (nth, part) in wrap(&self.style.clean(text), room).into_iter().enumerate() {
            let mut spans = if nth == 0 { prefix.clone() } else { vec![(Ink::Plain, " ".repeat(indent.min(DEEPEST)))] };
            spans.push((ink, part));
            self.line(&spans);
        }
    }

    /// A label in a column of its own, and a text wrapped beside it.
    pub(crate) fn item(&mut self, indent: usize, label: &str, ink: Ink, text: &str) {
        self.wrapped(&[(Ink::Faint, format!("{:indent$}{label:<12} ", ""))], ink, text);
    }

    /// A label and a command, which is never wrapped, so that it can be copied.
    pub(crate) fn command(&mut self, indent: usize, label: &str, command: &str, note: &str) {
        let spans = [
            (Ink::Faint, format!("{:indent$}{label:<12} ", "")),
            (Ink::Mark, command.to_owned()),
            (Ink::Faint, if note.is_empty() { String::new() } else { format!("   # {note}") }),
        ];
        let fits = spans.iter().map(|(_, text)| columns_of(text)).sum::<usize>() <= self.style.columns();
        self.line(if fits { &spans } else { &spans[..2] });
    }
}

/// The words in lines of at most `room` columns; a word that is longer has a line of its own.
pub(crate) fn wrap(text: &str, room: usize) -> Vec<String> {
    wrap_words(&text.split_whitespace().collect::<Vec<_>>(), room)
}

/// The same with words that may hold spaces.
pub(crate) fn wrap_words(words: &[impl AsRef<str>], room: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let mut used = 0;
    for word in words.iter().map(AsRef::as_ref) {
        let long = columns_of(word);
        if used > 0 && used + 1 + long > room {
            lines.push(std::mem::take(&mut line));
            used = 0;
        }
        if used > 0 {
            line.push(' ');
            used += 1;
        }
        line.push_str(word);
        used += long;
    }
    lines.push(line);
    lines
}

/// The first `keep` items, and how many are left out; one item too many is shown rather than counted.
pub(crate) fn fold<T>(items: &[T], keep: usize) -> (&[T], usize) {
    if items.len() <= keep + 1 { (items, 0) } else { (&items[..keep], items.len() - keep) }
}

#[cfg(test)]
mod tests {
    use super::{Page, fold, wrap};
    use crate::report::style::{Ink, Style};

    #[test]
    fn words_are_wrapped_and_a_long_one_stays_whole() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("a 0123456789 b", 5), ["a", "0123456789", "b"]);
        assert_eq!(wrap("", 5), [""]);
    }

    #[test]
    fn nothing_reaches_the_page_raw() {
        let style = Style::default();
        let mut page = Page::new(&style);
        page.line(&[(Ink::Plain, "a\u{1b}[2J\rb".to_owned())]);
        page.wrapped(&[(Ink::Plain, "\u{7}".to_owned())], Ink::Plain, "c\u{8}d");
        assert_eq!(page.finish(), "a\\u{1b}[2J\\rb\n\\u{7}c\\u{8}d\n");
    }

    #[test]
    fn a_hundred_are_folded_and_one_too_many_is_not() {
        let hundred = [0; 100];
        assert_eq!(fold(&hundred, 6).1, 94);
        assert_eq!(fold(&hundred[..7], 6), (&hundred[..7], 0));
    }
}
