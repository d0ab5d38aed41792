#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# In a guest: what it costs to know after a power cut what was written. The same
# workloads over dm-linear, the tracker without and with a metadata device, dm-era
# with its own, and md raid1 of two disks with its bitmap, as dm-raid sets it up: its
# superblocks and bitmaps lie on devices of their own there, so that they count.
#
#     data vda (raid1: vda and vdb), metadata on vdc
#
# Prints lines "KIND WORKLOAD NANOSECONDS METADATA-WRITES-PER-1000", both of what the
# workload does: writes of 4 KiB or 1 MiB, transactions.
#
# persistence-guest.sh ROUNDS COUNT
set -eu
rounds=$1 count=$2
sectors=$(blockdev --getsz /dev/vda)
device=/dev/mapper/bench

writes_of() { awk '{ print $5 }' "/sys/block/$1/stat"; }

blank() { dd if=/dev/zero of=/dev/vdc bs=1M count=16 oflag=direct status=none; }

setup() { # KIND: makes $device; fails if this kernel lacks it
    case $1 in
    linear) dmsetup create bench --table "0 $sectors linear /dev/vda 0" ;;
    volatile) dmsetup create bench --table "0 $sectors tidemark /dev/vda - 128" ;;
    tidemark)
        tidemark meta format --for /dev/vda /dev/vdc &&
            dmsetup create bench --table "0 $sectors tidemark /dev/vda /dev/vdc 128"
        ;;
    era)
        modprobe dm-era 2> /dev/null &&
            dmsetup create bench --table "0 $sectors era /dev/vdc /dev/vda 128"
        ;;
    raid1)
        modprobe dm-raid 2> /dev/null &&
            dmsetup create meta0 --table '0 16384 linear /dev/vdc 0' &&
            dmsetup create meta1 --table '0 16384 linear /dev/vdc 16384' &&
            dmsetup create bench --table "0 $sectors raid raid1 4 0 nosync region_size 8192 \
2 /dev/mapper/meta0 /dev/vda /dev/mapper/meta1 /dev/vdb"
        ;;
    esac
}

teardown() { # KIND
    dmsetup remove --retry bench
    [ "$1" != raid1 ] || dmsetup remove meta0 meta1
    blank
}

random() { # SPAN
    command fio --name=bench --filename=$device --allow_file_create=0 --direct=1 --ioengine=psync \
        --rw=randwrite --bs=4k --size="$1" --io_size=$((4096 * count)) --randrepeat=1 \
        --norandommap --minimal > /tmp/fio.out
}
random_64M() { random 64M; }
steady_64M() { random 64M; } # the same places once more
random_whole() { random 100%; }
sequential_1M() {
    command fio --name=bench --filename=$device --allow_file_create=0 --direct=1 --ioengine=psync \
        --rw=write --bs=1M --size=100% --io_size=$((count / 16))M --minimal > /tmp/fio.out
}
sqlite_full() { # a transaction each, with its flushes
    {
        echo 'PRAGMA synchronous=FULL;'
        for i in $(seq $((count / 20))); do
            echo "INSERT INTO t VALUES ($i, randomblob(2000));"
        done
    } | sqlite3 /mnt/bench/db > /dev/null
}

measure() { # KIND WORKLOAD
    local start end meta ops=$count
    case $2 in
    sequential_1M) ops=$((count / 16)) ;;
    sqlite_full) ops=$((count / 20)) ;;
    esac
    meta=$(writes_of vdc)
    start=$(date +%s%N)
    "$2"
    end=$(date +%s%N)
    meta=$(($(writes_of vdc) - meta))
    echo "$1 $2 $(((end - start) / ops)) $((meta * 1000 / ops))"
}

mkdir -p /mnt/bench
fio --version > /dev/null
modprobe ext4 2> /dev/null || true
blank
for kind in linear volatile tidemark era raid1; do
    if ! setup $kind 2> /tmp/setup.err; then
        echo "missing $kind"
        sed 's/^/# /' /tmp/setup.err
        continue
    fi
    for _ in $(seq "$rounds"); do
        for workload in random_64M steady_64M random_whole sequential_1M; do
            measure $kind $workload
        done
        mke2fs -q -F -E lazy_itable_init=0,lazy_journal_init=0 $device && mount $device /mnt/bench
        sqlite3 /mnt/bench/db 'CREATE TABLE t (n INTEGER, x BLOB);'
        measure $kind sqlite_full
        umount /mnt/bench
    done
    teardown $kind
done
