#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# module.sh KERNEL: the module's own tests in a guest with that kernel, and once
# 20 seconds of all at a time and a minute of the fuzzer. Freed memory of the sizes
# that a keeper and a disk have is poisoned, so that its use after is noticed; a disk
# is accounted for, and its memory comes from the caches "cg".
set -u
cd "$(dirname "$0")/../.." || exit 1
also=()
[ "$1" != 6.1 ] || also=(+stress +fuzz)
poisoned=kmalloc-1k,kmalloc-2k,kmalloc-4k,kmalloc-cg-1k,kmalloc-cg-2k,kmalloc-cg-4k
exec tests/guest/run --kernel "$1" --timeout 2040 --name "module-$1" \
    --append "slub_debug=FZP,$poisoned" -- \
    tests/module/run.sh ${also[@]+"${also[@]}"}
