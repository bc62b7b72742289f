/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Telling: what is alike is told together, and no more than a budget on each CPU. Counters do not depend on it. */
#ifndef EVENTS_H
#define EVENTS_H

#include "maps.h"
#include "passage.h"
#include "verdict.h"

/* Takes an event from this CPU's budget: a second's worth may be saved up. */
static __always_inline int afford(struct budget *left, const struct config *settings, __u64 now)
{
	__u64 price;

	if (!settings->events_per_second)
		return 0;
	price = SECOND / settings->events_per_second;
	if (left->tokens < price) {
		__u64 since = now - left->refilled;

		left->refilled = now;
		left->tokens = since > SECOND - left->tokens ? SECOND : left->tokens + since;
	}
	if (left->tokens < price)
		return 0;
	left->tokens -= price;
	return 1;
}

/* A function, so that its type (BTF) names the event, which no map does. */
static __noinline void fill(struct flow_event *event, const struct flow_key *flow, const struct verdict *v)
{
	event->time = bpf_ktime_get_ns();
	event->table = v->table;
	event->local = flow->local;
	event->remote = flow->remote;
	event->ifindex = flow->ifindex;
	event->word = v->word;
	event->local_port = flow->local_port;
	event->remote_port = flow->remote_port;
	event->protocol = flow->protocol;
	event->tier = v->tier;
}

/* Tells and returns what became of a packet, of a connection that was asked for in a direction. */
static __noinline __u32 tell(struct passage *at, __u32 direction, __u32 outcome, __u64 identity, struct verdict *v)
{
	struct talker_key key = {};
	struct talker *talker;
	struct flow_event *event;
	__u64 like = 1, bytes = at->packet.length;
	__u32 zero = 0;
	struct budget *left = bpf_map_lookup_elem(&budget, &zero);
	struct config *settings = bpf_map_lookup_elem(&config, &zero);

	if (!left || !settings)
		return outcome;
	key.ifindex = at->ifindex;
	key.direction = direction;
	key.outcome = outcome;
	key.protocol = at->flow.protocol;
	key.remote = at->flow.remote;
	key.port = direction == EGRESS ? at->flow.remote_port : at->flow.local_port;
	talker = bpf_map_lookup_elem(&talkers, &key);
	if (talker) {
		/* What goes on is added up, and told now and then. */
		__sync_fetch_and_add(&talker->count, 1);
		__sync_fetch_and_add(&talker->bytes, bytes);
		if (at->now - talker->told < settings->retell || !afford(left, settings, at->now))
			return outcome;
		talker->told = at->now;
		like = talker->count;
		bytes = talker->bytes;
	} else {
		struct talker new = { .told = at->now };

		if (!afford(left, settings, at->now)) {
			left->untold++;
			return outcome;
		}
		bpf_map_update_elem(&talkers, &key, &new, BPF_ANY);
	}
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event) {
		left->untold += talker ? 0 : 1;
		return outcome;
	}
	if (talker) {
		__sync_fetch_and_add(&talker->count, -like);
		__sync_fetch_and_add(&talker->bytes, -bytes);
	}
	event->identity = identity;
	event->count = like;
	event->bytes = bytes;
	event->direction = direction;
	event->outcome = outcome;
	fill(event, &at->flow, v);
	bpf_ringbuf_submit(event, 0);
	return outcome;
}

#endif
