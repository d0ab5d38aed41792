#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What a host holds of a collection is given up, and the receiver dies at every step
# of it: after a restart all of it is there or nothing, the other collections are what
# they were to the byte, and the collection can be received anew. What is no file of
# ours stays: devices, and what somebody has put in the place of a file.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/agent/lib.bash
. tests/agent/lib.bash

granule=65536
size=$((1024 * 1024 + 1536))
mkfifo "$dir/commands"
mkdir "$dir/elsewhere"
for d in 0 1; do
    make_image "$dir/img-$d-1" $size $granule "$d"
    change_image "$dir/img-$d-1" "$dir/img-$d-2" $granule "2$d"
done
mkfs.ext4 -q -F -L theirs "$dir/guest" 4M 2> /dev/null

targets=(--target "web/vm1/vda=$dir/elsewhere/vm1.raw")
start() { receiver_start --history 3 --commands "$dir/commands" "${targets[@]}"; }

run() { # COLLECTION NUMBER: of two disks
    {
        echo "hello $1 1 1 7"
        for d in 0 1; do echo "open $d vm$d vda $tracker $size $granule"; done
        for d in 0 1; do echo "begin $d $([ "$2" = 1 ] && echo full || echo incremental) 0"; done
        for d in 0 1; do
            if [ "$2" = 1 ]; then echo "full $d $dir/img-$d-1 1"
            else echo "diff $d $dir/img-$d-$(($2 - 1)) $dir/img-$d-$2 $2"; fi
            echo "end $d $2"
        done
        echo "commit 3"
    } | peer
}

cut_short() { # COLLECTION VM IMAGE EPOCH MODE: what came is staged
    {
        echo "hello $1 1 1 15"
        echo "open 0 $2 vda $tracker $(stat -c %s "$3") $granule"
        echo "begin 0 $5 0 ${6:-}"
        echo "sealed 0 $4"
        echo "data 0 $3 0 $((4 * granule)) $4"
    } | peer > /dev/null 2>&1
}

# All files of a collection, with what is in them
files() { # COLLECTION
    (cd "$dir" && find "store/$1" elsewhere -type f ! -path "*/other/*" -exec sha256sum {} + |
        sort -k 2)
}
# What the state file says of all collections but one
rows() { # COLLECTION
    python3 - "$dir/store/.state.db" "$1" << 'END'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
for table, of in (("disk", "id"), ("point_disk", "disk")):
    for row in db.execute(f"SELECT t.* FROM {table} t WHERE t.{of} IN (SELECT d.id FROM disk d"
                          " JOIN collection c ON c.id = d.collection WHERE c.name <> ?)"
                          " ORDER BY 1, 2", (sys.argv[2],)):
        print(table, row)
END
}
left() { # COLLECTION: rows that are left of it, in any table
    python3 - "$dir/store/.state.db" "$1" << 'END'
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
one = lambda sql, *a: db.execute(sql, a).fetchone()[0]
print(one("SELECT count(*) FROM disk d JOIN collection c ON c.id = d.collection"
          " WHERE c.name = ?", sys.argv[2]),
      one("SELECT count(*) FROM point p JOIN collection c ON c.id = p.collection"
          " WHERE c.name = ?", sys.argv[2]),
      one("SELECT count(*) FROM point_disk WHERE disk NOT IN (SELECT id FROM disk)"),
      one("SELECT count(*) FROM staging WHERE disk NOT IN (SELECT id FROM disk)"),
      one("SELECT count(*) FROM staged WHERE disk NOT IN (SELECT id FROM disk)"))
END
}
# clear COLLECTION, where the receiver dies of it: its exit status
die_of() { # COLLECTION
    local status=0
    timeout 5 bash -c 'echo "$1" > "$2"' - "clear $1" "$dir/commands"
    for _ in {1..200}; do
        kill -0 "$receiver_pid" 2> /dev/null || break
        sleep 0.1
    done
    kill -9 "$receiver_pid" 2> /dev/null
    wait "$receiver_pid" 2> /dev/null || status=$?
    receiver_pid=''
    died=$status
}
same_tree() { diff -r "$1" "$2"; }

# Two collections of three points; one disk of web is in a file elsewhere, one has
# something staged, and one a layer that was set aside.
start
for n in 1 2; do run web $n; run keep $n; done > "$dir/peer.out" 2>&1
is "two collections" "$(receiver_status | grep -c ' ready point 2 ')" 4
cut_short web vm0 "$dir/img-0-1" 3 incremental
printf x > "$dir/store/web/vm1/vda/point-9.qcow2.damaged"
is "something is staged" "$(find "$dir/store/web" -name '*.partial' | wc -l)" 1
receiver_stop
cp -a "$dir/store" "$dir/store.old"
cp -a "$dir/elsewhere" "$dir/elsewhere.old"
before=$(files web)
restore() {
    rm -rf "$dir/store" "$dir/elsewhere"
    cp -a "$dir/store.old" "$dir/store"
    cp -a "$dir/elsewhere.old" "$dir/elsewhere"
}

nothing_left() { # TITLE
    is "$1: no file is left" \
        "$(find "$dir/store/web" "$dir/elsewhere" -mindepth 1 2> /dev/null; ls -d "$dir/store/web" 2> /dev/null)" ''
    is "$1: no row is left" "$(left web)" '0 0 0 0 0'
    is "$1: nothing is shown" "$(receiver_status | grep -c '^web/')" 0
}

others() { # TITLE
    ok "$1: the other collection is what it was" same_tree "$dir/store/keep" "$dir/store.old/keep"
}

anew() { # TITLE
    run web 1 > "$dir/peer.out" 2>&1
    like "$1: it is received anew, with a number that was never used" \
        "$(tail -n 1 "$dir/peer.out")" '^durable 3$'
    ok "$1: and is identical" cmp "$dir/img-0-1" "$dir/store/web/vm0/vda/replica.raw"
    ok "$1: and where it is configured" cmp "$dir/img-1-1" "$dir/elsewhere/vm1.raw"
}

for point in none $("$helpers"/crash-points | grep '^clear-'); do
    restore
    [ "$point" = none ] || export TIDEMARK_CRASH=$point
    start
    unset TIDEMARK_CRASH
    kept=$(rows web)
    if [ "$point" = none ]; then
        points clear web > "$dir/action.out" 2>&1
        like "it is given up" "$(cat "$dir/action.out")" '^cleared points 2 space [1-9][0-9]+
vm0/vda removed [^ ]*/replica.raw
vm1/vda removed [^ ]*/elsewhere/vm1.raw$'
    else
        die_of web
        is "$point: the receiver died there" "$died" 137
        # What it has done by then, and nothing of what comes later
        case $point in
        clear-begun | clear-recorded) is "$point: files stand" "$(files web)" "$before" ;;
        clear-unlinked) is "$point: files are gone" "$(files web)" '' ;;
        clear-*) ok "$point: folders are gone" test ! -e "$dir/store/web" ;;
        esac
        start
    fi
    is "$point: other rows are what they were" "$(rows web)" "$kept"
    if [ "$point" = clear-begun ]; then
        is "$point: all files are what they were" "$(files web)" "$before"
        is "$point: and the points" "$(points list web | awk '{ printf "%s ", $2 }')" "1 2 "
        ok "$point: they can be read" points verify web 2
        others "$point"
        points clear web > "$dir/action.out" 2>&1
    fi
    nothing_left "$point"
    others "$point"
    like "$point: it is not known any more" "$(points clear web)" \
        'error 32779 no replica of a collection web'
    case $point in none | clear-recorded | clear-removed) anew "$point" ;; esac
    receiver_stop
done

# What is in the place of a file, and what is in folders of ours and not ours.
restore
start
rm "$dir/elsewhere/vm1.raw"
mkfifo "$dir/elsewhere/vm1.raw"
echo mine > "$dir/store/web/vm0/vda/notes"
like "what is no file is left alone" "$(points clear web)" "vm1/vda stranger $dir/elsewhere/vm1.raw"
ok "it stands" test -p "$dir/elsewhere/vm1.raw"
is "a file that is not ours stands" "$(find "$dir/store/web" -type f)" "$dir/store/web/vm0/vda/notes"
is "its row is gone all the same" "$(left web)" '0 0 0 0 0'
receiver_stop

restore
TIDEMARK_CRASH=clear-recorded start
rm "$dir/elsewhere/vm1.raw"
mkfifo "$dir/elsewhere/vm1.raw"
die_of web
start
ok "what is no file is left alone by the next start, too" test -p "$dir/elsewhere/vm1.raw"
is "and the row is gone" "$(left web)" '0 0 0 0 0'
receiver_stop

restore
rm -r "$dir/elsewhere"
start
like "what is not there is said" "$(points clear web)" "vm1/vda absent $dir/elsewhere/vm1.raw"
is "and forgotten" "$(left web)" '0 0 0 0 0'
receiver_stop

# Nothing is begun that could not be done.
if [ "$(id -u)" = 0 ] && restore && mount -t tmpfs -o size=8m none "$dir/elsewhere" 2> /dev/null; then
    at_end "umount $dir/elsewhere 2> /dev/null"
    cp -a "$dir/elsewhere.old/." "$dir/elsewhere"
    mount -o remount,ro "$dir/elsewhere"
    start
    like "a folder that cannot be written to: refused" "$(points clear web)" \
        "error 32768 cannot remove $dir/elsewhere/vm1.raw: Read-only"
    is "nothing is given up" "$(points list web | wc -l)" 2
    ok "no file is gone" test -e "$dir/store/web/vm0/vda/replica.raw"
    receiver_stop
    umount "$dir/elsewhere"
else
    skip "a folder that cannot be written to" "needs root, to mount a small file system"
fi

# In use: a sender has the collection. It goes on, and then it can be given up.
restore
start
(run_slowly() {
    echo "hello web 1 1 7"
    echo "open 0 vm0 vda $tracker $size $granule"
    echo "begin 0 incremental 0"
    echo "sleep 5000"
    echo "diff 0 $dir/img-0-1 $dir/img-0-2 3"
    echo "end 0 3"
    echo "commit 3"
}
run_slowly | peer) > "$dir/slow.out" 2>&1 &
slow=$!
eventually receiver_says '^web/vm0/vda receiving'
like "a run is under way: refused" "$(points clear web)" \
    'error 32774 the collection web is in use here: receiving'
wait $slow
like "the run was not disturbed" "$(tail -n 1 "$dir/slow.out")" '^durable'
like "then it is given up" "$(points clear web)" '^cleared points 3 '
nothing_left "after a run"
receiver_stop

# -- devices: a first point that failed, then another disk
loop() { # VARIABLE BYTES
    local made
    head -c "$2" /dev/urandom > "$dir/loop.$1"
    made=$(losetup --find --show "$dir/loop.$1" 2> /dev/null) || return 1
    at_end "losetup -d $made 2> /dev/null"
    printf -v "$1" %s "$made"
}
device=''
if [ "$(id -u)" != 0 ] || ! loop device $((4 << 20)); then
    skip "devices" "needs root and loop devices"
    tap_end
    exit
fi
targets=(--target "dev/vm1/vda=$device" --target "dev2/vm1/vda=$device")
one() { # COLLECTION IMAGE EPOCH [FORCE]
    peer << END
hello $1
open 0 vm1 vda $tracker $(stat -c %s "$2") $granule
begin 0 full 0 ${4:-}
full 0 $2 $3
end 0 $3
commit
END
}
restore
start
cut_short dev vm1 "$dir/img-0-1" 1 full
like "a first point failed on a device" "$(receiver_status)" "dev/vm1/vda seeding"
like "the device is another disk's: refused" "$(one dev2 "$dir/img-1-1" 1)" \
    "error 32774 $device is the replica of the disk vm1/vda of dev"
was=$(sha256sum < "$device")
like "it is forgotten" "$(points clear dev)" "^cleared points 0 space 0
vm1/vda device $device\$"
is "its bytes are what they were" "$(sha256sum < "$device")" "$was"
is "nothing is left" "$(left dev) $(find "$dir/store/dev" 2> /dev/null)" '0 0 0 0 0 '
like "the device is the other disk's now" "$(one dev2 "$dir/img-1-1" 1)" 'durable 1'
ok "and identical" cmp -n $size "$dir/img-1-1" "$device"
was=$(sha256sum < "$device")
receiver_stop
for point in clear-recorded clear-removed; do
    cp -a "$dir/store" "$dir/store.dev"
    TIDEMARK_CRASH=$point start
    die_of dev2
    start
    is "$point, of a device: nothing is left" "$(left dev2) $(find "$dir/store/dev2" 2> /dev/null)" \
        '0 0 0 0 0 '
    is "$point, of a device: its bytes stand" "$(sha256sum < "$device")" "$was"
    receiver_stop
    rm -rf "$dir/store"
    mv "$dir/store.dev" "$dir/store"
done
# It is somebody else's from there on, and what it carries counts again.
start
points clear dev2 > /dev/null
dd if="$dir/guest" of="$device" conv=notrunc,fsync status=none
like "what it carries is asked about again" "$(one dev "$dir/img-0-1" 1)" \
    "carries ext4 file system labelled \"theirs\""
like "and can be taken over by force" "$(one dev "$dir/img-0-1" 1 force)" 'durable'
tap_end
