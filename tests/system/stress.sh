#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# stress.sh KERNEL[,KERNEL] SECONDS: everything that may be done to disks, in
# random order by 8 threads under I/O, in a guest with each of the kernels.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
IFS=, read -ra kernels <<< "$1"

for kernel in "${kernels[@]}"; do
    if [[ $kernel == *-* && ! -f build/kernels/$kernel/release ]]; then
        skip "stress on $kernel" "this kernel is not built: make debug-kernels"
        continue
    fi
    tests/guest/build-module --kernel "$kernel" > /dev/null || exit 1
    output=$(tests/guest/run --kernel "$kernel" --timeout $(($2 + 900)) --name "stress-$kernel" \
        -- build/ksft/stress -t "$2" 2>&1)
    is "all goes well for $2 s on $kernel, which has nothing to complain of" $? 0
    note "$output"
done
tap_end
