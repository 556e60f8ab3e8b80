//! What is wrong with a text is told with its line, and nothing is started.
