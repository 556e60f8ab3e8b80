#!/usr/bin/env bash
# Licences, sources and duplicates of dependencies. (Advisories need a database that is not a package, so they are left
# to who has it: `cargo deny check advisories`.)
if ! command -v cargo-deny >/dev/null; then
    if [ -z "${CI:-}" ]; then
        echo "cargo-deny is missing: cargo install cargo-deny --locked"
        exit 4
    fi
    # It runs for a second; optimising it takes minutes.
    CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off cargo install --quiet --locked cargo-deny || exit 1
fi
exec cargo deny --log-level error check bans licenses sources
