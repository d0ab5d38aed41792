#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# How TLS connections of two agents end. Between them stands a relay that decrypts: it tells
# whether a side has said that it ends (close_notify), or its connection was cut off.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/agent/agents.bash
. tests/agent/agents.bash

image "$dir/d0.img" $((12 << 20)) 1
image "$dir/d1.img" $((24 << 20)) 2
image "$dir/d2.img" $((1 << 20)) 3
pki() { "$bin/tidemark" pki "$@" -d "$dir/ca" > /dev/null; }
pki init "Test authority" && pki server 127.0.0.1 -o "$dir/receiver-tls" &&
    pki client primary -o "$dir/sender-tls"
tap_line $? "certificates"
: > "$dir/ends"
python3 tests/agent/tls-ends.py "$port" "$dir/receiver-tls" "$dir/sender-tls" \
    "$dir/relay.port" "$dir/ends" 2> "$dir/relay.log" &
bus_pids+=($!) # ended with these
eventually test -e "$dir/relay.port"
tap_line $? "a relay"

receiver_configure << END
tls = yes
[peer primary]
collections = c slow
END
collection() { # NAME DISK LINE...
    printf '[collection %s]\nreplica = 127.0.0.1:%s\n' "$1" "$(cat "$dir/relay.port")"
    printf 'authentication = certificate\nkernel_tls = no\n'
    printf '%s\n' "${@:3}"
    printf '[disk %s/vm-%s/%s]\ndevice = %s/%s.img\ntracking = none\n' "$1" "$1" "$2" "$dir" "$2"
}
{
    printf '[agent]\nstate_dir = %s\nbus = unix:path=%s\n' "$dir/sender" "$dir/sender.bus"
    printf 'tls_dir = %s\n' "$dir/sender-tls"
    collection c d0 'streams = 3'
    collection slow d1 'rate_limit = 1M'
    collection denied d2
} > "$dir/sender.conf"
bus_start sender && bus_start receiver
tap_line $? "a bus for each agent"
receiver_run && sender_start
tap_line $? "the agents start"

lines() { [ "$(wc -l < "$dir/ends")" -ge "$1" ]; }
# How the connections since then have ended, once there are so many lines.
ends() { # LINES
    eventually lines "$1"
    sort "$dir/ends" | uniq -c | xargs
    : > "$dir/ends"
}
begins() { # COLLECTION: a run of it is under way
    : > "$dir/receiver.log"
    here resync "$1" > /dev/null
    eventually grep -q "sends the collection $1" "$dir/receiver.log"
    sleep 1
}

# -- in order -------------------------------------------------------------------

ok "a run over a connection and its three lanes" here resync c --wait
is "both ends of each have said that it ends" "$(ends 8)" "4 receiver notified 4 sender notified"
ok "a verification" here verify c
is "and those of that" "$(ends 2)" "1 receiver notified 1 sender notified"
begins slow
ok "a run is cancelled" here cancel slow
is "which is an end as well" "$(ends 2)" "1 receiver notified 1 sender notified"
here resync denied --wait > /dev/null 2>&1
is "a run is refused" $? 4
is "and both have said that they end" "$(ends 2)" "1 receiver notified 1 sender notified"
begins slow
agent_kill receiver TERM
is "a receiver that is stopped says so, too" "$(ends 2)" "1 receiver notified 1 sender notified"
here cancel slow > /dev/null 2>&1

# -- cut off ----------------------------------------------------------------------

receiver_run
tap_line $? "the receiver starts again"
begins slow
agent_kill sender KILL
is "a sender that was killed has said nothing, and is told apart" "$(ends 1)" "1 sender cut"
is "the relay is well" "$(cat "$dir/relay.log")" ""
tap_end
