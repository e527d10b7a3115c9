/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a generated volume holds, by calculation: nothing is stored.
 *
 * Snapshots have the ids 1 to S; the records of epoch k are those chunks whose
 * place in a permutation of all chunks, one for each epoch, is below that
 * epoch's number of records.  That place is also the order in which they were
 * preserved: record number n of the log is known without those before it, and so
 * is whether a chunk has a record of an epoch.
 */
#ifndef SCALE_PLAN_H
#define SCALE_PLAN_H

#include <stdbool.h>
#include <stdio.h>

#include "format.h"

/* What stands for an epoch where the live volume is meant. */
#define PLAN_LIVE	0U

/* Likewise the content of an overwrite after the image was made. */
#define PLAN_ROUND(r)	(COWP_MAX_EPOCH + 1 + (r))

/**
 * struct plan_order - an epoch's permutation of the chunks
 * @multiply:	odd factors
 * @undo:	their inverses
 * @add:	the first step's
 */
struct plan_order {
	u32 multiply[3];
	u32 undo[3];
	u32 add;
};

/**
 * struct plan - parameters, and what follows from them
 * @records:	altogether
 * @snapshots:	number
 * @chunk_bits:	the live volume has two to the power of so many chunks
 * @chunk_blocks: blocks a chunk
 * @seed:	of everything
 * @stamped:	records whose chunk carries content, about; of the live volume's
 *		chunks as large a part
 * @threshold:	of the hash that decides which ones
 * @first:	number of the first record of each epoch, one beyond the last too
 * @order:	of each epoch
 * @zero_crc:	checksum of a chunk without content
 */
struct plan {
	u64 records;
	u32 snapshots;
	u32 chunk_bits;
	u32 chunk_blocks;
	u64 seed;
	u64 stamped;
	u64 threshold;
	u64 first[COWP_MAX_SNAPSHOTS + 2];
	struct plan_order order[COWP_MAX_SNAPSHOTS + 1];
	u32 zero_crc;
};

/* Compute what follows from the parameters.  Returns NULL, or what is wrong with them. */
const char *plan_init(struct plan *p);

static inline u64 plan_chunks(const struct plan *p)
{
	return 1ULL << p->chunk_bits;
}

static inline u32 plan_chunk_bytes(const struct plan *p)
{
	return p->chunk_blocks * COWP_BLOCK_SIZE;
}

static inline u64 plan_live_sectors(const struct plan *p)
{
	return (plan_chunks(p) * p->chunk_blocks) * COWP_BLOCK_SECTORS;
}

/* Records of an epoch. */
static inline u32 plan_count(const struct plan *p, u32 epoch)
{
	return p->first[epoch + 1] - p->first[epoch];
}

/* Xor with a shift by half of the bits undoes itself. */
static inline u32 plan_fold(u32 x, u32 bits)
{
	return x ^ x >> (bits + 1) / 2;
}

/* A chunk's place in an epoch's permutation. */
static inline u32 plan_place(const struct plan_order *o, u32 bits, u32 chunk)
{
	u32 mask = (u32)(~0ULL >> (64 - bits));
	u32 x = (chunk * o->multiply[0] + o->add) & mask;

	x = plan_fold(x, bits) * o->multiply[1] & mask;
	x = plan_fold(x, bits) * o->multiply[2] & mask;
	return plan_fold(x, bits);
}

/* The chunk at a place. */
static inline u32 plan_chunk(const struct plan_order *o, u32 bits, u32 place)
{
	u32 mask = (u32)(~0ULL >> (64 - bits));
	u32 x = plan_fold(place, bits) * o->undo[2] & mask;

	x = plan_fold(x, bits) * o->undo[1] & mask;
	return (plan_fold(x, bits) - o->add) * o->undo[0] & mask;
}

static inline bool plan_has(const struct plan *p, u64 chunk, u32 epoch)
{
	return plan_place(&p->order[epoch], p->chunk_bits, chunk) < plan_count(p, epoch);
}

/* The epoch whose record a snapshot reads a chunk from, or PLAN_LIVE. */
u32 plan_answer(const struct plan *p, u32 snapshot, u64 chunk);

/* The epoch of a record of the log. */
u32 plan_epoch(const struct plan *p, u64 record);

u64 plan_hash(u64 seed, u64 a, u64 b);

/* Does the chunk's content of an epoch differ from zeros? */
static inline bool plan_stamped(const struct plan *p, u64 chunk, u32 epoch)
{
	return epoch > COWP_MAX_EPOCH || plan_hash(p->seed, chunk, epoch) < p->threshold;
}

/* Its content, stamped or not, into @to. */
void plan_content(const struct plan *p, u64 chunk, u32 epoch, void *to);

/* The checksum of that, as records have it. */
u32 plan_crc(const struct plan *p, u64 chunk, u32 epoch);

/**
 * struct plan_dice - random choices that come again with the same seed
 * @state:	of the generator
 */
struct plan_dice {
	u64 state;
};

u64 plan_roll(struct plan_dice *d);

/* Some chunk; likewise one that @snapshot reads a stamp from (S + 1: the live volume). */
u64 plan_pick(const struct plan *p, struct plan_dice *d);
u64 plan_pick_stamped(const struct plan *p, struct plan_dice *d, u32 snapshot);

#endif /* SCALE_PLAN_H */
