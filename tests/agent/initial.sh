#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# An initial replication that does not go over the network: exported to a folder on the
# primary, imported on the replica host, compared and brought up to date by the next run.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
. tests/agent/agents.bash

# code WORD...: the exit status of a command whose output goes to $dir/out
code() { "$@" > "$dir/out" 2>&1; echo $?; }
state() { here status --json | field collections.0.vms.0.state_name; }
jobs_of() { here history c --json | field "jobs.0.$1"; }
job_type() { # JOB
    busctl "--address=unix:path=$dir/sender.bus" get-property org.tidemark.Replication1 \
        "/org/tidemark/Replication1/Job/$1" org.tidemark.Replication1.Job JobType
}

image "$dir/d0.img" $((4 << 20)) 1
image "$dir/d1.img" $(((2 << 20) + 512)) 2
sender_configure d0 d1 < /dev/null
bus_start sender && bus_start receiver && receiver_start && sender_start
tap_line $? "two agents"
copy=$dir/out.d/c/vm
held() { # what the replica host has: its replicas, and how many files
    echo "$(there status --json | field replicas)" \
        "$(find "$dir/store" -mindepth 2 -type f | wc -l)"
}

# -- out ------------------------------------------------------------------------------
is "an export needs a place" "$(code here start c --type export)" 2
is "and is not seeded at once" "$(code here start c --seeded --export "$dir/out.d")" 2
is "that is empty" "$(code here start c --export "$dir")" 2
like "else it is said" "$(cat "$dir/out")" "not empty"
is "it is made, in a folder named from here" \
    "$(cd "$dir" && code here start c --export out.d --wait)" 0
ok "as files that hold what the disks hold" cmp "$dir/d0.img" "$copy/d0/replica.raw"
ok "to the last sector" cmp "$dir/d1.img" "$copy/d1/replica.raw"
is "the collection is what it was: nothing is replicated yet" "$(state)" Ready
is "a job of its own type" "$(job_type "$(jobs_of job)")" "u 118"
is "the replica host has heard nothing of it" "$(there status --json | field replicas)" "[]"
is "twice to the same place: refused" "$(code here start c --export "$dir/out.d")" 2

# -- in -------------------------------------------------------------------------------
is "seeded without a copy there fails" "$(code here start c --seeded --wait)" 3
like "and says what to do" "$(cat "$dir/out")" "has no copy of it: import it there first"
is "the collection is still what it was" "$(state)" Ready
is "a folder without copies" "$(code there import c "$dir/store")" 3
is "a host that receives nothing" "$(code here import c "$dir/out.d")" 5
truncate -s +100 "$copy/d1/replica.raw"
is "a file that is no disk" "$(code there import c "$dir/out.d")" 2
like "is named" "$(cat "$dir/out")" "d1/replica.raw is no image"
is "nothing of the other is left either" "$(held)" "[] 0"
truncate -s -100 "$copy/d1/replica.raw"

# A file system that fills in the middle of it: all of it is gone, at once and after a start.
everything() { # what is known of c, and what lies in the store
    there status --json | python3 -c 'import json, sys
d = json.load(sys.stdin)
print(d["replicas"], d["collections"])'
    find "$dir/store/" -mindepth 1 ! -name ".*"
}
if [ "$(id -u)" = 0 ] && mkdir "$dir/small" && mount -t tmpfs -o size=5m none "$dir/small" 2> /dev/null; then
    agent_kill receiver TERM
    mv "$dir/store" "$dir/store.aside"
    ln -s "$dir/small" "$dir/store"
    receiver_start
    is "no space for both" "$(code there import c "$dir/out.d")" 1
    like "is said" "$(cat "$dir/out")" "No space left"
    is "nothing is left of it" "$(everything)" "[] []"
    is "no points" "$(code there points list c)" 3
    agent_kill receiver KILL
    receiver_start
    is "nor after a start" "$(everything)" "[] []"
    mount -o remount,size=32m "$dir/small"
    is "with space it is taken over" "$(code there import c "$dir/out.d")" 0
    ok "as it is" replica_is d1 "$dir/d1.img"
    is "given up" "$(code there points clear c --yes)" 0
    agent_kill receiver TERM
    umount "$dir/small"
    rm "$dir/store"
    mv "$dir/store.aside" "$dir/store"
    receiver_start
else
    skip "no space" "needs root, to mount a small file system"
fi

# A receiver that dies in the middle of it leaves nothing half.
for crash in begin-recorded:2 begin-created:2 disk-durable:1 disk-renamed:2 folders-synced; do
    agent_kill receiver TERM
    export TIDEMARK_CRASH=$crash
    receiver_start
    unset TIDEMARK_CRASH
    code there import c "$dir/out.d" > /dev/null
    wait "$receiver_pid"
    is "died at $crash" $? 137
    receiver_start
    is "and nothing is left" "$(held)" "[] 0"
done
old=$(sha256sum < "$dir/d0.img")
changed=$(change "$dir/d0.img" 10 3)
is "the copies are taken over" "$(code there import c "$dir/out.d")" 0
# Nobody has asked for the status, and it is not time yet to look by itself.
like "with the answer the collection is there" "$(busctl "--address=unix:path=$dir/receiver.bus" \
    get-property org.tidemark.Replication1 /org/tidemark/Replication1/Collection/c \
    org.tidemark.Replication1.Collection StateName 2>&1)" '^s "'
is "as they are" "$(sha256sum < "$(replica_path d0)")" "$old"
ok "both" replica_is d1 "$dir/d1.img"
rm -r "$dir/out.d"
is "a second time: refused" "$(mkdir -p "$copy/d0"; cp "$dir/d0.img" "$copy/d0/replica.raw"
    code there import c "$dir/out.d")" 9

# -- brought up to date ---------------------------------------------------------------
is "seeded" "$(code here start c --seeded --wait --json --no-progress)" 0
is "sends what differs, and no more" "$(field bytes_sent < "$dir/out")" "$changed"
is "by a comparison" "$(job_type "$(jobs_of job)")" "u 117"
ok "identical" replica_is d0 "$dir/d0.img"
ok "both disks" replica_is d1 "$dir/d1.img"
is "and it replicates" "$(state)" Replicating
tap_end
