#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# live.sh KERNEL: a disk that is written all the time while it is replicated.
# Runs complete; the views keep their epochs whole; and what the replica holds
# is one moment of the file system: it mounts by its journal alone, e2fsck finds
# nothing, and two files that are only ever changed together say the same. So does
# a point that was made with a preserve pool of 1 MiB while the disk was rewritten:
# it was torn, that was noticed, and the passes after made it whole. A run holds itself
# back while the VM's requests take longer than they may. A planned failover is refused
# as long as the disk is written to.
set -u
kernel=$1
. "$(dirname "$0")/lib.sh"

# rewrite OPTION...: for the guest, a VM that writes all over a file from here on
rewrite() {
    echo "setsid fio --name=vm --filename=/mnt/rewritten --size=64m --rw=randwrite --bs=64k" \
        "--direct=1 $* --time_based --runtime=100000 > /tmp/fio.log 2>&1 < /dev/null &"
}
json() { python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"; }

truncate -s 192M "$work/d0.img"
receiver_start || exit 1
guest_start "$kernel" 64K 1 || exit 1
guest 'mkfs.ext4 -q /dev/mapper/d0 && mkdir -p /mnt && mount /dev/mapper/d0 /mnt'
# One writer fills and rewrites a large file; the other counts: the number goes
# to "first" and is synced, then to "second": never more than one apart.
guest 'cat > /tmp/writers << "END"
#!/bin/bash
while :; do
    dd if=/dev/urandom of=/mnt/large bs=64k count=4 seek=$((RANDOM % 600)) conv=notrunc,fsync status=none
done &
n=0
while :; do
    n=$((n + 1))
    printf "%08d" $n > /mnt/first.new; sync /mnt/first.new; mv /mnt/first.new /mnt/first; sync /mnt
    printf "%08d" $n > /mnt/second.new; sync /mnt/second.new; mv /mnt/second.new /mnt/second; sync /mnt
done
END
chmod +x /tmp/writers; setsid /tmp/writers > /dev/null 2>&1 &
sleep 3'

for round in 1 2 3; do
    run=$(guest 'tidemark resync c --wait --json --no-progress')
    is "round $round: the run completes under load" $? 0
    note "round $round: $(json passes <<< "$run") passes, torn $(json torn <<< "$run"), $(
        json bytes_sent <<< "$run") bytes sent in $(json elapsed_us <<< "$run") us"
done
is "views kept the last epoch whole: one pass" "$(json passes <<< "$run")" 1

# The VM writes to all of a file over and over; the pool holds a sixtieth of it.
guest 'dmsetup message d0 0 pool 1048576 && fio --version' > /dev/null
is "the pool is made small" $? 0
guest 'dd if=/dev/urandom of=/mnt/rewritten bs=1M count=64 conv=fsync status=none
    '"$(rewrite --rate=4m)"'
    sleep 2; pgrep fio > /dev/null'
is "a file is rewritten all over" $? 0
run=$(guest 'tidemark resync c --wait --json --no-progress')
is "with a pool of 1 MiB the run completes" $? 0
note "$(json passes <<< "$run") passes, torn $(json torn <<< "$run"), $(json bytes_sent <<< "$run") bytes sent"
ok "and it says that it was torn" test "$(json torn <<< "$run")" -gt 0
ok "and took a further pass" test "$(json passes <<< "$run")" -gt 1
is "the pool is again as small as it was made" "$(guest 'tidemark disks d0 -n -b -o POOL,POOL-USED' | xargs)" \
    "1048576 0"
# What somebody sets while a run has made it larger is what stays.
guest 'tidemark resync c > /tmp/job && for try in $(seq 600); do
        [ "$(tidemark disks d0 -n -b -o POOL)" = 1048576 ] || break
        sleep 0.05
    done
    dmsetup message d0 0 pool 3145728 && tidemark job wait --no-progress "$(cat /tmp/job)"' > "$work/out" 2>&1
is "a run completes while another size is set" $? 0 || note "$(cat "$work/out")"
is "and leaves that as it is" "$(guest 'tidemark disks d0 -n -b -o POOL' | xargs)" 3145728
is "no write of the VM has failed" "$(guest 'pgrep -c fio > /dev/null && ! grep -i error /tmp/fio.log && echo none')" none

# The VM has 64 requests at the disk at all times, of which each takes many milliseconds.
guest 'pkill fio; while pgrep fio > /dev/null; do sleep 0.1; done
    sed -i "s/^plain = yes/&\nlatency_limit = 1/" /etc/tidemark/tidemark.conf
    kill -HUP $(cat /tmp/tidemarkd.pid)
    '"$(rewrite --ioengine=libaio --iodepth=64)"'
    sleep 2; pgrep fio > /dev/null && tidemark resync c > /tmp/job 2>&1'
is "a run starts while the VM keeps the disk busy" $? 0
held=$(guest 'for try in $(seq 600); do
        tidemark status > /tmp/status
        grep -o "reads at most .* for latency_limit: the VMs. requests take .* ms" /tmp/status && break
        sleep 0.2
    done
    grep -q "reads at most" /tmp/status || ! cat /tmp/status')
is "it is held back, and status says why" $? 0
note "$held"
guest 'sed -i "/^latency_limit/d" /etc/tidemark/tidemark.conf; kill -HUP $(cat /tmp/tidemarkd.pid); pkill fio
    for try in $(seq 600); do
        tidemark status > /tmp/status
        grep -q "reads at most" /tmp/status || break
        sleep 0.2
    done
    ! grep "reads at most" /tmp/status && tidemark job wait --no-progress "$(cat /tmp/job)"' > "$work/out" 2>&1
is "without the limit it is not, and completes" $? 0 || note "$(cat "$work/out")"

guest "$(rewrite --rate=4m)"'
    sed -i "s/^plain = yes/&\nmax_passes = 2/" /etc/tidemark/tidemark.conf
    kill -HUP $(cat /tmp/tidemarkd.pid); sleep 1'
output=$(guest 'tidemark planned-failover c --no-progress 2>&1')
ok "a planned failover is refused while the VM writes" test $? -ne 0
like "and says why" "$output" 'still written to'
guest 'pkill fio; tidemark resync c --wait --no-progress' > "$work/out" 2>&1
status=$?
is "and it replicates as before" $status 0
[ $status = 0 ] || note "$(cat "$work/out")"
guest_kill
receiver_kill TERM

# The point is what was committed, whatever the guest did after: look into it
# from another guest, in an overlay of its own, so that the replica stays as it is.
receiver_start || exit 1
path=$(replica_path d0)
case $path in *.qcow2) format=qcow2 ;; *) format=raw ;; esac
qemu-img create -q -f qcow2 -F $format -b "$path" "$work/look.qcow2"
ok "the point mounts, is clean, and is one moment" \
    tests/guest/run --kernel "$kernel" --module none --disk "$work/look.qcow2" -- bash -c '
        set -e
        mkdir -p /mnt
        mount /dev/vda /mnt
        first=$(cat /mnt/first) second=$(cat /mnt/second)
        echo "first $first second $second"
        [ $((10#$first - 10#$second)) = 0 ] || [ $((10#$first - 10#$second)) = 1 ]
        umount /mnt
        e2fsck -fn /dev/vda'
tap_end
