// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/datetime.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define SECOND_US INT64_C(1000000)
#define DAY_S INT64_C(86400)

/* The offsets that zones on Earth have go from -12 to +14 hours. */
#define OFFSET_MIN (-720)
#define OFFSET_MAX 840

/* The moments 0000-01-01 and 9999-12-31T23:59:59.999999, in UTC. */
#define MOMENT_MIN (INT64_C(-62167219200) * SECOND_US)
#define MOMENT_MAX (INT64_C(253402300800) * SECOND_US - 1)

/* Between two leap years lie 8 years at most: what fits does so by then. */
#define YEARS_AHEAD 8
#define INTERVAL_MAX (INT64_C(100000000) * DAY_S * SECOND_US - 1)

static const struct {
	int width;
	int32_t min;
	int32_t max;
} fields[CIM_FIELDS] = {
	[CIM_YEAR]	  = { 4, 0, 9999 },
	[CIM_MONTH]	  = { 2, 1, 12 },
	[CIM_DAY]	  = { 2, 1, 31 },
	[CIM_HOUR]	  = { 2, 0, 23 },
	[CIM_MINUTE]	  = { 2, 0, 59 },
	[CIM_SECOND]	  = { 2, 0, 59 },
	[CIM_MICROSECOND] = { 6, 0, 999999 },
};

/* -- reading ---------------------------------------------------------------- */

/* The characters of every datetime, 'd' for a digit or an asterisk, 's' for what tells the kind. */
static bool datetime_form(const char *text)
{
	static const char form[] = "dddddddddddddd.ddddddsddd";

	if (strnlen(text, CIM_DATETIME_SIZE) != CIM_DATETIME_LENGTH)
		return false;
	for (size_t i = 0; i < CIM_DATETIME_LENGTH; i++) {
		const char *allowed = form[i] == 'd' ? "0123456789*" :
				      form[i] == 's' ? "+-:" : ".";

		if (!strchr(allowed, text[i]))
			return false;
	}
	return true;
}

/*
 * A number of @width digits, or CIM_ANY for as many asterisks. With @cut its last
 * digits may be asterisks and count as 0. Return: 0 or -EBADMSG.
 */
static int read_number(const char *text, int width, bool cut, int32_t *ret)
{
	int digits = (int)strspn(text, "0123456789");
	int32_t value = 0;

	if (digits > width)
		digits = width;
	for (int i = digits; i < width; i++) {
		if (text[i] != '*')
			return -EBADMSG;
	}
	if (digits && digits < width && !cut)
		return -EBADMSG;
	for (int i = 0; i < width; i++)
		value = value * 10 + (i < digits ? text[i] - '0' : 0);
	*ret = digits ? value : CIM_ANY;
	return 0;
}

static bool leap_year(int32_t year)
{
	return year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
}

/* Of a month that is known; 31 or 29 where the month or year fits any value. */
static int32_t days_in(int32_t year, int32_t month)
{
	switch (month) {
	case 4:
	case 6:
	case 9:
	case 11:
		return 30;
	case 2:
		return year == CIM_ANY || leap_year(year) ? 29 : 28;
	}
	return 31;
}

static int read_offset(const char *text, struct cim_datetime *d)
{
	int32_t value;

	if (read_number(text + 1, 3, false, &value))
		return -EBADMSG;
	if (value == CIM_ANY) {
		d->local = true;
		return text[0] == '+' ? 0 : -EBADMSG;
	}
	if (text[0] == '-')
		value = -value;
	if (value < OFFSET_MIN || value > OFFSET_MAX)
		return -EINVAL;
	d->offset = (int16_t)value;
	return 0;
}

static int parse_moment(const char *text, struct cim_datetime *d)
{
	const char *p = text;

	for (int i = 0; i < CIM_FIELDS; i++) {
		if (i == CIM_MICROSECOND)
			p++; /* the point */
		if (read_number(p, fields[i].width, i == CIM_MICROSECOND, &d->field[i]))
			return -EBADMSG;
		p += fields[i].width;
	}
	for (int i = 0; i < CIM_FIELDS; i++) {
		if (d->field[i] != CIM_ANY &&
		    (d->field[i] < fields[i].min || d->field[i] > fields[i].max))
			return -EINVAL;
	}
	if (d->field[CIM_DAY] > days_in(d->field[CIM_YEAR], d->field[CIM_MONTH]))
		return -EINVAL;
	return read_offset(p, d);
}

static int parse_interval(const char *text, struct cim_datetime *d)
{
	static const struct {
		int at;
		int width;
		int32_t max;
		int64_t unit_us;
	} parts[] = {
		{ 0, 8, 99999999, DAY_S * SECOND_US },
		{ 8, 2, 23, 3600 * SECOND_US },
		{ 10, 2, 59, 60 * SECOND_US },
		{ 12, 2, 59, SECOND_US },
		{ 15, 6, 999999, 1 },
	};
	bool over = false;
	int32_t value;

	if (strcmp(text + CIM_DATETIME_LENGTH - 4, ":000") != 0)
		return -EBADMSG;
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
		if (read_number(text + parts[i].at, parts[i].width, parts[i].width == 6, &value))
			return -EBADMSG;
		if (value == CIM_ANY) {
			over = true;
			continue;
		}
		/* more significant asterisks would leave out what matters */
		if (over || value > parts[i].max)
			return -EINVAL;
		d->length_us += value * parts[i].unit_us;
	}
	/* nothing but asterisks says nothing */
	return text[0] == '*' ? -EINVAL : 0;
}

int cim_datetime_parse(const char *text, struct cim_datetime *ret)
{
	struct cim_datetime d = { 0 };
	int err;

	if (!datetime_form(text))
		return -EBADMSG;
	d.interval = text[CIM_DATETIME_LENGTH - 4] == ':';
	err = d.interval ? parse_interval(text, &d) : parse_moment(text, &d);
	if (!err)
		*ret = d;
	return err;
}

int cim_datetime_refuse(int err, const char *text, struct reason *reason)
{
	if (err == -EBADMSG)
		return reason_set(reason, err, REASON_WRONG_TYPE,
				  "'%.64s' is no CIM datetime: yyyymmddHHMMSS.mmmmmmsUUU or "
				  "ddddddddHHMMSS.mmmmmm:000 is expected", text);
	return reason_set(reason, err, REASON_INVALID_PARAMETER,
			  "'%.64s' names no time: a field is out of range, or no time from now on "
			  "fits it", text);
}

/* -- the clock -------------------------------------------------------------- */

/*
 * A civil time is kept as the microseconds since 1970 at which a clock in UTC
 * would show it.
 */
static int64_t civil_of(const int32_t *field)
{
	struct tm tm = {
		.tm_year = field[CIM_YEAR] - 1900,
		.tm_mon = field[CIM_MONTH] - 1,
		.tm_mday = field[CIM_DAY],
		.tm_hour = field[CIM_HOUR],
		.tm_min = field[CIM_MINUTE],
		.tm_sec = field[CIM_SECOND],
	};

	return timegm(&tm) * SECOND_US + field[CIM_MICROSECOND];
}

static int64_t seconds_of(int64_t us)
{
	return (us - (us < 0 ? SECOND_US - 1 : 0)) / SECOND_US;
}

static void civil_fields(int64_t civil, int32_t *ret)
{
	time_t seconds = seconds_of(civil);
	struct tm tm = { 0 };

	gmtime_r(&seconds, &tm);
	ret[CIM_YEAR] = tm.tm_year + 1900;
	ret[CIM_MONTH] = tm.tm_mon + 1;
	ret[CIM_DAY] = tm.tm_mday;
	ret[CIM_HOUR] = tm.tm_hour;
	ret[CIM_MINUTE] = tm.tm_min;
	ret[CIM_SECOND] = tm.tm_sec;
	ret[CIM_MICROSECOND] = (int32_t)(civil - seconds * SECOND_US);
}

/* How far a clock here is ahead of UTC at a moment, microseconds. */
static int64_t offset_at(const struct cim_datetime *d, int64_t us)
{
	time_t seconds = seconds_of(us);
	struct tm tm = { 0 };

	if (!d->local)
		return d->offset * 60 * SECOND_US;
	localtime_r(&seconds, &tm);
	return tm.tm_gmtoff * SECOND_US;
}

/* A moment with all its fields. A day off, the offset is that of before or after a change. */
static int64_t resolve_whole(const struct cim_datetime *d)
{
	int64_t civil = civil_of(d->field);
	int64_t before = civil - offset_at(d, civil - DAY_S * SECOND_US);
	int64_t after = civil - offset_at(d, civil + DAY_S * SECOND_US);

	if (before + offset_at(d, before) == civil)
		return before;
	if (after + offset_at(d, after) == civil)
		return after;
	return before;
}

/* -- asterisks -------------------------------------------------------------- */

/*
 * The least civil time that is not below @from and has the fields of @d, from
 * @at on; @tight: the more significant ones are those of @from. Return: is there one?
 */
static bool seek(const struct cim_datetime *d, const int32_t *from, int at, bool tight,
		 int32_t *ret)
{
	int32_t low, high;

	if (at == CIM_FIELDS)
		return true;
	low = tight ? from[at] : fields[at].min;
	high = at == CIM_DAY ? days_in(ret[CIM_YEAR], ret[CIM_MONTH]) : fields[at].max;
	if (at == CIM_YEAR && high > low + YEARS_AHEAD)
		high = low + YEARS_AHEAD;
	if (d->field[at] != CIM_ANY) {
		if (d->field[at] < low || d->field[at] > high)
			return false;
		low = high = d->field[at];
	}
	for (ret[at] = low; ret[at] <= high; ret[at]++) {
		if (seek(d, from, at + 1, tight && ret[at] == from[at], ret))
			return true;
	}
	return false;
}

/* When the offset changes, after @from and not after @to, to the second; @to if it does not. */
static int64_t change_after(const struct cim_datetime *d, int64_t from, int64_t to)
{
	int64_t offset = offset_at(d, from);
	int64_t low = from, high;

	do {
		high = low + DAY_S * SECOND_US;
		if (high >= to)
			high = to;
		if (offset_at(d, high) != offset)
			break;
		low = high;
	} while (high < to);
	if (offset_at(d, high) == offset)
		return to;
	while (high - low > SECOND_US) {
		int64_t middle = low + (high - low) / 2;

		*(offset_at(d, middle) == offset ? &low : &high) = middle;
	}
	return seconds_of(high) * SECOND_US;
}

/*
 * While the offset stays as it is, civil time runs as time does, so the search
 * goes from one change of the offset to the next.
 */
static int resolve_pattern(const struct cim_datetime *d, int64_t now, int64_t *ret_us)
{
	int64_t at = now;

	for (;;) {
		int64_t offset = offset_at(d, at);
		int32_t from[CIM_FIELDS], found[CIM_FIELDS];
		int64_t candidate, change;

		civil_fields(at + offset, from);
		if (!seek(d, from, 0, true, found))
			return -EINVAL;
		candidate = civil_of(found) - offset;
		change = d->local ? change_after(d, at, candidate) : candidate;
		if (change == candidate && offset_at(d, candidate) == offset) {
			*ret_us = candidate;
			return 0;
		}
		at = change;
	}
}

int cim_datetime_resolve(const struct cim_datetime *d, int64_t now_us, int64_t *ret_us)
{
	int64_t sum;

	if (d->interval) {
		if (__builtin_add_overflow(now_us, d->length_us, &sum))
			return -EINVAL;
		*ret_us = sum;
		return 0;
	}
	/* localtime_r() need not look whether the zone is another meanwhile */
	tzset();
	for (int i = 0; i < CIM_FIELDS; i++) {
		if (d->field[i] == CIM_ANY)
			return resolve_pattern(d, now_us, ret_us);
	}
	*ret_us = resolve_whole(d);
	return 0;
}

/* -- writing ---------------------------------------------------------------- */

char *cim_datetime_format(int64_t us, char ret[CIM_DATETIME_SIZE])
{
	int32_t f[CIM_FIELDS];

	if (us < MOMENT_MIN)
		us = MOMENT_MIN;
	if (us > MOMENT_MAX)
		us = MOMENT_MAX;
	civil_fields(us, f);
	/* the remainders are no more than f says; they show it to the compiler */
	snprintf(ret, CIM_DATETIME_SIZE, "%04u%02u%02u%02u%02u%02u.%06u+000",
		 (unsigned int)f[CIM_YEAR] % 10000, (unsigned int)f[CIM_MONTH] % 100,
		 (unsigned int)f[CIM_DAY] % 100, (unsigned int)f[CIM_HOUR] % 100,
		 (unsigned int)f[CIM_MINUTE] % 100, (unsigned int)f[CIM_SECOND] % 100,
		 (unsigned int)f[CIM_MICROSECOND] % 1000000);
	return ret;
}

char *cim_datetime_format_interval(int64_t us, char ret[CIM_DATETIME_SIZE])
{
	uint64_t length = us < 0 ? 0 : us > INTERVAL_MAX ? INTERVAL_MAX : us;
	uint64_t seconds = length / SECOND_US;

	snprintf(ret, CIM_DATETIME_SIZE, "%08u%02u%02u%02u.%06u:000",
		 (unsigned int)(seconds / DAY_S % 100000000), (unsigned int)(seconds / 3600 % 24),
		 (unsigned int)(seconds / 60 % 60), (unsigned int)(seconds % 60),
		 (unsigned int)(length % SECOND_US));
	return ret;
}
