# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What the tests of the command share. Each takes the kernel to boot as its only
# argument, and runs itself inside a guest (or, with TIDEMARK_HOST=1, right here)
# with three disks:
#
#   a   stacked upon, mounted, swapped to
#   b c the segments of vm:   vm = b[2048+40960] + c[0+40960] + b[65536+20480]
if [ -z "${TIDEMARK_GUEST:-}" ]; then
	exec "$(dirname "${BASH_SOURCE[0]}")/../guest/run" --kernel "${1:-6.1}" --disk 64M \
		--disk 64M --disk 64M -- "tests/command/$(basename "$0")"
fi
# shellcheck disable=SC2034 # used by those who source this file
read -r a b c _ <<< "${TIDEMARK_DISKS:-}"
[ -n "${c:-}" ] || { echo "1..0 # SKIP needs three disks in TIDEMARK_DISKS"; exit 0; }

tmp=$(mktemp -d)
count=0 failed=0
trap 'rm -rf "$tmp"' EXIT

pass() { count=$((count + 1)); echo "ok $count - $1"; }
fail() { # NAME WHY
	count=$((count + 1)) failed=$((failed + 1))
	echo "not ok $count - $1"
	printf '%s\n' "$2" | sed 's/^/# /'
}

# is NAME GOT WANTED
is() {
	if [ "$2" = "$3" ]; then pass "$1"; else fail "$1" "got '$2', wanted '$3'"; fi
}

# run COMMAND...: leaves $status, $tmp/out, $tmp/err
run() { "$@" > "$tmp/out" 2> "$tmp/err"; status=$?; }

# exits NAME STATUS PATTERN COMMAND...: the exit status, and a message like that
exits() {
	local name=$1 wanted=$2 pattern=$3
	shift 3
	run "$@"
	if [ "$status" -ne "$wanted" ]; then
		fail "$name" "exit status $status, wanted $wanted: $(cat "$tmp/err")"
	elif [ -n "$pattern" ] && ! grep -qE -- "$pattern" "$tmp/err"; then
		fail "$name" "the message '$(cat "$tmp/err")' says nothing of '$pattern'"
	elif [ "$wanted" -ne 0 ] && [ -s "$tmp/out" ]; then
		fail "$name" "wrote to standard output: $(cat "$tmp/out")"
	else
		pass "$name"
	fi
}

# column DISK COLUMN: in bytes
column() { tidemark disks "$1" --noheadings --bytes --output "$2" | xargs; }

# json QUERY: of the document in $tmp/out, in SQLite's words
json() { sqlite3 :memory: "select $1 from (select readfile('$tmp/out') as d)"; }

disks_count() { tidemark disks --noheadings | wc -l; }
number() { dmsetup info -c --noheadings -o major,minor "$1"; }
hidden() { dmsetup info -c --noheadings -o uuid "$1-tidemark" 2>/dev/null; }
suspended() { [ "$(dmsetup info -c --noheadings -o suspended "$1")" != Active ]; }

vm_table() {
	printf '0 40960 linear %s 2048\n40960 40960 linear %s 0\n81920 20480 linear %s 65536\n' \
		"$(stat -c '%Hr:%Lr' "$b")" "$(stat -c '%Hr:%Lr' "$c")" "$(stat -c '%Hr:%Lr' "$b")"
}

# untouched NAME: vm maps to what it did, runs, and nothing is left over. What is
# written here lies behind the file system.
vm_faults() {
	[ "$(dmsetup table vm)" = "$(vm_table)" ] || echo "vm maps to: $(dmsetup table vm)"
	! suspended vm || echo "vm is suspended"
	[ -z "$(dmsetup table --inactive vm)" ] || echo "a table is left over in vm"
	[ -z "$(hidden vm)" ] || echo "the hidden device is left over"
	timeout 20 dd if=/dev/zero of=/dev/mapper/vm bs=4k seek=12700 count=1 oflag=direct \
		conv=notrunc status=none || echo "vm cannot be written to"
}

untouched() {
	local faults
	faults=$(vm_faults)
	if [ -z "$faults" ]; then pass "$1"; else fail "$1" "$faults"; fi
}

# finish: the plan and the exit status
finish() {
	echo "1..$count"
	[ "$failed" -eq 0 ]
	exit
}
