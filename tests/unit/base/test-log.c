// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/log.h"
#include "base/util.h"

#define CATALOG "agent/systemd/tidemark.catalog"

static void log__ids_are_as_the_catalogue_has_them(void **state)
{
	unsigned int entries = 0, ids = 0;
	char line[512], wanted[64];
	FILE *f = fopen(CATALOG, "r");

	if (!f) {
		print_message("no %s: not run from the top of the tree\n", CATALOG);
		skip();
	}
	while (fgets(line, sizeof(line), f))
		entries += strncmp(line, "-- ", 3) == 0;
	for (int e = LOG_EVENT_NONE + 1; e < LOG_EVENT_COUNT; e++) {
		bool found = false;

		assert_non_null(log_message_id(e));
		assert_int_equal(strlen(log_message_id(e)), 32);
		assert_int_equal(strspn(log_message_id(e), "0123456789abcdef"), 32);
		snprintf(wanted, sizeof(wanted), "-- %s\n", log_message_id(e));
		rewind(f);
		while (fgets(line, sizeof(line), f)) {
			if (strcmp(line, wanted) != 0)
				continue;
			assert_false(found);
			found = true;
		}
		if (!found)
			fail_msg("event %d has no entry \"%s\"", e, log_message_id(e));
		ids++;
	}
	fclose(f);
	assert_int_equal(entries, ids);
	assert_null(log_message_id(LOG_EVENT_NONE));
	assert_null(log_message_id(LOG_EVENT_COUNT));
}

/* What a call writes to stderr. */
static void captured(char *ret, size_t size, int priority, const char *journal_stream)
{
	const struct log_fields fields = { .event = LOG_EVENT_READY, .collection = "web" };
	FILE *f = tmpfile();
	int saved = dup(STDERR_FILENO);
	size_t got;

	assert_non_null(f);
	assert_true(dup2(fileno(f), STDERR_FILENO) >= 0);
	if (journal_stream)
		setenv("JOURNAL_STREAM", journal_stream, 1);
	log_about(priority, &fields, "%s has a %s", "it", "word");
	unsetenv("JOURNAL_STREAM");
	fflush(stderr);
	assert_true(dup2(saved, STDERR_FILENO) >= 0);
	close(saved);
	rewind(f);
	got = fread(ret, 1, size - 1, f);
	ret[got] = '\0';
	fclose(f);
}

/* Only what systemd itself has put under stderr is the journal. */
static void log__stderr_is_used_when_it_is_no_journal(void **state)
{
	char text[256];

	captured(text, sizeof(text), LOG_INFO, NULL);
	assert_string_equal(text, "tidemarkd: it has a word\n");
	captured(text, sizeof(text), LOG_INFO, "1:1");
	assert_string_equal(text, "tidemarkd: it has a word\n");
	captured(text, sizeof(text), LOG_INFO, "nonsense");
	assert_string_equal(text, "tidemarkd: it has a word\n");
}

static void log__the_level_holds(void **state)
{
	char text[256];

	captured(text, sizeof(text), LOG_DEBUG, NULL);
	assert_string_equal(text, "");
	log_set_level(LOG_ERR);
	captured(text, sizeof(text), LOG_WARNING, NULL);
	assert_string_equal(text, "");
	log_set_level(LOG_DEBUG);
	captured(text, sizeof(text), LOG_DEBUG, NULL);
	assert_string_equal(text, "tidemarkd: it has a word\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(log__ids_are_as_the_catalogue_has_them),
		cmocka_unit_test(log__stderr_is_used_when_it_is_no_journal),
		cmocka_unit_test(log__the_level_holds),
	};

	return cmocka_run_group_tests_name("base/log", tests, NULL, NULL);
}
