#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Builds programs and tests of user space with sanitizers, and runs them so.
#
# tests/sanitize/run.sh address|thread [all]
#
#   address   AddressSanitizer, LeakSanitizer, UBSan    build/san
#   thread    ThreadSanitizer                           build/tsan
#
# Without "all": the agent with its ways through wire, store, service and threads, and
# only what is needed for that is built; the command is the usual one. With it, every
# unit test and every test of tests/agent.
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh

case ${1:-} in
address) san=1 build=build/san ;;
thread) san=thread build=build/tsan ;;
*) echo "usage: tests/sanitize/run.sh address|thread [all]" >&2; exit 2 ;;
esac
unit=(config/test-config wire/test-session send/test-run send/test-members
    receive/test-intake service/test-method service/test-record point/test-overlay
    send/test-held send/test-streams send/test-outlet ring/test-lend service/test-rate
    tls/test-offload)
unit=("${unit[@]/#/$build/unit/}")
agent=(tests/agent/plain.sh tests/agent/initial.sh)
target=("$build/bin/tidemarkd" "${unit[@]}")
if [ "${2:-}" = all ]; then
    agent=(tests/agent/*.sh)
    target=(user test-programs)
fi

# What was freed is kept to find who uses it: not so much that memory grows. A
# race that was reported once ends the program with a status of its own.
export ASAN_OPTIONS=quarantine_size_mb=2:detect_leaks=1 UBSAN_OPTIONS=print_stacktrace=1
export TSAN_OPTIONS=exitcode=66:second_deadlock_stack=1:suppressions=$PWD/tests/sanitize/tsan.supp

# A sanitizer that cannot work here would pass everything: it must find this.
probe() {
    cat > "$build/probe.c" << 'END'
#include <pthread.h>
#include <stdlib.h>
static int shared;
static void *other(void *arg) { shared++; return arg; }
int main(void)
{
	pthread_t t;
	volatile char *p = malloc(8);

	pthread_create(&t, NULL, other, NULL);
	shared++;
	pthread_join(t, NULL);
	return p[8];
}
END
    cc -g -pthread -fsanitize="$1" -o "$build/probe" "$build/probe.c" &&
        ! "$build/probe" 2> "$build/probe.log" && grep -q Sanitizer "$build/probe.log"
}

# whole COMMAND...: it passes, and no sanitizer says anything
whole() {
    local log=$build/log/${1//\//-}.log status=0
    CMOCKA_MESSAGE_OUTPUT=TAP TIDEMARK_BUILD=$build timeout 1200 "$@" > "$log" 2>&1 || status=$?
    if [ $status != 0 ] || grep -qaE 'Sanitizer|runtime error' "$log"; then
        echo "exit status $status; the log, $log:"
        grep -naE -A25 'Sanitizer|runtime error|^not ok' "$log" | head -60
        tail -n 5 "$log"
        return 1
    fi
}

mkdir -p "$build/log"
ok "a planted fault is found" probe "$1"
ok "it builds" make -s -j2 SAN=$san "${target[@]}"
[ -e "$build/bin/tidemark" ] || cp build/bin/tidemark "$build/bin/"
[ "${2:-}" != all ] || unit=("$build"/unit/*/test-*)
for test in "${unit[@]}"; do
    [ -x "$test" ] || continue
    ok "unit/${test#"$build"/unit/}" whole "$test"
done
for test in "${agent[@]}"; do
    ok "$test" whole "$test"
done
tap_end
