// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What is left when the agent is killed: this program runs itself with a crash point
 * armed, before and after each transaction of a scenario, and looks what the next
 * agent makes of it.
 */
#include "tests/unit/service/world.h"

#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

static const char one[] = "[collection c]\nreplica=127.0.0.1:1\n"
			  "[disk c/a/d0]\ndevice=/a0\n[disk c/b/d0]\ndevice=/b0\n";
static const struct service_value replica[] = { { "RecoveryConnectionPoint", "127.0.0.1:9" } };
static const struct service_value limit[] = { { "RateLimit", "1M" } };

static const char *self;

/* -- the scenario ----------------------------------------------------------- */

/* What was answered is on record before the next thing is asked. */
static void answered(const char *word)
{
	char line[64];

	snprintf(line, sizeof(line), "%s %llu\n", word, (unsigned long long)last_job);
	if (write(STDOUT_FILENO, line, strlen(line)) < 0)
		_exit(1);
}

static void scenario(const char *folder)
{
	memset(&world, 0, sizeof(world));
	snprintf(world.folder, sizeof(world.folder), "%s", folder);
	world.wall = INT64_C(1790000000) * SECOND_US;
	world.steady = 1000 * SECOND_US;
	world.uuid = 1;
	world.committed_epoch = 4;
	world_open(one);
	if (!service_create(world.service, "new", replica, 1, NULL, 0, &last_reason))
		answered("created");
	if (!service_modify(world.service, "new", NULL, limit, 1, &last_reason))
		answered("modified");
	if (ask(EVENT_RESYNC, "c", NULL) == SERVICE_STARTED)
		answered("started");
	run_done(0, 1);
	answered("done");
	if (!ask(EVENT_SUSPEND, "c", NULL))
		answered("suspended");
	if (!ask(EVENT_RESUME, "c", NULL))
		answered("resumed");
	if (ask(EVENT_RESYNC, "c", "00000000010000.000000:000") == SERVICE_STARTED)
		answered("scheduled");
	if (!service_remove(world.service, "new", &last_reason))
		answered("removed");
	world_kill();
	world_free_runs();
}

/* -- what must be true afterwards ------------------------------------------- */

struct facts {
	bool created, modified, started, done, suspended, resumed, scheduled, removed;
	uint64_t job, later;
};

static int run_scenario(const char *crash, struct facts *ret)
{
	static const char *const words[] = { "created", "modified", "started", "done",
					     "suspended", "resumed", "scheduled", "removed" };
	bool *flags[] = { &ret->created, &ret->modified, &ret->started, &ret->done,
			  &ret->suspended, &ret->resumed, &ret->scheduled, &ret->removed };
	char command[512], word[32];
	unsigned long long job;
	FILE *f;

	memset(ret, 0, sizeof(*ret));
	snprintf(command, sizeof(command), "TIDEMARK_CRASH=%s %s scenario %s 2>/dev/null", crash,
		 self, world.folder);
	f = popen(command, "r");
	assert_non_null(f);
	while (fscanf(f, "%31s %llu", word, &job) == 2) {
		for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
			if (strcmp(words[i], word) == 0)
				*flags[i] = true;
		}
		if (strcmp(word, "started") == 0)
			ret->job = job;
		if (strcmp(word, "scheduled") == 0)
			ret->later = job;
	}
	return WEXITSTATUS(pclose(f));
}

/* Return: how many jobs were to go on; each is brought to its end. */
static size_t finish_jobs(void)
{
	size_t count = world.run_count;

	assert_true(count <= 1);
	for (size_t i = 0; i < count; i++)
		run_done(i, 7);
	return count;
}

static void check(const struct facts *f)
{
	const struct collection *c = service_find(world.service, "new");
	const struct service_job *later = service_job(world.service, f->later);
	size_t went_on;

	/* A method that was answered is remembered; one that was not may be. */
	if (f->created && !f->modified && !f->removed && f->later == 0)
		assert_non_null(c);
	if (f->modified && !f->scheduled)
		assert_int_equal(c->settings.rate_limit, MIB(1));
	if (f->removed)
		assert_null(c);
	if (f->scheduled) {
		assert_non_null(later);
		assert_int_equal(later->state, JOB_NEW);
		assert_int_equal(later->scheduled, world.wall + 3600 * SECOND_US);
	}
	/* The members agree, whatever was cut off. */
	assert_int_equal(vm_state("c", "a"), vm_state("c", "b"));
	went_on = finish_jobs();
	if (f->started && !f->done && !went_on)
		assert_int_equal(vm_state("c", "a"), VM_REPLICATING);
	if (went_on)
		assert_int_equal(vm_state("c", "a"), VM_REPLICATING);
	if (f->suspended && !f->resumed)
		assert_true(vm_state("c", "a") == VM_SUSPENDED ||
			    vm_state("c", "a") == VM_REPLICATING);
	if (f->resumed)
		assert_int_equal(vm_state("c", "a"), VM_REPLICATING);
	if (f->done)
		assert_int_equal(service_vm(service_find(world.service, "c"), "a")->point, 1);
	/* Nothing stays in between. */
	assert_int_not_equal(vm_state("c", "a"), VM_RESYNC);
}

static void kill__before_and_after_each_transaction(void **state)
{
	static const char *const points[] = { "service-changed", "service-committed" };

	for (size_t i = 0; i < ARRAY_SIZE(points); i++) {
		int status = 137;
		int n;

		for (n = 1; status == 137; n++) {
			struct facts facts;
			char crash[64];

			assert_true(n < 50);
			snprintf(crash, sizeof(crash), "%s:%d", points[i], n);
			status = run_scenario(crash, &facts);
			assert_true(status == 137 || status == 0);
			world_open(one);
			check(&facts);
			world_kill();
			world_free_runs();
			world_teardown(state);
			world_setup(state);
		}
		/* As many as there are transactions in it. */
		assert_true(n > 8);
	}
}

/* -- restarts --------------------------------------------------------------- */

static void restart__a_running_job_goes_on_as_itself(void **state)
{
	uint64_t id;

	world_open(one);
	ask(EVENT_RESYNC, "c", NULL);
	id = last_job;
	world_kill();
	world_open(one);
	assert_int_equal(world.run_count, 2);
	assert_int_equal(job_state(id), JOB_RUNNING);
	assert_int_equal(state_of("c"), COLLECTION_RESYNC);
	/* An agent that is asked to end stops it, and it goes on, too. */
	service_stop(world.service);
	assert_true(world.runs[1]->cancelled);
	world_kill();
	world_open(one);
	assert_int_equal(job_state(id), JOB_RUNNING);
	run_done(2, 3);
	assert_int_equal(job_state(id), JOB_COMPLETED);
	assert_int_equal(state_of("c"), COLLECTION_REPLICATING);
}

static void restart__a_scheduled_job_runs_on_time_and_once(void **state)
{
	uint64_t id;

	world_open(one);
	ask(EVENT_RESYNC, "c", "00000000000130.000000:000");
	id = last_job;
	world_kill();
	world.wall += 30 * SECOND_US;
	world_open(one);
	assert_int_equal(world.run_count, 0);
	advance(60 * SECOND_US);
	assert_int_equal(world.run_count, 1);
	run_done(0, 1);
	assert_int_equal(job_state(id), JOB_COMPLETED);
	world_kill();
	world_open(one);
	advance(3600 * SECOND_US);
	assert_int_equal(world.run_count, 1);
}

static void restart__one_whose_time_passed(void **state)
{
	uint64_t id;

	world_open("missed_grace=60\n[collection c]\nreplica=127.0.0.1:1\n[disk c/a/d]\ndevice=/a\n");
	ask(EVENT_RESYNC, "c", "00000000000100.000000:000");
	id = last_job;
	world_kill();
	/* Late by the grace: it runs at once. */
	world.wall += 120 * SECOND_US;
	world_open("missed_grace=60\n[collection c]\nreplica=127.0.0.1:1\n[disk c/a/d]\ndevice=/a\n");
	assert_int_equal(job_state(id), JOB_RUNNING);
	run_done(0, 1);
	world.marked = 1;
	ask(EVENT_RESYNC, "c", "00000000000100.000000:000");
	id = last_job;
	world_kill();
	/* Later than that: it is refused, and says so. */
	world.wall += 121 * SECOND_US;
	world_open("missed_grace=60\n[collection c]\nreplica=127.0.0.1:1\n[disk c/a/d]\ndevice=/a\n");
	assert_int_equal(job_state(id), JOB_EXCEPTION);
	assert_int_equal(service_job(world.service, id)->error, REASON_NOT_AVAILABLE);
	assert_int_equal(state_of("c"), COLLECTION_REPLICATING);
}

static const char recurring[] = "[collection c]\nreplica=127.0.0.1:1\ninterval=60\n"
				"[disk c/a/d0]\ndevice=/a0\n";

/* The steady clock begins anew with a boot; the back-off does not. */
static void restart__retries_go_on_where_they_were(void **state)
{
	world_open(recurring);
	ask(EVENT_START, "c", NULL);
	run_done(0, 1);
	advance(60 * SECOND_US);
	run_failed(1, RUN_TROUBLE_NETWORK, REASON_NOT_AVAILABLE);
	advance(MINUTE_US);
	run_failed(2, RUN_TROUBLE_NETWORK, REASON_NOT_AVAILABLE);
	world_kill();
	world.wall += 30 * SECOND_US;
	world.steady = 10 * SECOND_US;
	world_open(recurring);
	assert_int_equal(service_vm(service_find(world.service, "c"), "a")->retries, 2);
	advance(89 * SECOND_US);
	assert_int_equal(world.run_count, 3);
	advance(SECOND_US);
	assert_int_equal(world.run_count, 4);
	/* A clock that was set back by a day delays it by no more than the back-off. */
	run_failed(3, RUN_TROUBLE_NETWORK, REASON_NOT_AVAILABLE);
	world_kill();
	world.wall -= 86400 * SECOND_US;
	world_open(recurring);
	advance(4 * MINUTE_US - SECOND_US);
	assert_int_equal(world.run_count, 4);
	advance(SECOND_US);
	assert_int_equal(world.run_count, 5);
	/* What will fail again is not tried again by a restart. */
	run_failed(4, RUN_TROUBLE_FINAL, REASON_FAILED);
	world_kill();
	world_open(recurring);
	advance(3600 * SECOND_US);
	assert_int_equal(world.run_count, 5);
	assert_int_equal(vm_state("c", "a"), VM_CRITICAL);
}

static void restart__recurring_runs_stay_on_their_grid(void **state)
{
	world_open(recurring);
	ask(EVENT_START, "c", NULL);
	run_done(0, 1);
	advance(60 * SECOND_US);
	run_done(1, 2);
	world_kill();
	/* Away for less than the interval: the next is when it would have been. */
	world.wall += 20 * SECOND_US;
	world.steady = 5 * SECOND_US;
	world_open(recurring);
	advance(39 * SECOND_US);
	assert_int_equal(world.run_count, 2);
	advance(SECOND_US);
	assert_int_equal(world.run_count, 3);
	run_done(2, 3);
	world_kill();
	/* Away for longer: at once, none of them counts as missed, and then on the grid. */
	world.wall += 330 * SECOND_US;
	world.steady = 5 * SECOND_US;
	world_open(recurring);
	assert_int_equal(world.run_count, 4);
	assert_int_equal(service_find(world.service, "c")->statistics.miss_count, 0);
	run_done(3, 4);
	advance(29 * SECOND_US);
	assert_int_equal(world.run_count, 4);
	advance(SECOND_US);
	assert_int_equal(world.run_count, 5);
}

static void restart__without_its_collection(void **state)
{
	uint64_t id;

	world_open(one);
	ask(EVENT_RESYNC, "c", NULL);
	id = last_job;
	world_kill();
	world_open("");
	assert_int_equal(job_state(id), JOB_EXCEPTION);
	assert_int_equal(service_job(world.service, id)->error, REASON_NOT_FOUND);
}

/* -- the older schema ------------------------------------------------------- */

/* agent.db as the version before the service wrote it. */
static const char old[] =
	"CREATE TABLE job (id INTEGER PRIMARY KEY AUTOINCREMENT, collection TEXT NOT NULL,"
	" kind INTEGER NOT NULL, state INTEGER NOT NULL, error INTEGER NOT NULL DEFAULT 0,"
	" text TEXT NOT NULL DEFAULT '', point INTEGER NOT NULL DEFAULT 0,"
	" started INTEGER NOT NULL, ended INTEGER NOT NULL DEFAULT 0,"
	" owed INTEGER NOT NULL DEFAULT 0, sent INTEGER NOT NULL DEFAULT 0,"
	" wire INTEGER NOT NULL DEFAULT 0, different INTEGER NOT NULL DEFAULT 0,"
	" passes INTEGER NOT NULL DEFAULT 0);"
	"CREATE INDEX job_collection ON job (collection, id);"
	"CREATE TABLE disk (collection TEXT NOT NULL, vm TEXT NOT NULL, disk TEXT NOT NULL,"
	" uuid BLOB NOT NULL, epoch INTEGER NOT NULL, point INTEGER NOT NULL,"
	" ended INTEGER NOT NULL, PRIMARY KEY (collection, vm, disk)) WITHOUT ROWID;"
	"INSERT INTO job VALUES (7, 'c', 1, 7, 0, '', 3, 100, 200, 1, 2, 3, 0, 1);"
	"INSERT INTO job VALUES (8, 'c', 1, 4, 0, '', 0, 300, 0, 0, 0, 0, 0, 0);"
	"INSERT INTO disk VALUES ('c', 'a', 'd0', x'01000000000000000000000000000000', 4, 3, 200);"
	"PRAGMA user_version = 1;";

static void upgrade__from_the_schema_before(void **state)
{
	struct history_entry last;
	char path[128];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/agent.db", world.folder);
	assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
	assert_int_equal(sqlite3_exec(db, old, NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	world_open(one);
	/* A disk with a point replicates, one without is to be begun. */
	assert_int_equal(vm_state("c", "a"), VM_REPLICATING);
	assert_int_equal(vm_state("c", "b"), VM_READY);
	assert_int_equal(service_vm(service_find(world.service, "c"), "a")->point, 3);
	/* Of the job that ran nobody knows what it was about. */
	assert_int_equal(job_state(8), JOB_EXCEPTION);
	assert_int_equal(history_last(service_history(world.service), "c", &last), 0);
	assert_int_equal(last.id, 8);
	assert_string_equal(last.method, "Resynchronize");
	/* Numbers go on. */
	assert_int_equal(ask(EVENT_RESYNC, "c", NULL), SERVICE_STARTED);
	assert_int_equal(last_job, 9);
}

static int page_take(const struct history_entry *e, void *arg)
{
	uint64_t **next = arg;

	*(*next)++ = e->id;
	return 0;
}

static void history__pages(void **state)
{
	uint64_t ids[8] = { 0 };
	uint64_t *next = ids;

	world_open(one);
	for (size_t i = 0; i < 3; i++) {
		ask(EVENT_RESYNC, "c", NULL);
		run_done(i, i + 1);
		world.marked = 1;
	}
	assert_int_equal(history_page(service_history(world.service), "c", 0, 2, page_take, &next),
			 0);
	assert_int_equal(next - ids, 2);
	assert_int_equal(ids[0], last_job);
	assert_int_equal(history_page(service_history(world.service), NULL, ids[1], 9, page_take,
				      &next), 0);
	assert_int_equal(next - ids, 3);
	assert_int_equal(ids[2], last_job - 2);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(kill__before_and_after_each_transaction),
		TEST(restart__a_running_job_goes_on_as_itself),
		TEST(restart__a_scheduled_job_runs_on_time_and_once),
		TEST(restart__one_whose_time_passed),
		TEST(restart__retries_go_on_where_they_were),
		TEST(restart__recurring_runs_stay_on_their_grid),
		TEST(restart__without_its_collection),
		TEST(upgrade__from_the_schema_before),
		TEST(history__pages),
	};

	self = argv[0];
	if (argc == 3 && strcmp(argv[1], "scenario") == 0) {
		scenario(argv[2]);
		return 0;
	}
	return cmocka_run_group_tests_name("service/record", tests, NULL, NULL);
}
