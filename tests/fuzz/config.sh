#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# tests/fuzz/config.sh [SECONDS]: malformed configuration
exec "$(dirname "$0")/run.sh" "${1:-60}" fuzz-config
