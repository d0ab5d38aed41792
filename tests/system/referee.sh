#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# referee.sh KERNEL: hundreds of group seals under chains of dependent writes over
# two disks, each write stamped with its number: every one of 200 points holds a
# prefix of every chain and nothing after it (tests/module/view-prefix.c). Read
# without a view, or sealed one disk after the other, and it must be found out.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh

output=$(tests/guest/run --kernel "$1" --timeout 1100 --name "referee-$1" -- bash -c '
    build/ksft/view-prefix -q -n 200 -t 30 || exit 1
    ! build/ksft/view-prefix -q -n 20 -t 15 -m smear &&
        ! build/ksft/view-prefix -q -n 20 -t 15 -m apart' 2>&1)
is "200 points are prefixes; of a smear, and of two moments, some are not" $? 0
note "$output"
tap_end
