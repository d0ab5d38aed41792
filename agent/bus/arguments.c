// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Arguments of methods, and the getters that several interfaces share.
 */
#include "bus/objects.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static const char *type_name(char type)
{
	switch (type) {
	case 'b':
		return "a boolean";
	case 's':
		return "a string";
	case 'u':
		return "an unsigned 32-bit number";
	}
	return "an unsigned 64-bit number";
}

static int read_value(sd_bus_message *m, const struct bus_option *o)
{
	const char type[] = { o->type, '\0' };
	int flag, err;

	if (o->type != 'b')
		return sd_bus_message_read(m, "v", type, o->value);
	err = sd_bus_message_read(m, "v", type, &flag);
	if (err >= 0)
		*(bool *)o->value = flag;
	return err;
}

static int read_option(sd_bus_message *m, const struct bus_option *known, size_t count,
		       uint64_t *seen, sd_bus_error *error)
{
	struct reason reason = { 0 };
	const char *name;
	size_t i = 0;
	int err = sd_bus_message_read(m, "s", &name);

	if (err < 0)
		return err;
	while (i < count && strcmp(known[i].name, name) != 0)
		i++;
	if (i == count)
		reason_set(&reason, 0, REASON_INVALID_PARAMETER, "unknown option %.64s", name);
	else if (*seen & (UINT64_C(1) << i))
		reason_set(&reason, 0, REASON_INVALID_PARAMETER, "option %s is given twice", name);
	else if (read_value(m, &known[i]) < 0)
		reason_set(&reason, 0, REASON_WRONG_TYPE, "option %s must be %s", name,
			   type_name(known[i].type));
	if (reason.code)
		return bus_refuse(error, &reason);
	*seen |= UINT64_C(1) << i;
	return 0;
}

int bus_read_options(sd_bus_message *m, const struct bus_option *known, size_t count,
		     sd_bus_error *error)
{
	uint64_t seen = 0;
	int err = sd_bus_message_enter_container(m, 'a', "{sv}");

	while (err >= 0 && (err = sd_bus_message_enter_container(m, 'e', "sv")) > 0) {
		err = read_option(m, known, count, &seen, error);
		if (err < 0)
			return err;
		err = sd_bus_message_exit_container(m);
	}
	return err < 0 ? err : sd_bus_message_exit_container(m);
}

int bus_read_collection(sd_bus_message *m, char ret[NAME_SIZE], sd_bus_error *error)
{
	struct reason reason = { 0 };
	const char *text;
	int err = sd_bus_message_read(m, "s", &text);

	if (err < 0)
		return err;
	if (text[0] == '/' && bus_collection_of(text, ret))
		return 0;
	if (name_valid(text)) {
		snprintf(ret, NAME_SIZE, "%s", text);
		return 0;
	}
	reason_set(&reason, 0, REASON_INVALID_PARAMETER, "'%.64s' is no name of a collection", text);
	return bus_refuse(error, &reason);
}

/* -- getters ---------------------------------------------------------------- */

int bus_get_array(sd_bus *bus, const char *path, const char *interface, const char *property,
		  sd_bus_message *reply, void *arg, sd_bus_error *error)
{
	char text[BUS_TEXT_SIZE];

	return sd_bus_message_append(reply, "s", bus_text(arg, text, sizeof(text)));
}

int bus_get_text(sd_bus *bus, const char *path, const char *interface, const char *property,
		 sd_bus_message *reply, void *arg, sd_bus_error *error)
{
	char text[BUS_TEXT_SIZE];

	return sd_bus_message_append(reply, "s",
				     bus_text(*(const char **)arg, text, sizeof(text)));
}

int bus_get_bool(sd_bus *bus, const char *path, const char *interface, const char *property,
		 sd_bus_message *reply, void *arg, sd_bus_error *error)
{
	return sd_bus_message_append(reply, "b", *(const bool *)arg);
}

int bus_get_job(sd_bus *bus, const char *path, const char *interface, const char *property,
		sd_bus_message *reply, void *arg, sd_bus_error *error)
{
	char job[BUS_PATH_SIZE];

	return sd_bus_message_append(reply, "o", bus_job_path(*(const uint64_t *)arg, job));
}
