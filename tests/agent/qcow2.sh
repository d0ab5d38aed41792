#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Random overlays, judged by QEMU: check finds no error and no leak, what is
# read through them is the flat reference, the chain names the raw file.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/agent/lib.bash
. tests/agent/lib.bash

base() { # SIZE: data in front, a hole behind
    rm -f "$dir/base.raw"
    truncate -s "$1" "$dir/base.raw"
    head -c $(($1 < 3000000 ? $1 : 3000000)) /dev/urandom |
        dd of="$dir/base.raw" conv=notrunc status=none
}

one() { # NAME SIZE CLUSTER SEED OPS TABLES [WHOLE]
    local name=$1 out
    shift
    made=$("$helpers"/overlay-make "$dir/base.raw" "$dir/o.qcow2" "$dir/flat" "$@")
    is "$name: is written" $? 0
    out=$(qemu-img check "$dir/o.qcow2" 2>&1)
    like "$name: qemu-img check is clean" "$out" '^No errors were found'
    out=$(qemu-img check --output=json "$dir/o.qcow2" 2> /dev/null | grep -c '"leaks"')
    is "$name: and finds no leak" "$out" 0
    ok "$name: qemu-img compare: as the reference" \
        qemu-img compare -f qcow2 -F raw "$dir/o.qcow2" "$dir/flat"
}

enough=$((64 << 20)) # bytes for all tables of these
for cluster in 4096 8192 65536; do
    # A whole number of clusters, a ragged end, one sector, just above one table.
    for size in $((64 << 20)) $(((40 << 20) + 512 * 7)) 512 $((cluster * (cluster / 8 + 1) + 512)); do
        base "$size"
        one "cluster $cluster, size $size" "$size" "$cluster" $((cluster + size)) 200 $enough
    done
    base $((32 << 20))
    one "cluster $cluster, grown from 32 MiB" $((48 << 20)) "$cluster" 5 50 $enough
    one "cluster $cluster, cut from 32 MiB" $((20 << 20)) "$cluster" 6 50 $enough
    one "cluster $cluster, zeroed throughout first" $((32 << 20)) "$cluster" 7 50 $enough whole
    one "cluster $cluster, nothing in it" $((32 << 20)) "$cluster" 8 0 $enough
done

for seed in 1 2 3 4 5 6; do
    base $((24 << 20))
    one "seed $seed, 2000 regions" $((24 << 20)) 4096 $seed 2000 $enough
done

# 12 tables and room for one of them, three, or five: they come and go.
early() { sed -n 's/^early //p' <<< "$made"; }
for room in 1 3 5; do
    one "2000 regions over zeroes, room for tables: $room" $((24 << 20)) 4096 \
        $((30 + room)) 2000 $((room * 4096)) whole
    holds "and they made room ($(early) times)" "$(early) > 100"
    one "2000 regions, room for tables: $room" $((24 << 20)) 4096 $((20 + room)) 2000 \
        $((room * 4096))
    holds "and they made room ($(early) times)" "$(early) > 100"
done

# Read back by conversion too: another way through QEMU's code.
ok "qemu-img convert reads it" qemu-img convert -O raw "$dir/o.qcow2" "$dir/converted"
ok "and it is the reference" cmp "$dir/converted" "$dir/flat"
out=$(qemu-img info --backing-chain "$dir/o.qcow2")
like "the chain names the raw file" "$out" "image: $dir/base.raw"
like "and its format" "$out" 'backing file format: raw'
out=$(qemu-img map --output=json "$dir/o.qcow2")
like "the map has zeroes of the overlay's own" "$out" '"depth": 0, "present": true, "zero": true'
like "and data of its own" "$out" '"depth": 0, "present": true, "zero": false, "data": true'
like "and data from below" "$out" '"depth": 1'

# QEMU may go on writing to it: a test failover does.
cp "$dir/o.qcow2" "$dir/w.qcow2"
ok "QEMU writes to it" qemu-io -f qcow2 -c 'write -P 7 1M 3M' -c 'write -z 6M 1M' "$dir/w.qcow2"
ok "and it is clean after" qemu-img check "$dir/w.qcow2"

# 15 TiB: ext4 has no file of 16. A table that is zeroes throughout is shared: no gigabytes of them.
base $((1 << 20))
out=$("$helpers"/overlay-make "$dir/base.raw" "$dir/o.qcow2" "$dir/flat" \
    $((15 << 40)) 65536 9 0 $enough whole 2>&1)
if [ -s "$dir/o.qcow2" ] && [ -s "$dir/flat" ]; then
    out=$(sed -n 's/^size //p' <<< "$out")
    holds "15 TiB of zeroes take less than 2 MiB ($out bytes)" "$out < 2 << 20"
    like "qemu-img check is clean" "$(qemu-img check "$dir/o.qcow2" 2>&1)" '^No errors'
    ok "QEMU reads zeroes at its end" \
        qemu-io -r -f qcow2 -c "read -P 0 $(((15 << 40) - 65536)) 64k" "$dir/o.qcow2"
    cp "$dir/o.qcow2" "$dir/w.qcow2"
    ok "QEMU writes into a shared table" \
        qemu-io -f qcow2 -c 'write -P 7 1T 1M' -c 'read -P 0 2T 512k' "$dir/w.qcow2"
    ok "and it is clean after" qemu-img check "$dir/w.qcow2"
else
    skip "15 TiB" "the file system holds no file of that size"
fi
# Where a receiver's memory would be: 2048 tables, and room for 64.
base $((1 << 20))
one "1 TiB, 3000 regions" $((1 << 40)) 65536 40 3000 $((4 << 20))
holds "and tables made room ($(early) times)" "$(early) > 100"

tap_end
