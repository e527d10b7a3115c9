/* SPDX-License-Identifier: GPL-2.0-only */
/* Devices of a generated volume, read and written past the page cache. */
#ifndef SCALE_READ_H
#define SCALE_READ_H

#include "plan.h"

/**
 * struct job - chunks to be read or written
 * @plan:	what they should hold
 * @device:	its node
 * @snapshot:	whose device it is; S + 1: the live volume
 * @like:	chunks are chosen as for this one
 * @round:	of overwrites, 0: none
 * @count:	chunks, half of them stamped
 * @jobs:	threads
 * @seed:	of the choice
 */
struct job {
	const struct plan *plan;
	const char *device;
	u32 snapshot;
	u32 like;
	u32 round;
	u32 count;
	u32 jobs;
	u64 seed;
};

/*
 * job_read - compare chunks with the plan
 *
 * With a round: with what job_overwrite() wrote in that one.  Returns how many
 * are wrong.
 */
u32 job_read(const struct job *j);

/* Write a round's content to the chunks.  Returns how many writes failed. */
u32 job_overwrite(const struct job *j);

#endif /* SCALE_READ_H */
