// SPDX-License-Identifier: GPL-2.0-or-later
#include "service/export.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "receive/receiver.h"

struct export {
	struct receiver *receiver;
	char port[8];
};

/* "." and "..", which every folder has. */
static int is_more(const struct dirent *d)
{
	return strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0;
}

int export_check(const char *folder, struct reason *reason)
{
	struct dirent **list;
	int count;

	if (!folder || folder[0] != '/')
		return reason_set(reason, -EINVAL, REASON_INVALID_PARAMETER,
				  "an export needs the absolute path of a folder");
	count = scandir(folder, &list, is_more, alphasort);
	if (count < 0)
		return errno == ENOENT ? 0 :
		       reason_set(reason, -errno, REASON_INVALID_PARAMETER, "%s: %s", folder,
				  strerrordesc_np(errno));
	for (int i = 0; i < count; i++)
		free(list[i]);
	free(list);
	return count ? reason_set(reason, -ENOTEMPTY, REASON_INVALID_PARAMETER,
				  "%s is not empty: an export goes to a folder of its own", folder) :
		       0;
}

int export_open(struct export **ret, const char *folder, struct reason *reason)
{
	const struct receiver_config config = {
		.host = EXPORT_HOST, .plain_allowed = true, .store_dir = folder,
	};
	struct export *e = calloc(1, sizeof(*e));
	int err;

	if (!e)
		return reason_set(reason, -ENOMEM, 0, "out of memory");
	err = receiver_create(&config, &e->receiver, reason);
	if (err) {
		free(e);
		return err;
	}
	snprintf(e->port, sizeof(e->port), "%u", receiver_port(e->receiver));
	*ret = e;
	return 0;
}

struct export *export_close(struct export *e)
{
	if (e)
		receiver_destroy(e->receiver);
	free(e);
	return NULL;
}

const char *export_port(const struct export *e)
{
	return e->port;
}
