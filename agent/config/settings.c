// SPDX-License-Identifier: GPL-2.0-or-later
#include "config/settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/name.h"
#include "base/util.h"
#include "config/config.h"
#include "config/value.h"
#include "tls/context.h"

#define INTERVAL_MAX 86400u
#define HISTORY_MAX 24u
#define TIMEOUT_MAX 86400u
#define LATENCY_MAX 10000u
#define STREAMS_MAX 8u /* FRAME_LANES_MAX */
#define POOL_LIMIT_MAX (1024ULL << 20) /* TIDEMARK_POOL_MAX of <linux/tidemark.h> */

/* -- one of each ------------------------------------------------------------ */

static int set_replica(struct settings *s, const char *text)
{
	uint16_t number;
	char *host, *port;
	int err = value_endpoint(text, &host, &number);

	if (err)
		return err;
	if (asprintf(&port, "%u", number) < 0) {
		free(host);
		return -ENOMEM;
	}
	free(s->host);
	free(s->port);
	s->host = host;
	s->port = port;
	return 0;
}

static void get_replica(const struct settings *s, char *text, size_t size)
{
	if (!s->host)
		text[0] = '\0';
	else
		snprintf(text, size, strchr(s->host, ':') ? "[%s]:%s" : "%s:%s", s->host, s->port);
}

static int set_freeze(struct settings *s, const char *text)
{
	char *copy = NULL;

	if (*text && *text != '/')
		return -EINVAL;
	if (*text) {
		copy = strdup(text);
		if (!copy)
			return -ENOMEM;
	}
	free(s->freeze);
	s->freeze = copy;
	return 0;
}

static void get_freeze(const struct settings *s, char *text, size_t size)
{
	snprintf(text, size, "%s", s->freeze ? s->freeze : "");
}

/* The next name from @text; its length, 0: there is none */
static size_t included_next(const char **text)
{
	*text += strspn(*text, " \t");
	return strcspn(*text, " \t");
}

static bool included_valid(const char *name, size_t length)
{
	char vm[2 * NAME_SIZE], *disk;

	if (length >= sizeof(vm))
		return false;
	memcpy(vm, name, length);
	vm[length] = '\0';
	disk = strchr(vm, '/');
	if (!disk)
		return false;
	*disk++ = '\0';
	return name_valid(vm) && name_valid(disk);
}

static int set_included(struct settings *s, const char *text)
{
	char *copy = NULL;
	size_t length;

	for (const char *at = text; (length = included_next(&at)) != 0; at += length) {
		if (!included_valid(at, length))
			return -EINVAL;
	}
	if (strlen(text) >= SETTING_TEXT_MAX)
		return -EINVAL;
	if (text[strspn(text, " \t")]) {
		copy = strdup(text);
		if (!copy)
			return -ENOMEM;
	}
	free(s->included);
	s->included = copy;
	return 0;
}

static void get_included(const struct settings *s, char *text, size_t size)
{
	snprintf(text, size, "%s", s->included ? s->included : "");
}

bool settings_include(const struct settings *s, const char *vm, const char *disk)
{
	size_t vm_length = strlen(vm), length;

	if (!s->included)
		return true;
	for (const char *at = s->included; (length = included_next(&at)) != 0; at += length) {
		if (length == vm_length + 1 + strlen(disk) && strncmp(at, vm, vm_length) == 0 &&
		    at[vm_length] == '/' && strncmp(at + vm_length + 1, disk, strlen(disk)) == 0)
			return true;
	}
	return false;
}

static int set_authentication(struct settings *s, const char *text)
{
	if (strcmp(text, "none") == 0 || strcmp(text, "0") == 0)
		s->authentication = AUTHENTICATION_NONE;
	else if (strcmp(text, "certificate") == 0 || strcmp(text, "2") == 0)
		s->authentication = AUTHENTICATION_CERTIFICATE;
	else
		return -EINVAL;
	return 0;
}

static void get_authentication(const struct settings *s, char *text, size_t size)
{
	snprintf(text, size, "%u", s->authentication);
}

static const char *const kernel_tls_names[] = {
	[TLS_KERNEL_NO] = "no",
	[TLS_KERNEL_AUTO] = "auto",
	[TLS_KERNEL_YES] = "yes",
};

static int set_kernel_tls(struct settings *s, const char *text)
{
	bool yes;

	if (strcmp(text, "auto") == 0)
		s->kernel_tls = TLS_KERNEL_AUTO;
	else if (value_bool(text, &yes) == 0)
		s->kernel_tls = yes ? TLS_KERNEL_YES : TLS_KERNEL_NO;
	else
		return -EINVAL;
	return 0;
}

static void get_kernel_tls(const struct settings *s, char *text, size_t size)
{
	snprintf(text, size, "%s", kernel_tls_names[s->kernel_tls]);
}

static int set_compression(struct settings *s, const char *text)
{
	if (strcmp(text, "auto") != 0)
		return value_bool(text, &s->compression);
	s->compression = true;
	return 0;
}

static int set_history(struct settings *s, const char *text)
{
	int err = value_uint(text, 0, HISTORY_MAX, &s->history);

	if (!err)
		s->history_given = true;
	return err;
}

static void get_history(const struct settings *s, char *text, size_t size)
{
	snprintf(text, size, "%u", s->history);
}

static int set_rate_rules(struct settings *s, const char *text)
{
	return rules_parse(text, &s->rate_rules);
}

static void get_rate_rules(const struct settings *s, char *text, size_t size)
{
	rules_print(&s->rate_rules, text, size);
}

static int set_pool_limit(struct settings *s, const char *text)
{
	uint64_t bytes;
	int err = value_bytes(text, &bytes);

	if (err || bytes > POOL_LIMIT_MAX)
		return -EINVAL;
	s->pool_limit = bytes;
	return 0;
}

static void get_pool_limit(const struct settings *s, char *text, size_t size)
{
	snprintf(text, size, "%" PRIu64, s->pool_limit);
}

#define SETTING_BOOL_GET(member)                                                      \
	static void get_##member(const struct settings *s, char *text, size_t size)   \
	{                                                                             \
		snprintf(text, size, "%s", s->member ? "yes" : "no");                 \
	}
#define SETTING_BOOL(member)                                                          \
	static int set_##member(struct settings *s, const char *text)                 \
	{                                                                             \
		return value_bool(text, &s->member);                                  \
	}                                                                             \
	SETTING_BOOL_GET(member)
#define SETTING_UINT(member, min, max)                                                \
	static int set_##member(struct settings *s, const char *text)                 \
	{                                                                             \
		return value_uint(text, min, max, &s->member);                        \
	}                                                                             \
	static void get_##member(const struct settings *s, char *text, size_t size)   \
	{                                                                             \
		snprintf(text, size, "%u", s->member);                                \
	}
#define SETTING_RATE(member)                                                          \
	static int set_##member(struct settings *s, const char *text)                 \
	{                                                                             \
		return value_bytes(text, &s->member);                                 \
	}                                                                             \
	static void get_##member(const struct settings *s, char *text, size_t size)   \
	{                                                                             \
		snprintf(text, size, "%" PRIu64, s->member);                          \
	}
#define SETTING_TIME(member)                                                          \
	static int set_##member(struct settings *s, const char *text)                 \
	{                                                                             \
		return value_time_of_day(text, &s->member);                           \
	}                                                                             \
	static void get_##member(const struct settings *s, char *text, size_t size)   \
	{                                                                             \
		snprintf(text, size, "%02u:%02u", s->member / 3600,                   \
			 s->member / 60 % 60);                                        \
	}

SETTING_BOOL_GET(compression)
SETTING_BOOL(plain)
SETTING_BOOL(auto_resync)
SETTING_BOOL(write_order)
SETTING_BOOL(allow_compare)
SETTING_BOOL(paranoid)
SETTING_UINT(interval_s, 0, INTERVAL_MAX)
SETTING_UINT(consistent_s, 0, INTERVAL_MAX)
SETTING_UINT(latency_ms, 0, LATENCY_MAX)
SETTING_UINT(max_concurrent, 0, 64)
SETTING_UINT(streams, 1, STREAMS_MAX)
SETTING_UINT(max_passes, 1, 10000)
SETTING_UINT(timeout_s, 1, TIMEOUT_MAX)
SETTING_UINT(drain_timeout_s, 1, TIMEOUT_MAX)
SETTING_UINT(commit_timeout_s, 1, TIMEOUT_MAX)
SETTING_RATE(rate_limit)
SETTING_RATE(compare_rate)
SETTING_TIME(window_start_s)
SETTING_TIME(window_end_s)

/* -- the table -------------------------------------------------------------- */

#define YES_NO "yes or no"
#define SECONDS "seconds, 1 to 86400"
#define TIME_OF_DAY "HH:MM, 00:00 to 23:59"

static const struct setting table[] = {
	{ "replica", "RecoveryConnectionPoint", 's', "HOST:PORT", set_replica, get_replica },
	{ "authentication", "AuthenticationType", 'u', "certificate (2) or none (0)",
	  set_authentication, get_authentication },
	{ "plain", "PlainAllowed", 'b', YES_NO, set_plain, get_plain },
	{ "compression", "CompressionEnabled", 'b', "yes (where it pays; also: auto) or no",
	  set_compression, get_compression },
	{ "interval", "ReplicationInterval", 'u', "seconds, 0 (only on request) to 86400",
	  set_interval_s, get_interval_s },
	{ "history", "RecoveryHistory", 'u', "0 to 24", set_history, get_history },
	{ "consistent_interval", "ApplicationConsistentSnapshotInterval", 'u',
	  "seconds, 0 (never) to 86400", set_consistent_s, get_consistent_s },
	{ "freeze_hook", "FreezeHook", 's', "an absolute path, or nothing", set_freeze, get_freeze },
	{ "included_disks", "IncludedDisks", 's', "VM/DISK, with blanks between, or nothing: all",
	  set_included, get_included },
	{ "auto_resync", "AutoResynchronizeEnabled", 'b', YES_NO, set_auto_resync,
	  get_auto_resync },
	{ "window_start", "AutoResynchronizeIntervalStart", 's', TIME_OF_DAY, set_window_start_s,
	  get_window_start_s },
	{ "window_end", "AutoResynchronizeIntervalEnd", 's', TIME_OF_DAY, set_window_end_s,
	  get_window_end_s },
	{ "write_order", "EnableWriteOrderPreservationAcrossDisks", 'b', YES_NO, set_write_order,
	  get_write_order },
	{ "allow_compare", "CompareAllowed", 'b', YES_NO, set_allow_compare, get_allow_compare },
	{ "paranoid", "ParanoidComparison", 'b', YES_NO, set_paranoid, get_paranoid },
	{ "rate_limit", "RateLimit", 't', RATE_EXPECTED,
	  set_rate_limit, get_rate_limit },
	{ "rate_rules", "RateRules", 's', RULES_EXPECTED, set_rate_rules, get_rate_rules },
	{ "compare_rate", "CompareRate", 't', RATE_EXPECTED, set_compare_rate, get_compare_rate },
	{ "latency_limit", "LatencyLimit", 'u', "milliseconds, 0 (none) to 10000", set_latency_ms,
	  get_latency_ms },
	{ "max_concurrent", "MaxConcurrent", 'u', "0 (no limit of its own) to 64",
	  set_max_concurrent, get_max_concurrent },
	{ "pool_limit", "PoolLimit", 't', "bytes, 0 (the pool stays as it is) to 1G",
	  set_pool_limit, get_pool_limit },
	{ "streams", "Streams", 'u', "1 to 8", set_streams, get_streams },
	{ "kernel_tls", "KernelTls", 's', "auto, yes or no", set_kernel_tls, get_kernel_tls },
	{ "max_passes", "MaxPasses", 'u', "1 to 10000", set_max_passes, get_max_passes },
	{ "timeout", "Timeout", 'u', SECONDS, set_timeout_s, get_timeout_s },
	{ "drain_timeout", "DrainTimeout", 'u', SECONDS, set_drain_timeout_s,
	  get_drain_timeout_s },
	{ "commit_timeout", "CommitTimeout", 'u', SECONDS, set_commit_timeout_s,
	  get_commit_timeout_s },
};

const struct setting *settings_table(size_t *ret_count)
{
	*ret_count = ARRAY_SIZE(table);
	return table;
}

const struct setting *settings_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(table); i++) {
		if (strcmp(table[i].key, name) == 0 || strcmp(table[i].name, name) == 0)
			return &table[i];
	}
	return NULL;
}

/* -- all of them ------------------------------------------------------------ */

void settings_defaults(struct settings *s)
{
	*s = (struct settings){
		.write_order = true,
		.allow_compare = true,
		.window_start_s = 18 * 3600 + 30 * 60,
		.window_end_s = 6 * 3600,
		.streams = 1,
		.kernel_tls = TLS_KERNEL_AUTO,
		.max_passes = 32,
		.pool_limit = 64 << 20,
		.timeout_s = 60,
		.drain_timeout_s = 30,
		.commit_timeout_s = 600,
	};
}

static int copy_text(char **to, const char *from)
{
	*to = from ? strdup(from) : NULL;
	return from && !*to ? -ENOMEM : 0;
}

int settings_copy(struct settings *to, const struct settings *from)
{
	struct settings copy = *from;
	int err;

	copy.host = copy.port = copy.freeze = copy.included = NULL;
	err = copy_text(&copy.host, from->host);
	if (!err)
		err = copy_text(&copy.port, from->port);
	if (!err)
		err = copy_text(&copy.freeze, from->freeze);
	if (!err)
		err = copy_text(&copy.included, from->included);
	if (err) {
		settings_clear(&copy);
		return err;
	}
	*to = copy;
	return 0;
}

void settings_clear(struct settings *s)
{
	free(s->host);
	free(s->port);
	free(s->freeze);
	free(s->included);
	s->host = s->port = s->freeze = s->included = NULL;
}

int settings_apply(struct settings *s, const char *name, const char *text, struct reason *reason)
{
	const struct setting *setting = settings_find(name);
	int err;

	if (!setting)
		return reason_set(reason, -ENOENT, REASON_INVALID_PARAMETER,
				  "there is no setting %s", name);
	err = setting->set(s, text);
	if (err == -ENOMEM)
		return reason_set(reason, err, 0, "out of memory");
	if (err)
		return reason_set(reason, err, REASON_INVALID_PARAMETER, "%s=%s, expected %s",
				  name, text, setting->expected);
	return 0;
}

int settings_check(const struct settings *s, struct reason *reason)
{
	if (!s->host)
		return reason_set(reason, -EINVAL, REASON_INVALID_PARAMETER,
				  "there is no replica=HOST:PORT (RecoveryConnectionPoint)");
	if (s->plain && s->authentication == AUTHENTICATION_CERTIFICATE)
		return reason_set(reason, -EINVAL, REASON_INVALID_PARAMETER,
				  "plain=yes (PlainAllowed) and authentication=certificate "
				  "(AuthenticationType) exclude each other");
	return 0;
}

bool settings_secure(const struct settings *s, const char *host)
{
	return s->authentication == AUTHENTICATION_CERTIFICATE ||
	       (!s->plain && !config_loopback(host));
}
