/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What only the programs know: keys and values that the agent neither writes nor reads. */
#ifndef FLOW_H
#define FLOW_H

#include "shared.h"

/* In ns, as all times are. */
#define SECOND 1000000000ULL

/* One connection of one endpoint, whichever side sends. Ports are 0 where the protocol has none. */
struct flow_key {
	__u32 ifindex;
	__u32 protocol;
	struct address local;
	struct address remote;
	__be16 local_port;
	__be16 remote_port;
};

#define FLOW_EGRESS 1	   /* the Pod opened it */
#define FLOW_REPLIED 2	   /* the other side answered */
#define FLOW_CLOSING 4	   /* FIN, RST or ABORT was seen */
#define FLOW_PROVISIONAL 8 /* to a Service: judged only behind address translation */

struct flow {
	__u64 seen;	/* ns of the coarse clock */
	__u64 epoch;	/* of the last look at what follows */
	__u64 identity; /* of the peer, when it was judged */
	__u32 generation;
	__u32 flags;
};

/* A packet that comes in fragments (RFC 791, RFC 8200 section 4.5). */
struct fragment_key {
	__u32 ifindex;
	__u32 id;
	__u32 direction;
	__u32 protocol;
	struct address source;
	struct address destination;
};

/* Who: the port is that of the side which was asked for a connection. */
struct talker_key {
	__u32 ifindex;
	__u8 direction;
	__u8 outcome;
	__u8 protocol;
	__u8 unused;
	struct address remote;
	__be16 port;
	__u16 unused2;
};

struct talker {
	__u64 told; /* ns of the coarse clock */
	__u64 count;
	__u64 bytes;
};

#endif
