#!/bin/bash
# SPDX-License-Identifier: GPL-2.0-or-later
#
# Words, names and sizes: nothing left for later, nothing grown too long,
# nothing that the kernel's maintainers or a user of the library would trip on.
#
# tests/check/names.sh [TREE]
. "$(dirname "$0")/lib.bash"

file_lines_max=800
function_lines_max=100

# FILES, WORD (both extended regular expressions) and why not, between tabs. WORD
# is looked for in code; with "*" before it, in comments and strings as well.
words() {
    cat <<'TABLE'
^(module|agent|tools)/	*FIXME|TODO|XXX|HACK	do it or leave it out
^module/	(BUG_ON|BUG|panic) ?\(	the kernel goes on: return an error, WARN_ON_ONCE at most
^module/	(printk|dump_stack) ?\(	say it to a person: pr_err, pr_warn, pr_info
^tools/libtidemark/	(v?f?printf|f?puts|perror|v?syslog|abort|_?exit) ?\(	a library returns its errors and says nothing
^(agent|tools)/	(strcpy|strcat|v?sprintf|gets|atoi|atol|strtok|alloca|system|popen) ?\(	there is a bounded, checked or reentrant way
TABLE
}

sources() {
    files '^(module|agent|tools)/.*\.[ch]$'
}

# shellcheck disable=SC2016 # awk's dollars
awk_words='
FILENAME == RULES {
    if (split($0, f, "\t") != 3) { print FILENAME ":" FNR ": not three columns"; next }
    where[++rules] = f[1]; everywhere[rules] = sub(/^\*/, "", f[2])
    # A word ends where it ends, or with the parenthesis that makes it a call.
    word[rules] = "[^A-Za-z0-9_](" f[2] ")" (f[2] ~ /\($/ ? "" : "[^A-Za-z0-9_]")
    why[rules] = f[3]
    next
}
{
    clean = code($0)
    for (i = 1; i <= rules; i++) {
        text = " " (everywhere[i] ? $0 : clean) " "
        if (FILENAME ~ where[i] && match(text, word[i])) {
            found = substr(text, RSTART + 1, RLENGTH - 1)
            sub(/[^A-Za-z0-9_]+$/, "", found)
            print FILENAME ":" FNR ": " found ": " why[i]
        }
    }
}
'

faults_words() {
    local list
    words > "$check_tmp/words"
    mapfile -t list < <(files '^(module|agent|tools)/')
    awk -v RULES="$check_tmp/words" "$awk_code $awk_words" "$check_tmp/words" "${list[@]}"
}

faults_files() {
    local list
    mapfile -t list < <(files . | grep -vE '^(LICENSES/|COPYING$)' | xargs -r grep -lI .)
    awk -v max="$file_lines_max" '
        FNR == 1 { flush() }
        { lines = FNR; file = FILENAME }
        # Two blanks end a line in Markdown; a patch has context lines.
        /[ \t]$/ && FILENAME !~ /\.(md|patch|diff)$/ { print FILENAME ":" FNR ": white space at the end" }
        /\r/ { print FILENAME ":" FNR ": a carriage return" }
        function flush() {
            if (lines > max) print file ":" lines ": more than " max " lines: two nouns in one file?"
        }
        END { flush() }' "${list[@]}"
    for file in "${list[@]}"; do
        [ -z "$(tail -c 1 "$file")" ] || echo "$file: no newline at the end"
    done
}

# In the kernel's layout a function begins with "{" and ends with "}" in the
# first column; so does nothing else that has a parameter list before it.
# shellcheck disable=SC2016
awk_functions='
FNR == 1 { inside = 0; head = "" }
{ clean = code($0) }
!inside && /^[A-Za-z_].*\(/ { head = clean }
/^\{/ { inside = FNR }
/^}/ && inside {
    length_ = FNR - inside - 1
    if (length_ > max) {
        sub(/\(.*/, "", head); sub(/.*[ *]/, "", head)
        print FILENAME ":" inside ": " head "() has " length_ " lines"
    }
    inside = 0
}
inside && FILENAME ~ /^module\// && /^[ \t]*#[ \t]*(if|else|elif)/ {
    print FILENAME ":" FNR ": #if inside of a function: it belongs into compat.h"
}
'

faults_functions() {
    local list
    mapfile -t list < <(sources)
    [ ${#list[@]} -eq 0 ] ||
        awk -v max="$function_lines_max" "$awk_code $awk_functions" "${list[@]}"
}

verdict "no word that may not be in the sources" "$(faults_words)"
verdict "no file is too long, no line ends in white space" "$(faults_files)"
verdict "no function is too long, none has #if in the module" "$(faults_functions)"

plant agent/a/words.c <<'END'
/* FIXME: later */
/* a comment may name strcpy */
static const char mask[] = "tm.XXXXXX";
static void f(void)
{
	strcpy(a, b);
}
END
plant tools/libtidemark/talk.c <<< 'int f(const char *, ...) __attribute__((format(printf, 1, 2))); int g(void) { return 1 + printf("x"); }'
plant module/bug.c <<'END'
static int f(void)
{
	BUILD_BUG_ON(1);
	BUG_ON(1);
	printk("x");
#ifdef CONFIG_X
#endif
	return 0;
}
END
verdict "a planted word is found" "$(planted faults_words '
^agent/a/words.c:1: .*FIXME
^agent/a/words.c:6: strcpy
^tools/libtidemark/talk.c:1: printf
^module/bug.c:4: BUG_ON
^module/bug.c:5: printk
')"

printf 'a\nb \nc' | plant agent/a/space.txt
yes line | head -n 801 | plant Documentation/long.rst
verdict "a planted long file and white space are found" "$(planted faults_files '
^agent/a/space.txt:2: white space
^agent/a/space.txt: no newline
^Documentation/long.rst:801: more than 800
')"

{
    printf 'static struct a b = {\n'; yes '	1,' | head -n 200; printf '};\n'
    printf 'int good(int a,\n\t int b)\n{\n'; yes '	a++;' | head -n 100; printf '}\n'
    printf 'int noun_verb(int a,\n\t      int b)\n{\n'; yes '	a++;' | head -n 101; printf '}\n'
} | plant agent/a/function.c
verdict "a planted long function is found" "$(planted faults_functions '
^agent/a/function.c:309: noun_verb\(\) has 101 lines
^module/bug.c:6: #if inside
')"

finish
