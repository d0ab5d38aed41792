# SPDX-License-Identifier: GPL-2.0-or-later
"""Disk images for tests, always the same for the same seed.

image.py make FILE SIZE GRANULE SEED
image.py change OLD NEW GRANULE SEED [NEWSIZE]
image.py fill OLD NEW GRANULE SEED          data where there were zeroes
"""
import random
import shutil
import sys


def make(path, size, granule, seed):
    rng = random.Random(seed)
    with open(path, "wb") as f:
        f.truncate(size)
        for at in range(0, size, granule):
            if rng.random() < 0.6:
                f.seek(at)
                f.write(rng.randbytes(min(granule, size - at)))


def change(old, new, granule, seed, size=None):
    rng = random.Random(seed)
    shutil.copyfile(old, new)
    with open(new, "r+b") as f:
        if size:
            f.truncate(size)
        size = f.seek(0, 2)
        for at in range(0, size, granule):
            span = min(granule, size - at)
            dice = rng.random()
            if dice < 0.10:
                f.seek(at)
                f.write(rng.randbytes(span))
            elif dice < 0.15:
                f.seek(at)
                f.write(bytes(span))
        f.seek(size - 512)
        f.write(rng.randbytes(512))


def fill(old, new, granule, seed):
    rng = random.Random(seed)
    shutil.copyfile(old, new)
    with open(new, "r+b") as f:
        size = f.seek(0, 2)
        for at in range(0, size, granule):
            f.seek(at)
            span = min(granule, size - at)
            if f.read(span) == bytes(span):
                f.seek(at)
                f.write(rng.randbytes(span))


if __name__ == "__main__":
    verb, first, second = sys.argv[1:4]
    if verb == "make":
        make(first, int(second), int(sys.argv[4]), int(sys.argv[5]))
    elif verb == "fill":
        fill(first, second, int(sys.argv[4]), int(sys.argv[5]))
    else:
        change(first, second, int(sys.argv[4]), int(sys.argv[5]),
               int(sys.argv[6]) if len(sys.argv) > 6 else None)
