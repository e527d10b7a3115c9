// SPDX-License-Identifier: GPL-2.0-only
/*
 * Buffers for chunks that cannot be read into the reader's pages.  See
 * bounce.h.
 *
 * Their number is fixed, as memory is: a read that finds none waits until
 * another one is done.  Whoever has one needs nothing more to get done, so the
 * wait ends.
 */
#include <linux/slab.h>
#include "bounce.h"
#include "budget.h"

/* As the memory bound counts it. */
static_assert(sizeof(struct cowp_bounce) <= COWP_BOUNCE_BYTES);

/* Clones that are there when nothing else is. */
#define MIN_CLONES	32U

/* Reads that may sleep at a time. */
#define MAX_READS	64

static void bounce_free(struct cowp_bounce *b)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(b->blocks); i++)
		port_block_free(b->blocks[i]);
	port_free(b);
}

static struct cowp_bounce *bounce_new(u32 blocks)
{
	struct cowp_bounce *b = port_zalloc(sizeof(*b));
	u32 i;

	if (!b)
		return NULL;
	for (i = 0; i < blocks + 1; i++) {
		b->blocks[i] = port_block_alloc();
		if (!b->blocks[i]) {
			bounce_free(b);
			return NULL;
		}
	}
	return b;
}

/**
 * cowp_reader_free - free the means of snapshot reads
 * @r:		nobody uses it; or NULL
 *
 * May sleep.
 */
void cowp_reader_free(struct cowp_reader *r)
{
	struct cowp_bounce *b, *next;

	if (!r)
		return;
	if (r->wq)
		destroy_workqueue(r->wq);
	list_for_each_entry_safe(b, next, &r->idle, node)
		bounce_free(b);
	bioset_exit(&r->clones);
	kfree(r);
}

/**
 * cowp_reader_new - allocate the means of snapshot reads
 * @chunk_blocks: blocks a chunk
 * @dev:	number of the live device, for a name
 *
 * May sleep.  Returns NULL when there is no memory.
 */
struct cowp_reader *cowp_reader_new(u32 chunk_blocks, dev_t dev)
{
	struct cowp_reader *r = kzalloc(sizeof(*r), GFP_KERNEL);
	u32 i;

	if (!r)
		return NULL;
	r->chunk_blocks = chunk_blocks;
	spin_lock_init(&r->lock);
	INIT_LIST_HEAD(&r->idle);
	init_waitqueue_head(&r->wait);
	r->wq = alloc_workqueue("cowprotect_read/%u:%u", WQ_MEM_RECLAIM, MAX_READS,
				MAJOR(dev), MINOR(dev));
	if (!r->wq || bioset_init(&r->clones, MIN_CLONES, 0, 0)) {
		cowp_reader_free(r);
		return NULL;
	}
	r->count = cowp_bounces(chunk_blocks);
	r->bytes = cowp_readers_footprint(chunk_blocks);
	for (i = 0; i < r->count; i++) {
		struct cowp_bounce *b = bounce_new(chunk_blocks);

		if (!b) {
			cowp_reader_free(r);
			return NULL;
		}
		list_add(&b->node, &r->idle);
	}
	return r;
}

static struct cowp_bounce *bounce_take(struct cowp_reader *r)
{
	struct cowp_bounce *b;

	spin_lock(&r->lock);
	b = list_first_entry_or_null(&r->idle, struct cowp_bounce, node);
	if (b)
		list_del(&b->node);
	spin_unlock(&r->lock);
	return b;
}

/**
 * cowp_bounce_get - take a buffer
 * @r:		the volume's means
 *
 * Sleeps until there is one.  The caller must have no other.
 */
struct cowp_bounce *cowp_bounce_get(struct cowp_reader *r)
{
	struct cowp_bounce *b;

	wait_event(r->wait, (b = bounce_take(r)));
	return b;
}

/**
 * cowp_bounce_put - give a buffer back
 * @r:		the volume's means
 * @b:		the buffer
 *
 * Process context.
 */
void cowp_bounce_put(struct cowp_reader *r, struct cowp_bounce *b)
{
	spin_lock(&r->lock);
	list_add(&b->node, &r->idle);
	spin_unlock(&r->lock);
	wake_up(&r->wait);
}

static int read_blocks(struct cowp_bounce *b, struct block_device *bdev, u64 sector,
		       void **blocks, u32 count)
{
	u32 i;
	int r;

	bio_init(&b->bio, bdev, b->vecs, COWP_MAX_CHUNK_BLOCKS, REQ_OP_READ);
	b->bio.bi_iter.bi_sector = sector;
	for (i = 0; i < count; i++)
		__bio_add_page(&b->bio, virt_to_page(blocks[i]), COWP_BLOCK_SIZE,
			       offset_in_page(blocks[i]));
	r = submit_bio_wait(&b->bio);
	bio_uninit(&b->bio);
	return r;
}

/**
 * cowp_bounce_read - read a chunk into the buffer
 * @b:		the buffer
 * @bdev:	from this device
 * @sector:	at this sector
 * @blocks:	blocks of 4 KiB
 *
 * Sleeps.  Returns 0 or -errno.
 */
int cowp_bounce_read(struct cowp_bounce *b, struct block_device *bdev, u64 sector, u32 blocks)
{
	return read_blocks(b, bdev, sector, b->blocks, blocks);
}

/**
 * cowp_bounce_read_map - read one more block
 * @b:		a buffer, whose chunk stays as it is
 * @bdev:	from this device
 * @sector:	at this sector
 * @block:	one of the buffer's blocks
 *
 * Sleeps.  Returns 0 or -errno.
 */
int cowp_bounce_read_map(struct cowp_bounce *b, struct block_device *bdev, u64 sector,
			 void *block)
{
	return read_blocks(b, bdev, sector, &block, 1);
}
