#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# failing.sh KERNEL [PATH]...: every allocation of every path into the module, or
# of those named, fails in turn, on a kernel with fault injection, kmemleak and KASAN.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
kernel=$1
shift
if [ ! -f "build/kernels/$kernel/release" ]; then
    skip "failing allocations on $kernel" "this kernel is not built: make debug-kernels"
    tap_end
    exit
fi
tests/guest/build-module --kernel "$kernel" > /dev/null || exit 1
exec tests/guest/run --kernel "$kernel" --timeout 3000 --name "failing-$kernel" -- \
    build/ksft/failing "$@"
