#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# kill.sh KERNEL [ROUNDS]: kill -9 of the sender, of the receiver and of the
# guest at random moments of a resynchronization. Whatever happens: the replica
# can be opened and equals the old point or the new one, and the next run
# completes and is identical.
#
# The independent record is the disk's own image on this side, copied while the
# disk is quiet: old.img is what the last run that completed has sent, d0.img
# what the interrupted one was sending.
set -u
kernel=$1 rounds=${2:-20}
. "$(dirname "$0")/lib.sh"
RANDOM=${TIDEMARK_SEED:-$$}
note "seed ${TIDEMARK_SEED:-$$}"

# A job that was running when the agent died goes on by itself when it is back; the
# receiver's death is noticed by the sender, which folds and says so.
no_job_runs() { guest 'tidemark status c --json' | grep -q '"job": *null'; }

whole_run() { # NAME
    local output
    eventually no_job_runs || note "a job is still running"
    output=$(guest 'tidemark resync c --wait --no-progress')
    is "$1: the next run completes" $? 0 || note "$output"
    ok "$1: and is identical" replica_is d0 "$work/d0.img"
    cp --sparse=always "$work/d0.img" "$work/old.img"
}

old_or_new() { # NAME
    if replica_is d0 "$work/old.img" > /dev/null; then
        tap_line 0 "$1: the replica is the old point"
    elif replica_is d0 "$work/d0.img" > /dev/null; then
        tap_line 0 "$1: the replica is the new point"
    else
        tap_line 1 "$1: the replica is the old point or the new one"
    fi
}

# A random moment within the time that a run takes, in milliseconds.
moment() { echo "$((RANDOM % ${run_ms:-1500}))"; }

nap() { sleep "$(printf '%d.%03d' $(($1 / 1000)) $(($1 % 1000)))"; }

truncate -s 96M "$work/d0.img"
receiver_start || exit 1
guest_start "$kernel" 64K 1 || exit 1
guest 'scribble /dev/mapper/d0 1 40 65536' > /dev/null
whole_run "first"

guest 'scribble /dev/mapper/d0 2 20 65536' > /dev/null
start=$(date +%s%N)
whole_run "second"
run_ms=$((($(date +%s%N) - start) / 1000000 + 100))
note "an undisturbed run takes about $run_ms ms"

for ((round = 1; round <= rounds; round++)); do
    case $((round % 3)) in 0) who=guest ;; 1) who=sender ;; *) who=receiver ;; esac
    guest "scribble /dev/mapper/d0 $((round + 100)) 20 65536" > /dev/null
    at=$(moment)
    name="round $round: $who killed after $at ms"
    guest 'tidemark resync c' > /dev/null
    nap "$at"
    case $who in
    sender)
        guest "kill -9 \$(cat /tmp/tidemarkd.pid)"
        old_or_new "$name"
        guest '/tmp/agent-start' || exit 1
        ;;
    receiver)
        receiver_kill KILL
        receiver_start || exit 1
        old_or_new "$name"
        ;;
    guest)
        guest_kill
        old_or_new "$name"
        guest_start "$kernel" 64K 1 || exit 1
        ;;
    esac
    whole_run "$name"
done
tap_end
