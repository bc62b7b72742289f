// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* Programs on the host's side of a Pod's interface. For kernels from 6.1. */
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

typedef struct __sk_buff packet_source;

static __always_inline int read_bytes(packet_source *from, __u32 at, void *to, __u32 size)
{
	return bpf_skb_load_bytes(from, at, to, size);
}

/* As exact as timeouts need, and a fifth of the price. */
static __always_inline __u64 clock(void)
{
	return bpf_ktime_get_coarse_ns();
}

#include "count.h"
#include "near.h"
#include "pass.h"
#include "recent.h"

#define RESOLVES 1 /* addresses of neighbours (ARP) */

/* Reads any packet; -1 if it cannot be. Its frame is gone before the packet is judged: all that are open have 512 bytes,
 * each rounded up to 32 by older kernels. */
static __noinline int read_any(struct __sk_buff *skb, struct packet *p)
{
	__be16 kind;

	if (read_bytes(skb, __builtin_offsetof(struct ethhdr, h_proto), &kind, sizeof(kind)))
		kind = 0;
	p->length = skb->len;
	if (kind == bpf_htons(ETH_P_ARP))
		return RESOLVES;
	if (kind == bpf_htons(ETH_P_IP))
		return parse_v4(skb, ETH_HLEN, skb->len, skb->gso_size, p);
	if (kind == bpf_htons(ETH_P_IPV6))
		return parse_v6(skb, ETH_HLEN, skb->len, skb->gso_size, p);
	return -1;
}

/* What no policy is asked about. */
static __noinline __u32 resolve(__u32 ifindex)
{
	struct endpoint_key key = { .prefix = 8 * sizeof(key.ifindex), .ifindex = ifindex };

	return bpf_map_lookup_elem(&endpoints, &key) ? EXEMPT : NO_ENDPOINT;
}

static __always_inline __u32 judge_packet(struct __sk_buff *skb, struct passage *at, __u32 direction)
{
	int near, seen = 0;
	__u32 outcome;

	if (!configure(at))
		return MALFORMED;
	near = read_near(skb, &at->packet);
	if (near && passed(at, direction))
		return ESTABLISHED;
	if (!near) {
		at->packet = (struct packet){};
		seen = read_any(skb, &at->packet);
	}
	if (seen == RESOLVES)
		return resolve(at->ifindex);
	outcome = pass(skb, at, seen);
	if (near && at->entered)
		remember(at, direction);
	return outcome;
}

static __always_inline int handle(struct __sk_buff *skb, __u32 direction)
{
	struct passage at;
	__u32 outcome;

	/* The rest is written where it is known: most packets need little of it. */
	at.ifindex = skb->ifindex;
	at.direction = direction;
	at.translated = 0;
	outcome = judge_packet(skb, &at, direction);
	count(direction, outcome);
	/* Others on this interface decide too; what is dropped is dropped. */
	return outcome <= LAST_THAT_PASSES ? TC_ACT_UNSPEC : TC_ACT_SHOT;
}

SEC("classifier")
int from_pod(struct __sk_buff *skb)
{
	return handle(skb, EGRESS);
}

SEC("classifier")
int to_pod(struct __sk_buff *skb)
{
	return handle(skb, INGRESS);
}

/* Where those above are to be soon: whoever comes next decides, which is them by another way. */
SEC("classifier")
int next_from_pod(struct __sk_buff *skb __attribute__((unused)))
{
	return TC_ACT_UNSPEC;
}

SEC("classifier")
int next_to_pod(struct __sk_buff *skb __attribute__((unused)))
{
	return TC_ACT_UNSPEC;
}
