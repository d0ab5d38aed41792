#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# The agent with many collections: how long until it answers, how much memory it
# takes, what a status costs, and how long calls take while a job runs.
#
# tests/bench/service.sh [COLLECTIONS [DISKS]]
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/agent/agents.bash
collections=${1:-1000} disks=${2:-4}

truncate -s 64M "$dir/disk.img"
image "$dir/busy.img" $((64 << 20)) 1
{
    printf '[agent]\nstate_dir = %s/sender\nbus = unix:path=%s/sender.bus\n' "$dir" "$dir"
    for ((c = 0; c < collections; c++)); do
        printf '[collection c%d]\nreplica = 127.0.0.1:%d\n' "$c" "$port"
        for ((d = 0; d < disks; d++)); do
            printf '[disk c%d/v%d/d%d]\ndevice = %s\ntracking = none\n' "$c" "$c" "$d" \
                "$dir/disk.img"
        done
    done
    printf '[collection busy]\nreplica = 127.0.0.1:%d\nrate_limit = 1M\n' "$port"
    printf '[disk busy/busy/d]\ndevice = %s/busy.img\ntracking = none\n' "$dir"
} > "$dir/sender.conf"

now() { date +%s%N; }
ms() { echo "$((($(now) - $1) / 1000000)) ms"; }
memory() { awk '/^VmRSS/ { print $2 / 1024 " MiB" }' "/proc/$sender_pid/status"; }

bus_start sender
bus_start receiver
receiver_start
begun=$(now)
sender_start || answers here || answers here
echo "$collections collections of $disks disks"
echo "first start, until it answers: $(ms "$begun")"
echo "memory then: $(memory)"
agent_kill sender TERM
begun=$(now)
sender_start || answers here || answers here
echo "second start: $(ms "$begun")"
begun=$(now)
here status --json > "$dir/status.json"
echo "status of all, by the command: $(ms "$begun"), $(stat -c %s "$dir/status.json") bytes"
echo "memory then: $(memory)"

here resync busy > /dev/null
python3 - "$dir/sender.bus" << 'END'
import statistics, subprocess, sys, time

base = ["busctl", "--address=unix:path=" + sys.argv[1]]
name, path = "org.tidemark.Replication1", "/org/tidemark/Replication1"


def call(*words):
    begun = time.monotonic()
    subprocess.run(base + list(words), check=True, stdout=subprocess.DEVNULL)
    return (time.monotonic() - begun) * 1000


# What busctl itself takes is measured by asking the bus.
empty = [call("call", "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus",
              "GetId") for _ in range(40)]
asked = [call("get-property", name, path + f"/Collection/c{i * 7}",
              name + ".Collection", "ReplicationState") for i in range(100)]
method = [call("call", name, path, name + ".Service", "ResetReplicationStatistics", "sa{sv}",
               f"c{i * 5}", "0") for i in range(100)]
floor = statistics.median(empty)
print(f"while a job runs, a property: {statistics.median(asked) - floor:.1f} ms at the median, "
      f"{max(asked) - floor:.1f} at most (busctl itself: {floor:.1f})")
print(f"a method that writes: {statistics.median(method) - floor:.1f} ms at the median, "
      f"{max(method) - floor:.1f} at most")
END
