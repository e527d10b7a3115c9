// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine's memory.  All of it is known, so that a power cut can drop it and
 * a clean end can be held to leave nothing behind.
 *
 * Blocks come from a pool with a hole behind each, which AddressSanitizer is
 * told of as it is told of the free ones.
 */
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "sim.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n)		((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n)	((void)(p), (void)(n))
#endif

/*
 * A piece of memory: this header, a hole, the bytes, a hole.  Pieces are kept
 * by size for reuse, the one freed longest ago first, so that a pointer to a
 * freed one is still found: the sanitizer's own allocator is too slow for an
 * engine that is made anew for every power cut.
 */
struct chunk {
	struct list_head node;
	struct bucket *bucket;
	bool used;
	u8 hole[32];
};

struct bucket {
	struct list_head free;
	u32 nr_free;
	size_t bytes;
};

#define HOLE		64U
#define MAX_BUCKETS	512U
#define FREE_FOR_A_WHILE 16U	/* pieces of a size that are freed, not reused yet */

static struct bucket buckets[MAX_BUCKETS];
static LIST_HEAD(chunks);
static u64 in_use;
u32 memory_fail_next;
bool memory_none;

static bool refused(void)
{
	if (memory_none) {
		stats_count(the_sim->stats, STAT_NO_MEMORY);
		return true;
	}
	return memory_fail_next && !--memory_fail_next;
}

static struct bucket *bucket_of(size_t bytes)
{
	u32 i = (bytes / 8 * 2654435761U >> 16) % MAX_BUCKETS;
	u32 n;

	for (n = 0; n < MAX_BUCKETS; n++, i = (i + 1) % MAX_BUCKETS) {
		struct bucket *b = &buckets[i];

		if (!b->free.next) {
			INIT_LIST_HEAD(&b->free);
			b->bytes = bytes;
		}
		if (b->bytes == bytes)
			return b;
	}
	abort();
}

void *port_zalloc(size_t bytes)
{
	struct bucket *b = bucket_of(bytes);
	struct chunk *c;

	if (refused())
		return NULL;
	if (b->nr_free > FREE_FOR_A_WHILE) {
		c = list_first_entry(&b->free, struct chunk, node);
		list_del(&c->node);
		b->nr_free--;
		ASAN_UNPOISON_MEMORY_REGION(c + 1, bytes);
		memset(c + 1, 0, bytes);
	} else {
		c = calloc(1, sizeof(*c) + bytes + HOLE);
		if (!c)
			abort();
		c->bucket = b;
		ASAN_POISON_MEMORY_REGION(c->hole, sizeof(c->hole));
		ASAN_POISON_MEMORY_REGION((u8 *)(c + 1) + bytes, HOLE);
	}
	c->used = true;
	list_add_tail(&c->node, &chunks);
	in_use += bytes;
	return c + 1;
}

static void put_chunk(struct chunk *c)
{
	struct bucket *b = c->bucket;

	c->used = false;
	list_del(&c->node);
	list_add_tail(&c->node, &b->free);
	b->nr_free++;
	ASAN_POISON_MEMORY_REGION(c + 1, b->bytes);
}

void port_free(void *p)
{
	struct chunk *c;

	if (!p)
		return;
	c = (struct chunk *)p - 1;
	if (c->bucket < buckets || c->bucket >= buckets + MAX_BUCKETS || !c->used)
		sim_fail(the_sim, "port_free() of what is free, or no piece of memory");
	in_use -= c->bucket->bytes;
	put_chunk(c);
}

#define BLOCK_STRIDE	(2U * COWP_BLOCK_SIZE)
#define SLAB_BLOCKS	128U

struct block {
	u8 *data;
	bool used;
	u32 index;
	u32 next;
};

static struct block *blocks;
static u32 nr_blocks;
static u32 free_block = ~0U;
static u32 blocks_used;

static void add_blocks(void)
{
	u8 *data = aligned_alloc(COWP_BLOCK_SIZE, (size_t)SLAB_BLOCKS * BLOCK_STRIDE);
	struct block *more = realloc(blocks, (nr_blocks + SLAB_BLOCKS) * sizeof(*blocks));
	u32 i;

	if (!data || !more)
		abort();
	blocks = more;
	for (i = 0; i < SLAB_BLOCKS; i++) {
		struct block *b = &blocks[nr_blocks + i];

		b->data = data + (size_t)i * BLOCK_STRIDE;
		b->used = false;
		b->next = free_block;
		/* The hole holds the way back from the address. */
		b->index = nr_blocks + i;
		memcpy(b->data + COWP_BLOCK_SIZE, &b->index, sizeof(b->index));
		free_block = nr_blocks + i;
	}
	ASAN_POISON_MEMORY_REGION(data, (size_t)SLAB_BLOCKS * BLOCK_STRIDE);
	nr_blocks += SLAB_BLOCKS;
}

void *port_block_alloc(void)
{
	struct block *b;

	if (refused())
		return NULL;
	if (free_block == ~0U)
		add_blocks();
	b = &blocks[free_block];
	free_block = b->next;
	b->used = true;
	blocks_used++;
	in_use += COWP_BLOCK_SIZE;
	ASAN_UNPOISON_MEMORY_REGION(b->data, COWP_BLOCK_SIZE);
	memset(b->data, 0, COWP_BLOCK_SIZE);
	return b->data;
}

static void put_block(struct block *b)
{
	b->used = false;
	b->next = free_block;
	free_block = b->index;
	blocks_used--;
	in_use -= COWP_BLOCK_SIZE;
	ASAN_POISON_MEMORY_REGION(b->data, COWP_BLOCK_SIZE);
}

void port_block_free(void *block)
{
	u32 index;

	if (!block)
		return;
	ASAN_UNPOISON_MEMORY_REGION((u8 *)block + COWP_BLOCK_SIZE, 8);
	memcpy(&index, (u8 *)block + COWP_BLOCK_SIZE, sizeof(index));
	ASAN_POISON_MEMORY_REGION((u8 *)block + COWP_BLOCK_SIZE, 8);
	if (index >= nr_blocks || blocks[index].data != block || !blocks[index].used)
		sim_fail(the_sim, "port_block_free() of what is no block");
	put_block(&blocks[index]);
}

struct cowp_io *port_io_new(struct cowp_port *p, u32 max_blocks)
{
	struct cowp_io *io = port_zalloc(sizeof(*io));

	(void)p;
	if (!io)
		return NULL;
	io->max_blocks = max_blocks;
	io->blocks = port_zalloc(max_blocks * sizeof(io->blocks[0]));
	if (!io->blocks) {
		port_free(io);
		return NULL;
	}
	return io;
}

void port_io_free(struct cowp_io *io)
{
	struct dio *d;

	if (!io)
		return;
	list_for_each_entry(d, &the_sim->diff.flying, node) {
		if (d->arg == io)
			sim_fail(the_sim, "port_io_free() of an io in flight");
	}
	list_for_each_entry(d, &the_sim->live.flying, node) {
		if (d->arg == io)
			sim_fail(the_sim, "port_io_free() of an io in flight");
	}
	port_free(io->blocks);
	port_free(io);
}

u64 memory_in_use(void)
{
	return in_use;
}

void memory_free_all(void)
{
	struct chunk *c, *next;
	u32 i;

	list_for_each_entry_safe(c, next, &chunks, node)
		put_chunk(c);
	for (i = 0; i < nr_blocks && blocks_used; i++) {
		if (blocks[i].used)
			put_block(&blocks[i]);
	}
	in_use = 0;
}
