/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Packets in fragments: the first has the ports, later ones are read as having the same. One whose first did not pass, or
 * did not come yet, has none. */
#ifndef FRAGMENTS_H
#define FRAGMENTS_H

#include "maps.h"
#include "packet.h"

static __always_inline void fragment_key_of(struct fragment_key *key, const struct packet *p, __u32 ifindex,
					    __u32 direction)
{
	key->ifindex = ifindex;
	key->id = p->fragment;
	key->direction = direction;
	key->protocol = p->protocol;
	key->source = p->source;
	key->destination = p->destination;
}

/* A first fragment passes. */
static __noinline int remember_ports(const struct packet *p, __u32 ifindex, __u32 direction)
{
	struct fragment_key key;
	__u64 both = (__u64)p->source_port << 16 | p->destination_port;

	fragment_key_of(&key, p, ifindex, direction);
	bpf_map_update_elem(&fragments, &key, &both, BPF_ANY);
	return 0;
}

static __noinline int recall_ports(struct packet *p, __u32 ifindex, __u32 direction)
{
	struct fragment_key key;
	__u64 *both;

	fragment_key_of(&key, p, ifindex, direction);
	both = bpf_map_lookup_elem(&fragments, &key);
	if (!both)
		return -1;
	p->source_port = *both >> 16;
	p->destination_port = *both;
	return 0;
}

#endif
