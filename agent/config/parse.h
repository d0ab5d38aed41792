/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIDEMARK_CONFIG_PARSE_H
#define TIDEMARK_CONFIG_PARSE_H

#include "config/config.h"

/** parse_file() - put what a file says into @c; errors as config_load() */
int parse_file(struct config *c, const char *path, struct reason *reason);
/** parse_folder() - the same for every *.conf in the folder @path + ".d" */
int parse_folder(struct config *c, const char *path, struct reason *reason);

#endif
