// SPDX-License-Identifier: GPL-2.0-or-later
#include "send/trouble.h"

#include <errno.h>

static enum run_trouble trouble_remote(uint32_t code)
{
	switch (code) {
	case REASON_NO_MEMORY:
		return RUN_TROUBLE_MEMORY;
	case REASON_IN_USE:
		return RUN_TROUBLE_BUSY;
	case REASON_TIMEOUT:
	case REASON_NOT_AVAILABLE:
		return RUN_TROUBLE_NETWORK;
	}
	return RUN_TROUBLE_FINAL;
}

enum run_trouble trouble_of(int err, uint32_t code)
{
	switch (-err) {
	case 0:
		return RUN_TROUBLE_NONE;
	case ENOMEM:
	case EMFILE:
	case ENFILE:
	case ENOBUFS:
		return RUN_TROUBLE_MEMORY;
	case ENOSPC:
	case EDQUOT:
		return RUN_TROUBLE_SPACE;
	case ECONNREFUSED:
	case ECONNRESET:
	case ECONNABORTED:
	case ENOTCONN:
	case EPIPE:
	case ETIMEDOUT:
	case EHOSTUNREACH:
	case EHOSTDOWN:
	case ENETUNREACH:
	case ENETDOWN:
	case ENETRESET:
		return RUN_TROUBLE_NETWORK;
	case EAGAIN:
	case ETIME:
		return RUN_TROUBLE_RATE;
	case EREMOTEIO:
		return trouble_remote(code);
	}
	return RUN_TROUBLE_FINAL;
}
