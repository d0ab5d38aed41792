// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/reason.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/text.h"

static uint32_t reason_code_of(int err)
{
	switch (-err) {
	case EACCES:
	case EPERM:
		return REASON_ACCESS_DENIED;
	case EOPNOTSUPP:
		return REASON_NOT_SUPPORTED;
	case ETIMEDOUT:
		return REASON_TIMEOUT;
	case EBUSY:
		return REASON_IN_USE;
	case ENOMEM:
		return REASON_NO_MEMORY;
	case ENOENT:
		return REASON_NOT_FOUND;
	default:
		return REASON_FAILED;
	}
}

int reason_set(struct reason *r, int err, uint32_t code, const char *format, ...)
{
	va_list args;

	if (!r || r->code)
		return err;
	r->code = code ? code : reason_code_of(err);
	va_start(args, format);
	vsnprintf(r->text, sizeof(r->text), format, args);
	va_end(args);
	/* it may quote what a stranger has sent */
	text_clean(r->text);
	return err;
}
