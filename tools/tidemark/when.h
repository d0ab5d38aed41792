/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Times as people write them: a CIM datetime as it is, or whatever systemd takes.
 */
#ifndef TIDEMARK_WHEN_H
#define TIDEMARK_WHEN_H

enum { WHEN_TEXT = 26 };

/**
 * when_parse() - to a CIM datetime
 * @text: "20261126020000.000000+***", "+90min", "tomorrow 02:00", "Mon 02:00"
 * @ret: for the agent, which reads it; untouched on failure
 *
 * systemd's readers of timestamps and of calendar expressions, systemd.time(7), are
 * asked by their own face, systemd-analyze(1), for they have no library. What has
 * the look of a CIM datetime is left to the agent.
 *
 * Return: an exit code; what is wrong was said.
 */
int when_parse(const char *text, char ret[WHEN_TEXT]);

#endif
