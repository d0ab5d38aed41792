#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# run.sh [PROGRAM | +PROGRAM]...: run the tests of the module (built by `make -C
# tests/module`), all of them or those named, and those with a + besides, as one
# TAP stream. As root, with the module loaded; the usual place is a guest:
#
#	tests/guest/run --kernel 6.12 -- tests/module/run.sh

set -u
cd "$(dirname "$0")/../.." || exit 1
programs=() besides=()
for program; do
	[[ $program == +* ]] && besides+=("${program#+}") || programs+=("$program")
done
[[ ${#programs[@]} -gt 0 ]] ||
	programs=(ioctl mark seal drain reshape scale hammer many live \
		lost-write view view-order view-prefix meta flush trust witness)
programs+=(${besides[@]+"${besides[@]}"})
folder=build/ksft
count=0
failed=0

# One line for the outside; what the programs say else is a comment.
result() {
	count=$((count + 1))
	[[ $1 == ok ]] || failed=$((failed + 1))
	echo "$1 $count $2"
}

# Program $1 prints TAP of its own: its results are numbered anew.
run() {
	local program=$1 line results=0 planned=-1 status begun=$SECONDS
	while IFS= read -r line; do
		case $line in
		1..*)
			planned=${line#1..} ;;
		"ok "*|"not ok "*)
			results=$((results + 1))
			[[ $line =~ ^(ok|not\ ok)\ [0-9]+\ ?-?\ ?(.*)$ ]]
			result "${BASH_REMATCH[1]}" "$program: ${BASH_REMATCH[2]}" ;;
		"status "*)
			status=${line#status } ;;
		"#"*"RUN "*|"#"*" OK "*|"TAP version"*|"# Starting"*|"# Totals"*|"# PASSED"*|"# FAILED"*)
			;;
		*)
			echo "# ${line#\# }" ;;
		esac
	done < <("$folder/$program" 2>&1; echo "status $?")
	[[ $results == "$planned" ]] ||
		result "not ok" "$program: ended early, with status ${status:-?}"
	echo "# $program: $((SECONDS - begun)) s"
}

echo "TAP version 13"
for program in "${programs[@]}"; do
	if [[ -x $folder/$program ]]; then
		run "$program"
	else
		result "not ok" "$program: there is no $folder/$program"
	fi
done
echo "1..$count"
[[ $failed == 0 ]]
