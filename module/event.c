// SPDX-License-Identifier: GPL-2.0-only
/*
 * Events over generic netlink, one way: from the module to whoever listens.
 * Sent from process context only; what a writer wants to say goes through the
 * disk's work item. An event is a hint to look, never the only place where
 * something stands: a lost one shows as a hole in the numbers.
 */
#include "event.h"

#include <linux/lockdep.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <net/genetlink.h>

static const struct genl_multicast_group event_groups[] = {
	{ .name = TIDEMARK_GENL_GROUP },
};

static struct genl_family event_family __ro_after_init = {
	.name = TIDEMARK_GENL_NAME,
	.version = TIDEMARK_GENL_VERSION,
	.maxattr = TIDEMARK_ATTR_MAX,
	.module = THIS_MODULE,
	.mcgrps = event_groups,
	.n_mcgrps = ARRAY_SIZE(event_groups),
};

/* Numbers and messages in the same order; taken under a disk's lock. */
static DEFINE_MUTEX(event_lock);
static u64 event_seq;

/**
 * tidemark_event_init() - at module load
 *
 * Return: 0 or what genl_register_family() says.
 */
int __init tidemark_event_init(void)
{
	return genl_register_family(&event_family);
}

/** tidemark_event_exit() - at module unload */
void tidemark_event_exit(void)
{
	genl_unregister_family(&event_family);
}

static int event_fill(struct sk_buff *skb, struct tidemark_disk *disk,
		      enum tidemark_event event, u64 epoch, u64 granules)
{
	void *head = genlmsg_put(skb, 0, 0, &event_family, 0, event);

	if (!head ||
	    nla_put_u64_64bit(skb, TIDEMARK_ATTR_SEQ, event_seq,
			      TIDEMARK_ATTR_PAD) ||
	    nla_put_u64_64bit(skb, TIDEMARK_ATTR_DISK, disk->id,
			      TIDEMARK_ATTR_PAD) ||
	    nla_put(skb, TIDEMARK_ATTR_UUID, TIDEMARK_UUID_SIZE, &disk->uuid) ||
	    nla_put_string(skb, TIDEMARK_ATTR_NAME, disk->where.name) ||
	    nla_put_u64_64bit(skb, TIDEMARK_ATTR_EPOCH, epoch,
			      TIDEMARK_ATTR_PAD) ||
	    nla_put_u64_64bit(skb, TIDEMARK_ATTR_GRANULES, granules,
			      TIDEMARK_ATTR_PAD) ||
	    nla_put_u32(skb, TIDEMARK_ATTR_REASON, disk->reason))
		return -EMSGSIZE;
	genlmsg_end(skb, head);
	return 0;
}

/**
 * tidemark_event_send() - tell those who listen
 * @disk: what it is about, locked
 * @event: what has happened
 * @epoch: the epoch that it is about
 * @granules: how many granules it is about
 *
 * Memory is asked for without I/O: the disk may be the one that is swapped to,
 * and suspended.
 *
 * Context: Process context, sleeps shortly.
 */
void tidemark_event_send(struct tidemark_disk *disk, enum tidemark_event event,
			 u64 epoch, u64 granules)
{
	struct sk_buff *skb;

	lockdep_assert_held(&disk->lock);
	mutex_lock(&event_lock);
	event_seq++;
	if (genl_has_listeners(&event_family, &init_net, 0)) {
		skb = genlmsg_new(NLMSG_GOODSIZE, GFP_NOIO);
		if (skb && event_fill(skb, disk, event, epoch, granules)) {
			nlmsg_free(skb);
			skb = NULL;
		}
		if (skb)
			genlmsg_multicast(&event_family, skb, 0, 0, GFP_NOIO);
	}
	mutex_unlock(&event_lock);
}
