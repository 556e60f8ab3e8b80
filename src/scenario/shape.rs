//! Whether what was written has the format's shape: keys, types, ranges, words, names, addresses.
//!
//! Owns: one walk over the text's tree beside the schema, which finds every deviation. Refuses: what a value means
//! together with others.

use indexmap::IndexMap;
use serde_json::Value;

use super::problem::Complaint;
use super::schema::{Shape, Tag, shape};
use super::source::{Content, Item, Path};
use super::{format, suggest};

/// What a walk found.
#[derive(Debug, Default)]
pub(crate) struct Deviations {
    pub(crate) complaints: Vec<Complaint>,
    /// What to take out so that the rest has the right shape; `None` where nothing less than all would do.
    pub(crate) prune: Option<Vec<Path>>,
}

/// Walks the whole text.
pub(crate) fn deviations(schema: &Value, root: &Item) -> Deviations {
    let mut walk = Walk { schema, complaints: Vec::new(), prune: Some(Vec::new()) };
    walk.check(schema, root, &Path::default(), None);
    Deviations { complaints: walk.complaints, prune: walk.prune }
}

struct Walk<'s> {
    schema: &'s Value,
    complaints: Vec<Complaint>,
    prune: Option<Vec<Path>>,
}

impl<'s> Walk<'s> {
    /// `spare` is the innermost thing around that may be left out.
    fn check(&mut self, at: &'s Value, item: &Item, path: &Path, spare: Option<&Path>) {
        match (shape(self.schema, at), &item.content) {
            (Shape::Word(words), Content::Text(text)) => self.word(&words, text, path, spare),
            (Shape::Tagged(tags), Content::Table(table)) => self.tagged(&tags, table, path, spare),
            (Shape::Either(ways), _) => self.either(at, &ways, item, path, spare),
            (Shape::Text(format), Content::Text(text)) => self.text(format, text, path, spare),
            (Shape::Integer(low, high), Content::Integer(number)) => {
                if !number.is_some_and(|n| (low..=high).contains(&n)) {
                    let complaint = Complaint::value(path, format!("`{path}` is out of range"));
                    self.complain(complaint.label(format!("{low} to {high} fit")), spare);
                }
            }
            (Shape::List(each), Content::Array(items)) => {
                for (place, item) in items.iter().enumerate() {
                    self.check(each, item, &path.at(place), spare);
                }
            }
            (Shape::Tuple(each), Content::Array(items)) => self.tuple(each, items, path, spare),
            (Shape::Table { properties, required }, Content::Table(table)) => {
                self.table(properties, &required, table, path, spare);
            }
            (Shape::Names { format, each }, Content::Table(table)) => self.names(format, each, table, path, spare),
            (Shape::Number, Content::Integer(Some(_)) | Content::Float) | (Shape::Boolean, Content::Boolean) => {}
            _ => self.mismatch(at, item, path, spare),
        }
    }

    fn complain(&mut self, complaint: Complaint, spare: Option<&Path>) {
        self.complaints.push(complaint);
        match (spare, &mut self.prune) {
            (Some(spare), Some(prune)) => prune.push(spare.clone()),
            _ => self.prune = None,
        }
    }

    fn mismatch(&mut self, at: &'s Value, item: &Item, path: &Path, spare: Option<&Path>) {
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
        self.complain(complaint, spare);
    }

    fn word(&mut self, words: &[(&str, &str)], text: &str, path: &Path, spare: Option<&Path>) {
        if words.iter().any(|(word, _)| *word == text) {
            return;
        }
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let complaint = Complaint::value(path, format!("`{path}` can't be `{text}`"))
            .label(format!("expected {}", any_of(&names)))
            .maybe_help(suggest::nearest(text, names).map(|near| format!("did you mean `\"{near}\"`?")));
        self.complain(complaint, spare);
    }

    fn text(&mut self, wanted: Option<&str>, text: &str, path: &Path, spare: Option<&Path>) {
        if let Some(Err(wrong)) = wanted.map(|wanted| format::check(wanted, text)) {
            let complaint = Complaint::value(path, wrong.message).label(wrong.label).maybe_help(wrong.help);
            self.complain(complaint, spare);
        }
    }

    fn tuple(&mut self, each: &'s [Value], items: &[Item], path: &Path, spare: Option<&Path>) {
        if each.len() != items.len() {
            let message = format!("`{path}` has {} values, not {}", items.len(), each.len());
            self.complain(Complaint::value(path, message), spare);
            return;
        }
        for (place, (at, item)) in each.iter().zip(items).enumerate() {
            self.check(at, item, &path.at(place), spare);
        }
    }

    fn table(
        &mut self,
        properties: &'s serde_json::Map<String, Value>,
        required: &[&str],
        table: &IndexMap<String, Item>,
        path: &Path,
        spare: Option<&Path>,
    ) {
        let unknown: Vec<&String> = table.keys().filter(|key| !properties.contains_key(*key)).collect();
        let absent: Vec<&str> = required.iter().copied().filter(|key| !table.contains_key(*key)).collect();
        for key in &unknown {
            let candidates = properties.keys().map(String::as_str).filter(|known| !table.contains_key(*known));
            let wanted = suggest::nearest(key, absent.iter().copied());
            let help = wanted
                .map_or_else(|| suggest::or_list(key, candidates), |near| Some(format!("did you mean `{near}`?")));
            let place = if path.parts().is_empty() { "a scenario".to_owned() } else { format!("`{path}`") };
            let complaint = Complaint::key(&path.at(key), format!("unknown key `{key}`"))
                .label(format!("{place} has no such key"))
                .maybe_help(help);
            self.complain(complaint, Some(&path.at(key)));
        }
        for key in absent {
            // A misspelt key is one mistake, not two.
            if unknown.iter().any(|u| suggest::nearest(u, [key]).is_some()) {
                self.prune = None;
                continue;
            }
            let place = if path.parts().is_empty() { "the scenario".to_owned() } else { format!("`{path}`") };
            let help = properties.get(key).map(|at| match key {
                "segments" => "add `[segments.lan]` with `subnet = \"172.16.0.0/16\"`".to_owned(),
                "nodes" => "add `[nodes.director]` with `role = \"director\"` and `segment = \"lan\"`".to_owned(),
                _ => format!("write `{key} = {}`", self.example(key, at)),
            });
            self.complain(Complaint::key(path, format!("{place} has no `{key}`")).maybe_help(help), spare);
        }
        for (key, item) in table {
            if let Some(at) = properties.get(key) {
                let below = path.at(key);
                let spare = if required.contains(&key.as_str()) { spare.cloned() } else { Some(below.clone()) };
                self.check(at, item, &below, spare.as_ref());
            }
        }
    }

    fn names(
        &mut self,
        wanted: Option<&str>,
        each: &'s Value,
        table: &IndexMap<String, Item>,
        path: &Path,
        spare: Option<&Path>,
    ) {
        for (name, item) in table {
            let below = path.at(name);
            if let Some(Err(wrong)) = wanted.map(|wanted| format::check(wanted, name)) {
                let complaint = Complaint::key(&below, wrong.message).label(wrong.label).maybe_help(wrong.help);
                self.complain(complaint, spare);
            }
            self.check(each, item, &below, spare);
        }
    }

    fn tagged(&mut self, tags: &[Tag<'s>], table: &IndexMap<String, Item>, path: &Path, spare: Option<&Path>) {
        let names: Vec<&str> = tags.iter().map(|tag| tag.name).collect();
        if table.len() != 1 {
            let message = match table.len() {
                0 => format!("`{path}` says nothing"),
                n => format!("`{path}` says {n} things, where one step does one"),
            };
            let complaint = Complaint::value(path, message).help(format!("write one of {}", suggest::listed(&names)));
            self.complain(complaint, spare);
        }
        for (key, item) in table {
            let below = path.at(key);
            if let Some(tag) = tags.iter().find(|tag| tag.name == key) {
                self.check(tag.holds, item, &below, spare);
            } else {
                let complaint = Complaint::key(&below, format!("unknown word `{key}`"))
                    .label(format!("`{path}` knows no such thing"))
                    .maybe_help(suggest::or_list(key, names.iter().copied()));
                self.complain(complaint, spare);
            }
        }
    }

    fn either(&mut self, at: &'s Value, ways: &[&'s Value], item: &Item, path: &Path, spare: Option<&Path>) {
        let fitting: Vec<&'s Value> = ways.iter().copied().filter(|way| self.fits(way, &item.content)).collect();
        match fitting.as_slice() {
            [] => self.mismatch(at, item, path, spare),
            [only] => self.check(only, item, path, spare),
            several => {
                let tried = several.iter().map(|way| {
                    let mut walk = Walk { schema: self.schema, complaints: Vec::new(), prune: Some(Vec::new()) };
                    walk.check(way, item, path, spare);
                    walk
                });
                if let Some(best) = tried.min_by_key(|walk| walk.complaints.len()) {
                    for complaint in best.complaints {
                        self.complain(complaint, spare);
                    }
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
