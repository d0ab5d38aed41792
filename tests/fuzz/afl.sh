#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The fuzzers of frames and sessions once more, by AFL++: another way to find inputs,
# on the same corpus and the same code. tests/fuzz/afl.sh [SECONDS [NAME]]
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
seconds=${1:-60} only=${2:-}
out=$PWD/build/fuzz/afl
mkdir -p "$out"

# A machine that is shared: neither its governor nor its core pattern is ours to set, and
# a crash is seen without the latter, by the sanitizer's exit.
export AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES=1 AFL_SKIP_CPUFREQ=1 AFL_NO_AFFINITY=1 AFL_NO_UI=1
export AFL_USE_ASAN=1 AFL_USE_UBSAN=1 AFL_QUIET=1

if ! command -v afl-clang-fast > /dev/null; then
    skip "AFL++" "it is not installed (afl++)"
    tap_end
    exit
fi

stat_of() { sed -n "s/^$2 *: *//p" "$out/$1/default/fuzzer_stats"; }

fuzz() { # NAME SOURCES AND LIBRARIES...
    local name=$1
    shift
    [ -z "$only" ] || [ "$only" = "$name" ] || return 0
    ok "$name: builds" afl-clang-fast -D_GNU_SOURCE -Iagent -Imodule/uapi -std=gnu11 -O1 -g \
        -fsanitize=fuzzer -o "$out/$name.bin" "tests/fuzz/$name.c" "$@"
    rm -rf "${out:?}/$name"
    afl-fuzz -V "$seconds" -t 20000 -m none -i "$out/corpus-$name" -o "$out/$name" \
        -- "$out/$name.bin" > "$out/$name.log" 2>&1
    is "$name: it has run" $? 0
    [ -f "$out/$name/default/fuzzer_stats" ] || { tail -n 20 "$out/$name.log" | sed 's/^/# /'; return; }
    is "$name: $(stat_of "$name" execs_done) inputs, $(stat_of "$name" bitmap_cvg) of the code's edges, no crash" \
        "$(stat_of "$name" saved_crashes)" 0
    is "$name: and none that takes for ever" "$(stat_of "$name" saved_hangs)" 0
}

mkdir -p "$out/corpus-fuzz-session"
python3 tests/fuzz/corpus.py "$out/corpus-fuzz-session"
fuzz fuzz-session agent/wire/session.c agent/wire/frame.c agent/wire/payload.c \
    agent/wire/pack.c agent/base/name.c -lxxhash -lzstd -llz4
tap_end
