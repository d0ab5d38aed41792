#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# In a guest: prints lines "without|with NANOSECONDS", "seals|torn COUNT" for seal.sh.
#
# seal-guest.sh ROUNDS SECONDS
set -eu
rounds=$1 seconds=$2
read -r device _ <<< "$TIDEMARK_DISKS"
sectors=$(blockdev --getsz "$device")
tmp=$(mktemp -d)
dmsetup create vm --table "0 $sectors tidemark $device - 128 2 pool 1048576"
dmsetup create vm-view --readonly --table "0 $sectors tidemark-view /dev/mapper/vm"
dmsetup mknodes

latency() { # nanoseconds at the 99.9th percentile
    fio --name=vm --filename=/dev/mapper/vm --allow_file_create=0 --direct=1 --ioengine=psync \
        --rw=randwrite --bs=4k --size=64m --norandommap --time_based --runtime="$seconds" \
        --percentile_list=99.9 --output-format=json --output="$tmp/json" > /dev/null
    sqlite3 :memory: "select json_extract(readfile('$tmp/json'),
        '\$.jobs[0].write.clat_ns.percentile.\"99.900000\"')"
}

seals() {
    local count=0 torn=0 found
    while [ -e "$tmp/seal" ]; do
        # what came of the seal before
        found=$(dmsetup status vm | awk '{ print $14 }')
        torn=$((torn + found))
        dmsetup message vm 0 seal > /dev/null
        count=$((count + 1))
        sleep 0.5
    done
    echo "seals $count"
    echo "torn $torn"
}

fio --version > /dev/null
for _ in $(seq "$rounds"); do
    epoch=$(dmsetup message vm 0 seal | awk '{ print $1 }')
    sleep 0.5
    dmsetup message vm 0 commit "$epoch"
    echo "without $(latency)"
    : > "$tmp/seal"
    seals > "$tmp/seals" &
    sleep 1
    echo "with $(latency)"
    rm "$tmp/seal"
    wait
    cat "$tmp/seals"
done
dmsetup remove vm-view
dmsetup remove vm
