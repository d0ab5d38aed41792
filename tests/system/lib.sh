# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# For the system tests: a guest with tracked disks and a sending agent inside,
# a receiving agent on this machine, both steered from here.
#
#     guest (QEMU, real Debian kernel)               this machine
#     /dev/vda ─► d0 ─┐                              tidemarkd, receiver
#     /dev/vdb ─► d1 ─┴─ tidemarkd ── 10.0.2.2 ────► 127.0.0.1:$port
#                        remote-shell ◄───────────── 127.0.0.1:$shell_port
#
# The guest's disks are raw files here ($work/d0.img ...), so that this side can
# compare every byte while the guest is quiet.

. "$(dirname "${BASH_SOURCE[0]}")/../tap.sh"
top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$top" || exit 1
bin=$top/build/bin
mkdir -p build/system
work=$(mktemp -d "$top/build/system/XXXXXX")
disk_options='' guest_job='' guest_pid_file=$work/guest.pid bus_pid='' receiver_pid=''

cleanup() {
    [ -z "$guest_job" ] || guest_kill
    for pid in $receiver_pid $bus_pid; do
        kill -9 "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
    [ -n "${TIDEMARK_KEEP:-}" ] || rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 1' INT TERM

free_port() {
    python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}
port=$(free_port)
shell_port=$(free_port)
export TIDEMARK_BUS_ADDRESS=unix:path=$work/bus

# -- the receiver -------------------------------------------------------------

receiver_configure() {
    tests/system/bus "$work/bus" &
    bus_pid=$!
    for _ in $(seq 100); do [ -S "$work/bus" ] && break; sleep 0.1; done
    mkdir -p "$work/state" "$work/store"
    cat > "$work/receiver.conf" <<END
[agent]
state_dir = $work/state
bus = $TIDEMARK_BUS_ADDRESS

[receiver]
listen = 127.0.0.1:$port
store = $work/store
END
}

receiver_start() {
    [ -n "$bus_pid" ] || receiver_configure
    "$bin/tidemarkd" --config "$work/receiver.conf" >> "$work/receiver.log" 2>&1 &
    receiver_pid=$!
    for _ in $(seq 100); do
        "$bin/tidemark" status > /dev/null 2>&1 && return 0
        sleep 0.1
    done
    echo "# the receiver does not answer"; tail -n 20 "$work/receiver.log"
    return 1
}

receiver_kill() { # SIGNAL
    kill "-$1" "$receiver_pid" 2>/dev/null || true
    wait "$receiver_pid" 2>/dev/null || true
    receiver_pid=''
}

# The file that holds replica c/vm/DISK now, as the agent says.
replica_path() { # DISK
    "$bin/tidemark" status --json | python3 -c '
import json, sys
for r in json.load(sys.stdin)["replicas"]:
    if r["disk"] == sys.argv[1]:
        print(r["path"])' "$1"
}

# Does replica DISK read as the raw image FILE? Of a raw replica every byte is
# compared; an overlay is checked and opened by QEMU's own tools, as a user would.
# A merge that ends meanwhile takes the overlay away: then it is asked for again.
replica_is() { # DISK FILE
    local path try
    for try in 1 2 3 4 5; do
        path=$(replica_path "$1")
        [ "$try" -lt 5 ] || break
        replica_at "$path" "$2" && return 0
        [ "$path" != "$(replica_path "$1")" ] || return 1
    done
    replica_at "$path" "$2"
}

replica_at() { # PATH FILE
    local path=$1
    shift
    case $path in
    '') echo "no replica"; return 1 ;;
    *.qcow2)
        qemu-img check -q "$path" && qemu-img compare -q -f raw -F qcow2 "$1" "$path" &&
            [ "$(qemu-img info --output=json "$path" | sed -n 's/.*"virtual-size": \([0-9]*\).*/\1/p')" = \
              "$(stat -c %s "$1")" ]
        ;;
    *) cmp "$1" "$path" ;;
    esac
}

# -- the guest ----------------------------------------------------------------

# Boots in the background and returns when the agent inside answers.
guest_start() { # KERNEL GRANULE NDISKS [RIG OPTION]...
    local kernel=$1 granule=$2 count=$3 disks=() devices=() letters=abcdefgh i
    shift 3
    for ((i = 0; i < count; i++)); do
        disks+=(--disk "$work/d$i.img$disk_options")
        devices+=("/dev/vd${letters:i:1}")
    done
    # With m0.img, m1.img, ... these are the metadata devices of d0, d1, ...
    for ((i = 0; i < count; i++)); do
        [ -e "$work/m$i.img" ] || continue
        devices[i]+=+/dev/vd${letters:${#disks[@]} / 2:1}
        disks+=(--disk "$work/m$i.img")
    done
    : > "$work/guest.out"
    tests/guest/run --kernel "$kernel" --net user --fwd "$shell_port:2000" --timeout 3000 \
        --pidfile "$guest_pid_file" --name "system-$(basename "$work")" "${disks[@]}" "$@" -- \
        tests/system/guest-setup.sh "$port" "$granule" "${devices[@]}" \
        >> "$work/guest.out" 2>&1 &
    guest_job=$!
    for _ in $(seq 600); do
        grep -q '^READY' "$work/guest.out" && return 0
        kill -0 "$guest_job" 2>/dev/null || break
        sleep 0.2
    done
    echo "# the guest did not come up:"; sed 's/^/# /' "$work/guest.out"
    return 1
}

# Runs commands in the guest; their output, and their exit status.
guest() { # COMMAND...
    local output status
    exec 9<> "/dev/tcp/127.0.0.1/$shell_port" || return 255
    printf '{ %s\n} < /dev/null\necho "EXIT $?"\nexit\n' "$*" >&9
    output=$(cat <&9)
    exec 9>&-
    status=$(sed -n 's/^EXIT \([0-9]*\)$/\1/p' <<< "$output" | tail -n 1)
    sed '/^EXIT [0-9]*$/d' <<< "$output"
    return "${status:-255}"
}

# The guest ends as if its power was cut.
guest_kill() {
    kill -9 "$(cat "$guest_pid_file" 2>/dev/null)" 2>/dev/null || true
    wait "$guest_job" 2>/dev/null || true
    guest_job=''
}
