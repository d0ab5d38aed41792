#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Inside of the guest of systemd.sh: first or second boot.
set -u
boot=$1
. "$(dirname "$0")/../tap.sh"
service=org.tidemark.Replication1
object=/org/tidemark/Replication1

# until SECONDS COMMAND...: wait for it
until_ok() {
    local end=$((SECONDS + $1))
    shift
    while ! "$@" > /dev/null 2>&1; do
        [ $SECONDS -lt $end ] || return 1
        sleep 0.3
    done
}

show() { systemctl show --property "$2" --value "$1"; }
pid_of() { show tidemarkd.service MainPID; }
is_state() { [ "$(show "$1" ActiveState)" = "$2" ]; }
pid_is_not() { [ "$(pid_of)" != "$1" ] && [ "$(pid_of)" != 0 ] && tidemark status; }
as_nobody() { setpriv --reuid nobody --regid nogroup --clear-groups "$@"; }
# entries FIELD=VALUE...: of the journal, in JSON
entries() { journalctl --sync; journalctl -b -o json --no-pager "$@"; }
fields() { # NAME...: of the last entry on stdin
    last=$(tail -n 1)
    for name in "$@"; do
        sed -n "s/.*\"$name\":\"\([^\"]*\)\".*/\1/p" <<< "$last"
    done | xargs
}
ids() { awk '$1 == "--" { print $2 }' /usr/local/lib/systemd/catalog/tidemark.catalog; }
# job_in DDDDDDDDHHMMSS: a resynchronization of web, so long from now; prints its object
job_in() {
    busctl call $service $object $service.Service Resynchronize 'ssba{sv}' web \
        "$1.000000:000" false 0 | sed -n 's/^uo 4096 "\(.*\)"$/\1/p'
}
job_property() { busctl get-property $service "$1" $service.Job "$2" 2>&1; }
history_has() { # JOB STATE
    tidemark history web --noheadings --output JOB,STATE | grep -q "^ *$1 *$2"
}
why() { systemctl status --no-pager --full "$1"; journalctl -b -u "$1" --no-pager | tail -n 20; }
must() { # NAME UNIT SECONDS COMMAND...
    local name=$1 unit=$2
    shift 2
    if until_ok "$@"; then tap_line 0 "$name"; else tap_line 1 "$name"; why "$unit" | sed 's/^/# /'; fi
}

configure() {
    mkdir -p /etc/tidemark /var/lib/receiver
    cat > /etc/tidemark/tidemark.conf <<END
[collection web]
replica = 127.0.0.1:7450

[disk web/web01/vda]
device = /dev/mapper/web01

[disk web/web01/data]
device = /dev/vg/data
END
    # A receiver of its own: an agent that is killed must not take it along.
    cat > /etc/tidemark/receiver.conf <<END
[agent]
state_dir = /var/lib/receiver
bus = none
[receiver]
listen = 127.0.0.1:7450
store = /var/lib/receiver/store
END
    cat > /etc/systemd/system/receiver.service <<END
[Service]
ExecStart=/usr/local/sbin/tidemarkd --config /etc/tidemark/receiver.conf
[Install]
WantedBy=multi-user.target
END
    # Stands for the real ones: it must find the trackers in place.
    cat > /etc/systemd/system/libvirtd.service <<END
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'ls /dev/mapper > /run/libvirtd.saw'
[Install]
WantedBy=multi-user.target
END
    systemctl -q enable receiver.service libvirtd.service 2> /dev/null
}

# -- the first boot -------------------------------------------------------------

first_install() {
    is "nobody has loaded module tls" "$(ls -d /sys/module/tls 2> /dev/null)" ""
    ok "what make install does last, where systemd runs" /tidemark/activate
    ok "the units can be enabled" systemctl enable --now tidemarkd.service tidemark-attach.service
    is "without a configuration the agent is not started" \
        "$(show tidemarkd.service ActiveState) $(show tidemarkd.service ConditionResult)" "inactive no"
    is "the group is there" "$(getent group tidemark | cut -d: -f1)" tidemark
    is "the module is loaded, its device is the group's" \
        "$(stat -c '%U:%G %a' /dev/tidemark-control)" "root:tidemark 640"
    like "the catalogue is" "$(journalctl --list-catalog)" "Tidemark: Job @TIDEMARK_JOB@ has failed"
}

first_disks() {
    pvcreate -q /dev/vdb > /dev/null && vgcreate -q vg /dev/vdb > /dev/null &&
        lvcreate -q -y -n data -L 32M vg > /dev/null
    mkfs.ext4 -q -L datalabel /dev/vg/data 24M
    udevadm settle
    ok "a disk is stacked upon, and noted" tidemark attach /dev/vda --name web01 --granule 16K --save
    ok "a volume gets its tracker slid in, and noted" tidemark attach /dev/vg/data --save
    udevadm settle
    like "a stable name is noted for a disk that has one" "$(cat /etc/tidemark/trackers.conf)" \
        "web01.*/dev/disk/by-id/virtio-web.*granule=16K"
    is "udev made the node, and device mapper's link" "$(readlink /dev/mapper/web01)" \
        "../$(basename "$(realpath /dev/mapper/web01)")"
    is "the label leads to the tracked volume" "$(realpath /dev/disk/by-label/datalabel)" \
        "$(realpath /dev/vg/data)"
    udevadm trigger --action=change --settle /dev/mapper/vg-data-tidemark
    is "and still does after udev has looked again at what lies below" \
        "$(realpath /dev/disk/by-label/datalabel)" "$(realpath /dev/vg/data)"
    is "what lies below is nobody's business" \
        "$(udevadm info --query=property /dev/mapper/vg-data-tidemark |
            grep -cE '^(SYSTEMD_READY=0|UDISKS_IGNORE=1|DM_UDEV_DISABLE_OTHER_RULES_FLAG=1)$')" 3
    # random: nothing of it is left out, or sent as zeroes
    dd if=/dev/urandom of=/dev/mapper/web01 bs=1M count=112 oflag=direct status=none
    dd if=/dev/urandom of=/dev/vg/data bs=1M count=30 seek=1 oflag=direct status=none
}

first_start() {
    local text
    ok "it starts, which means READY" systemctl start receiver.service tidemarkd.service
    is "and is notify, active, guarded" \
        "$(show tidemarkd.service Type) $(show tidemarkd.service ActiveState) $(show tidemarkd.service WatchdogUSec)" \
        "notify active 30s"
    like "its status is one line" "$(show tidemarkd.service StatusText)" "0 jobs running"
    ok "it exposes no more than 3.0 on the live system" \
        systemd-analyze security --threshold=30 --no-pager tidemarkd.service
    is "module tls was loaded for it" "$(ls -d /sys/module/tls 2> /dev/null)" /sys/module/tls
    like "which the doctor sees" "$(tidemark doctor --noheadings --output VERDICT,WHAT,FOUND)" \
        'ok +kernel TLS +module tls is loaded'
    like "root asks it by busctl" "$(busctl get-property $service $object $service.Service Version 2>&1)" \
        '^s "[0-9]'
    ok "root asks it by the command" tidemark status
    text=$(tidemark status --json)
    like "with io_uring, inside of its sandbox" "$text" '"engine": ?"io_uring'
    ok "a user without rights may look, by the command" as_nobody tidemark status
    like "and by busctl" "$(as_nobody busctl call $service $object $service.Service GetStatus 'a{sv}' 0 2>&1)" '^s '
    text=$(as_nobody tidemark resync web 2>&1)
    is "but may not start a job" $? 4
    text=$(as_nobody busctl call $service $object $service.Service Resynchronize 'ssba{sv}' web "" false 0 2>&1)
    like "which D-Bus calls access denied" "$text" "([Aa]ccess ?[Dd]enied|32769)"
    is "and no job was started" "$(entries MESSAGE_ID=38a50a44a246442da1e89778c069d503 | wc -l)" 0
}

# The agent dies in the middle of a job, and systemd brings it back.
first_kill() {
    local old
    old=$(pid_of)
    ok "root starts a job" tidemark resync web
    until_ok 30 sh -c 'tidemark status --json | grep -q "\"state_name\": *\"Running\""'
    kill -KILL "$old"
    must "killed in the middle of it, systemd starts it again" tidemarkd.service 60 pid_is_not "$old"
    must "and the job completes" tidemarkd.service 120 \
        sh -c 'journalctl --sync; journalctl -b -o cat MESSAGE_ID=149e0e1a945b45ad9745c7101495a48c | grep -q .'
    is "as a job of that collection, in the journal's fields" \
        "$(entries MESSAGE_ID=149e0e1a945b45ad9745c7101495a48c | fields TIDEMARK_COLLECTION TIDEMARK_JOB SYSLOG_IDENTIFIER)" \
        "web 1 tidemarkd"
    like "explained by the catalogue" \
        "$(journalctl -b -x -o short --no-pager MESSAGE_ID=149e0e1a945b45ad9745c7101495a48c)" \
        "done what was asked for the collection web"
    is "the receiver's entry has its collection" \
        "$(entries MESSAGE_ID=383c92aa84384d3d9d3d75b0fa783d26 | fields TIDEMARK_COLLECTION)" web
    ok "a second run verifies that nothing was lost" tidemark verify web --no-progress
    cmp /dev/mapper/web01 /var/lib/receiver/store/web/web01/vda/replica.raw
    is "and the disk is its replica" $? 0
}

# A job for in 90 s. The agent is ended and started several times until then, by what
# follows: the watchdog, and three restarts.
first_schedule() {
    dd if=/dev/urandom of=/dev/mapper/web01 bs=64k count=3 seek=11 oflag=direct status=none
    asked=$(date +%s)
    scheduled=$(job_in 00000000000130)
    like "a job is scheduled in 90 s" "$scheduled" "/Job/[0-9]+$"
    is "it waits" "$(job_property "$scheduled" JobState)" "u 2"
    systemctl restart tidemarkd.service
    is "and still does after a restart of the agent" "$(job_property "$scheduled" JobState)" "u 2"
}

# No sooner than that; and no later, but for an agent that was not running then.
first_scheduled() {
    local due=$((asked + 90)) began up
    must "it has run to its end" tidemarkd.service 180 history_has "${scheduled##*/}" Completed
    began=$(date -d "$(tidemark history web --noheadings --output JOB,STARTED |
        awk -v job="${scheduled##*/}" '$1 == job { print $2 }')" +%s)
    up=$(date -d "$(show tidemarkd.service ExecMainStartTimestamp)" +%s)
    ok "on time: it was due at $due, began at $began, and its agent runs since $up" test \
        "$began" -ge "$due" -a "$began" -le $(((up > due ? up : due) + 30))
    cmp /dev/mapper/web01 /var/lib/receiver/store/web/web01/vda/replica.raw
    is "the replica has the change" $? 0
    is "once: there is no job after it" \
        "$(tidemark history web --noheadings --output JOB | sort -n | tail -n 1 | xargs)" \
        "${scheduled##*/}"
}

# The wall clock is set by an hour, forwards and back, while a job waits for its time.
first_clock() {
    local job count
    dd if=/dev/urandom of=/dev/mapper/web01 bs=64k count=2 seek=17 oflag=direct status=none
    job=$(job_in 00000000003000)
    is "a job in half an hour waits" "$(job_property "$job" JobState)" "u 2"
    date -s "@$(($(date +%s) + 3600))" > /dev/null
    must "the clock is set an hour forward, over its time: it runs at once" tidemarkd.service 60 \
        history_has "${job##*/}" Completed
    must "the agent says that the clock was set" tidemarkd.service 20 sh -c \
        'journalctl --sync; journalctl -b -u tidemarkd.service -o cat | grep -q "clock was set"'
    cmp /dev/mapper/web01 /var/lib/receiver/store/web/web01/vda/replica.raw
    is "the replica has the change" $? 0

    dd if=/dev/urandom of=/dev/mapper/web01 bs=64k count=2 seek=23 oflag=direct status=none
    count=$(tidemark history web --noheadings --output JOB | wc -l)
    job=$(job_in 00000000000010)
    date -s "@$(($(date +%s) - 3600))" > /dev/null
    sleep 15
    is "set back by an hour, a job that was due in 10 s still waits after 15" \
        "$(job_property "$job" JobState)" "u 2"
    date -s "@$(($(date +%s) + 3600))" > /dev/null
    must "when the clock has its time again, it runs" tidemarkd.service 60 \
        history_has "${job##*/}" Completed
    is "once" "$(tidemark history web --noheadings --output JOB | wc -l)" $((count + 1))
    cmp /dev/mapper/web01 /var/lib/receiver/store/web/web01/vda/replica.raw
    is "and the replica has the change" $? 0
    date -s "@$(($(date +%s) - 3600))" > /dev/null
}

first_watchdog() {
    local old
    # thirty seconds are long for a test; the mechanism is the same
    mkdir -p /run/systemd/system/tidemarkd.service.d
    printf '[Service]\nWatchdogSec=4\n' > /run/systemd/system/tidemarkd.service.d/quick.conf
    systemctl daemon-reload
    systemctl restart tidemarkd.service
    old=$(pid_of)
    sleep 8
    is "an agent that rests keeps feeding the watchdog" "$(pid_of)" "$old"
    kill -STOP "$old"
    must "the watchdog ends an agent that is stopped, and systemd starts another" \
        tidemarkd.service 90 pid_is_not "$old"
    like "which the journal calls by its name" "$(journalctl -b -u tidemarkd.service --no-pager)" \
        "[Ww]atchdog timeout"
    rm -r /run/systemd/system/tidemarkd.service.d
    systemctl daemon-reload
    systemctl restart tidemarkd.service
}

first_reload() {
    local old
    old=$(pid_of)
    cp /etc/tidemark/tidemark.conf /run/good.conf
    echo '[collection web' >> /etc/tidemark/tidemark.conf
    systemctl reload tidemarkd.service
    must "a wrong configuration is refused at reload, with file and line" tidemarkd.service 20 sh -c \
        'journalctl --sync; journalctl -b -o cat MESSAGE_ID=1d9969ae140c42758e5c5e0ea5f8e8ec | grep -q tidemark.conf:9'
    is "and the agent goes on" "$(pid_of) $(show tidemarkd.service ActiveState)" "$old active"
    cp /run/good.conf /etc/tidemark/tidemark.conf
    printf '[collection other]\nreplica = 127.0.0.1:7450\n[disk other/vm/d]\ndevice = /dev/vda\ntracking = none\n' \
        >> /etc/tidemark/tidemark.conf
    systemctl reload tidemarkd.service
    must "a right one holds from then on" tidemarkd.service 20 sh -c 'tidemark status --json | grep -q other'
    cp /run/good.conf /etc/tidemark/tidemark.conf
    systemctl reload tidemarkd.service
}

first_timer() {
    dd if=/dev/urandom of=/dev/mapper/web01 bs=64k count=4 seek=7 oflag=direct status=none
    mkdir -p '/run/systemd/system/tidemark-resync@web.timer.d'
    printf '[Timer]\nOnCalendar=\nOnActiveSec=1\nRandomizedDelaySec=0\n' \
        > '/run/systemd/system/tidemark-resync@web.timer.d/soon.conf'
    systemctl daemon-reload
    systemctl start tidemark-resync@web.timer
    must "the timer runs a resynchronization" tidemark-resync@web.service 60 sh -c \
        'systemctl show -P ExecMainExitTimestampMonotonic tidemark-resync@web.service | grep -qv ^0'
    is "to its end" "$(show tidemark-resync@web.service Result)" success
    cmp /dev/mapper/web01 /var/lib/receiver/store/web/web01/vda/replica.raw
    is "and the replica has the change" $? 0
    like "the real one comes each quarter of an hour" \
        "$(systemctl cat tidemark-resync@web.timer)" "OnCalendar=\*:0/15"
}

# -- the second boot ------------------------------------------------------------

# In its sandbox, without CAP_NET_ADMIN, the kernel encrypts for it what it sends.
second_kernel_tls() {
    local tls=/etc/tidemark/tls
    ok "certificates" sh -c "cd /root && tidemark pki init 'Test authority' --dir ca &&
        tidemark pki server 127.0.0.1 --dir ca --out $tls.receiver &&
        tidemark pki client primary --dir ca --out $tls"
    sed -i '/^replica/a authentication = certificate\nkernel_tls = yes' /etc/tidemark/tidemark.conf
    printf '%s\n' 'tls = yes' '[peer primary]' 'collections = web' >> /etc/tidemark/receiver.conf
    sed -i "/^bus/a tls_dir = $tls.receiver" /etc/tidemark/receiver.conf
    systemctl restart receiver.service tidemarkd.service
    dd if=/dev/urandom of=/dev/mapper/web01 bs=64k count=4 seek=5 oflag=direct status=none
    like "a run that the kernel encrypts" "$(tidemark resync web --wait --json --no-progress 2>&1)" \
        '"encryption": *"TLSv1.3 TLS_AES_256_GCM_SHA384, kernel TLS"'
    like "and status says that it is to be had" "$(tidemark status --json)" \
        '"kernel_tls": *"to be had"'
    cmp /dev/mapper/web01 /var/lib/receiver/store/web/web01/vda/replica.raw
    is "the replica has what it sent" $? 0
}

second() {
    is "the trackers are back" "$(tidemark disks --noheadings --output NAME | sort | xargs)" \
        "vg-data web01"
    is "as they were" "$(tidemark disks web01 --noheadings --bytes --output GRANULE | xargs)" 16384
    is "the volume is tracked under its own number" \
        "$(dmsetup table vg-data | awk '{ print $3 }')" tidemark
    ok "whoever starts VMs found the tracker in place" grep -qx web01 /run/libvirtd.saw
    is "the unit that brought them has succeeded" "$(show tidemark-attach.service Result)" success
    holds "it was done before libvirtd began" \
        "$(show tidemark-attach.service ActiveEnterTimestampMonotonic) < $(show libvirtd.service ExecMainStartTimestampMonotonic)"
    must "the agent came up by itself" tidemarkd.service 60 tidemark status
    holds "after the trackers" \
        "$(show tidemark-attach.service ActiveEnterTimestampMonotonic) < $(show tidemarkd.service ExecMainStartTimestampMonotonic)"
    ok "a run after the reboot completes" tidemark resync web --wait --no-progress
    cmp /dev/mapper/web01 /var/lib/receiver/store/web/web01/vda/replica.raw
    is "and the disk is its replica" $? 0
    second_kernel_tls
    is "nothing has failed on this host" "$(systemctl list-units --failed --no-legend --plain | xargs)" ""
    ok "stop ends it cleanly" systemctl stop tidemarkd.service
    is "with a result that says so" "$(show tidemarkd.service Result)" success
}

case $boot in
first)
    first_install
    first_disks
    configure
    systemctl daemon-reload
    first_start
    first_kill
    first_schedule
    first_watchdog
    first_reload
    first_scheduled
    first_clock
    first_timer
    ;;
second) second ;;
esac
sync
[ "$tap_failed" = 0 ]
