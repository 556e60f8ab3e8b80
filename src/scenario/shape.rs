//! Whether what was written has the format's shape: keys, types, ranges, words, names, addresses.
//!
//! Owns: one walk over the text's tree beside the schema, which finds every deviation. Refuses: what a value means
//! together with others.

use indexmap::IndexMap;
use serde_json::Value;

use super::problem::Complaint;
use super::repair::{Damage, Repair, placeholder};
use super::schema::{Shape, Tag, shape};
use super::source::{Content, Item, Path};
use super::{format, suggest};

/// What a walk found.
#[derive(Debug, Default)]
pub(crate) struct Deviations {
    pub(crate) complaints: Vec<Complaint>,
    /// What gives the text its shape.
    pub(crate) repairs: Vec<Repair>,
    /// What is not known of it then.
    pub(crate) damage: Damage,
}

/// Walks the whole text.
pub(crate) fn deviations(schema: &Value, root: &Item) -> Deviations {
    let mut walk = Walk { schema, found: Deviations::default() };
    walk.check(schema, root, &Path::default(), Need::Required);
    walk.found
}

/// Whether a value may be left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Need {
    Required,
    Optional,
}

struct Walk<'s> {
    schema: &'s Value,
    found: Deviations,
}

impl<'s> Walk<'s> {
    fn check(&mut self, at: &'s Value, item: &Item, path: &Path, need: Need) {
        match (shape(self.schema, at), &item.content) {
            (Shape::Word(words), Content::Text(text)) => self.word(at, &words, text, path, need),
            (Shape::Tagged(tags), Content::Table(table)) => self.tagged(at, &tags, table, path, need),
            (Shape::Either(ways), _) => self.either(at, &ways, item, path, need),
            (Shape::Text(format), Content::Text(text)) => self.text(at, format, text, path, need),
            (Shape::Integer(low, high), Content::Integer(number)) => {
                if !number.is_some_and(|n| (low..=high).contains(&n)) {
                    let complaint = Complaint::value(path, format!("`{path}` is out of range"));
                    self.replace(at, complaint.label(format!("{low} to {high} fit")), path, need);
                }
            }
            (Shape::List(each), Content::Array(items)) => {
                for (place, item) in items.iter().enumerate() {
                    self.check(each, item, &path.at(place), Need::Required);
                }
            }
            (Shape::Tuple(each), Content::Array(items)) => self.tuple(at, each, items, path, need),
            (Shape::Table { properties, required }, Content::Table(table)) => {
                self.table(properties, &required, table, path);
            }
            (Shape::Names { format, each }, Content::Table(table)) => self.names(format, each, table, path),
            (Shape::Number, Content::Integer(Some(_)) | Content::Float) | (Shape::Boolean, Content::Boolean) => {}
            _ => self.mismatch(at, item, path, need),
        }
    }

    /// Complains, and has something else stand there.
    fn replace(&mut self, at: &'s Value, complaint: Complaint, path: &Path, need: Need) {
        self.found.complaints.push(complaint);
        self.lose(at, path, need);
    }

    fn lose(&mut self, at: &'s Value, path: &Path, need: Need) {
        self.found.damage.lose(path.clone());
        self.found.repairs.push(match need {
            Need::Optional => Repair::Remove(path.clone()),
            Need::Required => Repair::Put(path.clone(), placeholder(self.schema, at)),
        });
    }

    fn mismatch(&mut self, at: &'s Value, item: &Item, path: &Path, need: Need) {
        let wanted = self.describe(at);
        let mut complaint = Complaint::value(path, format!("`{path}` is {}, not {wanted}", kind(&item.content)))
            .label(format!("expected {wanted}"));
        let sysctls = path.parts().iter().position(|part| part == "sysctls");
        if let (Some(place), Content::Table(_)) = (sysctls, &item.content) {
            let dotted = dotted(&path.parts()[place + 1..], item);
            complaint = complaint.help(format!("write the key in quotes, as one: `\"{dotted}\" = 1`"));
        } else if let Shape::List(each) = shape(self.schema, at)
            && self.fits(each, &item.content)
        {
            complaint = complaint.help("put it in `[` and `]`");
        } else if let (Shape::Integer(..) | Shape::Boolean, Content::Text(text)) =
            (shape(self.schema, at), &item.content)
            && (text.parse::<i64>().is_ok() || text.parse::<bool>().is_ok())
        {
            complaint = complaint.help(format!("write `{text}` without quotes"));
        }
        self.replace(at, complaint, path, need);
    }

    fn word(&mut self, at: &'s Value, words: &[(&str, &str)], text: &str, path: &Path, need: Need) {
        if words.iter().any(|(word, _)| *word == text) {
            return;
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let complaint = Complaint::value(path, format!("`{path}` can't be `{text}`"))
            .label(format!("expected {}", any_of(&names)))
            .maybe_help(suggest::nearest(text, names).map(|near| format!("did you mean `\"{near}\"`?")));
        self.replace(at, complaint, path, need);
    }

    fn text(&mut self, at: &'s Value, wanted: Option<&str>, text: &str, path: &Path, need: Need) {
        if let Some(Err(wrong)) = wanted.map(|wanted| format::check(wanted, text)) {
            let complaint = Complaint::value(path, wrong.message).label(wrong.label).maybe_help(wrong.help);
            self.replace(at, complaint, path, need);
        }
    }

    fn tuple(&mut self, at: &'s Value, each: &'s [Value], items: &[Item], path: &Path, need: Need) {
        if each.len() != items.len() {
            let message = format!("`{path}` has {} values, not {}", items.len(), each.len());
            self.replace(at, Complaint::value(path, message), path, need);
            return;
        }
        for (place, (at, item)) in each.iter().zip(items).enumerate() {
            self.check(at, item, &path.at(place), Need::Required);
        }
    }

    fn table(
        &mut self,
        properties: &'s serde_json::Map<String, Value>,
        required: &[&str],
        table: &IndexMap<String, Item>,
        path: &Path,
    ) {
        let mut absent: Vec<&str> = required.iter().copied().filter(|key| !table.contains_key(*key)).collect();
        for (key, item) in table {
            let need = if required.contains(&key.as_str()) { Need::Required } else { Need::Optional };
            if let Some(at) = properties.get(key) {
                self.check(at, item, &path.at(key), need);
            } else if let Some(place) = suggest::nearest(key, absent.iter().copied())
                .and_then(|near| absent.iter().position(|key| *key == near))
            {
                let meant = absent.remove(place);
                self.misspelt(properties, key, meant, item, path);
            } else {
                self.unknown(properties, key, item, table, path);
            }
        }
        for key in absent {
            let place = if path.parts().is_empty() { "the scenario".to_owned() } else { format!("`{path}`") };
            let Some(at) = properties.get(key) else { continue };
            let help = match key {
                "segments" => "add `[segments.lan]` with `subnet = \"172.16.0.0/16\"`".to_owned(),
                "nodes" => "add `[nodes.director]` with `role = \"director\"` and `segment = \"lan\"`".to_owned(),
                _ => format!("write `{key} = {}`", self.example(key, at)),
            };
            self.found.complaints.push(Complaint::key(path, format!("{place} has no `{key}`")).help(help));
            self.lose(at, &path.at(key), Need::Required);
        }
    }

    /// A misspelt key of a value that must be there is one mistake, not two; what it holds is read all the same.
    fn misspelt(
        &mut self,
        properties: &'s serde_json::Map<String, Value>,
        key: &str,
        meant: &str,
        item: &Item,
        path: &Path,
    ) {
        let Some(at) = properties.get(meant) else { return };
        let below = path.at(meant);
        let reads = self.fits(at, &item.content);
        let place = if reads { below.clone() } else { path.at(key) };
        let complaint = no_such_key(&place, key, path);
        self.found.complaints.push(complaint.help(format!("did you mean `{meant}`?")));
        if reads {
            self.found.repairs.push(Repair::Rename { to: below.clone(), from: key.to_owned() });
            self.check(at, item, &below, Need::Required);
        } else {
            self.found.repairs.push(Repair::Remove(path.at(key)));
            self.lose(at, &below, Need::Required);
        }
    }

    fn unknown(
        &mut self,
        properties: &'s serde_json::Map<String, Value>,
        key: &str,
        item: &Item,
        table: &IndexMap<String, Item>,
        path: &Path,
    ) {
        let takes_more = |known: &str, at: &'s Value| match (shape(self.schema, at), &item.content) {
            (Shape::Names { .. }, Content::Table(_)) | (Shape::List(_), Content::Array(_)) => table.contains_key(known),
            _ => false,
        };
        let open = properties
            .iter()
            .filter(|(known, at)| !table.contains_key(*known) || takes_more(known, at))
            .map(|(known, _)| known.as_str());
        let complaint = no_such_key(&path.at(key), key, path).maybe_help(suggest::or_list(key, open.clone()));
        self.found.complaints.push(complaint);
        self.found.damage.lose(path.at(key));
        self.found.repairs.push(Repair::Remove(path.at(key)));
        match suggest::nearest(key, open.clone()) {
            Some(meant) if table.contains_key(meant) => match &item.content {
                Content::Table(held) => {
                    held.keys().for_each(|name| self.found.damage.doubt_names(path.at(meant).at(name)));
                }
                _ => self.found.damage.doubt_names(path.at(meant)),
            },
            Some(meant) => self.found.damage.lose(path.at(meant)),
            // It could have been any of those that are not there.
            None => open.for_each(|key| self.found.damage.lose(path.at(key))),
        }
    }

    fn names(&mut self, wanted: Option<&str>, each: &'s Value, table: &IndexMap<String, Item>, path: &Path) {
        let mut taken: Vec<String> = table.keys().cloned().collect();
        for (name, item) in table {
            let Some((wanted, wrong)) = wanted.and_then(|w| Some((w, format::check(w, name).err()?))) else {
                self.check(each, item, &path.at(name), Need::Required);
                continue;
            };
            // Read under a name that fits, so that what it holds is checked.
            let legal = format::legal(wanted, name).filter(|legal| !taken.contains(legal));
            let below = path.at(legal.as_ref().unwrap_or(name));
            let complaint = Complaint::key(&below, wrong.message).label(wrong.label).maybe_help(wrong.help);
            self.found.complaints.push(complaint);
            self.found.damage.doubt_names(path.at(name));
            if let Some(legal) = legal {
                taken.push(legal);
                self.found.repairs.push(Repair::Rename { to: below.clone(), from: name.clone() });
            } else {
                self.lose(each, &below, Need::Optional);
            }
            self.check(each, item, &below, Need::Required);
        }
    }

    fn tagged(&mut self, at: &'s Value, tags: &[Tag<'s>], table: &IndexMap<String, Item>, path: &Path, need: Need) {
        let names: Vec<&str> = tags.iter().map(|tag| tag.name).collect();
        if table.len() != 1 {
            let message = match table.len() {
                0 => format!("`{path}` says nothing"),
                n => format!("`{path}` says {n} things, where one step does one"),
            };
            let complaint = Complaint::value(path, message).help(format!("write one of {}", suggest::listed(&names)));
            self.replace(at, complaint, path, need);
        }
        for (key, item) in table {
            let below = path.at(key);
            if let Some(tag) = tags.iter().find(|tag| tag.name == key) {
                self.check(tag.holds, item, &below, Need::Required);
            } else {
                let complaint = Complaint::key(&below, format!("unknown word `{key}`"))
                    .label(format!("`{path}` knows no such thing"))
                    .maybe_help(suggest::or_list(key, names.iter().copied()));
                self.replace(at, complaint, path, need);
            }
        }
    }

    fn either(&mut self, at: &'s Value, ways: &[&'s Value], item: &Item, path: &Path, need: Need) {
        let fitting: Vec<&'s Value> = ways.iter().copied().filter(|way| self.fits(way, &item.content)).collect();
        match fitting.as_slice() {
            [] => self.mismatch(at, item, path, need),
            [only] => self.check(only, item, path, need),
            several => {
                let tried = several.iter().map(|way| {
                    let mut walk = Walk { schema: self.schema, found: Deviations::default() };
                    walk.check(way, item, path, need);
                    walk.found
                });
                if let Some(best) = tried.min_by_key(|found| found.complaints.len()) {
                    self.found.complaints.extend(best.complaints);
                    self.found.repairs.extend(best.repairs);
                    self.found.damage.join(best.damage);
                }
            }
        }
    }

    /// Whether a value of that TOML type could be meant this way.
    fn fits(&self, way: &'s Value, content: &Content) -> bool {
        match shape(self.schema, way) {
            Shape::Either(ways) => ways.iter().any(|way| self.fits(way, content)),
            Shape::Word(_) | Shape::Text(_) => matches!(content, Content::Text(_)),
            Shape::Integer(..) => matches!(content, Content::Integer(_)),
            Shape::Number => matches!(content, Content::Integer(_) | Content::Float),
            Shape::Boolean => matches!(content, Content::Boolean),
            Shape::List(_) | Shape::Tuple(_) => matches!(content, Content::Array(_)),
            Shape::Table { .. } | Shape::Names { .. } | Shape::Tagged(_) => matches!(content, Content::Table(_)),
            Shape::Unknown => false,
        }
    }

    fn describe(&self, at: &'s Value) -> String {
        describe(self.schema, at)
    }

    fn example(&self, key: &str, at: &'s Value) -> String {
        match (key, shape(self.schema, at)) {
            ("format", _) => "1".into(),
            ("vip", _) => "\"172.16.0.66\"".into(),
            ("subnet", _) => "\"172.16.0.0/16\"".into(),
            (_, Shape::Word(words)) => {
                let words: Vec<String> = words.iter().map(|(word, _)| format!("\"{word}\"")).collect();
                words.join("` or `")
            }
            (_, Shape::Integer(..)) => "1".into(),
            (_, Shape::Boolean) => "true".into(),
            (_, Shape::Table { .. } | Shape::Names { .. } | Shape::Tagged(_)) => "{ … }".into(),
            (_, Shape::List(_) | Shape::Tuple(_)) => "[ … ]".into(),
            _ => "\"…\"".into(),
        }
    }
}

/// The type in words, with its article.
pub(crate) fn describe(root: &Value, at: &Value) -> String {
    match shape(root, at) {
        Shape::Word(words) => any_of(&words.iter().map(|(word, _)| *word).collect::<Vec<_>>()),
        Shape::Tagged(_) => "a table with one key".into(),
        Shape::Either(ways) => {
            let words: Vec<String> = ways.iter().map(|way| describe(root, way)).collect();
            match ways.as_slice() {
                [_, many] if matches!(shape(root, many), Shape::List(_)) => format!("{} or an array of such", words[0]),
                _ => words.join(" or "),
            }
        }
        Shape::Text(wanted) => format::words(wanted).into(),
        Shape::Integer(..) => "an integer".into(),
        Shape::Number => "a number".into(),
        Shape::Boolean => "`true` or `false`".into(),
        Shape::List(_) => "an array".into(),
        Shape::Tuple(items) => format!("an array of {} values", items.len()),
        Shape::Table { .. } | Shape::Names { .. } => "a table".into(),
        Shape::Unknown => "something else".into(),
    }
}

fn no_such_key(place: &Path, key: &str, table: &Path) -> Complaint {
    let holder = if table.parts().is_empty() { "a scenario".to_owned() } else { format!("`{table}`") };
    Complaint::key(place, format!("unknown key `{key}`")).label(format!("{holder} has no such key"))
}

/// The key that was meant where dots made tables of it.
fn dotted(above: &[String], item: &Item) -> String {
    let mut key = above.join(".");
    let mut item = item;
    while let Content::Table(table) = &item.content {
        let Some((part, below)) = table.first() else { break };
        key = format!("{key}.{part}");
        item = below;
    }
    key
}

fn any_of(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|w| format!("`\"{w}\"`")).collect();
    match quoted.split_last() {
        Some((last, before)) if !before.is_empty() => format!("{} or {last}", before.join(", ")),
        _ => quoted.concat(),
    }
}

fn kind(content: &Content) -> &'static str {
    match content {
        Content::Table(_) => "a table",
        Content::Array(_) => "an array",
        Content::Text(_) => "a string",
        Content::Integer(_) => "an integer",
        Content::Float => "a number with a point",
        Content::Boolean => "a boolean",
        Content::Date => "a date",
    }
}
