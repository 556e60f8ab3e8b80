//! What a file holds: text as text, so that a plan can be read, and everything else as bytes.

use serde::{Deserialize, Serialize};

/// The bytes of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Content {
    /// UTF-8 text.
    Text(String),
    /// Anything else.
    Bytes(Vec<u8>),
}

impl Content {
    /// Its bytes.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Text(text) => text.as_bytes(),
            Self::Bytes(bytes) => bytes,
        }
    }

    /// Its text, where it is one.
    pub fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            Self::Bytes(_) => None,
        }
    }
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Self {
        String::from_utf8(bytes).map_or_else(|error| Self::Bytes(error.into_bytes()), Self::Text)
    }
}

/// A file that was read beside a scenario.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReadFile {
    /// What it holds.
    pub content: Content,
    /// Whether it may be executed.
    pub executable: bool,
}

#[cfg(test)]
mod tests {
    use super::Content;

    #[test]
    fn bytes_that_are_no_text_survive_json() {
        for bytes in [b"vrrp_instance".to_vec(), vec![0xff, 0, 10]] {
            let content = Content::from(bytes.clone());
            let json = serde_json::to_string(&content).unwrap();
            assert_eq!(serde_json::from_str::<Content>(&json).unwrap().bytes(), bytes);
        }
    }
}
