/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The disk format of a cowprotect diff area, version 1.
 *
 * Everything is little-endian, in blocks of 4 KiB that begin with a struct
 * cowp_header: a magic number of the block's kind, a crc32c of the whole block,
 * the area's uuid, and the block's own address, so that a block which landed
 * in the wrong place, belongs to another area or to an older use of its place
 * is never believed.
 *
 *	block 0			root, slot 0
 *	block 1			state, copy 0
 *	block 2			identity of the live volume, copy 0, or zero
 *	blocks 3..15		reserved, zero
 *	block 512 (2 MiB)	root, slot 1
 *	block 513		state, copy 1
 *	block 514		identity, copy 1
 *	block 515..527		reserved, zero
 *	block 528...		body areas of slot 0 and of slot 1
 *	first_segment...	segments, all of one size
 *
 * A *root* and its *body* are a manifest: the whole truth at a checkpoint.
 * Manifests are written alternately to the two slots.  The *state* holds what
 * must change without a checkpoint: mode, the lost mark, the session, and the
 * lowest generation of a manifest that may still be believed.
 *
 * A segment is one of: free, log (old chunks, with the summaries that find
 * them), moved (old chunks from nearly empty segments), or run (index blocks).
 * Each opening of a segment has an incarnation of its own, which every block in
 * it carries; numbers are never reused.
 */
#ifndef COWPROTECT_FORMAT_H
#define COWPROTECT_FORMAT_H

#include <linux/stddef.h>
#include <linux/types.h>
#include "cowprotect_words.h"

#define COWP_FORMAT_VERSION	1

#define COWP_BLOCK_SHIFT	12
#define COWP_BLOCK_SIZE		(1U << COWP_BLOCK_SHIFT)
#define COWP_BLOCK_SECTORS	(COWP_BLOCK_SIZE >> 9)

/* Chunks are 4 KiB to 1 MiB, in blocks a power of two from 1 to 256. */
#define COWP_MAX_CHUNK_BLOCKS	256U

/* Fixed places (blocks); none depends on the size of the area. */
#define COWP_SLOTS		2U
#define COWP_ROOT_BLOCK(slot)	((slot) ? 512ULL : 0ULL)
#define COWP_STATE_BLOCK(copy)	((copy) ? 513ULL : 1ULL)
#define COWP_IDENTITY_BLOCK(copy) ((copy) ? 514ULL : 2ULL)
#define COWP_FIRST_BODY_BLOCK	528ULL

/*
 * Segments: 1 MiB at least, at most this many in an area.  The simulator has
 * smaller ones, so that a short history fills many.
 */
#ifndef COWP_MIN_SEGMENT_BLOCKS
#define COWP_MIN_SEGMENT_BLOCKS	256U
#endif
#define COWP_MIN_SEGMENTS	16U
#define COWP_MAX_SEGMENT_BLOCKS	(1U << 20)
#define COWP_FORMAT_SEGMENTS	(1U << 16)
#define COWP_MAX_SEGMENTS	(1U << 20)

/*
 * A key orders the index: chunk number above epoch.  38 bits of chunk are
 * 1 PiB at 4 KiB; 26 bits of epoch are 67 million snapshot creations.
 */
#define COWP_EPOCH_BITS		26
#define COWP_MAX_EPOCH		((1U << COWP_EPOCH_BITS) - 1)
#define COWP_CHUNK_BITS		38
#define COWP_MAX_CHUNKS		(1ULL << COWP_CHUNK_BITS)

#define COWP_MAGIC_ROOT		0x52505743U	/* "CWPR" */
#define COWP_MAGIC_STATE	0x53505743U	/* "CWPS" */
#define COWP_MAGIC_BODY		0x42505743U	/* "CWPB" */
#define COWP_MAGIC_SEGMENT	0x47505743U	/* "CWPG" */
#define COWP_MAGIC_SUMMARY	0x4d505743U	/* "CWPM" */
#define COWP_MAGIC_RUN		0x49505743U	/* "CWPI" */
#define COWP_MAGIC_BADMAP	0x58505743U	/* "CWPX" */
#define COWP_MAGIC_IDENTITY	0x4e505743U	/* "CWPN" */

/**
 * struct cowp_header - the start of every metadata block
 * @magic:	COWP_MAGIC_*
 * @crc:	crc32c of the 4 KiB block with this field zero
 * @uuid:	the area's
 * @block:	this block's own number in the area
 * @session:	the activation that wrote the block
 * @incarnation: the segment's, 0 in the fixed places and bodies
 * @reserved:	zero
 */
struct cowp_header {
	__le32 magic;
	__le32 crc;
	__u8 uuid[16];
	__le64 block;
	__le32 session;
	__le32 incarnation;
	__le64 reserved;
} __attribute__((packed));

/* Feature words, as in ext4 and xfs: none is defined yet. */
#define COWP_COMPAT_KNOWN	0U
#define COWP_RO_COMPAT_KNOWN	0U
#define COWP_INCOMPAT_KNOWN	0U

#define COWP_ROOT_CLEAN		1U	/* written by a clean close: no replay */

/**
 * struct cowp_root - superblock and root of a manifest (one slot)
 * @header:	COWP_MAGIC_ROOT
 * @version:	COWP_FORMAT_VERSION
 * @compat:	features that an older module may ignore
 * @ro_compat:	features that an older module may only read past
 * @incompat:	features that an older module must refuse
 * @generation:	of this manifest; the newest valid one counts
 * @flags:	COWP_ROOT_*
 * @chunk_blocks: blocks a chunk, a power of two
 * @segment_blocks: blocks a segment
 * @segments:	number of segments
 * @first_segment: block of segment 0
 * @area_blocks: blocks of the diff device that are in use
 * @body_block:	first block of the body areas, per slot
 * @body_max:	blocks of each body area; limits the number of segments
 * @body_blocks: blocks of this manifest's body
 * @body_crc:	crc32c over the body blocks' own @crc fields, in order
 * @live_sectors: size of the live volume
 * @epoch:	the current epoch; ids up to it were given out
 * @incarnation: the last incarnation given out
 * @replay_batch: batches up to this one are in runs, later ones in the log
 * @last_batch:	the last batch number given out when this was written
 * @created:	seconds since 1970, of the format
 * @reserved:	zero
 */
struct cowp_root {
	struct cowp_header header;
	__le32 version;
	__le32 compat;
	__le32 ro_compat;
	__le32 incompat;
	__le64 generation;
	__le32 flags;
	__le32 chunk_blocks;
	__le32 segment_blocks;
	__le32 segments;
	__le64 first_segment;
	__le64 area_blocks;
	__le64 body_block[COWP_SLOTS];
	__le32 body_max;
	__le32 body_blocks;
	__le32 body_crc;
	__le32 epoch;
	__le64 live_sectors;
	__le32 incarnation;
	__le32 reserved;
	__le64 replay_batch;
	__le64 last_batch;
	__le64 created;
} __attribute__((packed));

/**
 * struct cowp_state_block - what changes without a checkpoint (one copy)
 * @header:	COWP_MAGIC_STATE
 * @sequence:	of this state; the newest valid copy counts
 * @generation:	lowest generation of a manifest that may be believed
 * @session:	the activation that owns the area
 * @mode:	enum cowp_mode
 * @lost:	1: the snapshots were given up
 * @reserved:	zero
 *
 * The copies are written one after the other, a change is durable only when
 * both are.
 */
struct cowp_state_block {
	struct cowp_header header;
	__le64 sequence;
	__le64 generation;
	__le32 session;
	__u8 mode;
	__u8 lost;
	__u8 reserved[2];
} __attribute__((packed));

enum cowp_identity_kind {
	COWP_IDENTITY_NONE,		/* nothing was found on it */
	COWP_IDENTITY_FILESYSTEM,	/* the uuid in its superblock */
	COWP_IDENTITY_PARTITION,	/* its uuid in the partition table */
	COWP_IDENTITY_KINDS
};

#define COWP_IDENTITY_BYTES	128	/* of a text with its terminating zero */

/**
 * struct cowp_identity_block - which live volume the area is for (one copy)
 * @header:	COWP_MAGIC_IDENTITY, of session 0
 * @live_sectors: size of the live device at the format
 * @kind:	enum cowp_identity_kind, of @id
 * @reserved:	zero
 * @name:	of the volume, or empty
 * @id:		a uuid as text, as libblkid has it, or empty
 *
 * Written when the area is formatted by the tool, for those who look for the
 * two devices of a volume.  The module neither reads nor writes it.
 */
struct cowp_identity_block {
	struct cowp_header header;
	__le64 live_sectors;
	__u8 kind;
	__u8 reserved[7];
	char name[COWP_IDENTITY_BYTES];
	char id[COWP_IDENTITY_BYTES];
} __attribute__((packed));

/*
 * The body: blocks of one section each, in the order of enum cowp_section,
 * each with as many records as it says; a section without records has no block.
 */
enum cowp_section {
	COWP_SECTION_SNAPSHOTS,
	COWP_SECTION_FRAGMENTS,
	COWP_SECTION_OPEN_LIST,
	COWP_SECTION_SEGMENTS,
	COWP_SECTION_COUNT
};

struct cowp_body_block {
	struct cowp_header header;
	__le64 generation;
	__le32 index;		/* of this block in the body */
	__le16 section;
	__le16 count;		/* records in this block */
	__u8 data[];
} __attribute__((packed));

#define COWP_BODY_BYTES \
	(COWP_BLOCK_SIZE - sizeof(struct cowp_body_block))

/* A snapshot; its id is the epoch that its creation opened. */
struct cowp_snapshot_rec {
	__le32 id;
	__le32 reserved;
	__le64 created;		/* seconds since 1970 */
	__le64 live_sectors;	/* size of the live volume at its creation */
	char label[COWP_LABEL_BYTES];
	__u8 reserved2[8];
} __attribute__((packed));

/*
 * A fragment of an index run: a bulk-loaded tree of @blocks blocks from @block
 * on, leaves first, then each level above in turn, the root last.  Fragments of
 * one run have disjoint ranges of keys.  What the tree holds below @first_key
 * does not count: a merge has taken it elsewhere.
 */
struct cowp_fragment_rec {
	__le64 first_key;
	__le64 last_key;
	__le64 block;
	__le32 blocks;
	__le32 leaves;
	__le32 records;
	__le32 incarnation;
	__le32 min_epoch;
	__le32 max_epoch;
	__le32 run;
	__le32 reserved;
	__le64 reserved2;
} __attribute__((packed));

/* A segment that may be opened before the next manifest, or was since the replay point. */
struct cowp_open_rec {
	__le32 segment;
	__le32 incarnation;
} __attribute__((packed));

enum cowp_segment_kind {
	COWP_SEGMENT_FREE,
	COWP_SEGMENT_LISTED,	/* on the open list: its state is in its summaries */
	COWP_SEGMENT_LOG,
	COWP_SEGMENT_RUN,
	COWP_SEGMENT_MOVED,	/* chunks moved from elsewhere: no recovery reads its summaries */
	COWP_SEGMENT_KINDS
};

struct cowp_segment_rec {
	__le32 incarnation;
	__le32 max_epoch;	/* log, moved: largest of a chunk in it (listed: when written) */
	__le32 live;		/* log, moved: index records that point here; run: fragments */
	__u8 kind;
	__u8 reserved[3];
} __attribute__((packed));

/* The first block of a log or run segment. */
struct cowp_segment_header {
	struct cowp_header header;
	__le32 segment;
	__u8 kind;
	__u8 reserved[3];
} __attribute__((packed));

/*
 * A log segment: header, homes of the summary blocks, the ring of their partial
 * versions, data slots of one chunk each.
 *
 * Batches that overlap write to summary blocks of their own (lanes).  A block
 * that is not full yet goes to a place in the ring, the full (or closing)
 * version goes home, once.  Of all valid versions of one home the newest
 * counts.
 */
#define COWP_LANES		4U
#define COWP_RING_BLOCKS	(2U * COWP_LANES)

#ifndef COWP_SUMMARY_MAX_ENTRIES	/* the simulator makes blocks small */
#define COWP_SUMMARY_MAX_ENTRIES	COWP_BLOCK_SIZE
#endif

/**
 * struct cowp_summary - a summary block of a log segment
 * @header:	COWP_MAGIC_SUMMARY
 * @version:	order of this version among all of the area
 * @watermark:	every batch up to this one was durable when this was written
 * @base_batch:	what the entries' @batch count from
 * @segment:	the segment's number
 * @epoch:	the current epoch, so that none is ever used twice
 * @home:	which home this block is for
 * @count:	entries
 * @reserved:	zero
 * @entries:	struct cowp_entry, each with its block checksums behind it
 */
struct cowp_summary {
	struct cowp_header header;
	__le64 version;
	__le64 watermark;
	__le64 base_batch;
	__le32 segment;
	__le32 epoch;
	__le16 home;
	__le16 count;
	__u8 reserved[44];
	__u8 entries[];
} __attribute__((packed));

enum cowp_entry_type {
	COWP_ENTRY_CHUNK = 1,	/* an old chunk */
	COWP_ENTRY_BAD,		/* one with unreadable sectors: a bad map in the next slot */
	COWP_ENTRY_EPOCH,	/* a snapshot's creation: struct cowp_epoch_entry */
	COWP_ENTRY_VOID,	/* a batch without content */
	COWP_ENTRY_MOVED,	/* a chunk that was moved here (COWP_SEGMENT_MOVED) */
};

/**
 * struct cowp_entry - an entry of a summary block
 * @key:	chunk and epoch
 * @crc:	of the chunk; with more than one block a chunk, of the array of
 *		block checksums that follows this struct
 * @batch:	batch number less the summary's @base_batch
 * @slot:	data slot in the segment
 * @source_slot: of a moved chunk: where it was
 * @source_incarnation: likewise
 * @type:	enum cowp_entry_type
 * @part:	which of the batch's summary blocks this one is
 * @parts:	in how many summary blocks the batch has entries
 * @reserved:	zero
 */
struct cowp_entry {
	__le64 key;
	__le32 crc;
	__le32 batch;
	__le32 slot;
	__le32 source_slot;
	__le32 source_incarnation;
	__u8 type;
	__u8 part;
	__u8 parts;
	__u8 reserved;
} __attribute__((packed));

/* A COWP_ENTRY_EPOCH: takes as many entries as it needs bytes, all counted. */
struct cowp_epoch_entry {
	struct cowp_entry entry;	/* @key: the epoch, for chunk 0 */
	__le64 created;
	__le64 live_sectors;
	char label[COWP_LABEL_BYTES];
	__u8 reserved[16];
} __attribute__((packed));

/*
 * The index: records ordered by key.
 */
#define COWP_RECORD_BAD		1U

/**
 * struct cowp_record - where the old content of a chunk lies
 * @key:	chunk and epoch
 * @location:	segment (20 bits), slot (20), position of the summary entry
 *		(20: home times entries a block plus entry), flags (4)
 * @incarnation: of the segment
 * @crc:	as in the summary entry
 */
struct cowp_record {
	__le64 key;
	__le64 location;
	__le32 incarnation;
	__le32 crc;
} __attribute__((packed));

#ifndef COWP_LEAF_MAX_RECORDS		/* the simulator makes trees high */
#define COWP_LEAF_MAX_RECORDS	COWP_BLOCK_SIZE
#define COWP_NODE_MAX_KEYS	COWP_BLOCK_SIZE
#endif

/*
 * A block of a fragment.  Leaves hold records; a block above holds the first
 * key of each child, whose place follows from its number.
 */
struct cowp_run_block {
	struct cowp_header header;
	__le16 level;		/* 0: a leaf */
	__le16 count;
	__le32 index;		/* of this block in its level */
	__u8 reserved[8];
	union {
		__DECLARE_FLEX_ARRAY(struct cowp_record, records);
		__DECLARE_FLEX_ARRAY(__le64, keys);
	};
} __attribute__((packed));

/* Sectors of a chunk that could not be read, one bit each. */
struct cowp_badmap {
	struct cowp_header header;
	__le64 key;
	__u8 bits[COWP_MAX_CHUNK_BLOCKS * COWP_BLOCK_SECTORS / 8];
} __attribute__((packed));

#endif /* COWPROTECT_FORMAT_H */
