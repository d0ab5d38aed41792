// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/log.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

/* Where a line stands in our sources is nobody's business but ours. */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "base/text.h"
#include "base/util.h"

#define LINE_SIZE 1024
#define FIELD_SIZE 96
#define FIELDS_MAX 9

static const char *const message_ids[LOG_EVENT_COUNT] = {
	[LOG_EVENT_READY]		= "88cc32c66f3c420ba2d046f6d1805652",
	[LOG_EVENT_RELOADED]		= "db6f4e842f844cb4b745a3ec25412112",
	[LOG_EVENT_RELOAD_REFUSED]	= "1d9969ae140c42758e5c5e0ea5f8e8ec",
	[LOG_EVENT_ENGINE_PLAIN]	= "caeef44ae93e49a6a16d152401dbcbbe",
	[LOG_EVENT_UNENCRYPTED]		= "984a62d0ac67471eab9bd11f99f1d1bd",
	[LOG_EVENT_JOB_STARTED]		= "38a50a44a246442da1e89778c069d503",
	[LOG_EVENT_JOB_COMPLETED]	= "149e0e1a945b45ad9745c7101495a48c",
	[LOG_EVENT_JOB_WARNINGS]	= "6f76327793e54ee9adc1d24dd251ec0c",
	[LOG_EVENT_JOB_FAILED]		= "f23446c67e604d1381ca841ae3d427c2",
	[LOG_EVENT_JOB_CANCELLED]	= "0d7adff6f73f48d88967a01a97519cac",
	[LOG_EVENT_MEMBER_FAILED]	= "0ebe5c8c458945e48eaf1049520ef141",
	[LOG_EVENT_STATE_CHANGED]	= "e1c0977413b140c7906d9a80d5f063e2",
	[LOG_EVENT_HEALTH_CHANGED]	= "48458026f70f44d9b47ccf6517fd1352",
	[LOG_EVENT_UNRELIABLE]		= "79f9a501916d40a98755b7bebad622c6",
	[LOG_EVENT_POINT]		= "383c92aa84384d3d9d3d75b0fa783d26",
	[LOG_EVENT_CLEARED]		= "5c4985a7cc394c6780541d88f8a02c9d",
	[LOG_EVENT_SENDER_REFUSED]	= "1560c1db92c44710a2017c3154dd2071",
};

/* A reload sets it while other threads log. */
static atomic_int log_level = LOG_INFO;

void log_set_level(int priority)
{
	atomic_store(&log_level, priority);
}

const char *log_message_id(enum log_event event)
{
	return (unsigned int)event < LOG_EVENT_COUNT ? message_ids[event] : NULL;
}

/*
 * Does stderr lead to the journal? systemd names the device and inode that it
 * has put there, and whoever redirects stderr means it to be used.
 */
static bool log_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat st;

	return stream && sscanf(stream, "%ju:%ju", &device, &inode) == 2 &&
	       fstat(STDERR_FILENO, &st) == 0 && st.st_dev == device && st.st_ino == inode;
}

/* The fields of one entry; the texts that the vector points into. */
struct entry {
	struct iovec iov[FIELDS_MAX];
	char text[FIELDS_MAX][FIELD_SIZE];
	int count;
};

static void entry_add(struct entry *e, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void entry_add(struct entry *e, const char *format, ...)
{
	char *text = e->text[e->count];
	va_list args;

	va_start(args, format);
	vsnprintf(text, FIELD_SIZE, format, args);
	va_end(args);
	e->iov[e->count++] = (struct iovec){ text, strlen(text) };
}

/* Return: 0, or a negative errno: the journal is not to be had */
static int log_journal(int priority, const struct log_fields *f, char *message)
{
	const char *id = log_message_id(f->event);
	struct entry e = { .count = 0 };

	entry_add(&e, "PRIORITY=%d", priority);
	entry_add(&e, "SYSLOG_IDENTIFIER=tidemarkd");
	if (id)
		entry_add(&e, "MESSAGE_ID=%s", id);
	if (f->collection)
		entry_add(&e, "TIDEMARK_COLLECTION=%s", f->collection);
	if (f->vm)
		entry_add(&e, "TIDEMARK_VM=%s", f->vm);
	if (f->disk)
		entry_add(&e, "TIDEMARK_DISK=%s", f->disk);
	if (f->job)
		entry_add(&e, "TIDEMARK_JOB=%" PRIu64, f->job);
	if (f->code)
		entry_add(&e, "TIDEMARK_CODE=%" PRIu32, f->code);
	e.iov[e.count++] = (struct iovec){ message, strlen(message) };
	return sd_journal_sendv(e.iov, e.count);
}

static void log_line(int priority, const struct log_fields *fields, const char *format,
		     va_list args)
{
	static const char key[] = "MESSAGE=";
	char line[sizeof(key) + LINE_SIZE];
	char *message = line + sizeof(key) - 1;
	bool journal;

	memcpy(line, key, sizeof(key));
	vsnprintf(message, LINE_SIZE, format, args);
	text_clean(message);
	journal = log_is_journal();
	if (journal && log_journal(priority, fields, line) >= 0)
		return;
	/* One call, so that lines of several threads do not mix. */
	if (journal)
		fprintf(stderr, "<%d>%s\n", priority, message);
	else
		fprintf(stderr, "tidemarkd: %s\n", message);
}

void log_write(int priority, const char *format, ...)
{
	static const struct log_fields none;
	va_list args;

	if (priority > atomic_load(&log_level))
		return;
	va_start(args, format);
	log_line(priority, &none, format, args);
	va_end(args);
}

void log_about(int priority, const struct log_fields *fields, const char *format, ...)
{
	va_list args;

	if (priority > atomic_load(&log_level))
		return;
	va_start(args, format);
	log_line(priority, fields, format, args);
	va_end(args);
}
