//! How a text of the wrong shape is made readable all the same, so that the rest of it can be checked.
//!
//! Owns: what is put in the place of a value that is missing or of the wrong shape, and which conclusions can't be
//! drawn any more. Errs towards silence: what may rest on such a place is not told.

use std::borrow::Cow;

use serde_json::Value;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::Complaint;
use super::schema::{Shape, shape};
use super::source::{Path, Source};

/// One change that gives a text's tree its shape.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Repair {
    /// Take a value out that may be left out.
    Remove(Path),
    /// Put a value, written as in TOML, in the place of one that must be there.
    Put(Path, String),
    /// Read what is written under another key as that of the path.
    Rename {
        /// Where it belongs.
        to: Path,
        /// The key that it has.
        from: String,
    },
}

impl Repair {
    /// The place that is no longer as written.
    fn replaced(&self) -> Option<&Path> {
        match self {
            Self::Remove(path) | Self::Put(path, _) => Some(path),
            Self::Rename { .. } => None,
        }
    }
}

/// What can't be concluded from, since its shape is wrong.
#[derive(Debug, Clone, Default)]
pub(crate) struct Damage {
    /// What stands there is not what was written, or was not written.
    lost: Vec<Path>,
    /// Tables that may have had other names, and names that may have been in their table.
    names: Vec<Path>,
}

impl Damage {
    pub(crate) fn lose(&mut self, path: Path) {
        self.lost.push(path);
    }

    /// Doubts all names in a table, or one name there.
    pub(crate) fn doubt_names(&mut self, path: Path) {
        self.names.push(path);
    }

    pub(crate) fn join(&mut self, other: Self) {
        self.lost.extend(other.lost);
        self.names.extend(other.names);
    }

    /// Whether what stands there, and below, is what was written.
    pub(crate) fn knows(&self, path: &Path) -> bool {
        !self.lost.iter().chain(&self.names).any(|lost| meet(lost, path))
    }

    fn knows_names(&self, table: &Path) -> bool {
        !self.names.iter().any(|doubted| doubted.is_within(table))
            && !self.lost.iter().any(|lost| table.is_within(lost))
    }

    fn knows_name(&self, name: &Path) -> bool {
        !self.names.iter().chain(&self.lost).any(|doubted| name.is_within(doubted))
    }

    fn trusts(&self, complaint: &Complaint) -> bool {
        let told = |path: &Path| !self.lost.iter().any(|lost| path.is_within(lost));
        told(&complaint.path)
            && complaint.also.iter().all(|(_, path, _)| told(path))
            && complaint.relies_on.iter().all(|path| self.knows(path))
            && complaint.relies_on_names.iter().all(|table| self.knows_names(table))
            && complaint.relies_on_name.iter().all(|name| self.knows_name(name))
    }

    /// The complaints that are no mere consequence of the damage or of one another.
    pub(crate) fn sift(&self, complaints: Vec<Complaint>) -> Vec<Complaint> {
        let trusted: Vec<Complaint> = complaints.into_iter().filter(|complaint| self.trusts(complaint)).collect();
        let spoilt: Vec<Path> = trusted.iter().filter(|c| c.spoils).map(|c| c.path.clone()).collect();
        let rests = |complaint: &Complaint| {
            let others = || spoilt.iter().filter(|path| **path != complaint.path);
            complaint.relies_on.iter().any(|path| others().any(|spoilt| meet(spoilt, path)))
        };
        trusted.into_iter().filter(|complaint| !rests(complaint)).collect()
    }
}

fn meet(one: &Path, other: &Path) -> bool {
    one.is_within(other) || other.is_within(one)
}

/// Makes the source's tree and the table to what the repairs say. Renamed tables come before what is in them.
pub(crate) fn apply<'t>(repairs: &'t [Repair], source: &mut Source, table: &mut DeTable<'t>) {
    for repair in repairs {
        if let Repair::Rename { to, from } = repair {
            source.rename(to, from);
            rename(table, to, from);
        }
    }
    let replaced: Vec<&Path> = repairs.iter().filter_map(Repair::replaced).collect();
    for repair in repairs {
        let inside = |path: &Path| replaced.iter().any(|outer| *outer != path && path.is_within(outer));
        match repair {
            Repair::Remove(path) if !inside(path) => remove(table, path),
            Repair::Put(path, text) if !inside(path) => put(table, path, text),
            _ => {}
        }
    }
}

fn rename(table: &mut DeTable<'_>, to: &Path, from: &str) {
    let Some((key, above)) = to.parts().split_last() else { return };
    if let Some(holder) = table_at(table, above)
        && let Some(value) = holder.remove(from)
    {
        holder.insert(Spanned::new(0..0, Cow::Owned(key.clone())), value);
    }
}

fn remove(table: &mut DeTable<'_>, path: &Path) {
    let Some((key, above)) = path.parts().split_last() else { return };
    if let Some(holder) = table_at(table, above) {
        holder.remove(key.as_str());
    }
}

fn put<'t>(table: &mut DeTable<'t>, path: &Path, text: &'t str) {
    let (Some((key, above)), Ok(value)) = (path.parts().split_last(), DeValue::parse(text)) else { return };
    if let Some(there) = value_at(table, path.parts()) {
        *there = value.into_inner();
    } else if let Some(holder) = table_at(table, above) {
        holder.insert(Spanned::new(0..0, Cow::Owned(key.clone())), value);
    }
}

fn table_at<'a, 't>(table: &'a mut DeTable<'t>, path: &[String]) -> Option<&'a mut DeTable<'t>> {
    if path.is_empty() {
        return Some(table);
    }
    match value_at(table, path)? {
        DeValue::Table(table) => Some(table),
        _ => None,
    }
}

fn value_at<'a, 't>(table: &'a mut DeTable<'t>, path: &[String]) -> Option<&'a mut DeValue<'t>> {
    let (first, rest) = path.split_first()?;
    rest.iter().try_fold(table.get_mut(first.as_str())?.get_mut(), |value, part| match value {
        DeValue::Table(table) => Some(table.get_mut(part.as_str())?.get_mut()),
        DeValue::Array(items) => Some(items.get_mut(part.parse::<usize>().ok()?)?.get_mut()),
        _ => None,
    })
}

/// A value of the right shape that says nothing, as TOML writes it.
pub(crate) fn placeholder(root: &Value, at: &Value) -> String {
    match shape(root, at) {
        Shape::Word(words) => quoted(words.first().map_or("", |(word, _)| word)),
        Shape::Tagged(tags) => tags
            .first()
            .map_or_else(|| "{}".into(), |tag| format!("{{ {} = {} }}", tag.name, placeholder(root, tag.holds))),
        Shape::Either(ways) => ways.first().map_or_else(|| "{}".into(), |way| placeholder(root, way)),
        Shape::Text(wanted) => quoted(match wanted {
            Some("mac") => "02:00:00:00:00:01",
            Some("node-name") => NOWHERE,
            Some("interface-name") => "nowhere0",
            Some("ip" | "ipv4") => "192.0.2.1",
            Some("ipv6") => "2001:db8::1",
            Some("ip-net") => "192.0.2.0/24",
            Some("socket-address") => "192.0.2.1:80",
            _ => "",
        }),
        Shape::Integer(low, high) => 1.clamp(low, high).to_string(),
        Shape::Number => "1".into(),
        Shape::Boolean => "true".into(),
        Shape::List(_) => "[]".into(),
        Shape::Tuple(each) => {
            let each: Vec<String> = each.iter().map(|at| placeholder(root, at)).collect();
            format!("[{}]", each.join(", "))
        }
        Shape::Table { properties, required } => {
            let needed = required.iter().filter_map(|key| Some((key, properties.get(*key)?)));
            let each: Vec<String> = needed.map(|(key, at)| format!("{key} = {}", placeholder(root, at))).collect();
            format!("{{ {} }}", each.join(", "))
        }
        Shape::Names { .. } | Shape::Unknown => "{}".into(),
    }
}

/// A name that no scenario is likely to have.
const NOWHERE: &str = "written-nowhere";

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

#[cfg(test)]
mod tests {
    use super::{Damage, placeholder};
    use crate::scenario::problem::Complaint;
    use crate::scenario::source::Path;
    use crate::scenario::spec::{Action, Scenario};
    use crate::scenario::{schema, shape};
    use serde::Deserialize;
    use toml::de::{DeTable, DeValue};

    #[test]
    fn every_placeholder_has_the_shape_that_it_stands_for() {
        let root = schema::made();
        let whole = placeholder(root, root);
        let read = Scenario::deserialize(toml::de::ValueDeserializer::from(DeValue::parse(&whole).unwrap()));
        assert!(read.is_ok(), "{whole}: {read:?}");
        let text = format!("x = {whole}");
        let table = DeTable::parse(&text).unwrap();
        let source = crate::scenario::Source::new(&text, table.get_ref());
        let crate::scenario::source::Content::Table(held) = &source.root().content else { panic!() };
        assert!(shape::deviations(root, &held["x"]).complaints.is_empty());
        for (name, at) in root["$defs"].as_object().unwrap() {
            let text = placeholder(root, at);
            let parsed = DeValue::parse(&text);
            assert!(parsed.is_ok(), "{name}: {text}");
            if name == "Action" {
                let action = Action::deserialize(toml::de::ValueDeserializer::from(parsed.unwrap()));
                assert!(action.is_ok(), "{text}: {action:?}");
            }
        }
    }

    #[test]
    fn what_rests_on_a_lost_value_is_not_told_and_what_stands_beside_it_is() {
        let role = Path::of(&["nodes", "rs1", "role"]);
        let mut damage = Damage::default();
        damage.lose(role.clone());
        let path = Path::of(&["nodes", "rs2", "address"]);
        let told = |complaint: Complaint| damage.sift(vec![complaint]).len();
        assert_eq!(told(Complaint::value(&role, "x")), 0);
        assert_eq!(told(Complaint::value(&path, "x")), 1);
        assert_eq!(told(Complaint::value(&path, "x").also(&role, "y")), 0);
        assert_eq!(told(Complaint::value(&path, "x").relies_on(&Path::of(&["nodes", "rs1"]))), 0);
        assert_eq!(told(Complaint::value(&path, "x").relies_on(&Path::of(&["nodes", "rs1", "vip"]))), 1);
        assert_eq!(told(Complaint::value(&path, "x").relies_on_names(&Path::of(&["nodes"]))), 1);
    }

    #[test]
    fn what_rests_on_another_mistake_of_meaning_is_not_told() {
        let segment = Path::of(&["nodes", "rs1", "segment"]);
        let cause = Complaint::value(&segment, "no such segment").spoils();
        let effect = Complaint::value(&Path::of(&["nodes", "rs1", "gateway"]), "out of reach").relies_on(&segment);
        let told = Damage::default().sift(vec![effect, cause]);
        assert_eq!(told.iter().map(|c| c.message.as_str()).collect::<Vec<_>>(), ["no such segment"]);
    }
}
