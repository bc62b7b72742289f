/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Connections, each of one endpoint. An entry lets both directions pass, so it is believed no longer than the protocol
 * needs; what comes later is judged as if it began. */
#ifndef CONNTRACK_H
#define CONNTRACK_H

#include "maps.h"
#include "packet.h"

/* RFC 5382 section 5: an established connection may be silent for two hours and four minutes. */
#define TCP_ESTABLISHED_SECONDS 7440
/* The same: one that is opened or closed, for four minutes. */
#define TCP_TRANSITORY_SECONDS 240
/* RFC 4787 section 4.3 recommends five minutes. */
#define UDP_SECONDS 300
/* RFC 9260 section 15: a heartbeat every 30 s, given up after five that were lost. */
#define SCTP_SECONDS 300
/* RFC 5508 section 3.2: at least a minute. */
#define ECHO_SECONDS 60
/* Protocols of which nothing is known, as the kernel's own tracking has it (nf_conntrack_generic_timeout). */
#define OTHER_SECONDS 600

/* How old `seen` may become before it is written again: other CPUs read the same line. */
#define SEEN_NS SECOND

static __always_inline void key_of(struct flow_key *key, const struct packet *p, __u32 ifindex, __u32 direction)
{
	key->ifindex = ifindex;
	key->protocol = p->protocol;
	if (direction == EGRESS) {
		key->local = p->source;
		key->remote = p->destination;
		key->local_port = p->source_port;
		key->remote_port = p->destination_port;
	} else {
		key->local = p->destination;
		key->remote = p->source;
		key->local_port = p->destination_port;
		key->remote_port = p->source_port;
	}
}

static __always_inline __u64 lifetime(const struct flow *flow, __u32 protocol)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return (flow->flags & (FLOW_REPLIED | FLOW_CLOSING)) == FLOW_REPLIED ? TCP_ESTABLISHED_SECONDS :
										       TCP_TRANSITORY_SECONDS;
	case IPPROTO_UDP:
		return UDP_SECONDS;
	case IPPROTO_SCTP:
		return SCTP_SECONDS;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		return ECHO_SECONDS;
	default:
		return OTHER_SECONDS;
	}
}

/* Whether an entry is a packet's connection: not one that is too old, nor asked for anew: by the other side, or when the
 * one before has ended. */
static __always_inline int is_of(const struct flow *flow, const struct packet *p, __u32 direction, __u64 now)
{
	/* The clock that is read is the same for all CPUs, but an entry may be younger than this packet's time. */
	if (now > flow->seen && now - flow->seen > lifetime(flow, p->protocol) * SECOND)
		return 0;
	return !(p->flags & PACKET_OPENS) ||
	       (!(flow->flags & FLOW_CLOSING) && !!(flow->flags & FLOW_EGRESS) == (direction == EGRESS));
}

/* Writes the entry of a connection that was allowed; over one that is there, which costs a tenth. Others may see some of
 * both meanwhile: both may pass. */
static __always_inline void enter(const struct flow_key *key, struct flow *there, const struct flow *flow)
{
	if (there)
		*there = *flow;
	else
		bpf_map_update_elem(&conntrack, key, flow, BPF_ANY);
}

/* Flags of a connection after a packet of it has passed. */
static __always_inline __u32 flags_after(__u32 flags, const struct packet *p, __u32 direction)
{
	if (!!(flags & FLOW_EGRESS) != (direction == EGRESS))
		flags |= FLOW_REPLIED;
	if (p->flags & PACKET_CLOSES)
		flags |= FLOW_CLOSING;
	return flags;
}

/* A packet of a connection passes; returns the flags of its entry. */
static __always_inline __u32 touch(struct flow *flow, const struct packet *p, __u32 direction, __u64 now)
{
	__u32 flags = flags_after(flow->flags, p, direction);

	if (flags != flow->flags)
		flow->flags = flags;
	if (now - flow->seen > SEEN_NS)
		flow->seen = now;
	return flags;
}

#endif
