#!/usr/bin/env bash
# Notices work that has grown: instructions of the plain build for a few fixed tasks against ci/budget.txt, by valgrind, so that
# the machine and its load don't matter. Fails above a quarter more; says so below a quarter less, as the budget is then stale.
#   ci/budget.sh            compare
#   ci/budget.sh --write    write the counts of this build into ci/budget.txt
# The ratios in the same file are compared by ci/bench.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v valgrind >/dev/null || { echo "budget: valgrind is missing"; exit 4; }
cargo build --quiet --locked

captures=fixtures/captures
vip=(--vip 172.16.0.66)
declare -A tasks=(
    [analyze-one]="analyze $captures/director.pcap ${vip[*]}"
    [analyze-each]="analyze $captures/director.pcap --each ${vip[*]}"
    [analyze-several]="analyze $captures/router.pcap $captures/director.pcap $captures/rs1.pcap $captures/rs2.pcap ${vip[*]}"
    [check]="check broken/arp/rs-arp-default broken/routing/rs-gw-wrong broken/ipvs/ipvs-method-masq"
    [plan]="plan lvs-dr"
)

counted() { # TASK...
    local log
    log=$(mktemp)
    # What is judged may well be broken: only the count is of interest.
    valgrind --tool=cachegrind --cache-sim=no --cachegrind-out-file=/dev/null --log-file="$log" target/debug/drlab "$@" >/dev/null 2>&1 || true
    sed -n 's/.*I *refs: *\([0-9,]*\).*/\1/p' "$log" | tr -d ,
    rm -f "$log"
}

failed=0
for name in $(printf '%s\n' "${!tasks[@]}" | sort); do
    read -ra words <<<"${tasks[$name]}"
    now=$(counted "${words[@]}")
    [ -n "$now" ] || { echo "budget: valgrind gave no count for $name"; exit 1; }
    was=$(awk -v name="$name" '$1 == "instructions" && $2 == name { print $3 }' ci/budget.txt)
    if [ "${1:-}" = --write ]; then
        { grep -v "^instructions $name " ci/budget.txt || true; echo "instructions $name $now"; } >ci/budget.txt.new
        mv ci/budget.txt.new ci/budget.txt
        continue
    fi
    percent=$((now * 100 / ${was:-1}))
    printf '%-16s %14s instructions, %s %% of the budget\n' "$name" "$now" "${was:+$percent}"
    if [ -z "$was" ]; then
        echo "budget: ci/budget.txt has nothing for $name"; failed=1
    elif [ "$percent" -gt 125 ]; then
        echo "budget: $name takes over a quarter more than it may"; failed=1
    elif [ "$percent" -lt 75 ]; then
        echo "note: $name takes over a quarter less; ci/budget.sh --write keeps it so"
    fi
done
exit "$failed"
