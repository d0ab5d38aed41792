#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What needs no build: checkpatch and kernel-doc over the kernel's side and the
# public headers, shellcheck over every script.
#
# tests/check/clean.sh [TREE]
. "$(dirname "$0")/lib.bash"

# FILES and the types of checkpatch that mean nothing there, and why.
checkpatch_ignored() {
    cat <<'TABLE'
module/compat\.h	LINUX_VERSION_CODE,CONSTANT_COMPARISON	the one file that asks for versions
module/uapi/.*	BIT_MACRO	user space has no BIT_ULL
TABLE
}

# checkpatch is of linux-source, which `make deps` unpacks; the newest kernel-doc
# is of the kernels that the module is built for.
checkpatch=${TIDEMARK_BUILD:-build}/ksrc/scripts/checkpatch.pl
[ -f "$checkpatch" ] || checkpatch=$check_home/../../build/ksrc/scripts/checkpatch.pl
checkpatch=$(realpath -m "$checkpatch")
kernel_doc=$(printf '%s\n' /usr/lib/linux-kbuild-*/scripts/kernel-doc | sort -V | tail -n 1)

faults_checkpatch() {
    local pattern types file
    files '^module/.*\.[ch]$' | while IFS= read -r file; do
        types=$(checkpatch_ignored | while IFS=$'\t' read -r pattern types _; do
            [[ ! $file =~ ^$pattern$ ]] || echo "$types"
        done | paste -sd,)
        "$checkpatch" --no-tree --strict --terse --show-types --no-summary \
            --color=never ${types:+--ignore "$types"} -f "$file"
    done
}

# Whatever is documented is documented in full, where others read it: all of
# the module, the interface and the library. Inside of the agent a comment may
# leave out what is plain, but may not name what is not there.
faults_kerneldoc() {
    local list
    mapfile -t list < <(files '^(module/.*|tools/libtidemark/tidemark)\.[ch]$')
    [ ${#list[@]} -eq 0 ] ||
        "$kernel_doc" -none -Werror "${list[@]}" 2>&1 | grep ': warning: \|: error: '
    mapfile -t list < <(files '^(agent|tools)/.*\.[ch]$' | grep -v '^tools/libtidemark/tidemark.h$')
    [ ${#list[@]} -eq 0 ] ||
        "$kernel_doc" -none "${list[@]}" 2>&1 | grep ': warning: \|: error: ' |
        grep -v " not described in "
}

# By their first line, wherever they stand and whatever they are called; what is
# only sourced says so with a directive.
scripts() {
    files . | xargs -r grep -lIE '^#!.*[/ ](ba|da)?sh( |$)|^# shellcheck shell=' | xargs -r awk '
        FNR <= 5 && (FNR == 1 && /^#!.*[\/ ](ba|da)?sh( |$)/ || /^# shellcheck shell=/) {
            print FILENAME
            nextfile
        }'
}

faults_shellcheck() {
    local list
    mapfile -t list < <(scripts)
    [ ${#list[@]} -eq 0 ] || shellcheck --external-sources --format=gcc "${list[@]}" 2>&1
}

plant module/patch.c <<'END'
// SPDX-License-Identifier: GPL-2.0-only
int f(void) {
	return 0 ;
}
END
plant module/compat.h <<'END'
/* SPDX-License-Identifier: GPL-2.0-only */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 1, 0)
#endif
END
plant module/doc.c <<'END'
// SPDX-License-Identifier: GPL-2.0-only
/**
 * doc_one() - a parameter is not described
 */
void doc_one(int a)
{
}
END
plant agent/a/doc.h <<'END'
/**
 * doc_two() - nothing is described
 */
void doc_two(int a);
/**
 * doc_three() - something is described that is not there
 * @b: was here once
 */
void doc_three(int a);
END
plant tests/unquoted <<'END'
#!/bin/bash
rm $1
END
plant tests/sourced.bash <<'END'
# shellcheck shell=bash
rm $1
END
plant tests/good.sh <<'END'
#!/bin/sh
rm "$1"
END

name="checkpatch"
if need "$checkpatch" linux-source-6.1 "$name"; then
    verdict "$name" "$(faults_checkpatch)"
    verdict "$name finds a planted fault" "$(planted faults_checkpatch '
^module/patch.c:2: ERROR:OPEN_BRACE
^module/patch.c:3: WARNING:SPACING')"
fi
name="kernel-doc"
if need "$kernel_doc" linux-kbuild-6.1 "$name"; then
    verdict "$name" "$(faults_kerneldoc)"
    verdict "$name finds a planted fault" "$(planted faults_kerneldoc "
^module/doc.c:[0-9]+: warning: .*'a' not described
^agent/a/doc.h:[0-9]+: warning: Excess function parameter 'b'")"
fi
name="shellcheck"
if need shellcheck shellcheck "$name"; then
    verdict "$name" "$(faults_shellcheck)"
    verdict "$name finds a planted fault" "$(planted faults_shellcheck '
^tests/unquoted:2:.*SC2086
^tests/sourced.bash:2:.*SC2086')"
fi
finish
