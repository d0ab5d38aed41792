#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Packing before sending: by zstd and by LZ4, each as the agent does it, and not at all.
# Blocks of 64 KiB, one processor. For links of several speeds: MB/s of the disk that get
# through, which is the slower of packing and the link, and with what the agent chooses.
# For three kinds of data: sources, programs, a database of random rows.
set -eu
cd "$(dirname "$0")/../.."
pack=build/helpers/pack-rate
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

links=(12 60 120 250 295 350 400 1200)
chosen=$(for link in "${links[@]}"; do $pack "$link"; done)
printf '  %-9s %-6s %6s %6s   a link of %s MB/s gives\n' data packer ratio MB/s "$(IFS=/; echo "${links[*]}")"
for data in sources programs database; do
    for packer in none zstd lz4; do
        if [ $packer = none ]; then
            echo none 1 1000000
        else
            echo $packer "$($pack $packer "$work/$data")"
        fi
    done | awk -v data=$data -v links="${links[*]}" -v chosen="${chosen//$'\n'/ }" '
        function through(packer, rate) {
            return rate * ratio[packer] < speed[packer] ? rate * ratio[packer] : speed[packer]
        }
        function row(packer, head,    i) {
            printf "  %-9s %-6s %s  ", data, packer, head
            for (i = 1; i <= n; i++)
                printf " %5d", through(packer == "agent" ? choice[i] : packer, link[i])
            print ""
        }
        BEGIN { n = split(links, link, " "); split(chosen, choice, " ") }
        {
            ratio[$1] = $2
            speed[$1] = $3
            row($1, sprintf("%6.2f %6s", $2, $1 == "none" ? "-" : $3))
        }
        END { row("agent", sprintf("%6s %6s", "-", "-")) }'
done
