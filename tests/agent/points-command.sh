#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# "tidemark points" over two agents: list, show, verify, delete, and what is refused.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/agent/agents.bash
. tests/agent/agents.bash

bus_start sender
bus_start receiver
image "$dir/d0.img" $((2 << 20)) 1
sender_configure d0 < /dev/null
mkdir "$dir/receiver.conf.d"
printf '[receiver]\nhistory = 3\n' > "$dir/receiver.conf.d/history.conf"
receiver_start
sender_start
for n in 1 2 3 4 5; do
    here resync c --wait --no-progress > /dev/null 2>&1
    cp "$dir/d0.img" "$dir/at$n.img"
    change "$dir/d0.img" 10 "$n" > /dev/null
done
numbers() { there points list c --noheadings --output POINT | tr -d ' ' | tr '\n' ' '; }
is "three further points are kept" "$(numbers)" "2 3 4 5 "
like "a table" "$(there points list c)" 'POINT +CREATED +CONSISTENCY.* 5 +20.*crash.*newest'
document=$(there points list c --json)
is "JSON" "$(field points.0.point <<< "$document") $(field schema <<< "$document")" "2 tidemark/1"
for n in 2 3 4 5; do
    path=$(there points show c $n --noheadings --output PATH | tr -d ' ')
    ok "point $n is what it was" same "$dir/at$n.img" "$path"
done
holds "a point that is an overlay takes space" \
    "$(there points list c --json | field points.1.space) > 65536"
like "verified for the first time" "$(there points verify c 3)" 'digests of 1 disks were recorded'
like "verified again" "$(there points verify c 3)" 'all of it is what it was'
like "the digest is shown" "$(there points show c 3)" '[0-9a-f]{32}'
there points delete c 3
is "deleted" "$(numbers)" "2 4 5 "
like "what is verified after it" "$(there points verify c 4; there points verify c 4)" 'what it was'
refused() { # CODE REGEX ARGUMENT...
    local code=$1 regex=$2 out status=0
    shift 2
    out=$(there points "$@" 2>&1) || status=$?
    is "points $*: exit code" $status "$code"
    like "points $*: why" "$out" "$regex"
}
refused 9 'is the newest' delete c 5
refused 3 'has no point 9' delete c 9
refused 3 'no replica of a collection none' list none
refused 2 'no number of a point' delete c x
refused 2 'which point' delete c
out=$(here points list c 2>&1)
is "a host that receives nothing: exit code" $? 5
like "a host that receives nothing: why" "$out" 'receives nothing'
path=$(there points show c 4 --noheadings --output PATH | tr -d ' ')
printf x | dd of="$path" bs=1 seek=70000 conv=notrunc status=none
refused 1 'vm/d0 at point 4: its bytes are not what they were' verify c 4
tap_end
