// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Rate limits of runs under way: by the time of day, of a job, a collection, the agent.
 */
#include <poll.h>

#include "tests/unit/service/world.h"

/* It is Monday, 14:13:20 UTC. */
#define HOUR (60 * MINUTE_US)

static const char disk[] = "replica=127.0.0.1:1\n[disk c/a/d0]\ndevice=/a0\n";

static void world_rates(const char *agent, const char *collection)
{
	char text[512];

	snprintf(text, sizeof(text), "%s[collection c]\n%s%s", agent, collection, disk);
	world_open(text);
}

static void reload(const char *agent, const char *collection)
{
	struct reason reason = { 0 };
	char text[512];

	snprintf(text, sizeof(text), "%s[collection c]\n%s%s", agent, collection, disk);
	if (service_reload(world.service, world_config(text), &reason))
		fail_msg("%s", reason.text);
}

/* What the run that began last obeys: its collection's and the agent's, 0: no limit. */
static void obeys(uint64_t collection, uint64_t agent)
{
	const struct run_config *config = world.runs[world.run_count - 1]->config;

	assert_int_equal(config->throttles[0]->rate, collection);
	assert_int_equal(config->throttles[1]->rate, agent);
}

/* The same, of its job's own. */
static void obeys_own(uint64_t limit)
{
	assert_int_equal(world.runs[world.run_count - 1]->config->throttles[2]->rate, limit);
	assert_int_equal(service_job(world.service, last_job)->rate_limit, limit);
}

static int limit_ask(uint64_t limit)
{
	memset(&last_reason, 0, sizeof(last_reason));
	return service_job_limit(world.service, last_job, limit, &last_reason);
}

static void shows_of_job(uint64_t limit, const char *why)
{
	struct service_rate rate;

	service_job_rate(service_job(world.service, last_job), &rate);
	assert_int_equal(rate.limit, limit);
	assert_string_equal(rate.why, why);
}

static void shows(uint64_t limit, const char *why)
{
	const struct collection *c = service_find(world.service, "c");
	struct service_rate rate;

	assert_int_equal(c->rate.limit, limit);
	assert_string_equal(c->rate.why, why);
	if (!c->job)
		return;
	service_job_rate(service_job(world.service, c->job), &rate);
	assert_int_equal(rate.limit, limit);
	assert_string_equal(rate.why, why);
}

static void rate__follows_the_time_of_day(void **state)
{
	int64_t when, unused;

	world_rates("", "rate_limit=1M\nrate_rules=Mon 14:00-15:00 2M, 16:00-17:00 0\n");
	ask(EVENT_RESYNC, "c", NULL);
	obeys(MIB(2), 0);
	shows(MIB(2), "rate_rules: Mon 14:00-15:00 2M");
	/* It is looked at once a minute, at its beginning. */
	service_next(world.service, &when, &unused);
	assert_int_equal(when, world.wall + 40 * SECOND_US);
	advance(46 * MINUTE_US + 39 * SECOND_US);
	obeys(MIB(2), 0);
	advance(SECOND_US);
	obeys(MIB(1), 0);
	shows(MIB(1), "rate_limit");
	advance(HOUR);
	obeys(0, 0);
	shows(0, "rate_rules: 16:00-17:00 0");
	advance(HOUR);
	obeys(MIB(1), 0);
	run_done(0, 5);
	assert_int_equal(vm_state("c", "a"), VM_REPLICATING);
	/* Nobody waits for a border when nothing runs. */
	service_next(world.service, &when, &unused);
	assert_int_equal(when, INT64_MAX);
	shows(MIB(1), "rate_limit");
}

static void rate__what_was_sent_is_not_forgiven_each_time(void **state)
{
	struct throttle *throttle;

	world_rates("", "rate_rules=00:00-24:00 64K\n");
	ask(EVENT_RESYNC, "c", NULL);
	throttle = world.runs[0]->config->throttles[0];
	throttles_take(&throttle, 1, SECOND_US * 1000, MIB(1));
	assert_true(throttles_wait(&throttle, 1, SECOND_US * 1000) > 0);
	advance(MINUTE_US);
	assert_true(throttles_wait(&throttle, 1, SECOND_US * 1000) > 0);
}

static void rate__of_the_agent(void **state)
{
	world_rates("rate_limit=3M\nrate_rules=15:00-16:00 1M\n", "rate_limit=2M\n");
	ask(EVENT_RESYNC, "c", NULL);
	obeys(MIB(2), MIB(3));
	shows(MIB(2), "rate_limit");
	advance(HOUR);
	obeys(MIB(2), MIB(1));
	shows(MIB(1), "the agent's rate_rules: 15:00-16:00 1M");
	/* Changed while it runs, by the file. */
	reload("rate_limit=1M\n", "rate_limit=0\n");
	obeys(0, MIB(1));
	shows(MIB(1), "the agent's rate_limit");
	reload("", "rate_rules=Mon 15:00-16:00 4M\n");
	obeys(MIB(4), 0);
	shows(MIB(4), "rate_rules: Mon 15:00-16:00 4M");
	reload("", "");
	obeys(0, 0);
	shows(0, "");
}

static void rate__one_limit_of_the_agent_for_all(void **state)
{
	world_open("rate_limit=1M\n"
		   "[collection c]\nreplica=127.0.0.1:1\n[disk c/a/d0]\ndevice=/a0\n"
		   "[collection e]\nreplica=127.0.0.1:1\n[disk e/e/d0]\ndevice=/e0\n");
	ask(EVENT_RESYNC, "c", NULL);
	ask(EVENT_RESYNC, "e", NULL);
	assert_int_equal(world.run_count, 2);
	assert_ptr_equal(world.runs[0]->config->throttles[1], world.runs[1]->config->throttles[1]);
	assert_ptr_not_equal(world.runs[0]->config->throttles[0],
			     world.runs[1]->config->throttles[0]);
}

static void rate__is_recorded_and_changed_by_the_api(void **state)
{
	const struct service_value settings[] = {
		{ "RecoveryConnectionPoint", "127.0.0.1:9" }, { "RateRules", "Mon 14:00-15:00 2M" },
	};
	const struct service_value other[] = { { "RateRules", "" }, { "RateLimit", "5M" } };
	const struct service_new_disk one = { "n", "d0", "/n0", true, 0 };

	world_open("");
	memset(&last_reason, 0, sizeof(last_reason));
	assert_int_equal(service_create(world.service, "c", settings, 2, &one, 1, &last_reason), 0);
	world_kill();
	world_open("");
	shows(MIB(2), "rate_rules: Mon 14:00-15:00 2M");
	ask(EVENT_RESYNC, "c", NULL);
	obeys(MIB(2), 0);
	assert_int_equal(service_modify(world.service, "c", NULL, other, 2, &last_reason), 0);
	obeys(MIB(5), 0);
	shows(MIB(5), "rate_limit");
}

static void rate__of_what_is_compared(void **state)
{
	world_rates("", "compare_rate=4M\n");
	ask(EVENT_RESYNC, "c", NULL);
	obeys(0, 0);
	assert_int_equal(world.runs[0]->config->compare_rate->rate, MIB(4));
	reload("", "compare_rate=64K\nrate_limit=1M\n");
	obeys(MIB(1), 0);
	assert_int_equal(world.runs[0]->config->compare_rate->rate, KIB(64));
	reload("", "");
	assert_int_equal(world.runs[0]->config->compare_rate->rate, 0);
	run_done(0, 5);
}

static void rate__the_bound_of_latency_is_changed_while_it_runs(void **state)
{
	world_rates("", "latency_limit=20\n");
	ask(EVENT_RESYNC, "c", NULL);
	assert_int_equal(*world.runs[0]->config->latency_ms, 20);
	reload("", "latency_limit=5\n");
	assert_int_equal(*world.runs[0]->config->latency_ms, 5);
	reload("", "");
	assert_int_equal(*world.runs[0]->config->latency_ms, 0);
}

static void rate__of_a_job(void **state)
{
	world_rates("rate_limit=3M\n", "rate_limit=2M\n");
	ask(EVENT_RESYNC, "c", NULL);
	obeys_own(0);
	/* The tightest of the three holds, and is shown. */
	assert_int_equal(limit_ask(MIB(1)), 0);
	obeys_own(MIB(1));
	obeys(MIB(2), MIB(3));
	shows_of_job(MIB(1), "the job's own");
	assert_int_equal(service_find(world.service, "c")->rate.limit, MIB(2));
	assert_int_equal(limit_ask(MIB(4)), 0);
	obeys_own(MIB(4));
	shows_of_job(MIB(2), "rate_limit");
	reload("rate_limit=1M\n", "rate_limit=0\n");
	shows_of_job(MIB(1), "the agent's rate_limit");
	reload("", "rate_rules=00:00-24:00 0\n");
	shows_of_job(MIB(4), "the job's own");
	assert_int_equal(limit_ask(0), 0);
	obeys_own(0);
	shows_of_job(0, "rate_rules: 00:00-24:00 0");
	/* It ends with its job. */
	assert_int_equal(limit_ask(MIB(1)), 0);
	run_done(0, 5);
	shows_of_job(0, "");
	world.marked = KIB(64);
	assert_int_equal(ask(EVENT_RESYNC, "c", NULL), SERVICE_STARTED);
	obeys_own(0);
}

static void rate__of_a_job_forgives_what_was_sent(void **state)
{
	struct throttle *own;

	world_rates("", "");
	ask(EVENT_RESYNC, "c", NULL);
	limit_ask(KIB(64));
	own = world.runs[0]->config->throttles[2];
	throttles_take(&own, 1, SECOND_US * 1000, MIB(16));
	/* The same again, or a minute, forgives nothing; another limit does. */
	limit_ask(KIB(64));
	advance(MINUTE_US);
	assert_true(throttles_wait(&own, 1, SECOND_US * 1000) > 0);
	limit_ask(KIB(65));
	assert_int_equal(throttles_wait(&own, 1, SECOND_US * 1000), 0);
}

static void rate__of_a_job_lasts_as_long_as_it(void **state)
{
	world_rates("", "");
	/* Before it begins, ... */
	ask(EVENT_RESYNC, "c", "00000000010000.000000:000");
	assert_int_equal(limit_ask(MIB(1)), 0);
	shows_of_job(MIB(1), "the job's own");
	assert_int_equal(service_job_request(world.service, last_job, JOB_REQUEST_START,
					     &last_reason), 0);
	obeys_own(MIB(1));
	/* ... while it is suspended, ... */
	assert_int_equal(service_job_request(world.service, last_job, JOB_REQUEST_SUSPEND,
					     &last_reason), 0);
	assert_int_equal(limit_ask(MIB(2)), 0);
	obeys_own(MIB(2));
	assert_int_equal(service_job_request(world.service, last_job, JOB_REQUEST_START,
					     &last_reason), 0);
	obeys_own(MIB(2));
	/* ... and after another agent has taken it over. */
	world_kill();
	world_rates("", "");
	assert_int_equal(world.run_count, 2);
	obeys_own(MIB(2));
	shows_of_job(MIB(2), "the job's own");
}

static void rate__of_a_job_is_refused(void **state)
{
	world_rates("", "");
	ask(EVENT_RESYNC, "c", NULL);
	limit_ask(MIB(1));
	refused(limit_ask(1), REASON_INVALID_PARAMETER);
	refused(limit_ask(KIB(64) - 1), REASON_INVALID_PARAMETER);
	refused(limit_ask(UINT64_MAX), REASON_INVALID_PARAMETER);
	obeys_own(MIB(1));
	service_job_request(world.service, last_job, JOB_REQUEST_TERMINATE, &last_reason);
	refused(limit_ask(MIB(2)), REASON_INVALID_STATE);
	service_tick(world.service);
	refused(limit_ask(MIB(2)), REASON_INVALID_STATE);
	last_job = 999;
	refused(limit_ask(MIB(2)), REASON_NOT_FOUND);
}

/* A failover lasts until it is told to end. */
static int failover_check(void *arg, const struct service_failover *f, struct reason *reason)
{
	return 0;
}

static int failover_execute(void *arg, const struct service_failover *f, int cancel_fd,
			    struct progress *progress, char *ret_peer, size_t peer_size,
			    struct reason *reason)
{
	struct pollfd wait = { .fd = cancel_fd, .events = POLLIN };

	poll(&wait, 1, -1);
	return -ECANCELED;
}

static const struct service_failover_ops failovers = { failover_check, failover_execute, NULL };

static void failover_ends(void)
{
	struct pollfd wait = { .fd = service_fd(world.service), .events = POLLIN };

	service_job_request(world.service, last_job, JOB_REQUEST_TERMINATE, &last_reason);
	while (!service_job_ended(service_job(world.service, last_job))) {
		assert_int_equal(poll(&wait, 1, 5000), 1);
		service_tick(world.service);
	}
}

static void rate__of_a_failover_here_is_refused(void **state)
{
	static const struct store_replica replica = {
		.collection = "r", .vm = "v", .disk = "d", .path = "/r", .size = MIB(1),
		.point = 1, .created = 1, .state = STORE_READY,
	};
	static const enum model_event events[] = { EVENT_TEST, EVENT_FAILOVER };

	world.replica = &replica;
	world.failover = &failovers;
	world_open("");
	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		assert_int_equal(ask(events[i], "r", NULL), SERVICE_STARTED);
		refused(limit_ask(MIB(1)), REASON_NOT_SUPPORTED);
		refused(limit_ask(0), REASON_NOT_SUPPORTED);
		assert_int_equal(service_job(world.service, last_job)->rate_limit, 0);
		failover_ends();
	}
}

/* It sends what has changed last. */
static void rate__of_a_planned_failover(void **state)
{
	world.failover = &failovers;
	world_rates("", "");
	ask(EVENT_RESYNC, "c", NULL);
	run_done(0, 1);
	assert_int_equal(ask(EVENT_PLANNED_FAILOVER, "c", NULL), SERVICE_STARTED);
	assert_int_equal(limit_ask(MIB(1)), 0);
	shows_of_job(MIB(1), "the job's own");
	failover_ends();
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		T(rate__follows_the_time_of_day),
		T(rate__what_was_sent_is_not_forgiven_each_time),
		T(rate__of_the_agent),
		T(rate__one_limit_of_the_agent_for_all),
		T(rate__is_recorded_and_changed_by_the_api),
		T(rate__of_what_is_compared),
		T(rate__of_a_job),
		T(rate__of_a_job_forgives_what_was_sent),
		T(rate__of_a_job_lasts_as_long_as_it),
		T(rate__of_a_job_is_refused),
		T(rate__of_a_failover_here_is_refused),
		T(rate__of_a_planned_failover),
		T(rate__the_bound_of_latency_is_changed_while_it_runs),
	};

	return cmocka_run_group_tests_name("service/rate", tests, NULL, NULL);
}
