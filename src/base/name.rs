//! Names of nodes and interfaces.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};

/// Why a text is no name of that kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// The text has no character at all.
    #[error("the name is empty")]
    Empty,
    /// More bytes than the kernel takes.
    #[error("`{name}` has {} characters, at most {limit} fit ({why})", .name.len())]
    TooLong {
        /// The name as given.
        name: String,
        /// The largest length, in bytes.
        limit: usize,
        /// Where the limit comes from.
        why: &'static str,
    },
    /// A character that may not stand there.
    #[error("`{name}` has a `{bad}`: {allowed}")]
    BadCharacter {
        /// The name as given.
        name: String,
        /// The first character that is refused.
        bad: char,
        /// What may stand there.
        allowed: &'static str,
    },
}

/// By this key names stand as people count: `rs2` before `rs10`.
pub fn natural(name: &str) -> (&str, usize, &str) {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = name.get(stem.len()..).unwrap_or_default();
    (stem, number.len(), number)
}

impl NodeName {
    /// The name under which the lab's switch is spoken of; no node may have it where the switch does more than switch.
    pub fn switch() -> Self {
        Self("switch".to_owned())
    }
}

macro_rules! name_type {
    ($(#[$doc:meta])* $type:ident, $format:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl fmt::Debug for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $type {
            type Err = BadName;

            fn from_str(text: &str) -> Result<Self, BadName> {
                Self::try_from(text.to_owned())
            }
        }

        impl TryFrom<String> for $type {
            type Error = BadName;

            fn try_from(text: String) -> Result<Self, BadName> {
                $check(&text)?;
                Ok(Self(text))
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        impl std::borrow::Borrow<str> for $type {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl PartialEq<str> for $type {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        impl PartialEq<&str> for $type {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }

        impl JsonSchema for $type {
            fn schema_name() -> Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "type": "string", "format": $format })
            }
        }
    };
}

name_type!(
    /// A node's (or segment's) name; also its hostname: 1 to 32 of `a-z 0-9 -`, a letter first.
    NodeName,
    "node-name",
    check_node
);

name_type!(
    /// An interface's name as the kernel takes it: 1 to 15 bytes (`IFNAMSIZ` less one), no `/`, `:` or space.
    IfName,
    "interface-name",
    check_interface
);

fn check_node(name: &str) -> Result<(), BadName> {
    let allowed = "a-z, 0-9 and `-` may stand there, a letter first";
    length(name, 32, "a node's name is its hostname and part of file names")?;
    let bad =
        name.char_indices().find(|&(at, c)| !(c.is_ascii_lowercase() || (at > 0 && (c.is_ascii_digit() || c == '-'))));
    refuse(name, bad.map(|(_, c)| c), allowed)
}

fn check_interface(name: &str) -> Result<(), BadName> {
    let allowed = "the kernel takes no `/`, no `:` and no space in an interface's name";
    length(name, 15, "IFNAMSIZ, the kernel's limit for an interface's name")?;
    let bad = name
        .chars()
        .find(|c| !c.is_ascii_graphic() || matches!(c, '/' | ':'))
        .or_else(|| matches!(name, "." | "..").then_some('.'));
    refuse(name, bad, allowed)
}

fn length(name: &str, limit: usize, why: &'static str) -> Result<(), BadName> {
    if name.is_empty() {
        return Err(BadName::Empty);
    }
    if name.len() > limit {
        return Err(BadName::TooLong { name: name.to_owned(), limit, why });
    }
    Ok(())
}

fn refuse(name: &str, bad: Option<char>, allowed: &'static str) -> Result<(), BadName> {
    match bad {
        None => Ok(()),
        Some(bad) => Err(BadName::BadCharacter { name: name.to_owned(), bad, allowed }),
    }
}

#[cfg(test)]
mod tests {
    use super::{IfName, NodeName};

    #[test]
    fn an_interface_name_of_sixteen_bytes_is_refused() {
        assert!("abcdefghijklmno".parse::<IfName>().is_ok());
        assert!("abcdefghijklmnop".parse::<IfName>().is_err());
    }

    #[test]
    fn a_label_is_no_interface_name() {
        assert!("lo:0".parse::<IfName>().is_err());
    }

    #[test]
    fn a_node_name_is_a_hostname() {
        assert!("rs1".parse::<NodeName>().is_ok());
        for bad in ["", "1rs", "RS1", "rs_1", "rs 1"] {
            assert!(bad.parse::<NodeName>().is_err(), "{bad}");
        }
    }
}
