#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# A resynchronization against what else copies disks, side by side on loopback. The
# peers come from Debian packages; one that is absent is skipped by name. See peers.py.
set -eu
cd "$(dirname "$0")/../.."
exec python3 tests/bench/peers.py "$@"
