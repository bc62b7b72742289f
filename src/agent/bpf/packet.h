/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Reading a packet: from IP to ports. What includes this has defined `packet_source`, `read_bytes` and `clock`.
 * Everything is checked against the packet's own lengths, so that no byte of padding is taken for a port. */
#ifndef PACKET_H
#define PACKET_H

#include <linux/icmpv6.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <bpf/bpf_endian.h>

#include "shared.h"

#define PACKET_FIRST_FRAGMENT 1 /* others follow */
#define PACKET_LATER_FRAGMENT 2 /* has no ports of its own */
#define PACKET_OPENS 4		/* asks for a connection: SYN, INIT */
#define PACKET_CLOSES 8		/* ends one: FIN, RST, SHUTDOWN, ABORT */
#define PACKET_ERROR 16		/* ICMP about another packet, which begins at `embedded` */
#define PACKET_LINK 32		/* ICMPv6 that no router forwards: neighbours, multicast listeners */
#define PACKET_TOLD 64		/* such as only routers send */
#define PACKET_V6 128
#define PACKET_ANSWERS 256 /* the first of who was asked: SYN with ACK */

struct packet {
	struct address source;
	struct address destination;
	__be16 source_port; /* 0 where the protocol has none; an echo has its identifier at the side that asks */
	__be16 destination_port;
	__u32 length;	/* bytes, from IP on */
	__u32 embedded; /* where the packet begins that an error is about */
	__u32 fragment;
	__u32 protocol;
	__u32 flags;
};

/* Bytes of what is read at a time. */
#define V6_BYTES 40
/* RFC 8200 section 4.1 knows seven headers, one of them twice; no stack needs more, and every one costs. */
#define MAX_EXTENSIONS 8
/* Length of the whole is unknown: what an ICMP error is about was cut off. */
#define EMBEDDED 0

#define V4_MORE_FRAGMENTS 0x2000
#define V4_FRAGMENT_OFFSET 0x1fff
#define V6_MORE_FRAGMENTS 1
#define V6_FRAGMENT_OFFSET 0xfff8

#ifndef IPPROTO_SCTP
#define IPPROTO_SCTP 132
#endif
#define SCTP_BYTES 12
#define SCTP_INIT 1
#define SCTP_ABORT 6
#define SCTP_SHUTDOWN 7
#define SCTP_SHUTDOWN_COMPLETE 14

/* RFC 792; of linux/icmp.h, which needs a C library. */
#define ICMP_ECHOREPLY 0
#define ICMP_DEST_UNREACH 3
#define ICMP_SOURCE_QUENCH 4
#define ICMP_ECHO 8
#define ICMP_TIME_EXCEEDED 11
#define ICMP_PARAMETERPROB 12

/* Of both versions. */
struct icmp_header {
	__u8 type;
	__u8 code;
	__sum16 checksum;
	__be16 id; /* of an echo */
	__be16 sequence;
};

/* RFC 2710, RFC 3810, RFC 4861. */
#define MLD_QUERY 130
#define MLD_REPORT 131
#define MLD_DONE 132
#define ND_ROUTER_SOLICITATION 133
#define ND_ROUTER_ADVERTISEMENT 134
#define ND_REDIRECT 137
#define MLD2_REPORT 143
#define ND_HOPS 255
#define MLD_HOPS 1

static __always_inline int same(const struct address *a, const struct address *b)
{
	return !((a->word[0] ^ b->word[0]) | (a->word[1] ^ b->word[1]) | (a->word[2] ^ b->word[2]) |
		 (a->word[3] ^ b->word[3]));
}

static __always_inline int is_unspecified(const struct address *a)
{
	return !(a->word[0] | a->word[1] | a->word[2] | a->word[3]);
}

/* fe80::/10 */
static __always_inline int is_link_local(const struct address *a)
{
	return (a->word[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

static __always_inline void map_v4(struct address *to, __be32 from)
{
	to->word[0] = 0;
	to->word[1] = 0;
	to->word[2] = bpf_htonl(0xffff);
	to->word[3] = from;
}

/* An echo is a flow of its identifier; an error leads to the packet that it is about (RFC 792, RFC 4443). */
static __always_inline int parse_icmp(packet_source *from, __u32 at, struct packet *p, __u32 hops)
{
	struct icmp_header icmp;
	int v6 = p->protocol == IPPROTO_ICMPV6;

	if (read_bytes(from, at, &icmp, sizeof(icmp)))
		return -1;
	if (icmp.type == (v6 ? ICMPV6_ECHO_REQUEST : ICMP_ECHO)) {
		p->source_port = icmp.id;
	} else if (icmp.type == (v6 ? ICMPV6_ECHO_REPLY : ICMP_ECHOREPLY)) {
		p->destination_port = icmp.id;
	} else if (v6 && icmp.type < ICMPV6_ECHO_REQUEST) {
		p->flags |= PACKET_ERROR;
	} else if (!v6 && (icmp.type == ICMP_DEST_UNREACH || icmp.type == ICMP_SOURCE_QUENCH ||
			   icmp.type == ICMP_TIME_EXCEEDED || icmp.type == ICMP_PARAMETERPROB)) {
		p->flags |= PACKET_ERROR;
	} else if (v6 && hops == ND_HOPS && icmp.type >= ND_ROUTER_SOLICITATION && icmp.type <= ND_REDIRECT) {
		p->flags |= PACKET_LINK;
		if (icmp.type == ND_ROUTER_ADVERTISEMENT || icmp.type == ND_REDIRECT)
			p->flags |= PACKET_TOLD;
	} else if (v6 && hops == MLD_HOPS &&
		   ((icmp.type >= MLD_QUERY && icmp.type <= MLD_DONE) || icmp.type == MLD2_REPORT)) {
		p->flags |= PACKET_LINK;
		if (icmp.type == MLD_QUERY)
			p->flags |= PACKET_TOLD;
	}
	p->embedded = at + sizeof(icmp);
	return 0;
}

/* Of the byte that has SYN, ACK, FIN and RST (RFC 9293 section 3.1). */
static __always_inline __u32 tcp_flags(__u8 byte)
{
	__u32 flags = 0;

	if (byte & 0x02) /* SYN, without ACK or with it */
		flags |= byte & 0x10 ? PACKET_ANSWERS : PACKET_OPENS;
	if (byte & 0x05) /* FIN or RST */
		flags |= PACKET_CLOSES;
	return flags;
}

/* Only what is whole has ports: a first fragment that is cut within its header is none (RFC 1858). */
static __always_inline int parse_transport(packet_source *from, __u32 at, __u32 end, struct packet *p, __u32 hops)
{
	__be16 ports[2];
	__u8 first[14]; /* of TCP: up to the flags */
	__u32 size;

	switch (p->protocol) {
	case IPPROTO_TCP:
		size = sizeof(struct tcphdr);
		break;
	case IPPROTO_UDP:
		size = sizeof(struct udphdr);
		break;
	case IPPROTO_SCTP:
		size = SCTP_BYTES;
		break;
	case IPPROTO_ICMP:
	case IPPROTO_ICMPV6:
		if ((p->protocol == IPPROTO_ICMPV6) != !!(p->flags & PACKET_V6))
			return 0; /* of the other family: a protocol as any */
		if (end != EMBEDDED && at + sizeof(struct icmp_header) > end)
			return -1;
		return parse_icmp(from, at, p, hops);
	default:
		return 0;
	}
	if (end != EMBEDDED && at + size > end)
		return -1;
	if (end != EMBEDDED && p->protocol == IPPROTO_TCP) {
		if (read_bytes(from, at, first, sizeof(first)))
			return -1;
		__builtin_memcpy(ports, first, sizeof(ports));
		__u32 header = (first[12] >> 4) * 4;
		if (header < sizeof(struct tcphdr) || at + header > end)
			return -1;
		p->flags |= tcp_flags(first[13]);
	} else if (read_bytes(from, at, ports, sizeof(ports))) {
		return -1;
	}
	p->source_port = ports[0];
	p->destination_port = ports[1];
	if (end != EMBEDDED && p->protocol == IPPROTO_SCTP && at + SCTP_BYTES < end) {
		__u8 chunk;

		if (read_bytes(from, at + SCTP_BYTES, &chunk, sizeof(chunk)))
			return -1;
		if (chunk == SCTP_INIT)
			p->flags |= PACKET_OPENS;
		if (chunk == SCTP_ABORT || chunk == SCTP_SHUTDOWN || chunk == SCTP_SHUTDOWN_COMPLETE)
			p->flags |= PACKET_CLOSES;
	}
	return 0;
}

/* `limit`: where what was received ends, or EMBEDDED. `merged`: bytes were merged (GSO), so a length may not fit its
 * field and is 0. Options of IPv4 are not looked at: a source route is ignored by hosts and routers that do not ask for
 * it (accept_source_route). */
static __noinline int parse_v4(packet_source *from, __u32 at, __u32 limit, int merged, struct packet *p)
{
	struct iphdr ip;

	if (read_bytes(from, at, &ip, sizeof(ip)) || ip.version != 4 || ip.ihl < 5)
		return -1;
	map_v4(&p->source, ip.saddr);
	map_v4(&p->destination, ip.daddr);
	__u32 header = ip.ihl * 4;
	__u32 length = bpf_ntohs(ip.tot_len);
	__u32 end = EMBEDDED;

	if (limit != EMBEDDED) {
		if (!length && merged)
			length = limit - at;
		end = at + length;
		if (length < header || end > limit)
			return -1;
		p->length = length;
	}
	p->protocol = ip.protocol;
	p->fragment = ip.id;
	if (ip.frag_off & bpf_htons(V4_FRAGMENT_OFFSET)) {
		p->flags |= PACKET_LATER_FRAGMENT;
		/* The only fragment that could change flags which were judged (RFC 3128). */
		return p->protocol == IPPROTO_TCP && (ip.frag_off & bpf_htons(V4_FRAGMENT_OFFSET)) == bpf_htons(1) ? -1 : 0;
	}
	if (ip.frag_off & bpf_htons(V4_MORE_FRAGMENTS))
		p->flags |= PACKET_FIRST_FRAGMENT;
	return parse_transport(from, at + header, end, p, ip.ttl);
}

struct extension {
	__u8 next;
	__u8 length;	/* of 8 bytes, the first not counted */
	__be16 offset;	/* of a fragment; of a routing header: type, and segments that are left */
	__be32 fragment;
};

static __noinline int parse_v6(packet_source *from, __u32 at, __u32 limit, int merged, struct packet *p)
{
	struct extension extension;
	struct ipv6hdr ip;
	__u32 end = EMBEDDED;

	if (read_bytes(from, at, &ip, sizeof(ip)) || ip.version != 6)
		return -1;
	__builtin_memcpy(&p->source, &ip.saddr, sizeof(p->source));
	__builtin_memcpy(&p->destination, &ip.daddr, sizeof(p->destination));
	p->flags |= PACKET_V6;
	if (limit != EMBEDDED) {
		__u32 length = bpf_ntohs(ip.payload_len) + V6_BYTES;

		if (!ip.payload_len && merged)
			length = limit - at;
		end = at + length;
		if (end > limit)
			return -1;
		p->length = length;
	}
	p->protocol = ip.nexthdr;
	at += V6_BYTES;
	for (int i = 0; i < MAX_EXTENSIONS; i++) {
		switch (p->protocol) {
		case IPPROTO_HOPOPTS:
			if (i)
				return -1; /* only the first may be (RFC 8200 section 4.1) */
			break;
		case IPPROTO_DSTOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_FRAGMENT:
			break;
		default:
			return parse_transport(from, at, end, p, ip.hop_limit);
		}
		if (end != EMBEDDED && at + sizeof(extension) > end)
			return -1;
		if (read_bytes(from, at, &extension, sizeof(extension)))
			return -1;
		if (p->protocol == IPPROTO_ROUTING && (extension.offset & bpf_htons(0xff)))
			return -1; /* this is not its destination yet */
		if (p->protocol == IPPROTO_FRAGMENT) {
			if (p->flags & PACKET_FIRST_FRAGMENT)
				return -1;
			p->fragment = extension.fragment;
			p->protocol = extension.next;
			if (extension.offset & bpf_htons(V6_FRAGMENT_OFFSET)) {
				p->flags |= PACKET_LATER_FRAGMENT;
				return 0;
			}
			/* One that is whole all the same is read as such (RFC 6946). */
			if (extension.offset & bpf_htons(V6_MORE_FRAGMENTS))
				p->flags |= PACKET_FIRST_FRAGMENT;
			at += sizeof(extension);
			continue;
		}
		p->protocol = extension.next;
		at += (extension.length + 1) * 8;
		if (end != EMBEDDED && at > end)
			return -1; /* whatever comes next is not there */
	}
	return -1;
}

/* What an error is about: addresses, protocol and ports of the packet that was sent. */
static __always_inline int parse_embedded(packet_source *from, __u32 at, __u32 v6, struct packet *p)
{
	int refused = v6 ? parse_v6(from, at, EMBEDDED, 0, p) : parse_v4(from, at, EMBEDDED, 0, p);

	return refused || (p->flags & PACKET_LATER_FRAGMENT) ? -1 : 0;
}

#endif
