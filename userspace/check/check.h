/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * cowprotect check: what the parts share.
 *
 *	fixed.c		state copies and roots
 *	tables.c	snapshots, open list, segment table, space of the fragments
 *	log.c		what a recovery would replay: summaries of the listed segments
 *	run.c		the blocks of every fragment
 *	record.c	where records point to: segment, summary entry, data
 *	keys.c		no key twice, over all fragments and the log
 *	segment.c	what the segments' records and headers must agree with
 */
#ifndef COWP_CHECK_H
#define COWP_CHECK_H

#include "area.h"

/**
 * struct usage - what points into a segment
 * @found:	records of published fragments that name it, dead ones too
 * @records:	index records of published fragments
 * @fragments:	that lie in it
 * @replayed:	records that a recovery would take from its summaries
 * @slots:	bit map of the data slots that records use, made on demand
 */
struct usage {
	u32 found;
	u32 records;
	u32 fragments;
	u32 replayed;
	u8 *slots;
};

/**
 * struct summaries - the summary blocks of a log segment
 * @segment:	number, or COWP_NO_SEGMENT
 * @incarnation: that versions must have to count
 * @blocks:	homes, then the ring
 * @valid:	which of them are valid versions
 * @newest:	of each home; NULL: none
 */
struct summaries {
	u32 segment;
	u32 incarnation;
	u8 *blocks;
	bool *valid;
	const struct cowp_summary **newest;
};

/* A record, and where it was found. */
struct found_record {
	struct cowp_rec rec;
	u64 block;
};

/*
 * Records looked at together, in the order of their places: 128 MiB, and as much
 * again while they are sorted.  The largest part of the memory that a check of a
 * large area takes.
 */
#ifndef RECORD_BATCH
#define RECORD_BATCH	(4U << 20)
#endif

/*
 * struct check - a run of the check
 * @area:	the diff device
 * @findings:	what was found
 * @data:	read the chunks too
 * @progress:	tell how far it is
 * @fixed:	the fixed blocks
 * @man:	the manifest that counts
 * @session:	the highest session that a block may carry
 * @oldest:	oldest snapshot of the manifest, COWP_MAX_EPOCH + 1 without one
 * @use:	of each segment
 * @log:	records that a recovery would take from the log
 * @log_count, @log_room: how many, and room for how many
 * @log_snapshots: snapshots that it would find there
 * @log_ids:	their ids
 * @watermark, @cut, @max_batch: of the log: durable up to, taken up to, seen up to
 * @sum:	summaries of the segment looked at last
 * @pending, @pending_count: records to be looked at
 * @pending_log: they are from the log
 * @chunks:	buffer of CHUNKS_BLOCKS
 * @zero_crc:	checksum of a chunk of zeros
 * @hole:	[from, to) blocks known to be a hole
 * @records, @bytes: done so far
 * @expected:	records altogether
 * @told:	when progress was told, milliseconds
 */
struct check {
	const struct area *area;
	struct findings findings;
	bool data;
	bool progress;
	struct fixed fixed;
	struct manifest man;
	u32 session;
	u32 oldest;
	struct usage *use;
	struct found_record *log;
	u32 log_count;
	u32 log_room;
	u32 log_snapshots;
	u32 log_ids[COWP_MAX_SNAPSHOTS];
	u64 watermark;
	u64 cut;
	u64 max_batch;
	struct summaries sum;
	struct found_record *pending;
	u32 pending_count;
	bool pending_log;
	u8 *chunks;
	u32 zero_crc;
	u64 hole[2];
	u64 records;
	u64 bytes;
	u64 expected;
	u64 told;
};

#define CHUNKS_BLOCKS	256U

static inline void *check_slot_data(struct check *c, u32 block)
{
	return c->chunks + (size_t)block * COWP_BLOCK_SIZE;
}

/* Every part adds to c->findings.  False: there is nothing to go on with. */
bool check_fixed(struct check *c);
void check_tables(struct check *c);
void check_log(struct check *c);
void check_runs(struct check *c);
void check_keys(struct check *c);
void check_segments(struct check *c);

/* A block of a segment that must carry this session at most. */
void check_session(struct check *c, const void *block, u64 nr, const char *what);

/* summary.c */
void summaries_init(struct check *c);
void summaries_exit(struct check *c);
bool summaries_load(struct check *c, u32 segment, u32 incarnation);
u64 summaries_block(const struct check *c, const struct cowp_summary *s);
const struct cowp_entry *summary_entry(const struct check *c, const struct cowp_summary *s,
				       u32 i);
u32 summary_entry_size(const struct check *c, const struct cowp_summary *s, u32 i);

/* record.c */
void records_init(struct check *c);
void records_exit(struct check *c);
void records_add(struct check *c, const struct cowp_rec *rec, u64 block);
void records_flush(struct check *c);

/* The segments [from, to) have had all their records of fragments. */
void records_forget(struct check *c, u32 from, u32 to);

/*
 * chunk_read - read the chunk in a slot and compute its checksum
 *
 * Returns 0 or -errno.
 */
int chunk_read(struct check *c, u32 segment, u32 slot, u32 *crc);

/* Is the block at @slot's place a bad map for this key? */
const char *badmap_check(struct check *c, u32 segment, u32 incarnation, u32 slot, u64 key);

void progress(struct check *c, const char *what);

#endif /* COWP_CHECK_H */
