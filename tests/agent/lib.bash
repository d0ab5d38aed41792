# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# For tests of the receiver: a folder of its own, receivers in it, scripted
# senders. Source it after tests/tap.sh, from the top of the tree.
#
#   wire-peer ---- loopback TCP ----> receiver-run ----> $dir/store

dir=$(mktemp -d "${TMPDIR:-/tmp}/tidemark-test.XXXXXX")
# shellcheck disable=SC2034 # TIDEMARK_BUILD=build/san: with sanitizers
helpers=${TIDEMARK_BUILD:-build}/helpers
receiver_pid='' receiver_port=''
# shellcheck disable=SC2034 # for those who source this
tracker=00112233445566778899aabbccddeeff

# A sanitizer keeps what was freed, to find who uses it: not so much that memory grows.
export ASAN_OPTIONS=quarantine_size_mb=2

# One after the other, in the reverse order: "at_end COMMAND"
ends=()
at_end() { ends=("$*" "${ends[@]}"); }
finish() {
    local command
    for command in "${ends[@]}"; do eval "$command"; done
    if grep -aE 'Sanitizer|runtime error' "$dir/log" 2> /dev/null; then
        cp "$dir/log" "${TIDEMARK_BUILD:-build}/sanitizer.log"
        echo "Bail out! a sanitizer has found something: build/san/sanitizer.log"
    fi
    rm -rf "$dir"
}
trap finish EXIT
at_end receiver_stop

# receiver_start [OPTION VALUE]...: a receiver on $dir/store
# shellcheck disable=SC2120
receiver_start() {
    rm -f "$dir/port"
    "$helpers"/receiver-run --port-file "$dir/port" "$@" "$dir/store" \
        >> "$dir/status" 2>> "$dir/log" &
    receiver_pid=$!
    for _ in {1..100}; do
        [ -s "$dir/port" ] && { receiver_port=$(cat "$dir/port"); return 0; }
        kill -0 "$receiver_pid" 2> /dev/null || break
        sleep 0.05
    done
    receiver_pid=''
    return 1
}

receiver_stop() {
    [ -n "$receiver_pid" ] || return 0
    kill "$receiver_pid" 2> /dev/null
    wait "$receiver_pid" 2> /dev/null
    receiver_pid=''
}

# The answer in $dir/status, once it is whole
receiver_answer() {
    for _ in {1..250}; do
        grep -qx end "$dir/status" && break
        sleep 0.02
    done
    grep -vx end "$dir/status"
}

# What receiver_status() says, one line for each replica
receiver_status() {
    : > "$dir/status"
    kill -USR1 "$receiver_pid"
    receiver_answer
}

# Does its status say so? For `eventually`: it may be asked too early.
receiver_says() { receiver_status | grep -Eq "$1"; }

# points VERB COLLECTION [NUMBER]: ask a receiver that was started with --commands
# "$dir/commands"; what it answers
points() {
    : > "$dir/status"
    timeout 5 bash -c 'echo "$1" > "$2"' - "$*" "$dir/commands"
    receiver_answer
}

# Until no point is an overlay any more
receiver_settled() {
    for _ in {1..100}; do
        compgen -G "$dir/store/*/*/*/point-*.qcow2" > /dev/null || return 0
        sleep 0.05
    done
    return 1
}

# peer: the script on stdin
peer() { timeout 60 "$helpers"/wire-peer "$receiver_port"; }

# make_image FILE SIZE GRANULE SEED: random data in 60 % of the granules
# change_image OLD NEW GRANULE SEED: 10 % rewritten, 5 % zeroed, and the last sector
make_image() { python3 tests/agent/image.py make "$@"; }
change_image() { python3 tests/agent/image.py change "$@"; }
