#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# In a guest: prints lines "without|with NANOSECONDS", "seals|torn COUNT" for seal.sh.
# While there is no seal the same program asks the module as often, so that what is
# compared is the seal and not who asks for it.
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

latency() { # seal|look: nanoseconds at the 99.9th percentile
    seals vm 500 "$1" > "$tmp/$1" &
    fio --name=vm --filename=/dev/mapper/vm --allow_file_create=0 --direct=1 --ioengine=psync \
        --rw=randwrite --bs=4k --size=64m --norandommap --time_based --ramp_time=1 \
        --runtime="$seconds" --percentile_list=99.9 --output-format=json \
        --output="$tmp/json" > /dev/null
    kill "$!"
    wait "$!"
    sqlite3 :memory: "select json_extract(readfile('$tmp/json'),
        '\$.jobs[0].write.clat_ns.percentile.\"99.900000\"')"
}

fio --version > /dev/null
for _ in $(seq "$rounds"); do
    epoch=$(dmsetup message vm 0 seal | awk '{ print $1 }')
    sleep 0.5
    dmsetup message vm 0 commit "$epoch"
    without=$(latency look)
    with=$(latency seal)
    printf "without %s\nwith %s\n" "$without" "$with"
    cat "$tmp/seal"
done
dmsetup remove vm-view
dmsetup remove vm
