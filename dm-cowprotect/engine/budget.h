/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The memory bound: what a volume can take, computed from its options and sizes
 * before anything is allocated.
 *
 * Every allocation is counted as what the system may hand out for it at most
 * (cowp_footprint()), both here and in the status line, so that "used" can be
 * held against "limit" to the byte.
 */
#ifndef COWP_BUDGET_H
#define COWP_BUDGET_H

#include "engine.h"

/*
 * What a volume with the default options takes at most, whatever its size, while
 * its area has no more segments than it was formatted with.
 */
#define COWP_DEFAULT_LIMIT	(32U << 20)
#define COWP_DEFAULT_CACHE_KIB	1024U

/* What the bound is made of, each with a word for tables and tests. */
#define COWP_BUDGET_PARTS(X) \
	X(BASE,		"base")		/* the engine itself, sequence counts, snapshots */ \
	X(MEMTABLES,	"memtables") \
	X(BITS,		"bits")		/* pages of preserved bits */ \
	X(CACHE,	"cache")	/* blocks of the index: cache_kib */ \
	X(INDEX,	"index")	/* the list of fragments, a run being written */ \
	X(SEGMENTS,	"segments")	/* the segment table, the open list */ \
	X(MANIFEST,	"manifest")	/* body, root, state blocks */ \
	X(COPIES,	"copies")	/* copy buffers with their I/O */ \
	X(LOG,		"log")		/* batches and lanes */ \
	X(RECOVERY,	"recovery") \
	X(MERGE,	"merge") \
	X(READERS,	"readers")	/* the shell's: bounce buffers of snapshot reads */ \
	X(SHELL,	"shell")	/* likewise: queues, pools, the activation */

enum cowp_budget_part {
#define COWP_BUDGET_PART(part, ...)	COWP_BUDGET_##part,
	COWP_BUDGET_PARTS(COWP_BUDGET_PART)
#undef COWP_BUDGET_PART
	COWP_BUDGET_COUNT
};

extern const char * const cowp_budget_words[COWP_BUDGET_COUNT];

/**
 * struct cowp_budget - the bound and its parts
 * @bytes:	of each part
 * @total:	of all
 */
struct cowp_budget {
	u64 bytes[COWP_BUDGET_COUNT];
	u64 total;
};

/**
 * cowp_budget - compute the bound
 * @b:		out
 * @cfg:	of which chunk size, size of the live volume, cache and frames of bits
 *		count
 * @segments:	of the area; 0: it was not read yet
 *
 * Pure; any context.  What it says is what the engine's constructor, recovery
 * and growth allocate, and what merging and the shell may hold besides.
 */
void cowp_budget(struct cowp_budget *b, const struct cowp_config *cfg, u32 segments);

/**
 * cowp_footprint - what an allocation may take of the machine's memory
 * @bytes:	asked for
 *
 * Allocators round up: to a power of two, and what is larger than they hand out
 * in one piece, to whole pages.
 */
u64 cowp_footprint(u64 bytes);

/* Entries of each memtable, sets of frames of preserved bits. */
u32 cowp_budget_records(const struct cowp_config *cfg);
u32 cowp_budget_sets(const struct cowp_config *cfg);

/*
 * What an io takes, its shell's part included: so much, and for each block a
 * segment of the bio.  The shells hold their descriptor against it.
 */
#define COWP_IO_BYTES		448U
#define COWP_IO_BLOCK_BYTES	16U

static inline u64 cowp_io_footprint(u32 max_blocks)
{
	return cowp_footprint(COWP_IO_BYTES + max_blocks * COWP_IO_BLOCK_BYTES) +
	       cowp_footprint(max_blocks * sizeof(void *));
}

/*
 * The kernel shell's: bounce buffers of a chunk and a bad map each, and what it
 * holds for every activation: three workqueues with a rescuer thread each, 32
 * clones, the activation itself.
 */
#define COWP_BOUNCE_BYTES	8192U
#define COWP_SHELL_BYTES	(128U << 10)

static inline u32 cowp_bounces(u32 chunk_blocks)
{
	u32 fit = (2U << 20) / (chunk_blocks * COWP_BLOCK_SIZE);

	return clamp(fit, 4U, 64U);
}

static inline u64 cowp_readers_footprint(u32 chunk_blocks)
{
	return cowp_bounces(chunk_blocks) *
	       (COWP_BOUNCE_BYTES + (chunk_blocks + 1ULL) * COWP_BLOCK_SIZE);
}

#endif /* COWP_BUDGET_H */
