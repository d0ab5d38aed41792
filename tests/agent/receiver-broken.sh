#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Frames that no sender would send: each connection is closed with a reason in
# the log, the peer is told it, memory stays flat, a run on another connection
# goes on and completes.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
# shellcheck source=tests/agent/lib.bash
. tests/agent/lib.bash

size=$((4 << 20))
make_image "$dir/a" $size 65536 1
make_image "$dir/z" $size 65536 2
receiver_start --connections 8 --strangers 9 --per-peer 9 --handshake-ms 1000 --idle-ms 2000 --busy-ms 300

rss() { awk '/^VmRSS/ { print $2 }' "/proc/$receiver_pid/status"; }

# The run that must not notice: begun here, ended below.
mkfifo "$dir/good"
"$helpers"/wire-peer "$receiver_port" < "$dir/good" > "$dir/good.out" &
good_pid=$!
at_end "kill $good_pid 2> /dev/null"
exec 5> "$dir/good"
echo "hello good
open 0 vm1 vda $tracker $size 65536
begin 0 full 0
data 0 $dir/a 0 65536 1
ping" >&5
# Pings, so that it is not taken for dead.
while sleep 0.5; do echo ping; done >&5 2> /dev/null &
pinger_pid=$!
at_end "kill $pinger_pid 2> /dev/null"

# bad NAME REGEX [OWN-LOG-REGEX]: the script on stdin is answered with REGEX,
# and one line of the log says the same.
bad() {
    local name=$1 regex=$2 before out lines
    before=$(wc -l < "$dir/log")
    out=$(peer)
    like "$name: the peer is told" "$out" "$regex"
    for _ in {1..20}; do
        lines=$(tail -n +$((before + 1)) "$dir/log" | grep -v ' sends the collection ')
        [ -n "$lines" ] && break
        sleep 0.05
    done
    is "$name: one line in the log" "$(wc -l <<< "$lines")" 1
    like "$name: it names the peer" "$lines" '127\.0\.0\.1:[0-9]+: '
}

opened="hello web
open 0 vm1 vda $tracker $size 65536"
begun="$opened
begin 0 full 0"

bad "wrong magic" 'error 32768 frame refused: .*magic' << END
spoil magic
order 0 1
wait
END
bad "wrong version of the frame" 'error 32770 frame refused: .*version' << END
spoil version
hello web
END
bad "wrong version in HELLO" 'error 32770 HELLO frame refused: .*no version' << END
hello web 2 7
END
bad "wrong checksum" 'error 32768 HELLO frame refused: .*checksum' << END
spoil checksum
hello web
END
bad "unknown type" 'error 32768 frame refused: unknown frame type' << END
spoil type
hello web
END
bad "unknown flags" 'error 32768 frame refused: unknown frame flags' << END
spoil flags
hello web
END
bad "huge length" 'error 32768 frame refused: .*length' << END
$begun
spoil huge
data 0 $dir/a 0 65536 1
wait
END
bad "spoiled payload" 'error 32768 DATA frame refused: .*checksum' << END
$begun
spoil payload
data 0 $dir/a 0 65536 1
wait
END
bad "not HELLO first" 'error 32768 PASS frame refused: a connection begins with HELLO' << END
pass
wait
END
bad "HELLO twice" 'error 32768 HELLO frame refused: HELLO came twice' << END
hello web
hello web
END
bad "a name that climbs" 'error 32768 HELLO frame refused: .*payload' << END
hello ../../etc
END
bad "a name that climbs in OPEN" 'error 32768 OPEN frame refused: .*payload' << END
hello web
open 0 .. vda $tracker $size 65536
END
bad "a disk of 0 bytes" 'error 32768 OPEN frame refused: .*payload' << END
hello web
open 0 vm1 vda $tracker 0 65536
END
bad "a granule of 3000 bytes" 'error 32768 OPEN frame refused: .*payload' << END
hello web
open 0 vm1 vda $tracker $size 3000
END
bad "a disk twice" 'error 32768 OPEN frame refused: the disk was opened twice' << END
$opened
open 1 vm1 vda $tracker $size 65536
END
bad "handles out of order" 'error 32768 OPEN frame refused: .*in order' << END
hello web
open 5 vm1 vda $tracker $size 65536
END
bad "a disk that was not opened" 'error 32768 ZERO frame refused: the disk was not opened' << END
$begun
zero 1 0 65536 1
wait
END
bad "DATA before BEGIN" 'error 32768 DATA frame refused: the disk is not begun' << END
$opened
data 0 $dir/a 0 65536 1
wait
END
bad "DATA over the end" 'error 32768 DATA frame refused: .*over the disk.s end' << END
$begun
data 0 $dir/a $size 65536 1
wait
END
bad "ZERO over the end" 'error 32768 ZERO frame refused: .*over the disk.s end' << END
$begun
zero 0 65536 $size 1
wait
END
bad "a region that is no granule" 'error 32768 ZERO frame refused: .*whole granules' << END
$begun
zero 0 4096 65536 1
wait
END
bad "a region of half a granule" 'error 32768 ZERO frame refused: .*whole granules' << END
$begun
zero 0 0 4096 1
wait
END
bad "HASH in a full run" 'error 32768 HASH frame refused: .*comparing only' << END
$begun
verify 0 $dir/a
END
bad "wrong digest" 'error 32768 END frame refused: .*digest' << END
$begun
full 0 $dir/a 1
end 0 1 wrong
wait
END
bad "COMMIT before END" 'error 32768 COMMIT frame refused: a disk has not ended' << END
$begun
commit
END
bad "COMMIT of nothing" 'error 32768 COMMIT frame refused: .*nothing to commit' << END
hello web
commit
END
bad "what only a receiver sends" 'error 32768 BEGUN frame refused: only a receiver' << END
$begun
order 0 6
wait
END
bad "noise" 'error 32768 frame refused' << END
noise 5000 7
wait
END
bad "cut off inside of a payload" 'closed' << END
$begun
spoil short
data 0 $dir/a 0 65536 1
wait
END
bad "silence at the handshake" 'error 32772 the peer was silent' << END
hello web
wait
END
bad "silence in the middle" 'error 32772 the peer was silent' << END
$begun
data 0 $dir/a 0 65536 1
wait
END
bad "a collection that is in use" 'error 32774 the collection good is in use here: receiving' << END
hello good
END

# More connections than are served.
for i in {1..10}; do
    { echo "hello c$i"; echo "sleep 700"; } | peer > "$dir/many.$i" &
    many[i]=$!
done
wait "${many[@]}"
is "over the limit some are refused" "$(grep -lc 'error 32774 8 connections' "$dir"/many.* | wc -l)" 3
is "and the others are served" "$(grep -lc 'welcome' "$dir"/many.* | wc -l)" 7

# Memory: as much rubbish as you like.
before=$(rss)
for i in {1..40}; do
    printf 'noise 20000 %s\nwait\n' "$i" | peer > /dev/null
    printf '%s\nspoil huge\ndata 0 %s 0 65536 1\nwait\n' "$begun" "$dir/a" | peer > /dev/null
    printf '%s\nfull 0 %s 1\nspoil payload\ndata 0 %s 0 65536 1\nwait\n' "$begun" "$dir/z" \
        "$dir/a" | peer > /dev/null
done
after=$(rss)
# ThreadSanitizer keeps a shadow of all memory that was ever used
allowed=4096
[ "${TIDEMARK_BUILD:-}" != build/tsan ] || allowed=32768
holds "memory is flat over 120 broken connections ($before to $after KiB)" \
    "after < before + $allowed"
is "nothing of them is left in the store" \
    "$(find "$dir/store" -path "$dir/store/web*")" ''

# The run that must not have noticed.
kill $pinger_pid
echo "full 0 $dir/a 1
end 0 1" > "$dir/rest"
# Its first chunk was counted already; the same region again is fine.
cat "$dir/rest" >&5
echo commit >&5
exec 5>&-
wait $good_pid
like "the other connection completes" "$(cat "$dir/good.out")" 'durable 1$'
ok "and its replica is identical" cmp "$dir/a" "$dir/store/good/vm1/vda/replica.raw"

# -- strangers ----------------------------------------------------------------

# Whoever sends a byte now and then has the time of a whole frame for them.
python3 - "$receiver_port" > "$dir/trickle" << 'END'
import socket, sys, time
s = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
s.settimeout(0.2)
for byte in b"TDMK" * 100:
    try:
        s.send(bytes([byte]))
        if not s.recv(1000):
            break
        print("told")
    except TimeoutError:
        pass
    except OSError:
        break
else:
    sys.exit("still there")
END
is "a peer that sends a byte now and then is shown the door" $? 0
like "for its silence" "$(tail -n 3 "$dir/log")" '127\.0\.0\.1:[0-9]+: the peer was silent for too long'

# Who has not said who he is has few places, and one host has few of them. After 2 s the
# oldest makes room, so all of it is done again if that was not quick enough.
receiver_stop
receiver_start --connections 8 --per-peer 3 --strangers 5
python3 - "$receiver_port" > "$dir/places" << 'END' &
import socket, sys, time
port = int(sys.argv[1])

def stranger(host):
    return socket.create_connection(("127.0.0.1", port), source_address=(host, 0))

def answer(s):
    s.settimeout(10)
    try:
        return s.recv(1000)[52:].decode()
    except OSError as e:
        return str(e)

for attempt in range(20):
    begun = time.monotonic()
    held = [stranger("127.0.0.1") for _ in range(3)]
    same = answer(stranger("127.0.0.1"))
    held += [stranger("127.0.0.2") for _ in range(2)]
    other = answer(stranger("127.0.0.3"))
    if time.monotonic() - begun < 1.5:
        print(same + "\n" + other, flush=True)
        break
    for s in held:
        s.close()
    time.sleep(1)
time.sleep(2)
print("kept", flush=True)
time.sleep(60)
END
holder_pid=$!
for _ in {1..600}; do grep -q kept "$dir/places" && break; sleep 0.1; done
like "one host has so many places" "$(sed -n 1p "$dir/places")" '^3 connections of that host are served already$'
like "strangers have so many" "$(sed -n 2p "$dir/places")" '^5 connections that have not said who they are, are served'
like "and leave for one who says who he is" "$(echo 'hello next' | peer)" welcome
kill $holder_pid
tap_end
