#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Two agents without io_uring: what they replicate is the same, status says how,
# and threads do not grow with the work.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
. tests/agent/agents.bash

# tasks WHICH: threads of an agent now
tasks() {
    local pid=${1}_pid list
    list=("/proc/${!pid}/task"/*)
    echo ${#list[@]}
}

# watch_tasks FILE: the most threads that either agent has had, until FILE is gone
watch_tasks() {
    local most=0 now
    while [ -e "$1" ]; do
        for which in sender receiver; do
            now=$(tasks $which)
            [ "$now" -le "$most" ] || { most=$now; echo "$most" > "$dir/most"; }
        done
    done
}

export TIDEMARK_ENGINE=plain
image "$dir/d0.img" $((48 << 20)) 1
image "$dir/d1.img" $(((8 << 20) + 512)) 2
bus_start sender && bus_start receiver && sender_configure d0 d1 < /dev/null
receiver_start || { echo "Bail out! the receiver does not start"; exit 1; }
sender_start || { echo "Bail out! the sender does not start"; exit 1; }

is "the sender's status says that io_uring is not used" "$(here status --json | field engine)" \
    "pread/pwrite (as TIDEMARK_ENGINE says)"
is "the receiver's too" "$(there status --json | field engine)" \
    "pread/pwrite (as TIDEMARK_ENGINE says)"
like "and so does the log" "$(cat "$dir/sender.log")" "data is moved without io_uring"

idle=$(tasks receiver)
: > "$dir/watching"
watch_tasks "$dir/watching" &
ok "everything is replicated" here resync c --wait --no-progress
rm "$dir/watching"
wait $!
ok "the first disk is the same" replica_is d0 "$dir/d0.img"
ok "the second disk is the same" replica_is d1 "$dir/d1.img"
most=$(cat "$dir/most")
note "most threads: $most; a receiver that rests: $idle"
# A run, a connection and a merge at most, each with 4 threads for files.
holds "threads stay few" "$most <= idle + 11"

change "$dir/d0.img" 10 3 > /dev/null
ok "a change is replicated" here resync c --wait --no-progress
ok "and is the same" replica_is d0 "$dir/d0.img"
ok "a verification finds no difference" here verify c --no-progress

agent_kill sender TERM
TIDEMARK_ENGINE=fast
"$bin/tidemarkd" --config "$dir/sender.conf" 2> "$dir/refused"
is "an engine that does not exist is refused" $? 1
like "with a sentence" "$(cat "$dir/refused")" \
    "TIDEMARK_ENGINE=fast, expected auto, io_uring or plain"
TIDEMARK_ENGINE=auto TIDEMARK_ZERO_COPY=sometimes "$bin/tidemarkd" \
    --config "$dir/sender.conf" 2> "$dir/refused"
is "and so is a way to send that does not" $? 1
like "with a sentence, too" "$(cat "$dir/refused")" \
    "TIDEMARK_ZERO_COPY=sometimes, expected auto, always or never"
tap_end
