#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What libtidemark.so exports is what its header declares: nothing more leaks
# out, nothing declared is missing, every name begins with tidemark_, and
# nothing in it writes to a standard stream.
#
# tests/check/symbols.sh [TREE]
. "$(dirname "$0")/lib.bash"

library=build/lib/libtidemark.so
header=tools/libtidemark/tidemark.h

exported() {
    nm --dynamic --defined-only --format=posix "$library" |
        awk '$2 != "A" { sub(/@.*/, "", $1); print $1 }' | sort
}

# A declaration begins in the first column and has its name before "(".
declared() {
    sed -n 's/^[a-z].*[ *]\(tidemark_[a-z_0-9]*\)(.*/\1/p' "$header" | sort
}

faults_names() {
    exported | grep -v '^tidemark_' | sed 's/^/exported: /'
}

faults_declared() {
    [ -n "$(declared)" ] || echo "$header declares nothing"
    diff <(declared) <(exported) | sed -n 's/^</not exported:/p; s/^>/not declared:/p'
}

faults_streams() {
    nm --dynamic --undefined-only --format=posix "$library" | awk '{ print $1 }' | sed 's/@.*//' |
        grep -xE '(__)?v?f?printf(_chk)?|puts|fputs|putchar|perror|stdout|stderr|v?syslog' |
        sed 's/^/uses: /'
}

need nm binutils "the library's symbols" || finish
if [ -e "$library" ]; then
    verdict "every exported name begins with tidemark_" "$(faults_names)"
    verdict "exported and declared are the same" "$(faults_declared)"
    verdict "the library writes nothing to standard streams" "$(faults_streams)"
else
    skip "the library's symbols" "$library is not built"
fi

need cc gcc "planted symbols are found" || finish
plant "$header" <<'END'
int tidemark_good(void);
int tidemark_missing(int);
END
mkdir -p "$check_tmp/tree/${library%/*}"
cc -x c -shared -fPIC -O0 -o "$check_tmp/tree/$library" - <<'END'
#include <stdio.h>
int tidemark_good(void) { return fprintf(stderr, "%d", 1); }
int tidemark_hidden(void) { return 1; }
int other(void) { return 1; }
END
verdict "a planted name is found" "$(planted faults_names '^exported: other$')"
verdict "planted differences from the header are found" "$(planted faults_declared '
^not exported: tidemark_missing$
^not declared: tidemark_hidden$
^not declared: other$')"
verdict "a planted message is found" "$(planted faults_streams '
^uses: fprintf$
^uses: stderr$')"
finish
