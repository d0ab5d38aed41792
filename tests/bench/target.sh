#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The tracker's cost for each write against dm-linear, in one guest, both
# kernels: as a ratio of wall time (medians of 5 rounds), and in guest
# instructions under -icount, which repeat exactly.
set -eu
cd "$(dirname "$0")/../.."

table() { # UNIT: reads "WHAT VALUE" lines
    sort | awk -v unit="$1" '
        { v[$1] = v[$1] " " $2 }
        function median(s,   n, a, i, j, t) {
            n = split(s, a, " ")
            for (i = 2; i <= n; i++)
                for (j = i; j > 1 && a[j - 1] + 0 > a[j] + 0; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
            return a[int((n + 1) / 2)]
        }
        END {
            printf "  %-22s %12s %12s %12s %9s %9s\n", "", "dm-linear", "not marked", "marked", "ratio", "ratio"
            split("4096-random 1048576-sequential", w, " ")
            for (i = 1; i <= 2; i++) {
                l = median(v["linear-" w[i]]); u = median(v["unmarked-" w[i]]); m = median(v["marked-" w[i]])
                printf "  %-22s %12d %12d %12d %9.3f %9.3f   (%s; %+d and %+d)\n",
                    w[i], l, u, m, u / l, m / l, unit, u - l, m - l
            }
        }'
}

for kernel in 6.1 6.12; do
    echo "write cost, kernel $kernel, fio, wall time (TCG, 1 CPU, medians of 5)"
    tests/guest/run --kernel $kernel --cpus 1 --timeout 400 -- \
        tests/bench/target-guest.sh 5 20000 fio | table "ns a write"
    echo "write cost, kernel $kernel, guest instructions (-icount shift=0)"
    tests/guest/run --kernel $kernel --cpus 1 --icount --timeout 500 -- \
        tests/bench/target-guest.sh 1 20000 writes | table "instructions a write"
done
