/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* What a Pod sends to a Service has the Service's address until the node translates it. Where a program looks behind
 * translation, it passes until then: provisionally. */
#ifndef SERVICE_H
#define SERVICE_H

#include "maps.h"

static __always_inline int is_service(const struct address *address)
{
	struct service_key key = { .prefix = 8 * sizeof(key.address), .address = *address };

	return bpf_map_lookup_elem(&services, &key) != 0;
}

#endif
