#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# module.sh KERNEL: the module's own tests in a guest with that kernel, and once
# a minute of its fuzzer.
set -u
cd "$(dirname "$0")/../.." || exit 1
also=()
[ "$1" != 6.1 ] || also=(+fuzz)
exec tests/guest/run --kernel "$1" --timeout 1440 --name "module-$1" -- \
    tests/module/run.sh ${also[@]+"${also[@]}"}
