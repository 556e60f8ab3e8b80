#!/usr/bin/env bash
# Licences, sources and duplicates of dependencies. (Advisories need a database that is not a package, so they are left
# to who has it: `cargo deny check advisories`.)
tools=${DRLAB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/drlab}/test-tools
PATH=$PATH:$tools/bin
if ! command -v cargo-deny >/dev/null; then
    # It runs for a second; optimising it takes minutes.
    CARGO_PROFILE_RELEASE_OPT_LEVEL=0 CARGO_PROFILE_RELEASE_LTO=off \
        cargo install --quiet --locked --root "$tools" cargo-deny ||
        { echo "cargo-deny is missing, and could not be built"; exit 4; }
fi
exec cargo deny --log-level error check bans licenses sources
