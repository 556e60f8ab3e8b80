//! An error and its causes, as text.

use std::error::Error;

/// The messages of an error and all its sources, outermost first.
pub fn error_chain(error: &dyn Error) -> Vec<String> {
    let mut chain = vec![error.to_string()];
    let mut source = error.source();
    while let Some(cause) = source {
        chain.push(cause.to_string());
        source = cause.source();
    }
    chain
}
