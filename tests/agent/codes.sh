#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Each of the 14 codes of the management model, provoked for real: by a method over
# D-Bus (busctl), where it is a reply or an error with a name and the number in
# front; and by the command, where it is an exit code. What only a run can find out
# is the ErrorCode of its job.
#
#   code   how it is provoked                                  D-Bus error      exit
#   0      statistics are reset: there is nothing to wait for  -                0
#   4096   a resynchronization                                 -                0
#   32768  agent.db cannot be written (RLIMIT_FSIZE)           Error.Failed     1
#   32769  the caller is nobody                                AccessDenied     4
#   32770  a comparison where it is not allowed                NotSupported     5
#   32771  a recovery point whose file is damaged              Error.StatusUnknown 6
#   32772  a replica host that accepts and says nothing        (job)            7
#   32773  a start in 8 days                                   InvalidArgs      2
#   32774  a second resynchronization                          Error.InUse      8
#   32775  a cancellation of nothing                           Error.InvalidState 9
#   32776  a start time that is none; a wrong signature        InvalidArgs      2
#   32777  no kernel module (method); nobody listens (job)     Error.NotAvailable 10
#   32778  no memory for a run's buffers (RLIMIT_AS)           (job)            11
#   32779  an unknown collection                               FileNotFound     3
#
# That Resynchronize itself answers 0 takes a tracker: tests/system/resync.sh.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
. tests/agent/agents.bash

dest=org.tidemark.Replication1 object=/org/tidemark/Replication1
bus=(busctl "--address=unix:path=$dir/sender.bus")

# method NAME SIGNATURE ARGUMENT...: the reply or the message is in $reply, the
# error's name in $error
interface=Service
method() {
    # busctl has words of its own for some errors: sd-bus's log has those on the bus
    reply=$(SYSTEMD_LOG_LEVEL=debug "${as[@]}" "${bus[@]}" call $dest $object "$dest.$interface" "$@" \
        2> "$dir/call")
    error=$(sed -n 's/.* error-name=\([^ ]*\) .*/\1/p' "$dir/call" | tail -n 1)
    [ -n "$reply" ] || reply=$(sed -n 's/.* error-message=//p' "$dir/call" | tail -n 1)
}
as=()

# refuses CODE ERROR EXIT HOW -- METHOD...: the method is refused, and the command
# that follows after a second -- ends with EXIT
refuses() {
    local code=$1 wanted=$2 exit=$3 how=$4 call=() status
    shift 5
    while [ "$1" != -- ]; do call+=("$1"); shift; done
    shift
    method "${call[@]}"
    like "$code: $how: the number" "$reply" "^$code: ."
    is "$code: the error's name" "$error" "$wanted"
    "$@" > "$dir/out" 2> "$dir/err"
    status=$?
    is "$code: by the command: exit code $exit" $status "$exit"
    like "$code: and a sentence" "$(cat "$dir/err")" '^tidemark: .{10}'
}

job_property() { # JOB NAME
    "${bus[@]}" get-property $dest "$1" $dest.Job "$2" | cut -d ' ' -f 2
}

job_ended() { # JOB
    for _ in {1..600}; do
        case $(job_property "$1" JobState) in
        7 | 8 | 9 | 10 | 32768) return 0 ;;
        esac
        sleep 0.1
    done
    return 1
}

# fails CODE EXIT HOW COLLECTION: a job of it ends with that code, started over the bus
# and by the command
fails() {
    local code=$1 exit=$2 how=$3 collection=$4 job status
    method Resynchronize 'ssba{sv}' "$collection" '' false 0
    job=$(sed -n 's/^uo 4096 "\(.*\)"$/\1/p' <<< "$reply")
    if [ -z "$job" ]; then
        tap_line 1 "$code: $how: a job starts"
        note "$reply"
        return
    fi
    ok "$code: $how: the job ends" job_ended "$job"
    is "$code: its ErrorCode" "$(job_property "$job" ErrorCode)" "$code"
    like "$code: GetError" "$("${bus[@]}" call $dest "$job" $dest.Job GetError 'a{sv}' 0)" \
        "^us $code \".{10}"
    here resync "$collection" --wait > /dev/null 2> "$dir/err"
    status=$?
    is "$code: by the command: exit code $exit" $status "$exit"
    like "$code: and a sentence" "$(cat "$dir/err")" '^tidemark: .{10}'
}

image "$dir/d0.img" $((8 << 20)) 1
image "$dir/d1.img" $((300 << 20)) 2
mkfifo "$dir/mute.port"
python3 -c 'import socket, sys, time
s = socket.socket()
s.bind(("127.0.0.1", 0))
s.listen(16)
open(sys.argv[1], "w").write(str(s.getsockname()[1]))
time.sleep(3600)' "$dir/mute.port" &
bus_pids+=($!) # ended with them
mute_port=$(cat "$dir/mute.port")
sender_configure d0 << END
[collection mute]
replica = 127.0.0.1:$mute_port
timeout = 1
[disk mute/m/d0]
device = $dir/d0.img
tracking = none
[collection deaf]
replica = 127.0.0.1:1
[disk deaf/f/d0]
device = $dir/d0.img
tracking = none
[collection untracked]
replica = 127.0.0.1:$port
[disk untracked/u/d0]
device = $dir/d0.img
[collection strict]
replica = 127.0.0.1:$port
allow_compare = no
[disk strict/s/d0]
device = $dir/d0.img
tracking = none
[collection large]
replica = 127.0.0.1:$port
rate_limit = 64K
[disk large/l/d1]
device = $dir/d1.img
tracking = none
[collection coarse]
replica = 127.0.0.1:$port
[disk coarse/k/d0]
device = $dir/d0.img
tracking = none
granule = 4M
END
mkdir "$dir/receiver.conf.d"
printf '[receiver]\nhistory = 3\n' > "$dir/receiver.conf.d/history.conf"
bus_start sender && bus_start receiver
tap_line $? "a bus for each agent"
receiver_start
tap_line $? "the receiver starts"
trap '' XFSZ # inherited: what is too large to write is an error, not a death
sender_start
tap_line $? "the sender starts"
trap - XFSZ

# -- 0 and 4096 ---------------------------------------------------------------

method ResetReplicationStatistics 'sa{sv}' c 0
is "0: done at once, there is no job" "$reply" 'uo 0 "/"'
ok "0: by the command: exit code 0" here stats c --reset

method Resynchronize 'ssba{sv}' c '' false 0
like "4096: a job" "$reply" "^uo 4096 \"$object/Job/[0-9]+\"\$"
job=$(cut -d '"' -f 2 <<< "$reply")
ok "4096: which ends" job_ended "$job"
is "4096: well" "$(job_property "$job" JobState)" 7
like "4096: by the command: exit code 0, and its path" "$(here resync c)" "^$object/Job/[0-9]+\$"
for _ in {1..100}; do here status c --json | grep -q '"job": *null' && break; sleep 0.1; done

# -- refusals -----------------------------------------------------------------

refuses 32770 org.freedesktop.DBus.Error.NotSupported 5 "a comparison that is not allowed" -- \
    Resynchronize 'ssba{sv}' strict '' false 1 Compare b true -- here resync strict --compare

in_8_days=$(date -u -d '+8 days' +%Y%m%d%H%M%S.000000+000)
refuses 32773 org.freedesktop.DBus.Error.InvalidArgs 2 "a start in 8 days" -- \
    Resynchronize 'ssba{sv}' c "$in_8_days" false 0 -- here resync c -t "$in_8_days"
refuses 32773 org.freedesktop.DBus.Error.InvalidArgs 2 "an unknown option" -- \
    Verify 'sa{sv}' c 1 Speed u 3 -- here suspend c --vm 'no/name'

refuses 32775 $dest.Error.InvalidState 9 "a cancellation of nothing" -- \
    CancelResynchronize 'sa{sv}' c 0 -- here cancel c

refuses 32776 org.freedesktop.DBus.Error.InvalidArgs 2 "a start time that is none" -- \
    Resynchronize 'ssba{sv}' c soon false 0 -- here resync c -t soon
refuses 32776 org.freedesktop.DBus.Error.InvalidArgs 2 "a wrong signature" -- \
    Resynchronize 'sb' c false -- here resync c --start-time=2026-13-45
refuses 32776 org.freedesktop.DBus.Error.InvalidArgs 2 "an option of a wrong type" -- \
    Resynchronize 'ssba{sv}' c '' false 1 Compare s yes -- here resync c -t 'bad time'

refuses 32779 org.freedesktop.DBus.Error.FileNotFound 3 "an unknown collection" -- \
    Resynchronize 'ssba{sv}' nobody '' false 0 -- here resync nobody
like "32779: an unknown job" "$("${bus[@]}" call $dest $object/Job/4711 $dest.Job \
    RequestStateChange 'ua{sv}' 4 0 2>&1)" '32779: there is no job'

limit() { "${bus[@]}" call $dest "$1" $dest.Job SetRateLimit "${@:2}" 2>&1; }
like "32773: a rate that is too low" "$(limit "$job" 'ta{sv}' 65535 0)" '32773: .*64K or more'
like "32773: an unknown option of it" "$(limit "$job" 'ta{sv}' 65536 1 Burst t 1)" '32773: unknown'
like "32775: a job that has ended" "$(limit "$job" 'ta{sv}' 65536 0)" '32775: job [0-9]+ is Compl'
like "32776: a rate that is none" "$(limit "$job" 'sa{sv}' fast 0)" '32776: '
like "32779: an unknown job" "$(limit $object/Job/4711 'ta{sv}' 65536 0)" '32779: there is no job'
here job limit "$job" 20X 2> /dev/null
is "32773: by the command: exit code 2" $? 2

if [ -e /dev/tidemark-control ]; then
    skip "32777: no kernel module" "this host has it loaded"
else
    refuses 32777 $dest.Error.NotAvailable 10 "no kernel module" -- \
        Resynchronize 'ssba{sv}' untracked '' false 0 -- here resync untracked
fi

if [ "$(id -u)" = 0 ] && id -u nobody > /dev/null 2>&1 && command -v setpriv > /dev/null; then
    # nobody must reach the bus's socket
    chmod 711 "$dir"
    chmod 666 "$dir/sender.bus"
    nobody=(setpriv --reuid "$(id -u nobody)" --clear-groups)
    as=("${nobody[@]}")
    cp "$bin/tidemark" "$dir/tidemark" # build/ may not be searchable
    refuses 32769 org.freedesktop.DBus.Error.AccessDenied 4 "the caller is nobody" -- \
        Resynchronize 'ssba{sv}' c '' false 0 -- \
        "${nobody[@]}" "$dir/tidemark" resync c --bus "unix:path=$dir/sender.bus"
    as=()
    like "32769: who may look at the status" \
        "$("${nobody[@]}" "$dir/tidemark" list --bus "unix:path=$dir/sender.bus")" 'c +primary'
else
    skip "32769: the caller is nobody" "it takes root, a user nobody, and setpriv"
fi

# -- 32774: while one runs ----------------------------------------------------

method Resynchronize 'ssba{sv}' large '' false 0
like "32774: a job that takes long" "$reply" '^uo 4096 '
job=$(cut -d '"' -f 2 <<< "$reply")
refuses 32774 $dest.Error.InUse 8 "a second resynchronization" -- \
    Resynchronize 'ssba{sv}' large '' false 0 -- here resync large
ok "32774: it is cancelled" here job cancel "$job"
ok "32774: and ends" job_ended "$job"

# -- 32768: agent.db cannot be written ------------------------------------------

prlimit --pid "$sender_pid" --fsize=0:unlimited
refuses 32768 $dest.Error.Failed 1 "agent.db cannot be written" -- \
    Resynchronize 'ssba{sv}' c '' false 0 -- here resync c
prlimit --pid "$sender_pid" --fsize=unlimited:unlimited
ok "32768: and goes on when it can" here resync c --wait

# -- 32771: a point that cannot be read ------------------------------------------

change "$dir/d0.img" 5 7 > /dev/null
ok "32771: another point" here resync c --wait
newest=$(there points list c --json | field points.-1.point)
path=$(there points show c "$newest" --noheadings --output PATH | tr -d ' ')
dd if=/dev/zero of="$path" bs=512 count=1 conv=notrunc status=none
bus=(busctl "--address=unix:path=$dir/receiver.bus") interface=Points
refuses 32771 $dest.Error.StatusUnknown 6 "a point whose file is damaged" -- \
    VerifyPoint st c "$newest" -- there points verify c "$newest"
bus=(busctl "--address=unix:path=$dir/sender.bus") interface=Service

# -- what runs find out -------------------------------------------------------

fails 32777 10 "nobody listens there" deaf
fails 32772 7 "the replica host says nothing" mute

if grep -qa __asan_init "$bin/tidemarkd"; then
    skip "32778: no memory" "a sanitizer needs address space without bound"
else
    # less than a thread's stack, and than 16 MiB of buffers for large granules
    used=$(awk '/^VmSize/ { print $2 * 1024 }' "/proc/$sender_pid/status")
    prlimit --pid "$sender_pid" --as=$((used + (4 << 20))):unlimited
    fails 32778 11 "no memory for a run's buffers" coarse
    prlimit --pid "$sender_pid" --as=unlimited:unlimited
    ok "32778: and goes on when there is" here resync coarse --wait
fi

agent_kill sender TERM
agent_kill receiver TERM
tap_end
