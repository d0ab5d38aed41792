// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/name.h"

#include <string.h>

bool name_valid(const char *name)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				      "0123456789._-";
	size_t length = strlen(name);

	if (length == 0 || length >= NAME_SIZE)
		return false;
	if (name[0] == '.' || name[0] == '-')
		return false;
	return strspn(name, letters) == length;
}
