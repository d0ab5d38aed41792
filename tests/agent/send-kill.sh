#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# kill -9 of sender and receiver at random moments of a run: the replica is
# always openable and is the old disk or the new one, never a mixture, and the
# next run completes. send-kill.sh [ROUNDS [SEED]]
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
. tests/agent/agents.bash
rounds=${1:-10}
RANDOM=${2:-$$}
note "seed ${2:-$$}"

image "$dir/d0.img" $((96 << 20)) 1
image "$dir/d1.img" $(((20 << 20) + 1536)) 2
sender_configure d0 d1 < /dev/null
bus_start sender && bus_start receiver && receiver_start && sender_start
ok "the first run" here resync c --wait

# Both disks are old, or both are new: a collection's point is one.
is_one_point() {
    if replica_is d0 "$dir/d0.old" > /dev/null; then
        replica_is d1 "$dir/d1.old" && return 0
    fi
    replica_is d0 "$dir/d0.img" && replica_is d1 "$dir/d1.img"
}

old=0
for ((round = 0; round < rounds; round++)); do
    for victim in sender receiver; do
        for disk in d0 d1; do
            cp "$dir/$disk.img" "$dir/$disk.old"
            change "$dir/$disk.img" 10 "$RANDOM" > /dev/null
        done
        delay=$((RANDOM % 400))
        here resync c > /dev/null
        sleep "$(printf '0.%03d' $delay)"
        agent_kill $victim 9
        ${victim}_start
        # What was a point when it died is one, and nothing else is.
        ok "$victim killed after $delay ms: the replica is one point" is_one_point
        replica_is d0 "$dir/d0.old" > /dev/null 2>&1 && old=$((old + 1))
        # A job of the sender may still be ending, after the receiver died.
        for _ in {1..100}; do
            here status c --json | grep -q '"job": *null' && break
            sleep 0.1
        done
        ok "the next run completes" here resync c --wait
        ok "and the replica is the disk" eval \
            'replica_is d0 "$dir/d0.img" && replica_is d1 "$dir/d1.img"'
    done
done
note "$old of $((2 * rounds)) found the old point"
tap_end
