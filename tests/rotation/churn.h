/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The writes: a thread for each region.  What a thread writes in an epoch are
 * different chunks, in a new order each time.
 */
#ifndef ROTATION_CHURN_H
#define ROTATION_CHURN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model.h"

#define CHUNK_SECTORS	(CHUNK_BYTES / 512U)

/* Where a chunk of the model is on a volume of so many sectors. */
uint64_t churn_sector(unsigned int chunk, uint64_t sectors);

/* Threads that write to the device; it stays open until churn_end(). */
void churn_begin(const char *path, uint64_t sectors);
void churn_end(void);

/*
 * churn_start - let all threads write
 * @chunks:	altogether
 * @fresh:	an epoch begins: chunks that were written before come again
 */
void churn_start(unsigned int chunks, bool fresh);

/* Wait until so many chunks are written, of those that churn_start() asked for. */
void churn_wait(unsigned int chunks);

/* Threads that have not written all of theirs. */
unsigned int churn_busy(void);

/*
 * What each chunk must show at least (the last write that ended), and what it may
 * show at most (the last one that began).  Equal where nothing is under way.
 */
void churn_ended(struct image *image);
void churn_begun(struct image *image);

#endif
