#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Two agents on this host, no kernel module: full, compare, verify, cancel, the
# refusals and their exit codes.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
. tests/agent/agents.bash

image "$dir/d0.img" $((64 << 20)) 1
image "$dir/d1.img" $(((3 << 20) + 512)) 2 # no multiple of the granule
image "$dir/d2.img" 512 3
image "$dir/d3.img" $(((9 << 20) + 4096)) 4
yes 'the tide leaves a line' 2> /dev/null | head -c $((8 << 20)) > "$dir/text.img"
rm -f "$dir/old.port"
python3 tests/agent/old-peer.py "$port" 63 "$dir/old.port" &
bus_pids+=($!) # ended with these
eventually test -e "$dir/old.port"
tap_line $? "an older receiver, before this one"
sender_configure d0 d1 d2 << END
[disk c/vm/d3]
device = $dir/d3.img
tracking = none
granule = 4M
[disk c/vm2/e0]
device = $dir/d1.img
tracking = none
granule = 4K
[collection deaf]
replica = 127.0.0.1:1
[disk deaf/deaf/d0]
device = $dir/d0.img
tracking = none
[collection old]
replica = 127.0.0.1:$(cat "$dir/old.port")
[disk old/old/o2]
device = $dir/d2.img
tracking = none
[collection strict]
replica = 127.0.0.1:$(cat "$dir/old.port")
paranoid = yes
[disk strict/strict/s2]
device = $dir/d2.img
tracking = none
[collection packed]
replica = 127.0.0.1:$port
compression = yes
rate_limit = 200M
[disk packed/packed/p0]
device = $dir/text.img
tracking = none
[collection unpacked]
replica = 127.0.0.1:$(cat "$dir/old.port")
compression = yes
rate_limit = 200M
[disk unpacked/unpacked/p1]
device = $dir/text.img
tracking = none
[collection untracked]
replica = 127.0.0.1:$port
[disk untracked/untracked/d0]
device = $dir/d0.img
[collection lost]
replica = 127.0.0.1:$port
[disk lost/lost/d0]
device = $dir/nowhere.img
tracking = none
END
bus_start sender && bus_start receiver
tap_line $? "a bus for each agent"
receiver_start
tap_line $? "the receiver starts"
sender_start
tap_line $? "the sender starts"

# -- full and compare ---------------------------------------------------------

all_are_identical() {
    for disk in d0 d1 d2 d3; do replica_is $disk "$dir/$disk.img" || return 1; done
    replica_is e0 "$dir/d1.img"
}

here verify c > /dev/null 2>&1
is "verify without a replica: invalid state, 9" $? 9
run=$(here resync c --wait --json)
is "the first run succeeds" $? 0
is "it is made of data and zeroes, each byte once" \
    $(($(field bytes_sent <<< "$run") + $(field bytes_zero <<< "$run"))) \
    "$(field bytes_disk <<< "$run")"
holds "zeroes are not sent" "$(field bytes_sent <<< "$run") < $(field bytes_disk <<< "$run")"
ok "all replicas are their disks" all_are_identical

changed=$(change "$dir/d0.img" 5 5)
run=$(here resync c --wait --json)
is "the second run succeeds" $? 0
is "only granules that differ are sent" "$(field bytes_sent <<< "$run")" "$changed"
hashes=$(($(field bytes_disk <<< "$run") * 16 / 4096))
holds "hashes and frames cost little" \
    "$(field bytes_on_wire <<< "$run") < $changed * 102 / 100 + $hashes"
ok "all replicas are their disks" all_are_identical
note "compared: $(field bytes_disk <<< "$run") bytes, on the wire $(field bytes_on_wire <<< "$run")"

run=$(here resync c --wait --json)
is "nothing has changed: nothing is sent" "$(field bytes_sent <<< "$run")" 0
is "but a point is made" "$(field point <<< "$run")" 3

# -- verify -------------------------------------------------------------------

ok "verify finds no difference" here verify c
ok "the receiver's log says how it went" \
    eventually grep -aq 'c: the verification by .* has ended' "$dir/receiver.log"
path=$(replica_path d1)
printf x | dd of="$path" bs=1 seek=$((2 * 65536 + 5)) conv=notrunc 2> /dev/null
output=$(here verify c)
is "a byte changed behind our back: exit code 1" $? 1
like "and its range is named" "$output" 'vm/d1: 65536 bytes at 131072'
is "in JSON, too" "$(here verify c --json | field differences.0.offset)" 131072
ok "a run mends it" here resync c --wait
ok "verify finds no difference" here verify c

# -- by SHA-256 -----------------------------------------------------------------

like "verify says how it compares" "$(here verify c)" 'compared by +XXH3-128'
path=$(replica_path d1)
printf y | dd of="$path" bs=1 seek=$((65536 + 6)) conv=notrunc 2> /dev/null
output=$(here verify c --paranoid)
is "--paranoid, and a byte changed behind our back: exit code 1" $? 1
like "its range is named" "$output" 'vm/d1: 65536 bytes at 65536 differ'
like "it was found by SHA-256" "$output" 'compared by +SHA-256'
is "in JSON, too" "$(here verify c --paranoid --json | field hash)" SHA-256
run=$(here resync c --compare --paranoid --wait --json)
is "a run by SHA-256 mends it" $? 0
is "it says so" "$(field hash <<< "$run")" SHA-256
is "and sends only that granule" \
    $(($(field bytes_sent <<< "$run") + $(field bytes_zero <<< "$run"))) 65536
is "the history knows" "$(here history c --json | field jobs.0.hash)" SHA-256
ok "all replicas are their disks" all_are_identical
ok "an older receiver is sent to" here resync old --wait
is "and compared with as ever" "$(here verify old --json | field hash)" XXH3-128
here verify old --paranoid > /dev/null 2> "$dir/error"
is "by SHA-256: not supported, 5" $? 5
like "and it is said why" "$(cat "$dir/error")" 'cannot compare by SHA-256 .*too old'
here resync strict --wait > /dev/null 2> "$dir/error"
is "paranoid = yes in the configuration: as well" $? 5
like "for the same reason" "$(cat "$dir/error")" 'cannot compare by SHA-256'

# -- packed -------------------------------------------------------------------

# Too fast for zstd, and not for LZ4.
run=$(here resync packed --wait --json)
is "text, on a link of 200 MB/s" "$? $(field bytes_sent <<< "$run")" "0 $((8 << 20))"
holds "is packed" "$(field bytes_on_wire <<< "$run") < $((1 << 20))"
ok "its replica is the disk" replica_is p0 "$dir/text.img"
ok "to a receiver that does not know of LZ4" here resync unpacked --wait
ok "it comes as well" replica_is p1 "$dir/text.img"

# -- jobs ---------------------------------------------------------------------

image "$dir/d0.img" $((512 << 20)) 6
path=$(here resync c)
is "without --wait: exit code 0" $? 0
like "and the job's path" "$path" '^/org/tidemark/Replication1/Job/[0-9]+$'
here resync c 2> "$dir/error"
is "a second run of the collection: in use, 8" $? 8
like "and says which job is running" "$(cat "$dir/error")" "job ${path##*/} of collection c"
like "status shows it" "$(here status c)" 'Resynchronizing'
ok "cancel" here job cancel "$path"
here job wait "$path" --no-progress > /dev/null 2>&1
is "waiting for a cancelled job: failed, 1" $? 1
is "it was terminated" "$(here job show "$path" --json | field state_name)" Terminated
here job cancel "$path" 2> /dev/null
is "cancel once more: invalid state, 9" $? 9
ok "the next run completes" here resync c --wait
ok "all replicas are their disks" all_are_identical
output=$(here resync c --wait 2> "$dir/progress")
like "a run says what it did" "$output" 'passes +1'
is "no bar without a terminal" "$(grep -c '%' "$dir/progress")" 0

# -- refusals -----------------------------------------------------------------

here resync nobody 2> /dev/null
is "unknown collection: 3" $? 3
here resync deaf --wait > /dev/null 2> "$dir/error"
is "nobody listens there: not available, 10" $? 10
like "and says where" "$(cat "$dir/error")" '127.0.0.1:1'
here resync lost --wait > /dev/null 2>&1
is "no such disk: 3" $? 3
here resync untracked --wait > /dev/null 2> "$dir/error"
code=$?
if [ -e /dev/tidemark-control ]; then
    is "a disk that is not tracked: not supported, 5" $code 5
else
    is "no kernel module: not available, 10" $code 10
    like "and says so" "$(cat "$dir/error")" 'dm-tidemark is not loaded'
fi
here job show 4711 > /dev/null 2>&1
is "unknown job: 3" $? 3
here resync > /dev/null 2>&1
is "no collection named: usage, 2" $? 2
"$bin/tidemark" status --bus "unix:path=$dir/nobus" > /dev/null 2>&1
is "no bus: not available, 10" $? 10
"$bin/tidemarkd" --config "$dir/sender.conf" 2> "$dir/error"
is "a second agent with the same state ends" $? 1
like "and says why" "$(cat "$dir/error")" 'another agent uses the state in'
sed "s|^state_dir = .*|state_dir = $dir/second|" "$dir/sender.conf" > "$dir/second.conf"
"$bin/tidemarkd" --config "$dir/second.conf" 2> "$dir/error"
is "a second agent on the same bus ends" $? 1
like "and says why" "$(cat "$dir/error")" 'another agent has it'

call=(busctl "--address=unix:path=$dir/sender.bus" call org.tidemark.Replication1
      /org/tidemark/Replication1 org.tidemark.Replication1.Service)
like "a start time is refused with its number" \
    "$("${call[@]}" Resynchronize 'ssba{sv}' c 20261123100000.000000+000 false 0 2>&1)" '32773: '
like "an unknown option is refused with its number" \
    "$("${call[@]}" Resynchronize 'ssba{sv}' c '' false 1 Speed u 3 2>&1)" '32773: '
like "an option of the wrong type is refused with its number" \
    "$("${call[@]}" Resynchronize 'ssba{sv}' c '' false 1 Compare s yes 2>&1)" '32776: '
like "also of Verify" "$("${call[@]}" Verify 'sa{sv}' c 1 Paranoid s yes 2>&1)" '32776: '
if id -u nobody > /dev/null 2>&1 && [ "$(id -u)" = 0 ] && command -v setpriv > /dev/null; then
    # nobody must reach the bus's socket; the folders above are searchable
    chmod 711 "$dir"
    like "another user may not start a job" \
        "$(setpriv --reuid nobody --regid nogroup --clear-groups "${call[@]}" \
            Verify 'sa{sv}' c 0 2>&1)" '32769: |denied|Permission'
else
    skip "another user may not start a job" "needs root, nobody and setpriv"
fi

# -- a configuration that is wrong ----------------------------------------------

# refused NAME LINE REGEX: the configuration on stdin ends the agent, and it says where
refused() {
    cat > "$dir/wrong.conf"
    timeout 20 "$bin/tidemarkd" --bus none --config "$dir/wrong.conf" 2> "$dir/error"
    is "$1: the agent ends" $? 1
    like "and says where and why" "$(cat "$dir/error")" "wrong\.conf$2: $3"
}

base=$(printf '[agent]\nstate_dir = %s/wrong\n[collection c]\nreplica = ' "$dir")
refused "an unknown key" :2 'store= is unknown in \[agent\]' <<< $'[agent]\nstore = /x'
refused "an unknown section" :1 '\[tracker\]' <<< '[tracker]'
refused "a granule of 5000 bytes" :6 'granule=5000, expected 4K to 4M' \
    <<< "$base"$'127.0.0.1:1\n[disk c/vm/d]\ngranule = 5000'
refused "a name that would leave the store" :5 '\[disk c/../d\], expected' \
    <<< "$base"$'127.0.0.1:1\n[disk c/../d]\ndevice = /x'
refused "certificates and none at once" '' '.collection c.: .* exclude each other' \
    <<< "$base"$'192.0.2.1:1\nplain = yes\nauthentication = certificate\n[disk c/vm/d]\ndevice = /x'
refused "a collection without disks" '' '.collection c.: it has no .disk c/VM/DISK' \
    <<< "$base"'127.0.0.1:1'

# -- the end ------------------------------------------------------------------

path=$(here resync c)
kill -TERM "$sender_pid"
wait "$sender_pid"
is "SIGTERM during a run: the sender ends cleanly" $? 0
like "after stopping the job" "$(cat "$dir/sender.log")" \
    "job ${path##*/} of collection c is stopped: it goes on at the next start"
sender_pid=''
sender_start
tap_line $? "it starts again"
ok "the same job goes on" here job wait "$path"
is "to its end" "$(here job show "$path" --json | field state_name)" Completed
kill -TERM "$receiver_pid"
wait "$receiver_pid"
is "the receiver ends cleanly" $? 0
receiver_pid=''
tap_end
