#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What a receiver is for: full, incremental with passes, compare, verify, of
# odd disks, into files and devices; disks that change their size; several
# disks in one point; what status says meanwhile.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/agent/lib.bash
. tests/agent/lib.bash

replica() { echo "$dir/store/$1/$2/$3/replica.raw"; }

same() { # NAME COLLECTION IMAGE: replica of vm1/vda
    receiver_settled
    ok "$1" cmp "$(replica "$2" vm1 vda)" "$3"
}

# Each geometry: full, then incremental in two passes over the same granules.
geometry() { # COLLECTION SIZE GRANULE
    local c=$1 size=$2 granule=$3 out
    make_image "$dir/a" "$size" "$granule" 1
    change_image "$dir/a" "$dir/b" "$granule" 2
    change_image "$dir/b" "$dir/c" "$granule" 3
    out=$(peer <<END
hello $c
open 0 vm1 vda $tracker $size $granule
begin 0 full 0
full 0 $dir/a 1
end 0 1
commit
END
    )
    like "$c: full" "$out" 'opened 0 .*durable 1$'
    same "$c: and is identical" "$c" "$dir/a"
    # The second pass overwrites and re-zeroes what the first has staged.
    out=$(peer <<END
hello $c
open 0 vm1 vda $tracker $size $granule
begin 0 incremental 0
diff 0 $dir/a $dir/b 2
pass
diff 0 $dir/b $dir/c 3
pass
diff 0 $dir/c $dir/b 4
pass
diff 0 $dir/b $dir/c 5
end 0 5
commit
END
    )
    like "$c: incremental, four passes" "$out" "opened 1 1 $size 1 $tracker.*durable 2\$"
    same "$c: and is identical" "$c" "$dir/c"
    out=$(peer <<END
hello $c
open 0 vm1 vda ${tracker/00/ff} $size $granule
begin 0 compare 0
compare 0 $dir/b 9
end 0 9
commit
END
    )
    like "$c: compare, from another tracker" "$out" "opened 1 5 $size 2 $tracker.*durable 3\$"
    same "$c: and is identical" "$c" "$dir/b"
    out=$(peer <<END
hello $c
open 0 vm1 vda $tracker $size $granule
begin 0 verify 0
verify 0 $dir/b
END
    )
    like "$c: verify finds nothing" "$out" 'differ 0$'
    out=$(peer <<END
hello $c 1 1 64
open 0 vm1 vda $tracker $size $granule
begin 0 verify 0
verify 0 $dir/b
verify 0 $dir/c
END
    )
    like "$c: nor by SHA-256, and the granules that do differ" "$out" \
        "^welcome 1 64.*differ 0.differ $("$helpers/differ" "$dir/b" "$dir/c" "$granule")\$"
}

receiver_start
geometry plain $((12 << 20)) 65536
geometry ragged $(((9 << 20) + 7 * 512)) 65536
geometry small-granule $(((3 << 20) + 3 * 512)) 4096
geometry large-granule $(((21 << 20) + 512)) $((4 << 20))
geometry one-sector 512 65536
geometry one-block $((65536 + 4096)) 65536

# One step for all disks; a disk may be new while others are not.
for d in 0 1 2; do make_image "$dir/m$d" $((2 << 20)) 65536 "3$d"; done
out=$({
    echo hello group
    for d in 0 1; do echo "open $d vm$d vda $tracker $((2 << 20)) 65536"; done
    for d in 0 1; do echo "begin $d full 0"; done
    for d in 0 1; do echo "full $d $dir/m$d 1"; echo "end $d 1"; done
    echo commit
} | peer)
like "two disks, one point" "$out" 'durable 1$'
out=$({
    echo hello group
    for d in 0 1 2; do echo "open $d vm$d vda $tracker $((2 << 20)) 65536"; done
    echo "begin 0 incremental 0"
    echo "begin 1 incremental 0"
    echo "begin 2 full 0"
    echo "diff 0 $dir/m0 $dir/m2 2"
    echo "full 2 $dir/m2 2"
    for d in 0 1 2; do echo "end $d 2"; done
    echo commit
} | peer)
like "a third disk joins" "$out" 'durable 2$'
receiver_settled
ok "its replica is identical" cmp "$(replica group vm2 vda)" "$dir/m2"
ok "the changed one too" cmp "$(replica group vm0 vda)" "$dir/m2"
ok "the unchanged one too" cmp "$(replica group vm1 vda)" "$dir/m1"

# A disk that grows and shrinks.
size=$((5 << 20))
make_image "$dir/a" $size 65536 40
resize_run() { # OLD NEW EPOCH: what is new and zero is not sent
    peer <<END
hello sized
open 0 vm1 vda $tracker $(stat -c %s "$2") 65536
begin 0 $([ "$1" = none ] && echo full || echo incremental) 0
$([ "$1" = none ] && echo "full 0 $2 $3" || echo "diff 0 $1 $2 $3")
end 0 $3
commit
END
}
resize_run none "$dir/a" 1 > "$dir/peer.out"
epoch=1 old=$dir/a
for new_size in $(((7 << 20) + 512)) $(((9 << 20) + 1024)) $((4 << 20)) 4096 $((6 << 20)); do
    epoch=$((epoch + 1))
    change_image "$old" "$dir/r$epoch" 65536 $epoch $new_size
    resize_run "$old" "$dir/r$epoch" $epoch > "$dir/peer.out"
    like "resized to $new_size" "$(tail -n 1 "$dir/peer.out")" '^durable'
    same "resized to $new_size: identical" sized "$dir/r$epoch"
    old=$dir/r$epoch
done

# What status says.
out=$(receiver_status)
like "status: newest point and epoch" "$out" \
    "group/vm1/vda ready point 2 epoch 2 size $((2 << 20)) $dir/store/group/vm1/vda/replica.raw"
mkfifo "$dir/script"
peer < "$dir/script" > "$dir/peer.out" &
exec 5> "$dir/script"
echo "hello group
open 0 vm0 vda $tracker $((2 << 20)) 65536
begin 0 incremental 0
diff 0 $dir/m2 $dir/m0 3
ping" >&5
for _ in {1..50}; do grep -q pong "$dir/peer.out" && break; sleep 0.05; done
like "status: receiving, and the old point is openable" "$(receiver_status)" \
    "group/vm0/vda receiving point 2 .* $dir/store/group/vm0/vda/replica.raw"
is "a partial point lies beside it" "$(find "$dir/store/group" -name '*.partial' | wc -l)" 1

# One at a time for a collection; others go on.
receiver_stop_busy=$(peer <<END
hello plain
open 0 vm1 vda $tracker $((12 << 20)) 65536
begin 0 verify 0
ping
END
)
like "another collection goes on meanwhile" "$receiver_stop_busy" 'pong$'
echo "ping" >&5
exec 5>&-
wait $!
for _ in {1..50}; do
    [ "$(find "$dir/store/group" -name '*.partial' | wc -l)" = 0 ] && break
    sleep 0.05
done
is "a peer that leaves before COMMIT leaves nothing" \
    "$(find "$dir/store/group" -name '*.partial' -o -name '*.qcow2' | wc -l)" 0
for _ in {1..100}; do
    [[ $(receiver_status) != *"group/vm0/vda receiving"* ]] && break
    sleep 0.1
done
like "and its point is as it was" "$(receiver_status)" "group/vm0/vda ready point 2 "
ok "to the byte" cmp "$(replica group vm0 vda)" "$dir/m2"

# What may not follow on what.
peer_says() { # NAME REGEX: the script on stdin
    like "$1" "$(peer)" "$2"
}
peer_says "incremental from another tracker is refused" 'error 32775 .*must be compared' <<END
hello group
open 0 vm0 vda ${tracker/00/ee} $((2 << 20)) 65536
begin 0 incremental 0
END
peer_says "full over a point is refused" 'error 32775 .*has point 2' <<END
hello group
open 0 vm0 vda $tracker $((2 << 20)) 65536
begin 0 full 0
END
peer_says "incremental over nothing is refused" 'error 32775 .*in full' <<END
hello group
open 0 vm9 vda $tracker $((2 << 20)) 65536
begin 0 incremental 0
END
peer_says "an epoch that goes back is refused" 'error 32775 epoch 1 .*cannot follow epoch 2' <<END
hello group
open 0 vm0 vda $tracker $((2 << 20)) 65536
begin 0 incremental 0
end 0 1
commit
END
peer_says "a disk that QEMU could not open a point of is refused" 'error 32770 .*too large' <<END
hello huge
open 0 vm0 vda $tracker $((9 << 40)) 4096
begin 0 full 0
END

# A replica that is gone from the store begins anew; a point that is damaged is compared.
rm "$(replica group vm2 vda)"
peer_says "a replica that is gone begins anew" 'opened 0 .*durable 3$' <<END
hello group
open 0 vm2 vda $tracker $((2 << 20)) 65536
begin 0 full 0
full 0 $dir/m1 9
end 0 9
commit
END
like "and that was logged" "$(cat "$dir/log")" 'group/vm2/vda is gone from the store'
receiver_stop
TIDEMARK_CRASH=told receiver_start
peer > "$dir/peer.out" 2>&1 <<END
hello group
open 0 vm2 vda $tracker $((2 << 20)) 65536
begin 0 incremental 0
diff 0 $dir/m1 $dir/m0 10
end 0 10
commit
END
wait "$receiver_pid"
dd if=/dev/urandom of="$dir/store/group/vm2/vda/point-4.qcow2" bs=4096 seek=0 count=16 \
    conv=notrunc status=none
receiver_start
sleep 0.5
like "a damaged point is noticed at the start" "$(cat "$dir/log")" 'the overlay is damaged'
ok "and is not openable" eventually receiver_says 'group/vm2/vda damaged .* -'
peer_says "a comparison mends it" 'opened 1 10 .* 0{32}.*differ [1-9].*durable 5$' <<END
hello group
open 0 vm2 vda $tracker $((2 << 20)) 65536
begin 0 compare 0
compare 0 $dir/m0 11
end 0 11
commit
END
receiver_settled
ok "and it is identical" cmp "$(replica group vm2 vda)" "$dir/m0"
like "and ready" "$(receiver_status)" "group/vm2/vda ready point 5 "
ok "a second agent cannot use the store" \
    bash -c "! '$helpers/receiver-run' '$dir/store' 2> '$dir/second'"
like "and is told why" "$(cat "$dir/second")" 'another agent uses the store'
tap_end
