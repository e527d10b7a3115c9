// SPDX-License-Identifier: GPL-2.0-only
/*
 * The disk format's arithmetic and checks.  See format.h.
 */
#include "engine.h"
#include "format.h"

const char * const cowp_mode_words[COWP_MODE_COUNT] = {
#define COWP_WORD(name, word) \
	[COWP_MODE_##name] = word,
	COWP_MODES(COWP_WORD)
#undef COWP_WORD
};

const char * const cowp_state_words[COWP_STATE_COUNT] = {
#define COWP_WORD(name, word) \
	[COWP_STATE_##name] = word,
	COWP_STATES(COWP_WORD)
#undef COWP_WORD
};

const char * const cowp_fault_words[COWP_FAULT_COUNT] = {
#define COWP_WORD(name, word, ...) \
	[COWP_FAULT_##name] = word,
	COWP_FAULTS(COWP_WORD)
#undef COWP_WORD
};

const char * const cowp_fault_remedies[COWP_FAULT_COUNT] = {
#define COWP_WORD(name, word, remedy) \
	[COWP_FAULT_##name] = remedy,
	COWP_FAULTS(COWP_WORD)
#undef COWP_WORD
};

static bool valid_chunk_blocks(u32 blocks)
{
	return is_power_of_2(blocks) && blocks <= COWP_MAX_CHUNK_BLOCKS;
}

const char *cowp_geometry_init(struct cowp_geometry *g, u32 chunk_blocks, u32 segment_blocks)
{
	u32 room;

	if (!valid_chunk_blocks(chunk_blocks))
		return "chunk size";
	if (segment_blocks < COWP_MIN_SEGMENT_BLOCKS || segment_blocks > COWP_MAX_SEGMENT_BLOCKS)
		return "segment size";

	g->chunk_blocks = chunk_blocks;
	g->segment_blocks = segment_blocks;
	g->entry_bytes = sizeof(struct cowp_entry);
	if (chunk_blocks > 1)
		g->entry_bytes += chunk_blocks * sizeof(__le32);
	g->entries = min_t(u32, (COWP_BLOCK_SIZE - sizeof(struct cowp_summary)) / g->entry_bytes,
			   COWP_SUMMARY_MAX_ENTRIES);
	g->epoch_entries = DIV_ROUND_UP(sizeof(struct cowp_epoch_entry), g->entry_bytes);
	BUILD_BUG_ON(sizeof(struct cowp_epoch_entry) >
		     COWP_SUMMARY_MAX_ENTRIES * sizeof(struct cowp_entry));

	/*
	 * Every lane may leave one home partly filled when the segment closes;
	 * so many homes are there beside those that the slots fill.
	 */
	room = segment_blocks - 1 - COWP_RING_BLOCKS - COWP_LANES;
	g->slots = room / chunk_blocks;
	while (g->slots && g->slots * chunk_blocks + DIV_ROUND_UP(g->slots, g->entries) > room)
		g->slots--;
	if (g->slots < 2)
		return "segment size too small for the chunk size";
	g->homes = DIV_ROUND_UP(g->slots, g->entries) + COWP_LANES;
	return NULL;
}

u32 cowp_leaf_records(void)
{
	return min_t(u32, (COWP_BLOCK_SIZE - offsetof(struct cowp_run_block, records)) /
		     sizeof(struct cowp_record), COWP_LEAF_MAX_RECORDS);
}

u32 cowp_node_keys(void)
{
	return min_t(u32, (COWP_BLOCK_SIZE - offsetof(struct cowp_run_block, keys)) /
		     sizeof(__le64), COWP_NODE_MAX_KEYS);
}

u32 cowp_tree_blocks(u32 records)
{
	u32 level = DIV_ROUND_UP(records, cowp_leaf_records());
	u32 blocks = level;

	while (level > 1) {
		level = DIV_ROUND_UP(level, cowp_node_keys());
		blocks += level;
	}
	return blocks;
}

u32 cowp_tree_records(u32 blocks)
{
	u32 leaves = blocks;

	while (leaves && cowp_tree_blocks(leaves * cowp_leaf_records()) > blocks)
		leaves--;
	return leaves * cowp_leaf_records();
}

static u32 block_crc(const void *block)
{
	const struct cowp_header *h = block;
	static const __le32 zero;
	u32 crc;

	crc = port_crc32c(~0U, block, offsetof(struct cowp_header, crc));
	crc = port_crc32c(crc, &zero, sizeof(zero));
	return port_crc32c(crc, h->uuid, COWP_BLOCK_SIZE - offsetof(struct cowp_header, uuid));
}

void cowp_seal(void *block, u32 magic, const u8 *uuid, u64 nr, u32 session, u32 incarnation)
{
	struct cowp_header *h = block;

	h->magic = cpu_to_le32(magic);
	memcpy(h->uuid, uuid, sizeof(h->uuid));
	h->block = cpu_to_le64(nr);
	h->session = cpu_to_le32(session);
	h->incarnation = cpu_to_le32(incarnation);
	h->reserved = 0;
	h->crc = cpu_to_le32(block_crc(block));
}

const char *cowp_check_header(const void *block, u32 magic, const u8 *uuid, u64 nr)
{
	const struct cowp_header *h = block;

	if (le32_to_cpu(h->magic) != magic)
		return "magic number";
	if (le32_to_cpu(h->crc) != block_crc(block))
		return "checksum";
	if (uuid && memcmp(h->uuid, uuid, sizeof(h->uuid)))
		return "uuid";
	if (le64_to_cpu(h->block) != nr)
		return "block address";
	return NULL;
}

u32 cowp_chunk_crc_next(u32 crc, u32 csum, u32 blocks)
{
	__le32 le = cpu_to_le32(csum);

	return blocks == 1 ? csum : port_crc32c(crc, &le, sizeof(le));
}

u32 cowp_chunk_crc(const u32 *csum, u32 blocks)
{
	u32 crc = ~0U;
	u32 i;

	for (i = 0; i < blocks; i++)
		crc = cowp_chunk_crc_next(crc, csum[i], blocks);
	return crc;
}

void cowp_root_encode(void *block, u32 slot, const struct cowp_super *s)
{
	struct cowp_root *r = block;
	u32 i;

	memset(block, 0, COWP_BLOCK_SIZE);
	r->version = cpu_to_le32(COWP_FORMAT_VERSION);
	r->generation = cpu_to_le64(s->generation);
	r->flags = cpu_to_le32(s->flags);
	r->chunk_blocks = cpu_to_le32(s->chunk_blocks);
	r->segment_blocks = cpu_to_le32(s->segment_blocks);
	r->segments = cpu_to_le32(s->segments);
	r->first_segment = cpu_to_le64(s->first_segment);
	r->area_blocks = cpu_to_le64(s->area_blocks);
	for (i = 0; i < COWP_SLOTS; i++)
		r->body_block[i] = cpu_to_le64(s->body_block[i]);
	r->body_max = cpu_to_le32(s->body_max);
	r->body_blocks = cpu_to_le32(s->body_blocks);
	r->body_crc = cpu_to_le32(s->body_crc);
	r->epoch = cpu_to_le32(s->epoch);
	r->live_sectors = cpu_to_le64(s->live_sectors);
	r->incarnation = cpu_to_le32(s->incarnation);
	r->replay_batch = cpu_to_le64(s->replay_batch);
	r->last_batch = cpu_to_le64(s->last_batch);
	r->created = cpu_to_le64(s->created);
	cowp_seal(block, COWP_MAGIC_ROOT, s->uuid, COWP_ROOT_BLOCK(slot), s->session, 0);
}

static const char *check_super(const struct cowp_super *s, u64 device_blocks)
{
	struct cowp_geometry g;
	const char *bad = cowp_geometry_init(&g, s->chunk_blocks, s->segment_blocks);
	u64 body_end = COWP_FIRST_BODY_BLOCK;
	u32 i;

	if (bad)
		return bad;
	if (!s->segments || s->segments > COWP_MAX_SEGMENTS)
		return "number of segments";
	if (s->area_blocks > device_blocks)
		return "area larger than its device";
	if (s->first_segment > s->area_blocks ||
	    (s->area_blocks - s->first_segment) / s->segment_blocks < s->segments)
		return "segments beyond the area";
	if (!s->body_blocks || s->body_blocks > s->body_max ||
	    s->body_max > cowp_body_max(COWP_MAX_SEGMENTS))
		return "size of the body";
	for (i = 0; i < COWP_SLOTS; i++) {
		if (s->body_block[i] < body_end || s->body_block[i] > s->area_blocks ||
		    s->area_blocks - s->body_block[i] < s->body_max)
			return "place of the body";
		body_end = s->body_block[i] + s->body_max;
	}
	if (body_end > s->first_segment)
		return "place of the body";
	if (s->epoch > COWP_MAX_EPOCH)
		return "epoch";
	if (!s->live_sectors ||
	    s->live_sectors > (COWP_MAX_CHUNKS * COWP_BLOCK_SECTORS) * s->chunk_blocks)
		return "size of the live volume";
	if (s->replay_batch > s->last_batch)
		return "batch numbers";
	if (s->flags & ~COWP_ROOT_CLEAN)
		return "flags";
	return NULL;
}

const char *cowp_root_decode(struct cowp_super *s, const void *block, u32 slot,
			     const u8 *uuid, u64 device_blocks)
{
	const struct cowp_root *r = block;
	const char *bad = cowp_check_header(block, COWP_MAGIC_ROOT, uuid, COWP_ROOT_BLOCK(slot));
	u32 i;

	if (bad)
		return bad;
	if (le32_to_cpu(r->version) != COWP_FORMAT_VERSION)
		return "format version";
	if (le32_to_cpu(r->incompat) & ~COWP_INCOMPAT_KNOWN)
		return "incompatible features";
	if (le32_to_cpu(r->ro_compat) & ~COWP_RO_COMPAT_KNOWN)
		return "read-only compatible features";

	memcpy(s->uuid, r->header.uuid, sizeof(s->uuid));
	s->session = le32_to_cpu(r->header.session);
	s->generation = le64_to_cpu(r->generation);
	s->flags = le32_to_cpu(r->flags);
	s->chunk_blocks = le32_to_cpu(r->chunk_blocks);
	s->segment_blocks = le32_to_cpu(r->segment_blocks);
	s->segments = le32_to_cpu(r->segments);
	s->first_segment = le64_to_cpu(r->first_segment);
	s->area_blocks = le64_to_cpu(r->area_blocks);
	for (i = 0; i < COWP_SLOTS; i++)
		s->body_block[i] = le64_to_cpu(r->body_block[i]);
	s->body_max = le32_to_cpu(r->body_max);
	s->body_blocks = le32_to_cpu(r->body_blocks);
	s->body_crc = le32_to_cpu(r->body_crc);
	s->epoch = le32_to_cpu(r->epoch);
	s->live_sectors = le64_to_cpu(r->live_sectors);
	s->incarnation = le32_to_cpu(r->incarnation);
	s->replay_batch = le64_to_cpu(r->replay_batch);
	s->last_batch = le64_to_cpu(r->last_batch);
	s->created = le64_to_cpu(r->created);
	return check_super(s, device_blocks);
}

void cowp_state_encode(void *block, u32 copy, const struct cowp_area_state *s)
{
	struct cowp_state_block *b = block;

	memset(block, 0, COWP_BLOCK_SIZE);
	b->sequence = cpu_to_le64(s->sequence);
	b->generation = cpu_to_le64(s->generation);
	b->session = cpu_to_le32(s->session);
	b->mode = s->mode;
	b->lost = s->lost;
	cowp_seal(block, COWP_MAGIC_STATE, s->uuid, COWP_STATE_BLOCK(copy), s->session, 0);
}

const char *cowp_state_decode(struct cowp_area_state *s, const void *block, u32 copy,
			      const u8 *uuid)
{
	const struct cowp_state_block *b = block;
	const char *bad = cowp_check_header(block, COWP_MAGIC_STATE, uuid, COWP_STATE_BLOCK(copy));

	if (bad)
		return bad;
	memcpy(s->uuid, b->header.uuid, sizeof(s->uuid));
	s->sequence = le64_to_cpu(b->sequence);
	s->generation = le64_to_cpu(b->generation);
	s->session = le32_to_cpu(b->session);
	s->mode = b->mode;
	s->lost = b->lost;
	if (s->mode >= COWP_MODE_COUNT)
		return "mode";
	if (s->lost > 1)
		return "lost mark";
	return NULL;
}

void cowp_rec_encode(struct cowp_record *to, const struct cowp_rec *from)
{
	to->key = cpu_to_le64(from->key);
	to->location = cpu_to_le64(from->location);
	to->incarnation = cpu_to_le32(from->incarnation);
	to->crc = cpu_to_le32(from->crc);
}

void cowp_rec_decode(struct cowp_rec *to, const struct cowp_record *from)
{
	to->key = le64_to_cpu(from->key);
	to->location = le64_to_cpu(from->location);
	to->incarnation = le32_to_cpu(from->incarnation);
	to->crc = le32_to_cpu(from->crc);
}

u32 cowp_section_bytes(enum cowp_section section)
{
	static const u32 bytes[COWP_SECTION_COUNT] = {
		[COWP_SECTION_SNAPSHOTS] = sizeof(struct cowp_snapshot_rec),
		[COWP_SECTION_FRAGMENTS] = sizeof(struct cowp_fragment_rec),
		[COWP_SECTION_OPEN_LIST] = sizeof(struct cowp_open_rec),
		[COWP_SECTION_SEGMENTS] = sizeof(struct cowp_segment_rec),
	};

	return bytes[section];
}

u32 cowp_section_records(enum cowp_section section)
{
	return COWP_BODY_BYTES / cowp_section_bytes(section);
}

u32 cowp_body_max(u32 segments)
{
	return DIV_ROUND_UP(COWP_MAX_SNAPSHOTS, cowp_section_records(COWP_SECTION_SNAPSHOTS)) +
	       DIV_ROUND_UP(COWP_MAX_FRAGMENTS, cowp_section_records(COWP_SECTION_FRAGMENTS)) +
	       DIV_ROUND_UP(COWP_OPEN_LIST_MAX, cowp_section_records(COWP_SECTION_OPEN_LIST)) +
	       DIV_ROUND_UP(segments, cowp_section_records(COWP_SECTION_SEGMENTS));
}

const char *cowp_body_check(const struct cowp_super *s, u32 slot, u32 index, const void *data)
{
	const struct cowp_body_block *b = data;
	const char *bad = cowp_check_header(data, COWP_MAGIC_BODY, s->uuid,
					    s->body_block[slot] + index);

	if (bad)
		return bad;
	if (le64_to_cpu(b->generation) != s->generation)
		return "generation";
	if (le32_to_cpu(b->index) != index)
		return "order of blocks";
	if (le16_to_cpu(b->section) >= COWP_SECTION_COUNT)
		return "section";
	if (!b->count || le16_to_cpu(b->count) > cowp_section_records(le16_to_cpu(b->section)))
		return "number of records";
	return NULL;
}

/* At least this many segments, so that the reserve is a small part of them. */
#define LAYOUT_SEGMENTS		128U

/* The body areas have room for the table of an area grown by this factor. */
#define LAYOUT_GROWTH		16U

const char *cowp_layout(struct cowp_super *s, u64 device_blocks)
{
	struct cowp_geometry g;
	u32 size = max_t(u32, COWP_MIN_SEGMENT_BLOCKS, s->chunk_blocks * 16);
	u64 fit;

	if (!valid_chunk_blocks(s->chunk_blocks))
		return "chunk size";
	/*
	 * Larger segments have less overhead (1 % of header, summaries and ring
	 * at 16 MiB and 4 KiB chunks), smaller ones are freed sooner.
	 */
	while (size < 4096 && device_blocks / size >= 8 * LAYOUT_SEGMENTS)
		size *= 2;
	while (device_blocks / size > COWP_FORMAT_SEGMENTS && size < COWP_MAX_SEGMENT_BLOCKS)
		size *= 2;

	fit = min_t(u64, device_blocks / size, COWP_FORMAT_SEGMENTS);
	s->segment_blocks = size;
	s->body_max = cowp_body_max(min_t(u64, fit * LAYOUT_GROWTH, COWP_MAX_SEGMENTS));
	s->body_block[0] = COWP_FIRST_BODY_BLOCK;
	s->body_block[1] = s->body_block[0] + s->body_max;
	s->first_segment = round_up(s->body_block[1] + s->body_max, COWP_MIN_SEGMENT_BLOCKS);
	if (s->first_segment >= device_blocks ||
	    (device_blocks - s->first_segment) / size < COWP_MIN_SEGMENTS)
		return "the diff device is too small";
	s->segments = min_t(u64, (device_blocks - s->first_segment) / size, COWP_FORMAT_SEGMENTS);
	s->area_blocks = s->first_segment + (u64)s->segments * size;
	return cowp_geometry_init(&g, s->chunk_blocks, size);
}
