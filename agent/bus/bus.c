// SPDX-License-Identifier: GPL-2.0-or-later
#include "bus/bus.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "bus/objects.h"
#include "bus/task.h"

sd_bus_slot **bus_slot(struct bus *b)
{
	/* as many as there are calls in this folder; one too many would be overwritten */
	size_t i = b->slot_count < ARRAY_SIZE(b->slots) ? b->slot_count++ : b->slot_count - 1;

	return &b->slots[i];
}

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
	err = bus_service_add(b);
	if (err >= 0)
		err = bus_collections_add(b);
	if (err >= 0)
		err = bus_jobs_add(b);
	if (err >= 0)
		err = changes_create(b);
	if (err >= 0)
		err = bus_points_add(b);
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
	*ret = b;
	return 0;
}

struct bus *bus_destroy(struct bus *b)
{
	if (!b)
		return NULL;
	tasks_end(b);
	changes_destroy(b);
	bus_authorize_end(b);
	for (size_t i = 0; i < b->slot_count; i++)
		sd_bus_slot_unref(b->slots[i]);
	sd_bus_flush_close_unref(b->bus);
	sd_event_unref(b->event);
	free(b);
	return NULL;
}
