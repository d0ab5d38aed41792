#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# In a guest: what a run reaches over a link of 100 Mbit/s and 50 ms, beside iperf3.
#
#   namespace near                          namespace far
#     send-bits, iperf3 -c, rsync             receiver-run, iperf3 -s, rsyncd
#     10.9.0.1  veth ==== netem each way ==== veth  10.9.0.2
#
# Prints lines "LINK TOOL ROUND MBIT BUSY" for netem.sh: the image's bits in each
# second of the whole run, and how much of the guest's processors was taken, in percent.
# Each run must end with status 0 and an identical replica.
#
# netem-guest.sh LINK:MIB:ROUNDS...      LINK: clean, lossy (0.1 %)
set -eu
read -r disk _ <<< "$TIDEMARK_DISKS"
work=/mnt far=10.9.0.2
helpers=/tidemark/helpers
servers=()

mkfs.ext4 -qF "$disk"
mount "$disk" $work
modprobe -a veth sch_netem

die() { echo "netem-guest: $*" >&2; exit 1; }
far() { ip netns exec far "$@"; }
near() { ip netns exec near "$@"; }

# Packets as on a cable: a loss is that of one packet, not of 64 KiB that the
# stack hands on as one.
lay_cable() {
    local side
    ip netns add near
    ip netns add far
    ip link add near netns near gso_max_segs 1 type veth peer name far netns far
    far ip link set far gso_max_segs 1
    near ip addr add 10.9.0.1/24 dev near
    far ip addr add $far/24 dev far
    for side in near far; do
        ip netns exec $side ip link set lo up
        ip netns exec $side ip link set $side up
    done
}

link_is() { # clean|lossy
    local side loss=()
    [ "$1" = clean ] || loss=(loss 0.1%)
    for side in near far; do
        ip netns exec $side tc qdisc replace dev $side root netem delay 25ms rate 100mbit "${loss[@]}"
    done
}

# Nothing of the run before is left for the next: no route, no window.
forget() { near ip tcp_metrics flush; far ip tcp_metrics flush; }

wait_for() { # WHAT CONDITION...
    local what=$1 tries=600
    shift
    until "$@"; do
        tries=$((tries - 1))
        [ "$tries" -gt 0 ] || die "waited in vain for $what"
        sleep 0.1
    done
}

listens() { far ss -Hltn "sport = :$1" | grep -q .; }

serve() { # PORT COMMAND...
    local port=$1
    shift
    ip netns exec far "$@" > "$work/served" 2>&1 &
    servers+=($!)
    wait_for "$1" listens "$port"
}

busy() { awk '/^cpu / { idle = $5 + $6; for (i = 2; i <= 8; i++) all += $i; print all - idle, all }' /proc/stat; }

# -- the tools: each gives seconds, or nothing and a status -----------------------

clock() { # COMMAND...: seconds that it took
    local from=$EPOCHREALTIME
    "$@" > "$work/said" 2>&1 || { cat "$work/said" >&2; return 1; }
    awk -v a="$from" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }'
}

iperf3() { # STREAMS: the rate that its receiver has seen
    near timeout 600 iperf3 -c $far -P "$1" -n $((bytes / $1)) -J > "$work/json" ||
        die "iperf3: $(head -c 400 "$work/json")"
    sqlite3 :memory: "select $bytes * 8 / json_extract(readfile('$work/json'),
        '\$.end.sum_received.bits_per_second')"
}

no_points() { [ -z "$(find "$work/store" -name 'point-*.qcow2')" ]; }

tidemark() { # plain|tls: a run of everything, to where nothing is yet
    local tls=() client=() server seconds
    if [ "$1" = tls ]; then
        tls=(--tls-dir "$work/server" --peer bench)
        client=("$work/client")
    fi
    rm -rf "$work/store"
    ip netns exec far $helpers/receiver-run --host $far --port 7000 "${tls[@]}" "$work/store" \
        > "$work/receiver" 2>&1 &
    server=$!
    wait_for "the receiver" listens 7000
    seconds=$(clock near $helpers/send-bits --host $far 7000 "$work/image" "$work/list" 1 "${client[@]}") ||
        die "the run failed: $(cat "$work/receiver")"
    wait_for "the merge" no_points
    kill $server
    wait $server || die "the receiver ended with $?"
    cmp "$work/image" "$work"/store/bench/vm/vda/replica.raw || die "the replica is not identical"
    echo "$seconds"
}

rsync() {
    rm -f "$work/copy/image"
    clock near timeout 600 rsync --whole-file --inplace "$work/image" rsync://$far/copy/
    cmp "$work/image" "$work/copy/image"
}

tool() {
    case $1 in
    iperf3) iperf3 1 ;;
    tidemark) tidemark plain ;;
    tidemark-tls) tidemark tls ;;
    rsync) rsync ;;
    esac
}

# -- rounds ---------------------------------------------------------------------------

measure() { # LINK MIB ROUNDS
    local link=$1 bytes=$(($2 << 20)) round name seconds before
    head -c $bytes /dev/urandom > "$work/image"
    echo "0 $bytes" > "$work/list"
    link_is "$link"
    for round in $(seq "$3"); do
        for name in "${tools[@]}"; do
            forget
            sync
            before=$(busy)
            seconds=$(tool "$name") || exit 1
            awk -v link="$link" -v name="$name" -v round="$round" -v bits=$((bytes * 8)) \
                -v s="$seconds" -v before="$before" -v after="$(busy)" 'BEGIN {
                split(before, b); split(after, a)
                printf "%s %s %d %.1f %d\n", link, name, round, bits / s / 1e6,
                    100 * (a[1] - b[1]) / (a[2] - b[2])
            }'
        done
    done
}

pki() { /tidemark/bin/tidemark pki "$@" -d "$work/ca" > /dev/null 2>&1; }

lay_cable
tools=(tidemark)
pki init bench && pki server $far -o "$work/server" && pki client bench -o "$work/client"
tools+=(tidemark-tls)
if type -P iperf3 > /dev/null; then
    serve 5201 iperf3 -s
    tools+=(iperf3)
fi
if type -P rsync > /dev/null; then
    mkdir -p "$work/copy"
    printf 'use chroot = no\n[copy]\npath = %s\nread only = no\nuid = 0\ngid = 0\n' \
        "$work/copy" > "$work/rsyncd.conf"
    serve 873 rsync --daemon --no-detach --config="$work/rsyncd.conf"
    tools+=(rsync)
fi
echo "with $(cat /proc/sys/net/ipv4/tcp_congestion_control) $(uname -r)"
for row; do
    IFS=: read -r link mib rounds <<< "$row"
    measure "$link" "$mib" "$rounds"
done
if [ "${#servers[@]}" -gt 0 ]; then
    kill "${servers[@]}"
    wait "${servers[@]}" || true # they end by the signal
fi
umount $work
