#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The receiving agent dies at every durable step of a failover, its revert and its
# commit. After a restart the method ends as it should have: it goes on by itself, or
# is asked for again; disks and points are right, and qemu-img finds files in order.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/agent/agents.bash
. tests/agent/agents.bash

bus_start sender
bus_start receiver
size=$((1 << 20))
image "$dir/d0.img" $size 1
image "$dir/d1.img" $size 2
sender_configure d0 d1 < /dev/null
mkdir "$dir/receiver.conf.d"
printf '[receiver]\nhistory = 3\n' > "$dir/receiver.conf.d/history.conf"
receiver_start
sender_start
for n in 1 2 3 4; do
    here resync c --wait --no-progress > /dev/null 2>&1
    for d in d0 d1; do
        cp "$dir/$d.img" "$dir/$d-$n.img"
        change "$dir/$d.img" 20 "$n" > /dev/null
    done
done
agent_kill sender TERM
folder() { echo "$dir/store/c/vm/$1"; }

# until COMMAND: tried for 15 s
until_ok() {
    for _ in {1..150}; do "$@" > /dev/null 2>&1 && return 0; sleep 0.1; done
    return 1
}
state_is() { there list --json 2> /dev/null | grep -q "\"$1\""; }

save() { # the agent's state and store as they are
    agent_kill receiver TERM
    rm -rf "$dir/saved" && mkdir "$dir/saved"
    cp -a "$dir/store" "$dir/receiver" "$dir/saved"
}

# METHOD dies at CRASH, from the state that was saved; then the agent starts again,
# and METHOD is asked for again, as long as it does not say that it is done
crash() { # CRASH COMMAND...
    local point=$1
    shift
    rm -rf "$dir/store" "$dir/receiver"
    cp -a "$dir/saved/." "$dir"
    TIDEMARK_CRASH=$point receiver_start
    timeout 20 "$bin/tidemark" "$@" --no-progress --bus "unix:path=$dir/receiver.bus" > "$dir/out" 2>&1
    for _ in {1..100}; do kill -0 "$receiver_pid" 2> /dev/null || break; sleep 0.05; done
    if kill -0 "$receiver_pid" 2> /dev/null; then
        is "$*: $point was met" no yes
        agent_kill receiver TERM
    fi
    wait "$receiver_pid" 2> /dev/null
    receiver_start
    # The job that was cut short goes on; should it have ended, this changes nothing.
    for _ in {1..60}; do
        there jobs --json 2> /dev/null | grep -q '"state_name":"Running"' || break
        sleep 0.1
    done
    there "$@" --no-progress > "$dir/out" 2>&1
}

disks_are() { # TITLE NAME POINT
    local d
    for d in d0 d1; do
        ok "$1: $d is in order" qemu-img check -q "$(folder $d)/$2"
        ok "$1: $d is point $3" qemu-img compare -q -f qcow2 -F raw "$(folder $d)/$2" "$dir/$d-$3.img"
    done
}

points_are() { # TITLE POINT...
    local title=$1 p path
    shift
    for p; do
        path=$(there points show c "$p" --noheadings --output PATH | head -n 1 | tr -d ' ')
        ok "$title: point $p is what it was" same "$dir/d0-$p.img" "$path"
    done
}

save
for point in failover-recorded failover-created failover-created:2; do
    crash $point failover c --point 2
    disks_are "failover, $point" failover.qcow2 2
    points_are "failover, $point" 1 2 3 4
    agent_kill receiver TERM
done
for point in failover-recorded failover-created; do
    crash $point test-failover start c --point 3
    disks_are "test, $point" test.qcow2 3
    points_are "test, $point" 1 2 3 4
    agent_kill receiver TERM
done

rm -rf "$dir/store" "$dir/receiver"
cp -a "$dir/saved/." "$dir"
receiver_start
there failover c --point 2 --no-progress > /dev/null 2>&1
for d in d0 d1; do
    qemu-io -f qcow2 -c 'write -P 0x77 64k 128k' "$(folder $d)/failover.qcow2" > /dev/null
    cp "$dir/$d-2.img" "$dir/$d-w.img"
    qemu-io -f raw -c 'write -P 0x77 64k 128k' "$dir/$d-w.img" > /dev/null
done
save
for point in failover-removed failover-removed:2; do
    crash $point failover revert c
    is "revert, $point: no disk is left" "$(find "$dir/store" -name 'failover.qcow2*' | wc -l)" 0
    points_are "revert, $point" 1 2 3 4
    agent_kill receiver TERM
done
for point in failover-committing failover-cut merge-copied merge-durable merge-recorded \
    failover-merged failover-taken failover-merged:2 failover-taken:2; do
    crash $point failover commit c
    for d in d0 d1; do
        ok "commit, $point: $d is the point and what was written" \
            until_ok cmp "$(folder $d)/replica.raw" "$dir/$d-w.img"
    done
    ok "commit, $point: no overlay is left" \
        until_ok bash -c "! find '$dir/store' -name '*.qcow2*' | grep -q ."
    agent_kill receiver TERM
done
tap_end
