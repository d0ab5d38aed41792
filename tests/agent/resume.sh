#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A run that is cut short is kept by the receiver, and a sender goes on with it: what
# is said of it, what becomes of it when the receiver dies around each step, and that
# the point in the end is one that QEMU finds whole. Which granules may be gone on
# with is the sender's matter: tests/unit/send/test-resume.c.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/agent/lib.bash
. tests/agent/lib.bash

granule=65536
mib=1048576
size=$((6 * mib + 1536))
make_image "$dir/a" $size $granule 1
make_image "$dir/b" $size $granule 2
make_image "$dir/c" $size $granule 3

hello() { # the features DROP, POINT, NEED and RESUME
    echo "hello web 1 1 15"
    echo "open 0 vm vda ${1:-$tracker} $size $granule"
}
whole() { # FILE EPOCH: all of it, in frames
    local at
    for ((at = 0; at < size; at += mib)); do
        echo "data 0 $dir/$1 $at $((at + mib < size ? mib : size - at)) $2"
    done
}
first_point() {
    rm -rf "$dir/store"
    receiver_start
    { hello; echo "begin 0 full 0"; echo "sealed 0 1"; whole a 1; echo "end 0 1"
      echo "commit 2"; } | peer > "$dir/peer.out" 2>&1
    receiver_settled
}
cut_short() { # MODE EPOCH: 1 MiB at 0 and at 2 MiB of b, and the tail
    hello; echo "begin 0 $1 0"; echo "sealed 0 $2"
    echo "data 0 $dir/b 0 $mib $2"
    echo "data 0 $dir/b $((2 * mib)) $mib $2"
    echo "data 0 $dir/b $((6 * mib)) 1536 $2"
}
go_on() { # MODE EPOCH: to b, but for the first granule, which is c's now
    hello; echo "begin 0 $1 0 resume"; echo "sealed 0 $2 0 $granule"
    echo "data 0 $dir/c 0 $granule $2"
    echo "data 0 $dir/b $mib $mib $2"
    for at in 3 4 5; do echo "data 0 $dir/b $((at * mib)) $mib $2"; done
    echo "end 0 $2"; echo "commit 2"
}
staged() { hello "$@" | peer 2> /dev/null | grep '^staged'; }
partials() { find "$dir/store" -name '*.partial' | wc -l; }
path() { receiver_status | awk '$1 == "web/vm/vda" { print $NF }'; }
cp "$dir/b" "$dir/wanted"
dd if="$dir/c" of="$dir/wanted" bs=$granule count=1 conv=notrunc status=none
ranges="0+$mib $((2 * mib))+$mib $((6 * mib))+1536"
reads_as() { # FILE: the newest point, by QEMU, while it is an overlay or merged
    local p
    for _ in {1..20}; do
        p=$(path)
        case $p in
        *.qcow2)
            qemu-img check -q "$p" > "$dir/check" 2>&1 || { [ -e "$p" ] && return 1; continue; }
            qemu-img convert -O raw "$p" "$dir/flat" 2> /dev/null || continue ;;
        *) cp "$p" "$dir/flat" ;;
        esac
        cmp -s "$dir/flat" "$1" && return 0
        [ "$p" = "$(path)" ] && return 1
    done
    return 1
}

for mode in incremental full; do
    number=$([ $mode = full ] && echo 1 || echo 2)
    begin() { # an empty store, or one with a first point
        if [ $mode = full ]; then receiver_stop; rm -rf "$dir/store"; receiver_start
        else receiver_stop; first_point; fi
    }

    begin
    cut_short $mode 2 | peer > /dev/null 2>&1
    is "$mode: what came is kept, and is told" "$(staged)" "staged 0 $number 2 $ranges"
    is "$mode: to the tracker that sent it alone" \
        "$(staged ffffffffffffffffffffffffffffffff)" ""
    [ $mode = full ] || ok "$mode: the older point is what can be opened" reads_as "$dir/a"
    receiver_stop
    receiver_start
    is "$mode: a new receiver says the same" "$(staged)" "staged 0 $number 2 $ranges"
    go_on $mode 3 | peer > "$dir/peer.out" 2>&1
    like "$mode: the run goes on to a point" "$(tail -n 1 "$dir/peer.out")" '^durable'
    ok "$mode: which is the disk, and whole" reads_as "$dir/wanted"
    receiver_settled
    is "$mode: nothing is staged any more" "$(staged)" ""
    is "$mode: nor left over" "$(partials)" 0

    begin
    cut_short $mode 2 | peer > /dev/null 2>&1
    { hello; echo "begin 0 $mode 0"; echo "sealed 0 3"; } | peer > /dev/null 2>&1
    is "$mode: a run that does not go on with it gives it up" "$(staged)" ""
    is "$mode: with its file" "$(partials)" 0
    { hello; echo "begin 0 $mode 0 resume"; } | peer > "$dir/peer.out" 2>&1
    like "$mode: then it cannot be gone on with" "$(cat "$dir/peer.out")" \
        'dropped 0 32775 nothing is staged'

    # The second seal is settled at once: the receiver dies there.
    for point in settle-durable settle-recorded; do
        begin
        receiver_stop
        TIDEMARK_CRASH=$point receiver_start
        { cut_short $mode 2; echo "pass"; echo "sealed 0 3 $((2 * mib)) $granule"
          echo wait; } | peer > /dev/null 2>&1
        wait "$receiver_pid"
        is "$mode, $point: it dies there" $? 137
        receiver_pid=''
        receiver_start
        if [ $point = settle-durable ]; then
            is "$mode, $point: nothing was kept" "$(staged)" ""
            is "$mode, $point: and nothing is left over" "$(partials)" 0
            [ $mode = full ] || ok "$mode, $point: the older point stands" reads_as "$dir/a"
        else
            is "$mode, $point: it was kept, but for what is stale" "$(staged)" \
                "staged 0 $number 3 0+$mib $((2 * mib + granule))+$((mib - granule)) $((6 * mib))+1536"
            { go_on $mode 4 | sed "s|^end|data 0 $dir/b $((2 * mib)) $granule 4\nend|"
            } | peer > "$dir/peer.out" 2>&1
            like "$mode, $point: the run goes on" "$(tail -n 1 "$dir/peer.out")" '^durable'
            ok "$mode, $point: to the disk, and whole" reads_as "$dir/wanted"
        fi
    done
done

# A list of what is stale, without an end: it is recorded on the way, not kept in memory.
first_point
{ hello; echo "begin 0 incremental 0"; echo "sealed 0 2"; echo "data 0 $dir/b 0 $mib 2"
  echo "stale 0 3 1700"; echo ping; echo wait; } | peer > "$dir/peer.out" 2>&1 &
peer_pid=$!
pong() { grep -q pong "$dir/peer.out"; }
ok "1700 frames of a list are taken" eventually pong
extents=$(python3 -c 'import sqlite3, sys
print(sqlite3.connect(sys.argv[1]).execute(
    "SELECT ifnull(sum(length(extents)), 0) FROM staged").fetchone()[0])
' "$dir/store/.state.db")
holds "of their 66300 regions $extents bytes are recorded" "$extents >= 65536 * 24"
receiver_stop
wait $peer_pid
tap_end
