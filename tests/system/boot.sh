#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# boot.sh KERNEL: a VM boots from a point. The disk is a small Debian with systemd; three
# points of it say which they are in a file. One that is in the middle of the chain is
# booted as a test failover, the newest as a failover, and what the VM wrote is there
# after the commit.
set -u
kernel=$1
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
. tests/agent/agents.bash

base=$(tests/guest/mkroot 2> build/mkroot.err)
status=$?
if [ $status = 75 ] && [ "$(id -u)" != 0 ]; then
    echo "1..0 # SKIP $(tail -n 1 build/mkroot.err)"
    exit 0
fi
is "there is a root image" $status 0
cp --sparse=always "$base" "$dir/d0.img" || exit 1
sender_configure d0 < /dev/null
mkdir "$dir/receiver.conf.d"
printf '[receiver]\nhistory = 3\n' > "$dir/receiver.conf.d/history.conf"
bus_start sender && bus_start receiver && receiver_start && sender_start
tap_line $? "two agents"

for point in 1 2 3; do
    echo "point $point" > "$dir/marker"
    debugfs -w -R "rm /marker" "$dir/d0.img" > /dev/null 2>&1
    debugfs -w -R "write $dir/marker /marker" "$dir/d0.img" > /dev/null 2>&1
    here resync c --wait --no-progress > "$dir/out" 2>&1
    is "point $point" $? 0
done
folder=$dir/store/c/vm/d0

boots() { # FILE: what the VM says of itself
    tests/guest/run --kernel "$kernel" --module none --root "$1" --timeout 600 --mem 1280 \
        --name "boot-$(basename "$dir")" -- bash -c '
        echo "$(cat /marker), $(ps -o comm= -p 1), $(findmnt -no FSTYPE /)"
        systemctl --failed --no-legend
        echo "the VM was here" > /written && sync' 2>&1
}

there test-failover start c --point 2 --no-progress > "$dir/out" 2>&1
is "a test of the point in the middle" $? 0
ok "QEMU knows its backing chain" qemu-img info --backing-chain "$folder/test.qcow2"
is "a VM boots from it" "$(boots "$folder/test.qcow2")" "point 2, systemd, ext4"
ok "and leaves an image that QEMU finds nothing wrong with" qemu-img check -q "$folder/test.qcow2"
there test-failover stop c --no-progress > "$dir/out" 2>&1
is "the test is over" $? 0
ok "the newest point is as it was" replica_is d0 "$dir/d0.img"

there failover c --no-progress > "$dir/out" 2>&1
is "a failover to the newest point" $? 0
is "a VM boots from it" "$(boots "$folder/failover.qcow2")" "point 3, systemd, ext4"
there failover commit c --no-progress > "$dir/out" 2>&1
is "it is committed" $? 0
is "what the VM wrote is on the disk" \
    "$(debugfs -R 'cat /written' "$folder/replica.raw" 2> /dev/null)" "the VM was here"
ok "whose file system is whole" bash -c "e2fsck -fp '$folder/replica.raw' > '$dir/fsck' || [ \$? = 1 ]"
tap_end
