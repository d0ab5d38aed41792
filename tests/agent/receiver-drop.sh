#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# One disk is given up, by its sender or by the receiver; the others of the run
# are committed without it, and it stays what it was.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/agent/lib.bash
. tests/agent/lib.bash

size=$((4 << 20))
for d in 0 1 2; do
    make_image "$dir/a$d" $size 65536 "$d"
    change_image "$dir/a$d" "$dir/b$d" 65536 "2$d"
done
replica() { echo "$dir/store/web/vm$1/vda/replica.raw"; }

begin_all() { # MODE DISK...
    local mode=$1 d
    shift
    echo "hello web 1 1 7"
    for d; do echo "open $d vm$d vda $tracker $size 65536"; done
    for d; do echo "begin $d $mode 0"; done
}

receiver_start
out=$({
    begin_all full 0 1 2
    for d in 0 1 2; do echo "full $d $dir/a$d 1"; done
    echo "drop 1 its_device_is_gone"
    for d in 0 2; do echo "end $d 1"; done
    echo "commit 1"
} | peer)
like "the features are agreed on" "$out" '^welcome 1 7'
like "a first run without one of its disks" "$out" 'durable 1$'
receiver_settled
ok "the others are there" bash -c "cmp $(replica 0) $dir/a0 && cmp $(replica 2) $dir/a2"
is "of the dropped one there is no file, nor a folder" "$(ls -d "$dir/store/web/vm1" 2> /dev/null)" ''
is "and no replica" "$(receiver_status | grep -c web/vm1/)" 0
like "the log says why" "$(cat "$dir/log")" 'drops vm1/vda from the run: its_device_is_gone'
out=$({
    begin_all full 1 | sed 's/^\(open\|begin\) 1/\1 0/'
    echo "full 0 $dir/a1 1"
    echo "end 0 1"
    echo "commit 2"
} | peer)
like "it comes with a later run" "$out" 'durable 2$'

# After END, too; and a second run with all of them in mind.
out=$({
    begin_all incremental 0 1 2
    for d in 0 1 2; do echo "diff $d $dir/a$d $dir/b$d 2"; done
    echo "end 0 2"
    echo "end 1 2"
    echo "drop 0 changed_its_mind"
    echo "end 2 2"
    echo "commit 3"
} | peer)
like "dropped after its END" "$out" 'durable 3$'
receiver_settled
ok "the others are new" bash -c "cmp $(replica 1) $dir/b1 && cmp $(replica 2) $dir/b2"
ok "the dropped one is old" cmp "$(replica 0)" "$dir/a0"
like "with its old point" "$(receiver_status)" 'web/vm0/vda ready point 1 epoch 1 '
is "no partial file is left" "$(find "$dir/store" -name '*.partial' | wc -l)" 0

# The receiver cannot take one: the others go on.
out=$({
    begin_all incremental 0 | sed "s/$tracker/${tracker/00/ee}/"
    echo "open 1 vm1 vda $tracker $size 65536"
    echo "begin 1 incremental 2"
    echo "diff 1 $dir/b1 $dir/a1 3"
    echo "end 1 3"
    echo "commit 2"
} | peer)
like "the receiver drops one" "$out" 'dropped 0 32775 .*must be compared.*durable 4$'
receiver_settled
ok "the other is new" cmp "$(replica 1)" "$dir/a1"
ok "the dropped one is old" cmp "$(replica 0)" "$dir/a0"

# Rules.
out=$({ begin_all incremental 0; echo "drop 0 x"; echo "commit 2"; } | peer)
like "nothing is left to commit" "$out" 'error 32768 .*nothing to commit'
out=$({ begin_all incremental 0; echo "drop 0 x"; echo "zero 0 0 65536 5"; echo wait; } | peer)
like "a dropped disk is over" "$out" 'error 32768 .*was dropped'
out=$({ begin_all incremental 0 | sed 's/^hello.*/hello web/'; echo "drop 0 x"; echo wait; } | peer)
like "nothing is dropped that was not agreed on" "$out" 'error 32768 .*not agreed on'
is "no partial file is left" "$(find "$dir/store" -name '*.partial' | wc -l)" 0
receiver_stop
tap_end
