#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What an earlier life of the receiver left half-done, and a file of it that cannot be
# removed: that collection is refused, with the reason at every place where somebody looks,
# the others are served, and once the file can go all is well without a restart.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/agent/agents.bash
. tests/agent/agents.bash

# c and e have points, f is begun only; each has one disk
others() {
    for name in e f; do
        printf '[collection %s]\nreplica = 127.0.0.1:%s\ntimeout = 20\n' $name "$port"
        printf '[disk %s/vm-%s/d%s]\ndevice = %s/d%s.img\ntracking = none\n' \
            $name $name $name "$dir" $name
    done
}
image "$dir/d0.img" $((1 << 20)) 1
image "$dir/de.img" $((1 << 20)) 2
image "$dir/df.img" $((1 << 20)) 3
bus_start sender
bus_start receiver
sender_configure d0 < <(others)
receiver_start
sender_start
tap_line $? "two agents"

resync() { # COLLECTION: its exit status; what it says is in $dir/resync
    here resync "$1" --wait --no-progress > "$dir/resync" 2>&1
    echo $?
}
restart() { # [CRASH]
    agent_kill receiver TERM
    [ -z "${1:-}" ] || export TIDEMARK_CRASH=$1
    receiver_start
    tap_line $? "the receiver starts${1:+, to die at $1}"
    unset TIDEMARK_CRASH
}
died() { # TITLE
    local status=0
    wait "$receiver_pid" || status=$?
    is "$1" $status 137
}
replica() { # COLLECTION FIELD: "gone" if it is not shown
    there status --json | python3 -c 'import json, sys
for r in json.load(sys.stdin)["replicas"]:
    if r["collection"] == sys.argv[1]:
        print(r[sys.argv[2]] or "none")
        break
else:
    print("gone")' "$@"
}
health() { # COLLECTION FIELD
    there status --json | python3 -c 'import json, sys
for c in json.load(sys.stdin)["collections"]:
    if c["collection"] == sys.argv[1]:
        print(c[sys.argv[2]] or "none")' "$@"
}
reload() { kill -HUP "$receiver_pid"; }
is_gone() { [ "$(replica "$1" state)" = gone ]; }
is_well() { [ "$(health "$1" health_name)" = Ok ]; }
points() { there points list "$1" --noheadings --output POINT 2>&1 | tr -d ' ' | tr '\n' ' '; }

# in_the_way FILE: it cannot be removed, by nobody. Where the file system knows immutable
# files it is one; else a folder is in its place.
immutable=()
in_the_way() {
    touch "$1"
    if chattr +i "$1" 2> /dev/null; then
        immutable+=("$1")
        errno='Operation not permitted'
    else
        rm "$1"
        mkdir "$1"
        errno='Is a directory'
    fi
}
out_of_the_way() {
    chattr -i "$1" 2> /dev/null
    if [ -d "$1" ]; then rmdir "$1"; fi
}
leave() {
    local file
    for file in "${immutable[@]}"; do chattr -i "$file" 2> /dev/null; done
    finish
}
trap leave EXIT

is "c has a point" "$(resync c)" 0
is "e has one" "$(resync e)" 0

# -- a first point that was cut short, and a later one --------------------------------------
restart begin-created
here resync f --no-progress > /dev/null 2>&1
died "the first point of f was cut short"
here job cancel "$(here jobs --noheadings --output JOB | tail -n 1)" > /dev/null 2>&1
first=$dir/store/f/vm-f/df/replica.raw.partial
ok "a file is left of it" test -e "$first"
in_the_way "$first"
later=$dir/store/c/vm/d0/point-9.qcow2.partial
in_the_way "$later"
restart

says="what was left half-done of the collection c cannot be cleared up: cannot remove $later: $errno"
is "status --json says it of c" "$(replica c error)" "$says"
is "its point is shown as ever" "$(replica c point) $(replica c state)" "1 ready"
ok "and can be opened" replica_is d0 "$dir/d0.img"
is "its health is critical" "$(health c health_name)" Critical
is "and why" "$(health c health_text)" "vm: $says"
like "status for people says it" "$(there status c)" "NOTE.*cannot remove $later: $errno"
like "so does the log" "$(cat "$dir/receiver.log")" "$says; nothing is received of it before that"
like "and of f" "$(replica f error)" "of the collection f .* cannot remove $first: $errno"
is "of which nothing is shown" "$(replica f point) $(replica f path)" "none none"
is "nothing is said of e" "$(replica e error)" none
is "which is well" "$(health e health_name)" Ok

change "$dir/de.img" 20 3 > /dev/null
change "$dir/d0.img" 20 4 > /dev/null
is "e is received" "$(resync e)" 0
ok "as it is" replica_is de "$dir/de.img"
is "c is refused" "$(resync c)" 10
like "and its sender is told why" "$(cat "$dir/resync")" "cannot remove $later: $errno"
is "with its point as it was" "$(points c)" "1 "
like "f is refused" "$(resync f; cat "$dir/resync")" "cannot remove $first: $errno"
reload
sleep 1
is "a reload changes nothing while the file is there" "$(replica c error)" "$says"

out_of_the_way "$later"
is "once it can be removed, the next run does it" "$(resync c)" 0
ok "and is received" replica_is d0 "$dir/d0.img"
is "nothing more is said" "$(replica c error)" none
ok "the file is gone" test ! -e "$later"
ok "the health is well again" eventually is_well c
like "the log says it" "$(cat "$dir/receiver.log")" "of the collection c is cleared up"
like "f still waits" "$(replica f error)" "cannot remove $first"
out_of_the_way "$first"
reload
ok "a reload does it, too" eventually is_gone f
ok "and the folders are gone" test ! -e "$dir/store/f"
is "f is begun anew" "$(resync f)" 0
ok "and is whole" replica_is df "$dir/df.img"

# -- of a collection that nothing is held of ------------------------------------------------
mkdir -p "$dir/store/x/vm/d"
stray=$dir/store/x/vm/d/point-3.qcow2
in_the_way "$stray"
restart
fault() { there status "$@" --json | field faults; }
like "status --json says it" "$(fault)" "collection.*: .x.*cannot remove $stray: $errno"
is "of x alone" "$(there status --json | python3 -c 'import json, sys
print(*[f["collection"] for f in json.load(sys.stdin)["faults"]])')" x
is "no replica is shown of it" "$(replica x state)" gone
like "status for people says it" "$(there status)" "x .*cannot remove $stray: $errno"
like "also of x" "$(there status x)" "cannot remove $stray: $errno"
is "nothing is said of e" "$(there status e --json | field faults)" '[]'
out_of_the_way "$stray"
reload
x_is_well() { [ "$(fault)" = '[]' ]; }
ok "until it can be removed" eventually x_is_well

# -- points clear, cut short ------------------------------------------------------------------
restart clear-recorded
there points clear f --yes > /dev/null 2>&1
died "giving up f was cut short"
raw=$dir/store/f/vm-f/df/point-7.qcow2
in_the_way "$raw"
restart
like "it is said" "$(replica f error)" "cannot remove $raw: $errno"
is "nothing of it is shown" "$(replica f state) $(replica f point) $(replica f path) $(points f)" \
    "seeding none none "
like "it is refused" "$(resync f; cat "$dir/resync")" "cannot remove $raw: $errno"
is "the others are not" "$(resync c) $(resync e)" "0 0"
out=$(there points clear f --yes 2>&1)
is "giving it up again fails" $? 1
like "for the same reason" "$out" "cannot remove $raw: $errno"
out_of_the_way "$raw"
is "then it does not" "$(there points clear f --yes > /dev/null 2>&1; echo $?)" 0
ok "all of it is gone" test ! -e "$dir/store/f"
is "and nothing is shown" "$(replica f state)" gone

# Without a crash: it is recorded, and a file is in the way.
in_the_way "$dir/store/c/vm/d0/point-7.qcow2.damaged.partial"
like "giving up c fails" "$(there points clear c --yes 2>&1)" "cannot remove .*/point-7.qcow2.damaged"
like "and is said from there on" "$(replica c error)" "cannot remove .*/point-7.qcow2.damaged"
like "nothing comes on top of it" "$(resync c; cat "$dir/resync")" "cannot remove"
out_of_the_way "$dir/store/c/vm/d0/point-7.qcow2.damaged.partial"
is "the next run begins anew" "$(resync c)" 0
ok "and is whole" replica_is d0 "$dir/d0.img"
ok "e was never touched" replica_is de "$dir/de.img"
tap_end
