#!/usr/bin/env bash
# What needs a kernel: every shipped scenario under User-Mode Linux, the host substrate inside a guest, labs built in
# namespaces of this machine, and tshark's reading of a capture against drlab's.
set -e
cargo build --quiet --locked
target/debug/drlab kernel fetch
# Once where the cache is empty; from then on the tests run by a seed, and twice of the same is held against each other.
target/debug/drlab kernel build
export DRLAB_TEST_OWN_KERNEL=1
DRLAB_TEST_UML=$(target/debug/drlab kernel path)
export DRLAB_TEST_UML
cargo test --quiet --locked --no-fail-fast --test kernel --test robust --test oracle --test inside

# These make network namespaces of their own, for which root or a user namespace is needed.
namespaced=(--test inside_namespaces --test audit)
if [ "$(id -u)" = 0 ]; then
    cargo test --quiet --locked "${namespaced[@]}"
elif unshare --user --map-root-user --net true 2>/dev/null; then
    cargo test --quiet --locked --no-run "${namespaced[@]}"
    unshare --user --map-root-user --net cargo test --quiet --locked "${namespaced[@]}"
else
    echo "inside_namespaces, audit: this machine gives an ordinary user no namespaces; as root: ci/test.sh kernel"
    exit 4
fi
