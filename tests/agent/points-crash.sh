#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The receiver dies at every durable step of a run, a merge at the bottom of a
# chain, and a join in its middle. After a restart the points are what the
# database says, qemu-img finds every file in order, and each point's digest is
# what it was before.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/agent/lib.bash
. tests/agent/lib.bash

granule=65536
size=$((2 * 1024 * 1024 + 1536))
mkfifo "$dir/commands"
for d in 0 1; do
    make_image "$dir/img-$d-1" $size $granule "$d"
    for n in {2..6}; do
        change_image "$dir/img-$d-$((n - 1))" "$dir/img-$d-$n" $granule "$n$d"
    done
done

start() { receiver_start --history "${1:-3}" --commands "$dir/commands"; }

run() { # NUMBER
    {
        echo "hello web 1 1 7"
        for d in 0 1; do echo "open $d vm$d vda $tracker $size $granule"; done
        for d in 0 1; do echo "begin $d $([ "$1" = 1 ] && echo full || echo incremental) 0"; done
        for d in 0 1; do
            if [ "$1" = 1 ]; then echo "full $d $dir/img-$d-1 1"
            else echo "diff $d $dir/img-$d-$(($1 - 1)) $dir/img-$d-$1 $1"; fi
            echo "end $d $1"
        done
        echo "commit 3"
    } | peer
}

numbers() { points list web | awk '{ printf "%s ", $2 }'; }
digests() { # of each disk at each point: NUMBER DISK DIGEST
    local n
    for n in $(numbers); do
        points verify web "$n" > /dev/null
        points show web "$n" | awk -v n="$n" '$1 == "disk" { print n, $2, $NF }'
    done
}

# Every file of the store is in order, and reads as what was sent
referee() { # NUMBERS
    local n d path shown bad=''
    for n in $1; do
        shown=$(points show web "$n")
        for d in 0 1; do
            path=$(awk -v d="vm$d/vda" '$2 == d { print $5 }' <<< "$shown")
            case $path in
            *.qcow2)
                qemu-img check -q "$path" > /dev/null 2>&1 || bad+=" check:$n/$d"
                qemu-img compare -q -f qcow2 -F raw "$path" "$dir/img-$d-$n" > /dev/null 2>&1 ||
                    bad+=" differs:$n/$d" ;;
            *) cmp -s "$path" "$dir/img-$d-$n" || bad+=" differs:$n/$d" ;;
            esac
        done
    done
    echo "$bad"
}

overlays() { # COUNT: each disk has so many
    local d
    for d in 0 1; do
        [ "$(find "$dir/store/web/vm$d" -name 'point-*.qcow2' | wc -l)" = "$1" ] || return 1
    done
}

settle() { # until nothing is to be merged or joined: as many overlays as points but one
    local want=$(($(numbers | wc -w) - 1))
    for _ in {1..100}; do
        overlays $want && ! receiver_status | grep -q merging && return 0
        sleep 0.05
    done
    return 1
}

dead() { # COUNT: the receiver has died; no: it lives, and has done its work
    for _ in {1..100}; do
        kill -0 "$receiver_pid" 2> /dev/null || { wait "$receiver_pid"; receiver_pid=''; return 0; }
        if overlays "$1"; then
            sleep 0.2
            kill -0 "$receiver_pid" 2> /dev/null && return 1
        fi
        sleep 0.05
    done
    return 1
}

# A store of four points, 1 2 3 4, made once
start
for n in 1 2 3 4; do run $n > /dev/null; done
settle
before=$(digests)
is "four points" "$(numbers)" "1 2 3 4 "
is "are what was sent" "$(referee "1 2 3 4")" ''
receiver_stop
cp -a "$dir/store" "$dir/four"

# TITLE CRASH ACTION POINTS-BEFORE POINTS-AFTER [HISTORY]: ACTION kills the receiver at CRASH
crash() {
    local title=$1 crash=$2 action=$3 old=$4 new=$5 history=${6:-3} got expected
    rm -rf "$dir/store"
    cp -a "$dir/four" "$dir/store"
    # Not the work of the start, which has none, but for a limit that is another one.
    export TIDEMARK_CRASH=$crash
    start "$history"
    unset TIDEMARK_CRASH
    $action > "$dir/action.out" 2>&1
    if ! dead $(($(wc -w <<< "$new") - 1)); then
        met=no
        receiver_stop
        return
    fi
    met=yes
    start "$history" || { is "$title, $crash: restarts" no yes; return; }
    got=$(numbers)
    # One or the other, never anything between.
    case $got in "$old"|"$new") ;; *) is "$title, $crash: the points before or after" "$got" "$new"; return ;; esac
    ok "$title, $crash: the work is done after a restart" settle
    got=$(numbers)
    is "$title, $crash: files are in order" "$(referee "$got")" ''
    expected=$(awk -v keep=" $got" '!index(keep, " " $1 " ") { next } 1' <<< "$before")
    is "$title, $crash: digests are what they were" \
        "$(digests | grep -F -e "$(cut -d' ' -f1 <<< "$expected" | sort -u | sed 's/$/ vm/')")" "$expected"
    is "$title, $crash: nothing is left over" "$(find "$dir/store" -name '*.partial' | wc -l)" 0
    run $(($(cut -d' ' -f"$(wc -w <<< "$got")" <<< "$got") + 1)) > "$dir/peer.out" 2>&1
    like "$title, $crash: the next run completes" "$(tail -n 1 "$dir/peer.out")" '^durable'
    receiver_stop
}

delete_3() { points delete web 3; }
delete_2() { points delete web 2; }
run_5() { run 5; }

for point in $("$helpers"/crash-points | grep -E '^join-') join-recorded:2; do
    crash "delete in the middle" "$point" delete_3 "1 2 3 4 " "1 2 4 "
    [ $met = yes ] && joins+=" $point"
done
for point in $("$helpers"/crash-points | grep -Ev '^(join-|disk-dropped|begin-recorded|failover-|reverse-|clear-)') merge-rebased:2; do
    crash "a run, and a merge at the bottom" "$point" run_5 "1 2 3 4 " "2 3 4 5 "
    [ $met = yes ] && merges+=" $point"
done
for point in join-{written,durable,renamed,recorded,unlinked}; do
    like "$point was met in a join" "$joins " " $point "
done
for point in begin-created write tables-written disk-{durable,renamed} folders-synced committed told \
    merge-{begun,copied,durable,recorded,rebased,unlinked}; do
    like "$point was met in a run with a merge" "$merges " " $point "
done

# A limit of 1 from the start: many merges, one after the other.
for point in merge-recorded merge-rebased:3 merge-unlinked:3; do
    crash "a lower limit" "$point" true "3 4 " "3 4 " 1
    is "$point was met with a lower limit" $met yes
done

# Rules of deletion.
rm -rf "$dir/store"
cp -a "$dir/four" "$dir/store"
start
like "the newest point is not deleted" "$(points delete web 4)" 'error 32775 .*next run builds'
like "a point that is not there is not deleted" "$(points delete web 9)" 'error 32779'
like "nor one of another collection" "$(points delete none 1)" 'error 32779'
is "the oldest is deleted" "$(points delete web 1; numbers)" "2 3 4 "
ok "and its layer goes" settle
is "the others are what they were" "$(referee "2 3 4")" ''
delete_2
delete_3
is "all but the newest are deleted" "$(numbers)" "4 "
ok "and their layers go" settle
is "the newest is what it was" "$(referee 4)" ''

# A verification that finds something.
like "verified again" "$(points verify web 4)" 'fresh 0'
printf x | dd of="$dir/store/web/vm1/vda/replica.raw" bs=1 seek=100000 conv=notrunc status=none
like "a byte that changed is found" "$(points verify web 4)" 'error 32768 vm1/vda at point 4: .*not what they were'
receiver_stop
# No room for what two overlays become: all points that are kept stand, and the work
# is done when there is room.
if [ "$(id -u)" = 0 ] && rm -rf "$dir/store" && mkdir "$dir/store" &&
    mount -t tmpfs -o size=64m none "$dir/store" 2> /dev/null; then
    at_end "umount $dir/store 2> /dev/null"
    cp -a "$dir/four/." "$dir/store"
    start
    # Enough for the database, which says first that the point is given up.
    room=$(df --output=avail -B1 "$dir/store" | tail -n 1)
    fallocate -l $((room - 160 * 1024)) "$dir/store/filler"
    delete_3 > "$dir/action.out" 2>&1
    for _ in {1..200}; do grep -q 'No space left' "$dir/log" && break; sleep 0.05; done
    like "a join without room: the log says so" "$(tail -n 20 "$dir/log")" 'No space left'
    is "a join without room: the points are kept" "$(numbers)" "1 2 4 "
    is "a join without room: files are in order" "$(referee "$(numbers)")" ''
    is "a join without room: nothing of it is left" "$(find "$dir/store" -name '*.partial' | wc -l)" 0
    run 5 > "$dir/peer.out" 2>&1
    like "a join without room: a run fails with the reason" "$(cat "$dir/peer.out")" \
        'error 32768 .*No space left'
    is "a join without room: the points are kept still" "$(numbers)" "1 2 4 "
    rm "$dir/store/filler"
    run 5 > "$dir/peer.out" 2>&1
    like "a join with room: the next run completes" "$(tail -n 1 "$dir/peer.out")" '^durable 5'
    ok "a join with room: it is done" settle
    is "a join with room: files are in order" "$(referee "$(numbers)")" ''
    receiver_stop
    umount "$dir/store"
else
    skip "a join without room" "needs root, to mount a small file system"
fi
tap_end
