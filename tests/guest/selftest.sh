#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Tests of the guest rig itself; TAP. All other tests lean on what is promised
# here, so each promise is broken on purpose and seen to be noticed.
# KERNEL=6.12 tests with that kernel. No module is needed: the mutants are made
# from a dummy.

# shellcheck disable=SC2016 # what the guest's shell is to expand
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/guest/lib.sh disable=SC1091
. tests/guest/lib.sh

kernel=${KERNEL:-6.1}
dir=$(mktemp -d)
count=0
failed=0
status=0
head -c 20000000 /dev/urandom > "$dir/blob"
trap 'rm -rf "$dir"' EXIT
trap 'exit 143' TERM INT

# check WHAT COMMAND...: one line of TAP; where it fails, what was seen
check() {
	local what=$1 word=ok
	shift
	count=$((count + 1))
	if ! "$@"; then
		word="not ok"
		failed=$((failed + 1))
		echo "# exit status $status"
		sed 's/^/# out: /' "$dir/stdout" | tail -n 5
		sed 's/^/# err: /' "$dir/stderr" | tail -n 20
	fi
	echo "$word $count - $what"
}

# guest ARG...: run one; leaves $status, stdout and stderr
guest() {
	tests/guest/run --kernel "$kernel" --module none --timeout 120 "$@" \
		> "$dir/stdout" 2> "$dir/stderr"
	status=$?
}

status_is() { [[ $status -eq $1 ]]; }
stdout_is() { [[ $(cat "$dir/stdout") == "$1" ]]; }
stderr_is() { [[ $(cat "$dir/stderr") == "$1" ]]; }
stderr_has() { grep -q -- "$1" "$dir/stderr"; }
stderr_counts() { [[ $(grep -c -- "$2" "$dir/stderr") -eq $1 ]]; }
gone() { ! kill -0 "$1" 2> /dev/null; }

# wait_for SECONDS COMMAND...: until it succeeds
wait_for() {
	local end=$((SECONDS + $1))
	shift
	until "$@"; do
		[[ $SECONDS -lt $end ]] || return 1
		sleep 0.1
	done
}

test_command() {
	guest -- bash -c 'echo "to $1"; echo "to $2" >&2; printf end; exit 42' x 'std  out' "std'err"
	check "exit status comes back" status_is 42
	check "stdout is COMMAND's alone, without a newline added" stdout_is $'to std  out\nend'
	check "stderr is COMMAND's alone" stderr_is "to std'err"
	guest -- bash -c 'kill -9 $$'
	check "a command killed by a signal is 128 + it" status_is 137
	guest -- no-such-command
	check "a command that is not there is 127" status_is 127
}

test_streams() {
	tests/guest/run --kernel "$kernel" --module none -- bash -c '
		for i in {1..300}; do echo "out $i"; echo "err $i" > /dev/stderr; done
		sleep 100 &' > "$dir/stdout" 2>&1
	status=$?
	for i in {1..300}; do printf 'out %s\nerr %s\n' "$i" "$i"; done > "$dir/want"
	check "2>&1 keeps the order; a process left behind holds nobody up" \
		cmp -s "$dir/want" "$dir/stdout"
	guest --in "$dir/blob" -- cat /in/blob
	check "20 MB of binary stdout arrive unchanged" cmp -s "$dir/blob" "$dir/stdout"
}

test_files() {
	mkdir -p "$dir/tree/sub"
	echo inside > "$dir/tree/sub/file"
	guest --in "$dir/tree" --in "$dir/tree/sub/file:/etc/other" --out "$dir/out" -- bash -c '
		cat /in/tree/sub/file /etc/other
		mkdir /out/deep && echo back > /out/deep/file
		truncate -s 1G /out/sparse
		setpriv --reuid nobody --regid tidemark --clear-groups \
			bash -c "id -un; id -gn; echo mine > /out/nobody"
		exit 1'
	check "--in brings a folder and a file" stdout_is $'inside\ninside\nnobody\ntidemark'
	check "--out has what COMMAND left though it failed" \
		grep -qx back "$dir/out/deep/file"
	check "a user without rights may write to /out" grep -qx mine "$dir/out/nobody"
	check "a sparse file stays sparse" \
		[ "$(stat -c '%s %b' "$dir/out/sparse" 2> /dev/null)" = "1073741824 0" ]
}

test_inside() {
	guest --cpus 3 --mem 768 --name inner --disk 64M,logical=4096 -- bash -ec '
		[ "$(nproc)" = 3 ]
		[ "$(hostname)" = inner ]
		[ "$PWD" = /tidemark ] && [ -x tests/guest/run ]
		[ "$TIDEMARK_DISKS" = "/dev/vda" ]
		[ "$(blockdev --getss /dev/vda)" = 4096 ]
		echo 0 131072 linear /dev/vda 0 | dmsetup create --noudevsync lin
		dmsetup mknodes
		mkfs.ext4 -q /dev/mapper/lin
		mount /dev/mapper/lin /mnt
		fio --name=f --directory=/mnt --size=4M --rw=randwrite --verify=crc32c \
			--ioengine=io_uring > /dev/null
		umount /mnt
		e2fsck -fn /dev/mapper/lin > /dev/null 2>&1
		dmsetup remove --noudevsync lin
		modprobe -a dm-delay dm-flakey dm-log-writes null_blk brd scsi_debug
		mkfs.xfs -q -f /dev/ram0 2>/dev/null || mkfs.xfs -V > /dev/null
		ping -c 1 127.0.0.1 > /dev/null
		sqlite3 :memory: "select 1" > /dev/null
		qemu-img --version > /dev/null'
	check "CPUs, disks, dm, file systems, fio and programs are there" status_is 0
}

test_disks() {
	truncate -s 64M "$dir/raw"
	qemu-img create -q -f qcow2 "$dir/cow.qcow2" 64M
	guest --disk "$dir/raw,serial=abc" --disk "$dir/cow.qcow2" --disk 32M -- bash -ec '
		[ "$(cat /sys/block/vda/serial)" = abc ]
		mkfs.ext4 -q /dev/vda; mount /dev/vda /mnt; echo kept > /mnt/file
		echo kept too > /dev/vdb
		[ "$(blockdev --getsize64 /dev/vdc)" = 33554432 ]'
	check "raw, qcow2 and fresh disks come in order" status_is 0
	guest --disk "$dir/raw" --disk "$dir/cow.qcow2" -- bash -c '
		mount /dev/vda /mnt && cat /mnt/file; head -n 1 /dev/vdb'
	check "disks keep what a guest before wrote" stdout_is $'kept\nkept too'
	check "the qcow2 file was closed properly" \
		qemu-img check -q "$dir/cow.qcow2"
}

test_kill() {
	local pid
	truncate -s 16M "$dir/raw"
	guest --disk "$dir/raw" --kill-on '^written [0-9]+' -- bash -c '
		echo first | dd of=/dev/vda oflag=direct conv=sync status=none
		echo written 1; sleep 5; echo late'
	check "--kill-on kills at that line: 137" status_is 137
	check "output ends there" stdout_is "written 1"
	check "what was written before the kill is on the disk" \
		[ "$(head -n 1 "$dir/raw" | tr -d '\0')" = first ]
	guest --kill-after 0.5 -- sleep 60
	check "--kill-after: 137" status_is 137
	rm -f "$dir/pid"
	tests/guest/run --kernel "$kernel" --module none --pidfile "$dir/pid" -- \
		bash -c 'echo up; sleep 60' > "$dir/stdout" 2> "$dir/stderr" &
	wait_for 60 grep -q up "$dir/stdout"
	kill -9 "$(cat "$dir/pid")"
	wait $!
	status=$?
	check "kill -9 of the pid in --pidfile: 137" status_is 137
	tests/guest/run --kernel "$kernel" --module none --pidfile "$dir/pid" -- \
		bash -c 'echo up; sleep 60' > "$dir/stdout" 2> "$dir/stderr" &
	wait_for 60 grep -q up "$dir/stdout"
	pid=$(cat "$dir/pid")
	kill -TERM $!
	wait $!
	status=$?
	check "SIGTERM of run: 143" status_is 143
	check "... and the guest is gone" wait_for 5 gone "$pid"
	tests/guest/run --kernel "$kernel" --module none --pidfile "$dir/pid" -- \
		bash -c 'echo up again; sleep 60' > "$dir/stdout" 2> "$dir/stderr" &
	wait_for 60 grep -q again "$dir/stdout"
	pid=$(cat "$dir/pid")
	kill -KILL $!
	wait $! 2> /dev/null
	check "SIGKILL of run takes the guest with it" wait_for 5 gone "$pid"
}

test_failures() {
	guest --timeout 12 -- sleep 100
	check "--timeout: 124" status_is 124
	check "... and says so" stderr_has "no end after 12 s"
	guest -- bash -c 'echo c > /proc/sysrq-trigger; sleep 10'
	check "a panic: 125" status_is 125
	check "... with the kernel's words" stderr_has "Kernel panic"
	guest -- bash -c 'echo "WARNING: CPU: 0 PID: 1 at test" > /dev/kmsg'
	check "a warning in the log: 126 though COMMAND succeeded" status_is 126
	guest --allow-warn -- bash -c 'echo "WARNING: CPU: 0 PID: 1 at test" > /dev/kmsg'
	check "--allow-warn lets it pass" status_is 0
	guest -- poweroff -f
	check "a guest that dies silently: 125" status_is 125
	guest --kernel 5.4 -- true
	check "an unknown kernel: 125" status_is 125
	guest --module no-such -- true
	check "a module that was not built: 125" status_is 125
	check "... with the command that builds it" stderr_has "build-module --kernel"
}

# RIG_BREAK breaks boots, one after the other.
test_anew() {
	local log=$dir/anew.log
	RIG_BREAK=panic guest --name anew --log "$log" --disk 16M -- bash -c 'echo up; exit 3'
	check "a boot that breaks is started anew, and COMMAND's status comes" status_is 3
	check "... with its output" stdout_is up
	check "... which is said, once" \
		stderr_counts 1 "guest anew: boot broke (Kernel panic), started anew"
	check "the broken boot's log is kept" grep -qs "Kernel panic" "$dir/anew.boot1.log"
	check "... and the log tells of it" grep -q "^rig: boot 1 broke: $dir/anew.boot1.log" "$log"
	check "... but is that of the boot that did not break" \
		[ "$(grep -c "Kernel panic" "$log")" = 0 ]
	RIG_BREAK='panic hang' guest --log "$log" -- echo up
	check "a second boot that hangs is killed, and there is a third" status_is 0
	check "... which is said" stderr_has "boot broke (it hung), started anew"
	RIG_BREAK='panic panic panic' guest --log "$log" -- echo up
	check "three broken boots: 125" status_is 125
	check "... after two new starts" stderr_counts 2 "started anew"
	check "... with the kernel's words" stderr_has "Kernel panic"
	check "... and all three logs" \
		[ "$(grep -ls "Kernel panic" "$dir"/anew.boot[12].log "$log" | wc -l)" = 3 ]
	guest --log "$log" -- bash -c 'echo c > /proc/sysrq-trigger; sleep 10'
	check "a panic under COMMAND: 125" status_is 125
	check "... and no new start" stderr_counts 0 "started anew"
	check "... and the logs of the run before are gone" [ ! -e "$dir/anew.boot1.log" ]
}

test_cable() {
	local cable=$dir/cable
	tests/guest/run --kernel "$kernel" --module none --timeout 100 \
		--net "socket:$cable:listen,10.1.0.1" --in "$dir/blob" -- \
		bash -c 'httpd -h /in; nc -l -p 7000 < /dev/null' > "$dir/first" 2>&1 &
	guest --net "socket:$cable:connect,10.1.0.2" --kill-on up -- \
		bash -c 'ping -c 1 -W 20 10.1.0.1 > /dev/null && echo up; sleep 60'
	check "a guest is killed while it is on the cable" status_is 137
	guest --net "socket:$cable:connect,10.1.0.2" -- bash -c '
		for i in {1..100}; do
			wget -q -O /tmp/blob http://10.1.0.1/blob && break
			sleep 0.3
		done
		cat /tmp/blob
		until echo thanks > /dev/tcp/10.1.0.1/7000; do sleep 0.3; done'
	check "20 MB went from guest to guest" cmp -s "$dir/blob" "$dir/stdout"
	wait $!
	check "the first guest of two had its answer" [ $? -eq 0 ]
	check "the cable is cleared away" [ ! -e "$cable.a" -a ! -e "$cable.b" ]
}

# A port for tests, from the range that nobody else hands out.
port_free() {
	python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'
}

test_host() {
	local port server
	port=$(port_free)
	(cd "$dir" && echo from the host > page &&
		exec python3 -m http.server -b 127.0.0.1 "$port" > /dev/null 2>&1) &
	server=$!
	guest --net user -- wget -q -O - "http://10.0.2.2:$port/page"
	check "the guest reaches the host's 127.0.0.1" stdout_is "from the host"
	kill "$server"
	wait "$server" 2> /dev/null
	port=$(port_free)
	tests/guest/run --kernel "$kernel" --module none --net user --fwd "$port:80" -- \
		bash -c 'echo from the guest > /tmp/page; cd /tmp; echo up
			httpd -f -p 80 & sleep 30' > "$dir/stdout" 2> "$dir/stderr" &
	wait_for 60 grep -q up "$dir/stdout"
	check "--fwd leads the host into the guest" wait_for 10 python3 -c "
import urllib.request
assert urllib.request.urlopen('http://127.0.0.1:$port/page', timeout=5).read() == b'from the guest\n'" 2> /dev/null
	kill $!
	wait $!
}

test_module() {
	local source=$dir/module ko
	mkdir -p "$source"
	cat > "$source/Kbuild" <<-'END'
	obj-m := dm-tidemark.o
	END
	cat > "$source/dm-tidemark.c" <<-'END'
	// SPDX-License-Identifier: GPL-2.0-only
	#include <linux/module.h>
	static bool mutant;
	module_param(mutant, bool, 0444);
	MODULE_LICENSE("GPL");
	END
	cat > "$dir/mutant.patch" <<-'END'
	--- a/module/dm-tidemark.c
	+++ b/module/dm-tidemark.c
	@@ -1,5 +1,5 @@
	 // SPDX-License-Identifier: GPL-2.0-only
	 #include <linux/module.h>
	-static bool mutant;
	+static bool mutant = true;
	 module_param(mutant, bool, 0444);
	 MODULE_LICENSE("GPL");
	END
	ko=$(TIDEMARK_MODULE_SOURCE=$source tests/guest/build-module --kernel "$kernel" \
		--name selftest --patch "$dir/mutant.patch" 2> "$dir/stderr")
	status=$?
	check "build-module builds a mutant" status_is 0
	check "... and prints its path" [ -f "$ko" ]
	guest --module selftest -- cat /sys/module/dm_tidemark/parameters/mutant
	check "--module boots with it" stdout_is Y
	# what breaks as it is loaded is a result, though COMMAND has not begun
	cat >> "$source/dm-tidemark.c" <<-'END'
	static int __init broken_init(void)
	{
		BUG();
		return 0;
	}
	module_init(broken_init);
	END
	TIDEMARK_MODULE_SOURCE=$source tests/guest/build-module --kernel "$kernel" \
		--name selftest > "$dir/stdout" 2> "$dir/stderr"
	guest --module selftest -- true
	check "a module that breaks the guest as it is loaded: 125" status_is 125
	check "... with the kernel's words" stderr_has "kernel BUG at"
	check "... and no new start" stderr_counts 0 "started anew"
	echo '#error broken' >> "$source/dm-tidemark.c"
	TIDEMARK_MODULE_SOURCE=$source tests/guest/build-module --kernel "$kernel" \
		--name selftest > "$dir/stdout" 2> "$dir/stderr"
	status=$?
	check "a module that does not build: 1" status_is 1
	check "... with the compiler's words" stderr_has "#error broken"
	check "... and no stale .ko stays" [ ! -e "$ko" ]
	rm -rf "$RIG_BUILD/module/$kernel-selftest"
}

# Two runs at once, with everything but the kernels still to be made.
test_cold() {
	local first
	mkdir -p "$dir/build"
	ln -s "$RIG_KERNELS" "$dir/build/kernels"
	TIDEMARK_BUILD=$dir/build tests/guest/run --kernel "$kernel" --module none -- \
		echo one > "$dir/first" 2>&1 &
	TIDEMARK_BUILD=$dir/build guest -- echo two
	wait $!
	first=$?
	check "two runs at once on a cold cache: the first" [ "$first" -eq 0 ]
	check "... and the second" stdout_is two
	check "no folder of a run is left" [ -z "$(ls -d "$dir"/build/guest/run.* 2> /dev/null)" ]
}

test_icount() {
	local i
	for i in 1 2; do
		guest --icount --cpus 1 -- bash -c 'echo $((6 * 7))'
		check "--icount, boot $i" stdout_is 42
	done
}

tests=(command streams files inside disks kill failures anew cable host module cold icount)
for name in "${@:-${tests[@]}}"; do
	"test_$name"
done
echo "1..$count"
[[ $failed -eq 0 ]]
