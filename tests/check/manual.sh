#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# What there is stands in the manual, and nothing else does: options, keys of the
# configuration, members of JSON documents, methods and properties on D-Bus, numbers,
# functions of the library; and what a page refers to is there.
#
# tests/check/manual.sh [TREE]
. "$(dirname "$0")/lib.bash"

# shellcheck disable=SC2317 # called by those that eval makes
manual() { python3 "$check_home/manual.py" "$1" 2>&1; }
for what in options config json dbus codes library references; do
    eval "faults_$what() { manual $what; }"
done

need python3 python3 "the manual" || finish
if [ -x build/bin/tidemark ] && [ -x build/bin/tidemarkd ]; then
    verdict "options" "$(faults_options)"
else
    skip "options" "build/bin/tidemark is not built"
fi
verdict "keys of the configuration" "$(faults_config)"
verdict "members of JSON documents" "$(faults_json)"
verdict "methods and properties on D-Bus" "$(faults_dbus)"
verdict "numbers of the management model, of exits and of the journal" "$(faults_codes)"
verdict "functions of the library" "$(faults_library)"
verdict "what pages refer to" "$(faults_references)"

plant build/bin/tidemark << 'END'
#!/bin/sh
case $1 in
--help) printf 'Commands:\n  list  x\n  jobs  x\n  pki   x\n' ;;
list) echo '  -a, --all  x --bus A --help' ;;
jobs) echo '  --limit N' ;;
pki) echo '  --dir D' ;;
esac
END
plant build/bin/tidemarkd << 'END'
#!/bin/sh
echo '--config --print-states'
END
chmod +x "$check_tmp"/tree/build/bin/*
plant Documentation/man/tidemark.8 << 'END'
.Sh SYNOPSIS
.Nm
.Cm list | jobs
.Op Fl \-limit Ar n
.Op Fl \-gone
.Sh DESCRIPTION
.Ss Tidemark list
See
.Xr tidemark-nowhere 7
and Documentation/nothing.rst.
.Ss Options of commands that ask the agent
.Fl \-bus
.Sh EXIT STATUS
.It 0
.It 13
END
plant Documentation/man/tidemark-pki.8 <<< '.It Fl \-out Ar folder'
plant Documentation/man/tidemarkd.8 <<< '.It Fl \-print\-states'
verdict "planted options are found" "$(planted faults_options '
^list --all is not in the manual$
^list --gone is in the manual only$
^jobs --gone is in the manual only$
^pki --dir is not in the manual$
^pki --out is in the manual only$
^tidemarkd --config is not in the manual$')"
plant agent/config/parse.c << 'END'
	{ "agent", NULL, section_agent, {
		{ "bus", "system", agent_bus },
		{ "hidden", YES_NO, agent_hidden },
	} },
	{ "collection", "NAME", section_collection, { { 0 } } }, /* keys elsewhere */
	{ "lost", "NAME", section_lost, {
		{ "key", YES_NO, lost_key },
	} },
END
plant agent/config/settings.c << 'END'
	{ "replica", "RecoveryConnectionPoint", 's', "HOST:PORT", set_replica, get_replica },
	{ "streams", "Streams", 'u', "1 to 8", set_streams, get_streams },
END
plant Documentation/man/tidemark.conf.5 << 'END'
.Ss [agent]
.It Ic bus No = Ar address
.It Ic gone No = Ar address
.Ss [collection NAME]
.It Ic replica No = Ar host
.Pq RecoveryConnectionPoint .
.It Ic streams No = Ar number
END
verdict "planted keys are found" "$(planted faults_config '
^section lost is not in the manual$
^\[agent\] hidden is not in the manual$
^\[agent\] gone is in the manual only$
^\[collection\] Streams is not in the manual$')"
plant Documentation/man/tidemark-json.7 <<< '.It Ic vm , percent , state'
plant agent/bus/status.c << 'END'
	document_put_u64(o, "percent", 1);
	document_put_text(o, "absent", NULL);
END
plant tools/tidemark/x.c << 'END'
static const char *const member_keys[] = { "vm", "lacking", NULL };
	asprintf(&text, "{\"schema\":1,\"first_time\":%zu}", fresh);
END
plant agent/service/x.c <<< '	service_tell(s, { .name = "moved", .text = "x" }); .name = "state", .text'
verdict "planted members are found" "$(planted faults_json '
^absent is not in the manual$
^lacking is not in the manual$
^schema is not in the manual$
^first_time is not in the manual$
^moved is not in the manual$')"
plant agent/bus/x.c << 'END'
	METHOD("Resynchronize", "s", P(x)),
	SD_BUS_PROPERTY("Version", "s", get_version, 0, 0),
	SD_BUS_PROPERTY("Hidden", "s", get_version, 0, 0),
END
plant Documentation/agent.rst << 'END'
``Resynchronize`` and ``Version``; see ``tidemark-nothing(8)``

32768  failed
32780  gone
END
verdict "planted names on D-Bus are found" "$(planted faults_dbus '^Hidden is not in the manual$')"
plant agent/base/reason.h <<< '	REASON_FAILED = 32768, REASON_OTHER = 32769,'
plant tools/tidemark/command.h << 'END'
	EXIT_DONE		= 0,
	EXIT_OTHER		= 14,
END
plant agent/base/log.c <<< '"0123456789abcdef0123456789abcdef"'
plant Documentation/operator.rst <<< '``1123456789abcdef0123456789abcdef`` an event'
verdict "planted numbers are found" "$(planted faults_codes '
^code 32769 is not in the manual$
^code 32780 is in the manual only$
^exit status 14 is not in the manual$
^exit status 13 is in the manual only$
^MESSAGE_ID 0123.* is not in the manual$
^MESSAGE_ID 1123.* is in the manual only$')"
plant tools/libtidemark/libtidemark.map << 'END'
	tidemark_open;
	tidemark_view_open;
END
plant Documentation/man/libtidemark.3 << 'END'
.Fn tidemark_open "int x"
.Fn tidemark_gone "int x"
.Sh DESCRIPTION
.Fn tidemark_view_open
END
plant README.md <<< 'See Documentation/agent.rst, tests/nothing.sh and agent/config/parse.c.'
verdict "planted functions are found" "$(planted faults_library '
^tidemark_view_open is not in the manual$
^tidemark_gone is in the manual only$')"
verdict "planted references are found" "$(planted faults_references '
tidemark.8: there is no Documentation/nothing.rst$
tidemark.8: there is no page tidemark-nowhere$
agent.rst: there is no page tidemark-nothing$
README.md: there is no tests/nothing.sh$')"
finish
