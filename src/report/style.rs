//! How text is shown: colour, width, character set.
//!
//! Owns: the reader's terminal in three words, and making any text safe for it. Refuses: finding out what the
//! terminal is. Errs towards showing: a control character is written out, never dropped and never passed on.

use anstyle::{AnsiColor, Effects, Style as Ansi};

/// The reader's terminal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Style {
    /// Whether colours are wanted; no information is in them alone.
    pub color: bool,
    /// Columns; less than 60 is taken as 60, more than 120 as 120.
    pub width: usize,
    /// Whether box-drawing and other characters beyond ASCII are shown.
    pub unicode: bool,
    /// The folder that holds this run's `capture.pcapng`, as the reader can type it; `None` where nothing was kept.
    pub out: Option<String>,
    /// The scenario as the reader can type it; its name in the report where nothing else is given.
    pub scenario: Option<String>,
}

impl Default for Style {
    /// 100 columns without colour, as in `report.txt`.
    fn default() -> Self {
        Self { color: false, width: 100, unicode: true, out: None, scenario: None }
    }
}

/// What a piece of text means; a colour where there are colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ink {
    /// Ordinary text.
    Plain,
    /// Names and headings.
    Strong,
    /// Lines, labels, what may be skipped.
    Faint,
    /// Good.
    Held,
    /// Bad.
    Broken,
    /// Not known.
    Undecided,
    /// The VIP.
    Vip,
    /// What changed; what can be typed.
    Mark,
}

impl Ink {
    fn ansi(self) -> Ansi {
        let color = |c: AnsiColor| Ansi::new().fg_color(Some(c.into()));
        match self {
            Self::Plain => Ansi::new(),
            Self::Strong => Ansi::new().effects(Effects::BOLD),
            Self::Faint => Ansi::new().effects(Effects::DIMMED),
            Self::Held => color(AnsiColor::Green).effects(Effects::BOLD),
            Self::Broken => color(AnsiColor::Red).effects(Effects::BOLD),
            Self::Undecided => color(AnsiColor::Yellow).effects(Effects::BOLD),
            Self::Vip => color(AnsiColor::Magenta),
            Self::Mark => color(AnsiColor::Cyan),
        }
    }
}

impl Style {
    /// The columns that are used.
    pub(crate) fn columns(&self) -> usize {
        self.width.clamp(60, 120)
    }

    /// The text as it may be shown; doing it twice changes nothing.
    pub(crate) fn clean(&self, text: &str) -> String {
        let text = escape(text);
        if self.unicode { text } else { ascii(&text) }
    }

    /// The text cleaned and in its colour.
    pub(crate) fn paint(&self, ink: Ink, text: &str) -> String {
        let text = self.clean(text);
        if !self.color || ink == Ink::Plain || text.trim().is_empty() {
            return text;
        }
        let ansi = ink.ansi();
        format!("{}{text}{}", ansi.render(), ansi.render_reset())
    }
}

/// The text with every control character, line separator and change of writing direction written out (`\n`, `\u{1b}`).
pub(crate) fn escape(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        let turns =
            matches!(c, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || turns || c == '\u{feff}' {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}

/// Columns that a cleaned text takes: one for each character, which is wrong for East Asian and combining ones.
pub(crate) fn columns_of(text: &str) -> usize {
    text.chars().count()
}

fn ascii(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\0'..='\x7f' => shown.push(c),
            '─' | '–' | '—' | '−' | '·' | '•' => shown.push('-'),
            '━' | '═' => shown.push('='),
            '│' | '┃' => shown.push('|'),
            '►' | '→' => shown.push('>'),
            '◄' | '←' => shown.push('<'),
            '█' => shown.push('#'),
            '✗' | '×' => shown.push('x'),
            'µ' => shown.push('u'),
            '…' => shown.push_str("..."),
            '✓' | '\u{2500}'..='\u{257f}' => shown.push('+'),
            _ => shown.push('?'),
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use super::{Ink, Style, escape};

    #[test]
    fn a_control_character_is_written_out() {
        assert_eq!(escape("a\u{1b}[31m\nb\u{9b}\u{202e}"), "a\\u{1b}[31m\\nb\\u{9b}\\u{202e}");
    }

    #[test]
    fn cleaning_twice_changes_nothing() {
        let style = Style { unicode: false, ..Style::default() };
        let once = style.clean("┌─ µs → é\t…");
        assert_eq!(once, "+- us > ?\\t...");
        assert_eq!(style.clean(&once), once);
    }

    #[test]
    fn without_colour_no_escape_sequence_is_written() {
        assert_eq!(Style::default().paint(Ink::Broken, "broken"), "broken");
        let colored = Style { color: true, ..Style::default() };
        assert!(colored.paint(Ink::Broken, "broken").contains("\u{1b}["));
    }
}
