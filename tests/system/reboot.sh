#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# reboot.sh KERNEL: an orderly shutdown with a disk that nobody has detached, as
# that of a root file system: its metadata are exact afterwards, without intent.
# Killed instead, the same guest leaves intent.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
kernel=$1
mkdir -p build/system
work=$(mktemp -d "$PWD/build/system/reboot-XXXXXX")
trap 'rm -rf "$work"' EXIT

# shellcheck disable=SC2016 # for the guest's shell
track='dmsetup create d0 --table "0 131072 tidemark /dev/vda /dev/vdb 128" &&
    for granule in 3 70 500; do
        dd if=/dev/urandom of=/dev/mapper/d0 bs=64k count=1 seek=$granule oflag=direct \
            conv=notrunc,fsync 2> /dev/null || exit 1
    done'

# end HOW COMMAND: a guest tracks, and ends so
end() {
    truncate -s 64M "$work/data"
    build/bin/tidemark meta format --again --for "$work/data" --create "$work/meta" > /dev/null
    output=$(tests/guest/run --kernel "$kernel" --name "reboot-$kernel" \
        --kill-on '^now$' --disk "$work/data" --disk "$work/meta" -- \
        bash -c "$track && $1" 2>&1)
    status=$?
    dump=$(build/bin/tidemark meta dump --json --runs "$work/meta") || note "$dump"
}

field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1" <<< "$dump"; }

end 'sync; busybox reboot -f; sleep 60'
is "after reboot(2) the guest is gone" "$status" 125 || note "$output"
is "the disk is not detached" "$(field state)" active
is "no extent has intent" "$(field intents)" 0
is "what was written is marked, and nothing else" "$(field runs)" '[[3, 1], [70, 1], [500, 1]]'

rm "$work/meta"
end 'echo now; sleep 60'
is "killed" "$status" 137 || note "$output"
is "three extents have intent" "$(field intents)" 3
tap_end
