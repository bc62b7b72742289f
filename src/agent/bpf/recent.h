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

/* A packet of a connection, this way. */
struct recent {
	struct address source;
	struct address destination;
	__u64 where; /* interface, protocol, direction */
	__u64 ports;
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

/* Its place, whoever has that. */
static __always_inline struct recent *place(const struct passage *at, __u64 where, __u64 ports)
{
	__u32 zero = 0;
	struct recents *all = bpf_map_lookup_elem(&recents, &zero);
	/* The constant of Knuth, The Art of Computer Programming, section 6.4: the upper bits depend on all. */
	__u64 mixed = (both(&at->packet.source) + both(&at->packet.destination) * 3 + where * 5 + ports) * 0x9e3779b97f4a7c15ULL;

	return all ? &all->place[mixed >> (64 - PLACES_BITS)] : 0;
}

static __always_inline __u64 where_of(const struct passage *at)
{
	return (__u64)at->ifindex << 32 | at->packet.protocol << 8 | at->direction;
}

static __always_inline __u64 ports_of(const struct packet *p)
{
	return (__u64)p->source_port << 16 | p->destination_port;
}

/* Whether a packet passes because one like it did. What opens, answers or closes changes the connection, which may be
 * another one by now of the same ports. */
static __always_inline int passed(const struct passage *at)
{
	const struct packet *p = &at->packet;
	__u64 where = where_of(at), ports = ports_of(p);
	struct recent *recent = place(at, where, ports);

	return recent && recent->where == where && recent->ports == ports && recent->epoch == at->epoch &&
	       bpf_jiffies64() < recent->until && same(&recent->source, &p->source) &&
	       same(&recent->destination, &p->destination) && !(p->flags & (PACKET_OPENS | PACKET_ANSWERS | PACKET_CLOSES));
}

/* A packet of a connection passes, whose entry is of this epoch. (Programs on one CPU do not interrupt each other: softirqs
 * are off where they hang.) */
static __always_inline void remember(const struct passage *at)
{
	__u64 where = where_of(at), ports = ports_of(&at->packet);
	struct recent *recent = place(at, where, ports);

	if (!recent)
		return;
	recent->source = at->packet.source;
	recent->destination = at->packet.destination;
	recent->where = where;
	recent->ports = ports;
	recent->epoch = at->epoch;
	recent->until = bpf_jiffies64() + MOMENT;
}

#endif
