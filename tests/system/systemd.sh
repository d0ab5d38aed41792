#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# systemd.sh [KERNEL]: a guest with systemd as process 1, into which make install has
# put Tidemark, booted twice: what systemd, udev, D-Bus and the journal make of it.
#
#   vda  serial web   stacked upon as web01, noted for the next boot
#   vdb  serial lvm   a volume group; the tracker of vg/data is slid in
#   vdc  the root image's overlay, kept from the first boot to the second
#
# What is done in there is tests/system/systemd-guest.sh; its output is ours.
set -u
kernel=${1:-6.1}
cd "$(dirname "$0")/../.." || exit 1
base=$(tests/guest/mkroot 2> build/mkroot.err)
status=$?
if [ $status = 75 ]; then
    # a fresh machine with root and a network can; anything else is a fault
    if [ "$(id -u)" != 0 ]; then
        echo "1..0 # SKIP $(tail -n 1 build/mkroot.err)"
        exit 0
    fi
    echo "1..1"
    echo "not ok 1 - a root image for the guest"
    sed 's/^/# /' build/mkroot.err
    exit 1
fi
mkdir -p build/system
work=$(mktemp -d "$PWD/build/system/XXXXXX")
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM

make -s --no-print-directory install DESTDIR="$work/root" || exit 1
qemu-img create -q -f qcow2 -F raw -b "$base" "$work/root.qcow2"
truncate -s 128M "$work/web.img"
truncate -s 64M "$work/lvm.img"

boot() { # FIRST|SECOND [OPTION]...
    local which=$1
    shift
    tests/guest/run --kernel "$kernel" --root "$work/root.qcow2" --timeout 900 --mem 1280 \
        --disk "$work/web.img,serial=web" --disk "$work/lvm.img,serial=lvm" \
        --name "systemd-$which-$(basename "$work")" "$@" -- tests/system/systemd-guest.sh "$which"
}

boot first --in "$work/root:/root-add" --in agent/systemd/activate:/tidemark/activate \
    > "$work/first" || echo "not ok 0 - the first boot: exit status $?" >> "$work/first"
cat "$work/first"
if ! grep -q '^ok' "$work/first"; then
    echo "1..1"
    exit 1
fi
boot second > "$work/second" || echo "not ok 0 - the second boot: exit status $?" >> "$work/second"
cat "$work/second"
total=$(grep -cE '^(not )?ok ' "$work/first" "$work/second" | awk -F: '{ n += $2 } END { print n }')
echo "1..$total"
! grep -q '^not ok' "$work/first" "$work/second"
