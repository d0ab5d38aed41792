#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# planted.sh KERNEL: what a kernel with debug options is there to find it finds,
# in our module: a use after free, locks in two orders, a leak, none of which
# makes a test fail. If one of these passes, a clean run on this kernel means
# nothing. Each has a guest of its own: a report of KASAN switches lockdep off.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
kernel=$1
if [ ! -f "build/kernels/$kernel/release" ]; then
    skip "planted faults on $kernel" "this kernel is not built: make debug-kernels"
    tap_end
    exit
fi

planted() { # NAME REPORT
    local output status
    output=$(tests/guest/build-module --kernel "$kernel" --name "$1" \
        --patch "tests/module/mutants/$1.patch" 2>&1)
    is "$1: the module builds" $? 0
    output=$(tests/guest/run --kernel "$kernel" --module "$1" --timeout 3000 \
        --name "planted-$1" -- build/ksft/many 4 2>&1)
    status=$?
    like "$1: the kernel complains (exit status 126), or dies of it (125)" $status '^12[56]$'
    like "$1: of this" "$output" "$2"
    like "$1: which the test did not notice" "$output" 'ok 8 - many: they go'
}

planted use-after-free 'KASAN: use-after-free'
planted two-orders 'possible circular locking'
planted leak 'unreferenced object'
tap_end
