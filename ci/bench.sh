#!/usr/bin/env bash
# Measures the figures that drlab is held to on two processors of this machine, and writes them to BENCHMARKS.md.
#   ci/bench.sh                         everything: about two minutes once it is built
#   ci/bench.sh --only namespaces       one part, printed and not written; `--help` tells the others
# Labs in namespaces are built as root, or as an ordinary user where the machine allows user namespaces.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- --write BENCHMARKS.md
exec cargo bench --quiet --locked --bench figures -- "$@"
