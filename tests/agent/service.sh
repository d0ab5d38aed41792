#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The service with real agents: members that are suspended or cannot be reached, a
# job that is scheduled while the agent is started again, one that is killed in the
# middle, configurations that are read again, rates that change while a job runs.
#
#   collection c    web01: a0 a1 ┐
#                   web02: b0 b1 ┴─► the receiver
#                   web03: m0 ─────► nobody listens there
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
. tests/agent/agents.bash

# method NAME SIGNATURE ARGUMENT...: of the service, over the sender's bus
method() {
    busctl "--address=unix:path=$dir/sender.bus" call org.tidemark.Replication1 \
        /org/tidemark/Replication1 org.tidemark.Replication1.Service "$@" 2>&1
}

# job JOB PROPERTY, or "job JOB METHOD SIGNATURE ARGUMENT..."
job() {
    local path=$1 what=get-property
    shift
    [ $# = 1 ] || what=call
    busctl "--address=unix:path=$dir/sender.bus" "$what" org.tidemark.Replication1 "$path" \
        org.tidemark.Replication1.Job "$@" 2>&1
}

path_of() { sed -n 's/^uo 4096 "\(.*\)"$/\1/p'; }

# ended JOB: wait for its end, whatever it is
ended() {
    for _ in {1..600}; do
        case $(job "$1" JobState) in 'u 7' | 'u 8' | 'u 9' | 'u 10' | 'u 32768') return 0 ;; esac
        sleep 0.1
    done
    return 1
}

# A collection's VM, as the status says
vm_state() { # VM
    busctl "--address=unix:path=$dir/sender.bus" get-property org.tidemark.Replication1 \
        "/org/tidemark/Replication1/Collection/c/VM/$1" org.tidemark.Replication1.VM \
        ReplicationState 2>&1 | cut -d ' ' -f 2
}

configure() {
    {
        printf '[agent]\nstate_dir = %s\nbus = unix:path=%s\n' "$dir/sender" "$dir/sender.bus"
        printf '[collection c]\nreplica = 127.0.0.1:%s\ntimeout = 20\n%s\n' "$port" "${1:-}"
        for disk in web01/a0 web01/a1 web02/b0 web02/b1 web03/m0; do
            printf '[disk c/%s]\ndevice = %s/%s.img\ntracking = none\n' "$disk" "$dir" \
                "${disk#*/}"
        done
        printf '[vm c/web03]\nreplica = 127.0.0.1:1\n'
    } > "$dir/sender.conf"
}

for disk in a0 a1 b0 b1 m0; do image "$dir/$disk.img" $((4 << 20)) "$RANDOM"; done
configure
bus_start sender && bus_start receiver && receiver_start && sender_start
tap_line $? "two agents"

# -- one that fails, one that is suspended ------------------------------------

first=$(method Resynchronize 'ssba{sv}' c '' false 0 | path_of)
ok "the first job ends" ended "$first"
is "with warnings: one replica cannot be reached" "$(job "$first" JobState)" 'u 32768'
like "its code is that of the failed member" "$(job "$first" ErrorCode)" 'u 32777'
like "GetErrorEx names the VM" "$(job "$first" GetErrorEx 'a{sv}' 0)" '"web03"'
for disk in a0 a1 b0 b1; do ok "$disk is there" replica_is $disk "$dir/$disk.img"; done
is "web01 replicates" "$(vm_state web01)" 3
is "web03 was never replicated" "$(vm_state web03)" 1

is "web02 is suspended" "$(method SuspendReplication 'sa{sv}' c 1 VM s web02)" 'uo 0 "/"'
is "web02 is in its state" "$(vm_state web02)" 7
cp "$dir/b0.img" "$dir/b0.old"
for disk in a0 b0; do change "$dir/$disk.img" 5 "$RANDOM" > /dev/null; done
without=$(method Resynchronize 'ssba{sv}' c '' false 0 | path_of)
ok "without IncludeSuspended: it ends" ended "$without"
is "with warnings" "$(job "$without" JobState)" 'u 32768'
ok "web01's change is there" replica_is a0 "$dir/a0.img"
ok "web02 is what it was" replica_is b0 "$dir/b0.old"
is "web02 is still suspended" "$(vm_state web02)" 7

with=$(method Resynchronize 'ssba{sv}' c '' true 0 | path_of)
ok "with IncludeSuspended: it ends" ended "$with"
ok "web02's change is there" replica_is b0 "$dir/b0.img"
is "and it replicates" "$(vm_state web02)" 3

# -- a scheduled job, and the agent is started again --------------------------

change "$dir/a0.img" 5 "$RANDOM" > /dev/null
asked=$(date +%s)
later=$(method Resynchronize 'ssba{sv}' c 00000000000008.000000:000 false 0 | path_of)
is "scheduled: it has not begun" "$(job "$later" JobState)" 'u 2'
like "another is refused meanwhile" "$(method Resynchronize 'ssba{sv}' c '' false 0)" '32774: '
agent_kill sender 9
sender_start
tap_line $? "the agent is killed and started again"
is "the job is there, and waits" "$(job "$later" JobState)" 'u 2'
ok "it ends" ended "$later"
started=$(($(job "$later" StartTime | cut -d ' ' -f 2) / 1000000))
ok "it began at its time, not before and not long after" \
    [ $((started - asked)) -ge 8 -a $((started - asked)) -le 20 ]
ok "and did its work" replica_is a0 "$dir/a0.img"
is "once" "$(sqlite3 "$dir/sender/agent.db" \
    "SELECT count(*) FROM job WHERE id = ${later##*/} AND ended != 0")" 1
is "and nothing ran besides" "$(sqlite3 "$dir/sender/agent.db" \
    "SELECT count(*) FROM job WHERE id > ${later##*/}")" 0

# -- killed in the middle ------------------------------------------------------

# While its replica host stands still the job cannot end.
change "$dir/a1.img" 30 "$RANDOM" > /dev/null
kill -STOP "$receiver_pid"
running=$(method Resynchronize 'ssba{sv}' c '' false 0 | path_of)
agent_kill sender 9
kill -CONT "$receiver_pid"
sender_start
tap_line $? "killed right after a start, and started again"
ok "the same job goes on to its end" ended "$running"
ok "and did its work" replica_is a1 "$dir/a1.img"

# -- reading the configuration again ------------------------------------------

reloads() { grep -c 'was read again\|configuration as it was holds' "$dir/sender.log"; }
reload() {
    local before
    before=$(reloads)
    kill -HUP "$sender_pid"
    for _ in {1..100}; do
        [ "$(reloads)" -gt "$before" ] && return 0
        sleep 0.1
    done
    return 1
}

# waiting LINE: of a job that is to start in an hour
waiting() {
    local path
    path=$(here resync c --start-time +1h)
    here job show "$path" | grep "$1" | xargs
    here job cancel "$path"
}

configure 'rate_limit = fast'
ok "a wrong configuration" reload
like "is refused with file, line and what was expected" "$(tail -n 1 "$dir/sender.log")" \
    'sender\.conf:7: rate_limit=fast, expected bytes a second'
is "and what was goes on" "$(vm_state web01)" 3
configure 'rate_rules = Mon-Fri 08:00-18:00 20M, Sat 08:00 0'
ok "wrong rules" reload
like "are refused as a whole" "$(tail -n 1 "$dir/sender.log")" \
    'sender\.conf:7: rate_rules=Mon-Fri .*, Sat 08:00 0, expected \[DAYS\]'
configure 'rate_limit = 100M'
ok "a right one" reload
like "is taken" "$(tail -n 1 "$dir/sender.log")" 'was read again'
is "as a job shows that waits" "$(waiting 'rate limit')" 'rate limit 100 MiB/s (rate_limit)'
configure
sed -i '/web03/,+2d' "$dir/sender.conf"
reload
last=$(method Resynchronize 'ssba{sv}' c '' false 0 | path_of)
ok "without the unreachable VM the job" ended "$last"
is "completes" "$(job "$last" JobState)" 'u 7'

# -- comparing slowly, and as fast as it goes ------------------------------------

configure 'compare_rate = 64K'
sed -i '/web03/,+2d' "$dir/sender.conf"
reload
slow=$(method Verify 'sa{sv}' c 0 | path_of)
has_read() { [ "$(job "$slow" ReadCalls | cut -d' ' -f2)" -ge 2 ]; }
ok "compare_rate: some is read" eventually has_read
# 256 KiB come first, and are four seconds' worth.
holds "when it was paid for" "$(job "$slow" ElapsedTime | cut -d' ' -f2) > 3500000"
is "and not all of it by then" "$(job "$slow" JobState)" 'u 4'
configure
sed -i '/web03/,+2d' "$dir/sender.conf"
reload
ok "without it the same job ends" ended "$slow"
is "and has found nothing" "$(job "$slow" JobState) $(job "$slow" BytesDifferent)" 'u 7 t 0'

# -- a limit of one job's own, changed while it runs ------------------------------

configure 'rate_limit = 1G'
sed -i '/web03/,+2d' "$dir/sender.conf"
reload
for disk in a0 a1 b0; do change "$dir/$disk.img" 100 "$RANDOM" > /dev/null; done
own=$(here resync c --start-time +1h)
ok "a job that waits takes a limit" here job limit "$own" 64K
is "which it has by a property" "$(job "$own" OwnRateLimit)" 't 65536'
number() { job "$own" "$1" | cut -d' ' -f2; }
here job resume "$own"
has_sent() { [ "$(number BytesOnWire)" -ge 200000 ]; }
ok "it sends" eventually has_sent
# 12 MiB would take three minutes. What was sent is looked at before the time.
sent=$(number BytesOnWire)
holds "no more than the limit allows, and a batch" \
    "$sent <= 65536 * $(number ElapsedTime) / 1000000 + 524288"
is "so it is still at it" "$(job "$own" JobState)" 'u 4'
is "the job says which limit holds it back" "$(here job show "$own" | grep limit | tr -s ' ')" \
    " rate limit 64 KiB/s (the job's own)"
is "the document, too" "$(here status c --json | python3 -c 'import json, sys
j = [j for j in json.load(sys.stdin)["jobs"] if j["state"] == 4][0]
print(j["rate_limit"], j["rate_limit_reason"], j["own_rate_limit"])')" "65536 the job's own 65536"
is "and the collection's is what it was" \
    "$(here status c --json | field collections.0.rate_limit)" $((1 << 30))
here job suspend "$own"
ok "suspended, it takes another" here job limit "$own" 2G
is "of which the collection's is the tighter" \
    "$(here job show "$own" --json | field rate_limit_reason)" rate_limit
here job resume "$own"
ok "it ends" ended "$own"
is "well" "$(job "$own" JobState)" 'u 7'
holds "and has sent more than the old limit would have allowed in its time" \
    "$(number BytesOnWire) > 65536 * $(number ElapsedTime) / 1000000 + 524288"
for disk in a0 a1 b0; do ok "$disk is as it was changed" replica_is $disk "$dir/$disk.img"; done
here job limit "$own" 64K 2> "$dir/err"
is "one that has ended takes none: 9" $? 9

# -- one VM is suspended while it is sent with another --------------------------

configure $'rate_limit = 1G\nrate_rules = Mon-Sun 00:00-24:00 300K, 10:00-12:00 0'
sed -i '/web03/,+2d' "$dir/sender.conf"
reload
is "status shows which rate holds" "$(here status c --json | field collections.0.rate_limit)" 307200
is "and why" "$(here status c --json | field collections.0.rate_limit_reason)" \
    'rate_rules: 00:00-24:00 300K'
cp "$dir/b0.img" "$dir/b0.old"
for disk in a0 b0; do change "$dir/$disk.img" 60 "$RANDOM" > /dev/null; done
both=$(method Resynchronize 'ssba{sv}' c '' false 0 | path_of)
is "the rule holds for the job" "$(job "$both" RateLimit)" 't 307200'
is "web02 is suspended meanwhile" "$(method SuspendReplication 'sa{sv}' c 1 VM s web02)" 'uo 0 "/"'
is "at once" "$(vm_state web02)" 11
ok "the job goes on without it, to its end" ended "$both"
is "with a warning" "$(job "$both" JobState)" 'u 32768'
ok "web01's change is there" replica_is a0 "$dir/a0.img"
ok "web02 is what it was" replica_is b0 "$dir/b0.old"
is "it stays suspended" "$(vm_state web02)" 11
configure
sed -i '/web03/,+2d' "$dir/sender.conf"
reload
again=$(method ResumeReplication 'sa{sv}' c 1 VM s web02 | path_of)
ok "resumed, it goes on where it was" ended "$again"
ok "and its change is there" replica_is b0 "$dir/b0.img"
tap_end
