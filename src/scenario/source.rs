//! A scenario's text and where in it everything stands.
//!
//! Owns: paths, spans, the tree of what was written. Errs towards the nearest enclosing table where a path is not in
//! the text, so that a problem always has a place.

use std::fmt;
use std::ops::Range;

use indexmap::IndexMap;
use toml::de::{DeTable, DeValue};

/// Where in the text, in bytes.
pub type Span = Range<usize>;

/// A way from the root to a key: `nodes`, `rs1`, `address`; places in arrays are written as numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path(Vec<String>);

impl Path {
    /// The way of these parts.
    pub fn of(parts: &[&str]) -> Self {
        Self(parts.iter().map(|&p| p.to_owned()).collect())
    }

    /// This way and one part more.
    #[must_use]
    pub fn at(&self, part: impl fmt::Display) -> Self {
        let mut longer = self.clone();
        longer.0.push(part.to_string());
        longer
    }

    /// Its parts.
    pub fn parts(&self) -> &[String] {
        &self.0
    }

    /// Whether this is `other` or below it.
    pub fn is_within(&self, other: &Self) -> bool {
        self.0.starts_with(&other.0)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (depth, part) in self.0.iter().enumerate() {
            if !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()) {
                write!(f, "[{part}]")?;
            } else {
                let bare = !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
                f.write_str(if depth == 0 { "" } else { "." })?;
                if bare { f.write_str(part)? } else { write!(f, "{part:?}")? }
            }
        }
        Ok(())
    }
}

/// A scenario's text, with the place of each key and value.
#[derive(Debug, Clone)]
pub struct Source {
    text: String,
    root: Item,
}

impl Source {
    pub(crate) fn new(text: &str, table: &DeTable<'_>) -> Self {
        let root = Item { key: None, value: 0..0, content: table_content(table) };
        Self { text: text.to_owned(), root }
    }

    /// The text itself.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Where the key at the end of that way stands, or the nearest one above it that is written.
    pub fn key(&self, path: &Path) -> Span {
        self.nearest(path).place_of_key()
    }

    /// Where the value at the end of that way stands, or the key of the nearest table above it.
    pub fn value(&self, path: &Path) -> Span {
        match self.find(path) {
            Some(item) if !matches!(item.content, Content::Table(_)) => item.value.clone(),
            _ => self.key(path),
        }
    }

    /// What is written there, character for character.
    pub fn written(&self, path: &Path) -> Option<&str> {
        self.text.get(self.find(path)?.value.clone())
    }

    /// Finds under the path what is written beside it under the key `from`.
    pub(crate) fn rename(&mut self, to: &Path, from: &str) {
        let Some((key, above)) = to.0.split_last() else { return };
        let holder = above.iter().try_fold(&mut self.root, |item, part| item.child_mut(part));
        if let Some(Content::Table(table)) = holder.map(|item| &mut item.content)
            && let Some((place, _, item)) = table.shift_remove_full(from)
        {
            table.shift_insert(place, key.clone(), item);
        }
    }

    pub(crate) fn root(&self) -> &Item {
        &self.root
    }

    fn find(&self, path: &Path) -> Option<&Item> {
        path.parts().iter().try_fold(&self.root, |item, part| item.child(part))
    }

    fn nearest(&self, path: &Path) -> &Item {
        let mut item = &self.root;
        for part in path.parts() {
            match item.child(part) {
                Some(child) => item = child,
                None => break,
            }
        }
        item
    }
}

/// Something written in the text.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    pub(crate) key: Option<Span>,
    pub(crate) value: Span,
    pub(crate) content: Content,
}

/// What it is.
#[derive(Debug, Clone)]
pub(crate) enum Content {
    Table(IndexMap<String, Item>),
    Array(Vec<Item>),
    Text(String),
    /// `None` where it is larger than any type of the format.
    Integer(Option<i128>),
    Float,
    Boolean,
    Date,
}

impl Item {
    fn child(&self, part: &str) -> Option<&Self> {
        match &self.content {
            Content::Table(table) => table.get(part),
            Content::Array(items) => items.get(part.parse::<usize>().ok()?),
            _ => None,
        }
    }

    fn child_mut(&mut self, part: &str) -> Option<&mut Self> {
        match &mut self.content {
            Content::Table(table) => table.get_mut(part),
            Content::Array(items) => items.get_mut(part.parse::<usize>().ok()?),
            _ => None,
        }
    }

    fn place_of_key(&self) -> Span {
        self.key.clone().unwrap_or_else(|| self.value.clone())
    }
}

fn table_content(table: &DeTable<'_>) -> Content {
    let entries = table.iter().map(|(key, value)| {
        let item = Item { key: Some(key.span()), ..item(value) };
        (key.get_ref().to_string(), item)
    });
    Content::Table(entries.collect())
}

fn item(value: &toml::Spanned<DeValue<'_>>) -> Item {
    let content = match value.get_ref() {
        DeValue::Table(table) => table_content(table),
        DeValue::Array(items) => Content::Array(items.iter().map(item).collect()),
        DeValue::String(text) => Content::Text(text.to_string()),
        DeValue::Integer(number) => Content::Integer(i128::from_str_radix(number.as_str(), number.radix()).ok()),
        DeValue::Float(_) => Content::Float,
        DeValue::Boolean(_) => Content::Boolean,
        DeValue::Datetime(_) => Content::Date,
    };
    Item { key: None, value: value.span(), content }
}

#[cfg(test)]
mod tests {
    use super::{Path, Source};
    use toml::de::DeTable;

    const TEXT: &str = "[nodes.rs1]\ninterfaces.eth0 = { address = \"172.16.0.1\" }\n[[services]]\nport = 80\n";

    fn source() -> Source {
        Source::new(TEXT, DeTable::parse(TEXT).unwrap().get_ref())
    }

    #[test]
    fn a_path_leads_to_its_key_and_to_its_value() {
        let path = Path::of(&["nodes", "rs1", "interfaces", "eth0", "address"]);
        assert_eq!(&TEXT[source().key(&path)], "address");
        assert_eq!(&TEXT[source().value(&path)], "\"172.16.0.1\"");
        assert_eq!(&TEXT[source().value(&Path::of(&["services", "0", "port"]))], "80");
    }

    #[test]
    fn what_is_not_written_is_shown_at_what_holds_it() {
        assert_eq!(&TEXT[source().value(&Path::of(&["nodes", "rs1", "role"]))], "rs1");
    }

    #[test]
    fn what_has_another_key_is_found_under_the_path_that_it_belongs_to() {
        let mut source = source();
        source.rename(&Path::of(&["services", "0", "prot"]), "port");
        source.rename(&Path::of(&["nodes", "rs2"]), "rs1");
        assert_eq!(&TEXT[source.key(&Path::of(&["services", "0", "prot"]))], "port");
        assert_eq!(
            &TEXT[source.value(&Path::of(&["nodes", "rs2", "interfaces", "eth0", "address"]))],
            "\"172.16.0.1\""
        );
    }

    #[test]
    fn a_path_reads_as_toml_would_write_it() {
        assert_eq!(Path::of(&["services", "0", "port"]).to_string(), "services[0].port");
        assert_eq!(Path::of(&["sysctls", "net.ipv4.x"]).to_string(), "sysctls.\"net.ipv4.x\"");
    }
}
