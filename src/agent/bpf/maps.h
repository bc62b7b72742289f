/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* All maps. "Agent" is its only writer unless said otherwise. Numbers of entries are replaced when the programs are
 * opened: kernel/options.rs has them with their reasons. */
#ifndef MAPS_H
#define MAPS_H

#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

#include "shared.h"
#include "flow.h"

/* Index of the host's side of a Pod's interface -> the Pod. Written before the programs hang on the interface, removed
 * after they were taken off: an interface that is not in here passes nothing. A trie, though all bits count: it frees what
 * is overwritten only after programs that read it have ended, while a hash map may use the memory again at once, and a
 * packet would be judged by parts of two endpoints. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 1024);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct endpoint_key);
	__type(value, struct endpoint);
} endpoints SEC(".maps");

/* Address of a Pod of this node -> its interface, for packets that are seen apart from it. With the endpoint. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2048);
	__type(key, struct address);
	__type(value, __u32);
} local_addresses SEC(".maps");

/* Address -> number of the identity that has it, in the whole cluster. An identity's peers are written before its
 * addresses. Not preallocated, as most clusters are smaller than the largest. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct address);
	__type(value, __u64);
} identities SEC(".maps");

/* Table -> its beginning. Written after all that is in the table, before an endpoint is switched to it; removed when no
 * endpoint has used it for a while. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, __u64);
	__type(value, struct head);
} tables SEC(".maps");

/* What a table says about an identity -> port set. With the table, and with identities that come and go. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 262144);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct peer_key);
	__type(value, __u64);
} peers SEC(".maps");

/* What a table says about a block of addresses -> port set, or 0. The longest prefix holds what larger ones say too.
 * With the table. A trie knows no other way than BPF_F_NO_PREALLOC. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 262144);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct block_key);
	__type(value, __u64);
} blocks SEC(".maps");

/* A port of a port set -> the rules. Written before what names the set, removed after. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 131072);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct ports_key);
	__type(value, struct leaf);
} ports SEC(".maps");

/* Addresses of Services -> 1. Few: the cluster's ServiceCIDRs. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 256);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct service_key);
	__type(value, __u8);
} services SEC(".maps");

/* A connection of an endpoint -> what is known of it. The programs write it; the kernel lets go of what was not used for
 * longest. Whoever fills it has connections judged anew, which opens nothing. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 262144);
	__type(key, struct flow_key);
	__type(value, struct flow);
} conntrack SEC(".maps");

/* A packet that comes in fragments -> the ports of its first one, which passed. As conntrack. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct fragment_key);
	__type(value, __u64);
} fragments SEC(".maps");

/* 0 -> packets of all endpoints since the maps were made, exact. The programs write it. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct counters);
} counters SEC(".maps");

/* Who speaks with whom, and what becomes of it -> what was not told yet. As conntrack. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 16384);
	__type(key, struct talker_key);
	__type(value, struct talker);
} talkers SEC(".maps");

/* 0 -> what this CPU may still tell, and what it did not tell. The programs write it. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct budget);
} budget SEC(".maps");

/* What is told, from the programs to the agent; bytes. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18);
} events SEC(".maps");

/* 0 -> what the agent asks for. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct config);
} config SEC(".maps");

#endif
