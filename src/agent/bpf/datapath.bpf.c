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

/* What becomes of any packet. */
static __noinline __u32 consider(struct __sk_buff *skb, struct passage *at)
{
	int unreadable = -1;
	__be16 kind;

	if (read_bytes(skb, __builtin_offsetof(struct ethhdr, h_proto), &kind, sizeof(kind)))
		kind = 0;
	at->packet.length = skb->len;
	if (kind == bpf_htons(ETH_P_ARP)) {
		struct endpoint_key key = { .prefix = 8 * sizeof(key.ifindex), .ifindex = at->ifindex };

		return bpf_map_lookup_elem(&endpoints, &key) ? EXEMPT : NO_ENDPOINT;
	}
	if (kind == bpf_htons(ETH_P_IP))
		unreadable = parse_v4(skb, ETH_HLEN, skb->len, skb->gso_size, &at->packet);
	else if (kind == bpf_htons(ETH_P_IPV6))
		unreadable = parse_v6(skb, ETH_HLEN, skb->len, skb->gso_size, &at->packet);
	return pass(skb, at, unreadable);
}

static __always_inline int handle(struct __sk_buff *skb, __u32 direction)
{
	struct passage at = { .ifindex = skb->ifindex, .direction = direction };
	__u32 outcome;

	if (!configure(&at)) {
		outcome = MALFORMED;
	} else if (!read_near(skb, &at.packet)) {
		outcome = consider(skb, &at);
	} else if (passed(&at)) {
		outcome = ESTABLISHED;
	} else {
		outcome = pass(skb, &at, 0);
		if (outcome == ESTABLISHED || outcome == OPENED)
			remember(&at);
	}
	count(at.ifindex, direction, outcome);
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
