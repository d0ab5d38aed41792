#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# odd.sh KERNEL: granules of 4 KiB and of 4 MiB, disks of 4 KiB sectors, sizes
# that are no multiple of the granule: replicated to the last byte, and nothing
# but what was marked is sent.
set -u
kernel=$1
. "$(dirname "$0")/lib.sh"

round() { # GRANULE UNIT WRITES SIZE: d0 is of SIZE bytes, its last granule short
    local granule=$1 unit=$2 changed marked run wire
    rm -rf "$work/store" "$work/state"
    rm -f "$work/d0.img"
    mkdir -p "$work/store" "$work/state"
    truncate -s "$3" "$work/d0.img"
    receiver_start || exit 1
    guest_start "$kernel" "$granule" 1 || exit 1
    guest "scribble /dev/mapper/d0 1 50 $unit" > /dev/null
    ok "granule $granule: full run" guest 'tidemark resync c --wait'
    ok "granule $granule: identical" replica_is d0 "$work/d0.img"
    changed=$(guest "scribble /dev/mapper/d0 2 5 $unit")
    # The last sectors of the disk, in the short granule.
    guest 'dd if=/dev/urandom of=/dev/mapper/d0 bs=4096 count=1 oflag=direct status=none \
        seek=$(($(blockdev --getsize64 /dev/mapper/d0) / 4096 - 1))'
    marked=$(guest 'tidemark disks --json' | python3 -c '
import json, sys
print(json.load(sys.stdin)["disks"][0]["marked"])')
    run=$(guest 'tidemark resync c --wait --json --no-progress')
    is "granule $granule: incremental run" $? 0
    wire=$(python3 -c 'import json, sys; print(json.load(sys.stdin)["bytes_on_wire"])' <<< "$run")
    note "$changed units of $unit changed, $marked bytes marked, $wire on the wire"
    ok "granule $granule: identical again, to the last byte" replica_is d0 "$work/d0.img"
    holds "granule $granule: on the wire is what was marked, and frames" \
        "wire < marked + marked / 50 + 4096"
    ok "granule $granule: verify" guest 'tidemark verify c'
    guest_kill
    receiver_kill KILL
}

disk_options=,logical=4096,physical=4096
round 4K 4096 $((64 * 1048576 + 5 * 4096))
disk_options=''
round 4M 1048576 $((130 * 1048576 + 1536))
tap_end
