# SPDX-License-Identifier: GPL-2.0-or-later
"""Says HELLO with one certificate, and JOIN with the token of the answer with another.

join.py PORT CA FOLDER FOLDER WRONG     WRONG: bits to turn in the token

Prints JOINED, or code and sentence of the ERROR.
"""
import ctypes
import ctypes.util
import socket
import ssl
import struct
import sys

HELLO, WELCOME, JOIN, JOINED = 1, 2, 24, 25
lib = ctypes.CDLL(ctypes.util.find_library("xxhash"))
lib.XXH3_64bits.restype = ctypes.c_uint64
lib.XXH3_64bits.argtypes = [ctypes.c_char_p, ctypes.c_size_t]


def name(text):
    return text.encode().ljust(64, b"\0")


def dial(port, ca, folder):
    context = ssl.create_default_context(cafile=ca)
    context.check_hostname = False
    context.load_cert_chain(folder + "/client-cert.pem", folder + "/client-key.pem")
    return context.wrap_socket(socket.create_connection(("127.0.0.1", port)))


def send(peer, kind, payload):
    head = struct.pack("<IBBHIIQQQ", 0x4b4d4454, 1, kind, 0, len(payload), 0, 0, 0, 0)
    covered = head + payload
    peer.sendall(head + struct.pack("<Q", lib.XXH3_64bits(covered, len(covered))) + payload)


def exactly(peer, size):
    data = b""
    while len(data) < size:
        piece = peer.recv(size - len(data))
        if not piece:
            sys.exit("closed")
        data += piece
    return data


def receive(peer):
    head = exactly(peer, 48)
    return head[5], exactly(peer, struct.unpack("<I", head[8:12])[0])


port, ca, first, second, wrong = sys.argv[1:]
run = dial(int(port), ca, first)
send(run, HELLO, struct.pack("<HHI", 1, 1, 255) + name("node") + name("c"))
kind, welcome = receive(run)
if kind != WELCOME:
    sys.exit("no WELCOME: %r" % welcome)
lane = dial(int(port), ca, second)
token = bytes([welcome[8] ^ int(wrong)]) + welcome[9:24]
send(lane, JOIN, token + struct.pack("<II", 0, 0))
kind, answer = receive(lane)
if kind == JOINED:
    print("JOINED")
else:
    print(struct.unpack("<I", answer[:4])[0], answer[4:].decode())
