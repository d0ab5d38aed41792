# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# TAP for shell tests: source it, call ok, is, like or skip, end with tap_end.

tap_count=0 tap_failed=0

tap_line() { # STATUS NAME
    tap_count=$((tap_count + 1))
    if [ "$1" = 0 ]; then
        echo "ok $tap_count - $2"
    else
        echo "not ok $tap_count - $2"
        tap_failed=$((tap_failed + 1))
    fi
}

# ok NAME COMMAND...: COMMAND succeeds; what it prints is shown when it does not
ok() {
    local name=$1 output status=0
    shift
    output=$("$@" 2>&1) || status=$?
    tap_line $status "$name"
    if [ $status != 0 ]; then
        echo "#   $* -> exit status $status"
        tail -n 40 <<< "$output" | sed "s/^/#   /"
    fi
    return 0
}

# eventually COMMAND...: COMMAND succeeds within 60 s; its last output and status
eventually() {
    for _ in {1..600}; do
        "$@" > /dev/null 2>&1 && break
        sleep 0.1
    done
    "$@"
}

# is NAME GOT WANTED
is() {
    [ "$2" = "$3" ]
    tap_line $? "$1"
    [ "$2" = "$3" ] || printf '#   got:    %s\n#   wanted: %s\n' "$2" "$3"
}

# like NAME TEXT REGEX
like() {
    [[ $2 =~ $3 ]]
    tap_line $? "$1"
    [[ $2 =~ $3 ]] || { echo "#   no match for: $3"; sed 's/^/#   /' <<< "$2"; }
}

# holds NAME EXPRESSION: an arithmetic expression is true
holds() {
    (($2))
    tap_line $? "$1"
    (($2)) || echo "#   false: $2"
}

skip() { # NAME REASON
    tap_count=$((tap_count + 1))
    echo "ok $tap_count - $1 # SKIP $2"
}

note() { sed 's/^/# /' <<< "$*"; }

tap_end() {
    echo "1..$tap_count"
    [ "$tap_failed" = 0 ]
}
