/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The diff area and the live volume of a plan, as files.
 *
 *	layout.c	what lies where: log segments, then those of runs
 *	log.c		the log segments and the chunks in them
 *	run.c		the index
 *	manifest.c	snapshots, fragments, segments; roots and states
 */
#ifndef SCALE_IMAGE_H
#define SCALE_IMAGE_H

#include "plan.h"

/**
 * struct image - a diff area that is being made
 * @plan:	what it is to hold
 * @name:	of the file
 * @fd:		likewise
 * @super:	root of the manifest
 * @geo:	what follows from it
 * @log_segments: the first ones, full but for the last
 * @next_segment: the first that has no use yet
 * @fragments:	of the runs
 * @fragment_count: how many
 * @stamped:	chunks written with content
 */
struct image {
	const struct plan *plan;
	const char *name;
	int fd;
	struct cowp_super super;
	struct cowp_geometry geo;
	u32 log_segments;
	u32 next_segment;
	struct cowp_fragment_rec fragments[COWP_MAX_FRAGMENTS];
	u32 fragment_count;
	u64 stamped;
};

/* The session that wrote everything. */
#define IMAGE_SESSION	2U

/* Each segment was opened once, after others that are gone. */
static inline u32 image_incarnation(u32 segment)
{
	return 3 * segment + 1000;
}

/* The number of a record's batch: each was one, and each snapshot's creation. */
static inline u64 image_batch(u64 record, u32 epoch)
{
	return record + epoch + 1;
}

/* Choose sizes, open the file.  Exits where that cannot be. */
void image_open(struct image *im, const struct plan *p, const char *name);
void image_close(struct image *im);

/* Write blocks.  Exits on errors. */
void image_write(const struct image *im, u64 block, const void *data, u32 blocks);

/* The first block of a segment, into @block. */
void image_header(const struct image *im, u32 segment, u8 kind, void *block);

/* Where the log has a record's chunk and summary entry. */
struct cowp_place image_place(const struct image *im, u64 record);

void image_write_log(struct image *im);
void image_write_runs(struct image *im);
void image_write_manifest(struct image *im);

/* The live volume.  Returns how many chunks have content. */
u64 live_write(const struct plan *p, const char *name);

/* dm-snapshot's table of so many exceptions, in 4 KiB chunks, for comparison. */
void peer_write(const char *name, u64 exceptions);

/* Create a sparse file of a size, or end the program. */
int make_file(const char *name, u64 bytes);
void put_bytes(int fd, const char *name, u64 at, const void *data, size_t bytes);
void __noreturn give_up(const char *name, const char *why);

#endif /* SCALE_IMAGE_H */
