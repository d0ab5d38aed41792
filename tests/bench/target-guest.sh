#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# In a guest: what a write costs through the tracker, beside dm-linear over the
# same null_blk device. Prints lines "WHAT NANOSECONDS" for target.sh.
#
# target-guest.sh ROUNDS COUNT fio|writes: measured by fio, or by a loop of
# nothing but writes, whose instructions can be counted
set -eu
rounds=$1 count=$2 by=$3

modprobe null_blk nr_devices=1 gb=4 bs=4096 irqmode=0 queue_mode=2 2>/dev/null || modprobe null_blk gb=4
sectors=$(blockdev --getsz /dev/nullb0)
dmsetup create linear --table "0 $sectors linear /dev/nullb0 0"
dmsetup create tracked --table "0 $sectors tidemark /dev/nullb0 - 128"
dmsetup mknodes
linear=/dev/mapper/linear tracked=/dev/mapper/tracked

fio() { # DEVICE SIZE COUNT HOW: nanoseconds a write
    local rw=write
    [ "$4" = sequential ] || rw=randwrite
    # Field 49 of the terse form is the write operations a second.
    command fio --name=bench --filename="$1" --allow_file_create=0 --direct=1 --ioengine=psync \
        --rw=$rw --bs="$2" --number_ios="$3" --io_size=$(($2 * $3)) --randrepeat=1 --norandommap \
        --minimal | awk -F';' '{ printf "%d\n", 1e9 / $49 }'
}

round() { # SIZE COUNT HOW
    echo "linear-$1-$3 $("$by" $linear "$1" "$2" "$3")"
    # Nothing is marked: a seal ends the epoch, and its commit forgets it.
    epoch=$(dmsetup message tracked 0 seal | awk '{ print $1 }')
    sleep 0.2
    dmsetup message tracked 0 commit "$epoch"
    echo "unmarked-$1-$3 $("$by" $tracked "$1" "$2" "$3")"
    echo "marked-$1-$3 $("$by" $tracked "$1" "$2" "$3")"
}

writes $linear 4096 1000 random > /dev/null
writes $tracked 4096 1000 random > /dev/null
for _ in $(seq "$rounds"); do
    round 4096 "$count" random
    round 1048576 $((count / 16 + 1)) sequential
done
dmsetup remove tracked
dmsetup remove linear
