//! Blocks of keepalived.conf: a keyword, its values, and what stands in braces behind them.

use super::super::source::{Place, Sources, Word};
use super::lexer::Piece;

/// How deep blocks may stand in one another.
const DEPTH: usize = 32;

/// A line, and its block.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// The keyword and what stands behind it; never empty.
    pub(super) words: Vec<Word>,
    /// What stands in its braces.
    pub(super) block: Option<Vec<Entry>>,
    place: Place,
}

impl Entry {
    /// The keyword.
    pub(super) fn key(&self) -> &str {
        self.words.first().map_or("", |w| w.text.as_str())
    }

    /// Where the keyword stands.
    pub(super) fn place(&self) -> &Place {
        &self.place
    }

    /// What stands in its braces.
    pub(super) fn inner(&self) -> &[Entry] {
        self.block.as_deref().unwrap_or_default()
    }
}

/// An open block: its brace, and the entries of the level that it belongs to.
struct Level {
    entries: Vec<Entry>,
    brace: Place,
}

/// All entries of the outermost level.
pub(super) fn entries(sources: &mut Sources, pieces: Vec<Piece>) -> Vec<Entry> {
    let mut levels: Vec<Level> = Vec::new();
    let mut here: Vec<Entry> = Vec::new();
    let mut words: Vec<Word> = Vec::new();
    let mut too_deep = 0_usize;
    for piece in pieces {
        match piece {
            Piece::Word(word) => words.push(word),
            Piece::End => close_line(&mut here, &mut words),
            Piece::Open(_) if too_deep > 0 => too_deep += 1,
            Piece::Open(brace) => {
                close_line(&mut here, &mut words);
                if here.last().is_none_or(|entry| entry.block.is_some()) {
                    sources.wrong_at(&brace, "a block without a keyword before it", None);
                    here.push(Entry {
                        words: vec![Word { text: String::new(), place: brace.clone() }],
                        block: None,
                        place: brace.clone(),
                    });
                }
                if levels.len() >= DEPTH {
                    sources.wrong_at(&brace, format!("blocks stand more than {DEPTH} deep in one another"), None);
                    too_deep = 1;
                    continue;
                }
                levels.push(Level { entries: std::mem::take(&mut here), brace });
            }
            Piece::Close(_) if too_deep > 0 => too_deep -= 1,
            Piece::Close(brace) => {
                close_line(&mut here, &mut words);
                match levels.pop() {
                    Some(level) => {
                        let inner = std::mem::replace(&mut here, level.entries);
                        if let Some(entry) = here.last_mut() {
                            entry.block = Some(inner);
                        }
                    }
                    None => sources.wrong_at(
                        &brace,
                        "this `}` closes nothing",
                        Some("take it away, or write the `{`".to_owned()),
                    ),
                }
            }
        }
    }
    close_line(&mut here, &mut words);
    while let Some(level) = levels.pop() {
        sources.wrong_at(&level.brace, "this `{` is never closed", Some("write its `}`".to_owned()));
        let inner = std::mem::replace(&mut here, level.entries);
        if let Some(entry) = here.last_mut() {
            entry.block = Some(inner);
        }
    }
    here.retain(|entry| !entry.key().is_empty());
    here
}

fn close_line(here: &mut Vec<Entry>, words: &mut Vec<Word>) {
    if let Some(first) = words.first() {
        let place = first.place.clone();
        here.push(Entry { words: std::mem::take(words), block: None, place });
    }
}
