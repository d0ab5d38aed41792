// SPDX-License-Identifier: GPL-2.0-or-later
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <syslog.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/config.h"
#include "config/value.h"
#include "tests/unit/scratch.h"
#include "tls/context.h"

static char folder[] = "/tmp/tidemark-config-XXXXXX";
static char path[64];

static void file_write(const char *name, const char *text)
{
	FILE *f = fopen(name, "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
	if (!mkdtemp(folder))
		return -1;
	snprintf(path, sizeof(path), "%s/t.conf", folder);
	return 0;
}

static int teardown(void **state)
{
	return scratch_remove(folder);
}

static struct config *load(const char *text)
{
	struct reason reason = { 0 };
	struct config *c = NULL;

	file_write(path, text);
	if (config_load(path, &c, &reason))
		fail_msg("%s", reason.text);
	return c;
}

/* Loading fails, and the sentence has this in it after the file's name. */
static void refused(const char *text, const char *wanted)
{
	struct reason reason = { 0 };
	struct config *c = NULL;

	file_write(path, text);
	assert_true(config_load(path, &c, &reason) < 0);
	assert_null(c);
	if (!strstr(reason.text, wanted) || !strstr(reason.text, path))
		fail_msg("\"%s\" does not say \"%s\"", reason.text, wanted);
}

static void config__everything(void **state)
{
	struct config *c = load("# comment\n"
				"[agent]\n"
				"state_dir=/s\n"
				"  bus = unix:path=/b,guid=1\n"
				"log=debug\n"
				"[receiver]\n"
				"listen=[::1]:99\n"
				"store=/r\n"
				"[collection web]\n"
				"replica=127.0.0.1:7450 ; inline comment\n"
				"max_passes=5\n"
				"latency_limit=20\n"
				"pool_limit=1G\n"
				"compression=auto\n"
				"streams=8\n"
				"kernel_tls=yes\n"
				"timeout=7\n"
				"[disk web/web01/vda]\n"
				"device=/dev/x\n"
				"[disk web/web01/vdb]\n"
				"device=/img\n"
				"tracking=none\n"
				"granule=4M\n"
				"[replica web/web01/vda]\n"
				"path=/dev/y\n"
				"force=yes\n");
	const struct config_collection *run;

	assert_string_equal(c->state_dir, "/s");
	assert_string_equal(c->bus, "unix:path=/b,guid=1");
	assert_int_equal(c->log_level, LOG_DEBUG);
	assert_true(c->receive);
	assert_string_equal(c->listen_host, "::1");
	assert_int_equal(c->listen_port, 99);
	assert_string_equal(c->store, "/r");
	assert_int_equal(c->collection_count, 1);
	run = config_collection(c, "web");
	assert_string_equal(run->settings.host, "127.0.0.1");
	assert_string_equal(run->settings.port, "7450");
	assert_int_equal(run->settings.max_passes, 5);
	assert_int_equal(run->settings.latency_ms, 20);
	assert_int_equal(run->settings.pool_limit, 1ULL << 30);
	assert_true(run->settings.compression);
	assert_int_equal(run->settings.streams, 8);
	assert_int_equal(run->settings.kernel_tls, TLS_KERNEL_YES);
	assert_int_equal(run->settings.timeout_s, 7);
	assert_int_equal(run->disk_count, 2);
	assert_string_equal(run->disks[0].vm, "web01");
	assert_string_equal(run->disks[0].name, "vda");
	assert_string_equal(run->disks[0].device, "/dev/x");
	assert_true(run->disks[0].tracked);
	assert_false(run->disks[1].tracked);
	assert_int_equal(run->disks[1].granule, 4 << 20);
	assert_int_equal(c->target_count, 1);
	assert_string_equal(c->targets[0].path, "/dev/y");
	assert_true(c->targets[0].force);
	assert_null(config_collection(c, "other"));
	config_free(c);
}

static void config__defaults(void **state)
{
	struct config *c = load("");

	assert_false(c->receive);
	assert_null(c->bus);
	assert_string_equal(c->state_dir, "/var/lib/tidemark");
	assert_int_equal(c->collection_count, 0);
	config_free(c);
	/* A section without keys counts. */
	c = load("[receiver]\n");
	assert_true(c->receive);
	assert_string_equal(c->listen_host, "127.0.0.1");
	assert_int_equal(c->listen_port, 7450);
	config_free(c);
}

static void config__errors_say_where_and_what(void **state)
{
	refused("[agent]\nlog=loud\n", ":2: log=loud, expected error, warning");
	refused("[agent]\n\n\ncolour=red\n", ":4: colour= is unknown in [agent], expected state_dir");
	refused("[agnet]\n", ":1: [agnet], expected [agent]");
	refused("[agent here]\n", ":1: [agent here], expected [agent]");
	refused("log=info\n", ":1:");
	refused("[agent]\nlog\n", ":2: not understood");
	refused("[agent\nlog=info\n", ":1:");
	refused("[agent] log=info\n", ":1: something follows the section, expected a line of its");
	config_free(load("[receiver]\t; others connect\n[agent] # this host\n"));
	refused("[agent]\nstate_dir=here\n", "expected an absolute path");
	refused("[receiver]\nlisten=127.0.0.1\n", "expected ADDRESS:PORT");
	refused("[receiver]\nlisten=127.0.0.1:0\n", "expected ADDRESS:PORT");
	refused("[receiver]\nplain=true\n", "expected yes or no");
	refused("[collection ../x]\n", ":1: [collection ../x], expected [collection NAME]");
	refused("[disk a/b]\n", ":1: [disk a/b], expected [disk COLLECTION/VM/DISK]");
	refused("[disk a/b/c/d]\n", "expected [disk COLLECTION/VM/DISK]");
	refused("[disk a/b/c]\ngranule=3K\n", "expected 4K to 4M");
	refused("[disk a/b/c]\ntracking=maybe\n", "expected kernel or none");
	refused("[collection c]\nmax_passes=0\n", "expected 1 to 10000");
	refused("[collection c]\nstreams=0\n", "expected 1 to 8");
	refused("[collection c]\nstreams=9\n", "expected 1 to 8");
	refused("[collection c]\nkernel_tls=always\n", "expected auto, yes or no");
	refused("[collection c]\nlatency_limit=10001\n", "expected milliseconds, 0 (none) to 10000");
	refused("[collection c]\nlatency_limit=20ms\n", "expected milliseconds, 0 (none) to 10000");
	refused("[collection c]\npool_limit=2G\n", "expected bytes, 0 (the pool stays as it is)");
}

static void config__what_no_line_says(void **state)
{
	refused("[collection c]\nplain=no\n", "there is no replica=HOST:PORT");
	refused("[collection c]\nreplica=127.0.0.1:1\n", "it has no [disk c/VM/DISK]");
	refused("[collection c]\nreplica=127.0.0.1:1\n[disk c/v/d]\ntracking=none\n",
		"has no device=PATH");
	refused("[disk c/v/d]\ndevice=/x\n", "there is no replica=HOST:PORT");
	refused("[replica c/v/d]\nforce=yes\n", "has no path=PATH");
}

/* Nothing leaves or enters this host unencrypted unless it was asked for by name. */
static void config__plain_is_asked_for(void **state)
{
	struct config *c;

	c = load("[receiver]\nlisten=0.0.0.0:7450\n");
	assert_true(config_receives_tls(c));
	config_free(c);
	c = load("[receiver]\nlisten=127.0.0.1.example.org:7450\n");
	assert_true(config_receives_tls(c));
	config_free(c);
	c = load("[receiver]\nlisten=127.0.0.1:7450\n");
	assert_false(config_receives_tls(c));
	config_free(c);
	c = load("[receiver]\nlisten=127.0.0.1:7450\ntls=yes\n");
	assert_true(config_receives_tls(c));
	config_free(c);
	c = load("[receiver]\nlisten=0.0.0.0:7450\nplain=yes\n");
	assert_false(config_receives_tls(c));
	config_free(c);
	refused("[receiver]\nplain=yes\ntls=yes\n", "both plain=yes and tls=yes");
	c = load("[collection c]\nreplica=10.0.0.1:7450\n[disk c/v/d]\ndevice=/x\n");
	assert_true(settings_secure(&c->collections[0].settings, "10.0.0.1"));
	assert_false(settings_secure(&c->collections[0].settings, "127.0.0.1"));
	config_free(c);
	c = load("[collection c]\nreplica=10.0.0.1:7450\nplain=yes\n[disk c/v/d]\ndevice=/x\n");
	assert_false(settings_secure(&c->collections[0].settings, "10.0.0.1"));
	config_free(c);
	c = load("[collection c]\nreplica=[::1]:7450\nauthentication=certificate\n"
		 "[disk c/v/d]\ndevice=/x\n");
	assert_true(settings_secure(&c->collections[0].settings, "::1"));
	config_free(c);
	refused("[collection c]\nreplica=10.0.0.1:7450\nplain=yes\nauthentication=certificate\n"
		"[disk c/v/d]\ndevice=/x\n", "exclude each other");
}

static void config__peers(void **state)
{
	struct config *c = load("[agent]\ntls_dir=/x\n[peer a.example.org]\ncollections=web db\n"
				"[peer b]\ncollections=*\n[peer a.example.org]\ncollections=web\n");

	assert_string_equal(c->tls_dir, "/x");
	assert_int_equal(c->peer_count, 2);
	assert_string_equal(c->peers[0].name, "a.example.org");
	assert_string_equal(c->peers[0].collections, "web");
	assert_string_equal(c->peers[1].collections, "*");
	config_free(c);
	refused("[peer a]\n", "[peer a] has no collections=");
	refused("[peer ..]\ncollections=*\n", "expected [peer NAME]");
}

static void config__additions_in_order(void **state)
{
	char name[128];
	struct config *c;

	snprintf(name, sizeof(name), "%s.d", path);
	assert_int_equal(mkdir(name, 0700), 0);
	snprintf(name, sizeof(name), "%s.d/10-a.conf", path);
	file_write(name, "[agent]\nstate_dir=/a\nlog=error\n");
	snprintf(name, sizeof(name), "%s.d/20-b.conf", path);
	file_write(name, "[agent]\nstate_dir=/b\n");
	snprintf(name, sizeof(name), "%s.d/30-c.conf.bak", path);
	file_write(name, "nonsense\n");
	c = load("[agent]\nstate_dir=/first\n");
	assert_string_equal(c->state_dir, "/b");
	assert_int_equal(c->log_level, LOG_ERR);
	config_free(c);
	snprintf(name, sizeof(name), "%s.d/20-b.conf", path);
	file_write(name, "[agent]\nlog=never\n");
	refused("", "20-b.conf:2: log=never");
	unlink(name);
}

/* The longest names that there are, in one section; inih alone would cut them off. */
static void config__long_names(void **state)
{
	char name[64], text[512];
	struct config *c;

	memset(name, 'n', 63);
	name[63] = '\0';
	snprintf(text, sizeof(text),
		 "[collection %s]\nreplica=localhost:1\n[disk %s/%s/%s]\ndevice=/x\n", name, name,
		 name, name);
	c = load(text);
	assert_int_equal(c->collection_count, 1);
	assert_int_equal(c->collections[0].disk_count, 1);
	assert_string_equal(c->collections[0].disks[0].name, name);
	config_free(c);
	memset(text, 'x', sizeof(text));
	memcpy(text, "[agent]\nbus=", 12);
	text[511] = '\0';
	refused(text, ":2: the line is too long");
}

static void config__no_file(void **state)
{
	struct reason reason = { 0 };
	struct config *c = NULL;

	assert_int_equal(config_load("/nonexistent/t.conf", &c, &reason), -ENOENT);
	assert_non_null(strstr(reason.text, "/nonexistent/t.conf: No such file"));
}

static void value__endpoints(void **state)
{
	static const char *const bad[] = { "",	    "host", ":1",	"host:", "host:x", "host:65536",
					   "::1:7", "[]:7", "host:+7", "host: 7" };
	uint16_t port;
	char *host;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(value_endpoint(bad[i], &host, &port), -EINVAL);
	assert_int_equal(value_endpoint("[::1]:7", &host, &port), 0);
	assert_string_equal(host, "::1");
	free(host);
	assert_int_equal(value_endpoint("a.b:65535", &host, &port), 0);
	assert_string_equal(host, "a.b");
	assert_int_equal(port, 65535);
	free(host);
}

static void value__sizes_and_numbers(void **state)
{
	uint32_t v = 1;

	assert_int_equal(value_size("64K", 4096, 4 << 20, &v), 0);
	assert_int_equal(v, 65536);
	assert_int_equal(value_size("4096", 4096, 4 << 20, &v), 0);
	assert_int_equal(value_size("K", 4096, 4 << 20, &v), -EINVAL);
	assert_int_equal(value_size("8M", 4096, 4 << 20, &v), -EINVAL);
	assert_int_equal(value_size("9999999999M", 4096, 4 << 20, &v), -EINVAL);
	assert_int_equal(value_size("-4K", 4096, 4 << 20, &v), -EINVAL);
	assert_int_equal(value_uint("4294967296", 0, UINT32_MAX, &v), -EINVAL);
	assert_int_equal(value_uint("", 0, 9, &v), -EINVAL);
	assert_int_equal(v, 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(config__everything),
		cmocka_unit_test(config__defaults),
		cmocka_unit_test(config__errors_say_where_and_what),
		cmocka_unit_test(config__what_no_line_says),
		cmocka_unit_test(config__plain_is_asked_for),
		cmocka_unit_test(config__peers),
		cmocka_unit_test(config__long_names),
		cmocka_unit_test(config__no_file),
		cmocka_unit_test(config__additions_in_order),
		cmocka_unit_test(value__endpoints),
		cmocka_unit_test(value__sizes_and_numbers),
	};

	return cmocka_run_group_tests_name("config/config", tests, setup, teardown);
}
