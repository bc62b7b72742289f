/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What passed on this CPU a moment ago. Looking up a connection costs more than all else of a packet that goes on, so it
 * is not looked up again for a while: its packets pass because one like them did. */
#ifndef RECENT_H
#define RECENT_H

#include "conntrack.h"
#include "passage.h"

/* Connections that a CPU remembers, in 16 KiB: more would not stay in its cache. Whoever has the place of another costs
 * both a look-up. A power of two. */
#define PLACES 256
#define PLACES_BITS 8

/* For so long, in jiffies: 0.1 to 1 s, whatever CONFIG_HZ is. Telling them costs nothing, while a clock does; and they are
 * less than what an entry's `seen` may be late by, of minutes that count. */
#define MOMENT 100

/* A connection of an endpoint, both ways. */
struct recent {
	struct address local;
	struct address remote;
	__u64 where; /* interface, protocol */
	__u32 ports;
	__u32 flags; /* as the connection's */
	__u64 epoch; /* as the connection's */
	__u64 until; /* jiffies */
};

/* One value, as it lies together then. */
struct recents {
	struct recent place[PLACES];
};

/* 0 -> what passed. Each CPU writes its own. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct recents);
} recents SEC(".maps");

static __always_inline __u64 both(const struct address *a)
{
	return ((__u64)(a->word[0] ^ a->word[2]) << 32) | (a->word[1] ^ a->word[3]);
}

/* Which connection. */
struct wanted {
	const struct address *local;
	const struct address *remote;
	__u64 where;
	__u32 ports;
};

static __always_inline void want(struct wanted *wanted, const struct packet *p, __u32 ifindex, __u32 direction)
{
	int out = direction == EGRESS;

	wanted->local = out ? &p->source : &p->destination;
	wanted->remote = out ? &p->destination : &p->source;
	wanted->where = (__u64)ifindex << 32 | p->protocol;
	wanted->ports = out ? (__u32)p->source_port << 16 | p->destination_port :
			      (__u32)p->destination_port << 16 | p->source_port;
}

/* Its place, whoever has that. */
static __always_inline struct recent *place(const struct wanted *wanted)
{
	__u32 zero = 0;
	struct recents *all = bpf_map_lookup_elem(&recents, &zero);
	__u64 sum = both(wanted->local) + both(wanted->remote) * 3 + wanted->where * 5 + wanted->ports;

	/* The constant of Knuth, The Art of Computer Programming, section 6.4: the upper bits depend on all. */
	return all ? &all->place[sum * 0x9e3779b97f4a7c15ULL >> (64 - PLACES_BITS)] : 0;
}

/* Whether a packet passes because one of its connection did. What opens, or answers that, begins a connection, which may be
 * another one by now of the same ports; what else changes an entry is to find it. */
static __always_inline int passed(const struct passage *at, __u32 direction)
{
	const struct packet *p = &at->packet;
	struct wanted wanted;
	struct recent *recent;

	want(&wanted, p, at->ifindex, direction);
	recent = place(&wanted);
	return recent && recent->where == wanted.where && recent->ports == wanted.ports && recent->epoch == at->epoch &&
	       bpf_jiffies64() < recent->until && same(&recent->local, wanted.local) &&
	       same(&recent->remote, wanted.remote) && !(p->flags & (PACKET_OPENS | PACKET_ANSWERS)) &&
	       flags_after(recent->flags, p, direction) == recent->flags;
}

/* A packet of a connection passes, whose entry is of this epoch. (Programs on one CPU do not interrupt each other: softirqs
 * are off where they hang.) */
static __always_inline void remember(const struct passage *at, __u32 direction)
{
	struct wanted wanted;
	struct recent *recent;

	want(&wanted, &at->packet, at->ifindex, direction);
	recent = place(&wanted);
	if (!recent)
		return;
	recent->local = *wanted.local;
	recent->remote = *wanted.remote;
	recent->where = wanted.where;
	recent->ports = wanted.ports;
	recent->flags = at->connection;
	recent->epoch = at->epoch;
	recent->until = bpf_jiffies64() + MOMENT;
}

#endif
