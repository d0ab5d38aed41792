#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Memory: a point whose granules lie scattered over all of a large disk costs a side no
# more than any other. 2048 tables of 64 KiB have a part in this one.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
helpers=build/helpers # a sanitizer has memory of its own
dir=$(mktemp -d "$PWD/build/memory-XXXXXX")
trap 'kill "$receiver" 2> /dev/null; rm -rf "$dir"' EXIT

truncate -s 1G "$dir/source"
echo "0 65536" > "$dir/list"
$helpers/receiver-run --port-file "$dir/port" "$dir/store" > "$dir/log" 2>&1 &
receiver=$!
for ((i = 0; i < 600; i++)); do [ -s "$dir/port" ] && break; sleep 0.1; done
port=$(cat "$dir/port")
ok "a first copy of 1 GiB" $helpers/send-bits "$port" "$dir/source" "$dir/list" 1

if ! truncate -s 1T "$dir/source" || ! truncate -s 1T "$dir/probe"; then
    skip "1 TiB" "the file system holds no file of that size"
    tap_end
    exit
fi
python3 - "$dir/source" > "$dir/list" << 'E2'
import sys
with open(sys.argv[1], "r+b") as f:
    for i in range(2048):
        at = (i << 29) + ((i * 7919) % 8192 << 16)
        f.seek(at)
        f.write(b"%016d" % i)
        print(at, 65536)
E2
ok "a point of 2048 granules, one in each 512 MiB of 1 TiB" \
    $helpers/send-bits "$port" "$dir/source" "$dir/list" 2
for ((i = 0; i < 600; i++)); do compgen -G "$dir/store/*/*/*/point-*" > /dev/null || break; sleep 0.1; done
peak=$(awk '/^VmHWM/ { print $2 }' "/proc/$receiver/status")
holds "the receiver has had $peak KiB in memory, 32 MiB at most" "$peak <= 32 * 1024"
ok "every granule of them is there" python3 - "$dir/source" "$dir"/store/*/*/*/replica.raw "$dir/list" << 'E2'
import sys
with open(sys.argv[1], "rb") as a, open(sys.argv[2], "rb") as b, open(sys.argv[3]) as l:
    for line in l:
        at, n = map(int, line.split())
        a.seek(at)
        b.seek(at)
        assert a.read(n) == b.read(n), at
E2
tap_end
