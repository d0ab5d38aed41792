#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# cut.sh KERNEL [ROUNDS]: the guest is killed at random moments under load, and
# comes back with what its metadata device says. Each time, on this side:
#
#   after the kill  every granule in which the disk differs from the replica
#                   counts as changed, by a reader of the metadata that shares
#                   nothing with the module; what counts as changed beyond that
#                   lies in extents with intent
#   after the boot  the run is incremental, sends no more than counted as
#                   changed, and the replica is identical
#
# The independent record is the disks' own images. QEMU's kill leaves all that
# it took, flushed or not, so reordering is power.sh's business.
set -u
kernel=$1 rounds=${2:-10}
. "$(dirname "$0")/lib.sh"
RANDOM=${TIDEMARK_SEED:-$$}
note "seed ${TIDEMARK_SEED:-$$}"

# look: leaves differing, covered, uncovered, extra granules, and bytes, as words
look() {
    "$bin/tidemark" meta dump --json --runs "$work/m0.img" > "$work/meta.json" &&
        python3 - "$work/meta.json" "$work/d0.img" "$1" <<'END'
import json, sys
meta = json.load(open(sys.argv[1]))
granule = meta["granule"]
changed = set()
for first, count in meta["runs"]:
    changed.update(range(first, first + count))
a, b = open(sys.argv[2], "rb"), open(sys.argv[3], "rb")
differs = set()
for i in range(meta["granules"]):
    if a.read(granule) != b.read(granule):
        differs.add(i)
print(meta["state"], len(differs), len(differs - changed), len(changed),
      len(changed) - meta["marked"], meta["intents"], meta["committed_epoch"])
END
}

field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

# resync NAME BYTES: identical, and no more than so many bytes
resync() {
    local run
    run=$(guest 'tidemark resync c --wait --json --no-progress')
    is "$1: the run completes" $? 0 || note "$run"
    holds "$1: sends no more than counts as changed" "$(field bytes_sent <<< "$run") <= $2"
    ok "$1: the replica is identical" replica_is d0 "$work/d0.img"
    last_mode=$(python3 -c 'import json, sys; print(json.load(sys.stdin)["disks"][0]["mode"])' \
        <<< "$run")
}

truncate -s 192M "$work/d0.img"
ok "metadata" "$bin/tidemark" meta format --for "$work/d0.img" --create "$work/m0.img"
receiver_start || exit 1
guest_start "$kernel" 64K 1 || exit 1
guest 'scribble /dev/mapper/d0 1 30 65536' > /dev/null
resync first $((192 << 20))
for ((round = 1; round <= rounds; round++)); do
    guest "echo 1 > /sys/module/dm_tidemark/parameters/checkpoint_seconds
        setsid helpers/power-run /dev/mapper/d0 - - 0 $RANDOM > /dev/null 2>&1 < /dev/null &"
    at=$((RANDOM % 12000))
    sleep "$((at / 1000)).$(printf %03d $((at % 1000)))"
    guest_kill
    name="round $round: killed after $at ms"
    read -r state differs uncovered changed beyond intents epoch < <(look "$(replica_path d0)")
    note "$name: $state, $differs differ, $changed count as changed, $beyond of them by" \
        "$intents extents of intent alone, epoch $epoch"
    is "$name: nothing that differs counts as unchanged" "$uncovered" 0
    holds "$name: the excess is that of the extents in use" \
        "$changed - $differs <= $intents * 64 && $intents <= 48"
    guest_start "$kernel" 64K 1 || exit 1
    resync "$name" $((changed * 65536))
    is "$name: the run was incremental" "$last_mode" incremental
done
tap_end
