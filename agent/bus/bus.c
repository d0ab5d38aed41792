// SPDX-License-Identifier: GPL-2.0-or-later
#include "bus/bus.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "base/util.h"
#include "bus/objects.h"

/* Progress is signalled this often at most. */
#define BUS_TICK_US 250000u

void bus_job_path(uint64_t id, char ret[BUS_PATH_SIZE])
{
	snprintf(ret, BUS_PATH_SIZE, BUS_JOB_PATH "/%" PRIu64, id);
}

static const char *bus_error_name(uint32_t code)
{
	switch (code) {
	case REASON_ACCESS_DENIED:
		return SD_BUS_ERROR_ACCESS_DENIED;
	case REASON_NOT_SUPPORTED:
		return SD_BUS_ERROR_NOT_SUPPORTED;
	case REASON_UNKNOWN:
		return BUS_NAME ".Error.StatusUnknown";
	case REASON_TIMEOUT:
		return SD_BUS_ERROR_TIMEOUT;
	case REASON_INVALID_PARAMETER:
	case REASON_WRONG_TYPE:
		return SD_BUS_ERROR_INVALID_ARGS;
	case REASON_IN_USE:
		return BUS_NAME ".Error.InUse";
	case REASON_INVALID_STATE:
		return BUS_NAME ".Error.InvalidState";
	case REASON_NOT_AVAILABLE:
		return BUS_NAME ".Error.NotAvailable";
	case REASON_NO_MEMORY:
		return SD_BUS_ERROR_NO_MEMORY;
	case REASON_NOT_FOUND:
		return SD_BUS_ERROR_FILE_NOT_FOUND;
	}
	return BUS_NAME ".Error.Failed";
}

int bus_refuse(sd_bus_error *error, const struct reason *reason)
{
	return sd_bus_error_setf(error, bus_error_name(reason->code), "%u: %s", reason->code,
				 reason->text);
}

int bus_permitted(sd_bus_message *m, sd_bus_error *error)
{
	static const struct reason denied = {
		REASON_ACCESS_DENIED, "only root and the agent's own user may do this",
	};
	sd_bus_creds *creds = NULL;
	uid_t uid = (uid_t)-1;
	int err = sd_bus_query_sender_creds(m, SD_BUS_CREDS_EUID, &creds);

	if (err >= 0)
		err = sd_bus_creds_get_euid(creds, &uid);
	sd_bus_creds_unref(creds);
	if (err >= 0 && (uid == 0 || uid == geteuid()))
		return 0;
	return bus_refuse(error, &denied);
}

/* -- changes of jobs -------------------------------------------------------- */

static int bus_tick(sd_event_source *source, uint64_t now, void *arg)
{
	struct bus *b = arg;

	for (struct job *job = jobs_first(b->agent.jobs); job; job = job->next) {
		if (!job_ended(job))
			bus_job_changed(b, job);
	}
	if (!jobs_running(b->agent.jobs))
		return 0;
	sd_event_source_set_time_relative(source, BUS_TICK_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static void bus_job_added(void *owner, struct job *job)
{
	struct bus *b = owner;

	sd_event_source_set_time_relative(b->timer, BUS_TICK_US);
	sd_event_source_set_enabled(b->timer, SD_EVENT_ONESHOT);
}

static void bus_job_state(void *owner, struct job *job)
{
	struct bus *b = owner;
	char path[BUS_PATH_SIZE];

	bus_job_changed(b, job);
	if (!job_ended(job))
		return;
	bus_job_path(job->id, path);
	sd_bus_emit_signal(b->bus, BUS_PATH, BUS_SERVICE, "JobFinished", "ouu", path, job->state,
			   job->error);
}

static void bus_job_removed(void *owner, struct job *job)
{
	struct bus *b = owner;
	char path[BUS_PATH_SIZE];

	bus_job_path(job->id, path);
	sd_bus_emit_signal(b->bus, BUS_PATH, BUS_SERVICE, "JobRemoved", "o", path);
}

/* -- life ------------------------------------------------------------------- */

static int bus_connect(struct bus *b, const char *address)
{
	int err;

	if (strcmp(address, "system") == 0)
		return sd_bus_open_system(&b->bus);
	err = sd_bus_new(&b->bus);
	if (err >= 0)
		err = sd_bus_set_address(b->bus, address);
	if (err >= 0)
		err = sd_bus_set_bus_client(b->bus, 1);
	if (err >= 0)
		err = sd_bus_start(b->bus);
	return err;
}

static int bus_set_up(struct bus *b, const char *address, struct reason *reason)
{
	int err = bus_connect(b, address);

	if (err < 0)
		return reason_set(reason, err, REASON_NOT_AVAILABLE, "cannot connect to D-Bus: %s",
				  strerrordesc_np(-err));
	err = sd_event_add_time_relative(b->event, &b->timer, CLOCK_MONOTONIC, BUS_TICK_US, 0,
					 bus_tick, b);
	if (err >= 0)
		err = sd_event_source_set_enabled(b->timer, SD_EVENT_OFF);
	if (err >= 0)
		err = bus_service_add(b);
	if (err >= 0)
		err = bus_jobs_add(b);
	if (err >= 0)
		err = sd_bus_attach_event(b->bus, b->event, SD_EVENT_PRIORITY_NORMAL);
	if (err < 0)
		return reason_set(reason, err, 0, "cannot set up D-Bus: %s", strerrordesc_np(-err));
	err = sd_bus_request_name(b->bus, BUS_NAME, 0);
	if (err < 0)
		return reason_set(reason, err, err == -EEXIST ? REASON_IN_USE : 0,
				  "cannot have the name " BUS_NAME " on D-Bus: %s",
				  err == -EEXIST ? "another agent has it" : strerrordesc_np(-err));
	return 0;
}

int bus_create(struct bus **ret, const char *address, struct sd_event *event,
	       const struct bus_agent *agent, struct reason *reason)
{
	struct bus *b = calloc(1, sizeof(*b));
	struct job_listener listener = {
		.added = bus_job_added,
		.changed = bus_job_state,
		.removed = bus_job_removed,
		.owner = b,
	};
	int err;

	if (!b)
		return reason_set(reason, -ENOMEM, 0, "out of memory");
	b->agent = *agent;
	b->event = sd_event_ref(event);
	err = bus_set_up(b, address, reason);
	if (err < 0) {
		bus_destroy(b);
		return err;
	}
	jobs_listen(agent->jobs, &listener);
	*ret = b;
	return 0;
}

struct bus *bus_destroy(struct bus *b)
{
	if (!b)
		return NULL;
	jobs_listen(b->agent.jobs, &(struct job_listener){ 0 });
	sd_event_source_disable_unref(b->timer);
	sd_bus_slot_unref(b->service);
	sd_bus_slot_unref(b->job_objects);
	sd_bus_slot_unref(b->job_nodes);
	sd_bus_flush_close_unref(b->bus);
	sd_event_unref(b->event);
	free(b);
	return NULL;
}
