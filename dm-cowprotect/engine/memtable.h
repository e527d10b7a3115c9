/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A memtable: index records in memory, ordered by key, until a run holds them.
 *
 * A skip list in one allocation of fixed size (W. Pugh, "Skip lists: a
 * probabilistic alternative to balanced trees", 1990): records are inserted,
 * never moved or removed singly.
 */
#ifndef COWP_MEMTABLE_H
#define COWP_MEMTABLE_H

#include "format.h"

#define COWP_MEMTABLE_LEVELS	10
#define COWP_MEMTABLE_NIL	(~0U)

/**
 * struct cowp_node - a record with its links
 * @rec:	the record
 * @batch:	which batch wrote it, counted from the table's base
 * @links:	index of its first link
 */
struct cowp_node {
	struct cowp_rec rec;
	u32 batch;
	u32 links;
};

struct cowp_memtable {
	struct cowp_node *nodes;
	u32 *links;
	u32 capacity;
	u32 count;
	u32 links_used;
	u32 min_epoch;
	u32 max_epoch;
	u64 base_batch;
	u32 head[COWP_MEMTABLE_LEVELS];
	u32 height;
	u32 before[COWP_MEMTABLE_LEVELS];	/* the place of the last insert, at each level */
};

/* May sleep.  Returns 0 or -ENOMEM. */
int cowp_memtable_init(struct cowp_memtable *t, u32 capacity);
void cowp_memtable_exit(struct cowp_memtable *t);
/* What it takes at most. */
u64 cowp_memtable_bytes(u32 capacity);

/* Empty it.  @base_batch: no later insert has a lower batch number. */
void cowp_memtable_reset(struct cowp_memtable *t, u64 base_batch);

/**
 * cowp_memtable_insert - add a record
 * @t:		the table
 * @rec:	copied
 * @batch:	which wrote it
 * @random:	for the height of the node
 *
 * Of two records with one key that of the lower batch stays: the first durable
 * one holds the content of before the overwrite, whatever a later one holds.
 * Returns true if the number of records grew.  The caller has reserved room.
 */
bool cowp_memtable_insert(struct cowp_memtable *t, const struct cowp_rec *rec, u64 batch,
			  u32 random);

/* The first node with a key not below, or NULL. */
const struct cowp_node *cowp_memtable_ceiling(const struct cowp_memtable *t, u64 key);
const struct cowp_node *cowp_memtable_next(const struct cowp_memtable *t,
					   const struct cowp_node *node);

#endif /* COWP_MEMTABLE_H */
