//! Whether the keys of a value are those that a JSON Schema knows; nothing else of a schema is looked at.

use serde_json::Value;

pub(crate) fn from_toml(text: &str) -> Value {
    serde_json::to_value(toml::from_str::<toml::Value>(text).unwrap()).unwrap()
}

/// The paths of the keys that the schema does not know, in any of its choices.
pub(crate) fn strangers(schema: &Value, value: &Value) -> Vec<String> {
    strangers_below(schema, schema, value, "")
}

fn strangers_below(root: &Value, schema: &Value, value: &Value, path: &str) -> Vec<String> {
    let parts = choices(root, schema);
    let best = |inner: Vec<&Value>, value: &Value, path: &str| {
        let found = inner.into_iter().map(|schema| strangers_below(root, schema, value, path));
        found.min_by_key(Vec::len)
    };
    match value {
        Value::Object(members) => members
            .iter()
            .flat_map(|(key, member)| {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                let named: Vec<&Value> = parts.iter().filter_map(|part| part["properties"].get(key)).collect();
                let any =
                    parts.iter().filter_map(|part| part.get("additionalProperties")).filter(|any| any.is_object());
                let inner = if named.is_empty() { any.collect() } else { named };
                best(inner, member, &path).unwrap_or_else(|| vec![path])
            })
            .collect(),
        Value::Array(items) => {
            let inner: Vec<&Value> = parts.iter().filter_map(|part| part.get("items")).collect();
            items.iter().flat_map(|item| best(inner.clone(), item, path).unwrap_or_default()).collect()
        }
        _ => Vec::new(),
    }
}

/// A schema, what it refers to, and all that it leaves the choice between.
fn choices<'a>(root: &'a Value, schema: &'a Value) -> Vec<&'a Value> {
    let referred = schema["$ref"]
        .as_str()
        .map(|reference| root.pointer(reference.trim_start_matches('#')).expect("a reference leads somewhere"));
    let choices = ["anyOf", "oneOf"].into_iter().filter_map(|key| schema[key].as_array()).flatten();
    std::iter::once(schema)
        .chain(referred.into_iter().chain(choices).flat_map(|inner| self::choices(root, inner)))
        .collect()
}
