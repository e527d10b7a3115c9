/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The disk format's arithmetic, and the checks that stand between the disk and
 * everything else.  Pure functions: any context.
 *
 * A function that checks returns NULL, or in words what is wrong, for a log
 * line, a tool's message or a test to quote.
 */
#ifndef COWP_FORMAT_H
#define COWP_FORMAT_H

#include "port.h"

static inline u64 cowp_key(u64 chunk, u32 epoch)
{
	return chunk << COWP_EPOCH_BITS | epoch;
}

static inline u64 cowp_key_chunk(u64 key)
{
	return key >> COWP_EPOCH_BITS;
}

static inline u32 cowp_key_epoch(u64 key)
{
	return key & COWP_MAX_EPOCH;
}

/**
 * struct cowp_place - the location of a record, taken apart
 * @segment:	number
 * @slot:	data slot in it
 * @pos:	of the summary entry: home times entries a block plus entry
 * @flags:	COWP_RECORD_*
 */
struct cowp_place {
	u32 segment;
	u32 slot;
	u32 pos;
	u32 flags;
};

static inline u64 cowp_location(const struct cowp_place *p)
{
	return (u64)p->segment << 44 | (u64)p->slot << 24 | (u64)p->pos << 4 | p->flags;
}

static inline struct cowp_place cowp_place_of(u64 location)
{
	return (struct cowp_place) {
		.segment = location >> 44,
		.slot = location >> 24 & 0xfffff,
		.pos = location >> 4 & 0xfffff,
		.flags = location & 0xf,
	};
}

/* A record in memory. */
struct cowp_rec {
	u64 key;
	u64 location;
	u32 incarnation;
	u32 crc;
};

/**
 * struct cowp_geometry - what follows from a root, in memory
 * @chunk_blocks: blocks a chunk
 * @segment_blocks: blocks a segment
 * @segments:	number of segments
 * @first_segment: block of segment 0
 * @entry_bytes: bytes of a summary entry with its block checksums
 * @entries:	summary entries a block
 * @epoch_entries: entries that a struct cowp_epoch_entry takes
 * @homes:	summary blocks a log segment
 * @slots:	data slots a log segment
 */
struct cowp_geometry {
	u32 chunk_blocks;
	u32 segment_blocks;
	u32 segments;
	u64 first_segment;
	u32 entry_bytes;
	u32 entries;
	u32 epoch_entries;
	u32 homes;
	u32 slots;
};

/**
 * cowp_geometry_init - compute the layout of a log segment
 * @g:		out, but for @segments and @first_segment
 * @chunk_blocks: blocks a chunk
 * @segment_blocks: blocks a segment
 *
 * Returns NULL or what is wrong with the sizes.
 */
const char *cowp_geometry_init(struct cowp_geometry *g, u32 chunk_blocks, u32 segment_blocks);

static inline u64 cowp_segment_block(const struct cowp_geometry *g, u32 segment)
{
	return g->first_segment + (u64)segment * g->segment_blocks;
}

static inline u32 cowp_segment_of(const struct cowp_geometry *g, u64 block)
{
	return div_u64(block - g->first_segment, g->segment_blocks);
}

static inline u64 cowp_home_block(const struct cowp_geometry *g, u32 segment, u32 home)
{
	return cowp_segment_block(g, segment) + 1 + home;
}

static inline u64 cowp_ring_block(const struct cowp_geometry *g, u32 segment, u32 ring)
{
	return cowp_segment_block(g, segment) + 1 + g->homes + ring;
}

static inline u64 cowp_slot_block(const struct cowp_geometry *g, u32 segment, u32 slot)
{
	return cowp_segment_block(g, segment) + 1 + g->homes + COWP_RING_BLOCKS +
	       (u64)slot * g->chunk_blocks;
}

/* Records a leaf, keys a block above, blocks and levels of a tree. */
u32 cowp_leaf_records(void);
u32 cowp_node_keys(void);
u32 cowp_tree_blocks(u32 records);

/* Most records whose tree fits. */
u32 cowp_tree_records(u32 blocks);

/**
 * cowp_seal - fill in a metadata block's header, its checksum last
 * @block:	4 KiB
 * @magic:	its kind
 * @uuid:	the area's
 * @nr:		where it is written
 * @session:	of this activation
 * @incarnation: of the segment that it is in, 0 outside
 */
void cowp_seal(void *block, u32 magic, const u8 *uuid, u64 nr, u32 session, u32 incarnation);

/**
 * cowp_check_header - is this block what it should be?
 * @block:	4 KiB as read
 * @magic:	its kind
 * @uuid:	the area's, NULL where it is not known yet
 * @nr:		where it was read
 *
 * Returns NULL, or what is wrong.
 */
const char *cowp_check_header(const void *block, u32 magic, const u8 *uuid, u64 nr);

/* struct cowp_root in memory. */
struct cowp_super {
	u8 uuid[16];
	u64 generation;
	u32 flags;
	u32 chunk_blocks;
	u32 segment_blocks;
	u32 segments;
	u64 first_segment;
	u64 area_blocks;
	u64 body_block[COWP_SLOTS];
	u32 body_max;
	u32 body_blocks;
	u32 body_crc;
	u32 epoch;
	u64 live_sectors;
	u32 incarnation;
	u32 session;
	u64 replay_batch;
	u64 last_batch;
	u64 created;
};

void cowp_root_encode(void *block, u32 slot, const struct cowp_super *s);

/**
 * cowp_root_decode - check a root and take it apart
 * @s:		out
 * @block:	4 KiB as read
 * @slot:	the slot that it was read from
 * @uuid:	NULL where it is not known yet
 * @device_blocks: size of the diff device, which the area must fit in
 *
 * Returns NULL, or what is wrong.
 */
const char *cowp_root_decode(struct cowp_super *s, const void *block, u32 slot,
			     const u8 *uuid, u64 device_blocks);

/* struct cowp_state_block in memory. */
struct cowp_area_state {
	u8 uuid[16];
	u64 sequence;
	u64 generation;
	u32 session;
	u8 mode;
	u8 lost;
};

void cowp_state_encode(void *block, u32 copy, const struct cowp_area_state *s);
const char *cowp_state_decode(struct cowp_area_state *s, const void *block, u32 copy,
			      const u8 *uuid);

void cowp_rec_encode(struct cowp_record *to, const struct cowp_rec *from);
void cowp_rec_decode(struct cowp_rec *to, const struct cowp_record *from);

/* Records a body block, by section. */
u32 cowp_section_bytes(enum cowp_section section);
u32 cowp_section_records(enum cowp_section section);

/* Blocks of the largest body that an area of so many segments can need. */
u32 cowp_body_max(u32 segments);

/**
 * cowp_body_check - check a body block
 * @s:		the root that it belongs to
 * @slot:	its slot
 * @index:	of the block in the body
 * @block:	4 KiB as read
 *
 * Returns NULL, or what is wrong.
 */
const char *cowp_body_check(const struct cowp_super *s, u32 slot, u32 index, const void *block);

/**
 * cowp_layout - lay an area out
 * @s:		in: chunk_blocks; out: all that follows from the size
 * @device_blocks: size of the diff device
 *
 * Returns NULL, or why the device will not do.
 */
const char *cowp_layout(struct cowp_super *s, u64 device_blocks);

/* Open-list entries: how many segments may be opened between two manifests. */
#define COWP_OPEN_LIST_MAX	1024U

/* Index fragments that a manifest can list. */
#define COWP_MAX_FRAGMENTS	2048U

/* Runs at once: what a search may have to look through. */
#ifndef COWP_MAX_RUNS			/* the simulator is soon crowded */
#define COWP_MAX_RUNS		64U
#endif

/* Segments whose live count is that of records. */
static inline bool cowp_holds_chunks(u8 kind)
{
	return kind == COWP_SEGMENT_LOG || kind == COWP_SEGMENT_LISTED ||
	       kind == COWP_SEGMENT_MOVED;
}

#endif /* COWP_FORMAT_H */
