#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Recovery points: each is what it was, as QEMU reads it, while newer ones are
# stacked on it and older ones are merged below it; the limits that a receiver
# and a sender set; a disk that is no part of every run; sizes that change.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/agent/lib.bash
. tests/agent/lib.bash

granule=4096
size=$((1024 * 1024 + 1536))

# One run of a disk: its image becomes $dir/img/NUMBER
run() { # VM NUMBER MODE OLD NEW [COMMIT...]
    local vm=$1 n=$2 mode=$3 old=$4 new=$5
    shift 5
    {
        echo "hello web 1 1 7"
        echo "open 0 $vm vda $tracker $(stat -c %s "$new") $granule"
        echo "begin 0 $mode 0"
        [ "$mode" = full ] && echo "full 0 $new $n" || echo "diff 0 $old $new $n"
        echo "end 0 $n"
        echo "commit ${*:-2}"
    } | peer
}

folder() { echo "$dir/store/web/$1/vda"; }

# The layers, the newest first, as qemu-img follows them: base names
backing_chain() { # FILE
    qemu-img info --backing-chain --output=json "$1" |
        python3 -c 'import json,os,sys
for i in json.load(sys.stdin): print(os.path.basename(i["filename"]))'
}

# Every point of a disk reads as the image that was sent
judge() { # NAME VM
    local bad='' f n
    for f in "$(folder "$2")"/point-*.qcow2; do
        [ -e "$f" ] || continue
        n=${f##*point-} n=${n%.qcow2}
        qemu-img check -q "$f" > /dev/null 2>&1 || bad+=" check:$n"
        [ -e "$dir/img/$2-$n" ] || continue
        qemu-img compare -q -f qcow2 -F raw "$f" "$dir/img/$2-$n" > /dev/null 2>&1 || bad+=" compare:$n"
    done
    is "$1: every point is what it was" "$bad" ''
}

# Wait until there are so many overlays
layers() { # VM COUNT
    for _ in {1..200}; do
        [ "$(find "$(folder "$1")" -name 'point-*.qcow2' | wc -l)" = "$2" ] &&
            ! receiver_status | grep -q "web/$1/vda merging" && return
        sleep 0.05
    done
    return 1
}

mkdir "$dir/img"
make_image "$dir/img/vm1-1" $size $granule 1
receiver_start --history 24
run vm1 1 full x "$dir/img/vm1-1" > "$dir/peer.out"
for n in {2..30}; do
    change_image "$dir/img/vm1-$((n - 1))" "$dir/img/vm1-$n" $granule "$n"
    run vm1 "$n" incremental "$dir/img/vm1-$((n - 1))" "$dir/img/vm1-$n" > "$dir/peer.out"
done
like "30 runs" "$(cat "$dir/peer.out")" 'durable 30$'
ok "24 further points are kept: 24 overlays" layers vm1 24
newest=$(find "$(folder vm1)" -name 'point-*.qcow2' | sort -V | tail -n 1)
is "the newest lies over the others in turn, and these over the raw replica" \
    "$(backing_chain "$newest" | tr '\n' ' ')" \
    "$(for n in {30..7}; do printf 'point-%d.qcow2 ' "$n"; done)replica.raw "
judge "a chain of 25" vm1
ok "the oldest is the raw replica" cmp "$(folder vm1)/replica.raw" "$dir/img/vm1-6"
like "status opens the newest" "$(receiver_status)" "point 30 .*point-30.qcow2"

# A comparison reads the newest bytes through all of them.
out=$(printf '%s\n' "hello web" "open 0 vm1 vda $tracker $size $granule" \
    "begin 0 verify 0" "verify 0 $dir/img/vm1-30" | peer)
like "what is newest is read through the chain" "$out" 'differ 0$'
out=$(printf '%s\n' "hello web" "open 0 vm1 vda $tracker $size $granule" \
    "begin 0 verify 0" "verify 0 $dir/img/vm1-29" | peer)
like "and an older one is told from it" "$out" 'differ [1-9][0-9]*$'

# A restart leaves them alone.
receiver_stop
before=$(sha256sum "$(folder vm1)"/*)
receiver_start --history 24
sleep 0.3
is "a restart leaves them alone" "$(sha256sum "$(folder vm1)"/*)" "$before"

# The sender says how many; the receiver has the last word.
change_image "$dir/img/vm1-30" "$dir/img/vm1-31" $granule 31
run vm1 31 incremental "$dir/img/vm1-30" "$dir/img/vm1-31" 1 5 > "$dir/peer.out"
ok "the sender wants 5: so many are left" layers vm1 5
judge "after 20 merges" vm1
ok "the oldest is the raw replica" cmp "$(folder vm1)/replica.raw" "$dir/img/vm1-26"
receiver_stop
receiver_start --history 24 --history-max 2
ok "the receiver allows 2: so many are left at the next start" layers vm1 2
judge "after a lower limit" vm1

# Another disk of the collection, whose runs are others: its old layer stands for
# points whose run it was no part of.
make_image "$dir/img/vm2-32" $size $granule 32
run vm2 32 full x "$dir/img/vm2-32" > "$dir/peer.out"
old=31
for n in 33 34; do
    change_image "$dir/img/vm1-$old" "$dir/img/vm1-$n" $granule "$n"
    run vm1 "$n" incremental "$dir/img/vm1-$old" "$dir/img/vm1-$n" > "$dir/peer.out"
    old=$n
done
like "two disks with runs of their own" "$(cat "$dir/peer.out")" 'durable 34$'
ok "three points: the layer that the oldest of them needs is left" layers vm1 2
ok "it is the raw replica" cmp "$(folder vm1)/replica.raw" "$dir/img/vm1-31"
ok "the other disk is what it was" cmp "$(folder vm2)/replica.raw" "$dir/img/vm2-32"
judge "of two disks" vm1
change_image "$dir/img/vm1-34" "$dir/img/vm1-35" $granule 35
run vm1 35 incremental "$dir/img/vm1-34" "$dir/img/vm1-35" > "$dir/peer.out"
ok "one run later nobody needs it" layers vm1 2
for _ in {1..40}; do cmp -s "$(folder vm1)/replica.raw" "$dir/img/vm1-33" && break; sleep 0.05; done
ok "and the next layer is the raw replica" cmp "$(folder vm1)/replica.raw" "$dir/img/vm1-33"
judge "one run later" vm1
receiver_stop

# A disk that grows and shrinks has points of all its sizes.
receiver_start --history 24
n=36 old=$dir/img/vm2-32
cp "$old" "$dir/img/vm3-$n"
run vm3 $n full x "$dir/img/vm3-$n" > "$dir/peer.out"
for s in $((2 << 20)) $(((1 << 20) + 512)) $((3 << 20)) 65536 $(((2 << 20) + 7 * 512)) $((1 << 20)); do
    old=$dir/img/vm3-$n
    n=$((n + 1))
    change_image "$old" "$dir/img/vm3-$n" $granule $n "$s"
    run vm3 $n incremental "$old" "$dir/img/vm3-$n" > "$dir/peer.out"
done
like "a disk of many sizes" "$(cat "$dir/peer.out")" "durable $n\$"
ok "as many as its sender wanted" layers vm3 5
judge "many sizes" vm3
receiver_stop
receiver_start --history-max 3
ok "merged, all but the newest three" layers vm3 3
judge "many sizes, merged" vm3
ok "the raw replica is what it was" cmp "$(folder vm3)/replica.raw" "$dir/img/vm3-$((n - 3))"
receiver_stop
receiver_start --history-max 0
ok "all merged" layers vm3 0
ok "the raw replica is the newest" cmp "$(folder vm3)/replica.raw" "$dir/img/vm3-$n"

# A point that is damaged takes what lies over it with it, and nothing else.
receiver_stop
receiver_start --history 4
for n in 43 44 45; do
    change_image "$dir/img/vm3-$((n - 1))" "$dir/img/vm3-$n" $granule $n
    run vm3 $n incremental "$dir/img/vm3-$((n - 1))" "$dir/img/vm3-$n" > "$dir/peer.out"
done
receiver_stop
dd if=/dev/urandom of="$(folder vm3)/point-44.qcow2" bs=4096 count=1 conv=notrunc status=none
receiver_start --history 4
out=$(run vm3 46 compare x "$dir/img/vm3-45" 2> /dev/null)
like "a damaged layer is noticed" "$(cat "$dir/log")" 'point 44 is lost, and what lies over it'
size3=$(stat -c %s "$dir/img/vm3-45")
out=$(printf '%s\n' "hello web" "open 0 vm3 vda $tracker $size3 $granule" "begin 0 compare 0" \
    "compare 0 $dir/img/vm3-45 46" "end 0 46" commit | peer)
like "a comparison mends it" "$out" 'opened 1 [0-9]+ [0-9]+ 43 0{32}.*durable 46$'
judge "the older points stand" vm3
like "and so does the newest" "$(receiver_status)" "web/vm3/vda ready point 46 "
ok "which is right" qemu-img compare -q -f qcow2 -F raw "$(folder vm3)/point-46.qcow2" "$dir/img/vm3-45"
is "what was damaged is kept aside" "$(cd "$(folder vm3)" && echo *.damaged)" \
    "point-44.qcow2.damaged point-45.qcow2.damaged"
receiver_stop
tap_end
