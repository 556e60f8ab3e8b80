#!/usr/bin/env bash
# Every shipped scenario under a real kernel, and tshark's reading of a capture against drlab's.
set -e
cargo build --quiet --locked
target/debug/drlab kernel fetch
exec cargo test --quiet --locked --test kernel --test oracle
