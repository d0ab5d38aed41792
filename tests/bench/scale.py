# SPDX-License-Identifier: GPL-2.0-or-later
"""What a resynchronization costs against the size of the disk.

scale.py [--rounds N] [--changed MIB] [--work FOLDER] [GIB...]

One sparse disk that grows from row to row, and its replica with it; in each row the same
amount changes, in granules of 64 KiB: "near", all in the first GiB, and "far", scattered
over the whole disk. Printed are medians: wall time, CPU of both sides, bytes that the
point takes beside those that changed, peak memory of each side. As in peers.py there is
no kernel module: the list of granules is given, so that what grows here is the share of
plan, point and merge.
"""
import argparse
import os
import random
import shutil
import statistics

import peers
from peers import GRANULE, Tidemark, cpu_of, drop_caches, peak_of, told

GIB = 1 << 30


class Disk:
    """What peers.Tidemark wants to know of a bench: here, a disk that grows."""
    full = False

    def __init__(self, work):
        self.work = work
        self.source = os.path.join(work, "source.img")
        self.list = os.path.join(work, "list")
        self.random = random.Random(1)
        self.granules = []
        with open(self.source, "wb") as f:
            f.truncate(GIB)

    def choose(self, size, count, far):
        with open(self.source, "r+b") as f:
            f.truncate(size)
        self.granules = sorted(self.random.sample(range((size if far else GIB) // GRANULE),
                                                  count))
        with open(self.list, "w") as f:
            f.writelines("%d %d\n" % (g * GRANULE, GRANULE) for g in self.granules)

    def change(self):
        with open(self.source, "r+b") as f:
            for granule in self.granules:
                f.seek(granule * GRANULE)
                f.write(self.random.randbytes(GRANULE))
            os.fsync(f.fileno())


class Replica(Tidemark):
    """A receiver that stays; its memory is that of the row, for it starts anew with each."""

    def start(self):
        self.store = os.path.join(self.bench.work, "store")
        self.begin()

    def once(self):
        before, beside = cpu_of(self.server.pid), self.written()
        wall, cpu, here = told(self.command())
        cpu += cpu_of(self.server.pid) - before
        beside = self.written() - beside - len(self.bench.granules) * GRANULE
        self.settle()
        return wall, cpu, beside, here, peak_of(self.server.pid)

    def written(self):
        with open("/proc/%d/io" % self.server.pid) as f:
            return int(f.read().split("write_bytes: ")[1].split()[0])


def row(disk, replica, size, far, args):
    disk.choose(size, (args.changed << 20) // GRANULE, far)
    replica.start()
    # The first one makes the disk grow.
    rows = []
    for _ in range(args.rounds + 1):
        disk.change()
        drop_caches()
        rows.append(replica.once())
    del rows[0]
    replica.server.stop()
    return [statistics.median(r[i] for r in rows) for i in range(5)]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--changed", type=int, default=200)
    parser.add_argument("--work", default="build/bench/scale")
    parser.add_argument("sizes", nargs="*", type=int)
    args = parser.parse_args()
    work = os.path.abspath(args.work)

    shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work)
    peers.versions()
    disk = Disk(work)
    replica = Replica(disk)
    replica.epoch = 0
    print("%d MiB changed\n%-18s %8s %8s %11s %8s %8s" %
          (args.changed, "median of %d" % args.rounds, "wall s", "CPU s", "beside MB", "here MiB",
           "there"))
    for far in False, True:
        for gib in args.sizes or [1, 16, 128, 1024]:
            m = row(disk, replica, gib * GIB, far, args)
            print("%-18s %8.2f %8.2f %11.1f %8.1f %8.1f" %
                  ("%d GiB, %s" % (gib, "far" if far else "near"), m[0], m[1], m[2] / 1e6,
                   m[3] / 1024, m[4] / 1024), flush=True)
    shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
