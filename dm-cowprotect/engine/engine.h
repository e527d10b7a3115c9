/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The engine: the store of preserved chunks and the protection of one live
 * volume, without knowledge of bios, device-mapper or threads.
 *
 * Unless a function says "any context" it is called by one thread at a time, the
 * volume's worker, does not sleep, and takes "now", milliseconds of a monotonic
 * clock, from the last cowp_engine_run().  After each round of calls the shell
 * calls cowp_engine_run(), which starts whatever they made possible.  A lookup
 * that is answered at once needs no run, and may come from another thread while
 * the worker is not at it.
 */
#ifndef COWP_ENGINE_H
#define COWP_ENGINE_H

#include "fast.h"

/**
 * struct cowp_config - what a table line says
 * @chunk_blocks: blocks a chunk
 * @live_sectors: size of the live volume
 * @live_block_sectors: its logical block size in sectors
 * @diff_block_sectors: the diff device's, 0 when absent
 * @have_uuid:	@uuid must be the area's
 * @have_mode:	@mode is to be applied when the area is first read
 * @format:	format an area that is blank
 * @given_up:	the host's record says that the snapshots were given up
 * @discard_freed: discard segments that become free
 * @uuid:	with @format and without @have_uuid: a fresh random one
 * @mode:	enum cowp_mode
 * @diff_wait_ms: normal mode: how long to wait for a missing diff area
 * @grow_wait_ms: normal mode: how long to wait for room
 * @diff_timeout_ms: a diff I/O that takes longer is a fault; 0: never
 * @low_water:	chunks
 * @cache_blocks: clean-block cache, blocks
 * @bits_blocks: frames of preserved bits, blocks; 0: as many as useful, 8 MiB at most
 */
struct cowp_config {
	u32 chunk_blocks;
	u64 live_sectors;
	u32 live_block_sectors;
	u32 diff_block_sectors;
	bool have_uuid;
	bool have_mode;
	bool format;
	bool given_up;
	bool discard_freed;
	u8 uuid[16];
	u8 mode;
	u64 diff_wait_ms;
	u64 grow_wait_ms;
	u64 diff_timeout_ms;
	u64 low_water;
	u32 cache_blocks;
	u32 bits_blocks;
};

/**
 * struct cowp_fast - the part of an engine that any thread may use (fast.h)
 * @gate:	of the live volume
 * @bits:	preserved bits
 * @epoch:	what to test them with; changes only while the gate is shut and idle
 * @seqs:	sequence counts
 * @lost:	raised when the snapshots are given up: compared by snapshot reads
 *		like a sequence count
 * @readers:	snapshot reads, from before the lookup until the data is there:
 *		what they may look at is not reused
 */
struct cowp_fast {
	struct cowp_gate gate;
	struct cowp_bits bits;
	u32 epoch;
	struct cowp_seqs seqs;
	u32 lost;
	struct cowp_count readers;
};

/* Something in the engine that waits for a block of the index; the engine's. */
struct cowp_wait {
	struct list_head node;
	void (*resume)(struct cowp_engine *eng, struct cowp_wait *wait);
	int error;
};

/*
 * How far a search in the index has come, kept across the waits for blocks, so
 * that each block that comes is a step forward; the engine's.
 */
struct cowp_search {
	u64 generation;
	u32 run;
	u32 level;
	u32 index;
	bool descending;
	bool next_leaf;
	bool found;
	u64 best_key;
	u64 best_location;
	u32 best_crc;
};

/**
 * struct cowp_waiter - a write that may need chunks preserved
 * @node:	the engine's
 * @chunk:	first chunk
 * @count:	chunks, at most COWP_WRITE_CHUNKS
 * @done:	the engine's: chunks looked at
 * @batch:	the engine's: the last that one of them is in
 *
 * Lives in the caller's per-bio data from cowp_engine_write() to
 * port_write_done().
 */
struct cowp_waiter {
	struct list_head node;
	u64 chunk;
	u32 count;
	u32 done;
	u64 batch;
};

/* Chunks that one write may need; the shell splits longer ones. */
#define COWP_WRITE_CHUNKS	256U

enum cowp_where {
	COWP_IN_LIVE,		/* not preserved: read the live device, then compare the sums */
	COWP_IN_DIFF,		/* at @sector of the diff device */
	COWP_IN_DIFF_BAD,	/* likewise, with a bad map in the block behind the chunk */
};

/**
 * struct cowp_found - where a chunk of a snapshot is
 * @where:	enum cowp_where
 * @crc:	COWP_IN_DIFF*: what cowp_chunk_crc() of the content must be
 * @sector:	on the diff device
 * @key:	COWP_IN_DIFF_BAD: what the bad map must carry
 */
struct cowp_found {
	u32 where;
	u32 crc;
	u64 sector;
	u64 key;
};

#define COWP_LOOKUP_CHUNKS	16U

/**
 * struct cowp_lookup - a question for the place of a snapshot's chunks
 * @wait:	the engine's
 * @search:	likewise
 * @snapshot:	id
 * @chunk:	first chunk
 * @count:	in: how many, COWP_LOOKUP_CHUNKS at most
 * @answered:	out: how many of @found are filled
 * @error:	out: 0; -ESTALE the snapshot is given up or gone; -EIO the index
 *		cannot be read
 * @found:	out
 *
 * The caller has entered cowp_fast.readers and, for chunks that may be found
 * in the live device, sampled the sequence counts and @lost before.
 */
struct cowp_lookup {
	struct cowp_wait wait;
	struct cowp_search search;
	u32 snapshot;
	u64 chunk;
	u32 count;
	u32 answered;
	int error;
	struct cowp_found found[COWP_LOOKUP_CHUNKS];
};

enum cowp_msg_op {
	COWP_MSG_CREATE,	/* @label in, @id out */
	COWP_MSG_DELETE,	/* @id in; the shell has seen that nobody has it open */
	COWP_MSG_PROTECT,
	COWP_MSG_NOPROTECT,
	COWP_MSG_RESET,		/* @flag: force */
	COWP_MSG_CLEAR,		/* @flag: accept_unreadable */
	COWP_MSG_GROW,
	COWP_MSG_CHECKPOINT,
	COWP_MSG_CLOSE,		/* clean checkpoint; nothing is written afterwards */
};

/**
 * struct cowp_msg - a message
 * @node:	the engine's
 * @op:		enum cowp_msg_op
 * @flag:	see there
 * @id:		snapshot id
 * @label:	of a new snapshot
 * @deadline:	engine time at which the engine gives up waiting, with -ETIMEDOUT;
 *		0: never.  What has been written by then stands.
 *
 * The caller keeps it until port_msg_done().
 */
struct cowp_msg {
	struct list_head node;
	u8 op;
	bool flag;
	u32 id;
	char label[COWP_LABEL_BYTES];
	u64 deadline;
};

/**
 * struct cowp_snapshot - a snapshot in the table
 * @id:		the epoch that it opened
 * @deleting:	on its way out: listed, not to be opened
 * @leaving:	not in the manifest being written
 * @created:	seconds since 1970
 * @live_sectors: size of the live volume then
 * @label:	zero-padded, without white space
 */
struct cowp_snapshot {
	u32 id;
	bool deleting;
	bool leaving;
	u64 created;
	u64 live_sectors;
	char label[COWP_LABEL_BYTES];
};

/**
 * struct cowp_status - the status line's figures
 * @mode:	enum cowp_mode
 * @state:	enum cowp_state
 * @fault:	enum cowp_fault
 * @error:	-errno of the fault
 * @detail:	what is wrong with the area, in words, or NULL
 * @low_water:	fewer chunks are free than cowp_config.low_water
 * @marked:	state lost: the mark is on the disk
 * @snapshots:	how many
 * @oldest:	id, 0 without snapshots
 * @newest:	likewise
 * @used_chunks: of @total_chunks
 * @total_chunks: that the area has room for
 * @memory_used: bytes that the engine has
 * @memory_limit: bytes that it and the shell can have at most (budget.h)
 * @preserved:	chunks copied since activation or stats_reset, as all below
 * @batches:	that they were copied in
 * @diff_writes: writes to the diff device that carry data
 * @diff_flushes: flushes of it
 * @diff_bytes:	written to it
 *
 * Written by the worker; any context may read it, each figure for itself.
 */
struct cowp_status {
	u32 mode;
	u32 state;
	u32 fault;
	int error;
	const char *detail;
	bool low_water;
	bool marked;
	u32 snapshots;
	u32 oldest;
	u32 newest;
	u64 used_chunks;
	u64 total_chunks;
	u64 memory_used;
	u64 memory_limit;
	u64 preserved;
	u64 batches;
	u64 diff_writes;
	u64 diff_flushes;
	u64 diff_bytes;
};

/* What the fixed blocks of a diff device say, before anything is activated. */
enum cowp_area {
	COWP_AREA_UNREADABLE,	/* none could be read */
	COWP_AREA_BLANK,	/* what could be read is zero */
	COWP_AREA_FOREIGN,	/* neither blank nor with a magic number of ours */
	COWP_AREA_CORRUPT,	/* a magic number of ours, but no valid root */
	COWP_AREA_UNSUPPORTED,	/* ours, with a version or features unknown here */
	COWP_AREA_OURS,		/* at least one valid root */
};

/**
 * struct cowp_area_info - a summary of an area's newest valid root and state
 * @uuid:	COWP_AREA_OURS and, where any block has one, CORRUPT
 * @chunk_blocks: the rest: COWP_AREA_OURS only
 * @live_sectors: size of the live volume as recorded
 * @area_blocks: size of the area
 * @generation:	of the root
 * @snapshots:	the root may have snapshots that are not given up
 */
struct cowp_area_info {
	u8 uuid[16];
	u32 chunk_blocks;
	u64 live_sectors;
	u64 area_blocks;
	u64 generation;
	bool snapshots;
};

/**
 * cowp_area_probe - look at the fixed blocks of a diff device
 * @root:	blocks COWP_ROOT_BLOCK(), NULL where one cannot be read
 * @state:	blocks COWP_STATE_BLOCK(), likewise
 * @device_blocks: size of the device
 * @info:	out
 *
 * Any context, without an engine: a table's constructor asks.
 */
enum cowp_area cowp_area_probe(const void *const root[COWP_SLOTS],
			       const void *const state[COWP_SLOTS],
			       u64 device_blocks, struct cowp_area_info *info);

/**
 * cowp_area_fits - can a device be formatted?
 * @chunk_blocks: blocks a chunk
 * @device_blocks: size of the device
 *
 * Any context.  Returns NULL, or why not.
 */
const char *cowp_area_fits(u32 chunk_blocks, u64 device_blocks);

/**
 * cowp_engine_new - make an engine
 * @eng:	out
 * @cfg:	copied
 * @port:	the shell's object
 *
 * May sleep: all memory but that which depends on the area's size is allocated
 * here; that, during recovery and growth by the worker, before it is needed.
 * Returns 0, -ENOMEM or -EINVAL.
 */
int cowp_engine_new(struct cowp_engine **eng, const struct cowp_config *cfg,
		    struct cowp_port *port);

/**
 * cowp_engine_free - take an engine apart
 * @eng:	the engine
 *
 * May sleep.  No io may be in flight, no waiter, lookup or message be owned by
 * the engine: close it first, or cancel it.
 */
void cowp_engine_free(struct cowp_engine *eng);

/**
 * cowp_engine_cancel - hand everything back
 * @eng:	the engine
 *
 * Waiters come back with COWP_AGAIN, lookups with -ESTALE, messages with
 * -ESHUTDOWN; nothing is submitted from now on.
 */
void cowp_engine_cancel(struct cowp_engine *eng);

struct cowp_fast *cowp_engine_fast(struct cowp_engine *eng);		/* any context */
const struct cowp_status *cowp_engine_status(struct cowp_engine *eng);	/* any context */
const u8 *cowp_engine_uuid(struct cowp_engine *eng);			/* any context */

/**
 * cowp_engine_snapshots - the snapshot table, oldest first
 * @eng:	the engine
 * @table:	out
 *
 * Returns the number of entries; they stay until the engine's next call.
 */
u32 cowp_engine_snapshots(struct cowp_engine *eng, const struct cowp_snapshot **table);

/* First resume.  Recovery starts; until it ends the gate is blocked. */
void cowp_engine_start(struct cowp_engine *eng);

/* The diff device arrived, was exchanged or went (port_sectors() tells). */
void cowp_engine_diff_changed(struct cowp_engine *eng);

/* The live device has a new size, taken from a table. */
void cowp_engine_live_resized(struct cowp_engine *eng, u64 sectors);

/**
 * cowp_engine_tune - another table has been resumed: take its limits over
 * @eng:	the engine
 * @cfg:	of which the waits, the time-out and the low-water mark are taken
 *
 * A wait that has begun goes on counting from where it began.
 */
void cowp_engine_tune(struct cowp_engine *eng, const struct cowp_config *cfg);

void cowp_engine_write(struct cowp_engine *eng, struct cowp_waiter *w);

/* Take a waiter back (a noflush suspend).  Copies under way go on. */
void cowp_engine_write_cancel(struct cowp_engine *eng, struct cowp_waiter *w);

void cowp_engine_lookup(struct cowp_engine *eng, struct cowp_lookup *l);
void cowp_engine_message(struct cowp_engine *eng, struct cowp_msg *m);

/* Give a message back with -EINTR if the engine still waits; false if it was done. */
bool cowp_engine_message_cancel(struct cowp_engine *eng, struct cowp_msg *m);

void cowp_engine_io_done(struct cowp_engine *eng, struct cowp_io *io);

/**
 * cowp_engine_run - go on
 * @eng:	the engine
 * @now:	milliseconds, monotonic
 *
 * Returns the time of the next call even if nothing happens, ~0 for never.
 */
u64 cowp_engine_run(struct cowp_engine *eng, u64 now);

/**
 * cowp_chunk_crc - checksum of a chunk from those of its blocks
 * @csum:	crc32c of each block
 * @blocks:	how many
 *
 * Any context.  With one block a chunk it is the block's own.
 */
u32 cowp_chunk_crc(const u32 *csum, u32 blocks);

/**
 * cowp_chunk_crc_next - the same, block by block
 * @crc:	of the blocks before it, ~0 for none
 * @csum:	crc32c of a block
 * @blocks:	how many the chunk has
 *
 * Any context.
 */
u32 cowp_chunk_crc_next(u32 crc, u32 csum, u32 blocks);

/* For messages and status: words of cowprotect_words.h.  Any context. */
extern const char * const cowp_mode_words[COWP_MODE_COUNT];
extern const char * const cowp_state_words[COWP_STATE_COUNT];
extern const char * const cowp_fault_words[COWP_FAULT_COUNT];
extern const char * const cowp_fault_remedies[COWP_FAULT_COUNT];

#endif /* COWP_ENGINE_H */
