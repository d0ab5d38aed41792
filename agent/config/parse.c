// SPDX-License-Identifier: GPL-2.0-or-later
#include "config/parse.h"

#include <errno.h>
#include <glob.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>

#include "base/util.h"
#include "config/value.h"

#define LINE_SIZE 256
#define GRANULE_MIN 4096u
#define GRANULE_MAX (4u << 20)
#define GRANULE_DEFAULT (64u << 10)

struct parse {
	struct config *config;
	const char *path;
	FILE *file;
	unsigned int line;
	char section[LINE_SIZE]; /* inih cuts it off at 49 characters */
	struct reason *reason;
	int error;
};

/* -- keys ------------------------------------------------------------------- */

static int set_text(char **where, const char *value)
{
	char *copy;

	if (!*value)
		return -EINVAL;
	copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	free(*where);
	*where = copy;
	return 0;
}

static int set_path(char **where, const char *value)
{
	return value[0] == '/' ? set_text(where, value) : -EINVAL;
}

static int agent_state_dir(void *object, const char *value)
{
	return set_path(&((struct config *)object)->state_dir, value);
}

static int agent_bus(void *object, const char *value)
{
	return set_text(&((struct config *)object)->bus, value);
}

static int agent_log(void *object, const char *value)
{
	return value_log_level(value, &((struct config *)object)->log_level);
}

static int agent_max_jobs(void *object, const char *value)
{
	return value_uint(value, 1, 64, &((struct config *)object)->max_jobs);
}

static int agent_missed_grace(void *object, const char *value)
{
	return value_uint(value, 0, 7 * 86400, &((struct config *)object)->missed_grace_s);
}

static int agent_rate_limit(void *object, const char *value)
{
	return value_bytes(value, &((struct config *)object)->rate_limit);
}

static int agent_rate_rules(void *object, const char *value)
{
	return rules_parse(value, &((struct config *)object)->rate_rules);
}

static int receiver_listen(void *object, const char *value)
{
	struct config *c = object;
	char *host;
	int err = value_endpoint(value, &host, &c->listen_port);

	if (err)
		return err;
	free(c->listen_host);
	c->listen_host = host;
	return 0;
}

static int receiver_store(void *object, const char *value)
{
	return set_path(&((struct config *)object)->store, value);
}

static int receiver_plain(void *object, const char *value)
{
	return value_bool(value, &((struct config *)object)->receiver_plain);
}

static int receiver_tls(void *object, const char *value)
{
	return value_bool(value, &((struct config *)object)->receiver_tls);
}

static int agent_tls_dir(void *object, const char *value)
{
	return set_path(&((struct config *)object)->tls_dir, value);
}

static int peer_collections(void *object, const char *value)
{
	return set_text((char **)&((struct receiver_peer *)object)->collections, value);
}

static int receiver_history(void *object, const char *value)
{
	return value_uint(value, 0, 24, &((struct config *)object)->history);
}

static int receiver_history_max(void *object, const char *value)
{
	return value_uint(value, 0, 24, &((struct config *)object)->history_max);
}

static int receiver_connections(void *object, const char *value)
{
	return value_uint(value, 1, 1024, &((struct config *)object)->connections);
}

static int receiver_connections_per_peer(void *object, const char *value)
{
	return value_uint(value, 1, 1024, &((struct config *)object)->connections_per_peer);
}

static int receiver_connections_unknown(void *object, const char *value)
{
	return value_uint(value, 1, 1024, &((struct config *)object)->connections_unknown);
}

static int vm_replica(void *object, const char *value)
{
	struct config_vm *vm = object;
	struct settings s = { 0 };
	int err = settings_find("replica")->set(&s, value);

	if (err)
		return err;
	free(vm->host);
	free(vm->port);
	vm->host = s.host;
	vm->port = s.port;
	return 0;
}

static int vm_freeze(void *object, const char *value)
{
	return set_path(&((struct config_vm *)object)->freeze, value);
}

static int disk_device(void *object, const char *value)
{
	struct run_disk *d = object;

	return set_path((char **)&d->device, value);
}

static int disk_tracking(void *object, const char *value)
{
	struct run_disk *d = object;

	if (strcmp(value, "kernel") != 0 && strcmp(value, "none") != 0)
		return -EINVAL;
	d->tracked = value[0] == 'k';
	return 0;
}

static int disk_granule(void *object, const char *value)
{
	struct run_disk *d = object;

	return value_size(value, GRANULE_MIN, GRANULE_MAX, &d->granule);
}

static int replica_path(void *object, const char *value)
{
	struct store_target *t = object;

	return set_path((char **)&t->path, value);
}

static int replica_force(void *object, const char *value)
{
	return value_bool(value, &((struct store_target *)object)->force);
}

/* -- sections --------------------------------------------------------------- */

/* Room for one more in an array of @size-byte members; NULL: out of memory. */
static void *array_grow(void **array, size_t count, size_t size)
{
	void *grown = realloc(*array, (count + 1) * size);

	if (!grown)
		return NULL;
	*array = grown;
	return memset((char *)grown + count * size, 0, size);
}

static struct config_collection *collection_have(struct parse *p, const char *name)
{
	struct config *c = p->config;
	struct config_collection *found = config_collection(c, name);
	_cleanup_free_ char *copy = NULL;
	_cleanup_free_ char *file = NULL;

	if (found)
		return found;
	copy = strdup(name);
	file = strdup(p->path);
	if (!copy || !file)
		return NULL;
	found = array_grow((void **)&c->collections, c->collection_count, sizeof(*found));
	if (!found)
		return NULL;
	c->collection_count++;
	found->name = TAKE_PTR(copy);
	found->file = TAKE_PTR(file);
	settings_defaults(&found->settings);
	return found;
}

static int section_agent(struct parse *p, const char *name, void **ret)
{
	*ret = p->config;
	return 0;
}

static int section_receiver(struct parse *p, const char *name, void **ret)
{
	p->config->receive = true;
	*ret = p->config;
	return 0;
}

static int section_collection(struct parse *p, const char *name, void **ret)
{
	char names[1][NAME_SIZE];
	int err = value_names(name, 1, names);

	if (err)
		return err;
	*ret = collection_have(p, names[0]);
	return *ret ? 0 : -ENOMEM;
}

static int section_disk(struct parse *p, const char *name, void **ret)
{
	struct config_collection *collection;
	char names[3][NAME_SIZE];
	struct run_disk *d;
	int err = value_names(name, 3, names);

	if (err)
		return err;
	collection = collection_have(p, names[0]);
	if (!collection)
		return -ENOMEM;
	d = collection->disks;
	for (size_t i = 0; i < collection->disk_count; i++, d++) {
		if (strcmp(d->vm, names[1]) == 0 && strcmp(d->name, names[2]) == 0) {
			*ret = d;
			return 0;
		}
	}
	if (collection->disk_count == FRAME_DISKS_MAX)
		return -E2BIG;
	d = array_grow((void **)&collection->disks, collection->disk_count, sizeof(*d));
	if (!d)
		return -ENOMEM;
	collection->disk_count++;
	d->vm = strdup(names[1]);
	d->name = strdup(names[2]);
	d->tracked = true;
	d->granule = GRANULE_DEFAULT;
	*ret = d;
	return d->vm && d->name ? 0 : -ENOMEM;
}

static int section_vm(struct parse *p, const char *name, void **ret)
{
	struct config_collection *collection;
	char names[2][NAME_SIZE];
	struct config_vm *vm;
	int err = value_names(name, 2, names);

	if (err)
		return err;
	collection = collection_have(p, names[0]);
	if (!collection)
		return -ENOMEM;
	vm = collection->vms;
	for (size_t i = 0; i < collection->vm_count; i++, vm++) {
		if (strcmp(vm->name, names[1]) == 0) {
			*ret = vm;
			return 0;
		}
	}
	vm = array_grow((void **)&collection->vms, collection->vm_count, sizeof(*vm));
	if (!vm)
		return -ENOMEM;
	collection->vm_count++;
	vm->name = strdup(names[1]);
	*ret = vm;
	return vm->name ? 0 : -ENOMEM;
}

static int section_peer(struct parse *p, const char *name, void **ret)
{
	char names[1][NAME_SIZE];
	struct config *c = p->config;
	struct receiver_peer *peer = c->peers;
	int err = value_names(name, 1, names);

	if (err)
		return err;
	for (size_t i = 0; i < c->peer_count; i++, peer++) {
		if (strcmp(peer->name, names[0]) == 0) {
			*ret = peer;
			return 0;
		}
	}
	peer = array_grow((void **)&c->peers, c->peer_count, sizeof(*peer));
	if (!peer)
		return -ENOMEM;
	c->peer_count++;
	peer->name = strdup(names[0]);
	*ret = peer;
	return peer->name ? 0 : -ENOMEM;
}

static int section_replica(struct parse *p, const char *name, void **ret)
{
	char names[3][NAME_SIZE];
	struct config *c = p->config;
	struct store_target *t = c->targets;
	int err = value_names(name, 3, names);

	if (err)
		return err;
	for (size_t i = 0; i < c->target_count; i++, t++) {
		if (strcmp(t->collection, names[0]) == 0 && strcmp(t->vm, names[1]) == 0 &&
		    strcmp(t->disk, names[2]) == 0) {
			*ret = t;
			return 0;
		}
	}
	t = array_grow((void **)&c->targets, c->target_count, sizeof(*t));
	if (!t)
		return -ENOMEM;
	c->target_count++;
	t->collection = strdup(names[0]);
	t->vm = strdup(names[1]);
	t->disk = strdup(names[2]);
	*ret = t;
	return t->collection && t->vm && t->disk ? 0 : -ENOMEM;
}

struct key {
	const char *name;
	const char *expected;
	int (*set)(void *object, const char *value);
};

struct section {
	const char *name;
	const char *expected; /* what follows the name; NULL: nothing */
	int (*object)(struct parse *p, const char *name, void **ret);
	struct key keys[12];
};

#define A_PATH "an absolute path"
#define YES_NO "yes or no"

static const struct section sections[] = {
	{ "agent", NULL, section_agent, {
		{ "state_dir", A_PATH, agent_state_dir },
		{ "bus", "system, none, or a D-Bus address", agent_bus },
		{ "log", "error, warning, notice, info or debug", agent_log },
		{ "tls_dir", A_PATH, agent_tls_dir },
		{ "max_jobs", "1 to 64", agent_max_jobs },
		{ "missed_grace", "seconds, 0 to 604800", agent_missed_grace },
		{ "rate_limit", RATE_EXPECTED, agent_rate_limit },
		{ "rate_rules", RULES_EXPECTED, agent_rate_rules },
	} },
	{ "receiver", NULL, section_receiver, {
		{ "listen", "ADDRESS:PORT", receiver_listen },
		{ "store", A_PATH, receiver_store },
		{ "plain", YES_NO, receiver_plain },
		{ "tls", YES_NO, receiver_tls },
		{ "history", "0 to 24", receiver_history },
		{ "history_max", "0 to 24", receiver_history_max },
		{ "connections", "1 to 1024", receiver_connections },
		{ "connections_per_peer", "1 to 1024", receiver_connections_per_peer },
		{ "connections_unknown", "1 to 1024", receiver_connections_unknown },
	} },
	{ "collection", "NAME", section_collection, { { 0 } } }, /* keys: config/settings.c */
	{ "vm", "COLLECTION/VM", section_vm, {
		{ "replica", "HOST:PORT", vm_replica },
		{ "freeze_hook", A_PATH, vm_freeze },
	} },
	{ "disk", "COLLECTION/VM/DISK", section_disk, {
		{ "device", A_PATH, disk_device },
		{ "tracking", "kernel or none", disk_tracking },
		{ "granule", "4K to 4M, a power of two", disk_granule },
	} },
	{ "peer", "NAME", section_peer, {
		{ "collections", "names with spaces between, or *", peer_collections },
	} },
	{ "replica", "COLLECTION/VM/DISK", section_replica, {
		{ "path", A_PATH, replica_path },
		{ "force", YES_NO, replica_force },
	} },
};

/* -- lines ------------------------------------------------------------------ */

static int parse_fail(struct parse *p, int error, const char *wrong, const char *expected)
{
	if (!p->error)
		p->error = reason_set(p->reason, error,
				      error == -ENOMEM ? 0 : REASON_INVALID_PARAMETER,
				      "%s:%u: %s, expected %s", p->path, p->line, wrong, expected);
	return 0;
}

/* The section that the line is in, and its object. */
static const struct section *parse_section(struct parse *p, void **ret)
{
	size_t word = strcspn(p->section, " ");
	const char *rest = p->section + word + (p->section[word] == ' ');
	char wrong[LINE_SIZE + 32];

	snprintf(wrong, sizeof(wrong), "[%s]", p->section);
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++) {
		const struct section *s = &sections[i];
		char expected[64];
		int err;

		if (strlen(s->name) != word || strncmp(s->name, p->section, word) != 0)
			continue;
		snprintf(expected, sizeof(expected), "[%s%s%s]", s->name, s->expected ? " " : "",
			 s->expected ? s->expected : "");
		err = !s->expected && *rest ? -EINVAL : s->object(p, rest, ret);
		if (!err)
			return s;
		parse_fail(p, err, err == -ENOMEM ? "out of memory" : wrong, expected);
		return NULL;
	}
	parse_fail(p, -EINVAL, wrong,
		   "[agent], [receiver], [collection ...], [vm ...], [disk ...], "
		   "[peer ...] or [replica ...]");
	return NULL;
}

/* A key of [collection ...]: all of them are settings, named as in a file. */
static int parse_setting(struct parse *p, struct settings *settings, const char *name,
			 const char *value)
{
	const struct setting *table;
	char wrong[LINE_SIZE * 2];
	char known[LINE_SIZE * 2] = "";
	size_t count;
	int err;

	table = settings_table(&count);
	for (size_t i = 0; i < count; i++) {
		size_t used = strlen(known);

		snprintf(known + used, sizeof(known) - used, "%s%s", used ? ", " : "",
			 table[i].key);
		if (strcmp(table[i].key, name) != 0)
			continue;
		err = table[i].set(settings, value);
		if (!err)
			return 1;
		snprintf(wrong, sizeof(wrong), "%s=%s", name, value);
		return parse_fail(p, err, wrong, table[i].expected);
	}
	snprintf(wrong, sizeof(wrong), "%s= is unknown in [collection]", name);
	return parse_fail(p, -EINVAL, wrong, known);
}

static int parse_key(void *arg, const char *unused, const char *name, const char *value)
{
	struct parse *p = arg;
	const struct section *s;
	char wrong[LINE_SIZE * 2];
	char known[LINE_SIZE] = "";
	void *object;

	if (p->error)
		return 0;
	s = parse_section(p, &object);
	if (!s)
		return 0;
	if (s->object == section_collection)
		return parse_setting(p, &((struct config_collection *)object)->settings, name,
				     value);
	for (const struct key *k = s->keys; k->name; k++) {
		int err;

		if (strcmp(k->name, name) != 0) {
			size_t used = strlen(known);

			snprintf(known + used, sizeof(known) - used, "%s%s", used ? ", " : "",
				 k->name);
			continue;
		}
		err = k->set(object, value);
		if (!err)
			return 1;
		snprintf(wrong, sizeof(wrong), "%s=%s", name, value);
		return parse_fail(p, err, wrong, k->expected);
	}
	snprintf(wrong, sizeof(wrong), "%s= is unknown in [%s]", name, s->name);
	return parse_fail(p, -EINVAL, wrong, known);
}

/* Behind a section's "]" stands a comment, or nothing: inih would pass over it. */
static bool section_ends(const char *rest)
{
	rest += *rest == ']';
	rest += strspn(rest, " \t\r\n");
	return !*rest || *rest == ';' || *rest == '#';
}

/*
 * Lines for inih, with their number. Leading space is taken away, because inih
 * would take an indented key for a further line of the value before it; a
 * section's name is remembered whole.
 */
static char *parse_line(char *buf, int size, void *arg)
{
	struct parse *p = arg;
	size_t length, space;
	void *object;

	if (p->error || !fgets(buf, size, p->file))
		return NULL;
	p->line++;
	length = strlen(buf);
	if (length + 1 == (size_t)size && buf[length - 1] != '\n') {
		parse_fail(p, -EINVAL, "the line is too long", "at most 198 characters");
		return NULL;
	}
	space = strspn(buf, " \t");
	memmove(buf, buf + space, length - space + 1);
	if (buf[0] == '[') {
		length = strcspn(buf + 1, "]");
		snprintf(p->section, sizeof(p->section), "%.*s", (int)length, buf + 1);
		if (!section_ends(buf + 1 + length)) {
			parse_fail(p, -EINVAL, "something follows the section", "a line of its own");
			return NULL;
		}
		/* A section without keys counts, too. */
		if (!parse_section(p, &object))
			return NULL;
	}
	return buf;
}

int parse_file(struct config *c, const char *path, struct reason *reason)
{
	struct parse p = { .config = c, .path = path, .reason = reason };
	int line;

	p.file = fopen(path, "re");
	if (!p.file)
		return reason_set(reason, -errno, 0, "%s: %s", path, strerrordesc_np(errno));
	line = ini_parse_stream(parse_line, &p, parse_key, &p);
	if (!p.error && ferror(p.file))
		p.error = reason_set(reason, -EIO, 0, "%s: cannot be read", path);
	fclose(p.file);
	if (!p.error && line > 0) {
		p.line = line;
		parse_fail(&p, -EINVAL, "not understood", "[SECTION] or KEY=VALUE");
	}
	return p.error;
}

int parse_folder(struct config *c, const char *path, struct reason *reason)
{
	char pattern[4096];
	glob_t found;
	int err = 0;

	if (snprintf(pattern, sizeof(pattern), "%s.d/*.conf", path) >= (int)sizeof(pattern))
		return reason_set(reason, -ENAMETOOLONG, 0, "%s: the path is too long", path);
	/* glob() sorts; nothing found is nothing to do. */
	if (glob(pattern, 0, NULL, &found) == 0) {
		for (size_t i = 0; i < found.gl_pathc && !err; i++)
			err = parse_file(c, found.gl_pathv[i], reason);
		globfree(&found);
	}
	return err;
}
