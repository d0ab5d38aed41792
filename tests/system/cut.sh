#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# cut.sh KERNEL [ROUNDS [KILL]]: power fails at ROUNDS random moments under load, half
# of them with a run under way, and the disk comes back with what its metadata say.
# Every KILL-th time (20) the whole guest is killed and booted; else its disk is cut
# off beneath data and metadata at one instant, and what is above it made anew, with
# another boot: the same for all that is stored, without a boot's time.
#
#     d0 (tidemark) ─┬─► data ─┐
#                    └─► meta ─┴─► under (linear; cut: error) ─► vda
#
# Each time, on this side:
#
#   after the cut   every granule in which the disk differs from the replica
#                   counts as changed, by a reader of the metadata that shares
#                   nothing with the module; what counts as changed beyond that
#                   lies in extents with intent
#   after the boot  the run is incremental, sends no more than counted as
#                   changed, and the replica is identical
#
# The independent record is the disks' own images. A cut leaves all that was taken,
# flushed or not, so reordering is power.sh's business.
set -u
kernel=$1 rounds=${2:-10} kill_each=${3:-20}
. "$(dirname "$0")/lib.sh"
seed=${TIDEMARK_SEED:-$$}
RANDOM=$seed
note "seed $seed"
mib=96 # of data; the metadata have the MiB behind it

read -r -d '' tools << 'END' || true
up() { # what a host does at its boot
    local n=$((MIB * 2048))
    [ -e /dev/mapper/under ] ||
        dmsetup create under --table "0 $((n + 2048)) linear /dev/vda 0"
    dmsetup create data --table "0 $n linear /dev/mapper/under 0" &&
        dmsetup create meta --table "0 2048 linear /dev/mapper/under $n" &&
        dmsetup create d0 --table "0 $n tidemark /dev/mapper/data /dev/mapper/meta 128 \
2 boot $(cat /proc/sys/kernel/random/uuid)"
    echo 1 > /sys/module/dm_tidemark/parameters/checkpoint_seconds
}
under() { # TARGET
    dmsetup load under --table "0 $((MIB * 2048 + 2048)) $1" &&
        dmsetup --noudevsync suspend --noflush under && dmsetup --noudevsync resume under
}
cut() { # and all that would notice is gone
    kill -STOP $(cat /tmp/tidemarkd.pid) # it is to see nothing of it
    under error
    kill -9 $(cat /tmp/tidemarkd.pid) $(pgrep power-run) 2> /dev/null
    while pgrep 'power-run|tidemarkd' > /dev/null; do sleep 0.05; done
    for device in d0 data meta; do dmsetup remove --retry $device; done
    under 'linear /dev/vda 0'
}
END
tools=${tools//MIB/$mib}
in_guest() { guest "$tools
$*"; }

# The newest point of the replica, as a raw file.
replica_raw() {
    local path try
    for try in 1 2 3 4 5; do
        path=$(replica_path d0)
        case $path in
        *.qcow2) qemu-img convert -O raw "$path" "$work/replica" 2> /dev/null ;;
        *) cp "$path" "$work/replica" ;;
        esac && [ "$path" = "$(replica_path d0)" ] && return 0
        sleep 0.2
    done
    echo "# the replica cannot be read: $try times $path"
    return 1
}

# look: as look.py says, and the disk as a file of its own
look() {
    dd if="$work/d0.img" of="$work/data" bs=1M count=$mib status=none
    dd if="$work/d0.img" of="$work/meta" bs=1M skip=$mib status=none
    replica_raw
    "$bin/tidemark" meta dump --json --runs "$work/meta" > "$work/meta.json" &&
        python3 tests/system/look.py "$work/meta.json" "$work/data" "$work/replica"
}

field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

# resync NAME BYTES: identical, and no more than so many bytes
resync() {
    local run
    run=$(guest 'tidemark resync c --wait --json --no-progress')
    is "$1: the run completes" $? 0 || note "$run"
    holds "$1: sends no more than counts as changed" "$(field bytes_sent <<< "$run") <= $2"
    dd if="$work/d0.img" of="$work/data" bs=1M count=$mib status=none
    ok "$1: the replica is identical" replica_is d0 "$work/data"
    last_mode=$(python3 -c 'import json, sys; print(json.load(sys.stdin)["disks"][0]["mode"])' \
        <<< "$run")
}

# The guest, booted, with its disk as it was left.
boot() {
    guest_start "$kernel" 64K 1 || exit 1
    in_guest 'kill -9 $(cat /tmp/tidemarkd.pid); dmsetup remove --retry d0'
}

truncate -s $((mib + 1))M "$work/d0.img"
receiver_start || exit 1
boot
ok "metadata" in_guest "dmsetup create meta --table '0 2048 linear /dev/vda $((mib * 2048))' &&
    tidemark meta format --for $((mib << 20)) /dev/mapper/meta && dmsetup remove meta &&
    up && /tmp/agent-start && scribble /dev/mapper/d0 1 30 65536"
resync first $((mib << 20))
for ((round = 1; round <= rounds; round++)); do
    at=$((RANDOM % 3000)) how=cut run=''
    [ $((round % kill_each)) != 0 ] || how=killed
    [ $((RANDOM % 2)) = 0 ] || run=' in a run'
    guest "setsid helpers/power-run /dev/mapper/d0 - - 0 $RANDOM > /dev/null 2>&1 < /dev/null &
        sleep $((at / 1000)).$(printf %03d $((at % 1000)))
        ${run:+tidemark resync c > /dev/null; sleep 0.$((RANDOM % 10))}"
    if [ $how = killed ]; then guest_kill; else in_guest cut > "$work/cut.log" 2>&1; fi
    name="round $round: $how after $at ms$run"
    read -r state differs uncovered changed beyond intents epoch < <(look)
    note "$name: $state, $differs differ, $changed count as changed, $beyond of them by" \
        "$intents extents of intent alone, epoch $epoch"
    is "$name: nothing that differs counts as unchanged" "$uncovered" 0
    [ -n "$run" ] || holds "$name: the excess is that of the extents in use" \
        "$changed - $differs <= $intents * 64 && $intents <= $((mib / 4))"
    if [ $how = killed ]; then boot; fi
    # an agent that knows of its run would go on with it, and there is none to count
    in_guest "${run:+rm -f /tmp/state/*;} up && /tmp/agent-start" > /dev/null
    resync "$name" $((changed * 65536))
    is "$name: the run was incremental" "$last_mode" incremental
done
guest_kill
receiver_kill TERM
tap_end
