#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Power cuts by dm-log-writes: a guest writes, seals, commits and folds over a
# logged device; then, out here, what a cut could have left is put together at
# each flush and FUA boundary of the log and, in parts, between them, and looked
# at (tests/helpers/log-replay.c). Modules that lack a rule must be found out.
#
# power.sh KERNEL [WRITES [SUBSETS]]
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
kernel=$1 writes=${2:-4000} subsets=${3:-8}
data=$((64 * 2048)) meta=2048 points=64
mkdir -p build/system
work=$(mktemp -d "$PWD/build/system/power-XXXXXX")
trap 'rm -rf "$work"' EXIT

# record MUTANT WRITES SEED: a guest's run, into $work/log and $work/points
record() {
    rm -f "$work"/{log,device,points}
    truncate -s 1G "$work/log"
    truncate -s $(((data + meta) * 512)) "$work/device"
    truncate -s $((data * 512 * points)) "$work/points"
    tests/guest/run --kernel "$kernel" ${1:+--module "$1"} --timeout 500 \
        --name "power-${1:-run}-$kernel" \
        --disk "$work/log" --disk "$work/device" --disk "$work/points" -- \
        tests/system/power-guest.sh $data $meta "$2" "$3"
}

replay() { # SEED
    build/helpers/log-replay "$work/log" "$work/points" $((data * 512)) $((meta * 512)) \
        "$subsets" "$1"
}

figure() { # NAME: of the replay's last line
    tail -n 1 <<< "$report" | tr ' ' '\n' | grep -A1 "^$1$" | tail -n 1
}

# Not an argument of ours, so that a failure can be made again: SEED=...
seed=${SEED:-$RANDOM}
note "SEED=$seed"
output=$(record '' "$writes" "$seed" 2>&1)
is "the guest's run" $? 0
note "$(tail -n 5 <<< "$output")"
report=$(replay "$seed")
is "no state lacks a change" $? 0
note "$report"
holds "states were looked at" "$(figure states) > 500"
holds "some of them with a replica that matches" "$(figure matches) > 500"
holds "few of them say no more than that all has changed" \
    "$(figure whole) + $(figure unreadable) < $(figure states) / 2"
holds "intent is that of the extents in use" "$(figure most_intents) <= 16"

mutant() { # NAME
    ok "$1: the mutant builds" tests/guest/build-module --kernel "$kernel" --name "$1" \
        --patch "tests/module/mutants/$1.patch"
    output=$(record "$1" "$writes" "$seed" 2>&1)
    is "$1: the guest's run" $? 0
    report=$(replay "$seed")
    is "$1: is found out" $? 1
    note "$(head -n 2 <<< "$report"; tail -n 1 <<< "$report")"
}
if [ "$kernel" = 6.12 ]; then
    mutant no-intent
    mutant clear-before-flush
fi
tap_end
