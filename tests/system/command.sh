#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# command.sh KERNEL: attach, detach and disks, live and stacked, in a guest.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
for test in tests/command/*.sh; do
    output=$(tests/guest/run --kernel "$1" --disk 64M --disk 64M --disk 64M --timeout 420 \
        --name "command-$(basename "$test" .sh)-$1" \
        -- "$test" 2>&1)
    status=$?
    while IFS= read -r line; do
        case $line in
        *'# SKIP'*) line=${line#ok * - }; skip "$(basename "$test"): ${line%% #*}" "${line##*SKIP }" ;;
        'ok '*) tap_line 0 "$(basename "$test"): ${line#ok * - }" ;;
        'not ok '*) tap_line 1 "$(basename "$test"): ${line#not ok * - }" ;;
        *) echo "# $line" ;;
        esac
    done <<< "$output"
    is "$(basename "$test"): exit status" $status 0
done
tap_end
