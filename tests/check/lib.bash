# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What the checks share. A check is a function that looks at the tree in the
# current folder and prints one line for each fault, "FILE:LINE: what"; the
# script around it turns that into TAP and shows, in a tree made for it, that
# the check finds what it is there for.
#
# Each script of tests/check takes the tree to check as its first argument;
# the default is the one that the script stands in.

# shellcheck disable=SC2034 # used by those who source this file
check_home=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
check_tree=$(cd "${1:-$check_home/../..}" && pwd) || exit 1
check_count=0
check_failed=0

check_tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$check_tmp"' EXIT
cd "$check_tree" || exit 1

# verdict NAME FAULTS: ok when there are none
verdict() {
    check_count=$((check_count + 1))
    if [ -z "$2" ]; then
        echo "ok $check_count - $1"
        return
    fi
    check_failed=$((check_failed + 1))
    echo "not ok $check_count - $1"
    printf '%s\n' "$2" | awk 'NR <= 40 { print "# " $0 } END { if (NR > 40) print "# and " NR - 40 " more" }'
}

# skip NAME REASON
skip() {
    check_count=$((check_count + 1))
    echo "ok $check_count - $1 # SKIP $2"
}

# need COMMAND PACKAGE NAME: a tool that is not there fails the test NAME
need() {
    command -v "$1" >/dev/null && return
    verdict "$3" "$1 is missing: install the Debian package $2 (make deps does)"
    return 1
}

# The end of every check: plan and exit status.
finish() {
    echo "1..$check_count"
    [ "$check_failed" -eq 0 ]
    exit
}

# files PATTERN: the files of the tree in the current folder whose path
# matches the extended regular expression, new ones included; never what Git
# ignores. Without Git (an unpacked tarball) all but build/.
files() {
    if [ -e .git ] && git ls-files >/dev/null 2>&1; then
        git ls-files --cached --others --exclude-standard
    else
        find . -name .git -prune -o -path ./build -prune -o \( -type f -o -type l \) -print |
            sed 's|^\./||'
    fi | sort -u | grep -E "$1" | while IFS= read -r file; do
        [ ! -f "$file" ] || [ -L "$file" ] || printf '%s\n' "$file"
    done
}

# plant FILE: put standard input there, in a tree where faults are planted
plant() {
    mkdir -p "$check_tmp/tree/$(dirname "$1")"
    cat > "$check_tmp/tree/$1"
}

# planted CHECK EXPECTED: what the function CHECK says of the planted tree is,
# line for line, EXPECTED: extended regular expressions, in any order. Prints
# what was missed and what was said without a cause.
planted() {
    local said line
    said=$(cd "$check_tmp/tree" && "$1")
    while IFS= read -r line; do
        [ -n "$line" ] || continue
        grep -qE -- "$line" <<< "$said" || echo "a planted fault was not found: $line"
        said=$(grep -vE -- "$line" <<< "$said")
    done <<< "$2"
    [ -z "$said" ] || printf 'a fault that is none: %s\n' "$said"
}

# An awk function for all that read C: code(LINE) is the line without comments
# and without the insides of strings. It has to see every line of a file.
# shellcheck disable=SC2034
awk_code='
function code(line,    out, c, two) {
    out = ""
    while (line != "") {
        two = substr(line, 1, 2)
        c = substr(line, 1, 1)
        if (in_comment) {
            if (two == "*/") { in_comment = 0; line = substr(line, 3); out = out " " }
            else line = substr(line, 2)
        } else if (two == "/*") { in_comment = 1; line = substr(line, 3) }
        else if (two == "//") break
        else if (c == "\"" && match(line, /^"([^"\\]|\\.)*"/)) {
            out = out "\"\""; line = substr(line, RLENGTH + 1)
        } else if (c == "\047" && match(line, /^\047([^\047\\]|\\.)+\047/)) {
            out = out "0"; line = substr(line, RLENGTH + 1)
        } else { out = out c; line = substr(line, 2) }
    }
    return out
}
FNR == 1 { in_comment = 0 }
'
