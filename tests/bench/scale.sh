#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What a resynchronization costs against the size of the disk: the same 200 MiB changed
# on sparse disks of 1 GiB to 1 TiB. See scale.py.
set -eu
cd "$(dirname "$0")/../.."
exec python3 tests/bench/scale.py "$@"
