#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# look.py META DISK REPLICA: what a metadata device says of a disk that a cut has
# left, against the disk's own image and the replica's. META is what `tidemark meta
# dump --json --runs` prints. Prints, as words: state, granules that differ, those of
# them that do not count as changed, granules that count as changed, those of them
# that do so by intent alone, extents with intent, the last committed epoch.
import json
import sys

meta = json.load(open(sys.argv[1]))
granule = meta["granule"]
changed = set()
for first, count in meta["runs"]:
    changed.update(range(first, first + count))
a, b = open(sys.argv[2], "rb"), open(sys.argv[3], "rb")
differs = set()
for i in range(meta["granules"]):
    if a.read(granule) != b.read(granule):
        differs.add(i)
print(meta["state"], len(differs), len(differs - changed), len(changed),
      len(changed) - meta["marked"], meta["intents"], meta["committed_epoch"])
