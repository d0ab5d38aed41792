#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What other eyes than a test's see: the module built for each kernel with W=1
# and sparse, user space read by cppcheck and by gcc's analyzer.
#
# tests/check/static.sh [TREE]
. "$(dirname "$0")/lib.bash"

kernels='6.1 6.12'
builder=$check_tree/tests/guest/build-module

# cppcheck 2.10 takes a cleanup attribute for a leak: leaks are left to the
# sanitizers (make SAN=1), which see them happen. readdir() of a stream that no
# other thread has is safe; readdir_r() is the one to avoid.
cppcheck_options=(
    --quiet --std=c11 --platform=unix64 --library=posix --library=gnu
    '--enable=warning,performance,portability' --inline-suppr
    '-DSD_BUS_PARAM(x)=#x' -D_GNU_SOURCE -I. -Iagent -Itools -Imodule/uapi
    --suppress=memleak --suppress=resourceLeak --suppress=readdirCalled
    '--template={file}:{line}: {severity}: {message} [{id}]'
)

# The module's own files only: what the kernel's headers make of sparse and W=1
# is not ours to mend. build-module builds in a private copy, under src/.
faults_module() { # KERNEL SOURCE NAME
    local log said status=0
    log=$(TIDEMARK_MODULE_SOURCE=$2 "$builder" --kernel "$1" --name "$3" W=1 C=2 2>&1) || status=1
    said=$(sed -n 's#^.*/src/\([a-z_/]*\.[ch]:[0-9]*:.*\(warning\|error\): \)#module/\1#p' <<< "$log" |
        sort -u)
    if [ -n "$said" ]; then
        printf '%s\n' "$said"
    elif [ $status -ne 0 ]; then
        tail -n 20 <<< "$log"
    fi
}

faults_cppcheck() {
    local list
    mapfile -t list < <(files '^(agent|tools)/.*\.c$')
    [ ${#list[@]} -eq 0 ] || cppcheck "${cppcheck_options[@]}" "${list[@]}" 2>&1
}

# The analyzer loses sight of an object whose address is kept as that of a member
# (source, ops), and of "untouched on failure": no leaks, no null pointers, but
# double free, use after free, unchecked malloc and what was never set.
faults_analyzer() {
    files '^(agent|tools)/.*\.c$' |
        xargs -r -P 2 -n 1 cc -fanalyzer -Wno-analyzer-malloc-leak -Wno-analyzer-null-dereference \
            -O1 -std=gnu11 -D_GNU_SOURCE '-DTIDEMARK_VERSION=""' -I. -Iagent -Itools -Imodule/uapi \
            -isystem /usr/include/libnl3 -S -o /dev/null 2>&1 | grep -E '(warning|error): '
}

plant module/Kbuild <<'END'
obj-m := dm-tidemark.o
dm-tidemark-y := main.o
END
plant module/main.c <<'END'
// SPDX-License-Identifier: GPL-2.0-only
#include <linux/module.h>
#include <linux/spinlock.h>

static DEFINE_SPINLOCK(lock);
static int __user *address;

int no_prototype(void);

int warned(void)
{
	spin_lock(&lock);
	return *address;
}
MODULE_LICENSE("GPL");
END

# shellcheck disable=SC2317 # called by planted
planted_module() {
    faults_module "$kernel" "$check_tmp/tree/module" lint-planted
}

if need sparse sparse "sparse and W=1"; then
    for kernel in $kernels; do
        name="sparse and W=1 for $kernel"
        if [ ! -x "$builder" ]; then
            verdict "$name" "$builder is missing"
            continue
        fi
        verdict "$name" "$(faults_module "$kernel" "$check_tree/module" lint)"
        verdict "$name find planted faults" "$(planted planted_module "
^module/main.c:.*no previous prototype for .warned
^module/main.c:.*context imbalance in 'warned'
^module/main.c:.*'warned' was not declared
^module/main.c:.*dereference of noderef expression")"
    done
fi

plant agent/a/fault.c <<'END'
#include <stdlib.h>
struct kept { int *at; };
static int fault(int n)
{
	int a[4] = { 0 };

	if (n > 10)
		return a[n > 5 ? 4 : 0];
	return a[0];
}
int caller(struct kept *k)
{
	int local = fault(3) + fault(11);
	k->at = &local;
	return local;
}
END
plant agent/a/twice.c <<'END'
#include <stdlib.h>
void twice(char *p, int n)
{
	free(p);
	if (n)
		free(p);
}
END
if need cppcheck cppcheck "cppcheck"; then
    verdict "cppcheck" "$(faults_cppcheck)"
    verdict "cppcheck finds planted faults" "$(planted faults_cppcheck '
^agent/a/fault.c:8: error: .*out of bounds
^agent/a/fault.c:14: error: .*local auto-variable
^agent/a/twice.c:6: error: .*freed twice')"
fi
name="gcc's analyzer"
if need cc gcc "$name"; then
    verdict "$name" "$(faults_analyzer)"
    verdict "$name finds planted faults" "$(planted faults_analyzer "
^agent/a/fault.c:8:.*uninitialized value
^agent/a/twice.c:6:.*double-.free")"
fi
finish
