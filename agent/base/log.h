/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIDEMARK_BASE_LOG_H
#define TIDEMARK_BASE_LOG_H

#include <syslog.h>

/**
 * log_write() - one line for people, to stderr or the journal
 * @priority: LOG_ERR ... LOG_DEBUG
 * @format: as printf, without a newline
 *
 * Only the edges of the agent log (main, sessions, jobs): what a function
 * returns, it does not log. Under systemd the line carries its priority.
 */
void log_write(int priority, const char *format, ...) __attribute__((format(printf, 2, 3)));

/** log_set_level() - drop lines above @priority; the default is LOG_INFO */
void log_set_level(int priority);

#define log_error(...) log_write(LOG_ERR, __VA_ARGS__)
#define log_warning(...) log_write(LOG_WARNING, __VA_ARGS__)
#define log_notice(...) log_write(LOG_NOTICE, __VA_ARGS__)
#define log_info(...) log_write(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_DEBUG, __VA_ARGS__)

#endif
