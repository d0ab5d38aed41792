#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# failing.sh KERNEL: every allocation of every path into the module fails in
# turn, on a kernel with fault injection, kmemleak and KASAN.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
if [ ! -f "build/kernels/$1/release" ]; then
    skip "failing allocations on $1" "this kernel is not built: make debug-kernels"
    tap_end
    exit
fi
tests/guest/build-module --kernel "$1" > /dev/null || exit 1
exec tests/guest/run --kernel "$1" --timeout 3000 --name "failing-$1" -- build/ksft/failing
