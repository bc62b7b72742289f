/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Reading what nearly each packet is without a call: TCP or UDP, whole, right behind an IP header without options, all in
 * one piece. Whatever differs, be it malformed, is left to packet.h, which reads every packet: what is read here is what
 * is read there, at a quarter of the price. */
#ifndef NEAR_H
#define NEAR_H

#include <linux/if_ether.h>

#include "packet.h"

/* Version 4, and a header of five words. */
#define V4_PLAIN 0x45

/* Whether it was read. Kernels that run these programs read words wherever they begin. */
static __always_inline int read_near(struct __sk_buff *skb, struct packet *p)
{
	void *end = (void *)(long)skb->data_end, *transport;
	struct ethhdr *ethernet = (void *)(long)skb->data;
	struct tcphdr *tcp;
	__u32 flags = 0;
	__u32 rest; /* bytes behind the IP header */

	if ((void *)(ethernet + 1) > end)
		return 0;
	if (ethernet->h_proto == bpf_htons(ETH_P_IP)) {
		struct iphdr *ip = (void *)(ethernet + 1);

		transport = ip + 1;
		if (transport > end || *(__u8 *)ip != V4_PLAIN ||
		    (ip->frag_off & bpf_htons(V4_MORE_FRAGMENTS | V4_FRAGMENT_OFFSET)))
			return 0;
		p->length = bpf_ntohs(ip->tot_len);
		if (p->length < sizeof(*ip))
			return 0;
		rest = p->length - sizeof(*ip);
		p->protocol = ip->protocol;
		map_v4(&p->source, ip->saddr);
		map_v4(&p->destination, ip->daddr);
	} else if (ethernet->h_proto == bpf_htons(ETH_P_IPV6)) {
		struct ipv6hdr *ip = (void *)(ethernet + 1);

		transport = ip + 1;
		if (transport > end || ip->version != 6)
			return 0;
		rest = bpf_ntohs(ip->payload_len);
		p->length = rest + sizeof(*ip);
		p->protocol = ip->nexthdr;
		flags = PACKET_V6;
		__builtin_memcpy(&p->source, &ip->saddr, sizeof(p->source));
		__builtin_memcpy(&p->destination, &ip->daddr, sizeof(p->destination));
	} else {
		return 0;
	}
	if (p->length + ETH_HLEN > skb->len)
		return 0;
	tcp = transport;
	if (p->protocol == IPPROTO_TCP) {
		__u8 *first = transport;
		__u32 header;

		if ((void *)(tcp + 1) > end)
			return 0;
		header = (first[12] >> 4) * 4;
		if (header < sizeof(*tcp) || header > rest)
			return 0;
		flags |= tcp_flags(first[13]);
	} else if (p->protocol != IPPROTO_UDP || transport + sizeof(struct udphdr) > end || rest < sizeof(struct udphdr)) {
		return 0;
	}
	/* UDP has its ports where TCP has them. */
	p->source_port = tcp->source;
	p->destination_port = tcp->dest;
	p->flags = flags;
	p->embedded = 0;
	p->fragment = 0;
	return 1;
}

#endif
