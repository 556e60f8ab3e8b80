#!/usr/bin/env bash
# Measures the figures that drlab is held to on two processors of this machine, beside others that do the same where there are
# some, and writes them to BENCHMARKS.md. Fails where a ratio is worse by over a quarter than ci/budget.txt says.
#   ci/bench.sh                         everything: under twenty-five minutes once it is built
#   ci/bench.sh --only namespaces       one part, printed and not written; `--help` tells the others
#   ci/bench.sh --budget                the same, and the ratios become the budget
# Labs in namespaces are built as root, or as an ordinary user where the machine allows user namespaces. What the others
# (Mininet, munet, wrk, oha) need is unpacked or built below target/ or DRLAB_BENCH_PEERS, nothing is installed; one that can't be
# had is told as not there. drlab's own kernel is measured where `drlab kernel build` has built it.
set -euo pipefail
cd "$(dirname "$0")/.."

peers=${DRLAB_BENCH_PEERS:-${CARGO_TARGET_DIR:-$PWD/target}/bench-peers}
unpacked() { # PACKAGE...
    local folder package
    folder=$(mktemp -d)
    for package in "$@"; do
        (cd "$folder" && apt-get -qq download "$package" >/dev/null 2>&1) || echo "bench: no package $package" >&2
    done
    for package in "$folder"/*.deb; do
        [ ! -f "$package" ] || dpkg-deb -x "$package" "$peers/root"
    done
    rm -rf "$folder"
}
if [ ! -d "$peers/root" ]; then
    mkdir -p "$peers/root"
    unpacked mininet net-tools bridge-utils cgroup-tools python3-pkg-resources procps libproc2-0 wrk libluajit-5.1-2 \
        libluajit2-5.1-2
    { python3 -m venv "$peers/venv" && "$peers/venv/bin/pip" -q install munet; } || echo "bench: no munet" >&2
fi
# No package of Debian's has it. Five minutes of building are what it may take; the next call goes on from there.
if [ ! -x "$peers/bin/oha" ]; then
    CARGO_TARGET_DIR=$peers/oha-target timeout 300 cargo install --quiet --locked --root "$peers" oha --no-default-features \
        --features rustls >&2 || echo "bench: no oha" >&2
    [ ! -x "$peers/bin/oha" ] || rm -rf "$peers/oha-target"
fi
export DRLAB_BENCH_PEERS=$peers

[ $# -gt 0 ] || set -- --write BENCHMARKS.md
[ "$*" != --budget ] || set -- --write BENCHMARKS.md --budget
exec cargo bench --quiet --locked --bench figures -- "$@"
