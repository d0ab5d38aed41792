#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What a run reaches over a link of 100 Mbit/s and 50 ms, beside iperf3. As root.
#
#   namespace near                          namespace far
#     send-bits, iperf3 -c, rsync             receiver-run, iperf3 -s, rsyncd
#     10.9.0.1  ========= the link each way =========  10.9.0.2
#
# The link is netem between two veth where the kernel has it, else the helper link.
# Prints lines "LINK TOOL ROUND MBIT BUSY" for netem.sh: the image's bits in each
# second of the whole run, and how much of the machine's processors was taken, in percent.
# Each run must end with status 0 and an identical replica.
#
# netem-run.sh DIRECTORY LINK:MIB:ROUNDS[:CONGESTION]...
#     LINK: clean; lossy: 0.1 % at random; even: each 1000th packet, by the helper link alone
#     CONGESTION: cubic, bbr, ...: else what the kernel has chosen
set -eu
work=$1 far=10.9.0.2
shift
helpers=build/helpers
net=/proc/sys/net/ipv4
allowed=$(cat $net/tcp_allowed_congestion_control)
near_ns=tidemark-near-$$ far_ns=tidemark-far-$$
servers=()
link_pid=

die() { echo "netem-run: $*" >&2; exit 1; }
far() { ip netns exec "$far_ns" "$@"; }
near() { ip netns exec "$near_ns" "$@"; }

clear_up() {
    kill ${link_pid:+"$link_pid"} ${servers[@]+"${servers[@]}"} 2> /dev/null || true
    wait
    ip netns del "$near_ns"
    ip netns del "$far_ns"
    echo "$allowed" > $net/tcp_allowed_congestion_control
}

has_netem() { far tc qdisc replace dev lo root netem delay 1ms 2> /dev/null && far tc qdisc del dev lo root; }

# Packets as on a cable: a loss is that of one packet, not of 64 KiB that the
# stack hands on as one. A tun device has no such packets.
lay_netem() { # LOSS
    local side
    ip link add cable netns "$near_ns" gso_max_segs 1 type veth peer name cable netns "$far_ns"
    far ip link set cable gso_max_segs 1
    for side in near far; do
        $side tc qdisc replace dev cable root netem delay 25ms rate 100mbit loss "$1"
    done
}

lay_link() { # LOSS
    exec 3< <(exec $helpers/link 25 100 "${1%\%}" "$near_ns" "$far_ns")
    link_pid=$!
    read -r <&3 || die "no link"
}

link_is() { # clean|lossy|even
    local loss=0%
    [ "$1" = clean ] || loss=0.1%
    [ "$1" != even ] || loss=0.1even
    near ip link del cable 2> /dev/null || true
    [ -z "$link_pid" ] || { kill "$link_pid"; wait "$link_pid" || true; }
    link_pid=
    if [ "$1" != even ] && has_netem; then
        lay_netem $loss
    else
        lay_link $loss
    fi
    near ip addr add 10.9.0.1/24 dev cable
    far ip addr add $far/24 dev cable
    near ip link set cable up
    far ip link set cable up
}

# A namespace may use what the whole machine allows to everybody.
congestion_is() { # NAME
    local side
    [[ " $allowed " == *" $1 "* ]] || echo "$allowed $1" > $net/tcp_allowed_congestion_control
    for side in near far; do
        $side sysctl -qw net.ipv4.tcp_congestion_control="$1"
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
    ip netns exec "$far_ns" "$@" > "$work/served" 2>&1 &
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
    # -n is of all streams together
    near timeout 600 iperf3 -c $far -P "$1" -n "$bytes" -J > "$work/json" ||
        die "iperf3: $(head -c 400 "$work/json")"
    sqlite3 :memory: "select $bytes * 8 / json_extract(readfile('$work/json'),
        '\$.end.sum_received.bits_per_second')"
}

no_points() { [ -z "$(find "$work/store" -name 'point-*.qcow2')" ]; }

tidemark() { # plain|tls STREAMS: a run of everything, to where nothing is yet
    local tls=() client=() server seconds
    if [ "$1" = tls ]; then
        tls=(--tls-dir "$work/server" --peer bench)
        client=("$work/client")
    fi
    rm -rf "$work/store"
    ip netns exec "$far_ns" $helpers/receiver-run --host $far --port 7000 "${tls[@]}" "$work/store" \
        > "$work/receiver" 2>&1 &
    server=$!
    wait_for "the receiver" listens 7000
    seconds=$(clock near $helpers/send-bits --host $far --streams "$2" 7000 "$work/image" "$work/list" 1 "${client[@]}") ||
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
    iperf3-4) iperf3 4 ;;
    tidemark) tidemark plain 1 ;;
    tidemark-4) tidemark plain 4 ;;
    tidemark-tls) tidemark tls 1 ;;
    tidemark-tls-4) tidemark tls 4 ;;
    rsync) rsync ;;
    esac
}

# -- rounds ---------------------------------------------------------------------------

measure() { # LINK MIB ROUNDS [CONGESTION]
    local link=$1 bytes=$(($2 << 20)) round name seconds before
    head -c $bytes /dev/urandom > "$work/image"
    echo "0 $bytes" > "$work/list"
    link_is "$link"
    congestion_is "${4:-$congestion}"
    for round in $(seq "$3"); do
        for name in "${tools[@]}"; do
            forget
            sync
            before=$(busy)
            seconds=$(tool "$name") || exit 1
            awk -v link="$link${4:+,$4}" -v name="$name" -v round="$round" -v bits=$((bytes * 8)) \
                -v s="$seconds" -v before="$before" -v after="$(busy)" 'BEGIN {
                split(before, b); split(after, a)
                printf "%s %s %d %.1f %d\n", link, name, round, bits / s / 1e6,
                    100 * (a[1] - b[1]) / (a[2] - b[2])
            }'
        done
    done
}

pki() { build/bin/tidemark pki "$@" -d "$work/ca" > /dev/null 2>&1; }

ip netns add "$near_ns"
ip netns add "$far_ns"
trap clear_up EXIT
near ip link set lo up
far ip link set lo up
tools=(tidemark tidemark-4)
pki init bench && pki server $far -o "$work/server" && pki client bench -o "$work/client"
tools+=(tidemark-tls tidemark-tls-4)
if type -P iperf3 > /dev/null; then
    serve 5201 iperf3 -s
    tools+=(iperf3 iperf3-4)
fi
if type -P rsync > /dev/null; then
    mkdir -p "$work/copy"
    printf 'use chroot = no\n[copy]\npath = %s\nread only = no\nuid = 0\ngid = 0\n' \
        "$work/copy" > "$work/rsyncd.conf"
    serve 873 rsync --daemon --no-detach --config="$work/rsyncd.conf"
    tools+=(rsync)
fi
has_netem && how=netem || how='the helper link'
congestion=$(cat $net/tcp_congestion_control)
echo "with $congestion, $(uname -r), $how"
for row; do
    IFS=: read -r link mib rounds control <<< "$row"
    measure "$link" "$mib" "$rounds" ${control:+"$control"}
done
