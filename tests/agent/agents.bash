# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# For tests of two whole agents: source it from the top of the tree, after
# tests/tap.sh.
#
#     tidemark ── bus ─► tidemarkd, sender ── loopback ─► tidemarkd, receiver ◄─ bus ── tidemark
#                             $dir/d0.img ...                 $dir/store
#
# Each agent has a bus of its own, for both want the same name on it. What starts
# processes is not to be called through ok: that runs it in a subshell.

build=${TIDEMARK_BUILD:-build} # TIDEMARK_BUILD=build/san: with sanitizers
bin=$PWD/$build/bin
mkdir -p "$build/agent"
dir=$(mktemp -d "$PWD/$build/agent/XXXXXX")
sender_pid='' receiver_pid='' bus_pids=()

# A sanitizer keeps what was freed, to find who uses it: not so much that memory grows.
export ASAN_OPTIONS=quarantine_size_mb=2

finish() {
    for pid in $sender_pid $receiver_pid "${bus_pids[@]}"; do
        kill -9 "$pid" 2> /dev/null
        wait "$pid" 2> /dev/null
    done
    if grep -aE 'Sanitizer|runtime error' "$dir"/*.log; then
        cat "$dir"/*.log > "$build/sanitizer.log"
        echo "Bail out! a sanitizer has found something: $build/sanitizer.log"
    fi
    [ -n "${TIDEMARK_KEEP:-}" ] || rm -rf "$dir"
}
trap finish EXIT
trap 'exit 1' INT TERM

# A private bus at $dir/NAME.bus: what the system bus denies is denied, and what
# our policy for it allows is allowed. That lets root have the name.
bus_start() { # NAME
    local allow_user=''
    [ "$(id -u)" = 0 ] || allow_user='<policy context="mandatory"><allow own="*"/></policy>'
    cat > "$dir/$1.bus.conf" << END
<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>session</type>
  <listen>unix:path=$dir/$1.bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
  </policy>
  <include>$PWD/agent/bus/org.tidemark.Replication1.conf</include>
  <include ignore_missing="yes">/usr/share/dbus-1/system.d/org.freedesktop.PolicyKit1.conf</include>
  $allow_user
</busconfig>
END
    dbus-daemon --config-file="$dir/$1.bus.conf" --nofork --nopidfile 2> /dev/null &
    bus_pids+=($!)
    for _ in {1..100}; do
        [ -S "$dir/$1.bus" ] && return 0
        sleep 0.05
    done
    return 1
}

# here: the command, asking the sender; there: asking the receiver
here() { "$bin/tidemark" "$@" --bus "unix:path=$dir/sender.bus"; }
there() { "$bin/tidemark" "$@" --bus "unix:path=$dir/receiver.bus"; }

answers() { # here|there
    for _ in {1..100}; do
        "$1" status > /dev/null 2>&1 && return 0
        sleep 0.05
    done
    return 1
}

port=$(python3 -c 'import socket
s = socket.socket()
s.bind(("127.0.0.1", 0))
print(s.getsockname()[1])')

# receiver_configure: one with the certificates of $dir/receiver-tls; further lines of
# [receiver], and sections, come from stdin
receiver_configure() {
    {
        printf '[agent]\nstate_dir = %s\nbus = unix:path=%s\n' "$dir/receiver" "$dir/receiver.bus"
        printf 'tls_dir = %s\n' "$dir/receiver-tls"
        printf '[receiver]\nlisten = 127.0.0.1:%s\nstore = %s\n' "$port" "$dir/store"
        cat
    } > "$dir/receiver.conf"
}

# agent_run receiver|sender: it starts with its configuration as that stands
agent_run() {
    "$bin/tidemarkd" --config "$dir/$1.conf" 2>> "$dir/$1.log" &
    printf -v "$1_pid" %s $!
    if [ "$1" = receiver ]; then answers there; else answers here; fi
}

receiver_run() { agent_run receiver; }

receiver_start() {
    cat > "$dir/receiver.conf" << END
[agent]
state_dir = $dir/receiver
bus = unix:path=$dir/receiver.bus

[receiver]
listen = 127.0.0.1:$port
store = $dir/store
END
    receiver_run
}

# sender_configure DISK...: collection c of disks that nobody writes to; extra
# sections come from stdin if it is no terminal
sender_configure() {
    {
        printf '[agent]\nstate_dir = %s\nbus = unix:path=%s\n' "$dir/sender" "$dir/sender.bus"
        printf '[collection c]\nreplica = 127.0.0.1:%s\ntimeout = 20\n' "$port"
        for disk in "$@"; do
            printf '[disk c/vm/%s]\ndevice = %s/%s.img\ntracking = none\n' \
                "$disk" "$dir" "$disk"
        done
        cat
    } > "$dir/sender.conf"
}

sender_start() { agent_run sender; }

agent_kill() { # sender|receiver SIGNAL
    local pid=${1}_pid
    kill "-$2" "${!pid}" 2> /dev/null
    wait "${!pid}" 2> /dev/null
    printf -v "$pid" ''
}

field() { # NAME: of the JSON document on stdin; a path like jobs.0.state
    python3 -c 'import json, sys
v = json.load(sys.stdin)
for key in sys.argv[1].split("."):
    v = v[int(key) if isinstance(v, list) else key]
print("null" if v is None else v)' "$1"
}

replica_path() { # DISK
    there status --json | python3 -c 'import json, sys
for r in json.load(sys.stdin)["replicas"]:
    if r["disk"] == sys.argv[1]:
        print(r["path"])' "$1"
}

# same FILE PATH: does PATH, opened by QEMU as any user would, read as the raw FILE?
same() {
    local format=raw
    case $2 in *.qcow2) format=qcow2 ;; esac
    [ "$(stat -c %s "$1")" = "$(qemu-img info --output=json -f $format "$2" |
        field virtual-size)" ] || return 1
    qemu-img compare -q -f raw -F $format "$1" "$2"
}

# Is the replica of DISK as FILE? A point may be merged between asking for its
# path and opening it, and be gone: then it is asked once more.
replica_is() { # DISK FILE
    local path
    for _ in {1..20}; do
        path=$(replica_path "$1")
        same "$2" "$path" 2> "$dir/same" && return 0
        [ -e "$path" ] && break
    done
    echo "$1 is not $2: $path: $(cat "$dir/same")"
    return 1
}

# image FILE SIZE SEED: random bytes in about half of its 64 KiB granules
image() {
    python3 -c 'import random, sys
path, size, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
r = random.Random(seed)
with open(path, "wb") as f:
    f.truncate(size)
    for at in range(0, size, 65536):
        if r.random() < 0.5:
            f.seek(at)
            f.write(r.randbytes(min(65536, size - at)))' "$@"
}

# change FILE PERCENT SEED: other bytes in so many of its granules; prints the
# bytes of the granules changed
change() {
    python3 -c 'import os, random, sys
path, percent, seed = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
r = random.Random(seed)
size = os.path.getsize(path)
granules = -(-size // 65536)
changed = 0
with open(path, "r+b") as f:
    for g in r.sample(range(granules), max(1, granules * percent // 100)):
        n = min(65536, size - g * 65536)
        f.seek(g * 65536)
        f.write(r.randbytes(n))
        changed += n
print(changed)' "$@"
}
