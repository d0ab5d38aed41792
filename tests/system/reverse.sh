#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# reverse.sh KERNEL [crash]: failover to an older point and back, in one guest with an
# agent on either side and trackers on both: reverse-guest.sh.
set -u
cd "$(dirname "$0")/../.." || exit 1
exec tests/guest/run --kernel "$1" --timeout 1100 --name "reverse-$1" \
    --disk 48M --disk 48M --disk 48M -- tests/system/reverse-guest.sh ${2:+"$2"}
