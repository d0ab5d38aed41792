#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# tidemark attach under a mounted LVM volume, and what becomes of the tracker
# when LVM loads its own tables.
#
#   tests/command/lvm.sh [KERNEL]
set -u
# shellcheck source-path=SCRIPTDIR source=lib.bash
. "$(dirname "$0")/lib.bash"

command -v lvm > /dev/null || { echo "1..0 # SKIP no LVM here"; exit 0; }
[ "${TIDEMARK_GUEST:-}" = 1 ] || { echo "1..0 # SKIP writes /etc/lvm: guests only"; exit 0; }
export LVM_SUPPRESS_FD_WARNINGS=1
mkdir -p /etc/lvm
cat > /etc/lvm/lvm.conf <<-END
	activation { udev_sync=0 udev_rules=0 monitoring=0 }
	devices { use_devicesfile=0 obtain_device_list_from_udev=0 }
	global { event_activation=0 use_lvmpolld=0 }
END

lvm_quiet() { "$@" > "$tmp/lvm" 2>&1 || fail "$*" "$(cat "$tmp/lvm")"; }

lvm_quiet pvcreate "$b" "$c"
lvm_quiet vgcreate vg "$b" "$c"
lvm_quiet lvcreate -y -n web -L 80M vg
before=$(number vg-web)
table=$(dmsetup table vg-web)
mkfs.ext4 -q /dev/vg/web && mkdir -p /mnt/web && mount /dev/vg/web /mnt/web
head -c 8M /dev/urandom > /mnt/web/f
sum=$(md5sum < /mnt/web/f)

exits "a volume of two segments" 0 "" tidemark attach /dev/vg/web
is "its table moves whole" "$(dmsetup table vg-web-tidemark)" "$table"
is "it has two segments" "$(wc -l <<< "$table")" 2
is "its number stays" "$(number vg-web)" "$before"
is "found by LVM's own path" "$(column /dev/vg/web NAME)" vg-web
cp /mnt/web/f /mnt/web/g && sync
is "what is written is marked" "$(($(column vg-web MARKED) >= 8388608))" 1
exits "taken out" 0 "" tidemark detach /dev/vg/web
is "the table is LVM's own" "$(dmsetup table vg-web)" "$table"
is "LVM sees nothing strange" "$(lvs --noheadings -o attr vg/web 2>&1 | xargs)" -wi-ao----

tidemark attach /dev/vg/web > /dev/null
lvm_quiet lvextend -L +8M vg/web
is "lvextend drops the tracker" "$(disks_count)" 0
exits "attached once more" 0 "" tidemark attach /dev/vg/web
is "at its new size" "$(column vg-web SIZE)" "$((88 << 20))"
lvm_quiet lvextend -L +4M vg/web
exits "dropped again: detach clears away the rest" 0 "" tidemark detach /dev/vg/web
is "nothing is left" "$(hidden vg-web)" ""
echo 3 > /proc/sys/vm/drop_caches
is "the file is what it was" "$(md5sum < /mnt/web/f)" "$sum"

tidemark attach /dev/vg/web > /dev/null
umount /mnt/web
lvm_quiet lvchange -an vg/web
is "deactivated: no longer tracked" "$(disks_count)" 0
exits "deactivated: detach by name clears away the rest" 0 "" tidemark detach vg-web
is "deactivated: the disks are free" "$(dmsetup ls)" "No devices found"
exits "deactivated: once only" 3 "not tracked" tidemark detach vg-web
lvm_quiet lvchange -ay vg/web
is "the file system is clean" "$(e2fsck -fn /dev/vg/web > "$tmp/fsck" 2>&1; echo $?)" 0
lvm_quiet vgremove -fy vg

finish
