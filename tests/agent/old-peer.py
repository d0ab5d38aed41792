# SPDX-License-Identifier: GPL-2.0-or-later
"""A receiver that is older than some features: a relay that hides them from it.

old-peer.py PORT FEATURES PORT-FILE

What comes to the port in PORT-FILE goes on to 127.0.0.1:PORT, and back; but in HELLO
only FEATURES are left, so that the receiver does what it did before it had others.
"""
import ctypes
import os
import socket
import struct
import sys
import threading

HEADER, HELLO_SIZE = 48, 136
xxh3 = ctypes.CDLL("libxxhash.so.0").XXH3_64bits
xxh3.restype = ctypes.c_uint64
xxh3.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def whole(sock, size):
    data = b""
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise EOFError
        data += piece
    return data


def relay(source, target):
    try:
        while data := source.recv(1 << 16):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


def serve(sender, port, features):
    try:
        hello = whole(sender, HEADER + HELLO_SIZE)
        receiver = socket.create_connection(("127.0.0.1", port))
        said = struct.unpack_from("<I", hello, HEADER + 4)[0]
        payload = hello[HEADER:HEADER + 4] + struct.pack("<I", said & features) + \
            hello[HEADER + 8:]
        head = hello[:HEADER - 8]
        receiver.sendall(head + struct.pack("<Q", xxh3(head + payload, len(head + payload))) +
                         payload)
    except (OSError, EOFError):
        return
    threading.Thread(target=relay, args=(receiver, sender), daemon=True).start()
    relay(sender, receiver)


def main():
    port, features, port_file = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
    listener = socket.create_server(("127.0.0.1", 0))
    with open(port_file + ".new", "w", encoding="ascii") as f:
        f.write(str(listener.getsockname()[1]))
    os.rename(port_file + ".new", port_file)
    while True:
        sender, _ = listener.accept()
        threading.Thread(target=serve, args=(sender, port, features), daemon=True).start()


main()
