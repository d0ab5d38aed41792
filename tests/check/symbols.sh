#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What libtidemark.so exports is what its header declares: nothing more leaks
# out, nothing declared is missing, and every name begins with tidemark_.
#
# tests/check/symbols.sh [LIBRARY]
set -u
top=$(cd "$(dirname "$0")/../.." && pwd) || exit 1
library=${1:-$top/build/lib/libtidemark.so}
count=0 failed=0

verdict() { # NAME FAULTS: ok when there are none
	count=$((count + 1))
	if [ -z "$2" ]; then
		echo "ok $count - $1"
	else
		failed=$((failed + 1))
		echo "not ok $count - $1"
		printf '%s\n' "$2" | sed 's/^/# /'
	fi
}

exported() { # LIBRARY
	nm --dynamic --defined-only --format=posix "$1" |
		awk '$2 != "A" { sub(/@.*/, "", $1); print $1 }' | sort
}

# A declaration begins in the first column and has its name before "(".
declared() { # HEADER
	sed -n 's/^[a-z].*[ *]\(tidemark_[a-z_0-9]*\)(.*/\1/p' "$1" | sort
}

if [ ! -e "$library" ]; then
	echo "1..0 # SKIP $library is not built"
	exit 0
fi
header=$top/tools/libtidemark/tidemark.h
verdict "every exported name begins with tidemark_" \
	"$(exported "$library" | grep -v '^tidemark_')"
verdict "the header declares functions" \
	"$([ "$(declared "$header" | wc -l)" -ge 20 ] || echo "found fewer than 20")"
verdict "exported and declared are the same" \
	"$(diff <(declared "$header") <(exported "$library"))"
verdict "the library writes nothing to standard streams of its own" \
	"$(nm --dynamic --undefined-only --format=posix "$library" |
		awk '{ print $1 }' | sed 's/@.*//' |
		grep -xE 'v?f?printf|puts|fputs|perror|stdout|stderr|v?syslog|__v?f?printf_chk')"
echo "1..$count"
[ "$failed" -eq 0 ]
