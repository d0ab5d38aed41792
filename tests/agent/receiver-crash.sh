#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The receiver dies at every crash point of a first and of a second run over
# two disks; what can be opened then is the old point or the new one, of both
# disks; after a restart it still is, and the next run completes.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/agent/lib.bash
. tests/agent/lib.bash

granule=65536
size=$((6 * 1024 * 1024 + 1536))
for d in 0 1; do
    make_image "$dir/a$d" $size $granule $d
    change_image "$dir/a$d" "$dir/b$d" $granule $((d + 10))
done

script() { # EPOCH MODE OLD NEW: both disks; a third one is dropped on the way
    echo "hello web 1 1 1"
    for d in 0 1 2; do echo "open $d vm$d vda $tracker $size $granule"; done
    for d in 0 1; do echo "begin $d $2 $1"; done
    echo "begin 2 full $1"
    echo "data 2 $dir/a0 0 $granule $1"
    echo "drop 2 it_is_gone"
    for d in 0 1; do
        if [ "$2" = full ]; then echo "full $d $dir/$4$d $1"
        else echo "diff $d $dir/$3$d $dir/$4$d $1"; fi
    done
    for d in 0 1; do echo "end $d $1"; done
    echo commit
}

openable() { # DISK: its path, - if there is none
    receiver_status | awk -v p="web/vm$1/vda" '$1 == p { print $NF }'
}

judge() { # DISK PATH: a or b, or something that it must not be
    case $2 in
    *.qcow2)
        qemu-img check -q "$2" > /dev/null 2>&1 || { echo damaged; return; }
        qemu-img info --backing-chain "$2" > /dev/null 2>&1 || { echo chainless; return; }
        qemu-img convert -O raw "$2" "$dir/flat" 2> /dev/null || { echo unreadable; return; } ;;
    *) cp "$2" "$dir/flat" ;;
    esac
    for v in a b; do
        cmp -s "$dir/flat" "$dir/$v$1" && { echo $v; return; }
    done
    echo half
}

# What is openable of a disk: none, or as judge(). A merge that ends meanwhile
# takes the file away, and the path with it: then it is asked for again.
content() { # DISK
    local path again verdict
    again=$(openable "$1")
    while true; do
        path=$again
        case $path in ''|-) echo none; return ;; esac
        verdict=$(judge "$1" "$path")
        again=$(openable "$1")
        [ "$path" != "$again" ] || break
    done
    echo "$verdict"
}

leftovers() { # files that nobody knows, and disks that were begun and have nothing
    find "$dir/store" -name '*.partial' | wc -l
    receiver_status | grep -w seeding
}

# Those of the layers that are kept are met in points-crash.sh, those of runs that go on
# in resume.sh.
points=$("$helpers"/crash-points | grep -Ev '^(settle-|join-|merge-rebased|failover-|reverse-|clear-)')

crash_run() { # POINT EPOCH MODE OLD NEW: the receiver dies at POINT, if it meets it
    TIDEMARK_CRASH=$1 receiver_start || return 1
    script "$2" "$3" "$4" "$5" | peer > "$dir/peer.out" 2>&1
    # The merge comes after the sender has gone.
    for _ in {1..40}; do
        kill -0 "$receiver_pid" 2> /dev/null || break
        # Merged, and alive: it may be between the last step and the point behind it.
        receiver_settled && sleep 0.3 && break
        sleep 0.05
    done
    if kill -0 "$receiver_pid" 2> /dev/null; then
        receiver_stop
        return 2
    fi
    wait "$receiver_pid"
    [ $? = 137 ] || return 1
    receiver_pid=''
}

told() { grep -q '^durable' "$dir/peer.out"; }

one_point() { # POINT RUN MODE OLD NEW
    local point=$1 run=$2 mode=$3 old=$4 new=$5 got0 got1 epoch
    epoch=$([ "$mode" = full ] && echo 1 || echo 2)
    crash_run "$point" "$epoch" "$mode" "$old" "$new"
    if [ $? = 2 ]; then
        met=no
        return
    fi
    met=yes
    receiver_start || { is "$run, $point: restarts" no yes; return; }
    got0=$(content 0) got1=$(content 1)
    if told; then
        is "$run, $point: the sender was told, so it is the new point" "$got0 $got1" "$new $new"
    elif [ "$got0" = "$new" ]; then
        is "$run, $point: the new point of both disks" "$got0 $got1" "$new $new"
    else
        is "$run, $point: the old point of both disks" "$got0 $got1" "${old/x/none} ${old/x/none}"
    fi
    receiver_settled
    is "$run, $point: nothing is left over" "$(leftovers)" 0
    # The next run completes, whatever there is.
    if [ "$got0" = none ]; then script 1 full a "$new"
    else script 5 incremental "$got0" "$new"; fi | peer > "$dir/peer.out" 2>&1
    like "$run, $point: the next run completes" "$(tail -n 1 "$dir/peer.out")" '^durable'
    receiver_settled
    is "$run, $point: and is identical" "$(content 0) $(content 1)" "$new $new"
    receiver_stop
}

seen=0
for point in $points; do
    rm -rf "$dir/store"
    one_point "$point" "first run" full x a
    [ $met = yes ] && seen=$((seen + 1)) first_seen+=" $point"
    # Half way through, and near the end, where there are many.
    rm -rf "$dir/store"
    receiver_start
    script 1 full x a | peer > /dev/null
    receiver_stop
    one_point "$point" "second run" incremental a b
    [ $met = yes ] && second_seen+=" $point"
done
for point in write:3 merge-copied:9 disk-durable:2 disk-renamed:2 merge-recorded:2; do
    rm -rf "$dir/store"
    receiver_start
    script 1 full x a | peer > /dev/null
    receiver_stop
    one_point "$point" "second run" incremental a b
    is "$point was met" $met yes
done
for point in $points; do
    case " $first_seen $second_seen " in
    *" $point "*) is "$point was met" yes yes ;;
    *) is "$point was met" no yes ;;
    esac
done
tap_end
