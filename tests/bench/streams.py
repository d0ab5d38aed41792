# SPDX-License-Identifier: GPL-2.0-or-later
"""streams.py PORT: standard input goes to a TCP connection, what comes back to standard output.

It ends when the other side does, as ssh does: bdsync waits for that with its end still open.
"""
import os
import socket
import sys
import threading


def carry(source, target):
    while data := os.read(source, 1 << 16):
        while data:
            data = data[os.write(target, data):]


def main():
    connection = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
    threading.Thread(target=carry, args=(0, connection.fileno()), daemon=True).start()
    carry(connection.fileno(), 1)
    os._exit(0)


if __name__ == "__main__":
    main()
