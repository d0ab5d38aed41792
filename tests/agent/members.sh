#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Two whole agents and a collection of three VMs: one VM's disk is missing, another's
# is refused by the receiver, the third goes on; then all are well again. A rate limit
# is kept.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
. tests/agent/agents.bash

image "$dir/a.img" $((6 << 20)) 1
image "$dir/b.img" $((4 << 20)) 2
image "$dir/d0.img" $((5 << 20)) 3
sender_configure d0 << END
[disk c/good/a]
device = $dir/a.img
tracking = none
[disk c/missing/a]
device = $dir/b.img
tracking = none
[disk c/missing/b]
device = $dir/nowhere.img
tracking = none
END
bus_start sender && bus_start receiver
tap_line $? "a bus for each agent"
# What stands in the way of one VM's folder.
mkdir -p "$dir/store/c"
ln -s /nonexistent/nowhere "$dir/store/c/vm"
receiver_start
tap_line $? "the receiver starts"
sender_start
tap_line $? "the sender starts"

replica_of() { # VM DISK
    there status --json | python3 -c '
import json, sys
for r in json.load(sys.stdin)["replicas"]:
    if (r["vm"], r["disk"]) == tuple(sys.argv[1:3]):
        print(r["path"])' "$1" "$2"
}
# The newest point of a replica, raw or an overlay, reads as FILE.
reads_as() { # VM DISK FILE
    local path format=raw
    for _ in {1..50}; do
        path=$(replica_of "$1" "$2")
        case $path in *.qcow2) format=qcow2 ;; *) format=raw ;; esac
        qemu-img compare -q -f raw -F $format "$3" "$path" 2> /dev/null && return 0
        sleep 0.1
    done
    return 1
}

here resync c --wait > "$dir/out" 2>&1
is "a run of which some fail ends with warnings: 12" $? 12
like "it names the disk that is missing" "$(cat "$dir/out" "$dir/sender.log")" \
    'missing/b: there is no .*nowhere.img'
like "and what the receiver says of the one that it refuses" "$(cat "$dir/out" "$dir/sender.log")" \
    'the replica host .* says: '
ok "the VM that is well is in the point" reads_as good a "$dir/a.img"
is "of the others there is nothing" "$(replica_of missing a)$(replica_of vm d0)" ''

cp "$dir/b.img" "$dir/nowhere.img"
rm "$dir/store/c/vm"
ok "when they are mended, all go on" here resync c --wait
ok "good" reads_as good a "$dir/a.img"
ok "missing, both disks" reads_as missing a "$dir/b.img"
ok "missing, both disks" reads_as missing b "$dir/nowhere.img"
ok "vm" reads_as vm d0 "$dir/d0.img"
tap_end
