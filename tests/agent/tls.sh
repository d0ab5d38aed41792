#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Two agents that speak TLS 1.3, with certificates of `tidemark pki` and with some that
# OpenSSL's own command makes: what is refused, by whom, and why.
set -u
cd "$(dirname "$0")/../.." || exit 1
. tests/tap.sh
. tests/agent/agents.bash
pki() { "$bin/tidemark" pki "$@" -d "$dir/ca"; }
pki init "Test authority"
is "an authority" $? 0
pki server 127.0.0.1 replica.example.org -o "$dir/receiver-tls"
is "a certificate for the receiver" $? 0
like "one for the sender, and what to say of it" "$(pki client primary -o "$dir/sender-tls")" \
    '^.peer primary.'
pki client primary -o "$dir/sender-tls" 2> /dev/null
is "nothing is replaced without --force" $? 8
pki client 2001:db8::1 -o "$dir/address" > /dev/null 2>&1
is "a sender's is a name that a [peer] can have" $? 2
is "keys are their owner's alone" "$(stat -c %a "$dir"/*/*-key.pem | sort -u)" 600

# A stretch of text that a network must not show.
python3 -c '
import sys
open(sys.argv[1], "wb").write(b"All this is written in the clear on the disk. " * 100000)' \
    "$dir/d0.img"
truncate -s 8M "$dir/d0.img"
sender_configure d0 << END
authentication = certificate
[collection other]
replica = 127.0.0.1:$port
authentication = certificate
[disk other/vm9/d0]
device = $dir/d0.img
tracking = none
[collection named]
replica = localhost:$port
authentication = certificate
[disk named/vm8/d0]
device = $dir/d0.img
tracking = none
[collection slow]
replica = 127.0.0.1:$port
authentication = certificate
rate_limit = 64K
[disk slow/vm7/d1]
device = $dir/d1.img
tracking = none
END
head -c 8M /dev/urandom > "$dir/d1.img"
python3 - "$dir/sender.conf" << 'END'
import sys
s = open(sys.argv[1]).read()
s = s.replace("authentication = certificate\n", "", 1)
s = s.replace("[collection c]\n", "[collection c]\nauthentication = certificate\n", 1)
s = s.replace("[agent]\n", "[agent]\ntls_dir = %s/sender-tls\n" % sys.argv[1].rsplit("/", 1)[0], 1)
open(sys.argv[1], "w").write(s)
END
receiver_configured() { # extra sections from stdin
    { echo "tls = yes"; cat; } | receiver_configure && receiver_run
}
bus_start sender && bus_start receiver
tap_line $? "a bus for each agent"
receiver_configured << END
[peer primary]
collections = c named
END
tap_line $? "the receiver starts"
sender_start
tap_line $? "the sender starts"

# -- what works ---------------------------------------------------------------

if [ "$(id -u)" = 0 ] && command -v tcpdump > /dev/null; then
    # room for all of it: what a busy machine drops is not looked at
    tcpdump -q -i lo -B 32768 -w "$dir/wire.pcap" -U "tcp port $port" 2> "$dir/tcpdump.log" &
    tcpdump_pid=$!
    for _ in {1..100}; do grep -q listening "$dir/tcpdump.log" && break; sleep 0.1; done
    here resync c --wait > /dev/null
    is "a run through TLS" $? 0
    captured() { [ "$(stat -c %s "$dir/wire.pcap")" -gt 2000000 ]; }
    eventually captured
    sleep 0.5
    kill "$tcpdump_pid"
    wait "$tcpdump_pid" 2> /dev/null
    holds "the network has carried it" "$(stat -c %s "$dir/wire.pcap") > 2000000"
    is "and shows nothing of it" "$(grep -ac 'written in the clear' "$dir/wire.pcap")" 0
    is "nor a frame, nor a name" "$(grep -acE 'TDMK|[^.]vm[^.]d0' "$dir/wire.pcap")" 0
else
    here resync c --wait > /dev/null
    is "a run through TLS" $? 0
    skip "the network shows nothing of it" "tcpdump, or the right to use it, is missing"
fi
ok "the replica is the disk" replica_is d0 "$dir/d0.img"
like "the log names the cipher" "$(cat "$dir/receiver.log")" 'TLSv1.3 TLS_'
ok "verify, through TLS as well" here verify c

# -- who is refused -----------------------------------------------------------

# A run of a collection fails with an exit code and a sentence.
refuses() { # NAME COLLECTION CODE PATTERN
    here resync "$2" --wait > "$dir/out" 2>&1
    is "$1 is refused" $? "$3"
    like "$1: with the reason" "$(cat "$dir/out")" "$4"
}

refuses "a collection of another peer" other 4 'primary gives no right to send the collection other'
refuses "a name that the certificate is not for" named 4 'hostname mismatch'

# certificate ROLE-NAME FILES-IN CA ARGS...: by OpenSSL's own command
openssl_client() { # DIR CN ARGS...
    local to=$1 cn=$2
    shift 2
    mkdir -p "$to"
    cp "$dir/ca/ca-cert.pem" "$to"
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$cn" \
        -keyout "$to/client-key.pem" -out "$to/req.pem" 2> /dev/null
    chmod 600 "$to/client-key.pem"
    printf 'extendedKeyUsage=clientAuth\nbasicConstraints=CA:FALSE\n' > "$to/ext"
    openssl x509 -req -in "$to/req.pem" -extfile "$to/ext" -out "$to/client-cert.pem" "$@" \
        2> /dev/null
}
# The sender has other certificates from now on; no restart is needed.
sender_is() { # DIR
    rm -rf "$dir/sender-tls"
    cp -r "$1" "$dir/sender-tls"
}
cp -r "$dir/sender-tls" "$dir/good"

openssl_client "$dir/expired" primary -CA "$dir/ca/ca-cert.pem" -CAkey "$dir/ca/ca-key.pem" \
    -CAcreateserial -days -1
sender_is "$dir/expired"
refuses "an expired certificate" c 4 'refuses TLS with us: .*expired'
like "the receiver says why" "$(tail -n 3 "$dir/receiver.log")" 'certificate has expired'

openssl_client "$dir/selfsigned" primary -key "$dir/expired/client-key.pem" -days 30
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=primary -days 30 \
    -addext extendedKeyUsage=clientAuth -keyout "$dir/selfsigned/client-key.pem" \
    -out "$dir/selfsigned/client-cert.pem" 2> /dev/null
chmod 600 "$dir/selfsigned/client-key.pem"
sender_is "$dir/selfsigned"
refuses "a self-signed certificate" c 4 'refuses TLS with us'
like "the receiver says why" "$(tail -n 3 "$dir/receiver.log")" 'self.signed'

"$bin/tidemark" pki init -d "$dir/ca2" && "$bin/tidemark" pki client primary -d "$dir/ca2" \
    -o "$dir/foreign" > /dev/null
cp "$dir/ca/ca-cert.pem" "$dir/ca/ca-crl.pem" "$dir/foreign"
sender_is "$dir/foreign"
refuses "a certificate of another authority" c 4 'refuses TLS with us'

# A receiver's certificate does not make a sender.
mkdir "$dir/server-as-client"
cp "$dir/receiver-tls"/ca-* "$dir/server-as-client"
cp "$dir/receiver-tls/server-cert.pem" "$dir/server-as-client/client-cert.pem"
cp "$dir/receiver-tls/server-key.pem" "$dir/server-as-client/client-key.pem"
sender_is "$dir/server-as-client"
refuses "a server's certificate" c 4 'refuses TLS with us'

pki client stranger -o "$dir/stranger" > /dev/null
sender_is "$dir/stranger"
refuses "a peer that nobody has named" c 4 'stranger gives no right'

sender_is "$dir/good"
ok "the first one still may" here resync c --wait
pki revoke "$dir/good/client-cert.pem"
cp "$dir/ca/ca-crl.pem" "$dir/receiver-tls/ca-crl.pem"
refuses "a revoked certificate" c 4 'refuses TLS with us: .*revoked'
like "the receiver says why" "$(tail -n 3 "$dir/receiver.log")" 'certificate revoked'
like "it has read the list by itself" "$(cat "$dir/receiver.log")" 'certificates have changed'

# The other way: the sender does not speak to a receiver that it cannot trust.
pki client second -o "$dir/second" > /dev/null
sender_is "$dir/second"
printf '[peer second]\ncollections = *\n' >> "$dir/receiver.conf"
kill -HUP "$receiver_pid"
for _ in {1..100}; do grep -q 'read again' "$dir/receiver.log" && break; sleep 0.1; done
ok "a new peer, after a reload" here resync c --wait
cp "$dir/ca2/ca-cert.pem" "$dir/sender-tls/ca-cert.pem"
rm -f "$dir/sender-tls/ca-crl.pem"
refuses "a receiver of another authority" c 4 'certificate of the replica host is refused'
sender_is "$dir/second"
rm "$dir/sender-tls/client-key.pem"
refuses "a missing key" c 10 'client-key.pem: No such file'
sender_is "$dir/second"
chmod 644 "$dir/sender-tls/client-key.pem"
refuses "a key for everybody" c 4 'can be read by everybody'
sender_is "$dir/second"

# -- old versions, no TLS, floods ----------------------------------------------------

client() { # OPTIONS...: OpenSSL's own client
    openssl s_client -connect "127.0.0.1:$port" -CAfile "$dir/ca/ca-cert.pem" \
        -cert "$dir/second/client-cert.pem" -key "$dir/second/client-key.pem" "$@" \
        < /dev/null 2>&1
}
like "TLS 1.3 is spoken, AES first" "$(client -tls1_3)" 'New, TLSv1.3, Cipher is TLS_AES_256_GCM_SHA384'
like "TLS 1.2 is refused" "$(client -tls1_2)" 'alert protocol version'
like "and why is logged" "$(tail -n 2 "$dir/receiver.log")" 'no TLS with the sender'
like "no session is resumed" "$(client -tls1_3 -sess_out "$dir/session" | tail -n 50; ls "$dir/session" 2>&1)" \
    'No such file'
printf 'TDMK%060d' 0 > "/dev/tcp/127.0.0.1/$port"
for _ in {1..50}; do tail -n 1 "$dir/receiver.log" | grep -q 'wrong version' && break; sleep 0.1; done
like "a sender without TLS is refused" "$(tail -n 1 "$dir/receiver.log")" 'no TLS with the sender'

# Half-open connections, more than there are places, kept open.
python3 - "$port" > "$dir/flood.out" << 'END' &
import socket, sys, time
held = []
end = time.time() + 25
while time.time() < end:
    while len(held) < 60:
        s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
        s.send(b"\x16\x03\x01")  # a handshake that never goes on
        held.append(s)
        print(len(held), flush=True)
    time.sleep(0.2)
END
flood_pid=$!
for _ in {1..100}; do [ "$(wc -l < "$dir/flood.out")" -ge 60 ] && break; sleep 0.1; done
for _ in {1..10}; do
    here resync c --wait > "$dir/out" 2>&1 && break
    sleep 1
done
is "in a flood of half-open connections a sender gets its turn" $? 0
ok "and the command its answer" there status
kill "$flood_pid" 2> /dev/null
wait "$flood_pid" 2> /dev/null

# One name has so many connections, and the next one is told so.
agent_kill receiver TERM
receiver_configured << END
connections_per_peer = 1
[peer second]
collections = c slow
END
tap_line $? "the receiver starts with a limit"
said() { # PATTERN: in the receiver's log, soon
    for _ in {1..300}; do grep -q "$1" "$dir/receiver.log" && return 0; sleep 0.1; done
    return 1
}
here resync slow > "$dir/out" 2>&1
ok "a run takes its time" said 'sends the collection slow'
refuses "a second one of the same name" c 8 '1 connections of second are served already'
here cancel slow > "$dir/out" 2>&1
is "the first one is cancelled" $? 0
for _ in {1..20}; do here resync c --wait > "$dir/out" 2>&1 && break; sleep 0.5; done
is "then there is room for the second" $? 0

# -- secrets ------------------------------------------------------------------

keys=$(cat "$dir"/*/*-key.pem | grep -v -- ----- | cut -c 1-40)
is "no log has a key" "$(cat "$dir"/*.log | grep -cF "$keys")" 0
# What a process that may be dumped has in /proc belongs to it; else to root.
if [ "$(id -u)" = 0 ] && command -v setpriv > /dev/null; then
    own=$(mktemp -d /tmp/tidemark-tls-XXXXXX)
    cp -r "$dir/receiver-tls" "$own/tls"
    cat > "$own/conf" << END
[agent]
state_dir = $own/state
tls_dir = $own/tls
[receiver]
listen = 127.0.0.1:$((port + 1))
store = $own/store
tls = yes
END
    cp "$bin/tidemarkd" "$own/tidemarkd"
    mkdir -p "$own/state" "$own/store"
    chown -R 65534:65534 "$own"
    setpriv --reuid 65534 --regid 65534 --clear-groups "$own/tidemarkd" --config "$own/conf" \
        --bus none 2> "$own/log" &
    own_pid=$!
    for _ in {1..100}; do grep -q 'with TLS' "$own/log" && break; sleep 0.1; done
    like "an agent of an ordinary user starts" "$(cat "$own/log")" 'listening on .* with TLS 1.3'
    is "with a key it leaves no core dump" "$(stat -c %u "/proc/$own_pid/environ")" 0
    kill "$own_pid"
    wait "$own_pid" 2> /dev/null
    rm -rf "$own"
else
    skip "with a key it leaves no core dump" "root, or setpriv, is missing"
fi

# -- what ends soon is said ----------------------------------------------------

pki client soon -o "$dir/soon" --days 10 > /dev/null
sender_is "$dir/soon"
sender_stop 2> /dev/null || { kill "$sender_pid"; wait "$sender_pid" 2> /dev/null; }
sender_start
like "a certificate that ends soon is warned of" "$(cat "$dir/sender.log")" \
    'client-cert.pem expires in (9|10) days'
doctor() { here doctor --noheadings --output VERDICT,WHAT,FOUND | grep certificates; }
text=$(doctor)
like "the doctor finds the certificates of that agent" "$text" 'ok +certificates +.*/ca-cert.pem: [0-9]+ days'
like "and warns of the one that ends soon" "$text" \
    'warning +certificates +.*/client-cert.pem expires in (9|10) days'
sender_is "$dir/expired"
like "one that has expired is a failure" "$(doctor)" \
    'failed +certificates +.*/client-cert.pem has expired'
echo nonsense > "$dir/sender-tls/client-cert.pem"
like "and so is one that is none" "$(doctor)" 'failed +certificates +.*it is no certificate'
tap_end
