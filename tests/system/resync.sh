#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# resync.sh KERNEL: from a marked granule to an identical replica. Two disks of
# one VM, full, then 5 % changed: what is sent is what was marked, and both
# replicas are the disks, byte for byte.
set -u
kernel=$1
. "$(dirname "$0")/lib.sh"

field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

truncate -s 1G "$work/d0.img"
truncate -s $((300 * 1048576 + 512)) "$work/d1.img" # no multiple of anything
receiver_start || exit 1
guest_start "$kernel" 64K 2 || exit 1

guest 'scribble /dev/mapper/d0 1 10 65536; scribble /dev/mapper/d1 1 20 65536' > /dev/null
full=$(guest 'tidemark resync c --wait --json --no-progress')
is "the full run succeeds" $? 0
note "full: $full"
ok "d0: the replica is the disk" replica_is d0 "$work/d0.img"
ok "d1, of an odd size: the replica is the disk" replica_is d1 "$work/d1.img"

changed=$(guest 'scribble /dev/mapper/d0 2 5 65536')
marked=$(guest 'tidemark disks --json' | python3 -c '
import json, sys
print(sum(d["marked"] for d in json.load(sys.stdin)["disks"]))')
is "what is marked is what was changed, exactly" "$marked" $((changed * 65536))
run=$(guest 'tidemark resync c --wait --json --no-progress')
is "the incremental run succeeds" $? 0
wire=$(field bytes_on_wire <<< "$run")
sent=$(field bytes_sent <<< "$run")
reads=$(field read_calls <<< "$run")
note "incremental: $run"
note "marked $marked bytes, sent $sent, on the wire $wire: frames $((wire - sent)); $reads reads"
holds "bytes on the wire stay under 1.02 x the marked bytes" "wire * 100 < marked * 102"
holds "and under 1.02 x the bytes sent, zeroes left out" "wire * 100 < sent * 102"
ok "d0: the replica is the disk" replica_is d0 "$work/d0.img"
ok "d1: the replica is the disk" replica_is d1 "$work/d1.img"

ok "verify finds no difference" guest 'tidemark verify c'
guest 'tidemark resync c --wait' > /dev/null
is "nothing is left to do: no job, exit status 0" $? 0
like "and over D-Bus: 0, and no job" \
    "$(guest 'busctl --address=unix:path=/run/dbus/tidemark call org.tidemark.Replication1 \
        /org/tidemark/Replication1 org.tidemark.Replication1.Service Resynchronize \
        "ssba{sv}" c "" false 0')" 'uo 0 "/"'

# A difference that no mark explains is found by verify, and named.
path=$(replica_path d0)
printf x | dd of="$path" bs=1 seek=$((7 * 65536 + 5)) conv=notrunc 2> /dev/null
verify=$(guest 'tidemark verify c')
is "a byte changed behind our back: verify fails" $? 1
like "and says where" "$verify" 458752
tap_end
