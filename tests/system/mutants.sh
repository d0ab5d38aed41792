#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# mutants.sh KERNEL [MUTANT TEST]...: a module from which a rule was taken out
# must fail the test that stands for this rule. If it passes, the test proves
# nothing. Those of persistence are power.sh's, but for no-flush and one-worker.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
kernel=$1
shift

mutant() { # NAME TEST
    local output status
    output=$(tests/guest/build-module --kernel "$kernel" --name "$1" \
        --patch "tests/module/mutants/$1.patch" 2>&1)
    is "$1: the mutant builds" $? 0
    output=$(tests/guest/run --kernel "$kernel" --module "$1" --timeout 500 \
        --name "mutant-$1-$kernel" --kill-on '^not ok' -- tests/module/run.sh "$2" 2>&1)
    status=$?
    # What has failed once has said all that is asked: the guest ends with it (137).
    [ $status != 137 ] || status=1
    is "$1: $2 fails with it (exit status 1)" $status 1
    like "$1: by a test that says so" "$output" 'not ok '
    note "$(grep '^not ok' <<< "$output")"
}

if [ $# -gt 0 ]; then
    while [ $# -ge 2 ]; do
        mutant "$1" "$2"
        shift 2
    done
    tap_end
    exit
fi
mutant no-inflight lost-write
# The other rules do not depend on the kernel: once is enough.
if [ "$kernel" = 6.12 ]; then
    mutant one-by-one hammer
    mutant no-torn seal
    mutant no-recheck view-order
    mutant no-copy-drain view-order
    mutant no-copy view-prefix
fi
tap_end
