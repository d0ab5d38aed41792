#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The faces of the agent: objects on the bus with their properties and signals, as
# busctl sees them, and the commands that make, list, schedule and forget.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
. tests/agent/agents.bash

dest=org.tidemark.Replication1 root=/org/tidemark/Replication1
bus=(busctl "--address=unix:path=$dir/sender.bus")
image "$dir/d0.img" $((4 << 20)) 1
image "$dir/d1.img" $((2 << 20)) 2
sender_configure d0 < /dev/null
bus_start sender && bus_start receiver
tap_line $? "a bus for each agent"
receiver_start
tap_line $? "the receiver starts"
sender_start
tap_line $? "the sender starts"

timeout 5 "$bin/tidemarkd" --config "$dir/sender.conf" --bus none 2> "$dir/err"
is "a second agent with the same state does not start" $? 1
like "and says why" "$(cat "$dir/err")" "another agent uses the state in $dir/sender\$"

: > "$dir/signals"
"$bin/tidemark" events --agent --bus "unix:path=$dir/sender.bus" > "$dir/events" 2> "$dir/events.err" &
bus_pids+=($!)
dbus-monitor --address "unix:path=$dir/sender.bus" \
    "type='signal',sender='$dest'" > "$dir/signals" 2> /dev/null &
bus_pids+=($!)
for _ in {1..50}; do grep -q NameAcquired "$dir/signals" && break; sleep 0.1; done

# -- objects ------------------------------------------------------------------

xml=$("${bus[@]}" introspect --xml-interface $dest $root)
for argument in collection start_time include_suspended options; do
    like "Resynchronize has an argument $argument" \
        "$(sed -n '/method name="Resynchronize"/,/\/method/p' <<< "$xml")" \
        "name=\"$argument\" direction=\"in\"|direction=\"in\" name=\"$argument\"|name=\"$argument\""
done
methods=$(grep -c '<method' <<< "$(sed -n "/interface name=\"$dest.Service\"/,/<\/interface>/p" <<< "$xml")")
holds "the service has all methods of the model" "$methods >= 25"
for method in StartReplication CancelInitialReplication Resynchronize CancelResynchronize \
    SuspendReplication ResumeReplication InitiateFailover RevertFailover CommitFailover \
    InitiatePlannedFailover RevertPlannedFailover PrepareForReverseReplication \
    ReverseReplicationRelationship TestReplicaCollection RevertTestReplicaCollection \
    CreateReplicationRelationship ModifyReplicationSettings RemoveReplicationRelationship \
    GetReplicationStatistics ResetReplicationStatistics CancelUpdateDiskSet; do
    grep -q "method name=\"$method\"" <<< "$xml" || missing="${missing:-} $method"
done
is "with the reference's names" "${missing:-}" ''

# -- a collection by the API ----------------------------------------------------

ok "a collection is created" here collection create web-1.x \
    "RecoveryConnectionPoint=127.0.0.1:$port" ReplicationInterval=0 \
    --disk "vm_1/vda=$dir/d1.img,none,granule=64K"
path=$root/Collection/web_2d1_2ex
like "its name is escaped in its path" "$("${bus[@]}" tree --list $dest)" "$path/VM/vm_5f1"
is "its state" "$("${bus[@]}" get-property $dest $path $dest.Collection ReplicationState)" "u 1"
like "its settings" "$("${bus[@]}" get-property $dest $path $dest.Collection Settings)" \
    "\"RecoveryConnectionPoint\" s \"127.0.0.1:$port\""
like "the object manager has it" "$("${bus[@]}" call $dest $root org.freedesktop.DBus.ObjectManager \
    GetManagedObjects)" "\"$path\" [0-9]+ .*$dest.Collection"
like "a method takes a path for a name" "$("${bus[@]}" call $dest $root $dest.Service \
    GetReplicationStatistics 'sa{sv}' $path 0)" '^ua\{sv\} 0 15 '
ok "it is modified" here collection modify web-1.x RecoveryHistory=3
like "and shows that" "$(here collection show web-1.x)" 'RecoveryHistory +3'
here collection modify web-1.x RecoveryHistory=99 2> "$dir/err"
is "a value out of range: 2" $? 2
like "and says what is allowed" "$(cat "$dir/err")" '0 to 24'
here collection modify c RecoveryHistory=3 2> "$dir/err"
is "what a file defines is changed there: 5" $? 5
like "and says where" "$(cat "$dir/err")" 'sender.conf'
here collection create web-1.x 2> /dev/null
holds "a name that is taken is refused" "$? != 0"
here collection remove web-1.x < /dev/null 2> "$dir/err"
is "nothing is removed without a yes" $? 1
here collection remove web-1.x --vm vm_1 --yes 2> "$dir/err"
is "nor more than is meant: 2" $? 2
like "which is said" "$(cat "$dir/err")" 'remove takes no --vm'
ok "it is still there" here collection show web-1.x
is "one that there is not" "$(here collection show nobody 2>&1)" \
    "tidemark: there is no collection nobody"
here collection show web-1.x vm_1 2> /dev/null
is "show takes one collection: 2" $? 2

# -- jobs ---------------------------------------------------------------------

plan=$(here resync c --dry-run --json)
is "a dry run: the bytes of the disk that has no point" "$(field bytes <<< "$plan")" $((4 << 20))
is "and no job" "$(here jobs --json | field jobs)" '[]'
is "what is owed is not known before the first point" \
    "$(here list c --noheadings --output OWED | xargs)" -
ok "start" here start web-1.x --wait --no-progress
ok "a run" here resync c --wait --no-progress
holds "a dry run after it knows how long it takes" "$(here resync c --dry-run --json | field eta) > 0"
job=$(here resync c --start-time +1h)
is "a scheduled job waits" "$(here job show "$job" --json | field state_name)" New
like "and says for what" "$(here jobs c)" 'waiting|20[0-9-]+T'
scheduled=$(here job show "$job" --json | field scheduled)
holds "its time is an hour away" "$(($(date -d "$scheduled" +%s) - $(date +%s))) > 3500"
here cancel c
is "cancel" "$(here job show "$job" --json | field state_name)" Terminated
is "the history has all of them" \
    "$(here history --json | python3 -c 'import json, sys
print(sorted(j["name"] + " " + j["state"] for j in json.load(sys.stdin)["jobs"]))')" \
    "['Resynchronize Completed', 'Resynchronize Terminated', 'StartReplication Completed']"
is "names for people, numbers for programs" "$(here history --json | field jobs.-1.state_number)" 7
like "which is a name or a path on the bus" "$("${bus[@]}" call $dest $root $dest.Service GetHistory \
    'stua{sv}' $path 0 1 0)" 'StartReplication'
like "of the status, too" "$("${bus[@]}" call $dest $root $dest.Service GetStatus 'a{sv}' 1 \
    Collection s $path)" 'web-1.x'
is "of one collection" "$(here history web-1.x --noheadings --output NAME | xargs)" StartReplication
ok "suspend" here suspend web-1.x
is "its VM is suspended" "$(here status web-1.x --noheadings --output STATE | xargs)" Suspended
ok "resume" here resume web-1.x

like "a job's limit has its arguments named" \
    "$("${bus[@]}" introspect --xml-interface $dest "$job" |
        sed -n '/method name="SetRateLimit"/,/\/method/p' | tr -d '\n')" \
    'type="t" name="limit" direction="in".*type="a\{sv\}" name="options".*type="u" name="code"'

# -- what is no argument --------------------------------------------------------

is "a column that there is not: said once" "$(here status --output NOPE 2>&1)" \
    "tidemark: there is no column 'NOPE'"
there points list $'\xff' 2> "$dir/err"
is "what is no text: 2" $? 2
like "and the agent is not blamed for it" "$(cat "$dir/err")" 'no valid text'

# -- figures ------------------------------------------------------------------

like "statistics have moments as all documents have" \
    "$(here stats c --json | field start_statistic_time)" '^20[0-9-]{8}T[0-9:]{8}Z$'
is "or none" "$(here stats c --json | field last_test_failover_time)" null

echo old > "$dir/tidemark.prom"
here metrics --output "$dir/tidemark.prom"
is "metrics go to a file" $? 0
like "with sent bytes" "$(cat "$dir/tidemark.prom")" \
    'tidemark_sent_bytes_total\{collection="c",role="primary"\} [1-9]'
ok "each line is a sample or a comment" \
    bash -c '! grep -vE "^(# (HELP|TYPE) [a-z_]+ .+|[a-z_]+(\{([a-z]+=\"[^\"]*\",?)+\})? [0-9]+)$" "$1"' - \
    "$dir/tidemark.prom"
is "and nothing else is left there" "$(echo "$dir"/tidemark.prom*)" "$dir/tidemark.prom"
TIDEMARK_BUS_ADDRESS=unix:path=$dir/nobus "$bin/tidemark" metrics --output "$dir/tidemark.prom" 2> /dev/null
is "no agent: 10" $? 10
like "and the file says so" "$(cat "$dir/tidemark.prom")" '^.*tidemark_up 0$'
here doctor --json > "$dir/doctor"
holds "doctor has a verdict" "$? == 0 || $? == 1 || $? == 12"
is "on the agent, too" "$(python3 -c 'import json, sys
print([c["verdict"] for c in json.load(open(sys.argv[1]))["checks"] if c["what"] == "agent"][0])' \
    "$dir/doctor")" ok
if [ -e /dev/tidemark-control ]; then
    skip "who only receives needs no module" "this host has it loaded"
else
    is "who only receives needs no module" "$(there doctor --noheadings |
        sed -nE 's/^ *([a-z]+) +kernel module .*/\1/p')" note
    is "who sends does" "$(here doctor --noheadings | sed -nE 's/^ *([a-z]+) +kernel module .*/\1/p')" failed
fi
like "NO_COLOR, no terminal: no escapes" "$(here list | grep -c $'\033')" '^0$'

# -- signals and events -------------------------------------------------------

ok "a collection is removed" here collection remove web-1.x --yes
here status web-1.x 2> /dev/null
is "and is not there any more: 3" $? 3
for _ in {1..50}; do grep -q InterfacesRemoved "$dir/signals" && break; sleep 0.1; done
like "objects come" "$(grep -A 1 InterfacesAdded "$dir/signals")" "object path \"$path\""
like "and go" "$(grep -A 1 InterfacesRemoved "$dir/signals")" "object path \"$path\""
like "a job's end is told" "$(cat "$dir/signals")" 'member=JobFinished'
like "a state that changes is told" \
    "$(grep -A 60 "path=$path; .*member=PropertiesChanged" "$dir/signals")" 'ReplicationState'
is "events are numbered without a hole" "$(python3 -c 'import json, sys
e = [json.loads(l) for l in open(sys.argv[1])]
s = [x["seq"] for x in e if "seq" in x]
print(len(s) > 5 and s == list(range(s[0], s[0] + len(s))),
      {x["schema"] for x in e}, {x["source"] for x in e})' "$dir/events")" \
    "True {'tidemark/1'} {'agent'}"
agent_kill sender TERM
for _ in {1..50}; do grep -q agent-ended "$dir/events" && break; sleep 0.1; done
like "that the agent ended is told, too" "$(tail -n 1 "$dir/events")" '"event":"agent-ended"'
here list 2> /dev/null
is "no agent: not available, 10" $? 10
agent_kill receiver TERM
tap_end
