/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * CIM datetimes (DSP0004, 5.2.4): how the management model writes a time. Pure,
 * but for the time zone of this host. 25 characters, of two kinds:
 *
 *   yyyymmddHHMMSS.mmmmmmsUUU   a moment; sUUU is the offset from UTC in
 *                               minutes ("+120"), or "+***": local time
 *   ddddddddHHMMSS.mmmmmm:000   an interval: days, hours, minutes, seconds
 *
 * A field may be asterisks: in a moment it fits any value, in an interval the
 * fields from there on do not count. Of the microseconds the last digits may be.
 */
#ifndef TIDEMARK_BASE_DATETIME_H
#define TIDEMARK_BASE_DATETIME_H

#include <stdbool.h>
#include <stdint.h>

#include "base/reason.h"

#define CIM_DATETIME_LENGTH 25
#define CIM_DATETIME_SIZE (CIM_DATETIME_LENGTH + 1) /* with the NUL */

/** enum cim_field - of a moment, the most significant first */
enum cim_field {
	CIM_YEAR,
	CIM_MONTH,
	CIM_DAY,
	CIM_HOUR,
	CIM_MINUTE,
	CIM_SECOND,
	CIM_MICROSECOND,
	CIM_FIELDS,
};

/* In a field: asterisks. */
#define CIM_ANY (-1)

/**
 * struct cim_datetime - a datetime, taken apart
 * @interval: it is one, and only @length_us counts
 * @local: a moment of local time; @offset does not count
 * @offset: minutes east of UTC
 * @field: by enum cim_field; CIM_ANY: fits any value
 * @length_us: of an interval, microseconds
 */
struct cim_datetime {
	bool interval;
	bool local;
	int16_t offset;
	int32_t field[CIM_FIELDS];
	int64_t length_us;
};

/**
 * cim_datetime_parse() - take a text apart
 * @text: NUL-terminated
 * @ret: untouched on failure
 *
 * Return: 0; -EBADMSG: not in the form of a datetime (32776); -EINVAL: in the
 * form of one, but there is no such date, time or offset (32773).
 */
int cim_datetime_parse(const char *text, struct cim_datetime *ret);

/**
 * cim_datetime_resolve() - which moment is meant
 * @d: from cim_datetime_parse()
 * @now_us: microseconds since 1970
 * @ret_us: the same; untouched on failure
 *
 * An interval counts from now. A moment with all its fields is that moment, be
 * it past or not. One with asterisks is the earliest moment, from now on, that
 * has the fields given: "********023000.000000+***" is the next half past two.
 *
 * In local time, where clocks are set: a moment that comes twice is the first of
 * the two; one that is skipped is as long after the change as it would be by the
 * old offset (RFC 5545). With asterisks a skipped time does not occur, and one
 * that comes twice may be the second, if the first is past.
 *
 * Return: 0; -EINVAL: no moment of this or the next 8 years has those fields (32773).
 */
int cim_datetime_resolve(const struct cim_datetime *d, int64_t now_us, int64_t *ret_us);

/**
 * cim_datetime_refuse() - say why a text was refused
 * @err: from cim_datetime_parse() or cim_datetime_resolve()
 * @text: what was parsed
 * @reason: gets 32776 or 32773 and a sentence
 *
 * Return: @err.
 */
int cim_datetime_refuse(int err, const char *text, struct reason *reason);

/**
 * cim_datetime_format() - write a moment, in UTC
 * @us: microseconds since 1970, of a year from 0 to 9999; others are cut to that
 */
char *cim_datetime_format(int64_t us, char ret[CIM_DATETIME_SIZE]);

/** cim_datetime_format_interval() - write an interval; cut to 0 .. 99999999 days */
char *cim_datetime_format_interval(int64_t us, char ret[CIM_DATETIME_SIZE]);

#endif
