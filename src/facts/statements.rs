//! Facts as lines that can be compared with what was wanted.

use super::NodeFacts;

impl NodeFacts {
    /// One line per thing that was configured.
    pub fn statements(&self) -> Vec<String> {
        Vec::new()
    }
}
