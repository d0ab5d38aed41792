#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Every file says its licence in its first lines, and it is the right one.
#
# tests/check/spdx.sh [TREE]
. "$(dirname "$0")/lib.bash"

# PATH (extended regular expression, the first that matches holds) and LICENCE;
# "-" where a file cannot say it or is the licence itself.
licences() {
    cat <<'TABLE'
(LICENSES/.*|COPYING)                                     -
debian/(changelog|control|copyright|compat|source/.*)     -
.*\.(json|txt|ascii|svg|png|cast|golden|expected) -
module/uapi/.*\.h          GPL-2.0 WITH Linux-syscall-note
module/.*                  GPL-2.0-only
tests/module/mutants/.*    GPL-2.0-only
Kbuild                     GPL-2.0-only
tools/libtidemark/.*       LGPL-2.1-or-later
.*                         GPL-2.0-or-later
TABLE
}

faults() {
    local list
    licences > "$check_tmp/licences"
    # Only text: grep takes a file without a line, and a binary one, for none.
    mapfile -t list < <(files . | xargs -r grep -lI .)
    [ ${#list[@]} -gt 0 ] || return 0
    # The way to write it: kernel's own, // in .c and /* */ in .h.
    awk '
    FILENAME == ARGV[1] {
        path[++rules] = $1; $1 = ""; sub(/^ +/, ""); licence[rules] = $0; next
    }
    FNR == 1 {
        flush()
        file = FILENAME; want = ""; found = ""; first = $0
        for (i = 1; i <= rules && want == ""; i++)
            if (file ~ "^(" path[i] ")$") want = licence[i]
    }
    FNR <= 4 && found == "" && match($0, /SPDX-License-Identifier: /) {
        found = substr($0, RSTART + RLENGTH)
        sub(/ *(\*\/|-->).*$/, "", found)
        line = FNR
    }
    function flush() {
        if (file == "" || want == "-") return
        if (found == "") print file ":1: no SPDX-License-Identifier, wants " want
        else if (found != want) print file ":" line ": \"" found "\" where it is " want
        else if (file ~ /\.c$/ && first !~ /^\/\/ SPDX/ || file ~ /\.h$/ && first !~ /^\/\* SPDX/)
            print file ":1: the identifier is not the first line as the kernel writes it"
    }
    END { flush() }' "$check_tmp/licences" "${list[@]}"
}

verdict "every file has the licence of its folder" "$(faults)"

plant COPYING <<< 'The licence itself.'
plant debian/changelog <<< 'tidemark (0.1.0) unstable; urgency=low'
plant tests/recorded/list.json <<< '{ "schema": "tidemark/1" }'
plant tests/module/mutants/a.patch <<< '# SPDX-License-Identifier: GPL-2.0-only'
plant agent/good.c <<< '// SPDX-License-Identifier: GPL-2.0-or-later'
plant module/good.h <<< '/* SPDX-License-Identifier: GPL-2.0-only */'
plant README.md <<< '<!-- SPDX-License-Identifier: GPL-2.0-or-later -->'
plant module/uapi/linux/a.h <<< '/* SPDX-License-Identifier: GPL-2.0-only */'
plant module/a.c <<< '// SPDX-License-Identifier: GPL-2.0-or-later'
plant agent/none.c <<< 'int x;'
plant agent/style.c <<< '/* SPDX-License-Identifier: GPL-2.0-or-later */'
plant tools/libtidemark/a.c <<< '// SPDX-License-Identifier: GPL-2.0-or-later'
plant tests/late.sh <<'END'
#!/bin/sh
#
#
#
# SPDX-License-Identifier: GPL-2.0-or-later
END
verdict "a planted file with no or another licence is found" "$(planted faults '
^module/uapi/linux/a.h:1: "GPL-2.0-only" where it is GPL-2.0 WITH
^module/a.c:1: "GPL-2.0-or-later" where it is GPL-2.0-only
^agent/none.c:1: no SPDX
^agent/style.c:1: the identifier is not the first line
^tools/libtidemark/a.c:1: "GPL-2.0-or-later" where it is LGPL
^tests/late.sh:1: no SPDX
')"
finish
