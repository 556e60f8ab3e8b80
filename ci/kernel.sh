#!/usr/bin/env bash
# What needs a kernel: every shipped scenario under User-Mode Linux, one under a distribution's kernel in QEMU, the host
# substrate inside guests, labs built in namespaces of this machine, and tshark's reading of a capture against drlab's.
set -e
cargo build --quiet --locked
target/debug/drlab kernel fetch uml
# What virtual machines are made of; a kernel that is there already is not fetched anew.
target/debug/drlab kernel list | grep -q ' debian-' || target/debug/drlab kernel fetch 6.12
target/debug/drlab kernel fetch qemu
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
