/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What policies say of a connection: netpol::plan::Table::verdict, for the kernel. One code for both directions, all
 * programs, and audited policies. */
#ifndef VERDICT_H
#define VERDICT_H

#include "maps.h"
#include "packet.h"

/* Of whom a verdict is asked. */
struct question {
	struct address remote;
	__u64 identity; /* of the peer */
	__u32 direction;
	__u8 protocol;
	__u8 unused;
	__be16 port; /* of the side that is asked for a connection */
};

struct verdict {
	__u64 table; /* 0: no policy was asked */
	__u32 word;  /* what decided, of `tier` */
	__u8 tier;
	__u8 allowed;
	__u8 would_deny;
	__u8 provisional;
};

static __always_inline __u32 least(__u32 a, __u32 b)
{
	return a < b ? a : b;
}

/* Adds what a port set says: the earlier rule of each tier counts. */
static __always_inline void add_rules(struct leaf *rules, __u64 set, const struct question *q)
{
	struct ports_key key = { .prefix = 8 * (sizeof(key.set) + sizeof(key.protocol) + sizeof(key.port)) };
	struct leaf *found;

	if (!set)
		return;
	__builtin_memcpy(key.set, &set, sizeof(set));
	if (q->protocol == IPPROTO_TCP || q->protocol == IPPROTO_UDP || q->protocol == IPPROTO_SCTP) {
		key.protocol = q->protocol;
		__builtin_memcpy(key.port, &q->port, sizeof(key.port));
	}
	found = bpf_map_lookup_elem(&ports, &key);
	if (!found)
		return;
	rules->admin = least(rules->admin, found->admin);
	rules->network = least(rules->network, found->network);
	rules->baseline = least(rules->baseline, found->baseline);
}

/* Whether a tier decides. */
static __always_inline int decides(struct verdict *v, __u32 word, __u8 tier)
{
	__u32 action = word & ACTION_MASK;

	if (word == NO_RULE || (action != ACTION_ACCEPT && action != ACTION_DENY))
		return 0;
	v->word = word;
	v->tier = tier;
	v->allowed = action == ACTION_ACCEPT;
	return 1;
}

/* A table that is not there denies: no policy of it is known. */
static __noinline int ask(__u64 table, const struct question *q, struct verdict *v)
{
	struct leaf rules = { NO_RULE, NO_RULE, NO_RULE };
	struct head *head = bpf_map_lookup_elem(&tables, &table);
	__u64 *set;

	v->table = table;
	v->word = NO_RULE;
	v->tier = TIER_NONE;
	v->allowed = 0;
	if (!head)
		return 0;
	struct direction *direction = &head->directions[q->direction == EGRESS];
	__u32 flags = direction->flags;

	if (!(flags & DIRECTION_JUDGED)) {
		v->table = 0;
		v->allowed = 1;
		return 0;
	}
	add_rules(&rules, direction->everyone, q);
	if (q->identity > IDENTITY_NODE)
		add_rules(&rules, direction->every_pod, q);
	struct peer_key peer = { .table = table, .identity = q->identity, .direction = q->direction };
	set = bpf_map_lookup_elem(&peers, &peer);
	if (set)
		add_rules(&rules, *set, q);
	if (flags & DIRECTION_BLOCKS) {
		struct block_key block = { .prefix = 8 * (sizeof(block) - sizeof(block.prefix)), .direction = q->direction };

		__builtin_memcpy(block.table, &table, sizeof(table));
		block.address = q->remote;
		set = bpf_map_lookup_elem(&blocks, &block);
		if (set)
			add_rules(&rules, *set, q);
	}
	if (decides(v, rules.admin, TIER_ADMIN))
		return 0;
	if (flags & DIRECTION_ISOLATED) {
		decides(v, rules.network, TIER_NETWORK);
		return 0;
	}
	if (!decides(v, rules.baseline, TIER_BASELINE))
		v->allowed = 1;
	return 0;
}

/* The whole verdict about a connection of an endpoint. */
static __always_inline void judge(const struct endpoint *endpoint, const struct question *q, struct verdict *v)
{
	struct verdict audited = {};

	v->allowed = 1;
	if (q->identity == IDENTITY_NODE)
		return; /* probes of the kubelet, and what answers them */
	if (endpoint->table)
		ask(endpoint->table, q, v);
	if (!v->allowed || !endpoint->audit_table)
		return;
	ask(endpoint->audit_table, q, &audited);
	if (!audited.allowed) {
		*v = audited;
		v->allowed = 1;
		v->would_deny = 1;
	}
}

#endif
