#!/usr/bin/env bash
# Everything that needs no kernel of its own.
set -e
cargo test --quiet --locked --lib --bins
mapfile -t suites < <(for f in tests/*.rs; do basename "$f" .rs; done | grep -v -x -e kernel -e oracle -e robust -e inside -e inside_namespaces -e audit)
exec cargo test --quiet --locked --no-fail-fast "${suites[@]/#/--test=}"
