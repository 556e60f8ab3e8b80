#!/usr/bin/env bash
# All checks and tests, as the README names them. Works as root and as an ordinary user; what can't run here is listed
# at the end, and fails the run where CI is set.
#   ci/test.sh            everything
#   ci/test.sh STAGE...   some of: format lint docs deny unit fuzz budget kernel
set -uo pipefail
cd "$(dirname "$0")/.."

stages=("$@")
[ ${#stages[@]} -gt 0 ] || stages=(format lint docs deny unit fuzz budget kernel)

failed=() missing=()
stage() {
    local name=$1 began=$SECONDS
    printf '\n== %s\n' "$name"
    "ci/$name.sh"
    case $? in
        0) printf -- '-- %s: %d s\n' "$name" $((SECONDS - began)) ;;
        4) missing+=("$name") ;;
        *) failed+=("$name") ;;
    esac
}
# shellcheck source=ci/tools.sh
. ci/tools.sh || exit 1
for name in "${stages[@]}"; do stage "$name"; done

printf '\n'
[ ${#missing[@]} -eq 0 ] || printf 'not run, for something is missing (said above): %s\n' "${missing[*]}"
[ ${#failed[@]} -eq 0 ] || printf 'failed: %s\n' "${failed[*]}"
if [ ${#failed[@]} -gt 0 ] || { [ -n "${CI:-}" ] && [ ${#missing[@]} -gt 0 ]; }; then
    exit 1
fi
printf 'passed: all stages that could run\n'
