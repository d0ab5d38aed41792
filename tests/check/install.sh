#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# make install into an empty folder, and what systemd, dkms and others say of the
# files there; then make uninstall. That they work is for tests/system/systemd.sh.
#
# tests/check/install.sh [TREE]
. "$(dirname "$0")/lib.bash"
. tests/guest/lib.sh

root=$check_tmp/root
units=$root/usr/local/lib/systemd/system
make_quiet() { make -s --no-print-directory "$@" DESTDIR="$root" 2>&1; }

faults_install() {
    make_quiet install || echo "make install: exit status $?"
    make_quiet install || echo "make install, again: exit status $?"
}

# Unit files name programs where they will be; these are in $root for now.
faults_units() {
    sed -i "s|/usr/local/sbin|$root&|" "$units"/*.service
    (cd "$units" && SYSTEMD_UNIT_PATH=$units:/usr/lib/systemd/system \
        systemd-analyze verify --man=no tidemarkd.service tidemark-attach.service \
        tidemark-hold.service tidemark-resync@web.service tidemark-resync@web.timer) 2>&1
}

# 30 stands for an exposure of 3.0
faults_security() { # UNIT
    systemd-analyze security --offline=yes --threshold=30 --no-pager "$1" > "$check_tmp/security" ||
        grep -v ✓ "$check_tmp/security"
}

faults_catalog() {
    mkdir -p "$root/var/lib/systemd/catalog"
    journalctl --root="$root" --update-catalog 2>&1
    [ "$(journalctl --root="$root" --list-catalog | wc -l)" -eq \
        "$(grep -c '^-- ' agent/systemd/tidemark.catalog)" ] || echo "entries are missing"
}

faults_folders() {
    systemd-sysusers --root="$root" "$root/usr/local/lib/sysusers.d/tidemark.conf" 2>&1 |
        grep -v '^Creating group'
    grep -q '^tidemark:' "$root/etc/group" || echo "there is no group tidemark"
    # the names of its owners are looked up in there
    echo root:x:0:0::/:/bin/sh > "$root/etc/passwd"
    sed -i '1iroot:x:0:' "$root/etc/group"
    systemd-tmpfiles --root="$root" --create "$root/usr/local/lib/tmpfiles.d/tidemark.conf" 2>&1
    [ -d "$root/var/lib/tidemark" ] || echo "there is no /var/lib/tidemark"
}

# Only what is in DKMS's folder takes part, as on a user's host.
dkms_build() { # RELEASE HEADERS
    mkdir -p "$check_tmp/dkms" "$check_tmp/modules"
    dkms build -m tidemark -v "$version" -k "$1" --kernelsourcedir "$2" -a x86_64 \
        --dkmstree "$check_tmp/dkms" --sourcetree "$root/usr/src" \
        --installtree "$check_tmp/modules" < /dev/null > "$check_tmp/dkms.log" 2>&1
}

faults_dkms() {
    local release
    release=$(kernel_release 6.1)
    if ! dkms_build "$release" "$(kernel_headers 6.1)"; then
        tail -n 20 "$check_tmp/dkms.log" "$check_tmp"/dkms/*/*/build/make.log
    elif ! modinfo "$check_tmp/dkms/tidemark/$version/$release/x86_64/module"/*.ko* > /dev/null; then
        echo "there is no module"
    fi
    # a kernel that is too old is passed over: an upgrade must not fail for it
    dkms_build 5.10.0-1-amd64 "$(kernel_headers 6.1)"
    grep -q BUILD_EXCLUSIVE "$check_tmp/dkms.log" || echo "5.10 is not refused as too old"
}

# Configuration that was made since, and what others have put there, stays.
faults_uninstall() {
    touch "$root/etc/mine"
    make_quiet uninstall || echo "make uninstall: exit status $?"
    find "$root/usr" "$root/etc/dbus-1" -type f -o -type l
    [ -e "$root/etc/mine" ] || echo "it has removed what is not its own"
}

version=$(sed -n 's/^VERSION.*:= *//p' Makefile)
verdict "make install" "$(faults_install)"
if need systemd-analyze systemd "units"; then
    verdict "the units are understood" "$(faults_units)"
    verdict "the agent's unit exposes no more than 3.0" "$(faults_security "$units/tidemarkd.service")"
    printf '[Service]\nExecStart=/bin/true\n' > "$check_tmp/open.service"
    verdict "a unit that is not hardened is found" \
        "$([ -n "$(faults_security "$check_tmp/open.service")" ] || echo "it is not")"
    verdict "the catalogue is understood" "$(faults_catalog)"
    verdict "groups and folders are made" "$(faults_folders)"
fi
if need dkms dkms "DKMS"; then
    verdict "DKMS builds the module, for kernels that are meant" "$(faults_dkms)"
fi
verdict "make uninstall leaves nothing" "$(faults_uninstall)"
finish
