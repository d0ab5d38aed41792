#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# consistent.sh KERNEL: a VM with ext4 on one disk and XFS on the other, and a
# database on each, all of it written while it is replicated. A row goes to the
# first database and is committed, then to the second: whoever sees one moment of
# both disks finds the second as long as the first, or one row behind. Every
# point is looked into, from another guest: it mounts by journal replay alone,
# e2fsck and xfs_repair find nothing, both databases are whole, and agree.
set -u
kernel=$1
. "$(dirname "$0")/lib.sh"
rounds=3

truncate -s 128M "$work/d0.img"
truncate -s 320M "$work/d1.img"
receiver_start || exit 1
guest_start "$kernel" 64K 2 || exit 1
guest 'mkfs.ext4 -q /dev/mapper/d0 && mkfs.xfs -q /dev/mapper/d1 && mkdir -p /mnt/d0 /mnt/d1 &&
    mount /dev/mapper/d0 /mnt/d0 && mount /dev/mapper/d1 /mnt/d1 &&
    sqlite3 /mnt/d0/db "pragma journal_mode=wal; create table t (n integer primary key, x)" &&
    sqlite3 /mnt/d1/db "create table t (n integer primary key, x)" && sync' > /dev/null
is "the guest has its file systems and databases" $? 0
# "extra": with "full", the end of a journal may come back after a power cut, and
# with it what was before the last row. One process for each database keeps it open; the rows go through pipes, and
# the next one is only sent when both have said that theirs is committed.
guest 'cat > /tmp/writers << "END"
#!/bin/bash
while :; do
    dd if=/dev/urandom of=/mnt/d0/large bs=64k count=4 seek=$((RANDOM % 400)) conv=notrunc,fsync status=none
    dd if=/dev/urandom of=/mnt/d1/large bs=64k count=4 seek=$((RANDOM % 400)) conv=notrunc,fsync status=none
    cp /etc/passwd /mnt/d0/file-$((RANDOM % 50)); cp /etc/passwd /mnt/d1/file-$((RANDOM % 50))
done &
coproc one { sqlite3 /mnt/d0/db; }
eval "exec 3<&${one[0]} 4>&${one[1]}"
coproc two { sqlite3 /mnt/d1/db; } 2> /dev/null
eval "exec 5<&${two[0]} 6>&${two[1]}"
echo "pragma synchronous=extra;" >&4
echo "pragma synchronous=extra;" >&6
for ((n = 1; ; n++)); do
    echo "insert into t values ($n, hex(randomblob(1000))); select $n;" >&4
    read -r done <&3
    echo "insert into t values ($n, hex(randomblob(1000))); select $n;" >&6
    read -r done <&5
    echo $n > /tmp/count
done
END
chmod +x /tmp/writers; setsid /tmp/writers > /tmp/writers.log 2>&1 &
for i in $(seq 300); do [ -s /tmp/count ] && [ "$(cat /tmp/count)" -ge 5 ] && break; sleep 0.2; done
[ -s /tmp/count ]'
is "rows are written" $? 0

looks=()
for ((round = 1; round <= rounds; round++)); do
    if ((round == rounds)); then
        # The last one with the file systems frozen by QEMU's own guest agent, which
        # is the VM's; this guest is both the VM and its host.
        guest '(setsid qemu-ga -m unix-listen -p /run/qga.sock > /tmp/qga.log 2>&1 &)
            for i in $(seq 100); do [ -S /run/qga.sock ] && break; sleep 0.1; done
            printf "\n[collection c]\nfreeze_hook = /run/qga.sock\nconsistent_interval = 1\n" \
                >> /etc/tidemark/tidemark.conf
            kill -TERM $(cat /tmp/tidemarkd.pid); while kill -0 $(cat /tmp/tidemarkd.pid); do sleep 0.1; done 2> /dev/null
            /tmp/agent-start'
        is "the agent knows the guest agent" $? 0
        before=$(guest 'cat /tmp/count')
    fi
    guest 'tidemark resync c --wait --json --no-progress' > "$work/run.$round"
    is "round $round: the run completes under load" $? 0
    for disk in d0 d1; do
        path=$(replica_path $disk)
        case $path in *.qcow2) format=qcow2 ;; *) format=raw ;; esac
        qemu-img convert -U -f $format -O raw "$path" "$work/look-$round-$disk.img" ||
            note "round $round: $disk cannot be copied from '$path'"
        looks+=(--disk "$work/look-$round-$disk.img")
    done
    note "round $round: $(guest 'echo $(cat /tmp/count) rows, $(tail -n 1 /tmp/writers.log)')"
done
is "frozen by the guest agent the point is application consistent" \
    "$("$bin/tidemark" points list c --noheadings --output CONSISTENCY | tail -n 1 | tr -d ' ')" application
ok "and its file systems go on" guest "for i in \$(seq 100); do
    [ \$(cat /tmp/count) -gt $before ] && break; sleep 0.2; done; [ \$(cat /tmp/count) -gt $before ]"
guest_kill
# The newest one once more, as a user would look at it: the disks of a test failover,
# written to by a VM that is booted on them.
"$bin/tidemark" test-failover start c --no-progress > "$work/out" 2>&1
is "a test failover to the newest point" $? 0
declare -A sums
for disk in d0 d1; do
    sums[$disk]=$(sha256sum < "$work/look-$rounds-$disk.img")
    file=$(find "$work/store" -path "*/$disk/test.qcow2")
    ok "$disk: QEMU knows its backing chain" qemu-img info -U --backing-chain "$file"
    looks+=(--disk "$file")
done

cat > "$work/look.sh" <<'END'
set -u
modprobe -a ext4 xfs
faults=0
look() { # ROUND EXT4 XFS
    local one two
    mkdir -p /mnt/d0 /mnt/d1
    mount "$2" /mnt/d0 && mount "$3" /mnt/d1 || { echo "round $1: a disk does not mount"; return 1; }
    one=$(sqlite3 /mnt/d0/db 'pragma integrity_check; select count(*), max(n) from t' | xargs)
    two=$(sqlite3 /mnt/d1/db 'pragma integrity_check; select count(*), max(n) from t' | xargs)
    echo "round $1: first $one, second $two"
    umount /mnt/d0 /mnt/d1
    [[ $one =~ ^ok\ ([0-9]+)\|([0-9]+)$ && ${BASH_REMATCH[1]} = "${BASH_REMATCH[2]}" ]] || return 1
    one=${BASH_REMATCH[1]}
    [[ $two =~ ^ok\ ([0-9]+)\|([0-9]+)$ && ${BASH_REMATCH[1]} = "${BASH_REMATCH[2]}" ]] || return 1
    two=${BASH_REMATCH[1]}
    ((one - two == 0 || one - two == 1)) || return 1
    e2fsck -fn "$2" > /tmp/fsck 2>&1 || { cat /tmp/fsck; return 1; }
    xfs_repair -n "$3" > /tmp/fsck 2>&1 || { cat /tmp/fsck; return 1; }
}
read -ra disks <<< "$TIDEMARK_DISKS"
for ((i = 0; i < ${#disks[@]}; i += 2)); do
    look $((i / 2 + 1)) "${disks[i]}" "${disks[i + 1]}" || { echo "round $((i / 2 + 1)): FAULT"; faults=1; }
done
exit $faults
END
output=$(tests/guest/run --kernel "$kernel" --module none --timeout 600 --in "$work/look.sh" \
    "${looks[@]}" -- bash /in/look.sh 2>&1)
is "every point is one moment of two file systems and two databases" $? 0
note "$output"
for disk in d0 d1; do
    file=$(find "$work/store" -path "*/$disk/test.qcow2")
    ok "$disk: after the VM QEMU finds nothing wrong" qemu-img check -q "$file"
    ok "$disk: and the VM has written to it" bash -c "! qemu-img compare -q -f qcow2 -F raw '$file' \
        '$work/look-$rounds-$disk.img'"
done
"$bin/tidemark" test-failover stop c --no-progress > "$work/out" 2>&1
is "the test is over" $? 0
for disk in d0 d1; do
    path=$(replica_path $disk)
    case $path in *.qcow2) format=qcow2 ;; *) format=raw ;; esac
    qemu-img convert -U -f $format -O raw "$path" "$work/after.img"
    is "$disk: the point is what it was" "$(sha256sum < "$work/after.img")" "${sums[$disk]}"
done
receiver_kill TERM
tap_end
