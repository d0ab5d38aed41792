#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# In a guest: track disks, start a bus and the agent, and say READY; then let
# the host steer (remote-shell) until it ends the guest.
#
# guest-setup.sh PORT GRANULE DEVICE[+METADATA]...: collection c, VM vm, disks d0,
# d1..., tracked as /dev/mapper/d0...; the receiver is at the host's loopback, PORT
set -eu
port=$1 granule=$2
shift 2

mkdir -p /etc/tidemark /tmp/state /run/dbus
cat > /etc/tidemark/tidemark.conf <<END
[agent]
state_dir = /tmp/state
bus = unix:path=/run/dbus/tidemark

[collection c]
replica = 10.0.2.2:$port
plain = yes
END
i=0
for device in "$@"; do
    if [[ $device == *+* ]]; then
        dmsetup create d$i --table "0 $(blockdev --getsz "${device%+*}") tidemark \
${device%+*} ${device#*+} $(($(numfmt --from=iec "$granule") / 512))"
    else
        tidemark attach "$device" --name d$i --granule "$granule"
    fi
    printf '\n[disk c/vm/d%d]\ndevice = /dev/mapper/d%d\n' $i $i >> /etc/tidemark/tidemark.conf
    i=$((i + 1))
done
"$(dirname "$0")/bus" /run/dbus/tidemark &
cat > /tmp/agent-start <<'END'
#!/bin/bash
setsid tidemarkd >> /tmp/tidemarkd.log 2>&1 < /dev/null &
echo $! > /tmp/tidemarkd.pid
for _ in $(seq 200); do
    tidemark status > /dev/null 2>&1 && exit 0
    sleep 0.1
done
echo "the agent does not answer:" >&2
tail -n 20 /tmp/tidemarkd.log >&2
exit 1
END
chmod +x /tmp/agent-start
export TIDEMARK_BUS_ADDRESS=unix:path=/run/dbus/tidemark
for _ in $(seq 100); do [ -S /run/dbus/tidemark ] && break; sleep 0.1; done
/tmp/agent-start
# Says READY when it listens.
exec remote-shell 2000
