#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The kernel interface, module/uapi/linux/tidemark.h: it compiles for whoever
# includes it, has no hole, says the same to 32 and 64 bit, and what was
# released stays what it was. uapi-layout.txt records every size, offset and
# number. When something is added, and nothing else was changed:
#
#   tests/check/uapi.sh --record
#
# and the change of the record is reviewed as a change of the interface.
#
# tests/check/uapi.sh [TREE]
record=
[ "${1-}" != --record ] || { record=1; shift; }
. "$(dirname "$0")/lib.bash"

header=module/uapi/linux/tidemark.h
layout=tests/check/uapi-layout.txt

# Structs that stand in arrays; any other is a request and begins with its size.
elements='tidemark_run tidemark_seal_disk'

# Debian's compiler knows 32 bit, its libraries do not: the kernel's headers
# are all that is wanted, and asm/ of x86 serves both.
compilers=("cc -m64" "cc -m32 -ffreestanding -isystem /usr/include/$(cc -print-multiarch 2>/dev/null)")
strict='-Wall -Wextra -Wpadded -Wpacked -pedantic -Werror -fsyntax-only -Imodule/uapi'

# What the header declares, one line each: "struct NAME", "member STRUCT NAME
# TYPE ARRAY", "number NAME", "text NAME".
# shellcheck disable=SC2016 # awk's dollars
declared() {
    awk "$awk_code"'
    {
        raw = $0
        $0 = code($0)
    }
    /^struct [a-z_0-9]+ \{/ { in_struct = $2; print "struct", $2; next }
    /^enum [a-z_0-9]+ \{/ { in_enum = 1; next }
    /^}/ { in_struct = ""; in_enum = 0; next }
    in_struct != "" && NF {
        sub(/;.*/, "")
        array = ""
        if (match($0, /\[.*\]/)) { array = substr($0, RSTART, RLENGTH); sub(/\[.*\]/, "") }
        name = $NF
        $NF = ""
        sub(/ +$/, ""); sub(/^ +/, "")
        gsub(/ /, "_")
        if (sub(/^\*+/, "", name)) $0 = $0 "*"
        print "member", in_struct, name, $0, array
        next
    }
    in_enum && match($1, /^[A-Z_0-9]+/) { print "number", substr($1, 1, RLENGTH); next }
    /^#define [A-Z_0-9]+[ \t]+./ { print (raw ~ /^#define [A-Z_0-9]+[ \t]+[^(]*"/ ? "text" : "number"), $2 }
    ' "$header"
}

# A program that prints the record, to be compiled for this machine.
program() {
    cat <<'END'
#include <stddef.h>
#include <stdio.h>
#include <linux/tidemark.h>
int main(void)
{
END
    declared | awk '
    $1 == "struct" { printf "printf(\"struct %s %%zu\\n\", sizeof(struct %s));\n", $2, $2 }
    $1 == "member" {
        printf "printf(\"member %s.%s %%zu %%zu\\n\", offsetof(struct %s, %s), sizeof(((struct %s *)0)->%s));\n",
            $2, $3, $2, $3, $2, $3
    }
    $1 == "number" { printf "printf(\"number %s %%llu\\n\", (unsigned long long)(%s));\n", $2, $2 }
    $1 == "text" { printf "printf(\"text %s %%s\\n\", %s);\n", $2, $2 }
    END { print "return 0;\n}" }'
}

measured() {
    program > "$check_tmp/measure.c"
    cc -Wall -Werror -Imodule/uapi -o "$check_tmp/measure" "$check_tmp/measure.c" &&
        "$check_tmp/measure"
}

# The record as assertions, for a machine whose programs cannot run here.
assertions() {
    echo '#include <linux/tidemark.h>'
    awk '
    $1 == "struct" { printf "_Static_assert(sizeof(struct %s) == %s, \"struct %s\");\n", $2, $3, $2 }
    $1 == "member" {
        split($2, n, ".")
        printf "_Static_assert(__builtin_offsetof(struct %s, %s) == %s, \"offset of %s\");\n", n[1], n[2], $3, $2
        printf "_Static_assert(sizeof(((struct %s *)0)->%s) == %s, \"size of %s\");\n", n[1], n[2], $4, $2
    }
    $1 == "number" { printf "_Static_assert((%s) == %sULL, \"%s\");\n", $2, $3, $2 }
    $1 == "text" { printf "_Static_assert(__builtin_strcmp(%s, \"%s\") == 0, \"%s\");\n", $2, $3, $2 }
    ' "$layout"
}

complaints() { # the part of a compiler's output that says what and where
    grep -E '[0-9]: ((fatal )?error|warning): ' | sed "s|$check_tmp/||" | head -n 20
}

faults_compile() {
    local compiler language
    echo '#include <linux/tidemark.h>' > "$check_tmp/include.c"
    for compiler in "${compilers[@]}"; do
        for language in "c -std=c99" "c -std=c11" "c -std=gnu11" "c++ -std=c++11" "c++ -std=c++20"; do
            # shellcheck disable=SC2086 # options are words
            $compiler $strict -x $language "$check_tmp/include.c" 2>&1 | complaints |
                sed "s/^/${compiler%% -[fi]*} ${language#* }: /"
        done
    done
}

# __u32, __aligned_u64 and arrays of __u8: nothing else has one size, one
# alignment and no hole on every machine.
faults_types() {
    declared | awk -v elements=" $elements " -v header="$header" '
    $1 == "struct" { fresh = index(elements, " " $2 " ") == 0 }
    $1 == "member" {
        if ($4 !~ /^(__u32|__aligned_u64)$/ && !($4 == "__u8" && $5 != ""))
            print header ": " $2 "." $3 " is of type " $4 $5
        if (fresh && ($3 != "size" || $4 != "__u32"))
            print header ": struct " $2 " does not begin with __u32 size"
        fresh = 0
    }'
}

# A line that is gone or is another than the record's, and a line too many.
faults_record() {
    diff <(grep -v '^#' "$layout") <(measured) | sed -n \
        -e 's/^< /was released and is no longer so: /p' \
        -e 's/^> /is not in '"${layout##*/}"': /p'
}

faults_32bit() {
    assertions > "$check_tmp/assert.c"
    # shellcheck disable=SC2086 # options are words
    ${compilers[1]} -std=gnu11 -fsyntax-only -Imodule/uapi "$check_tmp/assert.c" 2>&1 | complaints
}

if [ -n "$record" ]; then
    {
        echo "# SPDX-License-Identifier: GPL-2.0-or-later"
        echo "# What $header has released. See tests/check/uapi.sh."
        echo "# struct NAME SIZE, member STRUCT.NAME OFFSET SIZE, number NAME VALUE, text NAME VALUE"
        measured
    } > "$check_tmp/layout" && cp "$check_tmp/layout" "$layout"
    exit
fi

if [ ! -f "$layout" ]; then
    verdict "there is a record of what was released" "$layout is missing"
    finish
fi
need cc gcc "the interface compiles" || finish
need c++ g++ "the interface compiles as C++" || finish
verdict "the interface compiles as C and C++, 64 and 32 bit, without a hole" "$(faults_compile)"
verdict "the interface has members of known size only" "$(faults_types)"
verdict "what was released is what is there" "$(faults_record)"
verdict "32 bit has the same sizes, offsets and numbers" "$(faults_32bit)"

plant "$layout" < <(cat "$check_tree/$layout")

# change SED: a planted tree whose header was changed so
change() {
    plant "$header" < <(sed "$1" "$check_tree/$header")
    cmp -s "$check_tree/$header" "$check_tmp/tree/$header" && echo "nothing was planted by $1"
}
verdict "a planted hole is found" "$(
    change 's/__u32 capacity;/__u32 capacity; __aligned_u64 hole;/'
    planted faults_compile 'padding struct')"
verdict "a planted type that differs between machines is found" "$(
    change 's/__u32 capacity;/unsigned long capacity;/; s/^\(\t\)__aligned_u64 first;/\1enum tidemark_which *first;/
            s/__aligned_u64 epoch;/__u64 epoch;/'
    planted faults_types '
capacity is of type unsigned_long
first is of type enum_tidemark_which\*
epoch is of type __u64')"
verdict "a planted struct without its size is found" "$(
    change '/^struct tidemark_end {/,/^}/s/__u32 size;/__u32 length;/'
    planted faults_types 'tidemark_end does not begin')"
verdict "a planted change of what was released is found" "$(
    change 's/__u32 which;/__u32 what;/; s/TIDEMARK_SETTLE\t\t= 1 << 1/TIDEMARK_SETTLE = 1 << 5/
            s/\(TIDEMARK_GENL_GROUP\t\)"events"/\1"event"/; s/FEATURE_SETTLE\t\t= 1 << 1/FEATURE_SETTLE = 1 << 4/'
    planted faults_record '
no longer so: member tidemark_(read|runs|count)\.which
is not in uapi-layout.txt: member tidemark_(read|runs|count)\.what
no longer so: number TIDEMARK_FEATURE_SETTLE 2
is not in uapi-layout.txt: number TIDEMARK_FEATURE_SETTLE 16
no longer so: text TIDEMARK_GENL_GROUP events
is not in uapi-layout.txt: text TIDEMARK_GENL_GROUP event$')"
verdict "a planted difference of 32 bit is found" "$(
    change '/^struct tidemark_version {/,/^}/s/__aligned_u64 features;/unsigned long features;/'
    planted faults_32bit '
assertion failed: "size of tidemark_version.features"
assertion failed: "offset of tidemark_version.release"
assertion failed: "struct tidemark_version"')"
finish
