#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Has spin search every state of persistence.pml, and find a violation in each
# variant that lacks a rule. In the whole model every statement must have been
# reached: what never happens proves nothing.
#
# tests/model/run.sh [long]
set -u
cd "$(dirname "$0")/../.." || exit 1
# shellcheck source=tests/tap.sh
. tests/tap.sh
model=$PWD/tests/model/persistence.pml
out=$PWD/build/model
pan=(-w22 -m2000 -E)

if ! command -v spin > /dev/null; then
    skip "the model" "spin (Debian package spin) is not installed"
    tap_end
    exit
fi

# search NAME CFLAGS SPINFLAGS...: leaves $out/NAME/log
search() {
    local dir=$out/$1 cflags
    read -ra cflags <<< "$2"
    shift 2
    rm -rf "$dir"
    mkdir -p "$dir"
    (
        cd "$dir" || exit 1
        spin -a "$@" "$model" > spin.log 2>&1 &&
            gcc -DSAFETY -DNOREDUCE "${cflags[@]}" -o pan pan.c 2> gcc.log &&
            ./pan "${pan[@]}" > log 2>&1
    )
}

# number NAME WHAT: of spin's report
number() {
    sed -nE "s/.*errors: ([0-9]+).*/errors \1/p; s/^ *([0-9]+) states, stored.*/states \1/p" \
        "$out/$1/log" | awk -v what="$2" '$1 == what { print $2 }'
}

# whole NAME SPINFLAGS...: no violation, all of it searched and reached
whole() {
    local name=$1
    shift
    search "$name" -O2 "$@"
    is "$name: $(number "$name" states) states, no violation" "$(number "$name" errors)" 0
    is "$name: the search was complete" \
        "$(grep -cE 'max search depth|out of memory|not completed' "$out/$name/log")" 0
}

# mutant RULE WHAT-IT-DOES SPINFLAGS...: spin finds a violation of an assertion
mutant() {
    local rule=$1 what=$2
    shift 2
    # Hashes of states do to find something; only the absence needs all of them.
    search "$rule" "-O1 -DHC4" -D"$rule" "$@"
    ok "$rule: $what: found" grep -q "assertion violated" "$out/$rule/log"
}

whole extents
is "extents: every statement was reached" \
    "$(sed -n '/^unreached/,/^$/p' "$out/extents/log" | grep persistence.pml | grep -vc -- -end-)" 0
whole one-extent -DONE_EXTENT
whole two-cuts -DCUTS=2 -DEPOCHS=1 -DROLLBACKS=0
if [ "${1:-}" = long ]; then
    whole three-epochs -DEPOCHS=3
    whole two-cuts-two-epochs -DCUTS=2 -DEPOCHS=2
    whole three-writes -DWRITES=3
fi

mutant NO_INTENT "no intent at all"
mutant INTENT_AFTER_DATA "the data does not wait for the intent"
mutant INTENT_NOT_DURABLE "a write goes on when the intent is written, not durable"
mutant RETIRING_COUNTS "a write relies on an intent that is about to be cleared"
mutant DROP_AFTER_SNAPSHOT "the bitmap is copied before writes are told to arm again"
mutant CLEAR_BEFORE_FLUSH "the intent is cleared before the bitmap is durable"
mutant NO_CHECKSUM "a torn unit is believed"
mutant INTENT_DROPPED_AT_LOAD "the intent goes at the load, before a checkpoint" -DCUTS=2
mutant FOLD_FORGETS "a fold forgets what was sealed"
mutant READ_BEFORE_DRAIN "a sealed epoch is read before it has drained"
mutant ANSWER_BEFORE_DURABLE "the replica says durable before it is"
mutant NO_DATA_FLUSH "marks go while the data they stand for is in a volatile cache"
mutant CLEAR_BEFORE_SUPER "marks go before the superblock says committed"
mutant SEAL_NOT_RECORDED "an epoch's number is used again after a cut" -DEPOCHS=4
mutant NO_EPOCH_CHECK "the replica's epoch is not looked at"
tap_end
