/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Recovery's parts: recovery.c drives, body.c reads the manifest's body,
 * replay.c the log.
 */
#ifndef COWP_RECOVERY_H
#define COWP_RECOVERY_H

#include "internal.h"

#define COWP_RECOVERY_BLOCKS	32U	/* of one read, or one chunk */

enum cowp_recovery_step {
	COWP_R_IDLE,
	COWP_R_WANTED,
	COWP_R_FIXED,		/* reading state blocks and roots */
	COWP_R_FORMAT,		/* looking whether the area is blank */
	COWP_R_SESSION,		/* writing the state blocks */
	COWP_R_BODY,
	COWP_R_REPLAY,
	COWP_R_CHECKPOINT,
};

enum cowp_replay_pass {
	COWP_PASS_LEARN,
	COWP_PASS_VERIFY,
	COWP_PASS_INSERT,
};

/**
 * struct cowp_replay_batch - what the log has of a batch
 * @parts:	summary blocks that it should have, 0: nothing seen
 * @seen:	those that are there
 * @damaged:	data that does not match its checksum, or parts that disagree
 */
struct cowp_replay_batch {
	u8 parts;
	u8 seen;
	bool damaged;
};

/**
 * struct cowp_recovery - an attempt to read the area
 * @step:	enum cowp_recovery_step
 * @verifying:	clear: only check that the area is ours, then checkpoint
 * @fixed:	for state blocks and roots
 * @fixed_left:	of them still to come
 * @request:	for the session
 * @other:	the older root, if it may be believed too
 * @other_valid: it may
 * @io:		for everything else, one at a time
 * @csum:	of a chunk's blocks
 * @buffer:	blocks for @io
 * @body_read:	blocks of the body that are read
 * @format_region: which region is looked at
 * @format_next: block of it
 * @pass:	enum cowp_replay_pass
 * @at:		segment that is being read
 * @ring:	its ring
 * @ring_valid:	which of them are valid versions
 * @ring_read:	the ring is there
 * @home:	first home in the buffer, or the next to be read
 * @homes:	homes in the buffer
 * @next_home:	of the buffer, to be looked at
 * @next_entry:	of it
 * @verifying_data: @io reads a chunk of this entry
 * @verifying_map: likewise its bad map
 * @verifying_batch: the entry's batch
 * @batches:	by number above the replay point
 * @batch_count: how many it has room for
 * @watermark:	the highest seen
 * @max_batch:	likewise
 * @max_version: likewise
 * @max_epoch:	likewise
 * @cut:	the last batch that is taken
 */
struct cowp_recovery {
	u8 step;
	bool verifying;
	struct cowp_io *fixed[2 * COWP_SLOTS];
	u32 fixed_left;
	struct cowp_state_request request;
	struct cowp_super other;
	bool other_valid;
	struct cowp_io *io;
	u32 *csum;
	void **buffer;
	u32 body_read;
	u32 format_region;
	u64 format_next;
	u8 pass;
	struct cowp_listed *at;
	void *ring[COWP_RING_BLOCKS];
	bool ring_valid[COWP_RING_BLOCKS];
	bool ring_read;
	u32 home;
	u32 homes;
	u32 next_home;
	u32 next_entry;
	const struct cowp_entry *verifying_data;
	bool verifying_map;
	u64 verifying_batch;
	struct cowp_replay_batch *batches;
	u64 batch_count;
	u64 watermark;
	u64 max_batch;
	u64 max_version;
	u32 max_epoch;
	u64 cut;
};

/* recovery.c */
void cowp_recovery_corrupt(struct cowp_engine *eng, const char *what);
void cowp_format_start(struct cowp_engine *eng);
void cowp_replay_pass_done(struct cowp_engine *eng);

/* body.c */
const char *cowp_body_load(struct cowp_engine *eng);
void cowp_recovery_forget(struct cowp_engine *eng);

/* replay.c */
void cowp_replay_start_pass(struct cowp_engine *eng);
void cowp_replay_read(struct cowp_engine *eng, int error);

#endif /* COWP_RECOVERY_H */
