/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Rules: which rate limit holds at which time of the week.
 *
 *   Mon-Fri 08:00-18:00 20M, Sat Sun 0, 22:00-06:00 200M
 *
 * A rule is days (one or more names or ranges of them; none: every day), a range of
 * times (none: the whole day) and a rate; at least days or times are said. The first
 * rule that holds is the one that counts. A range whose end is not after its start
 * goes over midnight and belongs to the day on which it begins: "Fri 22:00-06:00"
 * ends on Saturday.
 *
 * Times are what a clock on the wall of this host shows. So what lies in an hour that
 * is skipped in spring does not hold on that day, and what lies in the one that comes
 * twice in autumn holds in both.
 */
#ifndef TIDEMARK_CONFIG_RULES_H
#define TIDEMARK_CONFIG_RULES_H

#include <stddef.h>
#include <stdint.h>

#define RULES_MAX 16
/** The longest text of one, with its end: seven names, times, a number. */
#define RULE_TEXT_MAX 64

/**
 * struct rate_rule - one of them
 * @days: bit n: the n-th day after Sunday
 * @start_s: seconds after midnight
 * @end_s: the same, 86400: the end of the day; not after @start_s: on the next day
 * @rate: bytes a second, 0: no limit
 */
struct rate_rule {
	uint8_t days;
	uint32_t start_s;
	uint32_t end_s;
	uint64_t rate;
};

/** struct rate_rules - @count of them, the first that holds counts; zeroed: none */
struct rate_rules {
	size_t count;
	struct rate_rule rules[RULES_MAX];
};

#define RULES_EXPECTED \
	"[DAYS] [HH:MM-HH:MM] RATE, up to 16 with commas between, as in Mon-Fri 08:00-18:00 20M, " \
	"Sat Sun 0"

/**
 * rules_parse() - from text; "": none
 *
 * Return: 0 or -EINVAL; *@ret is untouched then.
 */
int rules_parse(const char *text, struct rate_rules *ret);
/** rule_print() - to text, as rules_parse() reads it; RULE_TEXT_MAX bytes suffice */
void rule_print(const struct rate_rule *rule, char *text, size_t size);
/** rules_print() - all of them; RULES_MAX * RULE_TEXT_MAX bytes suffice */
void rules_print(const struct rate_rules *rules, char *text, size_t size);

/**
 * rules_find() - the rule that holds
 * @now: seconds since 1970
 *
 * Return: NULL: none does.
 */
const struct rate_rule *rules_find(const struct rate_rules *rules, int64_t now);

#endif
