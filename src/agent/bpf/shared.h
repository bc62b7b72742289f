/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What the programs and the agent agree about. kernel/layout.rs has the same structures, and compares them with these
 * (BTF) when the programs are opened. Every gap is a field, so that all bytes of a key are written. */
#ifndef SHARED_H
#define SHARED_H

#include <linux/types.h>

/* An address in the order of the network; IPv4 as ::ffff:a.b.c.d. */
struct address {
	__be32 word[4];
};

enum {
	INGRESS = 0, /* to the Pod */
	EGRESS = 1,  /* from the Pod */
	DIRECTIONS,
};

/* What became of a packet; kernel/counters.rs says what each is. */
enum outcome {
	ESTABLISHED,
	OPENED,
	WOULD_DENY,
	EXEMPT,
	DENIED,
	SPOOFED,
	MALFORMED,
	UNRELATED,
	FRAGMENT,
	NO_ENDPOINT,
	OUTCOMES,
};

#define LAST_THAT_PASSES EXEMPT

/* Numbers of identities that are nobody's. */
#define IDENTITY_NOBODY 0ULL
#define IDENTITY_NODE 1ULL

/* Keys of tries: how many bits of what follows count, then bytes from the one that counts most. */

struct endpoint_key {
	__u32 prefix;
	__u32 ifindex;
};

/* A Pod of this node. */
struct endpoint {
	__u64 identity;
	__u64 table;	   /* 0: everything passes */
	__u64 audit_table; /* of all policies, audited ones too; 0: none is audited */
	__u32 generation;  /* another one has open connections judged again */
	__u32 unused;
	struct address v4; /* 0: none */
	struct address v6; /* 0: none */
};

#define DIRECTION_JUDGED 1   /* some policy is about it */
#define DIRECTION_ISOLATED 2 /* a NetworkPolicy is */
#define DIRECTION_BLOCKS 4   /* there are entries in blocks */

struct direction {
	__u64 everyone;	 /* port set of the rules about everyone; 0: none */
	__u64 every_pod; /* the same about every Pod */
	__u32 flags;
	__u32 unused;
};

/* The beginning of a table. */
struct head {
	struct direction directions[DIRECTIONS];
	__u8 digest[32]; /* for the agent's status */
};

struct peer_key {
	__u64 table;
	__u64 identity;
	__u32 direction;
	__u32 unused;
};

struct block_key {
	__u32 prefix;
	__u8 table[8];
	__u32 direction;
	struct address address;
};

struct ports_key {
	__u32 prefix;
	__u8 set[8];
	__u8 protocol; /* PROTOCOL_OTHER but for TCP, UDP and SCTP */
	__u8 port[2];  /* in the order of the network */
	__u8 unused;
};

struct service_key {
	__u32 prefix;
	struct address address;
};

/* The first rule of each tier: ordinal << 2 | action, or NO_RULE. */
struct leaf {
	__u32 admin;
	__u32 network;
	__u32 baseline;
};

#define NO_RULE 0xffffffffU
#define ACTION_MASK 3
#define ACTION_ACCEPT 1
#define ACTION_DENY 2
#define PROTOCOL_OTHER 0

enum tier { TIER_NONE, TIER_ADMIN, TIER_NETWORK, TIER_BASELINE };

#define CONFIG_KEEP 1	  /* open connections stay open when the policy changes */
#define CONFIG_SERVICES 2 /* packets to Services are judged behind address translation */

struct config {
	__u64 epoch;  /* another one after each change that open connections may be about */
	__u64 retell; /* ns for which a talker is silent about what is like what it told */
	__u32 flags;
	__u32 events_per_second; /* on each CPU */
};

struct counters {
	__u64 packets[DIRECTIONS][OUTCOMES];
};

/* What may be told on one CPU. */
struct budget {
	__u64 refilled; /* ns */
	__u64 untold;	/* packets and connections that no event told of */
	__u64 tokens;	/* in ns of time: an event costs a second's part */
};

struct flow_event {
	__u64 time;  /* ns, CLOCK_MONOTONIC */
	__u64 table; /* what judged; 0: nothing did */
	__u64 identity; /* of the peer */
	__u64 count; /* like this one since the last that was told, this one included */
	__u64 bytes;
	struct address local;
	struct address remote;
	__u32 ifindex;
	__u32 word; /* the leaf's that decided, of `tier` */
	__be16 local_port;
	__be16 remote_port;
	__u8 direction;
	__u8 outcome;
	__u8 protocol;
	__u8 tier;
};

#endif
