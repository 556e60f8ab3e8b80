//! The format as JSON Schema, made from the types; and how this schema is read.
//!
//! Owns: the schema that `drlab schema` prints, and its reading as the few shapes that the format is made of. The
//! check of a file's shape and the reference in `scenarios/README.md` read it the same way.

use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::Scenario;

/// The JSON Schema (draft 2020-12) of a scenario.
pub fn schema() -> Value {
    made().clone()
}

/// The schema, made once.
pub(crate) fn made() -> &'static Value {
    static MADE: LazyLock<Value> = LazyLock::new(make);
    &MADE
}

fn make() -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<Scenario>().to_value();
    without_null(&mut schema);
    schema["title"] = json!("drlab scenario, format 1");
    schema["properties"]["format"]["const"] = json!(1);
    if let Some(net) = schema.pointer_mut("/$defs/IpNet").and_then(Value::as_object_mut) {
        net.insert("type".into(), json!("string"));
        net.insert("format".into(), json!("ip-net"));
    }
    schema
}

/// TOML has no null: what may be left out is simply not there.
fn without_null(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(without_null),
        Value::Object(map) => {
            // A property may be called `default` or `type`: only a schema's own words are touched.
            if map.get("default").is_some_and(Value::is_null) {
                map.shift_remove("default");
            }
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|t| t != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    map.insert("type".into(), only);
                }
            }
            unwrap_optional(map);
            map.values_mut().for_each(without_null);
        }
        _ => {}
    }
}

fn unwrap_optional(map: &mut Map<String, Value>) {
    let Some(Value::Array(ways)) = map.get_mut("anyOf") else { return };
    ways.retain(|way| way.get("type") != Some(&json!("null")));
    if ways.len() == 1
        && let Some(Value::Object(only)) = ways.pop()
    {
        map.shift_remove("anyOf");
        for (word, value) in only {
            map.entry(word).or_insert(value);
        }
    }
}

/// What a value may be.
#[derive(Debug, Clone)]
pub(crate) enum Shape<'s> {
    /// One of these words, each with what it means.
    Word(Vec<(&'s str, &'s str)>),
    /// A table with exactly one of these keys.
    Tagged(Vec<Tag<'s>>),
    /// Any of these.
    Either(Vec<&'s Value>),
    /// A string, of that format where one is named.
    Text(Option<&'s str>),
    /// An integer in that range.
    Integer(i128, i128),
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// An array of these.
    List(&'s Value),
    /// An array with exactly these.
    Tuple(&'s [Value]),
    /// A table with these keys.
    Table {
        /// The known keys.
        properties: &'s Map<String, Value>,
        /// Those that must be there.
        required: Vec<&'s str>,
    },
    /// A table with any names, all of one kind.
    Names {
        /// The format of the names.
        format: Option<&'s str>,
        /// What each holds.
        each: &'s Value,
    },
    /// Nothing that this program makes.
    Unknown,
}

/// One way of a [`Shape::Tagged`].
#[derive(Debug, Clone)]
pub(crate) struct Tag<'s> {
    pub(crate) name: &'s str,
    pub(crate) about: &'s str,
    pub(crate) holds: &'s Value,
}

/// Reads one place of the schema.
pub(crate) fn shape<'s>(root: &'s Value, at: &'s Value) -> Shape<'s> {
    if let Some(named) = target(root, at) {
        return shape(root, named);
    }
    if at.get("format") == Some(&json!("ip-net")) {
        return Shape::Text(Some("ip-net"));
    }
    if let Some(ways) = at.get("oneOf").or_else(|| at.get("anyOf")).and_then(Value::as_array) {
        return one_of(root, ways);
    }
    match at.get("type").and_then(Value::as_str) {
        Some("string") => Shape::Text(at.get("format").and_then(Value::as_str)),
        Some("integer") => integer(at),
        Some("number") => Shape::Number,
        Some("boolean") => Shape::Boolean,
        Some("array") => match (at.get("prefixItems").and_then(Value::as_array), at.get("items")) {
            (Some(items), _) => Shape::Tuple(items),
            (None, Some(items)) => Shape::List(items),
            (None, None) => Shape::Unknown,
        },
        Some("object") => table(at),
        _ => Shape::Unknown,
    }
}

/// The name of the definition that this place refers to.
pub(crate) fn reference_of(at: &Value) -> Option<&str> {
    at.get("$ref")?.as_str()?.strip_prefix("#/$defs/")
}

/// The first sentence or more that says what it is.
pub(crate) fn about(at: &Value) -> &str {
    at.get("description").and_then(Value::as_str).unwrap_or_default()
}

fn target<'s>(root: &'s Value, at: &Value) -> Option<&'s Value> {
    root.get("$defs")?.get(reference_of(at)?)
}

fn one_of<'s>(root: &'s Value, ways: &'s [Value]) -> Shape<'s> {
    let words: Vec<_> = ways.iter().filter_map(|w| Some((w.get("const")?.as_str()?, about(w)))).collect();
    if words.len() == ways.len() {
        return Shape::Word(words);
    }
    let tags: Vec<_> = ways.iter().filter_map(|way| tag(root, way)).collect();
    if tags.len() == ways.len() { Shape::Tagged(tags) } else { Shape::Either(ways.iter().collect()) }
}

fn tag<'s>(root: &'s Value, way: &'s Value) -> Option<Tag<'s>> {
    if reference_of(way).is_some() {
        return None;
    }
    match shape(root, way) {
        Shape::Table { properties, required } if properties.len() == 1 && required.len() == 1 => {
            let (name, holds) = properties.iter().next()?;
            Some(Tag { name, about: about(way), holds })
        }
        _ => None,
    }
}

fn integer(at: &Value) -> Shape<'_> {
    let (low, high) = match at.get("format").and_then(Value::as_str) {
        Some("uint8") => (0, i128::from(u8::MAX)),
        Some("uint16") => (0, i128::from(u16::MAX)),
        Some("uint32") => (0, i128::from(u32::MAX)),
        // TOML's own integers end here.
        Some("uint64" | "uint") => (0, i128::from(i64::MAX)),
        _ => (i128::from(i64::MIN), i128::from(i64::MAX)),
    };
    let given = |word: &str| at.get(word).and_then(Value::as_i64).map(i128::from);
    Shape::Integer(given("minimum").map_or(low, |m| m.max(low)), given("maximum").map_or(high, |m| m.min(high)))
}

fn table(at: &Value) -> Shape<'_> {
    if let Some(properties) = at.get("properties").and_then(Value::as_object) {
        let required = at.get("required").and_then(Value::as_array).into_iter().flatten();
        return Shape::Table { properties, required: required.filter_map(Value::as_str).collect() };
    }
    match at.get("additionalProperties") {
        Some(each @ Value::Object(_)) => {
            let format = at.get("propertyNames").and_then(|n| n.get("format")).and_then(Value::as_str);
            Shape::Names { format, each }
        }
        _ => Shape::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::{Shape, schema, shape};
    use serde_json::Value;

    #[test]
    fn every_place_of_the_schema_is_understood() {
        let root = schema();
        let mut places = vec![&root];
        places.extend(root["$defs"].as_object().unwrap().values());
        let mut seen = 0;
        while let Some(at) = places.pop() {
            seen += 1;
            match shape(&root, at) {
                Shape::Unknown => panic!("not understood: {at}"),
                Shape::Table { properties, .. } => places.extend(properties.values()),
                Shape::Tagged(tags) => places.extend(tags.into_iter().map(|t| t.holds)),
                Shape::Either(ways) => places.extend(ways),
                Shape::List(each) | Shape::Names { each, .. } if super::reference_of(each).is_none() => {
                    places.push(each);
                }
                Shape::Tuple(items) => places.extend(items),
                _ => {}
            }
            assert!(seen < 10_000, "the schema refers to itself without a definition between");
            places.retain(|p| super::reference_of(p).is_none());
        }
    }

    #[test]
    fn no_null_is_left_that_toml_could_not_write() {
        fn look(value: &Value) {
            match value {
                Value::Null => panic!("a null"),
                Value::String(text) => assert_ne!(text, "null"),
                Value::Array(items) => items.iter().for_each(look),
                Value::Object(map) => map.values().for_each(look),
                _ => {}
            }
        }
        let mut schema = schema();
        schema["properties"]["vip_placement"]["default"] = Value::Bool(true);
        look(&schema);
    }
}
