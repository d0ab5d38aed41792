#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# In a guest: two agents, and the way there and back between them.
#
#     /dev/vda ── d0 ─┐                           ┌─ /dev/vdc ── v0 (from the failover on)
#     /dev/vdb ── d1 ─┴─ tidemarkd a ◄─────► tidemarkd b ─ STORE/c/vm/d1/replica.raw
#
# First life: a is the primary. The collection is failed over to an older point on b,
# with b killed at each durable step; what the VM writes goes through qcow2 until the
# failover is committed, and through the tracker v0 from there on (d0). d1 is not
# tracked on b, and not written to after the commit. What is sent back is what
# differs; what is looked at is what either side has changed. Second life: b is the
# primary, a is failed over to, and back again. Third: what cannot be proven is
# compared, and why is said.
#
# reverse-guest.sh [crash]: without the word nobody is killed
set -u
crashes=${1:-}
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
granule=65536
read -r -a vd <<< "$TIDEMARK_DISKS"
dir=$(mktemp -d)

for name in a b; do
    tests/system/bus "$dir/$name.bus" &
done
for i in 0 1; do
    tidemark attach "${vd[i]}" --name d$i --granule 64K || exit 1
done
cat > "$dir/a.conf" <<END
[agent]
state_dir = $dir/a
bus = unix:path=$dir/a.bus
[receiver]
listen = 127.0.0.1:7001
store = $dir/store-a
[collection c]
replica = 127.0.0.1:7002
[disk c/vm/d0]
device = /dev/mapper/d0
[disk c/vm/d1]
device = /dev/mapper/d1
END
cat > "$dir/b.conf" <<END
[agent]
state_dir = $dir/b
bus = unix:path=$dir/b.bus
[receiver]
listen = 127.0.0.1:7002
store = $dir/store-b
history = 5
[replica c/vm/d0]
path = ${vd[2]}
END
declare -A pid
at() { # AGENT COMMAND...
    local name=$1
    shift
    tidemark "$@" --bus "unix:path=$dir/$name.bus"
}
start() { # AGENT [CRASH POINT]
    local i
    mkdir -p "$dir/$1"
    TIDEMARK_CRASH=${2:-} tidemarkd --config "$dir/$1.conf" >> "$dir/$1.log" 2>&1 &
    pid[$1]=$!
    for ((i = 0; i < 300; i++)); do
        at "$1" status > /dev/null 2>&1 && return 0
        # One that goes on with a method may be dead before it answers.
        kill -0 "${pid[$1]}" 2> /dev/null || return 0
        sleep 0.1
    done
    return 1
}
stop() { # AGENT
    local i
    kill -TERM "${pid[$1]}" 2> /dev/null
    for ((i = 0; i < 600; i++)); do
        kill -0 "${pid[$1]}" 2> /dev/null || return 0
        sleep 0.1
    done
    is "agent $1 ends" no yes
    cat "/proc/${pid[$1]}/task/"*/stack
    kill -KILL "${pid[$1]}"
}
died() { # AGENT: it does, and soon
    local i
    for ((i = 0; i < 300; i++)); do
        kill -0 "${pid[$1]}" 2> /dev/null || { wait "${pid[$1]}"; [ $? = 137 ]; return; }
        sleep 0.1
    done
    return 1
}
idle() { # AGENT: no job is under way
    local i
    for ((i = 0; i < 300; i++)); do
        at "$1" jobs --json 2> /dev/null > "$dir/jobs" &&
            ! grep -Eq '"state_name": ?"(Running|New|Starting)"' "$dir/jobs" && return 0
        sleep 0.1
    done
    return 1
}
# A method of AGENT that dies at each of these points in turn; each time it goes on at
# the next start, or is asked for again
crash() { # AGENT "POINT..." COMMAND...
    local name=$1 points=$2 point
    shift 2
    [ -n "$crashes" ] || points=''
    [ -z "$points" ] || stop "$name"
    for point in $points; do
        start "$name" "$point"
        kill -0 "${pid[$name]}" 2> /dev/null && at "$name" "$@" --no-progress > "$dir/out" 2>&1
        if ! died "$name"; then
            cat "$dir/out"
            is "$*: $point is met" no yes
            stop "$name"
        fi
    done
    [ -z "$points" ] || start "$name"
    ok "$*: after the last start nothing is under way" idle "$name"
    at "$name" "$@" --no-progress > "$dir/out" 2>&1
}
field() { # JSON PATH
    sqlite3 :memory: "select json_extract(readfile('$dir/run.json'), '$1')"
}
run() { # TITLE AGENT: a run; run.json has what came of it
    at "$2" resync c --wait --json --no-progress > "$dir/run.json" 2> "$dir/out"
    local status=$?
    is "$1: the run completes" $status 0
    [ $status = 0 ] || note "$(cat "$dir/run.json" "$dir/out"; tail -n 5 "$dir/$2.log")"
}
# The files or devices of a disk: a's, and b's
a_disk() { echo "${vd[$1]}"; }
b_disk() { [ "$1" = 0 ] && echo "${vd[2]}" || echo "$dir/store-b/c/vm/d1/replica.raw"; }
differ() { # DISK: granules
    build/helpers/differ "$(a_disk "$1")" "$(b_disk "$1")" $granule
}
merged() { # until the receiver has nothing but the raw replicas: AGENT
    local i
    for ((i = 0; i < 300; i++)); do
        find "$dir/store-$1" -name '*.qcow2*' | grep -q . || return 0
        sleep 0.1
    done
    return 1
}
identical() { # TITLE
    local disk
    for disk in 0 1; do
        is "$1: d$disk is the same on both sides" "$(differ $disk)" 0
    done
}

# -- there
start a && start b || exit 1
for n in 1 2 3; do
    for d in d0 d1; do build/helpers/scribble /dev/mapper/$d $n 4 $granule > /dev/null; done
    run "point $n" a
done
for d in d0 d1; do build/helpers/scribble /dev/mapper/$d 4 3 $granule > /dev/null; done
crash b "failover-recorded failover-created failover-created:1" failover c --point 2
for disk in 0 1; do
    file=$dir/store-b/c/vm/d$disk/failover.qcow2
    ok "d$disk: QEMU writes to it" qemu-io -f qcow2 -c 'write -P 0xa5 1M 300k' \
        -c 'write -z 5M 200k' "$file"
done
crash b "failover-committing failover-cut merge-copied merge-recorded failover-merged failover-taken" \
    failover commit c
ok "no overlay is left" merged b

# -- and back
tidemark attach "${vd[2]}" --name v0 --granule 64K || exit 1
crash a "reverse-adopted reverse-adopted:1" reverse prepare c
at a reverse c --no-progress > "$dir/out" 2>&1
is "the old primary is a replica" $? 0 || cat "$dir/out"
at b reverse c --to nowhere --no-progress > "$dir/out" 2>&1
is "a wrong address is refused" $? 2
crash b "reverse-covered reverse-recorded" reverse c --to 127.0.0.1:7001
is "the new one is the primary" "$(at b list --json | grep -c '"Primary"\|"primary"')" 1
build/helpers/scribble /dev/mapper/v0 5 3 $granule > /dev/null # the VM runs
differing=$(($(differ 0) + $(differ 1)))
note "granules that differ: d0 $(differ 0), d1 $(differ 1) of 768"
run "back" b
is "back: d0 is not compared" "$(field '$.disks[0].mode')" reverse
is "back: d1 neither" "$(field '$.disks[1].mode')" reverse
sent=$(($(field '$.bytes_sent') + $(field '$.bytes_zero')))
is "back: the bytes sent are those of the granules that differ" $sent $((differing * granule))
holds "back: far less is looked at than the disks" "$(field '$.bytes_owed') * 2 < 2 * 48 << 20"
ok "back: merged" merged a
identical back

# -- and on: increments, from the new tracker
build/helpers/scribble /dev/mapper/v0 6 2 $granule > /dev/null
run "on" b
is "on: d0 is an increment" "$(field '$.disks[0].mode')" incremental
ok "on: merged" merged a
identical on

# -- there and back again: a is failed over to; its disks have their first trackers
build/helpers/scribble /dev/mapper/v0 7 2 $granule > /dev/null # never sent
ok "failed over to a" at a failover c --no-progress
ok "a commits" at a failover commit c --no-progress
crash b "reverse-adopted reverse-cleared" reverse prepare c
at b reverse c --no-progress > /dev/null 2>&1
ok "a is the primary again" at a reverse c --to 127.0.0.1:7002 --no-progress
build/helpers/scribble /dev/mapper/d0 8 2 $granule > /dev/null
differing=$(differ 0)
run "again" a
is "again: d0 is not compared" "$(field '$.disks[0].mode')" reverse
is "again: of d0 is sent what differs" "$(field '$.disks[0].frame_bytes')" $((differing * granule))
is "again: d1 has to be" "$(field '$.disks[1].mode')" compare
ok "again: merged" merged b
identical again

# -- what cannot be proven: somebody writes past the tracker before it is there
ok "failed over to b" at b failover c --no-progress
ok "b commits" at b failover commit c --no-progress
dd if=/dev/urandom of="${vd[2]}" bs=64k seek=9 count=1 oflag=direct conv=notrunc status=none
dd if=/dev/urandom of="$(b_disk 1)" bs=64k seek=9 count=1 conv=notrunc status=none
ok "a is prepared" at a reverse prepare c --no-progress
at a reverse c --no-progress > /dev/null 2>&1
dmsetup remove v0 && tidemark attach "${vd[2]}" --name v0 --granule 64K
ok "b is the primary" at b reverse c --to 127.0.0.1:7001 --no-progress
run "doubt" b
is "doubt: d0 is compared" "$(field '$.disks[0].mode')" compare
like "doubt: why" "$(field '$.disks[0].why')" 'tracker has not been there'
is "doubt: d1 is compared" "$(field '$.disks[1].mode')" compare
like "doubt: why" "$(field '$.disks[1].why')" 'written to, untracked'
ok "doubt: merged" merged a
identical doubt
stop a
stop b
[ $tap_failed = 0 ] || tail -n 30 "$dir/a.log" "$dir/b.log"
tap_end
