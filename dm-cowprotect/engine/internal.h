/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The engine's own structures.  A reader's way through them:
 *
 *	engine.c	the round in which every part goes on
 *	protect.c	what is to be done about what happened: decided ...
 *	react.c		... and carried out
 *	messages.c	what the operator asks for
 *	proof.c		what clear tries before it lets anything go
 *	submit.c	memory and I/O
 *	budget.c	how much memory, before there is any
 *	tables.c	that of it which the area's size decides
 *
 *	preserved.c	which chunks are preserved already
 *	copy.c		old chunks on their way
 *	log.c, lane.c	batches of them, and the summaries that say what is in them
 *	segment.c	where they go: free, listed, open, closed
 *	discard.c	on the way from closed to free
 *	memtable.c, run.c, cache.c, index.c	how they are found again
 *	writer.c, flush.c	how the index is written
 *	merge.c, move.c, reclaim.c	how it is kept small, and room found
 *	manifest.c, body.c	checkpoints
 *	state.c		the state blocks: mode, lost mark, session
 *	snapshot.c	creation and deletion
 *	recovery.c, replay.c	all of it back from the disk
 */
#ifndef COWP_INTERNAL_H
#define COWP_INTERNAL_H

#include "engine.h"
#include "format.h"
#include "memtable.h"
#include "protect.h"

/* Entries of each memtable; a run of the largest is 1.6 MB. */
#define COWP_MEMTABLE_MIN	1024U
#ifndef COWP_MEMTABLE_MAX		/* the simulator fills many small ones */
#define COWP_MEMTABLE_MAX	65536U
#endif

#define COWP_BITS_BLOCKS	2048U	/* frames of preserved bits: 8 MiB */

/* ---- segments (segment.c) ---- */

/* Kinds in memory beyond those on the disk. */
enum {
	COWP_SEGMENT_LIMBO = COWP_SEGMENT_KINDS, /* free on the disk; readers may still be there */
	COWP_SEGMENT_LIMBO_WAIT,		 /* likewise, of the readers' old parity */
	COWP_SEGMENT_DISCARD,			 /* out of limbo, to be discarded (discard.c) */
	COWP_SEGMENT_DISCARDING,		 /* being so */
};

/**
 * struct cowp_segment - an entry of the segment table
 * @incarnation: as in struct cowp_segment_rec
 * @max_epoch:	likewise
 * @live:	likewise
 * @change:	of @live, by the step of a merge
 * @kind:	likewise, or COWP_SEGMENT_LIMBO*, COWP_SEGMENT_DISCARD*
 * @freeing:	free in the manifest that is being written
 * @hung:	a write to it was given up unseen: not reused by this activation
 * @emptying:	its chunks are moved away by the pass under way
 * @pinned:	not that: one of its chunks does not match its checksum
 */
struct cowp_segment {
	u32 incarnation;
	u32 max_epoch;
	u32 live;
	s32 change;
	u8 kind;
	bool freeing : 1;
	bool hung : 1;
	bool emptying : 1;
	bool pinned : 1;
};

enum cowp_listed_state {
	COWP_LISTED_NEW,	/* on the list of the manifest being written only */
	COWP_LISTED_READY,	/* may be opened */
	COWP_LISTED_OPEN,
	COWP_LISTED_CLOSED,
};

/**
 * struct cowp_listed - a segment on the open list
 * @node:	in cowp_segments.listed, in the order of opening
 * @segment:	number
 * @incarnation: that it has when opened
 * @state:	enum cowp_listed_state
 * @leaving:	not on the list of the manifest being written
 * @header_written: its header is on the disk or part of a batch under way
 * @slots_used:	data slots given to copies
 * @entries_left: summary entries that can be relied on
 * @slots_placed: data slots whose place is settled
 * @homes_used:	homes given to lanes
 * @uncomposed:	batches that have yet to write their summaries
 * @users:	batches, lanes and writes that still need the place
 * @max_epoch:	of a chunk in it
 * @last_batch:	last batch with something in it
 * @summaries:	recovery found some in it
 */
struct cowp_listed {
	struct list_head node;
	u32 segment;
	u32 incarnation;
	u8 state;
	bool leaving;
	bool header_written;
	u32 slots_used;
	u32 slots_placed;
	u32 entries_left;
	u32 homes_used;
	u32 uncomposed;
	u32 users;
	u32 max_epoch;
	u64 last_batch;
	bool summaries;
};

/**
 * struct cowp_segments - the segment table and the open list
 * @table:	of @capacity entries
 * @capacity:	that there is room for
 * @count:	number of segments
 * @free:	of kind FREE
 * @limbo:	of both limbo kinds
 * @discards:	of both discard kinds
 * @discards_waiting: of the first
 * @next_discard: where the search for one starts
 * @balance:	became free, less those taken for runs and moved chunks, so far
 * @next:	where the search for a free one starts
 * @limbo_waits: there are some of kind LIMBO_WAIT
 * @limbo_parity: of the readers that those of kind LIMBO_WAIT wait for
 * @reserve:	segments that copies leave for runs (see segment.c)
 * @reserve_flush: of those, what merges leave for memtables
 * @reserve_merge: what moving chunks leaves for both
 * @target:	unopened segments that a manifest should list
 * @ready:	listed ones that may be opened
 * @listed:	the open list
 * @unused:	idle struct cowp_listed of @pool
 * @listed_count: entries of @listed
 * @pool:	all of them
 */
struct cowp_segments {
	struct cowp_segment *table;
	u32 capacity;
	u32 count;
	u32 free;
	u32 limbo;
	bool limbo_waits;
	u32 limbo_parity;
	u32 discards;
	u32 discards_waiting;
	u32 next_discard;
	s64 balance;
	u32 next;
	u32 reserve;
	u32 reserve_flush;
	u32 reserve_merge;
	u32 target;
	u32 ready;
	struct list_head listed;
	struct list_head unused;
	u32 listed_count;
	struct cowp_listed *pool;
};

#define COWP_DISCARDS	4U	/* at once */

/**
 * struct cowp_discard - of a segment
 * @io:		of a piece
 * @segment:	number
 * @done:	blocks of it, with those of the piece
 * @busy:	the end of @io was not seen
 */
struct cowp_discard {
	struct cowp_io *io;
	u32 segment;
	u32 done;
	bool busy;
};

/* ---- the log (copy.c, lane.c, log.c) ---- */

enum cowp_batch_state {
	COWP_BATCH_IDLE,
	COWP_BATCH_GATHER,	/* takes copies, or is full and waits to be started */
	COWP_BATCH_READ,	/* reading old chunks */
	COWP_BATCH_SALVAGE,	/* reading what is readable of a chunk, sector by sector */
	COWP_BATCH_READY,	/* waits for its turn and a lane */
	COWP_BATCH_WRITE,
	COWP_BATCH_FLUSH_WAIT,	/* written; waits for the next flush */
	COWP_BATCH_FLUSH,
	COWP_BATCH_DURABLE,	/* waits for those before it */
	COWP_BATCH_FAILED,	/* cancelled; waits for I/O that is still out */
};

/**
 * struct cowp_copy - a chunk on its way to the diff area
 * @node:	in its batch, or in the free list
 * @hash:	in cowp_log.hash
 * @batch:	its batch
 * @frame:	page of its preserved bit, pinned
 * @chunk:	number
 * @sectors:	that it has on the live device
 * @blocks:	the buffer
 * @csum:	checksums of its blocks
 * @slot:	data slot
 * @pos:	position of its summary entry
 * @salvage:	the read failed
 * @bad:	has unreadable sectors: the slot behind takes the bad map
 * @io:		for the read of this chunk and of those behind it
 * @io_csum:	their checksums as they come
 * @reads:	how many copies from this one on @io reads
 */
struct cowp_copy {
	struct list_head node;
	struct list_head hash;
	struct cowp_batch *batch;
	struct cowp_frame *frame;
	u64 chunk;
	u32 sectors;
	void **blocks;
	u32 *csum;
	u32 slot;
	u32 pos;
	bool salvage;
	bool bad;
	struct cowp_io *io;
	u32 *io_csum;
	u32 reads;
};

#define COWP_DATA_IOS		4U
#define COWP_DATA_IO_BLOCKS	256U

/**
 * struct cowp_batch - copies that become durable together
 * @node:	in cowp_log.batches, in the order of numbers
 * @number:	never repeats
 * @epoch:	that its copies belong to
 * @state:	enum cowp_batch_state
 * @need_flush:	its writes are durable only after a flush
 * @error:	the first one
 * @outstanding: I/O out
 * @copies:	of it
 * @count:	how many
 * @unread:	the first one whose read was not started
 * @came:	a read has come back: it takes no more copies
 * @held_until:	engine time until which it waits for more, 0 if it does not
 * @segment:	where they go
 * @first_slot:	of @segment, when composed
 * @lane:	when composed
 * @waiters:	writes whose last chunk is in this batch
 * @writers:	how many there were
 * @create:	the snapshot whose epoch record this batch is, or NULL
 * @data_io:	for the data
 * @header_io:	for the segment's header, if it is the first batch there
 * @map:	bad map of its one copy that needs it
 * @salvaging:	the copy being read sector by sector
 * @salvage_sector: of it
 */
struct cowp_batch {
	struct list_head node;
	u64 number;
	u32 epoch;
	u8 state;
	bool need_flush;
	int error;
	u32 outstanding;
	struct list_head copies;
	u32 count;
	struct cowp_copy *unread;
	bool came;
	u64 held_until;
	struct cowp_listed *segment;
	u32 first_slot;
	struct cowp_lane *lane;
	struct list_head waiters;
	u32 writers;
	struct cowp_create *create;
	struct cowp_io *data_io[COWP_DATA_IOS];
	struct cowp_io *header_io;
	void *map;
	struct cowp_copy *salvaging;
	u32 salvage_sector;
};

#define COWP_NO_RING		(~0U)

/**
 * struct cowp_lane - an open summary block
 * @busy:	a version is being written
 * @segment:	of the block; NULL: none is open
 * @home:	its home
 * @count:	entries
 * @base_batch:	what its entries' batch numbers count from
 * @ring:	place in the ring of the newest durable version, or COWP_NO_RING
 * @ring_next:	place of the version being written, or COWP_NO_RING
 * @retiring:	place of the newest durable version of a block that is going home
 * @retiring_from: the segment of that place
 * @spare:	the write of @ring_next, if no batch waits for it
 * @image:	the entries, as in a summary block
 */
struct cowp_lane {
	bool busy;
	struct cowp_listed *segment;
	u32 home;
	u32 count;
	u64 base_batch;
	u32 ring;
	u32 ring_next;
	u32 retiring;
	struct cowp_listed *retiring_from;
	struct cowp_io *spare;
	void *image;
};

#define COWP_BATCHES		(COWP_LANES + 2)
#ifndef COWP_COPY_BLOCKS		/* the simulator makes buffers scarce */
#define COWP_BATCH_BLOCKS	512U	/* of data, or one chunk */
#define COWP_COPY_BLOCKS	1024U	/* of copy buffers, or four chunks */
#endif
#define COWP_READ_BLOCKS	32U	/* that one read of old chunks merges, or one chunk */
#define COWP_SUMMARY_IOS	16U
#define COWP_BATCH_PARTS	8U	/* summary blocks of one batch, at most */
#define COWP_COPY_HASH		256U

struct cowp_log {
	struct cowp_copy *copies;
	u32 copy_count;
	struct list_head free_copies;
	struct list_head hash[COWP_COPY_HASH];
	struct cowp_batch batch[COWP_BATCHES];
	struct list_head batches;
	struct cowp_batch *gather;
	u32 batch_chunks;		/* most chunks of a batch */
	u32 good_chunks;		/* a batch of so many waits for no more */
	struct cowp_lane lane[COWP_LANES];
	struct cowp_io *summary_io[COWP_SUMMARY_IOS];
	struct list_head summary_ios;	/* idle ones */
	u32 summary_idle;
	struct cowp_io *flush_io;
	struct cowp_io *salvage_io;
	void *zero_block;
	struct cowp_listed *open;	/* where the next batch goes */
	u64 last;			/* last number given out */
	u64 released;			/* all up to here are in the index, or void */
	u64 watermark;			/* last one written */
	u64 version;			/* last version of a summary block */
	u64 released_at;		/* when */
	bool gap;			/* numbers were lost: a manifest must void them first */
	struct list_head pending;	/* writes that wait for resources */
};

/* ---- the index (cache.c, run.c, index.c) ---- */

struct cowp_cached {
	struct list_head lru;
	struct list_head hash;
	u64 block;
	u32 incarnation;
	bool valid;
	bool loading;
	void *data;
	struct cowp_io *io;
	struct list_head waits;
};

#define COWP_CACHE_HASH		128U

struct cowp_cache {
	struct cowp_cached *entries;
	u32 count;
	struct list_head lru;		/* least recently used first */
	struct list_head hash[COWP_CACHE_HASH];
	struct list_head starved;	/* waits for an entry that can be replaced */
};

/**
 * struct cowp_fragment - a tree of the index
 * @first_key:	of what counts: a merge may have raised it
 * @last_key:	of the last record
 * @block:	first of @blocks
 * @blocks:	of the tree, leaves first
 * @leaves:	how many
 * @records:	in the tree
 * @incarnation: of the segment
 * @min_epoch:	of a record
 * @max_epoch:	likewise
 * @run:	number of its run
 * @dropping:	not in the manifest being written
 * @unreadable:	a merge could not read its run
 */
struct cowp_fragment {
	u64 first_key;
	u64 last_key;
	u64 block;
	u32 blocks;
	u32 leaves;
	u32 records;
	u32 incarnation;
	u32 min_epoch;
	u32 max_epoch;
	u32 run;
	bool dropping;
	bool unreadable;
};

/**
 * struct cowp_run - fragments with disjoint ranges of keys
 * @number:	as in its fragments
 * @first:	its first one on the list
 * @count:	how many
 * @max_epoch:	of a record
 * @records:	in its fragments, with those that count no more
 * @unreadable:	one of its fragments is
 */
struct cowp_run {
	u32 number;
	u32 first;
	u32 count;
	u32 max_epoch;
	u64 records;
	bool unreadable;
};

/* Fragments that one memtable can become, at most. */
#define COWP_RUN_FRAGMENTS	16U

#ifndef COWP_RUN_WINDOW
#define COWP_RUN_WINDOW		32U	/* blocks of one write */
#endif

enum cowp_writer_state {
	COWP_WRITER_IDLE,
	COWP_WRITER_LEAVES,
	COWP_WRITER_NODES,
};

/**
 * struct cowp_writer - writes fragments (writer.c)
 * @state:	enum cowp_writer_state
 * @fua:	its writes are durable when they end
 * @hung:	a write was given up and may yet land
 * @error:	of a write
 * @segment:	where the next fragment goes, or COWP_NO_SEGMENT
 * @used:	blocks of it
 * @leave:	segments that are not for this writer
 * @mark_segment: where to go back to
 * @mark_used:	likewise
 * @taken:	segments taken since the mark
 * @taken_count: how many
 * @taken_used:	how many of them this attempt has used
 * @frag:	the fragment being written; when finished, as it was written
 * @room:	records that it can have
 * @leaf:	the open leaf, in @filling
 * @block:	next block's number
 * @keys:	first keys of the level below
 * @keys_capacity: leaves of a fragment, at most
 * @level:	being written
 * @below:	blocks of the level below
 * @index:	next block of the level
 * @io:		the windows
 * @filling:	the one being filled, or NULL
 * @outstanding: writes out
 */
struct cowp_writer {
	u8 state;
	bool fua;
	bool hung;
	int error;
	u32 segment;
	u32 used;
	u32 leave;
	u32 mark_segment;
	u32 mark_used;
	u32 taken[COWP_RUN_FRAGMENTS];
	u32 taken_count;
	u32 taken_used;
	struct cowp_fragment frag;
	u32 room;
	struct cowp_run_block *leaf;
	u64 block;
	u64 *keys;
	u32 keys_capacity;
	u32 level;
	u32 below;
	u32 index;
	struct cowp_io *io[2];
	struct cowp_io *filling;
	u32 outstanding;
};

/**
 * struct cowp_flush - a frozen memtable on its way to the disk (flush.c)
 * @out:	writes it
 * @run:	numbers of the runs: of the frozen memtable, and of the other one
 * @second:	it is the other one's turn
 * @counted:	live counts of the table are in
 * @done:	written, and counted
 * @durable:	a root may refer to it: not to be written again
 * @oldest:	records of older epochs are left out
 * @left:	records of the memtable, to be written
 * @next:	the next one
 * @frag:	what was written, not published yet
 * @frags:	how many
 * @error:	why it ended
 */
struct cowp_flush {
	struct cowp_writer out;
	u32 run[2];
	bool second;
	bool counted[2];
	bool done;
	bool durable;
	u32 oldest;
	u32 left;
	const struct cowp_node *next;
	struct cowp_fragment frag[COWP_RUN_FRAGMENTS];
	u32 frags;
	int error;
};

#define COWP_NO_SEGMENT		(~0U)

#ifndef COWP_MERGE_WINDOW
#define COWP_MERGE_WINDOW	4U	/* leaves of one read */
#define COWP_MERGE_LEAVES	8192U	/* of a fragment, at most */
#define COWP_MERGE_ROUND	1024U	/* records that are merged in one go */
#define COWP_MERGE_STEP		4000000U /* records of a step, at most */
#endif

enum cowp_cursor_state {
	COWP_CURSOR_NEXT,	/* needs the next fragment */
	COWP_CURSOR_SEEKING,
	COWP_CURSOR_READING,
	COWP_CURSOR_READ,	/* the window is there, @at is its next record */
	COWP_CURSOR_RECORD,	/* @rec is the next record */
	COWP_CURSOR_END,
};

/**
 * struct cowp_cursor - an input of a merge
 * @state:	enum cowp_cursor_state
 * @run:	number of the run
 * @key:	what was taken lies below
 * @frag:	copy of the fragment being read
 * @leaf:	first leaf of the window
 * @leaves:	of the window
 * @at_leaf:	leaf of the next record, in the window
 * @at:		the record in it
 * @first:	the fragment's first record was not found yet
 * @rec:	the next record
 * @io:		reads the window
 * @wait:	for a block on the way to the first leaf
 * @search:	likewise
 */
struct cowp_cursor {
	u8 state;
	u32 run;
	u64 key;
	struct cowp_fragment frag;
	u32 leaf;
	u32 leaves;
	u32 at_leaf;
	u32 at;
	bool first;
	struct cowp_rec rec;
	struct cowp_io *io;
	struct cowp_wait wait;
	struct cowp_search search;
};

#ifndef COWP_MOVE_BLOCKS
#define COWP_MOVE_BLOCKS	64U	/* moved together, or one chunk */
#endif

struct cowp_move {
	struct cowp_rec from;
	u32 slot;			/* where to */
	struct cowp_io *io;
};

enum cowp_mover_state {
	COWP_MOVER_GATHER,
	COWP_MOVER_READ,
	COWP_MOVER_WRITE,
};

/**
 * struct cowp_mover - moves chunks to segments of their own (move.c)
 * @state:	enum cowp_mover_state
 * @fua:	its writes are durable when they end
 * @hung:	one of its I/Os was given up
 * @error:	of a write, or -EBADMSG: a chunk could not be read
 * @segment:	the open one, or COWP_NO_SEGMENT
 * @slot:	next one
 * @home:	the open summary block
 * @entries:	in it
 * @mark_segment: where to go back to
 * @mark_slot:	likewise
 * @mark_home:	likewise
 * @move:	what is being moved, in slots side by side
 * @count:	how many
 * @max:	room for so many
 * @data_io:	writes them
 * @summary_io:	has and writes the open summary block
 * @header_io:	writes the segment's header
 * @outstanding: I/O out
 */
struct cowp_mover {
	u8 state;
	bool fua;
	bool hung;
	int error;
	u32 segment;
	u32 slot;
	u32 home;
	u32 entries;
	u32 mark_segment;
	u32 mark_slot;
	u32 mark_home;
	struct cowp_move *move;
	u32 count;
	u32 max;
	struct cowp_io *data_io;
	struct cowp_io *summary_io;
	struct cowp_io *header_io;
	u32 outstanding;
};

enum cowp_merge_state {
	COWP_MERGE_IDLE,
	COWP_MERGE_WORK,	/* reads and writes a step */
	COWP_MERGE_FINISH,	/* has all of it, and waits for writes */
	COWP_MERGE_FLUSH,
	COWP_MERGE_DONE,	/* durable: in every manifest from now on */
	COWP_MERGE_DRAIN,	/* given up, and waits for what is out */
};

/**
 * struct cowp_merge - runs that become one (merge.c)
 * @state:	enum cowp_merge_state
 * @run:	number of the one
 * @inputs:	how many
 * @cursor:	for each
 * @out:	writes the step's fragment
 * @mover:	moves chunks on the way
 * @have_frag:	the step has one
 * @flush:	and it needs a flush
 * @flush_io:	that
 * @composed:	the manifest being written has the step
 * @forget:	given up with all that was written
 * @next_key:	all below is in the merged run
 * @prev:	the last record's key
 * @left:	records to come, at most
 * @step_records: that the step went through so far
 * @step_dropped: of these, what nobody needs
 * @step_moved:	of these, whose chunks are moved
 * @retry_at:	not before
 */
struct cowp_merge {
	u8 state;
	u32 run;
	u32 inputs;
	struct cowp_cursor cursor[COWP_MAX_RUNS];
	struct cowp_writer out;
	struct cowp_mover mover;
	bool have_frag;
	bool flush;
	struct cowp_io *flush_io;
	bool composed;
	bool forget;
	u64 next_key;
	u64 prev;
	u64 left;
	u32 step_records;
	u32 step_dropped;
	u32 step_moved;
	u64 retry_at;
};

#define COWP_FAN_IN		8U	/* runs of one size before they are merged */
#define COWP_MAX_TIERS		12U

enum cowp_pass_stage {
	COWP_PASS_NONE,
	COWP_PASS_OLD,		/* all older runs become one */
	COWP_PASS_YOUNG,	/* and those with records of the current epoch */
};

/* Runs to be merged. */
struct cowp_choice {
	u32 run[COWP_MAX_RUNS];
	u32 count;
};

/**
 * struct cowp_reclaim - what is merged, and when (reclaim.c)
 * @dead:	a snapshot was deleted since the last pass began
 * @stage:	of the pass: enum cowp_pass_stage
 * @serving:	the merge is the pass's
 * @thorough:	the pass is made because room runs short
 * @emptying:	segments that the pass empties
 * @look:	the runs, or who needs them, are not what they were when it chose
 * @changed:	since the pass began there is more to gain
 * @vain:	the last pass gained nothing, nor would another one
 * @flushed:	records that came from memory since the pass began
 * @balance:	of struct cowp_segments, when the pass began
 * @failures:	merges given up in a row
 * @choice:	room to choose in
 */
struct cowp_reclaim {
	bool dead;
	u8 stage;
	bool serving;
	bool thorough;
	u32 emptying;
	bool look;
	bool changed;
	bool vain;
	u64 flushed;
	s64 balance;
	u32 failures;
	struct cowp_choice *choice;
};

struct cowp_index {
	struct cowp_memtable table[2];
	u32 active;			/* which table takes records */
	bool frozen;			/* the other one waits to become a run */
	bool both;			/* replay: the active one becomes a run with it */
	bool dropping;			/* all of the runs, with the next manifest */
	u64 frozen_batch;		/* it holds everything up to here */
	u32 reserved;			/* entries promised to copies under way */
	u32 capacity;
	struct cowp_fragment *fragments; /* by run and key */
	u32 fragment_count;
	struct cowp_run runs[COWP_MAX_RUNS];
	u32 run_count;
	u32 next_run;
	u64 generation;			/* raised when sources change places */
	struct cowp_flush flush;
	struct cowp_merge merge;
	struct cowp_reclaim reclaim;
};

/* ---- preserved bits (preserved.c) ---- */

#define COWP_LOADERS		4U

struct cowp_loader {
	struct cowp_wait wait;
	struct cowp_frame *frame;
	u64 page;
	u32 epoch;
	u64 key;
	struct cowp_search search;
};

/* ---- checkpoints and state (manifest.c, state.c) ---- */

/**
 * struct cowp_put - one block to a fixed place, durable before the callback
 * @io:		the write
 * @flush:	what follows it where the device has no FUA
 * @busy:	not to be used
 * @then:	the callback; 0 or -errno
 *
 * While the completion of a write there was not seen it stays @busy: a fixed
 * place cannot be written elsewhere.
 */
struct cowp_put {
	struct cowp_io *io;
	struct cowp_io *flush;
	bool busy;
	void (*then)(struct cowp_engine *eng, int error);
};

/**
 * struct cowp_state_request - a change of the state blocks
 * @node:	the writer's
 * @fields:	COWP_SET_* of what to change
 * @generation:	new value
 * @session:	likewise
 * @mode:	likewise
 * @lost:	likewise
 * @then:	called when both copies are durable, or with an error
 */
struct cowp_state_request {
	struct list_head node;
	u32 fields;
	u64 generation;
	u32 session;
	u8 mode;
	u8 lost;
	void (*then)(struct cowp_engine *eng, int error);
};

#define COWP_SET_GENERATION	1U
#define COWP_SET_SESSION	2U
#define COWP_SET_MODE		4U
#define COWP_SET_LOST		8U

/**
 * struct cowp_state_writer - writes the state blocks, one change at a time
 * @known:	a valid copy with the right uuid was read: never stamp a stranger
 * @now:	what is durable
 * @next:	what is being written
 * @sequence:	last one used
 * @copy:	which is being written
 * @busy:	a change is under way
 * @put:	writes the copy
 * @queued:	requests for the next change
 * @serving:	requests of this one
 */
struct cowp_state_writer {
	bool known;
	struct cowp_area_state now;
	struct cowp_area_state next;
	u64 sequence;
	u32 copy;
	bool busy;
	struct cowp_put put;
	struct list_head queued;
	struct list_head serving;
};

#define COWP_BODY_WINDOW	32U	/* blocks of one write of the body */

enum cowp_checkpoint_step {
	COWP_CP_IDLE,
	COWP_CP_RUN,		/* the frozen memtable */
	COWP_CP_BODY,
	COWP_CP_FLUSH,
	COWP_CP_LOOK,		/* at the state blocks: is the area still ours? */
	COWP_CP_ROOT,
	COWP_CP_STATE,		/* the generation, in the state blocks */
};

/**
 * struct cowp_checkpoint - writes manifests
 * @step:	enum cowp_checkpoint_step
 * @wanted:	one is to be started
 * @want_full:	with the memtable written out as a run
 * @want_clean:	marked as the end of an activation
 * @want_empty:	without snapshots and index (reset)
 * @full:	this one is
 * @clean:	likewise
 * @empty:	likewise
 * @again:	a memtable frozen earlier came first: one more for the active one
 * @slot:	where the newest manifest is whose root is durable
 * @generation:	last one composed
 * @body:	blocks for the largest body
 * @body_capacity: how many
 * @body_written: blocks of it that are submitted
 * @io:		for the body
 * @flush:	between the body and the root
 * @look:	reads a state block
 * @look_copy:	which
 * @look_then:	if the area is still ours alone
 * @root:	writes the root
 * @super:	of the manifest being written
 * @state:	raises the generation in the state blocks
 * @waiting:	struct cowp_msg for the next one
 * @serving:	struct cowp_msg for this one
 */
struct cowp_checkpoint {
	u8 step;
	bool wanted;
	bool want_full;
	bool want_clean;
	bool want_empty;
	bool full;
	bool clean;
	bool empty;
	bool again;
	u32 slot;
	u64 generation;
	void **body;
	u32 body_capacity;
	u32 body_written;
	struct cowp_io *io;
	struct cowp_io *flush;
	struct cowp_io *look;
	u32 look_copy;
	void (*look_then)(struct cowp_engine *eng);
	struct cowp_put root;
	struct cowp_super super;
	struct cowp_state_request state;
	struct list_head waiting;
	struct list_head serving;
};

/* ---- snapshots (snapshot.c) ---- */

enum cowp_create_step {
	COWP_CREATE_IDLE,
	COWP_CREATE_DRAIN,		/* the gate is shut, writes are still in flight */
	COWP_CREATE_FLUSH,		/* the live device */
	COWP_CREATE_RECORD,		/* waits for a place in the log */
	COWP_CREATE_WRITING,		/* the epoch record is a batch */
};

struct cowp_create {
	struct list_head queue;		/* messages */
	u8 step;
	struct cowp_msg *msg;
	struct cowp_snapshot snapshot;
	struct cowp_io *flush;
	int error;
};

/* ---- clear's proof (proof.c) ---- */

enum cowp_proof_verdict {
	COWP_PROOF_OPEN,
	COWP_PROOF_GOOD,
	COWP_PROOF_AGAIN,
};

/**
 * struct cowp_proof - a copy that has to be made before clear lets anything go
 * @wanted:	the last fault was met by a copy
 * @running:	the log has @waiter, or had it until just now
 * @verdict:	enum cowp_proof_verdict
 * @chunk:	whose copy
 * @waiter:	for the log
 */
struct cowp_proof {
	bool wanted;
	bool running;
	u8 verdict;
	u64 chunk;
	struct cowp_waiter waiter;
};

/* ---- recovery (recovery.c) ---- */

struct cowp_recovery;

/* A given-up I/O came back after all: nobody waits for it any more. */
static inline bool cowp_io_late(const struct cowp_io *io)
{
	return io->abandoned && !io->in_flight;
}

/* ---- all of it ---- */

struct cowp_engine {
	struct cowp_port *port;
	struct cowp_config cfg;
	struct cowp_fast fast;
	struct cowp_status status;
	u64 now;
	bool cancelled;
	bool closed;

	bool again;			/* cowp_engine_run() has to go round once more */
	bool notify;			/* userspace has to be told */

	/* protection (react.c, messages.c) */
	u8 phase;
	bool mode_known;		/* it was read */
	bool mode_applied;		/* the table's word, once per object */
	bool accept_unreadable;
	bool formatting;		/* the session being started is of a new area */
	bool tables;			/* the manifest is in memory */
	bool loaded;			/* recovery is complete: the index can be trusted */
	bool waiting;
	u64 wait_ms;
	u64 wait_until;
	bool marking;
	u64 mark_retry;
	struct cowp_state_request mark;
	bool changing_mode;		/* @mode_change is under way */
	struct cowp_state_request mode_change;
	struct list_head decisions;	/* messages that change mode or phase */
	struct cowp_msg *mode_msg;	/* being carried out: protect, reset */
	struct cowp_msg *clear_msg;
	struct cowp_msg *reset_msg;
	struct cowp_msg *close_msg;	/* waits for a last attempt to mark */
	bool reset_tried;

	/* the area */
	struct cowp_super super;	/* of the manifest that counts */
	struct cowp_geometry geo;
	u64 live_sectors;
	u64 resized;			/* new size of the live device, to be taken up */
	u32 session;
	u32 epoch;			/* current */
	u32 incarnation;		/* last given out */

	struct cowp_snapshot *snapshots;
	u32 snapshot_count;

	struct list_head inflight;	/* diff I/O, oldest first */
	struct cowp_segments segs;
	struct cowp_discard discard[COWP_DISCARDS];
	struct cowp_log log;
	struct cowp_cache cache;
	struct cowp_index index;
	struct cowp_loader loader[COWP_LOADERS];
	u64 frame_clock;
	struct cowp_checkpoint cp;
	struct cowp_state_writer state;
	struct cowp_create create;
	struct cowp_proof proof;
	struct list_head lookups;	/* that came before the index was there */
	struct cowp_recovery *recovery;
};

/* submit.c */
void *cowp_alloc(struct cowp_engine *eng, size_t bytes);
void cowp_free(struct cowp_engine *eng, void *p, size_t bytes);
void *cowp_alloc_block(struct cowp_engine *eng);
void cowp_free_block(struct cowp_engine *eng, void *p);
struct cowp_io *cowp_alloc_io(struct cowp_engine *eng, u32 max_blocks,
			      void (*done)(struct cowp_engine *eng, struct cowp_io *io));
void cowp_submit(struct cowp_engine *eng, struct cowp_io *io);
u64 cowp_submit_tick(struct cowp_engine *eng);

/* tables.c */
void cowp_tables_init(struct cowp_engine *eng);
int cowp_tables_resize(struct cowp_engine *eng, u32 segments);

/* react.c */
int cowp_handle(struct cowp_engine *eng, u32 event, int error, u32 *actions);
void cowp_event(struct cowp_engine *eng, u32 event, int error);
u32 cowp_fault(struct cowp_engine *eng, enum cowp_fault fault, int error);
enum cowp_fault cowp_fault_of(int error, enum cowp_fault otherwise);
void cowp_gate_update(struct cowp_engine *eng);
void cowp_mark_last_chance(struct cowp_engine *eng);
bool cowp_marking(struct cowp_engine *eng);
u64 cowp_react_tick(struct cowp_engine *eng);

/* messages.c */
void cowp_messages_run(struct cowp_engine *eng);
void cowp_messages_cancel(struct cowp_engine *eng);

/* engine.c */
int cowp_geometry_attach(struct cowp_engine *eng);
bool cowp_may_checkpoint(struct cowp_engine *eng);
void cowp_checkpointed(struct cowp_engine *eng);

/* segment.c */
int cowp_segments_init(struct cowp_engine *eng);
void cowp_segments_exit(struct cowp_engine *eng);
void cowp_segments_limits(struct cowp_engine *eng);
bool cowp_segments_full(struct cowp_engine *eng);
bool cowp_segments_short(const struct cowp_engine *eng);
u32 cowp_segment_take(struct cowp_engine *eng, enum cowp_segment_kind kind);
struct cowp_listed *cowp_segment_open(struct cowp_engine *eng);
void cowp_segment_close(struct cowp_engine *eng, struct cowp_listed *l);
struct cowp_listed *cowp_segment_list(struct cowp_engine *eng, u32 segment, u32 incarnation);
void cowp_segments_plan(struct cowp_engine *eng, u32 oldest, u64 replay_batch);
void cowp_segments_commit(struct cowp_engine *eng, bool durable);
void cowp_segments_forget(struct cowp_engine *eng);
void cowp_segments_reap(struct cowp_engine *eng);

/* discard.c */
int cowp_discard_init(struct cowp_engine *eng);
void cowp_discard_exit(struct cowp_engine *eng);
void cowp_discard_add(struct cowp_engine *eng, u32 segment);
void cowp_discard_forget(struct cowp_engine *eng);
void cowp_discard_run(struct cowp_engine *eng);
bool cowp_discard_idle(const struct cowp_engine *eng);

/* log.c */
int cowp_log_init(struct cowp_engine *eng);
void cowp_log_attach(struct cowp_engine *eng);
void cowp_log_exit(struct cowp_engine *eng);
void cowp_log_run(struct cowp_engine *eng);
u64 cowp_log_tick(struct cowp_engine *eng);
void cowp_log_abort(struct cowp_engine *eng);
u64 cowp_log_replay_point(struct cowp_engine *eng);
int cowp_log_segment(struct cowp_engine *eng, struct cowp_batch *b, u32 slots, u32 entries);
struct cowp_batch *cowp_batch_new(struct cowp_engine *eng);
void cowp_batch_unused(struct cowp_engine *eng, struct cowp_batch *b);
bool cowp_log_preserved(struct cowp_engine *eng, const struct cowp_waiter *w);
void cowp_batch_retire(struct cowp_engine *eng, struct cowp_batch *b);
void cowp_batch_written(struct cowp_engine *eng, struct cowp_batch *b, struct cowp_io *io);
int cowp_log_epoch(struct cowp_engine *eng, struct cowp_create *create);

/* copy.c */
int cowp_copies_init(struct cowp_engine *eng);
void cowp_copies_exit(struct cowp_engine *eng);
void cowp_log_write(struct cowp_engine *eng, struct cowp_waiter *w);
void cowp_log_run_pending(struct cowp_engine *eng);
void cowp_log_return_waiters(struct cowp_engine *eng);
void cowp_copy_free(struct cowp_engine *eng, struct cowp_copy *c);
void cowp_batch_read(struct cowp_engine *eng, struct cowp_batch *b);

/* lane.c */
int cowp_lanes_init(struct cowp_engine *eng);
void cowp_lanes_exit(struct cowp_engine *eng);
struct cowp_lane *cowp_lane_choose(struct cowp_engine *eng, struct cowp_batch *b);
void cowp_lane_compose(struct cowp_engine *eng, struct cowp_lane *lane, struct cowp_batch *b,
		       bool fua);
void cowp_lane_durable(struct cowp_engine *eng, struct cowp_lane *lane);
void cowp_lanes_close(struct cowp_engine *eng);
void cowp_lanes_abort(struct cowp_engine *eng);
void cowp_lanes_watermark(struct cowp_engine *eng);

/* cache.c */
int cowp_cache_init(struct cowp_engine *eng);
void cowp_cache_exit(struct cowp_engine *eng);
int cowp_cache_get(struct cowp_engine *eng, u64 block, u32 incarnation,
		   struct cowp_wait *wait, void **data);
void cowp_cache_anew(struct cowp_engine *eng, struct cowp_wait *wait);
const char *cowp_run_block_check(struct cowp_engine *eng, const struct cowp_run_block *b,
				 u64 block, u32 incarnation);
void cowp_cache_cancel(struct cowp_engine *eng);

/* run.c */
int cowp_run_ceiling(struct cowp_engine *eng, const struct cowp_fragment *f, u64 key,
		     struct cowp_search *at, struct cowp_wait *wait,
		     const struct cowp_run_block **leaf, u32 *pos);
u64 cowp_fragment_level(const struct cowp_fragment *f, u32 level);
const char *cowp_leaf_check(struct cowp_engine *eng, const struct cowp_fragment *f, u32 index,
			    const struct cowp_run_block *leaf);
void cowp_fragment_add(struct cowp_index *x, const struct cowp_fragment *f);
bool cowp_runs_update(struct cowp_index *x);
const struct cowp_fragment *cowp_run_fragment(const struct cowp_index *x,
					      const struct cowp_run *r, u64 key);

/* writer.c */
int cowp_writer_init(struct cowp_engine *eng, struct cowp_writer *w, u32 leaves);
void cowp_writer_exit(struct cowp_writer *w);
bool cowp_writer_open(struct cowp_engine *eng, struct cowp_writer *w, u32 run, u64 left);
bool cowp_writer_ready(struct cowp_engine *eng, struct cowp_writer *w);
bool cowp_writer_full(const struct cowp_writer *w);
void cowp_writer_add(struct cowp_engine *eng, struct cowp_writer *w, const struct cowp_rec *rec);
bool cowp_writer_finish(struct cowp_engine *eng, struct cowp_writer *w);
void cowp_writer_mark(struct cowp_writer *w);
void cowp_writer_rewind(struct cowp_writer *w);
bool cowp_writer_holds(const struct cowp_writer *w, u32 segment);

/* flush.c */
int cowp_flush_init(struct cowp_engine *eng);
void cowp_flush_exit(struct cowp_engine *eng);
void cowp_flush_prepare(struct cowp_engine *eng);
void cowp_flush_start(struct cowp_engine *eng);
bool cowp_flush_run(struct cowp_engine *eng);

/* merge.c */
int cowp_merge_init(struct cowp_engine *eng);
void cowp_merge_exit(struct cowp_engine *eng);
bool cowp_merge_start(struct cowp_engine *eng, const u32 *wanted, u32 count);
u64 cowp_merge_run(struct cowp_engine *eng);
bool cowp_merge_has(const struct cowp_merge *m, u32 run);
void cowp_merge_published(struct cowp_engine *eng);
void cowp_merge_forget(struct cowp_engine *eng);
void cowp_merge_again(struct cowp_engine *eng);
bool cowp_merge_stuck(const struct cowp_merge *m);

/* move.c */
int cowp_mover_init(struct cowp_engine *eng, struct cowp_mover *mv);
void cowp_mover_exit(struct cowp_engine *eng, struct cowp_mover *mv);
bool cowp_mover_wants(struct cowp_engine *eng, const struct cowp_rec *rec);
bool cowp_mover_take(struct cowp_engine *eng, struct cowp_mover *mv, struct cowp_rec *rec);
bool cowp_mover_run(struct cowp_engine *eng, struct cowp_mover *mv, bool all);
u32 cowp_mover_slots(const struct cowp_engine *eng, const struct cowp_mover *mv);
bool cowp_mover_holds(const struct cowp_engine *eng, u32 segment);
void cowp_mover_mark(struct cowp_mover *mv);
void cowp_mover_rewind(struct cowp_engine *eng, struct cowp_mover *mv);

/* reclaim.c */
int cowp_reclaim_init(struct cowp_engine *eng);
void cowp_reclaim_exit(struct cowp_engine *eng);
void cowp_reclaim_choose(struct cowp_engine *eng);
void cowp_reclaim_merged(struct cowp_engine *eng);
void cowp_reclaim_failed(struct cowp_engine *eng);
void cowp_reclaim_more(struct cowp_engine *eng);
void cowp_reclaim_changed(struct cowp_engine *eng, bool dead);
void cowp_reclaim_flushed(struct cowp_engine *eng, u32 records);
bool cowp_reclaim_pending(const struct cowp_engine *eng);
u64 cowp_reclaim_tick(const struct cowp_engine *eng);

/* index.c */
int cowp_index_init(struct cowp_engine *eng);
void cowp_index_exit(struct cowp_engine *eng);
bool cowp_index_full(const struct cowp_engine *eng);
bool cowp_index_reserve(struct cowp_engine *eng);
void cowp_index_unreserve(struct cowp_engine *eng, u32 count);
void cowp_index_insert(struct cowp_engine *eng, const struct cowp_rec *rec, u64 batch);
bool cowp_index_replay(struct cowp_engine *eng, const struct cowp_rec *rec, u64 batch);
bool cowp_index_freeze(struct cowp_engine *eng);
void cowp_index_publish(struct cowp_engine *eng);
void cowp_index_clear(struct cowp_engine *eng);
void cowp_index_lookup(struct cowp_engine *eng, struct cowp_lookup *l);

/* preserved.c */
int cowp_preserved_init(struct cowp_engine *eng);
void cowp_preserved_exit(struct cowp_engine *eng);
struct cowp_frame *cowp_preserved_frame(struct cowp_engine *eng, u64 chunk,
					struct cowp_waiter *w);
void cowp_preserved_return_waiters(struct cowp_engine *eng);

/* state.c */
int cowp_put_init(struct cowp_engine *eng, struct cowp_put *put);
void cowp_put_exit(struct cowp_put *put);
void cowp_put(struct cowp_engine *eng, struct cowp_put *put, u64 block,
	      void (*then)(struct cowp_engine *eng, int error));
int cowp_state_init(struct cowp_engine *eng);
void cowp_state_exit(struct cowp_engine *eng);
void cowp_state_request(struct cowp_engine *eng, struct cowp_state_request *r);
bool cowp_state_busy(struct cowp_engine *eng);
void cowp_state_run(struct cowp_engine *eng);

/* manifest.c */
int cowp_manifest_init(struct cowp_engine *eng);
void cowp_manifest_exit(struct cowp_engine *eng);
void cowp_checkpoint_want(struct cowp_engine *eng, bool full);
void cowp_checkpoint_refuse(struct cowp_engine *eng, int error);
void cowp_checkpoint_run(struct cowp_engine *eng);
bool cowp_checkpoint_idle(struct cowp_engine *eng);

/* snapshot.c */
void cowp_snapshot_create(struct cowp_engine *eng, struct cowp_msg *msg);
void cowp_snapshot_delete(struct cowp_engine *eng, struct cowp_msg *msg);
void cowp_snapshot_create_cancel(struct cowp_engine *eng);
void cowp_snapshot_run(struct cowp_engine *eng);
void cowp_snapshot_flushed(struct cowp_engine *eng, struct cowp_io *io);
void cowp_snapshot_recorded(struct cowp_engine *eng, struct cowp_create *create, int error);
void cowp_snapshot_add(struct cowp_engine *eng, const struct cowp_snapshot *s);
u32 cowp_snapshot_oldest(struct cowp_engine *eng);
struct cowp_snapshot *cowp_snapshot_find(struct cowp_engine *eng, u32 id);
void cowp_snapshots_committed(struct cowp_engine *eng);

/* proof.c */
void cowp_proof_note(struct cowp_engine *eng, u64 chunk);
void cowp_proof_note_batches(struct cowp_engine *eng);
bool cowp_is_proof(struct cowp_engine *eng, const struct cowp_waiter *w);
bool cowp_proof_start(struct cowp_engine *eng);
void cowp_proof_stop(struct cowp_engine *eng);
void cowp_proof_run(struct cowp_engine *eng);
void cowp_waiter_done(struct cowp_engine *eng, struct cowp_waiter *w, enum cowp_verdict v);

/* recovery.c */
int cowp_recovery_init(struct cowp_engine *eng);
void cowp_recovery_exit(struct cowp_engine *eng);
void cowp_recovery_start(struct cowp_engine *eng);
void cowp_recovery_verify(struct cowp_engine *eng);
void cowp_recovery_run(struct cowp_engine *eng);
bool cowp_recovery_idle(struct cowp_engine *eng);
bool cowp_recovery_writes(struct cowp_engine *eng);
bool cowp_recovery_checkpointed(struct cowp_engine *eng);

/* Batches that a replay has to find room for, at most. */
static inline u64 cowp_replay_batches(struct cowp_engine *eng)
{
	return 4ULL * eng->index.capacity;
}

/* Likewise, and those that were under way; for memtables of so many records. */
static inline u64 cowp_replay_room(u32 records)
{
	return 4ULL * records + COWP_BATCHES;
}

#endif /* COWP_INTERNAL_H */
