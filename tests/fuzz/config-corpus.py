# SPDX-License-Identifier: GPL-2.0-or-later
"""Writes small corpora for fuzz-config and fuzz-trackers.

config-corpus.py CONFIG-FOLDER TRACKERS-FOLDER
"""
import os
import re
import sys

SENDER = """[agent]
state_dir=/s
bus=none
log=debug
rate_limit=500M
rate_rules=Fri 22:00-06:00 1G
[collection web]
replica=127.0.0.1:7450 ; comment
max_passes=5
pool_limit=32M
rate_rules=Mon-Fri Sun 08:00-24:00 20M, 22:00-06:00 0
latency_limit=20
timeout=7
[disk web/web01/vda]
device=/dev/x
[disk web/web01/vdb]
device=/img
tracking=none
granule=4M
"""
RECEIVER = """# comment
[receiver]
listen=[::1]:99
store=/r
plain=no
[replica web/web01/vda]
path=/dev/y
force=yes
"""
TRACKERS = """# name device options
web01 /dev/disk/by-id/x granule=16K,read-only
- /dev/vg0/web02 -
db /dev/y
"""


def write(folder, name, text):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as f:
        f.write(text)


def examples(path):
    """The configurations that the manual page shows."""
    with open(path, encoding="utf-8") as f:
        text = f.read()
    for block in re.findall(r"\.Bd [^\n]*\n(.*?)\.Ed", text, re.S):
        if block.lstrip().startswith("["):
            yield block.replace("\\-", "-").replace("\\&", "")


config, trackers = sys.argv[1:]
write(config, "sender", SENDER)
write(config, "receiver", RECEIVER)
write(config, "both", SENDER + RECEIVER)
for i, example in enumerate(examples("Documentation/man/tidemark.conf.5")):
    write(config, f"example-{i}", example)
write(trackers, "table", TRACKERS)
