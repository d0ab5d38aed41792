#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# debug.sh KERNEL[,KERNEL] [PROGRAM]...: the module's own tests on kernels with
# debug options, those named or all, a guest for each: what one of them leaves
# behind does not hide what the next one finds, and a complaint names the test. A
# test passes here when it passes and the kernel has not complained of anything.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
IFS=, read -ra kernels <<< "$1"
shift
[ $# -gt 0 ] || set -- ioctl mark seal drain reshape scale hammer many live lost-write view \
    view-order view-prefix meta flush trust witness

run() { # KERNEL PROGRAM
    local output status
    output=$(tests/guest/run --kernel "$1" --timeout 3000 --name "debug-$2-$1" \
        -- tests/module/run.sh "$2" 2>&1)
    status=$?
    is "$2 passes on $1, which has nothing to complain of" $status 0
    [ $status = 0 ] || note "$output"
    note "$2: $(grep -c '^ok' <<< "$output") passed"
}

for kernel in "${kernels[@]}"; do
    if [ ! -f "build/kernels/$kernel/release" ]; then
        skip "the module's tests on $kernel" "this kernel is not built: make debug-kernels"
        continue
    fi
    tests/guest/build-module --kernel "$kernel" > /dev/null || exit 1
    for program in "$@"; do
        run "$kernel" "$program"
    done
done
tap_end
