#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# tests/fuzz/dbus.sh [SECONDS [SEED]]: whatever arguments D-Bus lets through, at each
# method and property of a whole agent that it finds by introspection. The agent
# lives on, its errors are those it has documented, its memory stays bounded.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
. tests/agent/agents.bash
# the one that Debian's python3-dbus is for
python=/usr/bin/python3
seconds=${1:-60} seed=${2:-$RANDOM}

value_of() { awk -v key="$1:" '$1 == key { print $2 }' "/proc/$sender_pid/status"; }
open_files() { local list=("/proc/$sender_pid/fd"/*); echo ${#list[@]}; }

image "$dir/d0.img" $((4 << 20)) 1
image "$dir/d1.img" $((4 << 20)) 2
bus_start sender && bus_start receiver && sender_configure d0 d1 < /dev/null
receiver_start || { echo "Bail out! the receiver does not start"; exit 1; }
sender_start || { echo "Bail out! the sender does not start"; exit 1; }
pid=$sender_pid

# Once around first, so that what is allocated once is there.
"$python" tests/fuzz/throw.py "unix:path=$dir/sender.bus" "$dir" 5 0 > "$dir/warm" 2>&1
before=$(value_of VmRSS) files=$(open_files)
"$python" tests/fuzz/throw.py "unix:path=$dir/sender.bus" "$dir" "$seconds" "$seed" > "$dir/said" 2>&1
status=$?
sed 's/^/# /' "$dir/said"
is "$(tail -n 1 "$dir/said" | sed 's/ in .*//'), seed $seed" $status 0
ok "the agent answers" here status
is "and is the one from before" \
    "$sender_pid $(kill -0 "$pid" 2> /dev/null && awk '/^State/ { print $2 != "Z" }' "/proc/$pid/status")" \
    "$pid 1"
after=$(value_of VmRSS)
holds "its memory is bounded ($before to $after KiB)" "after < before + 65536"
holds "its descriptors too ($files to $(open_files))" "$(open_files) < files + 40"
ok "its log names no fault of its own" \
    bash -c '! grep -E "Assertion|BUG|Segmentation" "$0"' "$dir/sender.log"
tap_end
