# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes a small corpus for fuzz-session: whole runs, checksums left at 0.

corpus.py FOLDER
"""
import os
import struct
import sys

HELLO, OPEN, BEGIN, DATA, ZERO, HASH, PASS, END, COMMIT, ABORT, ERROR, PING, DROP, SEALED, \
    PACKED, JOIN, TAKE, PACKED_LZ4 = \
    1, 3, 5, 7, 8, 9, 11, 12, 13, 15, 16, 17, 19, 22, 23, 24, 26, 27
# 64 KiB, of "abcd" again and again by zstd, of "a" and "b" by LZ4
ZSTD = bytes.fromhex("28b52ffd6000ff65000020616263640100f9ff754704")
LZ4 = b"\x2fab\x02\0" + b"\xff" * 256 + b"\xe6" + b"\x50babab"


def name(text):
    return text.encode().ljust(64, b"\0")


def frame(kind, payload=b"", disk=0, offset=0, span=0, epoch=0, flags=0):
    return struct.pack("<IBBHIIQQQQ", 0x4b4d4454, 1, kind, flags, len(payload), disk,
                       offset, span, epoch, 0) + payload


def hello(features=0):
    return frame(HELLO, struct.pack("<HHI", 1, 1, features) + name("node") + name("web"))


def open_disk(disk, size, granule):
    return frame(OPEN, name("vm1") + name("vd%d" % disk) + bytes(16) +
                 struct.pack("<QII", size, granule, 0), disk=disk)


def begin(disk, mode):
    return frame(BEGIN, struct.pack("<II", mode, 0), disk=disk, epoch=1)


def end(disk, frames=0, total=0, digest=0):
    return frame(END, struct.pack("<QQQ", frames, total, digest), disk=disk, epoch=2)


RUNS = {
    "empty": hello() + open_disk(0, 1 << 20, 65536) + begin(0, 1) + end(0) + frame(COMMIT),
    "chunks": hello() + open_disk(0, (1 << 20) + 512, 4096) + begin(0, 2) +
    frame(DATA, bytes(4096), span=4096, epoch=1) +
    frame(ZERO, offset=4096, span=8192, epoch=1) + frame(PASS) +
    frame(DATA, bytes(512), offset=1 << 20, span=512, epoch=2) + frame(PING) + end(0, 3),
    "compare": hello() + open_disk(0, 1 << 30, 4 << 20) + begin(0, 3) +
    frame(HASH, span=1 << 30) + frame(ZERO, span=1 << 20, epoch=1) + frame(ABORT),
    "disks": hello() + b"".join(open_disk(i, 4096 << i, 4096) for i in range(8)) +
    b"".join(begin(i, 1 + i % 4) for i in range(8)) + b"".join(end(i) for i in range(3)),
    "dropped": hello(7) + b"".join(open_disk(i, 1 << 20, 65536) for i in range(3)) +
    b"".join(begin(i, 2) for i in range(3)) + frame(ZERO, span=65536, epoch=1) +
    frame(DROP, struct.pack("<I", 32768) + b"gone", disk=0) + end(1) + end(2) +
    frame(COMMIT, struct.pack("<IIII", 1, 24, 1, 0)),
    "sealed": hello(15) + open_disk(0, 1 << 20, 65536) +
    frame(BEGIN, struct.pack("<II", 2, 2), epoch=1) +
    frame(SEALED, struct.pack("<IIQQ", 0, 0, 0, 65536), epoch=2) +
    frame(SEALED, struct.pack("<II", 1, 0), epoch=2) + frame(ZERO, span=65536, epoch=2) +
    frame(PASS) + frame(SEALED, struct.pack("<IIQQ", 1, 0, 65536, 65536), epoch=3) + end(0),
    "packed": hello(63) + open_disk(0, 1 << 20, 65536) + begin(0, 2) +
    frame(PACKED, ZSTD, span=65536, epoch=2),
    "packed-lz4": hello(511) + open_disk(0, 1 << 20, 65536) + begin(0, 2) +
    frame(PACKED_LZ4, LZ4, span=65536, epoch=2) + frame(PACKED, ZSTD, offset=65536, span=65536, epoch=2) +
    frame(TAKE, struct.pack("<II", 1, 1)) + frame(PACKED_LZ4, LZ4, offset=131072, span=65536, epoch=2),
    "paranoid": hello(127) + open_disk(0, 1 << 30, 4096) + begin(0, 3) +
    frame(HASH, span=1 << 27) + frame(HASH, offset=1 << 27, span=65536) +
    frame(ZERO, span=65536, epoch=1) + frame(HASH, span=(1 << 27) + 4096),
    "lanes": hello(255) + open_disk(0, (1 << 20) + 512, 4096) + begin(0, 1) +
    frame(TAKE, struct.pack("<II", 7, 2)) + frame(DATA, bytes(4096), span=4096, epoch=1) +
    frame(PACKED, ZSTD, offset=65536, span=65536, epoch=1) + frame(ZERO, offset=131072, span=65536, epoch=1) +
    frame(TAKE, struct.pack("<II", 0, 1)) + frame(DATA, bytes(512), offset=1 << 20, span=512, epoch=1) +
    end(0),
    "lane": frame(JOIN, bytes(16) + struct.pack("<II", 3, 0)) + frame(PING),
    "skipped": hello() + frame(200, bytes(700), flags=1) +
    frame(ERROR, struct.pack("<I", 32768) + b"enough"),
}

for title, run in RUNS.items():
    with open(os.path.join(sys.argv[1], title), "wb") as f:
        f.write(b"\0" + run)
