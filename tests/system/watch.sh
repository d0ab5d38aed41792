#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# watch.sh KERNEL: what happens to a disk under the agent is noticed at once, said,
# and answered by the next run with a refusal or a comparison; never by silence.
# A tracker that is detached, a table that is exchanged by somebody (as lvextend
# does), a disk that shrinks and grows, events that were lost. The replica ends
# identical each time.
set -u
kernel=$1
. "$(dirname "$0")/lib.sh"

# Does the agent's log say so, from line $from on? It is waited for.
says() { # PATTERN
    for _ in $(seq 100); do
        guest "tail -n +$from /tmp/tidemarkd.log" | grep -aq "$1" && return 0
        sleep 0.1
    done
    guest "tail -n +$from /tmp/tidemarkd.log"
    return 1
}
from_here() { from=$(($(guest 'wc -l < /tmp/tidemarkd.log') + 1)); }
sent() { python3 -c 'import json, sys; print(json.load(sys.stdin)["bytes_sent"])'; }
status_says() { guest 'tidemark status --json' | grep -q "$1"; }

truncate -s 64M "$work/d0.img"
truncate -s 16M "$work/d1.img"
receiver_start || exit 1
guest_start "$kernel" 64K 2 || exit 1
guest 'scribble /dev/mapper/d0 1 40 65536; scribble /dev/mapper/d1 1 10 65536' > /dev/null
ok "a first run" guest 'tidemark resync c --wait'

# -- detached and attached anew: nothing is known of what was written between -----
from_here
guest 'tidemark detach d0'
ok "a detach is said at once" says '/dev/mapper/d0 .*\(tracked\|looked at\) any more'
ok "and the status shows it" status_says 'not tracked\|there is no'
guest 'tidemark resync c --wait' > "$work/out" 2>&1
ok "a run is refused, or does without its VM" test $? -ne 0
like "with the reason" "$(cat "$work/out")" 'd0.*(not tracked|there is no)'
from_here
guest 'dd if=/dev/urandom of=/dev/vda bs=64K count=3 seek=100 oflag=direct status=none'
guest 'tidemark attach /dev/vda --name d0'
ok "the attach is said" says '/dev/mapper/d0 has another tracker'
run=$(guest 'tidemark resync c --wait --json --no-progress')
is "the next run succeeds" $? 0
is "it compares: what the new tracker has not seen is sent, and no more" \
    "$(sent <<< "$run")" $((3 * 65536))
ok "what was written behind its back is there" replica_is d0 "$work/d0.img"

# -- somebody exchanges the table, as lvextend does --------------------------------
from_here
guest 'n=$(blockdev --getsz /dev/mapper/d0)
dmsetup load d0 --table "0 $n linear /dev/vda 0" && dmsetup --noudevsync resume d0'
ok "a dropped tracker is said at once" says '/dev/mapper/d0 is not tracked any more'
guest 'dd if=/dev/urandom of=/dev/mapper/d0 bs=64K count=2 seek=200 oflag=direct status=none'
guest "tidemark resync c --wait" > "$work/out" 2>&1
ok "a run without it is refused" test $? -ne 0
from_here
guest 'tidemark attach /dev/mapper/d0'
ok "its return is said" says '/dev/mapper/d0 has another tracker'
run=$(guest 'tidemark resync c --wait --json --no-progress')
is "the next run succeeds" $? 0
is "it compares" "$(sent <<< "$run")" $((2 * 65536))
ok "identical" replica_is d0 "$work/d0.img"

# -- resized under the agent ---------------------------------------------------------
from_here
guest 't=$(dmsetup table d0); n=$(blockdev --getsz /dev/mapper/d0); set -- $t
shift 2
dmsetup load d0 --table "0 $((n - 2048)) $*" && dmsetup --noudevsync suspend d0 &&
dmsetup --noudevsync resume d0'
ok "another size is said at once" says '/dev/mapper/d0 has 66060288 bytes'
run=$(guest 'tidemark resync c --wait --json --no-progress')
is "the next run succeeds" $? 0
is "nothing is sent of a disk that has only shrunk" "$(sent <<< "$run")" 0
ok "identical" cmp -n 66060288 "$work/d0.img" "$(replica_path d0)"

# -- events are lost -------------------------------------------------------------------
# A socket with room for a few events only, and an agent that does not take them: what
# happens to d1 comes when there is no room any more. The regular look at all disks
# is a minute after the start; it is not what is waited for here.
from_here
guest 'kill "$(cat /tmp/tidemarkd.pid)"
while kill -0 "$(cat /tmp/tidemarkd.pid)" 2> /dev/null; do sleep 0.1; done
echo 2304 > /proc/sys/net/core/rmem_max
/tmp/agent-start'
ok "an agent with a small socket" test $? = 0
guest 'kill -STOP "$(cat /tmp/tidemarkd.pid)"
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
    dmsetup --noudevsync create flood --table "0 2048 linear /dev/vda 0"
    tidemark attach /dev/mapper/flood > /dev/null && tidemark detach /dev/mapper/flood
    dmsetup --noudevsync remove --retry flood
done
tidemark detach d1 && dd if=/dev/urandom of=/dev/vdb bs=64K count=3 seek=100 oflag=direct status=none &&
    tidemark attach /dev/vdb --name d1
kill -CONT "$(cat /tmp/tidemarkd.pid)"' > "$work/out" 2>&1
ok "stopped, while much happens" test $? = 0
ok "the loss is noticed and said" says 'events of the kernel were lost'
ok "so is what was lost" says '/dev/mapper/d1 has another tracker'
run=$(guest 'tidemark resync c --wait --json --no-progress')
is "the next run succeeds" $? 0
is "it compares" "$(sent <<< "$run")" $((3 * 65536))
ok "identical" replica_is d1 "$work/d1.img"
guest_kill
receiver_kill TERM
tap_end
