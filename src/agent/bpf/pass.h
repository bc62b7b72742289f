/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Whether a packet of an endpoint passes, and why. */
#ifndef PASS_H
#define PASS_H

#include "conntrack.h"
#include "events.h"
#include "fragments.h"
#include "maps.h"
#include "packet.h"
#include "passage.h"
#include "service.h"
#include "verdict.h"

/* Whether it is an address of the Pod. */
static __always_inline int is_own(const struct endpoint *endpoint, const struct address *address)
{
	return !is_unspecified(address) && (same(&endpoint->v4, address) || same(&endpoint->v6, address));
}

/* Whether no policy is about the Pod. */
static __always_inline int is_free(const struct endpoint *endpoint)
{
	return !endpoint->table && !endpoint->audit_table;
}

/* Neighbours and multicast listeners (RFC 4861, RFC 2710): what only routers send does not come from a Pod (RFC 6105),
 * and what does comes from an address of its own, of the link, or of none (RFC 4862 section 5.4). */
static __always_inline int is_exempt(const struct passage *at, const struct endpoint *endpoint)
{
	const struct packet *p = &at->packet;

	if (!(p->flags & PACKET_LINK) || (p->flags & (PACKET_FIRST_FRAGMENT | PACKET_LATER_FRAGMENT)))
		return 0;
	if (at->direction == INGRESS)
		return 1;
	return !(p->flags & PACKET_TOLD) &&
	       (is_link_local(&p->source) || is_unspecified(&p->source) || is_own(endpoint, &p->source));
}

static __always_inline __u64 identity_of(const struct address *address)
{
	__u64 *identity = bpf_map_lookup_elem(&identities, address);

	return identity ? *identity : IDENTITY_NOBODY;
}

/* Judges a connection in the direction in which it was opened. */
static __always_inline void judge_flow(const struct passage *at, const struct endpoint *endpoint, __u32 direction,
				       __u64 identity, struct verdict *v)
{
	const struct flow_key *flow = &at->flow;
	struct question q = {
		.remote = flow->remote,
		.identity = identity,
		.direction = direction,
		.protocol = flow->protocol,
		.port = direction == EGRESS ? flow->remote_port : flow->local_port,
	};

	v->word = NO_RULE;
	if (direction == EGRESS && !at->translated && (at->settings & CONFIG_SERVICES) && is_service(&flow->remote)) {
		v->allowed = 1;
		v->provisional = 1;
		return;
	}
	judge(endpoint, &q, v);
}

/* What no policy was asked about. */
static __always_inline __u32 dropped(struct passage *at, __u32 outcome, __u64 identity)
{
	struct verdict none = { .word = NO_RULE };

	return tell(at, at->direction, outcome, identity, &none);
}

/* A connection that was judged by what may have changed since. */
static __noinline __u32 look_again(struct passage *at, const struct endpoint *endpoint, struct flow *flow,
				   __u64 identity)
{
	int as_before = flow->generation == endpoint->generation || (at->settings & CONFIG_KEEP);

	if (flow->identity != identity || !as_before) {
		__u32 direction = flow->flags & FLOW_EGRESS ? EGRESS : INGRESS;
		struct verdict v = {};

		judge_flow(at, endpoint, direction, identity, &v);
		if (!v.allowed) {
			bpf_map_delete_elem(&conntrack, &at->flow);
			return tell(at, direction, DENIED, identity, &v);
		}
		flow->identity = identity;
	}
	flow->generation = endpoint->generation;
	flow->epoch = at->epoch;
	at->connection = touch(flow, &at->packet, at->direction, at->now);
	at->entered = 1;
	return ESTABLISHED;
}

/* The first packet of a connection; `there` is the entry of one that was. */
static __noinline __u32 begin(struct passage *at, const struct endpoint *endpoint, struct flow *there, __u64 identity)
{
	struct verdict v = { .word = NO_RULE, .allowed = 1 };
	struct flow flow = {
		.seen = at->now,
		.epoch = at->epoch,
		.identity = identity,
		.generation = endpoint->generation,
		.flags = at->direction == EGRESS ? FLOW_EGRESS : 0,
	};

	/* A Pod reaches itself, be it through a Service. */
	if (!same(&at->flow.local, &at->flow.remote))
		judge_flow(at, endpoint, at->direction, identity, &v);
	if (!v.allowed)
		return tell(at, at->direction, DENIED, identity, &v);
	if (v.provisional)
		flow.flags |= FLOW_PROVISIONAL;
	if (at->packet.flags & PACKET_CLOSES)
		flow.flags |= FLOW_CLOSING;
	/* What is for another address came by flooding: an entry would let the Pod answer with that address. */
	if (is_own(endpoint, &at->flow.local)) {
		enter(&at->flow, there, &flow);
		at->connection = flow.flags;
		at->entered = 1;
	}
	if (v.provisional)
		return OPENED; /* told behind translation */
	return tell(at, at->direction, v.would_deny ? WOULD_DENY : OPENED, identity, &v);
}

/* Whether an ICMP error is about a packet of a connection that passes: one that went the other way. */
static __noinline int is_related(packet_source *from, struct passage *at, const struct endpoint *endpoint)
{
	struct packet sent = {};
	struct flow_key key;
	struct flow *flow;
	__u32 direction = at->direction == EGRESS ? INGRESS : EGRESS;

	if (parse_embedded(from, at->packet.embedded, at->packet.flags & PACKET_V6, &sent))
		return 0;
	key_of(&key, &sent, at->ifindex, direction);
	flow = bpf_map_lookup_elem(&conntrack, &key);
	return flow && is_of(flow, &sent, direction, at->now) &&
	       (flow->generation == endpoint->generation || (at->settings & CONFIG_KEEP));
}

/* A packet that no entry lets pass at once; `there` is the entry that there is, be it of this connection or of one before. */
static __noinline __u32 look_up(packet_source *from, struct passage *at, struct flow *there, __u32 is_known,
				__u32 has_ports)
{
	struct endpoint_key key = { .prefix = 8 * sizeof(key.ifindex), .ifindex = at->ifindex };
	struct endpoint *endpoint = bpf_map_lookup_elem(&endpoints, &key);
	__u64 identity;

	if (!endpoint)
		return NO_ENDPOINT;
	if (is_exempt(at, endpoint))
		return EXEMPT;
	identity = identity_of(&at->flow.remote);
	if (at->direction == EGRESS && !is_own(endpoint, &at->packet.source))
		return dropped(at, SPOOFED, identity);
	if (!has_ports || (at->packet.flags & PACKET_ERROR)) {
		if (has_ports && is_related(from, at, endpoint))
			return ESTABLISHED;
		if (identity == IDENTITY_NODE || is_free(endpoint))
			return EXEMPT;
		return dropped(at, has_ports ? UNRELATED : FRAGMENT, identity);
	}
	if (there && is_known)
		return look_again(at, endpoint, there, identity);
	return begin(at, endpoint, there, identity);
}

/* What is asked for at present. */
static __always_inline int configure(struct passage *at)
{
	__u32 zero = 0;
	struct config *settings = bpf_map_lookup_elem(&config, &zero);

	if (!settings)
		return 0;
	at->epoch = settings->epoch;
	at->settings = settings->flags;
	return 1;
}

/* What becomes of a packet that was read, or not, on a passage that is configured. */
static __always_inline __u32 pass(packet_source *from, struct passage *at, int unreadable)
{
	__u32 outcome, has_ports = 1, is_known = 0;
	struct packet *p = &at->packet;
	struct flow *flow = 0;

	at->now = clock();
	at->entered = 0;
	if (!unreadable && (p->flags & PACKET_LATER_FRAGMENT))
		has_ports = !recall_ports(p, at->ifindex, at->direction);
	key_of(&at->flow, p, at->ifindex, at->direction);
	if (unreadable)
		return dropped(at, MALFORMED, IDENTITY_NOBODY);
	if (has_ports && !(p->flags & PACKET_ERROR))
		flow = bpf_map_lookup_elem(&conntrack, &at->flow);
	/* What is provisional was not judged yet. */
	if (flow && is_of(flow, p, at->direction, at->now) && !(at->translated && (flow->flags & FLOW_PROVISIONAL)))
		is_known = 1;
	if (flow && is_known && flow->epoch == at->epoch && !(p->flags & PACKET_LINK)) {
		/* An entry of this epoch is all that needs to be known of a packet: endpoint and peer are as they were. */
		at->connection = touch(flow, p, at->direction, at->now);
		at->entered = 1;
		outcome = ESTABLISHED;
	} else {
		outcome = look_up(from, at, flow, is_known, has_ports);
	}
	if ((p->flags & PACKET_FIRST_FRAGMENT) && outcome <= LAST_THAT_PASSES)
		remember_ports(p, at->ifindex, at->direction);
	return outcome;
}

#endif
