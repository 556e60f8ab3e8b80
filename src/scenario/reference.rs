//! The reference of the format, in Markdown, made from the schema: a table per kind of table.

use std::fmt::Write;

use serde_json::{Map, Value};

use super::format;
use super::schema::{Shape, Tag, about, made, reference_of, shape};

/// Every key of a scenario: its type, what stands for it where it is left out, and what it says.
pub fn reference() -> String {
    let root = made();
    let mut out = String::new();
    section(&mut out, root, "A scenario", root);
    let defs = root.get("$defs").and_then(Value::as_object).into_iter().flatten();
    for (name, at) in defs.filter(|(name, _)| has_section(name)) {
        section(&mut out, root, &heading(name), at);
    }
    out.truncate(out.trim_end().len());
    out.push('\n');
    out
}

fn section(out: &mut String, root: &Value, heading: &str, at: &Value) {
    line(out, &format!("### {heading}\n\n{}\n", one_line(about(at))));
    match shape(root, at) {
        Shape::Table { properties, required } => {
            head(out, &["Key", "Type", "Default", "What"]);
            keys(out, root, "", properties, &required);
        }
        Shape::Tagged(tags) => {
            line(out, "Exactly one of these keys, with a table of its own.\n");
            head(out, &["Key", "Type", "Default", "What"]);
            for tag in &tags {
                one_tag(out, root, tag);
            }
        }
        Shape::Word(words) => {
            head(out, &["Value", "What"]);
            for (word, about) in words {
                row(out, &[format!("`\"{word}\"`"), one_line(about)]);
            }
        }
        Shape::Either(ways) => {
            head(out, &["Either", "What"]);
            for way in ways {
                row(out, &[type_of(root, way), one_line(about(way))]);
            }
        }
        _ => {}
    }
    out.push('\n');
}

fn one_tag(out: &mut String, root: &Value, tag: &Tag<'_>) {
    let link = if reference_of(tag.holds).is_some() { type_of(root, tag.holds) } else { String::new() };
    row(out, &[format!("**`{}`**", tag.name), link, String::new(), one_line(tag.about)]);
    if reference_of(tag.holds).is_none()
        && let Shape::Table { properties, required } = shape(root, tag.holds)
    {
        keys(out, root, &format!("{}.", tag.name), properties, &required);
    }
}

fn keys(out: &mut String, root: &Value, prefix: &str, properties: &Map<String, Value>, required: &[&str]) {
    for (key, at) in properties {
        let absent = if required.contains(&key.as_str()) { "required".into() } else { absent(at) };
        row(out, &[format!("`{prefix}{key}`"), type_of(root, at), absent, one_line(about(at))]);
    }
}

/// What a default is where it is worth saying: the texts tell the others.
fn absent(at: &Value) -> String {
    match at.get("default") {
        Some(Value::Array(items)) if items.is_empty() => "none".into(),
        Some(Value::Object(map)) if map.is_empty() => "none".into(),
        Some(value @ (Value::String(_) | Value::Number(_) | Value::Bool(_))) => format!("`{value}`"),
        _ => String::new(),
    }
}

fn type_of(root: &Value, at: &Value) -> String {
    if let Some(name) = reference_of(at).filter(|name| has_section(name)) {
        let heading = heading(name);
        let anchor = heading.to_lowercase().replace(' ', "-");
        return format!("[{}](#{anchor})", heading.to_lowercase());
    }
    match shape(root, at) {
        Shape::Text(wanted) => plain(format::words(wanted)),
        Shape::Integer(low, high) if high <= i128::from(u16::MAX) => format!("integer, {low} to {high}"),
        Shape::Integer(..) => "integer".into(),
        Shape::Number => "number".into(),
        Shape::Boolean => "`true` or `false`".into(),
        Shape::List(each) => format!("array of: {}", type_of(root, each)),
        Shape::Tuple(items) => {
            let items: Vec<String> = items.iter().map(|item| type_of(root, item)).collect();
            format!("array of {}: {}", items.len(), items.join(", "))
        }
        Shape::Either(ways) => match ways.as_slice() {
            [one, many] if matches!(shape(root, many), Shape::List(_)) => {
                format!("{}, or an array", type_of(root, one))
            }
            ways => ways.iter().map(|way| type_of(root, way)).collect::<Vec<_>>().join(" or "),
        },
        Shape::Names { format: wanted, each } => {
            let name = wanted.map_or_else(|| "a string".to_owned(), |wanted| format::words(Some(wanted)).to_owned());
            format!("table by {}: {}", plain(&name), type_of(root, each))
        }
        Shape::Table { .. } | Shape::Tagged(_) | Shape::Word(_) | Shape::Unknown => "table".into(),
    }
}

/// Definitions that are a mere string are told in place.
fn has_section(name: &str) -> bool {
    !matches!(name, "NodeName" | "IfName" | "Mac" | "IpNet" | "Ipv4Net" | "Ipv6Net")
}

/// `DetailedRealServer` as `Detailed real server`.
fn heading(name: &str) -> String {
    let mut out = String::new();
    for c in name.chars() {
        if c.is_uppercase() && !out.is_empty() {
            out.push(' ');
            out.extend(c.to_lowercase());
        } else {
            out.push(c);
        }
    }
    out
}

fn plain(described: &str) -> String {
    described.trim_start_matches("an ").trim_start_matches("a ").to_owned()
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace('|', "\\|")
}

fn head(out: &mut String, names: &[&str]) {
    row(out, &names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
    line(out, &format!("|{}", "---|".repeat(names.len())));
}

fn row(out: &mut String, cells: &[String]) {
    line(out, &format!("| {} |", cells.join(" | ")));
}

fn line(out: &mut String, text: &str) {
    // Writing to a `String` does not fail.
    writeln!(out, "{text}").unwrap_or_default();
}
