/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Nobody but run.c includes this. */
#ifndef TIDEMARK_SEND_VERIFY_H
#define TIDEMARK_SEND_VERIFY_H

#include "send/members.h"

/**
 * verify_run() - compare all disks with their replicas, change nothing
 *
 * After the handshake. Return: 0 or the negative errno that ends the run.
 */
int verify_run(struct run *r);

#endif
