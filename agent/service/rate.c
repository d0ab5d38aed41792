// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Rate limits: which one holds now, of a job, its collection and the agent. Rules of
 * the time of day are looked at with every tick, and that comes at least once a
 * minute while a run is under way that a rule may concern. Runs have pointers to the
 * throttles and follow at once.
 */
#include "service/private.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"

/* The rule that holds, or else the limit. @whose: "" or "the agent's " */
static struct service_rate rate_of(uint64_t limit, const struct rate_rules *rules,
				   const char *whose, int64_t now_us)
{
	const struct rate_rule *rule = rules_find(rules, now_us / SECOND_US);
	struct service_rate rate = { .limit = rule ? rule->rate : limit };
	char text[RULE_TEXT_MAX];

	if (rule) {
		rule_print(rule, text, sizeof(text));
		snprintf(rate.why, sizeof(rate.why), "%srate_rules: %s", whose, text);
	} else if (limit) {
		snprintf(rate.why, sizeof(rate.why), "%srate_limit", whose);
	}
	return rate;
}

static struct service_rate rate_of_agent(const struct service *s)
{
	return rate_of(s->config->rate_limit, &s->config->rate_rules, "the agent's ", wall(s));
}

/* What was taken is forgiven when a limit is set, so only when it is another one. */
static void rate_set(struct throttle *t, uint64_t limit)
{
	if (atomic_load(&t->rate) != limit)
		throttle_set(t, limit);
}

/* A job under way is held back to another rate than @before. */
static void rate_log(const struct service_job *job, const struct service_rate *before)
{
	struct log_fields fields = { .collection = job->collection, .job = job->id };
	struct service_rate rate;

	service_job_rate(job, &rate);
	if (rate.limit == before->limit || !run_active(job))
		return;
	if (rate.limit)
		log_about(LOG_INFO, &fields, "job %llu: at most %llu bytes a second from now on (%s)",
			  (unsigned long long)job->id, (unsigned long long)rate.limit, rate.why);
	else
		log_about(LOG_INFO, &fields, "job %llu: no rate limit from now on",
			  (unsigned long long)job->id);
}

/* The tighter of both is what counts; equal ones are the collection's. */
static struct service_rate rate_both(const struct collection *c, const struct service_rate *own,
				     const struct service_rate *agent)
{
	/* A replica sends nothing. */
	if (c->role != MODEL_PRIMARY)
		return (struct service_rate){ 0 };
	if (agent->limit && (!own->limit || agent->limit < own->limit))
		return *agent;
	return *own->why ? *own : *agent;
}

static void rate_take(struct service *s, struct collection *c, const struct service_rate *agent)
{
	struct service_rate own = rate_of(c->settings.rate_limit, &c->settings.rate_rules, "",
					  wall(s));
	struct service_rate both = rate_both(c, &own, agent);
	struct service_job *job = job_of(s, c);
	struct service_rate before;

	if (job) {
		rate_set(&job->private->throttle, own.limit);
		rate_set(&job->private->own, job->rate_limit);
		rate_set(&job->private->compare, c->settings.compare_rate);
		atomic_store(&job->private->latency_ms, c->settings.latency_ms);
	}
	if (c->rate.limit == both.limit && strcmp(c->rate.why, both.why) == 0)
		return;
	if (job)
		service_job_rate(job, &before);
	c->rate = both;
	if (job)
		rate_log(job, &before);
	collection_changed(s, c);
}

void rate_follow(struct service *s, struct collection *c)
{
	struct service_rate agent = rate_of_agent(s);

	rate_set(&s->throttle, agent.limit);
	rate_take(s, c, &agent);
}

void rate_follow_all(struct service *s)
{
	struct service_rate agent = rate_of_agent(s);

	rate_set(&s->throttle, agent.limit);
	for (size_t i = 0; i < s->collection_count; i++)
		rate_take(s, s->collections[i], &agent);
}

void rate_set_own(struct service *s, struct service_job *job, uint64_t limit)
{
	struct service_rate before;

	if (job->rate_limit == limit)
		return;
	service_job_rate(job, &before);
	job->rate_limit = limit;
	rate_set(&job->private->own, limit);
	rate_log(job, &before);
	if (s->listener.job_changed)
		s->listener.job_changed(s->listener.owner, job);
}

int64_t rate_next(const struct service *s, const struct service_job *job)
{
	const struct collection *c = service_find(s, job->collection);

	if (!s->config->rate_rules.count && (!c || !c->settings.rate_rules.count))
		return INT64_MAX;
	return (wall(s) / MINUTE_US + 1) * MINUTE_US;
}
