#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-or-later
#
# manual.py WHAT: what the code has and the manual has not, or the other way round; a line
# for each, of the tree in the current folder. tests/check/manual.sh calls it.
import glob
import os
import re
import subprocess
import sys

MAN = "Documentation/man/"
# Of the kernel's sources, and a file that is to be the reader's own.
ELSEWHERE = {"tools/include", "tests/my-work.sh"}


def read(path):
    with open(path, encoding="utf-8") as f:
        return f.read()


def differ(code, manual, what):
    for name in sorted(code - manual):
        print(f"{what}{name} is not in the manual")
    for name in sorted(manual - code):
        print(f"{what}{name} is in the manual only")


# -- options --------------------------------------------------------------------

def helped(program, *command):
    """The long options of a help text."""
    said = subprocess.run([program, *command, "--help"], capture_output=True, text=True,
                          check=False).stdout
    return set(re.findall(r"--([a-z][a-z-]+)", said)) - {"help"}


def named(text):
    """The long options of a piece of a manual page."""
    return set(re.findall(r"Fl \\-([a-z][a-z\\-]+)", text.replace("\\-", "-")
                          .replace("Fl -", "Fl \\-"))) - {"help"}


def sections(page):
    """Heading and text of each .Ss and .Sh, the synopsis cut at each command's name."""
    for piece in re.split(r"^\.S[hs] ", page, flags=re.M)[1:]:
        heading, _, text = piece.partition("\n")
        if heading != "SYNOPSIS":
            yield heading, text
            continue
        for one in re.split(r"^\.Nm ?[a-z]*\n", text, flags=re.M)[1:]:
            words = re.findall(r"^\.Cm (.*)", one, flags=re.M)[:1]
            yield "SYNOPSIS " + "".join(words), one


def about(heading, command):
    heading = heading.removeprefix("SYNOPSIS").removeprefix("Tidemark")
    return command in re.split(r"[ ,|]+", heading)


def options():
    program = "build/bin/tidemark"
    page = list(sections(read(MAN + "tidemark.8")))
    shared = set().union(*(named(text) for heading, text in page
                           if heading.startswith("Options of commands")))
    commands = subprocess.run([program, "--help"], capture_output=True, text=True,
                              check=False).stdout.partition("Commands:\n")[2]
    for command in re.findall(r"^  ([a-z-]+) ", commands, flags=re.M):
        has = helped(program, command)
        if os.path.exists(f"{MAN}tidemark-{command}.8"):
            said, allowed = named(read(f"{MAN}tidemark-{command}.8")), set()
        else:
            said = set().union(*(named(text) for heading, text in page
                                 if about(heading, command)))
            # What one section says of several commands may be true of one of them.
            allowed = shared | set().union(*(
                helped(program, other) for heading, text in page if about(heading, command)
                for other in re.findall(r"[a-z][a-z-]+", heading)))
        for name in sorted(has - said - shared):
            print(f"{command} --{name} is not in the manual")
        for name in sorted(said - has - allowed):
            print(f"{command} --{name} is in the manual only")
    daemon = "build/bin/tidemarkd"
    differ(helped(daemon), named(read(MAN + "tidemarkd.8")), "tidemarkd --")


# -- the configuration ----------------------------------------------------------

def config():
    page = read(MAN + "tidemark.conf.5")
    manual = {}
    for heading, text in sections(page):
        if heading.startswith("["):
            manual[re.sub(r"[\[\]]", "", heading).split()[0]] = text
    code = {}
    for name, keys in re.findall(r'^\t\{ "([a-z]+)", [^\n]*section_[a-z]+, \{(.*?)\}[ ,]*\},',
                                 read("agent/config/parse.c"), flags=re.M | re.S):
        code[name] = set(re.findall(r'\{ "([a-z_]+)",', keys))
    settings = re.findall(r'^\t\{ "([a-z_]+)", "([A-Za-z]+)", \'', read("agent/config/settings.c"),
                          flags=re.M)
    code["collection"] = {key for key, _ in settings}
    differ(set(code), set(manual), "section ")
    for section in sorted(set(code) & set(manual)):
        keys = set(re.findall(r"^\.It Ic ([a-z_]+) No =", manual[section], flags=re.M))
        differ(code[section], keys, f"[{section}] ")
    known = set(re.findall(r"[A-Z][A-Za-z]+", manual.get("collection", "")))
    for _, name in settings:
        if name not in known:
            print(f"[collection] {name} is not in the manual")


# -- documents ------------------------------------------------------------------

def members():
    """Names of members of JSON documents: of functions that put one, and of tables."""
    put = re.compile(r'\b(?:document_put\w*|put\w*|add_\w+|json_object_object_add)\('
                     r'(?:o|object|document|whole), "([a-z_0-9]+)"')
    for path in glob.glob("agent/bus/*.c") + glob.glob("tools/tidemark/*.c"):
        text = read(path)
        yield from put.findall(text)
        for table in re.findall(r"keys\[\] = \{(.*?)\}", text, flags=re.S):
            yield from re.findall(r'"([a-z_]+)"', table)
        yield from re.findall(r'[{,]\\"([a-z_]+)\\":', text)
    for path in glob.glob("agent/service/*.c"): # of events
        yield from re.findall(r'\.name = "([a-z-]+)",? \.', read(path))


def json():
    page = set(re.findall(r"[a-z_0-9-]+", read(MAN + "tidemark-json.7")))
    for name in sorted(set(members()) - page):
        print(f"{name} is not in the manual")


# -- D-Bus ------------------------------------------------------------------------

def dbus():
    page = set(re.findall(r"\b[A-Z][A-Za-z0-9]+", read("Documentation/agent.rst")))
    names = set()
    for path in glob.glob("agent/bus/*.c"):
        names |= set(re.findall(r'\b(?:METHOD|LOOK|SD_BUS_[A-Z_]+)\("([A-Z][A-Za-z]+)"', read(path)))
    for name in sorted(names - page):
        print(f"{name} is not in the manual")


def codes():
    page = read("Documentation/agent.rst")
    names = dict(re.findall(r"\b(REASON_\w+) = (\d+)", read("agent/base/reason.h")))
    manual = set(re.findall(r"^(\d{5})  \S", page, flags=re.M))
    differ(set(names.values()), manual, "code ")
    exits = set(re.findall(r"^\tEXIT_\w+\s*= (\d+)", read("tools/tidemark/command.h"), flags=re.M))
    said = read(MAN + "tidemark.8").partition(".Sh EXIT STATUS")[2].partition(".Sh ")[0]
    differ(exits, set(re.findall(r"^\.It (\d+)", said, flags=re.M)), "exit status ")
    events = set(re.findall(r'"([0-9a-f]{32})"', read("agent/base/log.c")))
    differ(events, set(re.findall(r"^``([0-9a-f]{32})``", read("Documentation/operator.rst"),
                                  flags=re.M)), "MESSAGE_ID ")


# -- the library ------------------------------------------------------------------

def library():
    exported = set(re.findall(r"^\t(tidemark_\w+);", read("tools/libtidemark/libtidemark.map"),
                              flags=re.M))
    synopsis = read(MAN + "libtidemark.3").partition(".Sh DESCRIPTION")[0]
    differ(exported, set(re.findall(r"^\.Fn (\w+)", synopsis, flags=re.M)), "")


# -- what one page says of another file -------------------------------------------

def references():
    pages = {os.path.basename(p).rsplit(".", 1)[0] for p in glob.glob(MAN + "*.[1-9]")}
    for path in sorted(glob.glob("Documentation/*.rst") + glob.glob(MAN + "*") + ["README.md"]):
        text = read(path).replace("\\-", "-")
        for name in set(re.findall(
                r"\b((?:Documentation|tests|module|agent|tools)/[\w./-]*[\w/])", text)):
            # the name of a test, as tests/run-all prints it, lacks a part on both ends
            if not (os.path.exists(name) or glob.glob(name + ".*") or
                    glob.glob(f"tests/{name}.*") or name in ELSEWHERE):
                print(f"{path}: there is no {name}")
        for name in set(re.findall(r"\b((?:lib)?tidemark[a-z-]*(?:\.conf)?)\(\d\)", text) +
                        re.findall(r"^\.Xr ((?:lib)?tidemark\S*) ", text, flags=re.M)):
            if name not in pages:
                print(f"{path}: there is no page {name}")


if __name__ == "__main__":
    {"options": options, "config": config, "json": json, "dbus": dbus, "codes": codes,
     "library": library, "references": references}[sys.argv[1]]()
