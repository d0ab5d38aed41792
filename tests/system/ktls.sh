#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# ktls.sh KERNEL: runs whose bytes the kernel encrypts. Between the sender, in the guest,
# and the receiver, here, a relay counts connections and records and keeps what passed.
#
#     guest: tidemarkd, kernel TLS ── 10.0.2.2 ──► relay ──► tidemarkd, receiver
#
# Without the module a run is encrypted by OpenSSL, and says so; with it the replica is
# the disk, also when its keys last for 2 MiB only and a run takes several connections.
set -u
kernel=$1
. "$(dirname "$0")/lib.sh"

relay_pid='' server_pid=''
ktls_cleanup() {
    for pid in $relay_pid $server_pid; do kill "$pid" 2> /dev/null; done
    cleanup
}
trap ktls_cleanup EXIT
field() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

# -- the two ends, and the relay ------------------------------------------------

pki() { "$bin/tidemark" pki "$@" -d "$work/ca" > /dev/null; }
pki init "Test authority" && pki server 10.0.2.2 -o "$work/receiver-tls" &&
    pki client primary -o "$work/sender-tls"
is "certificates" $? 0
receiver_configure
cat > "$work/receiver.conf" << END
[agent]
state_dir = $work/state
bus = $TIDEMARK_BUS_ADDRESS
tls_dir = $work/receiver-tls
[receiver]
listen = 127.0.0.1:$port
store = $work/store
tls = yes
[peer primary]
collections = c n
END
receiver_start || exit 1

# Prints a line for each connection that has ended: how many records the sender has sent,
# those of the handshake too, bytes of one that is cut short, bytes of the last one, and when
# it began and ended. What it sent goes to the file "wire".
relay=$(free_port)
cat > "$work/relay.py" << 'END'
import socket, sys, threading, time
here, there, wire, table = int(sys.argv[1]), int(sys.argv[2]), open(sys.argv[3], "ab", 0), \
    open(sys.argv[4], "a", 1)

def copy(a, b, note):
    held, records, last, begun = b"", 0, 0, time.monotonic()
    while True:
        try:
            data = a.recv(1 << 16)
            if data:
                b.sendall(data)
        except OSError:
            data = b""
        if not data:
            break
        if note:
            wire.write(data)
            held += data
            at = 0
            while len(held) - at >= 5:
                size = 5 + int.from_bytes(held[at + 3:at + 5], "big")
                if len(held) - at < size:
                    break
                at += size
                records += 1
                last = size
            held = held[at:]
    try:
        b.shutdown(socket.SHUT_WR)
    except OSError:
        pass
    if note:
        print(records, len(held), last, begun, time.monotonic(), file=table)

l = socket.socket()
l.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
l.bind(("127.0.0.1", here))
l.listen(64)
while True:
    near, _ = l.accept()
    far = socket.create_connection(("127.0.0.1", there))
    threading.Thread(target=copy, args=(near, far, True), daemon=True).start()
    threading.Thread(target=copy, args=(far, near, False), daemon=True).start()
END
python3 "$work/relay.py" "$relay" "$port" "$work/wire" "$work/table" &
relay_pid=$!

cmocka=$(ldd build/unit/tls/test-offload | awk '/libcmocka/ { print $3 }')
truncate -s 96M "$work/d0.img"
truncate -s $((4 * 1048576 + 512)) "$work/d1.img"
port=$relay guest_start "$kernel" 64K 2 --in "$work/sender-tls:/etc/tidemark/tls" \
    --in build/unit/tls/test-offload --in "$cmocka:/usr/lib/x86_64-linux-gnu/libcmocka.so.0" ||
    exit 1

# The agent anew, with other lines instead of "plain = yes".
agent_with() { # VARIABLE=VALUE LINE...
    local variable=$1 lines
    shift
    lines=$(printf '%s\\n' "authentication = certificate" "$@")
    guest "kill \$(cat /tmp/tidemarkd.pid); while kill -0 \$(cat /tmp/tidemarkd.pid); do
        sleep 0.1; done 2> /dev/null
        [ -e /tmp/first.conf ] || cp /etc/tidemark/tidemark.conf /tmp/first.conf
        sed 's/^plain = yes/$lines/' /tmp/first.conf > /etc/tidemark/tidemark.conf
        : > /tmp/tidemarkd.log; $variable /tmp/agent-start"
}
run() { guest 'tidemark resync c --wait --json --no-progress'; }
scribble() { # SEED PERCENT
    guest "scribble /dev/mapper/d0 $1 $2 65536; scribble /dev/mapper/d1 $1 $2 65536" > /dev/null
}
identical() { replica_is d0 "$work/d0.img" && replica_is d1 "$work/d1.img"; }
sessions() { guest 'sed -n "s/^TlsTxSw[[:space:]]*//p" /proc/net/tls_stat'; }
said() { guest 'cat /tmp/tidemarkd.log'; }

# -- without the module -----------------------------------------------------------

guest 'chmod 600 /etc/tidemark/tls/*-key.pem
    mkdir -p /etc/modprobe.d; echo "install tls /bin/false" > /etc/modprobe.d/no-tls.conf'
guest "printf '%s\n' '[collection n]' 'replica = 10.0.2.2:$relay' \
    'authentication = certificate' 'kernel_tls = yes' '[disk n/vm2/d2]' 'device = /tmp/d2.img' \
    'tracking = none' >> /etc/tidemark/tidemark.conf
    head -c 6M /dev/urandom > /tmp/d2.img"
agent_with A=1 'kernel_tls = yes'
is "the agent starts, and is to use kernel TLS" $? 0
scribble 1 10
full=$(run)
is "a run, without the module" $? 0
is "OpenSSL encrypts it" "$(field encryption <<< "$full")" "TLSv1.3 TLS_AES_256_GCM_SHA384"
like "which is said" "$(said)" 'c: the run had no kernel TLS: not in this kernel'
like "status says it" "$(guest 'tidemark status --json' | field kernel_tls)" 'not in this kernel'
ok "the replicas are the disks" identical

# -- with it ------------------------------------------------------------------------

guest 'rm /etc/modprobe.d/no-tls.conf; modprobe aesni-intel; modprobe tls'
is "the module is loaded" $? 0
guest 'TIDEMARK_KERNEL_TLS=1 CMOCKA_MESSAGE_OUTPUT=TAP /in/test-offload' > "$work/offload.out"
is "what the kernel sends are the records that they should be" $? 0
is "and no test of it was left out" "$(grep -ci skip "$work/offload.out")" 0
sed -n 's/^.*# kernel TLS: /# kernel TLS in this guest: /p' "$work/offload.out"

guest 'yes "All this is written in the clear on the disk." | head -c 200000 |
    dd of=/dev/mapper/d0 bs=64K seek=100 oflag=direct conv=sync iflag=fullblock 2> /dev/null'
before=$(sessions)
incremental=$(run)
is "an incremental run" $? 0
is "the kernel encrypts it" "$(field encryption <<< "$incremental")" \
    "TLSv1.3 TLS_AES_256_GCM_SHA384, kernel TLS"
is "it says so itself" $(($(sessions) - before)) 1
ok "the replicas are the disks" identical
like "people are told" "$(guest 'scribble /dev/mapper/d0 2 1 65536 > /dev/null
    tidemark resync c --wait')" 'encryption +TLSv1.3 .*, kernel TLS'
ok "verify, over kernel TLS" guest 'tidemark verify c'
is "the network shows nothing of what is on the disk" \
    "$(grep -ac 'written in the clear' "$work/wire")" 0
is "nor a frame, nor a name" "$(grep -acE 'TDMK|[^.]vm[^.]d0' "$work/wire")" 0

# -- keys that end -------------------------------------------------------------------

crossed() { # NAME KEYS: runs, and looks
    local out before marked
    before=$(sessions)
    marked=$(guest 'tidemark disks --json' | python3 -c '
import json, sys
print(sum(d["marked"] for d in json.load(sys.stdin)["disks"]))')
    : > "$work/table"
    out=$(run)
    is "$1: the run succeeds" $? 0
    note "$1: $(grep -E 'bytes_(marked|sent|on_wire)|passes|elapsed' <<< "$out" | head -n 5 |
        tr -d '\n')"
    is "$1: as a job that has completed" \
        "$(field state_name <<< "$out") $(field error <<< "$out")" "Completed 0"
    holds "$1: with several keys" "$(sessions) - $before >= $2"
    like "$1: it is told" "$(said)" 'c: the run took [0-9]+ connections'
    ok "$1: the replicas are the disks" identical
    # A quarter of the records that are counted, and what was being read: 8 MiB.
    holds "$1: none has encrypted more than it may" "$(sort -n "$work/table" | tail -n 1 |
        cut -d ' ' -f 1) < 512 / 4 + 512 + 128"
    # close_notify: two bytes, and the 22 that each record has more than it says
    is "$1: each has ended in order" "$(cut -d ' ' -f 2,3 "$work/table" | sort -u)" "0 24"
    note "$1: longest pause between two connections: $(sort -k 4n "$work/table" | awk '
        NR > 1 && $4 - end > pause { pause = $4 - end }
        $5 > end { end = $5 }
        END { printf "%d ms", pause * 1000 }')"
    # Zeroes are in neither; what is sent twice would be.
    holds "$1: nothing is sent twice" "$(field bytes_sent <<< "$out") <= $marked"
}
agent_with TIDEMARK_TLS_RECORDS=512 'kernel_tls = yes'
scribble 3 60
crossed "keys for 2 MiB" 5
is "no run has failed" \
    "$(guest 'tidemark jobs --noheadings --output STATE' | tr -d ' ' | sort -u)" Completed
is "a run that could not go on with another key has none of the kernel's" \
    "$(guest 'tidemark resync n --wait --json --no-progress' | field encryption)" \
    "TLSv1.3 TLS_AES_256_GCM_SHA384"
like "and it is said why" "$(said)" 'n: the run had no kernel TLS: its disks are not tracked'
ok "it has sent the disk" guest 'tidemark verify n'
agent_with TIDEMARK_TLS_RECORDS=512 'kernel_tls = yes' 'streams = 3'
scribble 4 60
crossed "and three streams" 8

# -- auto -----------------------------------------------------------------------------

agent_with A=1
scribble 5 2
auto=$(run)
is "a run, and nothing is said of kernel TLS" $? 0
found=$(guest 'tidemark doctor --noheadings --output WHAT,FOUND' | grep "agent's kernel TLS")
like "the doctor says what was measured" "$found" \
    '[0-9]+\.[0-9]+ x the cost of user space, (not )?used'
wanted="TLSv1.3 TLS_AES_256_GCM_SHA384, kernel TLS"
[[ $found != *"not used"* ]] || wanted="TLSv1.3 TLS_AES_256_GCM_SHA384"
is "and that is what is done" "$(field encryption <<< "$auto")" "$wanted"
ok "the replicas are the disks" identical

# -- a peer that asks for what cannot be ---------------------------------------------------

other=$(free_port)
(for _ in {1..60}; do sleep 1; echo K || break; done) 2> /dev/null |
    openssl s_server -accept "127.0.0.1:$other" -tls1_3 -Verify 1 \
        -CAfile "$work/ca/ca-cert.pem" -cert "$work/receiver-tls/server-cert.pem" \
        -key "$work/receiver-tls/server-key.pem" > "$work/server.log" 2>&1 &
server_pid=$!
guest "sed -i 's/10.0.2.2:[0-9]*/10.0.2.2:$other/' /tmp/first.conf"
agent_with A=1 'kernel_tls = yes'
scribble 6 1
like "a peer that wants another key is told of, and refused" \
    "$(guest 'tidemark resync c --wait 2>&1')" 'asks for another key, which kernel TLS cannot'
tap_end
