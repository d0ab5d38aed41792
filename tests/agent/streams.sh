#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Two agents, and runs over several streams, in the clear and through TLS: that they are
# used and told of, and what happens to a run that is suspended, cancelled, or loses one.
# What is read of a lane is tests/unit/send/test-streams.c's.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/agent/agents.bash
. tests/agent/agents.bash

image "$dir/d0.img" $((24 << 20)) 1
image "$dir/d1.img" $(((5 << 20) + 512)) 2
image "$dir/d2.img" $((12 << 20)) 3
image "$dir/d3.img" $((2 << 20)) 4
rm -f "$dir/old.port"
python3 tests/agent/old-peer.py "$port" 63 "$dir/old.port" &
bus_pids+=($!) # ended with these
eventually test -e "$dir/old.port"
tap_line $? "an older receiver, before this one"
pki() { "$bin/tidemark" pki "$@" -d "$dir/ca"; }
pki init "Test authority" > /dev/null && pki server 127.0.0.1 -o "$dir/receiver-tls" > /dev/null &&
    pki client primary -o "$dir/sender-tls" > /dev/null &&
    pki client other -o "$dir/other-tls" > /dev/null
tap_line $? "certificates"

configure_sender() { # STREAMS [LINE...]: further lines for all collections
    local streams=$1
    shift
    {
        printf '[agent]\nstate_dir = %s\nbus = unix:path=%s\n' "$dir/sender" "$dir/sender.bus"
        printf 'tls_dir = %s\n' "$dir/sender-tls"
        printf '[collection c]\nreplica = 127.0.0.1:%s\ntimeout = 20\n' "$port"
        printf 'streams = %s\n' "$streams"
        printf '%s\n' "$@"
        printf '[collection slow]\nreplica = 127.0.0.1:%s\ncompression = yes\n' "$port"
        printf 'rate_limit = 2M\nstreams = 4\n'
        printf '%s\n' "$@"
        printf '[collection old]\nreplica = 127.0.0.1:%s\nstreams = 4\n' "$(cat "$dir/old.port")"
        for disk in c/vm/d0 c/vm/d1 slow/vm7/d2 old/vm8/d3; do
            printf '[disk %s]\ndevice = %s/%s.img\ntracking = none\n' \
                "$disk" "$dir" "${disk##*/}"
        done
    } > "$dir/sender.conf"
}
receiver_with() { # further lines of [receiver], and sections, from stdin
    receiver_configure && receiver_run
}
identical() { replica_is d0 "$dir/d0.img" && replica_is d1 "$dir/d1.img"; }
streams_of() { field streams <<< "$1"; }
said() { eventually grep -q "$1" "$dir/receiver.log"; }
# The sender's ports of the connections between the two.
ports() { ss -Htn state established "dport = :$port" | awk '{ print $3 }' | sed 's/.*://'; }
has_ports() { [ "$(ports | wc -l)" -ge "$1" ]; }

configure_sender 4
bus_start sender && bus_start receiver
tap_line $? "a bus for each agent"
receiver_with < /dev/null
tap_line $? "the receiver starts"
sender_start
tap_line $? "the sender starts"

# -- in the clear ---------------------------------------------------------------

run=$(here resync c --wait --json)
is "a first run, over four streams" "$? $(streams_of "$run")" "0 4"
is "the receiver knows them" "$(grep -c 'is lane [0-3] of the collection c' "$dir/receiver.log")" 4
ok "the replicas are the disks" identical
changed=$(change "$dir/d0.img" 10 5)
run=$(here resync c --wait --json)
is "a comparison, over four streams" "$? $(streams_of "$run")" "0 4"
is "it sends what differs" "$(field bytes_sent <<< "$run")" "$changed"
ok "the replicas are the disks" identical
like "people are told" "$(here resync c --wait 2> /dev/null)" 'streams +4'
run=$(here resync old --wait --json)
is "an older receiver: a run as ever" "$? $(streams_of "$run")" "0 1"
run=$(here verify c --json)
is "a verification sends nothing: it has one" "$? $(streams_of "$run")" "0 1"

# -- slow, suspended, cancelled, cut ----------------------------------------------

path=$(here resync slow)
ok "a slow run" said 'lane 3 of the collection slow'
ok "has five connections" eventually has_ports 5
ok "is suspended" here job suspend "$path"
ok "and resumed" here job resume "$path"
ok "and cancelled" here job cancel "$path"
here job wait "$path" --no-progress > /dev/null 2>&1
is "it was terminated" "$(here job show "$path" --json | field state_name)" Terminated
path=$(here resync slow)
if eventually has_ports 5 && sleep 0.5 &&
    ss -HKtn dport = ":$port" sport = ":$(ports | sort -n | tail -n 1)" | grep -q .; then
    ok "a lane that is cut ends the connection" said 'slow: .*: \(lane\|receiving\|sending\|the peer\)'
else
    skip "a lane that is cut ends the connection" "ss cannot kill a connection here"
fi
here job wait "$path" --no-progress > /dev/null 2>&1
here resync slow --wait > /dev/null 2>&1
is "a run goes on to the end" $? 0
ok "its replica is the disk" replica_is d2 "$dir/d2.img"

# -- no place ------------------------------------------------------------------------

agent_kill receiver TERM
receiver_with <<< 'connections = 1'
tap_line $? "the receiver starts, with a single place"
run=$(here resync c --wait --json)
is "a run completes all the same" "$? $(streams_of "$run")" "0 1"
like "and it is said why" "$(cat "$dir/sender.log")" '1 of 4 streams: .*are served already'
agent_kill receiver TERM

# -- through TLS -----------------------------------------------------------------------

receiver_secure() {
    receiver_with << END
tls = yes
[peer primary]
collections = c slow
[peer other]
collections = c
END
}

agent_kill sender TERM
configure_sender 3 'authentication = certificate'
receiver_secure
tap_line $? "the receiver starts, with TLS"
sender_start
tap_line $? "the sender starts"
change "$dir/d0.img" 20 9 > /dev/null
run=$(here resync c --wait --json)
is "a run over three streams" "$? $(streams_of "$run")" "0 3"
like "through TLS" "$(cat "$dir/receiver.log")" '\(TLSv1.3 [A-Z0-9_]+\) is lane 2 of the collection c'
ok "the replicas are the disks" identical
change "$dir/d2.img" 90 10 > /dev/null
path=$(here resync slow)
ok "a slow one, over four" said 'TLSv1.3.*lane 3 of the collection slow'
agent_kill receiver TERM
like "a receiver that is told to end does, and the run is lost" \
    "$(cat "$dir/receiver.log")" 'slow: .*the agent stops'
here job wait "$path" --no-progress > /dev/null 2>&1
receiver_secure
here resync slow --wait > /dev/null 2>&1
is "the next run goes on to the end" $? 0
ok "its replica is the disk" replica_is d2 "$dir/d2.img"

# -- who may join ------------------------------------------------------------------------

join() { python3 tests/agent/join.py "$port" "$dir/ca/ca-cert.pem" "$dir/sender-tls" "$@" 2>&1; }
like "a lane of the same name may join" "$(join "$dir/sender-tls" 0)" '^JOINED$'
like "with another token it may not" "$(join "$dir/sender-tls" 1)" \
    '^32769 there is no connection with that token'
like "nor with another name, though that may send the collection as well" \
    "$(join "$dir/other-tls" 0)" '^32769 the certificate of other gives no right to join'
like "that is logged" "$(cat "$dir/receiver.log")" 'certificate of other gives no right'
tap_end
