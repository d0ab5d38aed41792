#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Inside a guest, for power.sh: data and metadata as two pieces of one logged
# device, so that the order between them is in the log.
#
#     d0 (tidemark) ─► data ─┐
#                  └─► meta ─┴─► logged (log-writes) ─► vdb, log on vda
#     points: vdc
#
# power-guest.sh DATA_SECTORS META_SECTORS WRITES SEED
set -eu
data=$1 meta=$2 writes=$3 seed=$4
modprobe dm-log-writes
echo 1 > /sys/module/dm_tidemark/parameters/checkpoint_seconds
dmsetup create logged --table "0 $((data + meta)) log-writes /dev/vdb /dev/vda"
dmsetup create data --table "0 $data linear /dev/mapper/logged 0"
dmsetup create meta --table "0 $meta linear /dev/mapper/logged $data"
tidemark meta format --for /dev/mapper/data /dev/mapper/meta
dmsetup create d0 --table "0 $data tidemark /dev/mapper/data /dev/mapper/meta 128"
helpers/power-run /dev/mapper/d0 /dev/mapper/data /dev/vdc "$writes" "$seed" \
    'dmsetup message logged 0 mark'
dmsetup status d0
dmsetup remove d0
tidemark meta check /dev/mapper/meta
dmsetup message logged 0 mark end
dmsetup remove data meta
dmsetup remove logged
