#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Test failover and failover over two agents: disks that QEMU opens and writes to,
# over any point, while runs go on; over NBD; reverted, committed; what is refused;
# and the agent killed in between.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/agent/agents.bash
. tests/agent/agents.bash

bus_start sender
bus_start receiver
size=$((2 << 20))
image "$dir/d0.img" $size 1
image "$dir/d1.img" $size 2
sender_configure d0 d1 < /dev/null
mkdir "$dir/receiver.conf.d"
printf '[receiver]\nhistory = 3\n' > "$dir/receiver.conf.d/history.conf"
receiver_start
sender_start
n=0
resync() { # one more point; the images are kept as $dir/D-N.img
    n=$((n + 1))
    here resync c --wait --no-progress > "$dir/resync" 2>&1 || return
    for d in d0 d1; do
        cp "$dir/$d.img" "$dir/$d-$n.img"
        change "$dir/$d.img" 10 "$n$n" > /dev/null
    done
}
for _ in 1 2 3 4; do resync; done
folder() { echo "$dir/store/c/vm/$1"; }
state() { there status --json | field replicas.0.state; }
do_there() { # NAME COMMAND...: a method that must succeed
    local name=$1
    shift
    ok "$name" there "$@" --no-progress
}
refused() { # CODE REGEX COMMAND...
    local code=$1 regex=$2 out status=0
    shift 2
    out=$(there "$@" --no-progress 2>&1) || status=$?
    is "$*: exit code" $status "$code"
    like "$*: why" "$out" "$regex"
}
scribble() { # FILE PATTERN: what a VM writes
    qemu-io -f qcow2 -c "write -P $2 64k 128k" -c "write -z 1M 64k" "$1" > /dev/null
}
written() { # OLD PATTERN NEW: the same on a raw file
    cp "$1" "$3"
    qemu-io -f raw -c "write -P $2 64k 128k" -c "write -z 1M 64k" "$3" > /dev/null
}

# -- a test, over an older point, while runs go on
refused 9 'is not possible' test-failover stop c
refused 3 'has no point 9' test-failover start c --point 9
do_there "a test over point 2" test-failover start c --point 2
for d in d0 d1; do
    ok "$d: its disk is point 2" qemu-img compare -q -f qcow2 -F raw "$(folder $d)/test.qcow2" "$dir/$d-2.img"
done
scribble "$(folder d0)/test.qcow2" 0xab
resync
resync
resync
is "runs go on" "$(there points list c --noheadings --output POINT | tr -d ' ' | tail -n 1)" 7
written "$dir/d0-2.img" 0xab "$dir/w.img"
ok "the test's disk is what the test made of it" \
    qemu-img compare -q -f qcow2 -F raw "$(folder d0)/test.qcow2" "$dir/w.img"
like "its point is kept" "$(there points list c)" ' 2 .*in use'
there points delete c 2 2> "$dir/out"
is "it is not deleted: exit code" $? 8
like "it is not deleted: why" "$(cat "$dir/out")" 'point 2 is in use'
agent_kill receiver KILL
receiver_start
ok "killed: the test's disk is what it was" \
    qemu-img compare -q -f qcow2 -F raw "$(folder d0)/test.qcow2" "$dir/w.img"
qemu-nbd --socket="$dir/busy.sock" --persistent -f qcow2 "$(folder d1)/test.qcow2" &
nbd=$!
for _ in {1..1200}; do [ -S "$dir/busy.sock" ] && break; sleep 0.05; done
there test-failover stop c --no-progress > "$dir/out" 2>&1
like "a disk in use is not thrown away" "$(cat "$dir/out")" 'is open in QEMU'
kill $nbd
wait $nbd
do_there "stopped" test-failover stop c
is "the disks are gone" "$(find "$dir/store" -name 'test.qcow2*' | wc -l)" 0
for _ in {1..100}; do [ -e "$(folder d0)/point-2.qcow2" ] || break; sleep 0.05; done
for p in 4 5 6 7; do
    path=$(there points show c $p --noheadings --output PATH | head -n 1 | tr -d ' ')
    ok "point $p is what it was" same "$dir/d0-$p.img" "$path"
done

# -- over NBD
mkdir "$dir/nbd"
like "the agent takes no relative path" "$(busctl "--address=unix:path=$dir/receiver.bus" call \
    org.tidemark.Replication1 /org/tidemark/Replication1 org.tidemark.Replication1.Service \
    TestReplicaCollection 'sta{sv}' c 0 1 Path s . 2>&1)" '32773: .: .*absolute'
(cd "$dir" && there test-failover start c --nbd nbd --no-progress > "$dir/out" 2>&1)
is "a test over NBD, in a folder named from here" $? 0
uri="nbd+unix:///?socket=$dir/nbd/c-vm-d0.sock"
ok "is what the newest point is" qemu-img compare -q -f raw -F raw "$uri" "$dir/d0-7.img"
ok "can be written to" qemu-io -f raw -c 'write -P 0x5a 0 64k' -c 'read -P 0x5a 0 64k' "$uri"
if command -v nbdinfo > /dev/null; then
    like "nbdinfo" "$(nbdinfo "$uri")" 'is_read_only: false'
fi
agent_kill receiver TERM
receiver_start
for _ in {1..1200}; do [ -S "$dir/nbd/c-vm-d0.sock" ] && break; sleep 0.05; done
ok "served again after a restart" qemu-io -f raw -r -c 'read -P 0x5a 0 64k' "$uri"
do_there "stopped" test-failover stop c
is "the sockets are gone" "$(find "$dir/nbd" -type s | wc -l)" 0
refused 2 'no folder' test-failover start c --nbd "$dir/none"

# -- failover to an older point, and back
do_there "failed over to point 5" failover c --point 5
is "status has the disk" "$(replica_path d0)" "$(folder d0)/failover.qcow2"
ok "it is point 5" qemu-img compare -q -f qcow2 -F raw "$(folder d0)/failover.qcow2" "$dir/d0-5.img"
out=$(here resync c --wait --no-progress 2>&1)
like "what the old primary sends is refused" "$out" 'failed over to point 5 on the replica host'
scribble "$(folder d0)/failover.qcow2" 0xcd
job=$(there failover revert c --no-wait --json | field job)
ok "reverted: its job is told as a document" there job wait "$job" --no-progress
is "where the end of a member that is not known is null" \
    "$(there job show "$job" --json | field members.0.eta)" null
is "and people are told of no bytes" "$(there job show "$job" | grep -c marked)" 0
like "a point's tracker is a UUID or null" "$(there points show c --json | field disks.0.tracker)" \
    '^(null|[0-9a-f]{8}-[0-9a-f-]{27})$'
is "the disks are gone" "$(find "$dir/store" -name 'failover.qcow2*' | wc -l)" 0
n=7
resync
is "and runs go on" "$(there points list c --noheadings --output POINT | tr -d ' ' | tail -n 1)" 8
ok "the newest point is right" replica_is d0 "$dir/d0-8.img"

# -- planned: with the VM stopped the primary sends what is left, and stops
for d in d0 d1; do cp "$dir/$d.img" "$dir/$d-9.img"; done
number() { here list --noheadings --output STATE-NUMBER | tr -d ' '; }
here planned-failover c --no-progress > "$dir/out" 2>&1
is "planned: the last difference is sent" $? 0
is "planned: the state" "$(number)" 11
like "planned: the newest point is final" "$(there points list c --noheadings | tail -n 1)" '^ *9 .*final'
for d in d0 d1; do ok "planned: nothing of $d is lost" replica_is $d "$dir/$d-9.img"; done
here resync c --wait --no-progress > "$dir/out" 2>&1
is "planned: a resynchronization is refused" $? 9
here planned-failover c --no-progress > "$dir/out" 2>&1
is "planned: twice is refused" $? 9
agent_kill sender KILL
sender_start
is "planned: killed, the state stands" "$(number)" 11
here planned-failover revert c --no-progress > "$dir/out" 2>&1
is "planned: reverted" $? 0
is "planned: it replicates" "$(number)" 3

# -- and for good
do_there "failed over to point 6" failover c --point 6
scribble "$(folder d0)/failover.qcow2" 0xee
qemu-nbd --socket="$dir/busy2.sock" --persistent -f qcow2 "$(folder d1)/failover.qcow2" &
nbd=$!
for _ in {1..1200}; do [ -S "$dir/busy2.sock" ] && break; sleep 0.05; done
there failover commit c --no-progress > "$dir/out" 2>&1
like "not while a VM runs" "$(cat "$dir/out")" 'is open in QEMU'
kill $nbd
wait $nbd
do_there "committed" failover commit c
is "no overlay is left" "$(find "$dir/store" -name '*.qcow2*' | wc -l)" 0
written "$dir/d0-6.img" 0xee "$dir/w.img"
ok "the raw replica is point 6 and what was written" cmp "$(folder d0)/replica.raw" "$dir/w.img"
ok "of the other disk, too" cmp "$(folder d1)/replica.raw" "$dir/d1-6.img"
out=$(here resync c --wait --no-progress 2>&1)
like "the old primary is refused still" "$out" 'for good'

# -- and back: the new primary sends, the old one's disks are its replicas
agent_kill sender TERM
port2=$(python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')
printf '[receiver]\nlisten = 127.0.0.1:%s\nstore = %s\n' "$port2" "$dir/store2" >> "$dir/sender.conf"
# Killed at each step: it goes on by itself, or is asked for again.
dies() { # here|there PID NAME COMMAND...
    local ask=$1 pid=$2 name=$3
    shift 3
    $ask "$@" --no-progress > "$dir/out" 2>&1
    for _ in {1..600}; do kill -0 "$pid" 2> /dev/null || break; sleep 0.05; done
    is "$name: it is met" "$(kill -0 "$pid" 2> /dev/null && echo no)" ''
}
idle() { # here|there
    for _ in {1..600}; do
        $1 jobs --json > "$dir/jobs" 2> /dev/null && ! grep -q '"state_name": *"Running"' "$dir/jobs" && return
        sleep 0.05
    done
}
TIDEMARK_CRASH=reverse-adopted sender_start
dies here "$sender_pid" reverse-adopted reverse prepare c
TIDEMARK_CRASH=reverse-adopted sender_start
for _ in {1..600}; do kill -0 "$sender_pid" 2> /dev/null || break; sleep 0.05; done
sender_start
idle here
here reverse prepare c --no-progress > "$dir/out" 2>&1
is "the old primary is prepared, or was" "$(number)" 12
out=$(there reverse c --to nowhere --no-progress 2>&1)
is "reverse: exit code of a wrong address" $? 2
like "reverse: a wrong address is named" "$out" "'nowhere' is no HOST:PORT"
here reverse c --to "127.0.0.1:$port2" --no-progress > "$dir/out" 2>&1
is "reverse: the old primary takes no address: exit code" $? 2
here reverse c --no-progress > "$dir/out" 2>&1
is "the old primary is a replica" $? 0
role() { python3 -c 'import json, sys; print([c["role"] for c in json.load(sys.stdin)["collections"]])'; }
agent_kill receiver TERM
TIDEMARK_CRASH=reverse-recorded receiver_start
dies there "$receiver_pid" reverse-recorded reverse c --to "127.0.0.1:$port2"
receiver_start
idle there
for _ in 1 2; do
    is "the old primary says so" "$(here list --json | role)" "['replica']"
    is "and the new one" "$(there list --json | role)" "['primary']"
    is "whose disks are no replicas any more" "$(there status --json | python3 -c '
import json, sys; print(len(json.load(sys.stdin)["replicas"]))')" 0
    agent_kill receiver TERM
    receiver_start
    agent_kill sender TERM
    sender_start
done
differ=0
for d in d0 d1; do
    differ=$((differ + $(cmp -l "$(folder $d)/replica.raw" "$dir/$d.img" |
        awk '{ g[int(($1 - 1) / 65536)] = 1 } END { for (i in g) n++; print n * 65536 }')))
done
there resync c --wait --no-progress --json > "$dir/reverse.json" 2> "$dir/out"
is "the new primary sends" $? 0
for d in d0 d1; do
    for _ in {1..100}; do cmp -s "$(folder $d)/replica.raw" "$dir/$d.img" && break; sleep 0.05; done
    ok "$d: both sides are identical" cmp "$(folder $d)/replica.raw" "$dir/$d.img"
done
sent=$(python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
print(sum(d[k] for k in ("bytes_sent", "bytes_zero")))' "$dir/reverse.json")
is "the bytes sent back are those of the granules that differ" "$sent" "$differ"
is "without trackers it was a comparison" "$(python3 -c 'import json, sys
print([d["mode"] for d in json.load(open(sys.argv[1]))["disks"]])' "$dir/reverse.json")" "['compare', 'compare']"
there failover revert c --no-progress > "$dir/out" 2>&1
is "it cannot be reverted" $? 9
tap_end
