#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# "tidemark points clear" over two agents: what it asks and answers, when it is refused,
# and that the sender's next run begins anew and ends with what its disks are.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/agent/agents.bash
. tests/agent/agents.bash

bus_start sender
bus_start receiver
image "$dir/d0.img" $((2 << 20)) 1
image "$dir/d1.img" $((1 << 20)) 2
sender_configure d0 d1 < /dev/null
mkdir "$dir/receiver.conf.d"
printf '[receiver]\nhistory = 3\n' > "$dir/receiver.conf.d/history.conf"
receiver_start
sender_start
resync() { here resync c --wait --no-progress > "$dir/resync" 2>&1; }
for n in 1 2; do
    resync
    change "$dir/d0.img" 10 "$n" > /dev/null
done
refused() { # CODE REGEX ARGUMENT...
    local code=$1 regex=$2 out status=0
    shift 2
    out=$(there "$@" 2>&1 < /dev/null) || status=$?
    is "$*: exit code" $status "$code"
    like "$*: why" "$out" "$regex"
}
# What the command asks a person at a terminal, who says ANSWER
asked() { # ANSWER
    python3 - "$1" "$bin/tidemark" points clear c --bus "unix:path=$dir/receiver.bus" << 'END'
import os, pty, sys
pid, fd = pty.fork()
if not pid:
    os.execv(sys.argv[2], sys.argv[2:])
out = b""
while b"[y/N]" not in out:
    out += os.read(fd, 4096)
os.write(fd, sys.argv[1].encode() + b"\n")
try:
    while True:
        more = os.read(fd, 4096)
        if not more:
            break
        out += more
except OSError:
    pass
print(out.decode(), "exit", os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
END
}
no_object() { # COLLECTION
    ! busctl --address="unix:path=$dir/receiver.bus" get-property org.tidemark.Replication1 \
        "/org/tidemark/Replication1/Collection/$1" org.tidemark.Replication1.Collection \
        StateName > /dev/null 2>&1
}
has_object() { ! no_object "$1"; }
points() { there points list c --noheadings --output POINT | tr -d ' ' | tr '\n' ' '; }

# -- what is refused
refused 1 'nobody can be asked here: give --yes' points clear c
refused 3 'no replica of a collection none is held' points clear none --yes
refused 2 'clear takes a collection only' points clear c 2 --yes
refused 2 'yes is for clear' points list c --yes
out=$(here points clear c --yes 2>&1)
is "a host that receives nothing: exit code" $? 5
like "a host that receives nothing: why" "$out" 'receives nothing'
is "nothing is given up" "$(points)" "1 2 "

there test-failover start c --no-progress > /dev/null
refused 8 'a point of the collection c is in use' points clear c --yes
there test-failover stop c --no-progress > /dev/null
there failover c --no-progress > /dev/null
refused 8 'a point of the collection c is in use' points clear c --yes
there failover revert c --no-progress > /dev/null
is "all of it is there" "$(points)" "1 2 "
for d in d0 d1; do ok "$d can be opened" test -s "$(replica_path $d)"; done

# -- what is asked
like "it is asked, and says what is lost" "$(asked n)" \
    'Give up all that this host holds of c: 2 points of 2 disks, [0-9.]+ [KM]iB\? \[y/N\].*exit 1'
is "no: nothing is given up" "$(points)" "1 2 "
plan=$(busctl --address="unix:path=$dir/receiver.bus" call org.tidemark.Replication1 \
    /org/tidemark/Replication1 org.tidemark.Replication1.Points PlanClearPoints s c)
like "the plan on the bus" "$plan" 'points\\":2.*fate\\":\\"removed'
if [ "$(id -u)" = 0 ] && id -u nobody > /dev/null 2>&1 && command -v setpriv > /dev/null; then
    # nobody must reach the bus's socket
    chmod 755 "$dir"
    chmod 777 "$dir/receiver.bus"
    cp "$bin/tidemark" "$dir"
    setpriv --reuid "$(id -u nobody)" --clear-groups "$dir/tidemark" points clear c --yes \
        --bus "unix:path=$dir/receiver.bus" > "$dir/out" 2>&1
    is "not everybody may: exit code" $? 4
    is "not everybody may: nothing is given up" "$(points)" "1 2 "
else
    skip "not everybody may" "needs root, to be somebody else"
fi

# -- what is answered, and what is left
like "yes: it is given up" "$(asked y)" 'c: given up: 2 points of 2 disks, .*exit 0'
refused 3 'no replica of a collection c is held' points list c
is "nothing is left" "$(find "$dir/store" -mindepth 1 ! -name '.*')" ''
is "no replica is shown" "$(there status --json | field replicas)" '[]'
is "nor is the collection" "$(there status --json | field collections)" '[]'
ok "its object is gone from the bus" no_object c
like "the log says so" "$(cat "$dir/receiver.log")" 'c: all that was held of it is given up: 2 point'
refused 3 'no replica of a collection c is held' points clear c --yes

# -- the sender does not know yet; its next run does
here resync c --wait --json > "$dir/anew.json" 2> /dev/null
is "the next run" $? 0
is "it was a first copy" "$(python3 -c 'import json, sys
print([d["mode"] for d in json.load(open(sys.argv[1]))["disks"]])' "$dir/anew.json")" "['full', 'full']"
for d in d0 d1; do ok "$d is what it is" replica_is $d "$dir/$d.img"; done
is "with a number that was never used" "$(points)" "3 "
change "$dir/d0.img" 10 9 > /dev/null
ok "the collection is an object on the bus again" eventually has_object c
is "with its new point" "$(there status --json | field collections.0.vms.0.point)" 3
ok "and the one after it" resync
ok "d0 is what it is still" replica_is d0 "$dir/d0.img"
document=$(there points clear c --yes --json)
is "JSON" "$(field schema <<< "$document") $(field points <<< "$document") $(
    field disks.0.fate <<< "$document")" "tidemark/1 2 removed"

# -- failed over for good: the replicas are disks
resync
there failover c --no-progress > /dev/null
there failover commit c --no-progress > /dev/null
refused 9 'failed over for good' points clear c --yes
ok "they stand" test -s "$dir/store/c/vm/d0/replica.raw"
tap_end
