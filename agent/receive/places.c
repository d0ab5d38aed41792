// SPDX-License-Identifier: GPL-2.0-or-later
#include "receive/places.h"

#include <netinet/in.h>
#include <string.h>

void place_host(const struct sockaddr_storage *address, uint8_t ret[PLACE_HOST_SIZE])
{
	const struct sockaddr_in6 *six = (const struct sockaddr_in6 *)address;
	const struct sockaddr_in *four = (const struct sockaddr_in *)address;

	memset(ret, 0, PLACE_HOST_SIZE);
	if (address->ss_family == AF_INET) {
		ret[10] = ret[11] = 0xff;
		memcpy(ret + 12, &four->sin_addr, 4);
	} else if (address->ss_family == AF_INET6) {
		/* Who has one address of IPv6 has all of its network. */
		memcpy(ret, &six->sin6_addr, IN6_IS_ADDR_V4MAPPED(&six->sin6_addr) ? 16 : 8);
	}
}

static bool place_is_of(const struct place *p, const uint8_t *host)
{
	return !host || memcmp(p->host, host, PLACE_HOST_SIZE) == 0;
}

/* @host: NULL: of any host */
static unsigned int places_count(const struct place *first, const uint8_t *host,
				 bool strangers)
{
	unsigned int count = 0;

	for (const struct place *p = first; p; p = p->next)
		count += place_is_of(p, host) && !p->lane && !(strangers && p->admitted);
	return count;
}

static struct place *places_oldest(struct place *first, const uint8_t *host, uint64_t now_ms)
{
	struct place *oldest = NULL;

	for (struct place *p = first; p; p = p->next)
		if (!p->ended && !p->admitted && place_is_of(p, host) &&
		    (!oldest || p->since_ms < oldest->since_ms))
			oldest = p;
	return oldest && now_ms - oldest->since_ms >= PLACE_STRANGER_MS ? oldest : NULL;
}

enum place_verdict places_judge(struct place *first, const struct place_limits *limits,
				const uint8_t host[PLACE_HOST_SIZE], uint64_t now_ms,
				struct place **ret_leaves)
{
	*ret_leaves = NULL;
	if (places_count(first, host, limits->named) >= limits->host) {
		*ret_leaves = places_oldest(first, host, now_ms);
		return PLACE_HOST;
	}
	if (places_count(first, NULL, true) >= limits->strangers) {
		*ret_leaves = places_oldest(first, NULL, now_ms);
		return PLACE_STRANGERS;
	}
	if (places_count(first, NULL, false) >= limits->all) {
		*ret_leaves = places_oldest(first, NULL, now_ms);
		return PLACE_NONE;
	}
	return PLACE_FREE;
}
