#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What a seal costs a VM that writes all the time: the 99.9th percentile of its
# write latency while its disk is sealed twice a second, with a view that nobody
# reads and a preserve pool of 1 MiB that is full at once, as a ratio to that
# without a seal. The target is 2 at most. Medians of 3 rounds, in one guest.
set -eu
cd "$(dirname "$0")/../.."

for kernel in 6.1 6.12; do
    echo "write latency under seals, kernel $kernel, fio, random 4 KiB, 99.9th percentile"
    tests/guest/run --kernel $kernel --timeout 500 --disk 128M -- tests/bench/seal-guest.sh 3 10 |
        sort | awk '
        $1 == "torn" || $1 == "seals" { sum[$1] += $2; next }
        { v[$1, ++n[$1]] = $2 }
        # sorted as text, not as numbers: the middle one of three is found by hand
        function median(name,   a, b, c) {
            a = v[name, 1]; b = v[name, 2]; c = v[name, 3]
            return a > b ? (b > c ? b : (a > c ? c : a)) : (a > c ? a : (b > c ? c : b))
        }
        END {
            printf "  without %.0f us, with %.0f us: ratio %.2f (target 2 at most)\n",
                median("without") / 1000, median("with") / 1000, median("with") / median("without")
            printf "  %d seals, writes that found the pool full: %d\n", sum["seals"], sum["torn"]
        }'
done
