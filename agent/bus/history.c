// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The document of GetHistory: jobs that have ended, the newest first.
 */
#include <stdio.h>
#include <string.h>

#include "bus/document.h"
#include "bus/objects.h"

/* So many jobs are told of in one document. */
#define PAGE_MAX 10000

struct page {
	struct history *history;
	struct json_object *jobs;
};

static int put_member(const struct history_member *m, void *arg)
{
	struct json_object *o = json_object_new_object();

	document_put_text(o, "vm", m->vm);
	document_put_u64(o, "state", m->state);
	document_put_text(o, "state_name", job_state_name(m->state));
	document_put_u64(o, "error", m->error);
	document_put_text(o, "text", m->text[0] ? m->text : NULL);
	json_object_array_add(arg, o);
	return 0;
}

static int put_job(const struct history_entry *e, void *arg)
{
	struct json_object *o = json_object_new_object();
	struct json_object *members = json_object_new_array();
	struct page *page = arg;

	document_put_u64(o, "job", e->id);
	document_put_text(o, "collection", e->collection);
	document_put_text(o, "name", e->method);
	document_put_text(o, "owner", e->owner[0] ? e->owner : NULL);
	document_put_u64(o, "state", e->state);
	document_put_text(o, "state_name", job_state_name(e->state));
	document_put_u64(o, "error", e->error);
	document_put_text(o, "text", e->text[0] ? e->text : NULL);
	document_put_time(o, "submitted", e->submitted / 1000000);
	document_put_time(o, "started", e->started);
	document_put_time(o, "ended", e->ended);
	document_put_u64(o, "point", e->point);
	document_put_u64(o, "consistency", e->consistency);
	document_put_u64(o, "owed", e->owed);
	document_put_u64(o, "sent", e->sent);
	document_put_u64(o, "wire", e->wire);
	document_put_u64(o, "different", e->different);
	document_put_u64(o, "passes", e->passes);
	document_put_text(o, "hash", e->hash[0] ? e->hash : NULL);
	history_members(page->history, e->id, put_member, members);
	document_put(o, "members", members);
	json_object_array_add(page->jobs, o);
	return 0;
}

int bus_history(struct bus *b, const char *collection, uint64_t before, uint32_t count, char **ret)
{
	struct json_object *o = json_object_new_object();
	struct page page = {
		.history = service_history(b->agent.service),
		.jobs = json_object_new_array(),
	};
	int err;

	document_put_text(o, "schema", DOCUMENT_SCHEMA);
	document_put(o, "jobs", page.jobs);
	err = history_page(page.history, collection[0] ? collection : NULL, before,
			   count > PAGE_MAX ? PAGE_MAX : count, put_job, &page);
	if (err < 0) {
		json_object_put(o);
		return err;
	}
	return document_end(o, ret);
}
