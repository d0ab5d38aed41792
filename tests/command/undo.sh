#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# tidemark attach and detach, failing or killed at each request that they make
# of the kernel: the device runs on, and what is left over is cleared away.
#
#   tests/command/undo.sh [KERNEL]
set -u
# shellcheck source-path=SCRIPTDIR source=lib.bash
. "$(dirname "$0")/lib.bash"

vm_table | dmsetup create vm

# ioctls COMMAND...: how many it makes
ioctls() {
	strace -qq -e trace=ioctl -o "$tmp/trace" "$@" > /dev/null 2>&1
	grep -c '^ioctl' "$tmp/trace"
}

every_step_fails() {
	local n faults='' total
	total=$(ioctls tidemark attach /dev/mapper/vm)
	tidemark detach vm
	for ((n = 1; n <= total; n++)); do
		strace -qq -e trace=ioctl -e inject=ioctl:error=ENOMEM:when="$n" -o "$tmp/trace" \
			tidemark attach /dev/mapper/vm > "$tmp/out" 2> "$tmp/err"
		status=$?
		if [ $status -eq 0 ]; then
			tidemark detach vm || faults+="step $n: detach failed"$'\n'
		elif [ -n "$(vm_faults)" ]; then
			faults+="step $n: $(vm_faults)"$'\n'
			tidemark detach vm
		fi
		[ "$(disks_count)" -eq 0 ] || faults+="step $n: still tracked"$'\n'
	done
	if [ -z "$faults" ] && [ "$total" -ge 8 ]; then
		pass "attach: a failure of each of $total requests leaves the device as it was"
	else
		fail "attach: a failure of each of $total requests leaves the device as it was" \
			"$faults"
	fi
}
every_step_fails

# Whatever it is stopped by, I/O goes on, and the next attempt succeeds.
every_step_stops() { # attach|detach INJECTION NAME
	local n faults='' total
	[ "$1" = attach ] || tidemark attach /dev/mapper/vm > /dev/null
	total=$(ioctls tidemark "$1" /dev/mapper/vm)
	[ "$1" = detach ] || tidemark detach vm
	for ((n = 1; n <= total; n++)); do
		[ "$1" = attach ] || tidemark attach /dev/mapper/vm > /dev/null
		# in a shell of its own, which says nothing of a killed child
		(strace -qq -e trace=ioctl -e inject=ioctl:"$2":when="$n" -o "$tmp/trace" \
			tidemark "$1" /dev/mapper/vm > "$tmp/out" 2>&1; :) 2> /dev/null
		! suspended vm || faults+="$n: vm is suspended"$'\n'
		timeout 20 dd if=/dev/zero of=/dev/mapper/vm bs=4k seek=12700 count=1 \
			oflag=direct conv=notrunc status=none || faults+="$n: no I/O"$'\n'
		tidemark "$1" /dev/mapper/vm > "$tmp/out" 2> "$tmp/err"
		status=$?
		# it may have been done before it was stopped
		case $1-$status in
		attach-0 | attach-9 | detach-0 | detach-3) ;;
		*) faults+="$n: once more: $(cat "$tmp/err")"$'\n' ;;
		esac
		[ "$1" = detach ] || tidemark detach /dev/mapper/vm 2> "$tmp/err" ||
			faults+="$n: detach: $(cat "$tmp/err")"$'\n'
		[ -z "$(vm_faults)" ] || faults+="$n: $(vm_faults)"$'\n'
	done
	if [ -z "$faults" ] && [ "$total" -ge 8 ]; then
		pass "$1: $3 each of $total requests, I/O goes on and it is done again"
	else
		fail "$1: $3 each of $total requests, I/O goes on and it is done again" "$faults"
	fi
}
every_step_stops attach signal=KILL "killed after"
every_step_stops detach signal=KILL "killed after"
every_step_stops detach error=ENOMEM "a failure of"

finish
