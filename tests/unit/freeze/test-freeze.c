// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Freezing, with hooks that are shell scripts and a guest agent that is a thread here:
 * everything that was asked to freeze is told to thaw, whoever dies or hangs, and
 * "frozen" is said only when it is true.
 */
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <pthread.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/util.h"
#include "freeze/freeze.h"
#include "tests/unit/scratch.h"

static char folder[] = "/tmp/tidemark-freeze-XXXXXX";
static char record[PATH_MAX], hook[PATH_MAX], agent_path[PATH_MAX];

/* -- a guest agent ------------------------------------------------------------ */

static struct {
	pthread_t thread;
	int listen_fd;
	const char *freeze_answer; /* NULL: none, ever */
	atomic_bool stale;	   /* an old answer is still in the channel */
} agent;

static void record_line(const char *text)
{
	FILE *f = fopen(record, "a");

	fprintf(f, "%s\n", text);
	fclose(f);
}

static void agent_say(int fd, const char *text)
{
	(void)!write(fd, text, strlen(text));
}

static void agent_line(int fd, const char *line)
{
	char answer[128];
	const char *id = strstr(line, "\"id\": ");

	if (strstr(line, "guest-sync-delimited")) {
		/* It was asked first by somebody who has left. */
		if (agent.stale)
			agent_say(fd, "\xff{\"return\": 7}\n{\"return\": 99}\n");
		snprintf(answer, sizeof(answer), "\xff{\"return\": %d}\n", atoi(id + 6));
		agent_say(fd, answer);
	} else if (strstr(line, "guest-fsfreeze-freeze")) {
		record_line("agent freeze");
		if (agent.freeze_answer)
			agent_say(fd, agent.freeze_answer);
	} else if (strstr(line, "guest-fsfreeze-thaw")) {
		record_line("agent thaw");
		agent_say(fd, "{\"return\": 2}\n");
	} else {
		record_line(line);
	}
}

static void *agent_main(void *arg)
{
	char line[512];
	int fd;

	while ((fd = accept(agent.listen_fd, NULL, NULL)) >= 0) {
		FILE *in = fdopen(fd, "r");

		while (fgets(line, sizeof(line), in))
			agent_line(fd, line);
		fclose(in);
	}
	return NULL;
}

static void agent_start(const char *freeze_answer)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	memcpy(address.sun_path, agent_path, strlen(agent_path) + 1);
	agent.freeze_answer = freeze_answer;
	agent.stale = false;
	agent.listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(agent.listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(agent.listen_fd, 4), 0);
	assert_int_equal(pthread_create(&agent.thread, NULL, agent_main, NULL), 0);
}

static void agent_stop(void)
{
	if (agent.listen_fd < 0)
		return;
	shutdown(agent.listen_fd, SHUT_RDWR);
	pthread_join(agent.thread, NULL);
	close(agent.listen_fd);
	unlink(agent_path);
	agent.listen_fd = -1;
}

/* -- both ends ---------------------------------------------------------------- */

static void hook_write(const char *freeze, const char *thaw)
{
	FILE *f = fopen(hook, "w");

	fprintf(f, "#!/bin/sh\n"
		"[ \"$1 $2\" = \"$TIDEMARK_ACTION $TIDEMARK_VM\" ] || exit 9\n"
		"echo \"$TIDEMARK_COLLECTION $1 $2\" >> %s\n"
		"case $1 in freeze) %s ;; thaw) %s ;; esac\n", record, freeze, thaw);
	fclose(f);
	chmod(hook, 0755);
}

static void recorded(const char *expected)
{
	char text[1024] = "";
	FILE *f = fopen(record, "r");

	if (f) {
		text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
		fclose(f);
	}
	assert_string_equal(text, expected);
}

/* So many files say that something may be frozen. */
static int left_over(void)
{
	char command[PATH_MAX + 64];

	snprintf(command, sizeof(command), "test -z \"$(ls %s | grep '^frozen')\"", folder);
	return WEXITSTATUS(system(command));
}

static struct freeze_vm with_hook(void)
{
	return (struct freeze_vm){ .name = "v1", .hook = hook, .freeze_ms = 8000 };
}

static struct freeze_vm with_agent(void)
{
	return (struct freeze_vm){ .name = "v2", .guest_agent = agent_path, .freeze_ms = 8000 };
}

struct result {
	bool all, held;
	char frozen[REASON_TEXT_MAX], thawed[REASON_TEXT_MAX];
};

static struct result freeze_round(const struct freeze_vm *vms, size_t count)
{
	struct result r = { 0 };
	struct freeze *f;

	assert_int_equal(freeze_start(&f, folder, "c", vms, count), 0);
	assert_int_equal(freeze_frozen(f, &r.all, r.frozen), 0);
	freeze_thaw(f);
	assert_int_equal(freeze_thawed(f, &r.held, r.thawed), 0);
	freeze_end(f);
	return r;
}

static int setup(void **state)
{
	unlink(record);
	agent.listen_fd = -1;
	hook_write(":", ":");
	return 0;
}

static int teardown(void **state)
{
	agent_stop();
	return left_over();
}

/* -- the tests ---------------------------------------------------------------- */

static void freeze__hook(void **state)
{
	struct freeze_vm vm = with_hook();
	struct result r = freeze_round(&vm, 1);

	assert_true(r.all && r.held);
	assert_string_equal(r.frozen, "");
	recorded("c freeze v1\nc thaw v1\n");
}

static void freeze__guest_agent(void **state)
{
	struct freeze_vm vm = with_agent();
	struct result r;

	agent_start("{\"return\": 2}\n");
	agent.stale = true;
	r = freeze_round(&vm, 1);
	assert_true(r.all && r.held);
	recorded("agent freeze\nagent thaw\n");
}

static void freeze__hook_around_the_agent(void **state)
{
	struct freeze_vm vm = with_hook();
	struct result r;

	agent_start("{\"return\": 1}\n");
	vm.guest_agent = agent_path;
	r = freeze_round(&vm, 1);
	assert_true(r.all && r.held);
	recorded("c freeze v1\nagent freeze\nagent thaw\nc thaw v1\n");
}

static void freeze__hook_fails_and_is_thawed(void **state)
{
	struct freeze_vm vm = with_hook();
	struct result r;

	hook_write("exit 3", ":");
	r = freeze_round(&vm, 1);
	assert_false(r.all || r.held);
	assert_non_null(strstr(r.frozen, "v1 could not be frozen"));
	assert_non_null(strstr(r.frozen, "exit status 3"));
	recorded("c freeze v1\nc thaw v1\n");
}

static void freeze__hook_hangs_and_is_killed(void **state)
{
	struct freeze_vm vm = with_hook();
	struct result r;

	hook_write("sleep 1000", ":");
	vm.freeze_ms = 300;
	r = freeze_round(&vm, 1);
	assert_false(r.all || r.held);
	assert_non_null(strstr(r.frozen, "did not end in time"));
	recorded("c freeze v1\nc thaw v1\n");
}

static void freeze__missing_hook(void **state)
{
	struct freeze_vm vm = { .name = "v1", .hook = "/nonexistent/hook", .freeze_ms = 1000 };
	struct freeze *f;
	char text[REASON_TEXT_MAX];
	bool good;

	assert_int_equal(freeze_start(&f, folder, "c", &vm, 1), 0);
	assert_int_equal(freeze_frozen(f, &good, text), 0);
	assert_false(good);
	assert_non_null(strstr(text, "cannot run /nonexistent/hook"));
	freeze_end(f);
	assert_int_equal(left_over(), 1);
	assert_int_equal(system("rm /tmp/tidemark-freeze-*/frozen.*"), 0);
}

static void freeze__thaw_fails_at_first(void **state)
{
	struct freeze_vm vm = with_hook();
	struct result r;

	hook_write(":", "test $(grep -c thaw $(dirname $0)/record) -ge 3");
	r = freeze_round(&vm, 1);
	assert_true(r.all && r.held);
	assert_string_equal(r.thawed, "");
	recorded("c freeze v1\nc thaw v1\nc thaw v1\nc thaw v1\n");
}

static void freeze__thaw_that_never_succeeds_is_said(void **state)
{
	struct freeze_vm vm = with_hook();
	struct result r;

	hook_write(":", "exit 1");
	r = freeze_round(&vm, 1);
	assert_non_null(strstr(r.thawed, "v1 could not be thawed"));
	/* It is tried once more at the next start. */
	assert_int_equal(left_over(), 1);
	hook_write(":", ":");
	freeze_recover(folder, record_line);
	assert_int_equal(left_over(), 0);
}

static void freeze__agent_is_silent_and_is_thawed(void **state)
{
	struct freeze_vm vm = with_agent();
	struct result r;

	agent_start(NULL);
	vm.freeze_ms = 300;
	r = freeze_round(&vm, 1);
	assert_false(r.all || r.held);
	assert_non_null(strstr(r.frozen, "did not answer in time"));
	recorded("agent freeze\nagent thaw\n");
}

static void freeze__agent_refuses(void **state)
{
	struct freeze_vm vm = with_agent();
	struct result r;

	agent_start("{\"error\": {\"class\": \"GenericError\", \"desc\": \"disk is busy\"}}\n");
	r = freeze_round(&vm, 1);
	assert_false(r.all || r.held);
	assert_non_null(strstr(r.frozen, "disk is busy"));
	recorded("agent freeze\nagent thaw\n");
}

/* It says yes, and nothing is frozen. */
static void freeze__agent_without_a_file_system(void **state)
{
	struct freeze_vm vm = with_agent();
	struct result r;

	agent_start("{\"return\": 0}\n");
	r = freeze_round(&vm, 1);
	assert_false(r.all || r.held);
	assert_non_null(strstr(r.frozen, "no file system"));
}

static void freeze__one_of_two(void **state)
{
	struct freeze_vm vms[2] = { with_hook(), with_agent() };
	struct result r;

	agent_start("{\"error\": {\"desc\": \"no\"}}\n");
	r = freeze_round(vms, 2);
	assert_false(r.all || r.held);
	assert_non_null(strstr(r.frozen, "v2 could not be frozen"));
	assert_string_equal(r.thawed, "");
}

static void freeze__agent_dies_and_all_is_thawed(void **state)
{
	struct freeze_vm vm = with_hook();
	char text[REASON_TEXT_MAX];
	struct freeze *f;
	bool good;
	pid_t pid = fork();

	if (!pid) {
		if (freeze_start(&f, folder, "c", &vm, 1) || freeze_frozen(f, &good, text))
			_exit(1);
		kill(getpid(), SIGKILL);
	}
	waitpid(pid, NULL, 0);
	for (int n = 0; n < 500 && left_over(); n++)
		usleep(20000);
	recorded("c freeze v1\nc thaw v1\n");
}

/* The freezer is killed with the agent: the next start thaws. */
static void freeze__everybody_dies(void **state)
{
	struct freeze_vm vm = with_hook();
	char text[REASON_TEXT_MAX];
	struct freeze *f;
	bool good;
	pid_t pid = fork();

	if (!pid) {
		char command[64];

		if (freeze_start(&f, folder, "c", &vm, 1) || freeze_frozen(f, &good, text))
			_exit(1);
		snprintf(command, sizeof(command), "pkill -KILL -P %d", getpid());
		(void)!system(command);
		_exit(0);
	}
	waitpid(pid, NULL, 0);
	recorded("c freeze v1\n");
	assert_int_equal(left_over(), 1);
	freeze_recover(folder, record_line);
	recorded("c freeze v1\nc thaw v1\nVMs that were left frozen are thawed\n");
}

/* The agent hangs: it is not waited for, and the seal that comes is not called frozen. */
static void freeze__hold_has_a_limit(void **state)
{
	struct freeze_vm vm = with_hook();
	char text[REASON_TEXT_MAX];
	struct freeze *f;
	bool good;

	assert_int_equal(freeze_start(&f, folder, "c", &vm, 1), 0);
	assert_int_equal(freeze_frozen(f, &good, text), 0);
	assert_true(good);
	assert_int_equal(freeze_thawed(f, &good, text), 0);
	assert_false(good);
	freeze_thaw(f);
	freeze_end(f);
	recorded("c freeze v1\nc thaw v1\n");
}

static void freeze__unfinished_file_is_nobodys(void **state)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/frozen.half", folder);
	f = fopen(path, "w");
	fputs("{\"collection\": \"c\", \"vms\": [{", f);
	fclose(f);
	freeze_recover(folder, record_line);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(freeze__hook),
		TEST(freeze__guest_agent),
		TEST(freeze__hook_around_the_agent),
		TEST(freeze__hook_fails_and_is_thawed),
		TEST(freeze__hook_hangs_and_is_killed),
		TEST(freeze__missing_hook),
		TEST(freeze__thaw_fails_at_first),
		TEST(freeze__thaw_that_never_succeeds_is_said),
		TEST(freeze__agent_is_silent_and_is_thawed),
		TEST(freeze__agent_refuses),
		TEST(freeze__agent_without_a_file_system),
		TEST(freeze__one_of_two),
		TEST(freeze__agent_dies_and_all_is_thawed),
		TEST(freeze__everybody_dies),
		TEST(freeze__hold_has_a_limit),
		TEST(freeze__unfinished_file_is_nobodys),
	};
	int failed;

	if (argc > 1 && strcmp(argv[1], FREEZER_ARGUMENT) == 0)
		return freezer_main(argc, argv);
	if (!mkdtemp(folder))
		return 1;
	snprintf(record, sizeof(record), "%s/record", folder);
	snprintf(hook, sizeof(hook), "%s/hook", folder);
	snprintf(agent_path, sizeof(agent_path), "%s/agent", folder);
	failed = cmocka_run_group_tests_name("freeze", tests, NULL, NULL);
	return scratch_remove(folder) || failed;
}
