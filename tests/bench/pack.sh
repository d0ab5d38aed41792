#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Packing before sending: zstd, of which the agent takes level 1, beside lz4 and nothing.
# Blocks of 64 KiB, one processor, by the tools' own benchmarks. For links of several
# speeds: MB/s of the disk that get through, which is the slower of packing and the link.
# For three kinds of data: sources, programs, a database of random rows.
set -eu
cd "$(dirname "$0")/../.."
for name in zstd lz4; do
    type -P $name > /dev/null || { echo "  skipped: no $name here"; exit; }
done
mkdir -p build/bench
work=$(mktemp -d build/bench/XXXXXX)
trap 'rm -rf "$work"' EXIT
size=$((32 << 20))
{ find module agent tools tests Documentation -type f -print0 | sort -z | xargs -0 cat
  find /usr/include -name '*.h' -print0 | sort -z | xargs -0 cat; } 2> /dev/null |
    head -c $size > "$work/sources" || true
find /usr/lib /usr/bin -type f \( -name '*.so*' -o -perm -100 \) -size +64k -print0 2> /dev/null |
    sort -z | xargs -0 cat 2> /dev/null | head -c $size > "$work/programs" || true
sqlite3 "$work/database" "create table t (n integer primary key, name text, at real, key blob);
    with recursive c(n) as (select 1 union all select n + 1 from c where n < 150000)
    insert into t select n, 'customer ' || n || ' of ' || abs(random() % 1000),
        julianday('now') - n / 86400.0, randomblob(64) from c"

# Prints "RATIO MB/S" of packing.
rate() { # TOOL OPTION FILE
    "$1" "$2" -i3 -B65536 "$3" 2>&1 | tr '\r' '\n' | sed -n 's/.*(x\{0,1\}\([0-9.]*\)), *\([0-9.]*\) MB.*/\1 \2/p' | tail -n 1
}

links=(12 60 120 250 400 1200)
printf '  %-9s %-8s %6s %6s   a link of %s MB/s gives\n' data packer ratio MB/s "$(IFS=/; echo "${links[*]}")"
for data in sources programs database; do
    for packer in none zstd:-b1 zstd:-b3 lz4:-b1; do
        if [ $packer = none ]; then
            set -- 1 1000000
        else
            # shellcheck disable=SC2046
            set -- $(rate ${packer%:*} ${packer#*:} "$work/$data")
        fi
        awk -v data=$data -v packer="${packer/:-b/ -}" -v ratio="$1" -v speed="$2" \
            -v links="${links[*]}" 'BEGIN {
            printf "  %-9s %-8s %6.2f %6s  ", data, packer, ratio, packer == "none" ? "-" : speed
            n = split(links, link, " ")
            for (i = 1; i <= n; i++)
                printf " %5d", link[i] * ratio < speed ? link[i] * ratio : speed
            print ""
        }'
    done
done
