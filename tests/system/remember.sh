#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# remember.sh KERNEL: a disk with a metadata device, to which everything happens that
# its marks cannot know of. Each is noticed, named in the status and in the log, and
# cured by the next run, which compares; the replica ends identical. At last the host
# is killed: then the marks are known, and no more is sent than they and the intent say.
#
#     d0 (tidemark) ─┬─► base0 (linear) ─► vda, or vdc: another disk of its size
#                    └─► meta0 (linear) ─► vdb
#     vg/web (LVM) on vdd
#
# A boot is a new base0, whose counters begin at 0, and another `boot` in the table.
set -u
kernel=$1
. "$(dirname "$0")/lib.sh"

# In the guest: what a host does to its disks.
read -r -d '' tools << 'END' || true
up() { # DATA [IDENTITY [BOOT]]
    dmsetup create base0 --table "0 131072 linear $1 0" &&
        dmsetup create d0 --table "0 131072 tidemark /dev/mapper/base0 /dev/mapper/meta0 128 \
4 identity ${2:-first} boot ${3:-$(cat /proc/sys/kernel/random/uuid)}"
}
down() { # by a power cut: the metadata stay as they were while the disk was attached
    dd if=/dev/vdb of=/tmp/now bs=1M iflag=direct status=none
    dmsetup remove --retry d0 && dmsetup remove --retry base0 &&
        dd if=/tmp/now of=/dev/vdb bs=1M oflag=direct conv=notrunc status=none
}
agent_off() { # as its host ends
    kill -9 "$(cat /tmp/tidemarkd.pid)"
    while kill -0 "$(cat /tmp/tidemarkd.pid)" 2> /dev/null; do sleep 0.1; done
}
write() { # DEVICE GRANULE COUNT
    dd if=/dev/urandom of="$1" bs=64K seek="$2" count="$3" oflag=direct conv=notrunc status=none
}
meta_to() { # TARGET
    dmsetup load meta0 --table "0 $(blockdev --getsz /dev/vdb) $1" &&
        dmsetup --noudevsync suspend --noflush meta0 && dmsetup --noudevsync resume meta0
}
END
in_guest() { guest "$tools
$*"; }

field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1" 2>&1 | tail -n 1; }
mode() { python3 -c 'import json, sys; print(json.load(sys.stdin)["disks"][0]["mode"])' 2>&1 | tail -n 1; }
health() { # [COLLECTION]: number and sentence
    guest 'tidemark status --json' | python3 -c '
import json, sys
for c in json.load(sys.stdin)["collections"]:
    if c["collection"] == sys.argv[1]:
        print(c["health"], c["health_text"])' "${1:-c}"
}
said() { guest "tail -n +$from /tmp/tidemarkd.log" | grep -aq "$1"; }
wait_for() { # COMMAND...
    for _ in $(seq 300); do
        "$@" && return 0
        sleep 0.1
    done
    return 1
}
critical() { [[ $(health) =~ ^3.*$1 ]]; }
well() { [[ $(health) =~ ^1 ]]; }
begin() { from=$(($(guest 'wc -l < /tmp/tidemarkd.log') + 1)); }

# noticed NAME REASON: health is critical, and says so, before anything is run
noticed() {
    ok "$1: health is critical and names it" wait_for critical "$2"
    ok "$1: so does the log" wait_for said "$2"
}

# cured NAME REASON IMAGE BYTES: the next run compares for that reason, sends what
# differs (BYTES, if that is known), and then all is well
cured() {
    local run
    run=$(guest 'tidemark resync c --wait --json --no-progress')
    is "$1: the next run completes" $? 0 || note "$run"
    is "$1: it compares" "$(mode <<< "$run")" compare
    like "$1: and says why" "$run" "$2"
    [ -z "$4" ] || is "$1: what differs is sent" "$(field bytes_sent <<< "$run")" "$4"
    ok "$1: the log says why" said "compared with its replica: .*$2"
    ok "$1: the replica is identical" replica_is d0 "$3"
    ok "$1: health is well again" wait_for well
}

# incremental NAME BYTES: the next run is one, of so many bytes
incremental() {
    local run
    run=$(guest 'tidemark resync c --wait --json --no-progress')
    is "$1: the run completes" $? 0 || note "$run"
    is "$1: by its marks" "$(mode <<< "$run") $(field bytes_sent <<< "$run")" "incremental $2"
}

reasons() { guest 'tidemark disks d0 --noheadings --output REASON' | xargs; }

for disk in d0 other; do truncate -s 64M "$work/$disk.img"; done
truncate -s 128M "$work/lvm.img"
"$bin/tidemark" meta format --for "$work/d0.img" --create "$work/m0.img" > /dev/null || exit 1
receiver_start || exit 1
guest_start "$kernel" 64K 1 --disk "$work/other.img" --disk "$work/lvm.img" || exit 1
ok "a disk with metadata" in_guest 'dmsetup remove --retry d0 &&
    tidemark meta format --again --identity first --for /dev/vda /dev/vdb &&
    dmsetup create meta0 --table "0 $(blockdev --getsz /dev/vdb) linear /dev/vdb 0" &&
    scribble /dev/vda 1 20 65536 && scribble /dev/vdc 2 20 65536 && up /dev/vda'
ok "a first run" guest 'tidemark resync c --wait'
[ "$tap_failed" = 0 ] || exit 1
in_guest 'write /dev/mapper/d0 100 4'
incremental "marked" $((4 * 65536))

# -- a boot: nothing is forgotten -------------------------------------------------
begin
ok "boot" in_guest 'write /dev/mapper/d0 200 3; agent_off
    down && up /dev/vda && /tmp/agent-start'
like "boot: health is well" "$(health)" '^1 '
run=$(guest 'tidemark resync c --wait --json --no-progress')
is "boot: by its marks, and those of extents in use" "$? $(mode <<< "$run")" "0 incremental"
ok "boot: identical" replica_is d0 "$work/d0.img"

# -- an older copy of the metadata is put back ------------------------------------
# Of the attached disk, so that it shows no end; and a point is made after it.
in_guest 'write /dev/mapper/d0 300 2
    dd if=/dev/vdb of=/tmp/copy bs=1M iflag=direct status=none'
incremental "older metadata: a point after the copy" $((2 * 65536))
begin
ok "older metadata: put back while the host is down" in_guest 'write /dev/mapper/d0 500 5
    agent_off
    down && dd if=/tmp/copy of=/dev/vdb bs=1M oflag=direct conv=notrunc status=none &&
        up /dev/vda && /tmp/agent-start'
is "older metadata: the tracker does not know it" "$(reasons)" unclean
noticed "older metadata" "older copy"
cured "older metadata" "older copy" "$work/d0.img" $((5 * 65536))
in_guest 'write /dev/mapper/d0 100 1'
incremental "older metadata: then" 65536

# The same, with no point since: there is nothing but their sequence.
sequence() { guest 'sqlite3 /tmp/state/agent.db "SELECT sequence FROM disk"'; }
checkpoint=/sys/module/dm_tidemark/parameters/checkpoint_seconds
was=$(guest "cat $checkpoint")
guest "echo 1 > $checkpoint"
bare_copy() {
    guest 'dd if=/dev/vdb of=/tmp/copy bs=1M iflag=direct status=none
        tidemark meta dump --json /tmp/copy' | grep -q '"intents": *0\b'
}
ok "older marks: a copy without intent" wait_for bare_copy
before=$(sequence)
in_guest 'write /dev/mapper/d0 600 3'
remembered() { (($(sequence) > before)); }
ok "older marks: the agent remembers newer ones" wait_for remembered
guest "echo $was > $checkpoint"
begin
ok "older marks: put back while the host is down" in_guest 'agent_off
    down && dd if=/tmp/copy of=/dev/vdb bs=1M oflag=direct conv=notrunc status=none &&
        up /dev/vda && /tmp/agent-start'
is "older marks: the tracker does not know it" "$(reasons)" unclean
noticed "older marks" "older copy"
cured "older marks" "older copy" "$work/d0.img" $((3 * 65536))

# -- metadata that cannot be written, and are believed after a crash ----------------
begin
ok "failing metadata" in_guest 'meta_to error && write /dev/mapper/d0 700 6'
noticed "failing metadata" "another tracker"
ok "failing metadata: as they were before, after a crash" in_guest 'agent_off
    down
    meta_to "linear /dev/vdb 0" && up /dev/vda && /tmp/agent-start'
is "failing metadata: the tracker does not know it" "$(reasons)" unclean
noticed "failing metadata, after the crash" "another tracker"
cured "failing metadata" "another tracker" "$work/d0.img" $((6 * 65536))

# -- somebody writes to the data device, under the tracker --------------------------
begin
ok "bypassed" in_guest 'write /dev/mapper/base0 800 2; tidemark disks d0'
noticed "bypassed" "past the tracker"
cured "bypassed" "past the tracker" "$work/d0.img" $((2 * 65536))

# -- detached, written to, attached -------------------------------------------------
begin
ok "gap" in_guest 't=$(dmsetup table d0)
    dmsetup remove --retry d0 && write /dev/mapper/base0 900 3 &&
        dmsetup create d0 --table "$t"'
noticed "gap" "while it was not tracked"
cured "gap" "while it was not tracked" "$work/d0.img" $((3 * 65536))

# -- a table without the tracker ----------------------------------------------------
begin
ok "dropped" in_guest 't=$(dmsetup table d0)
    dmsetup load d0 --table "0 131072 linear /dev/mapper/base0 0" &&
        dmsetup --noudevsync resume d0 && write /dev/mapper/d0 40 2 &&
        dmsetup load d0 --table "$t" && dmsetup --noudevsync resume d0'
noticed "dropped" "while it was not tracked"
cured "dropped" "while it was not tracked" "$work/d0.img" $((2 * 65536))

# -- another disk of the same size, with these metadata -------------------------------
begin
ok "swapped" in_guest 'agent_off; down && up /dev/vdc second && /tmp/agent-start'
noticed "swapped" "belongs to another disk"
cured "swapped" "belongs to another disk" "$work/other.img" ''
begin
ok "swapped back" in_guest 'agent_off; down && up /dev/vda first && /tmp/agent-start'
noticed "swapped back" "belongs to another disk"
cured "swapped back" "belongs to another disk" "$work/d0.img" ''

# -- the replica is restored from an older copy ---------------------------------------
receiver_kill TERM
cp -a "$work/store" "$work/store.old"
receiver_start || exit 1
in_guest 'write /dev/mapper/d0 10 4'
incremental "older replica: a point after the copy" $((4 * 65536))
receiver_kill TERM
rm -rf "$work/store"
mv "$work/store.old" "$work/store"
receiver_start || exit 1
begin
in_guest 'write /dev/mapper/d0 20 1'
cured "older replica" "replica is older" "$work/d0.img" $((5 * 65536))

# -- a real volume, and lvextend ------------------------------------------------------
web_sum() { guest 'sha256sum < /dev/vg/web' | cut -d' ' -f1; }
replica_sum() {
    local path
    path=$(replica_path web)
    if [[ $path == *.qcow2 ]]; then
        qemu-img convert -O raw "$path" "$work/web.raw"
        path=$work/web.raw
    fi
    sha256sum < "$path" | cut -d' ' -f1
}
ok "lvm: a volume, and one for its metadata" guest "mkdir -p /etc/lvm
    cat > /etc/lvm/lvm.conf << END
activation { udev_sync=0 udev_rules=0 monitoring=0 }
devices { use_devicesfile=0 obtain_device_list_from_udev=0 }
global { event_activation=0 use_lvmpolld=0 }
END
    pvcreate -q /dev/vdd && vgcreate -q vg /dev/vdd && lvcreate -qy -n web -L 40M vg &&
        lvcreate -qy -n meta -L 4M vg && scribble /dev/vg/web 3 20 65536 &&
        tidemark attach /dev/vg/web --meta /dev/vg/meta &&
        cat >> /etc/tidemark/tidemark.conf << END
[collection lvm]
replica = 10.0.2.2:$port
plain = yes
[disk lvm/v/web]
device = /dev/vg/web
END
    kill -HUP \$(cat /tmp/tidemarkd.pid)"
known() { [ -n "$(health lvm)" ]; }
ok "lvm: the agent knows it" wait_for known
ok "lvm: a first run" guest 'tidemark resync lvm --wait'
is "lvm: the replica is identical" "$(replica_sum)" "$(web_sum)"
begin
ok "lvextend" guest 'lvextend -q -L +12M vg/web && scribble /dev/vg/web 4 10 65536'
ok "lvextend: it is said that the tracker has gone" \
    wait_for said '/dev/vg/web is not tracked any more: its table was exchanged'
like "lvextend: health" "$(health lvm)" '^3 .*not tracked'
ok "lvextend: attached again, with its metadata" \
    guest 'tidemark attach /dev/vg/web --meta /dev/vg/meta'
run=$(guest 'tidemark resync lvm --wait --json --no-progress')
is "lvextend: the next run completes" $? 0 || note "$run"
is "lvextend: it compares" "$(mode <<< "$run")" compare
is "lvextend: the replica is identical, and has grown" "$(replica_sum)" "$(web_sum)"
like "lvextend: health is well again" "$(health lvm)" '^1 '

# -- the host is killed ---------------------------------------------------------------
ok "killed: a disk as after a boot" in_guest 'down && dmsetup remove meta0 &&
    dmsetup create d0 --table "0 131072 tidemark /dev/vda /dev/vdb 128 2 identity first" &&
    tidemark resync c --wait'
ok "killed: identical before it" replica_is d0 "$work/d0.img"
guest 'echo 1 > /sys/module/dm_tidemark/parameters/checkpoint_seconds
    setsid helpers/power-run /dev/mapper/d0 - - 0 7 > /dev/null 2>&1 < /dev/null &'
ok "killed: while it is written to" \
    wait_for guest 'test "$(tidemark disks d0 --noheadings --bytes --output MARKED)" -gt 2000000'
guest_kill
"$bin/tidemark" meta dump --json --runs "$work/m0.img" > "$work/meta.json"
read -r state differs uncovered changed _ intents _ < \
    <(python3 tests/system/look.py "$work/meta.json" "$work/d0.img" "$(replica_path d0)")
note "killed: $state, $differs granules differ, $changed count as changed," \
    "$intents extents of intent"
is "killed: nothing that differs counts as unchanged" "$uncovered" 0
holds "killed: something differs" "$differs > 0"
guest_start "$kernel" 64K 1 || exit 1
run=$(guest 'tidemark resync c --wait --json --no-progress')
is "killed: the next run completes" $? 0 || note "$run"
is "killed: by its marks" "$(mode <<< "$run")" incremental
holds "killed: no more is sent than is marked or has intent" \
    "$(field bytes_sent <<< "$run") <= $changed * 65536"
ok "killed: the replica is identical" replica_is d0 "$work/d0.img"
guest_kill
receiver_kill TERM
tap_end
