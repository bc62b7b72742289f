/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Counting packets: exactly, each CPU for itself. */
#ifndef COUNT_H
#define COUNT_H

#include "maps.h"

static __always_inline void count(__u32 direction, __u32 outcome)
{
	__u32 zero = 0;
	struct counters *counted = bpf_map_lookup_elem(&counters, &zero);

	if (counted && direction < DIRECTIONS && outcome < OUTCOMES)
		counted->packets[direction][outcome]++;
}

#endif
