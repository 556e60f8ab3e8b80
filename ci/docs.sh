#!/usr/bin/env bash
# The documentation builds without a warning.
RUSTDOCFLAGS="-D warnings" exec cargo doc --quiet --no-deps --locked --document-private-items
