/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the snapshot reads of a volume need, so that none of them allocates
 * memory that is not there: a workqueue, clones, and buffers of a chunk for
 * what cannot be read into the reader's own pages.
 */
#ifndef COWP_BOUNCE_H
#define COWP_BOUNCE_H

#include <linux/bio.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "engine.h"

/**
 * struct cowp_bounce - a buffer for one chunk
 * @node:	in cowp_reader.idle
 * @bio:	for reading into it
 * @vecs:	likewise
 * @blocks:	the chunk's, and the one behind them for a bad map
 * @csum:	checksums of its blocks
 */
struct cowp_bounce {
	struct list_head node;
	struct bio bio;
	struct bio_vec vecs[COWP_MAX_CHUNK_BLOCKS];
	void *blocks[COWP_MAX_CHUNK_BLOCKS + 1];
	u32 csum[COWP_MAX_CHUNK_BLOCKS];
};

/**
 * struct cowp_reader - the means of a volume's snapshot reads
 * @chunk_blocks: blocks a chunk
 * @wq:		where they sleep
 * @clones:	bioset
 * @count:	buffers
 * @bytes:	memory of it all
 * @lock:	for @idle
 * @idle:	buffers that nobody uses
 * @wait:	woken when there is one
 */
struct cowp_reader {
	u32 chunk_blocks;
	struct workqueue_struct *wq;
	struct bio_set clones;
	u32 count;
	u64 bytes;
	spinlock_t lock;		/* idle */
	struct list_head idle;
	wait_queue_head_t wait;
};

struct cowp_reader *cowp_reader_new(u32 chunk_blocks, dev_t dev);
void cowp_reader_free(struct cowp_reader *r);
struct cowp_bounce *cowp_bounce_get(struct cowp_reader *r);
void cowp_bounce_put(struct cowp_reader *r, struct cowp_bounce *b);
int cowp_bounce_read(struct cowp_bounce *b, struct block_device *bdev, u64 sector, u32 blocks);
int cowp_bounce_read_map(struct cowp_bounce *b, struct block_device *bdev, u64 sector,
			 void *block);

static inline u64 cowp_reader_bytes(const struct cowp_reader *r)
{
	return r->bytes;
}

#endif /* COWP_BOUNCE_H */
