// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/* The program behind address translation, for kernels from 6.4: what a Pod of this node sent to a Service has the address
 * of whom it reaches, and still the Pod's own. An object of its own, as older kernels refuse it. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "kernel_types.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

typedef struct bpf_dynptr packet_source;

static __always_inline int read_bytes(packet_source *from, __u32 at, void *to, __u32 size)
{
	return bpf_dynptr_read(to, size, from, at, 0);
}

/* The same clock; such programs may not read it coarsely. */
static __always_inline __u64 clock(void)
{
	return bpf_ktime_get_ns();
}

#include "count.h"
#include "pass.h"

/* linux/netfilter.h, which needs a C library. */
#define NF_DROP 0
#define NF_ACCEPT 1
#define NFPROTO_IPV6 10

extern int bpf_dynptr_from_skb(struct __sk_buff *skb, __u64 flags, struct bpf_dynptr *ptr) __ksym;

SEC("netfilter")
int forwarded(struct bpf_nf_ctx *ctx)
{
	struct sk_buff *skb = ctx->skb;
	struct passage at = { .direction = EGRESS, .translated = 1 };
	struct bpf_dynptr from;
	__u32 outcome;
	int unreadable;
	__u32 *ifindex;

	if (bpf_dynptr_from_skb((struct __sk_buff *)skb, 0, &from))
		return NF_DROP;
	at.packet.length = skb->len;
	/* What is merged need not say its length; the stack checked it before. */
	if (ctx->state->pf == NFPROTO_IPV6)
		unreadable = parse_v6(&from, 0, skb->len, 1, &at.packet);
	else
		unreadable = parse_v4(&from, 0, skb->len, 1, &at.packet);
	ifindex = bpf_map_lookup_elem(&local_addresses, &at.packet.source);
	if (!ifindex)
		return NF_ACCEPT; /* of another node, or of this one itself */
	at.ifindex = *ifindex;
	outcome = configure(&at) ? pass(&from, &at, unreadable) : MALFORMED;
	/* The interface has counted the packet; here what differs is counted too. */
	if (outcome > OPENED && outcome != EXEMPT)
		count(EGRESS, outcome);
	return outcome <= LAST_THAT_PASSES ? NF_ACCEPT : NF_DROP;
}
