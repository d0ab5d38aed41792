# SPDX-License-Identifier: GPL-2.0-or-later
"""Throws arguments at every method and property of an agent on a private bus.

throw.py ADDRESS FOLDER SECONDS SEED

What there is it learns by introspection, again and again: objects come and go.
Arguments have the type that introspection names, or another one; values are
names that exist, boundaries, very long, empty, odd. An answer is sane if it is
of the type that introspection names, or an error of D-Bus or of ours, with a
text; ours begin with their number. No answer within a minute is a fault, too.
Ends with what was done, status 1 if anything was wrong. FOLDER: for paths.
"""
import collections
import random
import re
import sys
import time
import xml.etree.ElementTree as xml

import dbus
import dbus.lowlevel
from dbus.connection import Connection

NAME = "org.tidemark.Replication1"
ROOT = "/org/tidemark/Replication1"
TIMEOUT = 60
OURS = re.compile(r"^(3277\d|3276[89]): .")
# A handler that forwards an errno without having said a sentence about it.
RAW = re.compile(r"^System\.Error\.")
NUMBERED = re.compile(r"^org\.tidemark\.Replication1\.Error\.")

RANGES = {"y": (0, 255), "n": (-2**15, 2**15 - 1), "q": (0, 2**16 - 1),
          "i": (-2**31, 2**31 - 1), "u": (0, 2**32 - 1),
          "x": (-2**63, 2**63 - 1), "t": (0, 2**64 - 1)}
MAKERS = {"y": dbus.Byte, "n": dbus.Int16, "q": dbus.UInt16, "i": dbus.Int32,
          "u": dbus.UInt32, "x": dbus.Int64, "t": dbus.UInt64}
SIGNATURES = ["", "s", "ss", "u", "a{sv}", "sa{sv}", "ssba{sv}", "v", "as", "(su)", "ao",
              "aaaaaas", "a{s(iv)}", "dt", "g", "ay", "bbbb", "xtnqiuy"]
SIMPLE = ["y", "b", "n", "q", "i", "u", "x", "t", "d", "s", "o", "g", "v", "as", "ay",
          "a{sv}", "(si)", "aav"]
WORDS = ["", "c", "vm", "d0", "c/vm", "c/vm/d0", "none", "/", ".", "..", "../../etc", "web",
         "c\n", " c", "c ", "%s%n%x", "C", "\u202ec", "\U0001f9ff", "-1", "0", "18446744073709551616",
         "';drop table job;--", "*", "127.0.0.1:1", "[::1]:99999", "host:0", "all",
         # datetimes and intervals of the management model, right and wrong
         "20261126221500.000000+060", "20261126221500.000000-000", "00000001000000.000000:000",
         "**************.******+***", "20269926995900.000000+000", "********0000**.******+000",
         "20261126221500.000000+060x", "99999999235959.999999:000", "now"]
OPTIONS = ["Compare", "Paranoid", "Force", "DryRun", "StartTime", "Reason", "Timeout", "Keep", "Point",
           "IncludeSuspended", "", "x"]


class Fuzzer:
    def __init__(self, address, folder, seed):
        self.random = random.Random(seed)
        self.bus = Connection(address)
        self.bus.call_blocking("org.freedesktop.DBus", "/org/freedesktop/DBus",
                               "org.freedesktop.DBus", "Hello", "", ())
        self.folder = folder
        self.counts = collections.Counter()
        self.faults = []
        self.budget = 0
        self.methods, self.properties = [], []

    # -- what there is ---------------------------------------------------

    def learn(self):
        """All methods and properties of all objects."""
        self.methods, self.properties, todo, seen = [], [], [ROOT], set()
        while todo and len(seen) < 200:
            path = todo.pop()
            if path in seen:
                continue
            seen.add(path)
            try:
                text = self.bus.call_blocking(NAME, path, "org.freedesktop.DBus.Introspectable",
                                              "Introspect", "", (), timeout=TIMEOUT)
            except dbus.DBusException as e:
                # a job may have been removed meanwhile
                if "Unknown" not in e.get_dbus_name():
                    self.faults.append(f"Introspect {path}: {e}")
                continue
            self.learn_object(path, xml.fromstring(text), todo)

    def learn_object(self, path, node, todo):
        for child in node.findall("node"):
            todo.append(path.rstrip("/") + "/" + child.get("name"))
        for interface in node.findall("interface"):
            name = interface.get("name")
            for method in interface.findall("method"):
                args = [(a.get("direction", "in"), a.get("type"), a.get("name") or "")
                        for a in method.findall("arg")]
                self.methods.append((path, name, method.get("name"),
                                     [a for a in args if a[0] == "in"],
                                     "".join(a[1] for a in args if a[0] == "out")))
            for prop in interface.findall("property"):
                self.properties.append((path, name, prop.get("name"), prop.get("type"),
                                        prop.get("access")))

    # -- values ----------------------------------------------------------

    def text(self):
        # a bus hangs up on who sends it more than its limit
        text = self.any_text() if self.budget > 0 else "c"
        self.budget -= len(text)
        return text

    def any_text(self):
        r = self.random.random()
        if r < 0.75:
            return self.random.choice(WORDS)
        if r < 0.85:
            return self.folder + "/" + self.random.choice(["d0.img", "nothing", "sender"])
        if r < 0.9:
            return self.random.choice("cx/\u00e9") * self.random.choice([63, 64, 65, 255, 4096])
        if r < 0.91:
            return "x" * (1 << 20)
        return "".join(chr(self.random.choice([9, 10, 32, 37, 47, 65, 99, 0x7f, 0xe9, 0xffff - 2]))
                       for _ in range(self.random.randrange(40)))

    def number(self, kind):
        low, high = RANGES[kind]
        value = self.random.choice([low, high, 0, 1, high // 2, high // 2 + 1, 4096, 32768, 7,
                                    self.random.randint(low, high), self.random.randint(0, 20)])
        return MAKERS[kind](min(max(value, low), high))

    def path(self):
        known = [m[0] for m in self.methods] or ["/"]
        return self.random.choice([self.random.choice(known), "/", ROOT + "/Job/1", ROOT + "/Job/0",
                                   ROOT + "/Collection/c", ROOT + "/Job/99999999999999999999",
                                   ROOT + "/_", "/a/b/c", ROOT + "/Collection/_2e_2e"])

    def dictionary(self, signature, depth):
        key, value = list(dbus.Signature(signature[2:-1]))
        result = dbus.Dictionary({}, signature=signature[2:-1])
        for _ in range(self.random.choice([0, 0, 0, 1, 1, 2, 30])):
            name = self.random.choice(OPTIONS) if key == "s" and self.random.random() < 0.7 \
                else self.value(key, depth + 1)
            result[name] = self.value(value, depth + 1)
        return result

    def value(self, signature, depth=0):
        kind = signature[0]
        if kind in RANGES:
            return self.number(kind)
        if kind == "s":
            return dbus.String(self.text())
        if kind == "b":
            return dbus.Boolean(self.random.random() < 0.5)
        if kind == "d":
            return dbus.Double(self.random.choice([0.0, -1.5, 1e308, float("nan"), float("-inf")]))
        if kind == "o":
            return dbus.ObjectPath(self.path())
        if kind == "g":
            return dbus.Signature(self.random.choice(SIGNATURES))
        if kind == "v":
            inner = self.random.choice(SIMPLE if depth < 3 else ["s", "u", "b"])
            value = self.value(inner, depth + 1)
            return type(value)(value, variant_level=getattr(value, "variant_level", 0) + 1) \
                if inner[0] not in "a(" else dbus.String("v", variant_level=1)
        if kind == "(":
            return dbus.Struct([self.value(s, depth + 1) for s in dbus.Signature(signature[1:-1])],
                               signature=signature[1:-1])
        if signature[1] == "{":
            return self.dictionary(signature, depth)
        count = self.random.choice([0, 1, 2, 500]) if depth < 2 else self.random.choice([0, 1])
        return dbus.Array([self.value(signature[1:], depth + 1) for _ in range(count)],
                          signature=signature[1:])

    # -- calls -----------------------------------------------------------

    def call(self, path, interface, member, signature, args, wanted):
        message = dbus.lowlevel.MethodCallMessage(NAME, path, interface, member)
        message.append(*args, signature=signature)
        title = f"{path} {interface}.{member}({signature})"
        try:
            reply = self.bus.send_message_with_reply_and_block(message, TIMEOUT)
        except dbus.DBusException as e:
            self.judge_error(title, e)
            return
        self.counts["answers"] += 1
        if wanted is not None and reply.get_signature() != wanted:
            self.faults.append(f"{title}: answers {reply.get_signature()}, not {wanted}")

    def judge_error(self, title, error):
        name, text = error.get_dbus_name(), error.get_dbus_message() or ""
        self.counts["refusals"] += 1
        self.counts[f"  {name}"] += 1
        if name in ("org.freedesktop.DBus.Error.NoReply", "org.freedesktop.DBus.Error.ServiceUnknown",
                    "org.freedesktop.DBus.Error.Disconnected"):
            self.faults.append(f"{title}: {name}")
            raise SystemExit(self.end())
        if not text or RAW.match(name) or (NUMBERED.match(name) and not OURS.match(text)) \
                or OURS.match(text) and any(ord(c) < 32 or ord(c) == 127 for c in text):
            self.faults.append(f"{title}: {name}: {text[:200]!r}")

    def one_method(self):
        path, interface, member, ins, outs = self.random.choice(self.methods)
        self.budget = 2 << 20
        signature = "".join(a[1] for a in ins)
        if self.random.random() < 0.1:
            signature = self.random.choice(SIGNATURES)
        if self.random.random() < 0.05:
            path, outs = self.path(), None
        args = [self.value(s) for s in dbus.Signature(signature)]
        self.call(path, interface, member, signature, args, outs)

    def one_property(self):
        path, interface, name, _, _ = self.random.choice(self.properties)
        self.budget = 2 << 20
        properties = "org.freedesktop.DBus.Properties"
        if self.random.random() < 0.1:
            name = self.text()[:200]
        r = self.random.random()
        if r < 0.5:
            self.call(path, properties, "Get", "ss", [interface, name], "v")
        elif r < 0.7:
            self.call(path, properties, "GetAll", "s", [interface], "a{sv}")
        else:
            self.call(path, properties, "Set", "ssv", [interface, name, self.value("v")], None)

    def run(self, seconds):
        end, learned = time.monotonic() + seconds, 0
        while time.monotonic() < end and len(self.faults) < 20:
            if time.monotonic() - learned > 3:
                self.learn()
                learned = time.monotonic()
            if self.properties and self.random.random() < 0.2:
                self.one_property()
            else:
                self.one_method()
        return self.end()

    def end(self):
        for fault in self.faults:
            print("fault:", fault)
        for key, count in sorted(self.counts.items()):
            print(f"{key}: {count}")
        members = len({m[1:3] for m in self.methods}), len({p[1:3] for p in self.properties})
        print(f"{self.counts['answers']} answers and {self.counts['refusals']} refusals of "
              f"{members[0]} methods and {members[1]} properties in {len(self.faults)} faults")
        return 1 if self.faults or not self.counts["answers"] else 0


if __name__ == "__main__":
    sys.exit(Fuzzer(sys.argv[1], sys.argv[2], int(sys.argv[4])).run(float(sys.argv[3])))
