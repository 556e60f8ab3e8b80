#!/usr/bin/env bash
# Fuzzes what reads bytes of others, by libFuzzer with the stable tool chain; needs a C++ compiler.
#   ci/fuzz.sh                    every target for a second: that it builds and its corpus still passes
#   ci/fuzz.sh TARGET SECONDS     one target: pcap pcapng link ethernet arp ip transport judge,
#                                 import-keepalived import-ipvsadm import-sysctl import-arptables import-ip-json import-script
#   ci/fuzz.sh all 600            every target for ten minutes
# What is learned stays below target/fuzz/corpus; an input that makes a target panic stays below target/fuzz/found.
set -euo pipefail
if ! command -v c++ >/dev/null; then
    echo "a C++ compiler is missing, for libFuzzer: apt-get install g++"
    exit 4
fi
cd "$(dirname "$0")/.."
which=${1:-all} seconds=${2:-1}
mapfile -t targets < <(sed -n 's/^name = "\(.*\)"/\1/p' fuzz/Cargo.toml | grep -v '^drlab-fuzz$')
[ "$which" = all ] || targets=("$which")

export CARGO_TARGET_DIR=target/fuzz/build
host=$(rustc -vV | sed -n 's/^host: //p')
# What cargo-fuzz gives too; without a sanitizer, which safe code does not need, no flag wants a nightly compiler.
export CARGO_ENCODED_RUSTFLAGS=$(printf '%s\x1f' -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares -Cdebug-assertions -Coverflow-checks)--cfg$'\x1f'fuzzing
cargo build --quiet --locked --manifest-path fuzz/Cargo.toml --target "$host"

for target in "${targets[@]}"; do
    corpus=target/fuzz/corpus/$target found=target/fuzz/found
    mkdir -p "$corpus" "$found"
    seeds=fixtures/captures
    case $target in import-*) seeds=fixtures/import ;; esac
    log=$found/$target.log
    "$CARGO_TARGET_DIR/$host/debug/$target" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=1024 -max_len=65536 \
        -print_final_stats=1 -verbosity=0 -artifact_prefix="$found/$target-" "$corpus" "$seeds" >"$log" 2>&1 ||
        { cat "$log"; exit 1; }
    printf '%-18s %6s s, %s inputs, nothing found\n' "$target" "$seconds" \
        "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
done
