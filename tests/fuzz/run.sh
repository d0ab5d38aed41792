#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Builds the fuzzers with clang's libFuzzer, ASan and UBSan, and runs each for
# some seconds on a small corpus that is made here.
#
# tests/fuzz/run.sh [SECONDS [NAME]]: all of them, or the fuzzer NAME
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
seconds=${1:-20} only=${2:-}
out=build/fuzz
mkdir -p $out

# shellcheck disable=SC2054 # the commas are for clang
flags=(-D_GNU_SOURCE '-DTIDEMARK_VERSION=""' -Iagent -Itools -Imodule/uapi -std=gnu11 -O1 -g -fno-omit-frame-pointer
    -fsanitize=fuzzer,address,undefined -fno-sanitize-recover=undefined)
if ! echo 'int LLVMFuzzerTestOneInput(const char *d, long n) { return 0; }' |
    clang "${flags[@]}" -xc - -o $out/probe 2> /dev/null; then
    skip "fuzzing" "clang or its libFuzzer (libclang-rt-14-dev) is not installed"
    tap_end
    exit
fi

# What stands in $words goes into the fuzzer's dictionary.
words=''
fuzz() { # NAME MAX_LEN SOURCES AND LIBRARIES...
    local name=$1 length=$2 status=0
    shift 2
    [ -z "$only" ] || [ "$only" = "$name" ] || return 0
    mkdir -p "$out/corpus-$name"
    printf '%s\n' "$words" > "$out/$name.dict"
    ok "$name: builds" clang "${flags[@]}" -o "$out/$name" "tests/fuzz/$name.c" "$@"
    # What it finds new is kept, so that the next run begins there.
    "$out/$name" -max_total_time="$seconds" -max_len="$length" -timeout=5 -rss_limit_mb=1024 -dict="$out/$name.dict" \
        -artifact_prefix="$out/$name-" "$out/corpus-$name" > "$out/$name.log" 2>&1 || status=$?
    # "#4711  DONE   cov: 815 ft: ..." and "Done 4711 runs in 61 second(s)"
    is "$name: $(sed -n 's/^Done \([0-9]*\) runs.*/\1/p' "$out/$name.log") inputs,$(
        sed -n 's/.*DONE *cov: \([0-9]*\).*/ \1/p' "$out/$name.log") edges covered, nothing found" \
        $status 0
    [ $status = 0 ] || tail -n 40 "$out/$name.log" | sed 's/^/# /'
}

mkdir -p $out/corpus-fuzz-session $out/corpus-fuzz-reader
python3 tests/fuzz/corpus.py $out/corpus-fuzz-session
head -c 100000 /dev/zero > $out/base
for i in 1 2 3; do
    build/helpers/overlay-make $out/base $out/corpus-fuzz-reader/seed-$i $out/flat \
        299520 4096 $i $((i * 3)) $((1 << 20)) > /dev/null 2>&1
done
fuzz fuzz-session 8192 agent/wire/session.c agent/wire/frame.c agent/wire/payload.c \
    agent/wire/pack.c agent/base/name.c -lxxhash -lzstd -llz4
fuzz fuzz-reader 400000 agent/point/reader.c agent/base/reason.c agent/base/text.c

# The words of the configuration, and files of them; what the parser calls comes
# from the library, without instruments.
words=$(grep -ohE '"[a-z_]+"' agent/config/*.c | sort -u)
mkdir -p $out/corpus-fuzz-config $out/corpus-fuzz-trackers
python3 tests/fuzz/config-corpus.py $out/corpus-fuzz-config $out/corpus-fuzz-trackers
fuzz fuzz-config 4096 agent/config/*.c agent/base/*.c build/libagent.a build/lib/libtidemark.a \
    -linih -ljson-c -lssl -lcrypto -lsystemd -luring -lxxhash -lzstd -llz4 -lsqlite3 -lblkid -ldevmapper -lnl-genl-3 -lnl-3
words=$(printf '"%s"\n' granule= read-only /dev/ " - " 4096K)
fuzz fuzz-trackers 1024
tap_end
