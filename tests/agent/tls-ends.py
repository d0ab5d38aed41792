# SPDX-License-Identifier: GPL-2.0-or-later
"""A relay that may read what passes: towards the sender it is the receiver, towards the
receiver it is the sender, for it has the certificates of both.

tls-ends.py PORT RECEIVER-TLS SENDER-TLS PORT-FILE ENDS-FILE

What comes to the port in PORT-FILE goes on to 127.0.0.1:PORT, and back. How each side of
each connection has ended is a line of ENDS-FILE: "sender" or "receiver", and "notified", by
close_notify, or "cut". The end of one side is passed on to the other as what it was.
"""
import os
import select
import socket
import ssl
import sys
import threading

CUT = (ssl.SSLError, OSError)


def context(protocol, folder, role):
    c = ssl.SSLContext(protocol)
    c.minimum_version = ssl.TLSVersion.TLSv1_3
    c.verify_mode = ssl.CERT_REQUIRED
    c.load_verify_locations(f"{folder}/ca-cert.pem")
    c.load_cert_chain(f"{folder}/{role}-cert.pem", f"{folder}/{role}-key.pem")
    return c


def first_end(near, far):
    """Carries until one side ends. Return: which, and how"""
    other = {near: far, far: near}
    while True:
        for side in [s for s in other if s.pending()] or select.select(list(other), [], [])[0]:
            try:
                data = side.recv(1 << 16)
            except CUT:
                return side, "cut"
            if not data:
                return side, "notified"
            other[side].sendall(data)


def answered(side):
    """Ends our half, and waits for what the other side says to that."""
    try:
        side.unwrap()
    except CUT:
        return "cut"
    return "notified"


def serve(sender, to_sender, to_receiver, port, table):
    try:
        near = to_sender.wrap_socket(sender, server_side=True, suppress_ragged_eofs=False)
        far = to_receiver.wrap_socket(socket.create_connection(("127.0.0.1", port)),
                                      server_hostname="127.0.0.1", suppress_ragged_eofs=False)
    except CUT:
        return
    names = {near: "sender", far: "receiver"}
    side, how = first_end(near, far)
    other = far if side is near else near
    lines = f"{names[side]} {how}\n"
    if how == "notified":
        lines += f"{names[other]} {answered(other)}\n"
    os.write(table, lines.encode())
    near.close()
    far.close()


def main():
    port, receiver, sender, port_file, ends = sys.argv[1:]
    to_sender = context(ssl.PROTOCOL_TLS_SERVER, receiver, "server")
    to_receiver = context(ssl.PROTOCOL_TLS_CLIENT, sender, "client")
    table = os.open(ends, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    listener = socket.create_server(("127.0.0.1", 0))
    with open(port_file + ".new", "w", encoding="ascii") as f:
        f.write(str(listener.getsockname()[1]))
    os.rename(port_file + ".new", port_file)
    while True:
        s, _ = listener.accept()
        threading.Thread(target=serve, args=(s, to_sender, to_receiver, int(port), table),
                         daemon=True).start()


main()
