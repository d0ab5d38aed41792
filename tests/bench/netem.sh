#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A first copy over a link of 100 Mbit/s with a round trip of 50 ms, without loss and
# with 0.1 % of it each way (at random, or even: each 1000th packet), with one stream and
# four (-4), beside as many of iperf3, and rsync: medians of the bits of the image in each
# second, their ratio to iperf3's, and every round. The target is 0.85 of iperf3 or more.
# Between two network namespaces, see netem-run.sh; all use the same congestion control,
# the kernel's choice if none is named. Cubic goes by its losses: at random, 64 MiB have so
# few that their moments decide, so for it they are even. Each run must end with an
# identical replica. As root.
#
# netem.sh [LINK:MIB:ROUNDS[:CONGESTION]...]
set -eu
cd "$(dirname "$0")/../.."
[ $# -gt 0 ] || set -- clean:64:5 lossy:64:5 even:64:3:cubic
if [ "$(id -u)" != 0 ]; then
    echo "  skipped: network namespaces take root"
    exit
fi
make -s user build/helpers/{link,receiver-run,send-bits}
mkdir -p build/bench
work=$(mktemp -d build/bench/XXXXXX)
trap 'rm -rf "$work"' EXIT
raw=$work/raw

for name in iperf3 rsync; do
    type -P $name > /dev/null || echo "  skipped: no $name here"
done
tests/bench/netem-run.sh "$work" "$@" > "$raw"
sed -n 's/^with /  congestion control, kernel, link: /p' "$raw"
printf '  %-12s %-14s %10s %9s %7s\n' link tool Mbit/s "x iperf3" "CPU %"
grep -v '^with ' "$raw" | sort -k1,2 -k4,4n | awk '
    function flush() {
        if (!n) return
        m = n % 2 ? v[(n + 1) / 2] : (v[n / 2] + v[n / 2 + 1]) / 2
        order[++rows] = key; median[key] = m; cpu[key] = busy / n; n = busy = 0
    }
    { now = $1 " " $2; if (now != key) flush(); key = now; v[++n] = $4; busy += $5 }
    END {
        flush()
        for (i = 1; i <= rows; i++) {
            split(order[i], k, " ")
            base = median[k[1] " iperf3" (k[2] ~ /-4$/ ? "-4" : "")]
            ratio = base ? sprintf("%.2f", median[order[i]] / base) : "-"
            printf "  %-12s %-14s %10.1f %9s %7d\n", k[1], k[2], median[order[i]], ratio, cpu[order[i]]
        }
    }'
echo "  every round: link, tool, round, Mbit/s, CPU %"
grep -v '^with ' "$raw" | sed 's/^/    /'
