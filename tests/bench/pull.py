# SPDX-License-Identifier: GPL-2.0-or-later
"""What a backup program does with QEMU's dirty bitmap: pull the dirty ranges over NBD.

pull.py URI BITMAP TARGET

Asks for all of the bitmap first (-: everything is dirty), then reads the dirty ranges in
disk order, several at a time, writes them at the same place of TARGET, and makes them
durable.
"""
import os
import sys

import nbd

PIECE = 1 << 20
IN_FLIGHT = 16


def dirty_ranges(handle, context):
    """What the bitmap has set, in order."""
    ranges, size, at = [], handle.get_size(), 0

    def extents(name, offset, entries, _error):
        nonlocal at
        if name != context:
            return
        for length, flags in zip(entries[::2], entries[1::2]):
            if flags & 1:
                ranges.append((offset, length))
            offset += length
        at = offset

    while at < size:
        before = at
        # A question has 32 bits for its length, and less may be answered.
        handle.block_status(min(size - at, 1 << 31), at, extents)
        if at == before:
            sys.exit("pull: no answer about the bitmap")
    return ranges


def pieces(ranges):
    for offset, length in ranges:
        for at in range(offset, offset + length, PIECE):
            yield at, min(PIECE, offset + length - at)


def main():
    uri, bitmap, target = sys.argv[1:]
    context = "qemu:dirty-bitmap:" + bitmap
    handle = nbd.NBD()
    if bitmap != "-":
        handle.add_meta_context(context)
    handle.connect_uri(uri)
    if bitmap != "-" and not handle.can_meta_context(context):
        sys.exit("pull: the export has no bitmap " + bitmap)
    ranges = [(0, handle.get_size())] if bitmap == "-" else dirty_ranges(handle, context)
    flying = {}
    with open(target, "r+b", buffering=0) as out:
        def land(count):
            while len(flying) > count:
                handle.poll(-1)
                for cookie in [c for c in flying if handle.aio_command_completed(c)]:
                    offset, data = flying.pop(cookie)
                    out.seek(offset)
                    out.write(data.to_bytearray())

        for offset, length in pieces(ranges):
            land(IN_FLIGHT - 1)
            data = nbd.Buffer(length)
            flying[handle.aio_pread(data, offset)] = (offset, data)
        land(0)
        os.fdatasync(out.fileno())
    handle.shutdown()


if __name__ == "__main__":
    main()
