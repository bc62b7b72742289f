/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#ifndef PASSAGE_H
#define PASSAGE_H

#include "flow.h"
#include "packet.h"

/* One packet on its way. */
struct passage {
	struct packet packet;
	struct flow_key flow;
	__u64 now;
	__u64 epoch;
	__u32 ifindex;
	__u32 direction;
	__u32 settings;
	__u32 translated; /* address translation is behind it */
	__u32 entered;	  /* its connection has an entry, of this epoch, */
	__u32 connection; /* with these flags */
};

#endif
