#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# peers.sh with the image, the replica and its points in memory: what the tools themselves
# take, where no disk is waited for. As root, with 8 GiB of memory that is available.
# Takes what peers.sh takes, without --work.
set -eu
cd "$(dirname "$0")/../.."
if [ "$(id -u)" != 0 ]; then
    echo "  skipped: mounting a tmpfs takes root"
    exit
fi
if [ "$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)" -lt $((8 << 20)) ]; then
    echo "  skipped: less than 8 GiB of memory are available"
    exit
fi
mkdir -p build/bench/memory
# The mount is this process's own, and is gone with it.
exec unshare --mount bash -euc 'mount -t tmpfs -o size=5g tmpfs build/bench/memory
    exec tests/bench/peers.sh --work build/bench/memory/peers "$@"' bash "$@"
