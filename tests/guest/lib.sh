# SPDX-License-Identifier: GPL-2.0-or-later
# shellcheck shell=bash
#
# What the scripts of the guest rig share: where things are, the table of
# kernels, and how to say that something went wrong. To be sourced.

# shellcheck disable=SC2034 # used by those who source this file
RIG_TOP=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
RIG_BUILD=${TIDEMARK_BUILD:-$RIG_TOP/build}
RIG_KERNELS=$RIG_BUILD/kernels
RIG_GUEST=$RIG_BUILD/guest
RIG_KSRC=$RIG_BUILD/ksrc
RIG_CONFIG=$RIG_TOP/tests/guest/config

# The kernels of the matrix. A kernel NAME has its image, modules and release
# in $RIG_KERNELS/NAME and its headers where kernel_headers() says:
#   $RIG_KERNELS/NAME/release      its `uname -r`
#   $RIG_KERNELS/NAME/vmlinuz      what QEMU boots
#   $RIG_KERNELS/NAME/modules      the folder that holds modules.builtin, kernel/
# The pattern is the extended regular expression of its uname -r in Debian's
# package names. A kernel that we build ourselves (build-kernel) has no pattern
# but a description in tests/guest/config, and `headers` in the same folder.
declare -A RIG_KERNEL_PATTERN=(
	[6.1]='6\.1\.0-[0-9]+-cloud-amd64'
	[6.12]='6\.12\.[0-9]+\+deb12-cloud-amd64'
)

say() {
	echo "${0##*/}: $*" >&2
}

die() {
	say "$*"
	exit "${RIG_DIE_STATUS:-125}"
}

# kernel_check NAME: is it one that the rig knows?
kernel_check() {
	[[ -n ${RIG_KERNEL_PATTERN[$1]-} || -f $RIG_KERNELS/$1/release ]] || {
		[[ ! -f $RIG_CONFIG/$1 || $1 == base ]] ||
			die "kernel '$1' is not built yet: make debug-kernels"
		die "unknown kernel '$1'; there are: ${!RIG_KERNEL_PATTERN[*]}"
	}
}

# config_key NAME: what a kernel of our own is built from
config_key() {
	cat "$RIG_CONFIG/base" "$RIG_CONFIG/$1" | sha256sum
}

# config_word NAME WORD: what its description says in "# WORD: ...", or nothing
config_word() {
	[[ ! -f $RIG_CONFIG/$1 ]] || sed -n "s/^# $2: //p" "$RIG_CONFIG/$1"
}

# kernel_ready NAME: is its image in the cache, complete?
kernel_ready() {
	[[ -f $RIG_KERNELS/$1/release ]]
}

# kernel_release NAME: its uname -r
kernel_release() {
	cat "$RIG_KERNELS/$1/release"
}

# kernel_headers NAME: the folder to build modules against
kernel_headers() {
	if [[ -e $RIG_KERNELS/$1/headers ]]; then
		echo "$RIG_KERNELS/$1/headers"
	else
		echo "/usr/src/linux-headers-$(kernel_release "$1")"
	fi
}

# kernel_newest NAME: the newest uname -r that apt offers with both image and
# headers; prints nothing when there is none. Names without a candidate (seen
# by apt in dependencies only) do not count, hence madison.
kernel_newest() {
	apt-cache pkgnames linux- |
		grep -E "^linux-(image|headers)-${RIG_KERNEL_PATTERN[$1]}\$" |
		xargs -r apt-cache madison 2>/dev/null |
		awk '{ print $1 }' | sort -u | sed -E 's/^linux-(image|headers)-//' |
		sort -V | uniq -d | tail -n 1
}

# kernel_ensure NAME: fetch its image unless it is there
kernel_ensure() {
	kernel_ready "$1" || "$RIG_TOP/tests/guest/fetch" "$1" ||
		die "kernel $1 cannot be had; run 'make deps' with a network"
}

# accel_choose: kvm where it really works, that is where a guest of 16 bytes
# that says "0x10" to the debug port comes to its end; a /dev/kvm alone means
# nothing. TIDEMARK_ACCEL=tcg|kvm decides instead.
accel_choose() {
	local answer=$RIG_GUEST/accel boot status=0
	boot=$(cat /proc/sys/kernel/random/boot_id)
	if [[ -n ${TIDEMARK_ACCEL:-} ]]; then
		echo "$TIDEMARK_ACCEL"
	elif [[ ! -w /dev/kvm ]]; then
		echo tcg
	elif [[ -f $answer && $(cat "$answer") == *" $boot" ]]; then
		cut -d' ' -f1 "$answer"
	else
		{
			head -c 65520 /dev/zero
			printf '\260\020\346\364\364\0\0\0\0\0\0\0\0\0\0\0'
		} > "$answer.$$.bios"
		timeout -k 1 5 qemu-system-x86_64 -nodefaults -no-user-config \
			-display none -no-reboot -machine q35 -accel kvm -cpu host \
			-bios "$answer.$$.bios" \
			-device isa-debug-exit,iobase=0xf4,iosize=4 \
			> /dev/null 2>&1 || status=$?
		rm -f "$answer.$$.bios"
		[[ $status -eq 33 ]] && status=kvm || status=tcg
		echo "$status $boot" > "$answer.$$"
		mv "$answer.$$" "$answer"
		echo "$status"
	fi
}
