#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What it costs to survive a power cut: the tracker with a metadata device beside
# dm-linear, the tracker without one, dm-era and md raid1 with a bitmap, in one guest.
# Wall time under emulation, so only the ratios say something; metadata writes are
# counted.
#
# persistence.sh [KERNEL [ROUNDS [COUNT]]]
set -eu
cd "$(dirname "$0")/../.."
kernel=${1:-6.12} rounds=${2:-3} count=${3:-2000}
mkdir -p build/bench
work=$(mktemp -d "$PWD/build/bench/XXXXXX")
trap 'rm -rf "$work"' EXIT
for disk in data mirror meta; do truncate -s 512M "$work/$disk"; done

echo "cost of persistence, kernel $kernel: time of a write (sqlite: a transaction) as a ratio to"
echo "dm-linear, and metadata writes per 1,000 of them; medians of $rounds rounds of $count writes"
tests/guest/run --kernel "$kernel" --cpus 2 --timeout 1500 \
    --disk "$work/data" --disk "$work/mirror" --disk "$work/meta" -- \
    tests/bench/persistence-guest.sh "$rounds" "$count" | awk '
    /^#/ { print; next }
    $1 == "missing" { missing = missing " " $2; next }
    NF != 4 { next }
    { ns[$1, $2] = ns[$1, $2] " " $3; meta[$1, $2] = meta[$1, $2] " " $4
      if (!($1 in kinds)) { kinds[$1] = ++nk; kind[nk] = $1 }
      if (!($2 in works)) { works[$2] = ++nw; work[nw] = $2 } }
    function median(s,   n, a, i, j, t) {
        n = split(s, a, " ")
        for (i = 2; i <= n; i++)
            for (j = i; j > 1 && a[j - 1] + 0 > a[j] + 0; j--) { t = a[j]; a[j] = a[j - 1]; a[j - 1] = t }
        return a[int((n + 1) / 2)]
    }
    END {
        if (!nk) exit 1
        printf "  %-16s", ""
        for (k = 1; k <= nk; k++) printf "%17s", kind[k]
        print ""
        for (w = 1; w <= nw; w++) {
            printf "  %-16s", work[w]
            for (k = 1; k <= nk; k++)
                printf "%11.2f %5d", median(ns[kind[k], work[w]]) / median(ns["linear", work[w]]),
                    median(meta[kind[k], work[w]])
            print ""
        }
        if (missing != "") print "  not in this kernel:" missing
    }'
