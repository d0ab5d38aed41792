#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A store that fills up: the run fails with a reason, the older point stands,
# and the next run completes once there is room. On tmpfs, which also knows no
# O_DIRECT in older kernels; and on ext4. Root.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/agent/lib.bash
. tests/agent/lib.bash

size=$((16 << 20))
make_image "$dir/a" $size 65536 1
python3 tests/agent/image.py make "$dir/b" $size 65536 2
python3 tests/agent/image.py fill "$dir/b" "$dir/c" 65536 3

run() { # MODE OLD NEW EPOCH
    peer <<END
hello web
open 0 vm1 vda $tracker $size 65536
begin 0 $1 0
$([ "$1" = full ] && echo "full 0 $3 $4" || echo "diff 0 $2 $3 $4")
end 0 $4
commit
END
}

replica=$dir/store/web/vm1/vda/replica.raw

leave() { # BYTES: fill all but these
    local room
    rm -f "$dir/store/filler"
    room=$(df --output=avail -B1 "$dir/store" | tail -n 1)
    fallocate -l $((room - $1)) "$dir/store/filler"
}

filled() { # NAME
    local name=$1 out
    rm -rf "$dir/store/web" "$dir/store/.state.db"*
    # No room for a first point.
    leave $((6 << 20))
    receiver_start
    like "$name: no room for a first point" "$(run full x "$dir/a" 1)" \
        'error 32768 .*No space left on device'
    is "$name: nothing of it is left" "$(find "$dir/store" -path "$dir/store/web*")" ''
    # A sender that asks is told that it was for want of room, so that it tries again.
    echo "0 $size" > "$dir/list"
    like "$name: a sender knows that it is worth another try" \
        "$("$helpers"/send-bits "$receiver_port" "$dir/a" "$dir/list" 1 2>&1)" \
        '^32768 \(worth another try\): .*No space left'
    rm -f "$dir/store/filler"
    like "$name: with room it completes" "$(run full x "$dir/a" 1)" 'durable 1$'
    # No room for the overlay.
    leave $((2 << 20))
    like "$name: no room for the next point" "$(run incremental "$dir/a" "$dir/b" 2)" \
        'error 32768 .*No space left on device'
    is "$name: nothing of it is left" "$(find "$dir/store/web" -name '*.qcow2*' | wc -l)" 0
    ok "$name: the older point stands" eventually receiver_says 'vda ready point 1 epoch 1 '
    ok "$name: to the byte" cmp "$dir/a" "$replica"
    rm -f "$dir/store/filler"
    like "$name: with room it completes" "$(run incremental "$dir/a" "$dir/b" 3)" 'durable 2$'
    receiver_settled
    ok "$name: and is identical" cmp "$dir/b" "$replica"
    # Room for the overlay, none for the merge, which fills holes of the raw file.
    leave $((9 << 20))
    out=$(run incremental "$dir/b" "$dir/c" 4)
    like "$name: no room for the merge: committed all the same" "$out" 'durable 3$'
    for _ in {1..100}; do
        sleep 0.1
        out=$(receiver_status)
        [[ $out == *"vda ready"* ]] && [[ $name != xfs || $out != *.qcow2 ]] && break
    done
    if [ "$name" = xfs ]; then
        # Where extents can be shared a merge moves nothing, and needs no room.
        like "$name: merged all the same" "$out" 'vda ready point 3 .*replica.raw$'
        ok "$name: and reads as it should" cmp "${out##* }" "$dir/c"
    else
        like "$name: its overlay is what is opened" "$out" 'vda ready point 3 .*point-3.qcow2$'
        ok "$name: and reads as it should" qemu-img compare -f qcow2 -F raw "${out##* }" "$dir/c"
        like "$name: the log says why" "$(cat "$dir/log")" \
            'stays an overlay for now: .*No space left'
    fi
    like "$name: nothing is begun before that is merged" "$(run incremental "$dir/c" "$dir/a" 5)" \
        'error 32768 .*No space left'
    rm -f "$dir/store/filler"
    like "$name: with room both happen" "$(run incremental "$dir/c" "$dir/a" 6)" 'durable 4$'
    receiver_settled
    ok "$name: and is identical" cmp "$dir/a" "$replica"
    receiver_stop
}

if [ "$(id -u)" != 0 ]; then
    skip "a store that fills up" "needs root, to mount small file systems"
    tap_end
    exit
fi
mkdir "$dir/store"
if mount -t tmpfs -o size=36m none "$dir/store" 2> /dev/null; then
    at_end "umount $dir/store 2> /dev/null"
    filled tmpfs
    umount "$dir/store"
else
    skip "tmpfs" "cannot mount here"
fi
for fs in ext4 xfs; do
    rm -f "$dir/fs"
    # XFS is not made smaller than 300 MB: most of it is taken by a file.
    truncate -s "$([ $fs = xfs ] && echo 320M || echo 48M)" "$dir/fs"
    if ! mkfs.$fs -q "$dir/fs" 2> /dev/null || ! mount -o loop "$dir/fs" "$dir/store" 2> /dev/null; then
        skip "$fs" "cannot make or mount it here"
        continue
    fi
    if [ $fs = xfs ]; then
        room=$(df --output=avail -B1 "$dir/store" | tail -n 1)
        fallocate -l $((room - (36 << 20))) "$dir/store/ballast"
    fi
    at_end "umount $dir/store 2> /dev/null"
    filled $fs
    umount "$dir/store"
done
tap_end
