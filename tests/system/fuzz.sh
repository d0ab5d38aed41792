#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# fuzz.sh KERNEL SECONDS [SEED]: the module's fuzzer in a guest with that kernel.
set -u
cd "$(dirname "$0")/../.." || exit 1
exec tests/guest/run --kernel "$1" --timeout $(($2 + 600)) --name "fuzz-$1" -- \
    build/ksft/fuzz -t "$2" -r "${3:-1}"
