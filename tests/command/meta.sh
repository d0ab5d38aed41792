#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# `tidemark meta` on files: what it makes, says, refuses and mends. No guest.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
tidemark=$PWD/build/bin/tidemark
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
cd "$dir" || exit 1

# says NAME CODE REGEX ARGUMENTS...: exit code and what is said of `tidemark meta`
says() {
    local name=$1 code=$2 regex=$3 output status=0
    shift 3
    output=$("$tidemark" meta "$@" 2>&1) || status=$?
    is "$name: exit code" $status "$code"
    like "$name: $regex" "$output" "$regex"
}

member() { # FILE KEY: of dump --json
    "$tidemark" meta dump --json "$1" | python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$2"
}

truncate -s 1G disk
says "size of a disk" 0 '^16384$' size --for ./disk
says "size of a size" 0 '^2211840$' size --for 1T
says "size with small granules" 0 '^34684928$' size --for 1T --granule 4K
says "a granule that is none" 2 'power of two' size --for 1T --granule 96K
says "no such disk" 3 'no disk and no size' size --for ./nowhere

says "format of no file" 3 'No such file' format --for ./disk m
says "format --create" 0 '^$' format --for ./disk --create --identity 'web01 vda' m
is "the file has the size that it needs" "$(stat -c %s m)" 16384
says "format again" 8 'already; --again' format --for ./disk m
says "format --again" 0 '^$' format --for ./disk --again m
says "format of the disk itself" 2 'is the disk itself' format --for ./disk ./disk
truncate -s 8192 small
says "too small" 2 'has 8192 bytes, but 16384 are needed' format --for ./disk small
says "an identity too long" 2 'at most 63 bytes' \
    format --for ./disk --again --identity "$(printf '%064d' 0)" m
is "refusals have left the metadata alone" "$(member m state)" new

# Somebody else's bytes are not touched.
for kind in ext4 xfs swap gpt; do
    rm -f foreign
    truncate -s 400M foreign
    case $kind in
    ext4) mke2fs -q -t ext4 foreign ;;
    xfs) mkfs.xfs -q foreign ;;
    swap) mkswap foreign > /dev/null 2>&1 ;;
    gpt) echo 'label: gpt' | sfdisk -q foreign ;;
    esac
    before=$(sha256sum < foreign)
    says "$kind" 8 "holds something already \\($kind\\)" format --for ./disk --again foreign
    is "$kind: untouched" "$(sha256sum < foreign)" "$before"
done

"$tidemark" meta format --for ./disk --again --identity 'web01 vda' m
says "check of a new one" 0 'new, superblock 1, 16384 of 16384 granules changed' check m
is "dump --json: schema" "$(member m schema)" tidemark/1
is "dump --json: identity" "$(member m identity)" 'web01 vda'
is "dump --json: slots" "$(member m slots)" "['empty', 'valid']"
says "dump --runs" 0 $'\n0 16384$' dump --runs m
says "check of something else" 3 'is no metadata device' check disk
printf X | dd of=m bs=1 seek=4300 conv=notrunc status=none
says "check without a superblock" 1 'neither superblock verifies' check m
says "repair without a superblock" 1 'neither superblock verifies' repair m
says "nothing to do" 2 'takes format, size' --json
says "an action that is none" 2 "no 'meta mend'" mend m

"$tidemark" meta format --for ./disk --again m
printf X | dd of=m bs=1 seek=$((3 * 4096 + 600)) conv=notrunc status=none
is "dump: a damaged unit is counted" "$(member m bad_bitmap_units)" 1
says "repair" 0 '0 superblocks written, 0 intent units and 1 bitmap units' repair m
is "dump: none after the repair" "$(member m bad_bitmap_units)" 0
is "dump: its granules are marked" "$(member m marked)" 3968
exec 9<m
flock -n 9
says "in use" 8 'is in use' repair m
exec 9<&-
tap_end
