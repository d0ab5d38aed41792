// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Access: who may call what. Reading is everybody's whom the bus lets through;
 * to change something one must be root or the agent's own user, or polkit must
 * authorize it. Polkit is asked asynchronously: the message waits, the loop does
 * not. Where there is no polkit, nobody else may.
 */
#include "bus/objects.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define POLKIT "org.freedesktop.PolicyKit1"
#define POLKIT_PATH "/org/freedesktop/PolicyKit1/Authority"
#define POLKIT_AUTHORITY POLKIT ".Authority"
#define POLKIT_INTERACTIVE 1u

/* Without a person who is asked, polkit answers at once. */
#define CHECK_US UINT64_C(10000000)
#define CHECK_INTERACTIVE_US UINT64_C(120000000)
/* So many callers may wait for polkit: nobody fills our memory with questions. */
#define CHECKS_MAX 64

/* A call that waits for polkit. */
struct bus_check {
	struct bus_check *next;
	struct bus *bus;
	const struct bus_method *method;
	sd_bus_message *call;
	sd_bus_slot *slot;
};

static int deny(sd_bus_error *error, const char *text)
{
	struct reason reason = { 0 };

	reason_set(&reason, 0, REASON_ACCESS_DENIED, "%s", text);
	return bus_refuse(error, &reason);
}

static bool sender_uid(sd_bus_message *m, uid_t *ret)
{
	sd_bus_creds *creds = NULL;
	int err = sd_bus_query_sender_creds(m, SD_BUS_CREDS_EUID, &creds);

	if (err >= 0)
		err = sd_bus_creds_get_euid(creds, ret);
	sd_bus_creds_unref(creds);
	return err >= 0;
}

void bus_sender(sd_bus_message *m, char *ret, size_t size)
{
	uid_t uid;

	/* no names: looking one up may ask a network */
	if (!sender_uid(m, &uid))
		snprintf(ret, size, "%s", sd_bus_message_get_sender(m) ?: "");
	else if (uid == 0)
		snprintf(ret, size, "root");
	else
		snprintf(ret, size, "uid %u", (unsigned int)uid);
}

/* -- polkit ----------------------------------------------------------------- */

static void check_free(struct bus_check *c)
{
	struct bus_check **link = &c->bus->checks;

	while (*link != c)
		link = &(*link)->next;
	*link = c->next;
	c->bus->check_count--;
	sd_bus_slot_unref(c->slot);
	sd_bus_message_unref(c->call);
	free(c);
}

void bus_authorize_end(struct bus *b)
{
	while (b->checks)
		check_free(b->checks);
}

static int check_answered(sd_bus_message *answer, void *arg, sd_bus_error *unused)
{
	sd_bus_error error = SD_BUS_ERROR_NULL;
	struct bus_check *c = arg;
	int authorized = 0;
	int err;

	if (!sd_bus_message_is_method_error(answer, NULL)) {
		err = sd_bus_message_enter_container(answer, 'r', "bba{ss}");
		if (err >= 0 && sd_bus_message_read(answer, "b", &authorized) < 0)
			authorized = 0;
	}
	if (!authorized)
		err = deny(&error, "you are not authorized to do this");
	else
		err = bus_execute(c->bus, c->call, c->method, &error);
	if (err < 0)
		sd_bus_reply_method_error(c->call, &error);
	sd_bus_error_free(&error);
	check_free(c);
	return 0;
}

static int check_send(struct bus_check *c)
{
	bool person = sd_bus_message_get_allow_interactive_authorization(c->call) > 0;
	sd_bus_message *m = NULL;
	int err = sd_bus_message_new_method_call(c->bus->bus, &m, POLKIT, POLKIT_PATH,
						 POLKIT_AUTHORITY, "CheckAuthorization");

	if (err >= 0)
		err = sd_bus_message_append(m, "(sa{sv})s", "system-bus-name", 1, "name", "s",
					    sd_bus_message_get_sender(c->call), c->method->action);
	if (err >= 0)
		err = sd_bus_message_append(m, "a{ss}us", 0, person ? POLKIT_INTERACTIVE : 0, "");
	if (err >= 0)
		err = sd_bus_call_async(c->bus->bus, &c->slot, m, check_answered, c,
					person ? CHECK_INTERACTIVE_US : CHECK_US);
	sd_bus_message_unref(m);
	return err;
}

static int check_start(struct bus *b, sd_bus_message *m, const struct bus_method *method,
		       sd_bus_error *error)
{
	struct bus_check *c;

	if (!sd_bus_message_get_sender(m))
		return deny(error, "only root and the agent's own user may do this");
	if (b->check_count >= CHECKS_MAX)
		return deny(error, "too many callers wait for their authorization: try again");
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	*c = (struct bus_check){
		.next = b->checks,
		.bus = b,
		.method = method,
		.call = sd_bus_message_ref(m),
	};
	b->checks = c;
	b->check_count++;
	if (check_send(c) < 0) {
		check_free(c);
		return deny(error, "only root and the agent's own user may do this");
	}
	return 1; /* handled; the reply comes later */
}

int bus_authorize(struct bus *b, sd_bus_message *m, const struct bus_method *method,
		  sd_bus_error *error)
{
	uid_t uid;

	if (!method->action)
		return bus_execute(b, m, method, error);
	if (sender_uid(m, &uid) && (uid == 0 || uid == geteuid()))
		return bus_execute(b, m, method, error);
	return check_start(b, m, method, error);
}

int bus_execute(struct bus *b, sd_bus_message *m, const struct bus_method *method,
		sd_bus_error *error)
{
	struct reason reason = { 0 };
	int err = sd_bus_message_rewind(m, true);

	if (err >= 0)
		err = method->run(b, m, error);
	if (err >= 0 || sd_bus_error_is_set(error))
		return err;
	/* what sd-bus makes of arguments that are not what the signature says */
	if (err == -ENXIO || err == -EBADMSG)
		reason_set(&reason, err, REASON_WRONG_TYPE, "the arguments are not understood");
	else
		reason_set(&reason, err, 0, "%s", strerrordesc_np(-err) ?: "failed");
	return bus_refuse(error, &reason);
}
