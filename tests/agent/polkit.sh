#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Authorization by a real polkitd: with our actions, and rules of this test's, it
# says who but root may have the agent do what; and while it is asked, and when it
# does not answer, everybody else is served.
#
#   root ─┐
#   nobody ─► bus ─► tidemarkd ── CheckAuthorization ─► polkitd
#
# polkitd reads its actions and rules from fixed folders: it gets ours by mounts in
# a name space of its own.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
. tests/agent/agents.bash

polkitd=/usr/lib/polkit-1/polkitd
why=''
[ "$(id -u)" = 0 ] || why="it takes root"
[ -x $polkitd ] || why="there is no polkitd"
id -u nobody > /dev/null 2>&1 && id -u polkitd > /dev/null 2>&1 || why="it takes users nobody and polkitd"
unshare -m true 2> /dev/null || why="mounts are not possible here"
if [ -n "$why" ]; then
    skip "authorization by polkit" "$why"
    tap_end
    exit
fi

dest=org.tidemark.Replication1 object=/org/tidemark/Replication1
image "$dir/d0.img" $((1 << 20)) 1
sender_configure d0 < /dev/null
bus_start sender && bus_start receiver
tap_line $? "a bus for each agent"
receiver_start
tap_line $? "the receiver starts"
sender_start
tap_line $? "the sender starts"
chmod 711 "$dir"
chmod 666 "$dir/sender.bus"
cp "$bin/tidemark" "$dir/tidemark" # build/ may not be searchable
nobody() { setpriv --reuid "$(id -u nobody)" --clear-groups "$@"; }
asks() { nobody "$dir/tidemark" "$@" --bus "unix:path=$dir/sender.bus" \
    < /dev/null > "$dir/out" 2> "$dir/err"; }

asks resync c
is "no polkit: nobody may not start a job" $? 4
ok "but may look" asks list
ok "and root may start one" here resync c --wait
asks job limit 1 64K
is "which nobody may not limit" $? 4

# -- with polkit --------------------------------------------------------------

mkdir "$dir/actions" "$dir/rules"
cp agent/bus/org.tidemark.Replication1.policy "$dir/actions/"
cat > "$dir/rules/10-test.rules" << 'END'
polkit.addRule(function(action, subject) {
    if (action.id == "org.tidemark.Replication1.replicate" && subject.user == "nobody")
        return polkit.Result.YES;
    if (action.id == "org.tidemark.Replication1.configure" && subject.user == "nobody")
        return polkit.Result.NO;
});
END
chmod -R a+rX "$dir/actions" "$dir/rules"
polkit_start() {
    DBUS_SYSTEM_BUS_ADDRESS="unix:path=$dir/sender.bus" unshare -m bash -c '
        mkdir -p /etc/polkit-1/rules.d /usr/share/polkit-1/rules.d
        mount --make-rprivate /
        mount --bind "$0/actions" /usr/share/polkit-1/actions &&
        mount --bind "$0/rules" /etc/polkit-1/rules.d &&
        exec "$1" --no-debug' "$dir" $polkitd > "$dir/polkit.out" 2>&1 &
    polkit_pid=$!
    bus_pids+=("$polkit_pid")
    for _ in {1..100}; do
        busctl "--address=unix:path=$dir/sender.bus" status org.freedesktop.PolicyKit1 \
            > /dev/null 2>&1 && return 0
        sleep 0.1
    done
    return 1
}
polkit_start
tap_line $? "polkitd starts on the same bus"

asks resync c --wait
is "what the rules allow, nobody may do" $? 0
is "the job's owner is named" "$(here history c --json | field jobs.0.owner)" \
    "uid $(id -u nobody)"
asks job limit 1 64K
is "a job that has ended is refused for that: 9" $? 9
asks stats c --reset
is "what the rules forbid, nobody may not do: 4" $? 4
like "and is told so" "$(cat "$dir/err")" 'not authorized'
busctl "--address=unix:path=$dir/sender.bus" call $dest $object $dest.Service \
    ResetReplicationStatistics 'sa{sv}' c 0 > /dev/null
is "root may all the same" $? 0
asks resync nowhere
is "an authorized call is refused for its own reasons: 3" $? 3

# -- while polkit is silent ---------------------------------------------------

kill -STOP "$polkit_pid"
nobody "$dir/tidemark" resync c --bus "unix:path=$dir/sender.bus" < /dev/null > "$dir/late" 2>&1 &
late=$!
sleep 0.2
ok "while polkit is asked, others are served" here list
ok "and may change something" here stats c --reset
kill -CONT "$polkit_pid"
wait $late
is "the caller who waited gets its answer" $? 0
for _ in {1..100}; do here status c --json | grep -q '"job": *null' && break; sleep 0.1; done

kill -STOP "$polkit_pid"
asks resync c
is "polkit does not answer: 4, after a while" $? 4
kill -CONT "$polkit_pid"

for _ in {1..80}; do
    nobody busctl "--address=unix:path=$dir/sender.bus" call --expect-reply=no $dest $object \
        $dest.Service SuspendReplication 'sa{sv}' nowhere 0 > /dev/null 2>&1
done
ok "many callers who do not wait for their answer do no harm" here list

agent_kill sender TERM
is "the sender ends cleanly" $? 0
agent_kill receiver TERM
tap_end
