// SPDX-License-Identifier: GPL-2.0-or-later
#include "config/rules.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/util.h"
#include "config/value.h"

#define DAYS 7
#define DAY_S 86400u
#define BLANKS " \t"

static const char *const day_names[DAYS] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };

/* -- from text -------------------------------------------------------------- */

static int day_parse(const char *text, size_t length, unsigned int *ret)
{
	for (unsigned int i = 0; i < DAYS; i++) {
		if (strlen(day_names[i]) == length && strncmp(day_names[i], text, length) == 0) {
			*ret = i;
			return 0;
		}
	}
	return -EINVAL;
}

/* "Mon", or "Mon-Fri"; a range may go over the end of the week. */
static int days_parse(const char *word, uint8_t *days)
{
	size_t length = strcspn(word, "-");
	unsigned int first, last;

	if (day_parse(word, length, &first))
		return -EINVAL;
	last = first;
	if (word[length] && day_parse(word + length + 1, strlen(word + length + 1), &last))
		return -EINVAL;
	for (*days |= 1u << first; first != last; *days |= 1u << first)
		first = (first + 1) % DAYS;
	return 0;
}

static int times_parse(const char *word, struct rate_rule *rule)
{
	char start[] = "HH:MM";

	if (strlen(word) != 2 * strlen(start) + 1 || word[strlen(start)] != '-')
		return -EINVAL;
	memcpy(start, word, strlen(start));
	if (value_time_of_day(start, &rule->start_s))
		return -EINVAL;
	word += sizeof(start);
	rule->end_s = DAY_S;
	return strcmp(word, "24:00") == 0 ? 0 : value_time_of_day(word, &rule->end_s);
}

/* Words in their order: days, times, the rate and nothing after it. */
static int rule_parse(char *text, struct rate_rule *ret)
{
	struct rate_rule rule = { .end_s = DAY_S };
	bool timed = false;
	char *rest = NULL;
	char *word = strtok_r(text, BLANKS, &rest);

	for (; word && *word >= 'A' && *word <= 'Z'; word = strtok_r(NULL, BLANKS, &rest)) {
		if (days_parse(word, &rule.days))
			return -EINVAL;
	}
	if (word && strchr(word, ':')) {
		if (times_parse(word, &rule))
			return -EINVAL;
		timed = true;
		word = strtok_r(NULL, BLANKS, &rest);
	}
	if (!word || value_bytes(word, &rule.rate) || strtok_r(NULL, BLANKS, &rest))
		return -EINVAL;
	/* A rate for ever is rate_limit's to say. */
	if (!rule.days && !timed)
		return -EINVAL;
	if (!rule.days)
		rule.days = (1u << DAYS) - 1;
	*ret = rule;
	return 0;
}

int rules_parse(const char *text, struct rate_rules *ret)
{
	struct rate_rules rules = { 0 };
	_cleanup_free_ char *copy = NULL;
	char *one, *next;

	if (!text[strspn(text, BLANKS)]) {
		*ret = rules;
		return 0;
	}
	copy = strdup(text);
	if (!copy)
		return -ENOMEM;
	for (one = copy; one; one = next) {
		next = strchr(one, ',');
		if (next)
			*next++ = '\0';
		if (rules.count == RULES_MAX || rule_parse(one, &rules.rules[rules.count++]))
			return -EINVAL;
	}
	*ret = rules;
	return 0;
}

/* -- to text ---------------------------------------------------------------- */

static bool has_day(const struct rate_rule *rule, unsigned int day)
{
	return rule->days >> day % DAYS & 1;
}

/* Names from Monday on; three and more in a row as a range. Every day: nothing. */
static char *days_print(const struct rate_rule *rule, char *text, size_t size)
{
	text[0] = '\0';
	if (rule->days == (1u << DAYS) - 1)
		return text;
	for (unsigned int first = 1; first <= DAYS; first++) {
		unsigned int last = first;
		size_t used = strlen(text);

		if (!has_day(rule, first))
			continue;
		while (last < DAYS && has_day(rule, last + 1))
			last++;
		if (last < first + 2)
			last = first;
		snprintf(text + used, size - used, last > first ? "%s-%s " : "%s ",
			 day_names[first % DAYS], day_names[last % DAYS]);
		first = last;
	}
	return text;
}

static void rate_print(uint64_t rate, char *text, size_t size)
{
	static const char units[] = "\0KMG";
	unsigned int unit = 0;

	while (rate && rate % 1024 == 0 && unit < 3) {
		rate /= 1024;
		unit++;
	}
	snprintf(text, size, "%" PRIu64 "%.1s", rate, units + unit);
}

void rule_print(const struct rate_rule *rule, char *text, size_t size)
{
	char days[RULE_TEXT_MAX], times[RULE_TEXT_MAX] = "", rate[32];

	/* Without days a rule has times. */
	if (!*days_print(rule, days, sizeof(days)) || rule->start_s || rule->end_s != DAY_S)
		snprintf(times, sizeof(times), "%02u:%02u-%02u:%02u ", rule->start_s / 3600,
			 rule->start_s / 60 % 60, rule->end_s / 3600, rule->end_s / 60 % 60);
	rate_print(rule->rate, rate, sizeof(rate));
	snprintf(text, size, "%s%s%s", days, times, rate);
}

void rules_print(const struct rate_rules *rules, char *text, size_t size)
{
	text[0] = '\0';
	for (size_t i = 0; i < rules->count; i++) {
		char one[RULE_TEXT_MAX];
		size_t used = strlen(text);

		rule_print(&rules->rules[i], one, sizeof(one));
		snprintf(text + used, size - used, "%s%s", i ? ", " : "", one);
	}
}

/* -- what holds ------------------------------------------------------------- */

static bool rule_holds(const struct rate_rule *rule, const struct tm *at)
{
	uint32_t second = at->tm_hour * 3600 + at->tm_min * 60 + at->tm_sec;
	bool today = has_day(rule, at->tm_wday);

	if (rule->start_s < rule->end_s)
		return today && second >= rule->start_s && second < rule->end_s;
	return (today && second >= rule->start_s) ||
	       (has_day(rule, at->tm_wday + DAYS - 1) && second < rule->end_s);
}

const struct rate_rule *rules_find(const struct rate_rules *rules, int64_t now)
{
	time_t t = now;
	struct tm at;

	if (!rules->count)
		return NULL;
	/* The host's zone may have been set anew: localtime_r() alone would not see it. */
	tzset();
	localtime_r(&t, &at);
	for (size_t i = 0; i < rules->count; i++) {
		if (rule_holds(&rules->rules[i], &at))
			return &rules->rules[i];
	}
	return NULL;
}
