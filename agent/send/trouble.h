/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef TIDEMARK_SEND_TROUBLE_H
#define TIDEMARK_SEND_TROUBLE_H

#include "send/run.h"

/**
 * trouble_of() - the sort of a failure; pure
 * @err: negative errno; -EREMOTEIO: the receiver said @code
 * @code: enum reason_code
 */
enum run_trouble trouble_of(int err, uint32_t code);

#endif
