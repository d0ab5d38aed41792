#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Which part may know which: includes go one way, and a library has one owner.
# The table below is the law; Documentation/architecture.rst says why.
#
# tests/check/includes.sh [TREE]
. "$(dirname "$0")/lib.bash"

# layer FOLDER  MAY...      a folder of agent/ or tools/ and the project's other
#                           folders that its files may include ("*": all)
# owner HEADER  FILES       in module/, agent/ and tools/ only FILES include a
#                           header like that; the first line that matches holds
# bare  FILES   HEADER      FILES never include a header like that
# word  WORD    FILES       in module/ only FILES use the word in code
# HEADER, FILES and WORD are extended regular expressions that match as a whole.
rules() {
    cat <<'TABLE'
# The agent. Sender and receiver meet in the wire format and nowhere else; what
# steers them is above them: configuration fills what each part asks for, a job
# drives the sender, the bus shows and steers all.
layer agent              *
layer agent/base
layer agent/ring         base
layer agent/wire         base
layer agent/plan         base
layer agent/state        base
layer agent/point        base ring state
layer agent/receive      base ring tls wire point state
layer agent/freeze       base
layer agent/tls          base ring
layer agent/send         base freeze ring tls wire plan libtidemark
layer agent/watch        base send libtidemark
layer agent/config       base point receive send tls
layer agent/model        base
layer agent/job          base config model send state
layer agent/service      base config job model point receive send state
layer agent/failover     base config model point ring receive send service state wire
layer agent/bus          base config job model point receive send service state

# The command and the library know nothing of the agent's insides.
layer tools/libtidemark
layer tools/tidemark     libtidemark

# One owner for each library.
owner liburing\.h                   agent/ring/uring\.c
owner sqlite3\.h                    agent/state/.*
owner openssl/evp\.h               agent/wire/hash\.c|agent/tls/.*|tools/tidemark/pki.*
owner openssl/.*                    agent/tls/.*|tools/tidemark/pki.*
owner xxh.*\.h                      agent/base/xxh3\.h
owner zstd\.h                       agent/wire/pack\.c
owner lz4.*\.h                      agent/wire/pack\.c
owner blkid/.*                      agent/point/guard\.c|tools/tidemark/signature\.c
owner systemd/sd-bus.*              agent/bus/.*|tools/tidemark/bus(-[a-z]+)?\.[ch]
owner libdevmapper\.h               tools/libtidemark/dm\.c
owner netlink/.*                    tools/libtidemark/event\.c
owner linux/(ge)?netlink\.h        tools/libtidemark/event\.c|module/event\.c
owner libsmartcols.*                tools/tidemark/.*
owner libtidemark/tidemark\.h       .*
owner libtidemark/.*                tools/libtidemark/.*
owner linux/tidemark(-meta)?\.h     tools/.*|module/.*

# Parsing, encoding and planning are pure: they have no way to the world.
bare  agent/(wire|plan)/.*          (unistd|fcntl|poll|netdb|pthread|liburing)\.h
bare  agent/(wire|plan)/.*          (sys|netinet|arpa|net)/.*
bare  tools/libtidemark/table\..    (unistd|fcntl|poll)\.h|sys/.*

# The module. The core knows nothing of device mapper.
owner linux/device-mapper\.h        module/(target|view)\.c
owner linux/(bio|blk_types)\.h      module/(target|view|io|metaio)\.c
owner linux/uaccess\.h              module/control\.c
owner net/genetlink\.h              module/event\.c
owner linux/version\.h              module/compat\.h
word  struct dm_target              module/(target|view)\.c
word  struct bio                    module/(target|view|io|metaio)\.c
word  (copy_(from|to|struct_from)|get|put|clear)_user   module/control\.c
word  LINUX_VERSION_CODE|KERNEL_VERSION                 module/compat\.h
word  (genl|genlmsg|nla)_[a-z_0-9]+                     module/event\.c
TABLE
}

# shellcheck disable=SC2016 # awk's dollars
awk_includes='
function fault(what) { print FILENAME ":" FNR ": " what }
function whole(text, re) { return text ~ "^(" re ")$" }
function rest(from,    i, out) { # fields from there on, as written
    out = $from
    for (i = from + 1; i <= NF; i++) out = out " " $i
    return out
}
FNR == 1 { first = 1 }

FILENAME == RULES {
    if ($1 == "layer") { layer[$2] = " " rest(3) " "; known[$2] = 1 }
    if ($1 == "owner") { owned[++owners] = $2; owner[owners] = $3 }
    if ($1 == "bare") { pure[++bares] = $2; banned[bares] = $3 }
    if ($1 == "word") { who[++words] = $NF; $1 = $NF = ""; gsub(/^ +| +$/, ""); word[words] = $0 }
    next
}

FNR == 1 {
    folder = FILENAME; sub("/[^/]*$", "", folder)
    part = FILENAME; sub("/.*", "", part)
    layered = part == "agent" || part == "tools"
    spelled = layered || FILENAME ~ "^tests/(unit|helpers)/"
    own = ""
    if ((layered || part == "module") && FILENAME ~ /\.c$/) {
        own = FILENAME; sub("^[^/]*/", "", own); sub(/c$/, "h", own)
        if (!((part "/" own) in headers)) own = ""
    }
    if (layered && !(folder in known))
        fault(folder " has no layer in tests/check/includes.sh")
}

{ text = $0; clean = code($0) }

part == "module" && !/^[ \t]*#[ \t]*include/ {
    for (i = 1; i <= words; i++)
        if (!whole(FILENAME, who[i]) && (" " clean " ") ~ "[^A-Za-z0-9_](" word[i] ")[^A-Za-z0-9_]")
            fault("only " who[i] " may use " word[i])
}

clean ~ /^[ \t]*#[ \t]*include/ && match(text, /["<][^">]*[">]/) {
    quote = substr(text, RSTART, 1)
    name = substr(text, RSTART + 1, RLENGTH - 2)
    top = name; sub("/.*", "", top)
    ours = ("agent/" top) in known || ("tools/" top) in known

    if (first && own != "" && name != own)
        fault("the first include is not its own header \"" own "\"")
    first = 0
    if (spelled && quote == "\"" && (name !~ "/" || name ~ /^\.\.?\//))
        fault("\"" name "\" does not spell its folder")
    if (spelled && quote == "<" && ours && name ~ "/" && (("agent/" name) in headers || ("tools/" name) in headers))
        fault("<" name "> is the project\047s own: it goes into quotes")

    if (layered && ours && quote == "\"" && folder in known && layer[folder] !~ /^ \* $/ &&
        folder != "agent/" top && folder != "tools/" top && index(layer[folder], " " top " ") == 0)
        fault(folder " may not know " top "/ (\"" name "\")")
    if (layered || part == "module") {
        for (i = 1; i <= owners; i++)
            if (whole(name, owned[i])) {
                if (!whole(FILENAME, owner[i])) fault("only " owner[i] " may include " name)
                break
            }
        for (i = 1; i <= bares; i++)
            if (whole(FILENAME, pure[i]) && whole(name, banned[i]))
                fault("is pure and may not include " name)
    }
}
'

faults() {
    local list
    rules > "$check_tmp/rules"
    mapfile -t list < <(files '^(module|agent|tools|tests/unit|tests/helpers)/.*\.[ch]$')
    # The program wants to know which headers are there before it reads.
    awk -v RULES="$check_tmp/rules" "BEGIN {
        for (i = 2; i < ARGC; i++) if (ARGV[i] ~ /\\.h\$/) headers[ARGV[i]] = 1
    } $awk_code $awk_includes" "$check_tmp/rules" "${list[@]}"
}

verdict "includes keep to their layers" "$(faults)"

plant agent/wire/good.h <<< '#include <stdint.h>'
plant agent/wire/good.c <<'END'
#include "wire/good.h"
/* #include <liburing.h> */
#include "base/util.h"
static const char *text = "copy_from_user(";
END
plant agent/wire/late.h <<< ''
plant agent/wire/late.c <<'END'
#include <errno.h>
#include "wire/late.h"
END
plant agent/send/flat.c <<< '#include "flat.h"'
plant agent/send/up.c <<< '#include "../plan/plan.h"'
plant agent/send/angle.c <<< '#include <wire/good.h>'
plant agent/send/cross.c <<< '#include "receive/receive.h"'
plant agent/receive/cross.c <<< '#include "send/send.h"'
plant agent/send/ioctl.c <<< '#include <linux/tidemark.h>'
plant agent/send/inside.c <<< '#include "libtidemark/control.h"'
plant agent/receive/ring.c <<< '#  include <liburing.h>'
plant agent/receive/sql.c <<< '#include <sqlite3.h>'
plant agent/point/probe.c <<< '#include <blkid/blkid.h>'
plant agent/point/guard.c <<< '#include <blkid/blkid.h>'
plant agent/point/hash.c <<< '#include <xxhash.h>'
plant agent/receive/sha.c <<< '#include <openssl/evp.h>'
plant agent/wire/hash.c <<< '#include <openssl/evp.h>'
plant agent/plan/impure.c <<< '#include <sys/socket.h>'
plant agent/odd/odd.c <<< '#include <errno.h>'
plant tools/tidemark/agent.c <<< '#include "wire/good.h"'
plant tools/libtidemark/up.c <<< '#include "tidemark/table.h"'
plant tools/tidemark/dm.c <<< '#include <libdevmapper.h>'
plant tools/libtidemark/control.c <<< '#include <netlink/genl/genl.h>'
plant tests/unit/wire/test-good.c <<< '#include "good.h"'
plant agent/main.c <<'END'
#include "bus/bus.h"
#include "send/send.h"
#include <linux/tidemark.h>
END
for pair in state:send config:job job:bus bus:wire point:receive ring:wire wire:ring plan:send; do
    plant "agent/${pair%:*}/lower.c" <<< '#include "base/util.h"'
    plant "agent/${pair%:*}/higher.c" <<< "#include \"${pair#*:}/higher.h\""
done
plant agent/base/higher.c <<< '#include "ring/ring.h"'
plant agent/send/libraries.c <<'END'
#include "libtidemark/tidemark.h"
#include <systemd/sd-bus.h>
#include <linux/genetlink.h>
#include <libsmartcols/libsmartcols.h>
END
plant agent/plan/files.c <<< '#include <unistd.h>'
plant tools/libtidemark/table.c <<< '#include <fcntl.h>'
plant tools/libtidemark/tidemark.h <<< '#include <linux/tidemark.h>'
plant module/own.h <<< ''
plant module/own.c <<'END'
#include <linux/device-mapper.h>
#include <linux/uaccess.h>
#include <net/genetlink.h>
#include <linux/version.h>
#include "own.h"
END
plant module/disk.c <<'END'
#include <linux/bio.h>
/* struct bio is named in a comment only */
static struct bio *b;
END
plant module/target.c <<'END'
#include <linux/bio.h>
#include <linux/device-mapper.h>
static struct bio *b;
#if LINUX_VERSION_CODE >= 1
#endif
END
plant module/epoch.c <<'END'
static int f(void)
{
	return copy_from_user(a, b, 1) + genlmsg_end(c, d);
}
END
plant module/compat.h <<< '#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)'

verdict "a planted include that breaks a rule is found" "$(planted faults '
^agent/wire/late.c:1: the first include
^agent/send/flat.c:1: "flat.h" does not spell
^agent/send/up.c:1: "../plan/plan.h" does not spell
^agent/send/angle.c:1: <wire/good.h> is the project
^agent/send/cross.c:1: agent/send may not know receive/
^agent/receive/cross.c:1: agent/receive may not know send/
^agent/send/ioctl.c:1: only tools/
^agent/send/inside.c:1: only tools/libtidemark
^agent/receive/ring.c:1: only agent/ring/uring
^agent/receive/sql.c:1: only agent/state/
^agent/point/probe.c:1: only agent/point/guard
^agent/point/hash.c:1: only agent/base/xxh3
^agent/receive/sha.c:1: only agent/wire/hash
^agent/plan/impure.c:1: is pure
^agent/odd/odd.c:1: agent/odd has no layer
^tools/tidemark/agent.c:1: tools/tidemark may not know wire/
^tools/libtidemark/up.c:1: tools/libtidemark may not know tidemark/
^tools/tidemark/dm.c:1: only tools/libtidemark/dm
^tools/libtidemark/control.c:1: only tools/libtidemark/event
^tests/unit/wire/test-good.c:1: "good.h" does not spell
^agent/main.c:3: only tools/
^agent/state/higher.c:1: agent/state may not know send/
^agent/config/higher.c:1: agent/config may not know job/
^agent/job/higher.c:1: agent/job may not know bus/
^agent/bus/higher.c:1: agent/bus may not know wire/
^agent/point/higher.c:1: agent/point may not know receive/
^agent/ring/higher.c:1: agent/ring may not know wire/
^agent/wire/higher.c:1: agent/wire may not know ring/
^agent/plan/higher.c:1: agent/plan may not know send/
^agent/base/higher.c:1: agent/base may not know ring/
^agent/send/libraries.c:2: only agent/bus/
^agent/send/libraries.c:3: only tools/libtidemark/event
^agent/send/libraries.c:4: only tools/tidemark/
^agent/plan/files.c:1: is pure
^tools/libtidemark/table.c:1: is pure
^module/own.c:1: only module/.target
^module/own.c:1: the first include
^module/own.c:2: only module/control
^module/own.c:3: only module/event
^module/own.c:4: only module/compat
^module/disk.c:1: only module/.target
^module/disk.c:3: only module/.target
^module/target.c:4: only module/compat
^module/epoch.c:3: only module/control
^module/epoch.c:3: only module/event
')"
finish
