// SPDX-License-Identifier: GPL-2.0-only
/*
 * The disk format: round trips, and for each field of each structure what is
 * said when it is wrong.
 *
 * A field's own check is met by sealing the block anew behind the change; the
 * checks of the header by not doing so.
 */
#include <kunit/test.h>
#include "engine.h"
#include "format.h"
#include "world.h"

MODULE_DESCRIPTION("KUnit suites of dm-cowprotect");
MODULE_LICENSE("GPL");

static const u8 our_uuid[16] = "0123456789abcde";
static const u8 other_uuid[16] = "fedcba987654321";

#define DEVICE_BLOCKS	(64ULL << 20 >> COWP_BLOCK_SHIFT)

static void *new_block(struct kunit *test)
{
	void *block = kunit_kzalloc(test, COWP_BLOCK_SIZE, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, block);
	return block;
}

static void reseal(void *block)
{
	struct cowp_header h = *(struct cowp_header *)block;

	cowp_seal(block, le32_to_cpu(h.magic), h.uuid, le64_to_cpu(h.block),
		  le32_to_cpu(h.session), le32_to_cpu(h.incarnation));
}

/* ---- geometry ---- */

struct chunk_size {
	const char *name;
	u32 blocks;
};

static const struct chunk_size chunk_sizes[] = {
	{ "chunks of 4 KiB", 1 },
	{ "chunks of 8 KiB", 2 },
	{ "chunks of 16 KiB", 4 },
	{ "chunks of 32 KiB", 8 },
	{ "chunks of 64 KiB", 16 },
	{ "chunks of 128 KiB", 32 },
	{ "chunks of 256 KiB", 64 },
	{ "chunks of 512 KiB", 128 },
	{ "chunks of 1 MiB", 256 },
};

KUNIT_ARRAY_PARAM_DESC(chunk_size, chunk_sizes, name);

static void check_geometry(struct kunit *test, u32 chunk_blocks, u32 segment_blocks)
{
	u32 overhead = 1 + COWP_RING_BLOCKS + COWP_LANES;
	struct cowp_geometry g = { .first_segment = 768, .segments = 16 };
	const char *bad = cowp_geometry_init(&g, chunk_blocks, segment_blocks);
	u64 end = 768 + 3 * segment_blocks;
	u32 used;

	/* Two slots at least, or a chunk with a bad map finds no room. */
	if (segment_blocks < overhead + 2 * chunk_blocks + 1) {
		KUNIT_EXPECT_STREQ(test, bad, "segment size too small for the chunk size");
		return;
	}
	KUNIT_ASSERT_PTR_EQ_MSG(test, bad, NULL, "%s", bad);
	KUNIT_EXPECT_EQ(test, g.chunk_blocks, chunk_blocks);
	KUNIT_EXPECT_EQ(test, g.segment_blocks, segment_blocks);
	KUNIT_EXPECT_EQ(test, g.entry_bytes, 32 + (chunk_blocks > 1 ? 4 * chunk_blocks : 0));
	KUNIT_EXPECT_GE(test, g.entries, 1);
	KUNIT_EXPECT_LE(test, sizeof(struct cowp_summary) + g.entries * g.entry_bytes,
			COWP_BLOCK_SIZE);
	KUNIT_EXPECT_GE(test, g.epoch_entries * g.entry_bytes, sizeof(struct cowp_epoch_entry));
	KUNIT_EXPECT_LE(test, g.epoch_entries, g.entries);

	/* Every slot has its entry, though each lane may leave a home half empty. */
	KUNIT_EXPECT_GE(test, (g.homes - COWP_LANES) * g.entries, g.slots);
	used = 1 + g.homes + COWP_RING_BLOCKS + g.slots * g.chunk_blocks;
	KUNIT_EXPECT_LE(test, used, segment_blocks);
	/* Not one slot more would fit, with its entry. */
	KUNIT_EXPECT_GT(test, overhead + DIV_ROUND_UP(g.slots + 1, g.entries) +
			(g.slots + 1) * g.chunk_blocks, segment_blocks);

	/* Header, homes, ring and slots follow one another. */
	KUNIT_EXPECT_EQ(test, cowp_segment_block(&g, 3), end);
	KUNIT_EXPECT_EQ(test, cowp_home_block(&g, 3, 0), end + 1);
	KUNIT_EXPECT_EQ(test, cowp_ring_block(&g, 3, 0), cowp_home_block(&g, 3, g.homes));
	KUNIT_EXPECT_EQ(test, cowp_slot_block(&g, 3, 0),
			cowp_ring_block(&g, 3, COWP_RING_BLOCKS));
	KUNIT_EXPECT_LE(test, cowp_slot_block(&g, 3, g.slots), cowp_segment_block(&g, 4));
	KUNIT_EXPECT_EQ(test, cowp_segment_of(&g, end), 3);
	KUNIT_EXPECT_EQ(test, cowp_segment_of(&g, end - 1), 2);
	KUNIT_EXPECT_EQ(test, cowp_segment_of(&g, end + segment_blocks - 1), 3);
	/* What a location can hold. */
	KUNIT_EXPECT_LT(test, g.slots, 1U << 20);
	KUNIT_EXPECT_LE(test, g.homes * g.entries, 1U << 20);
}

/* Every size of segment that is a power of two, and some that are not. */
static void geometry_fits_its_segment(struct kunit *test)
{
	static const u32 segments[] = {
		256, 257, 300, 512, 1000, 1024, 2048, 4096, 4097, 8192, 16384, 32768, 65536,
		131072, 262144, 524288, 1048575, 1048576,
	};
	u32 chunk_blocks = ((const struct chunk_size *)test->param_value)->blocks;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(segments); i++)
		check_geometry(test, chunk_blocks, segments[i]);
}

struct bad_sizes {
	const char *name;
	u32 chunk_blocks;
	u32 segment_blocks;
	const char *reason;
};

static const struct bad_sizes bad_sizes[] = {
	{ "no chunk", 0, 256, "chunk size" },
	{ "chunk of no power of two", 3, 256, "chunk size" },
	{ "chunk too large", 512, 4096, "chunk size" },
	{ "chunk far too large", 1U << 31, 4096, "chunk size" },
	{ "no segment", 1, 0, "segment size" },
	{ "segment too small", 1, 255, "segment size" },
	{ "segment too large", 1, (1 << 20) + 1, "segment size" },
	{ "segment far too large", 1, ~0U, "segment size" },
	{ "segment with room for one chunk", 128, 256,
	  "segment size too small for the chunk size" },
};

KUNIT_ARRAY_PARAM_DESC(bad_sizes, bad_sizes, name);

static void geometry_is_refused(struct kunit *test)
{
	const struct bad_sizes *z = test->param_value;
	struct cowp_geometry g = { 0 };

	KUNIT_EXPECT_STREQ(test, cowp_geometry_init(&g, z->chunk_blocks, z->segment_blocks),
			   z->reason);
}

/* ---- keys, locations, records ---- */

static void keys_and_locations(struct kunit *test)
{
	static const u64 chunks[] = { 0, 1, 12345, COWP_MAX_CHUNKS - 1 };
	static const u32 epochs[] = { 0, 1, 77, COWP_MAX_EPOCH };
	static const u32 parts[] = { 0, 1, 0x5a5a5, 0xfffff };
	u32 i, j, k;

	for (i = 0; i < ARRAY_SIZE(chunks); i++) {
		for (j = 0; j < ARRAY_SIZE(epochs); j++) {
			u64 key = cowp_key(chunks[i], epochs[j]);

			KUNIT_EXPECT_EQ(test, cowp_key_chunk(key), chunks[i]);
			KUNIT_EXPECT_EQ(test, cowp_key_epoch(key), epochs[j]);
			if (j)
				KUNIT_EXPECT_GT(test, key, cowp_key(chunks[i], epochs[j - 1]));
			if (i)
				KUNIT_EXPECT_GT(test, key,
						cowp_key(chunks[i - 1], COWP_MAX_EPOCH));
		}
	}
	for (i = 0; i < ARRAY_SIZE(parts); i++) {
		for (j = 0; j < ARRAY_SIZE(parts); j++) {
			for (k = 0; k < 16; k++) {
				struct cowp_place p = {
					parts[i], parts[j], parts[(i + j) % 4], k
				};
				struct cowp_place q = cowp_place_of(cowp_location(&p));

				KUNIT_EXPECT_MEMEQ(test, &p, &q, sizeof(p));
			}
		}
	}
}

static void records(struct kunit *test)
{
	struct cowp_rec from = {
		0x0123456789abcdefULL, 0xfedcba9876543210ULL, 0x11223344, 0x55667788
	};
	static const u8 bytes[] = {
		0xef, 0xcd, 0xab, 0x89, 0x67, 0x45, 0x23, 0x01,
		0x10, 0x32, 0x54, 0x76, 0x98, 0xba, 0xdc, 0xfe,
		0x44, 0x33, 0x22, 0x11, 0x88, 0x77, 0x66, 0x55,
	};
	struct cowp_record disk;
	struct cowp_rec to;

	cowp_rec_encode(&disk, &from);
	KUNIT_EXPECT_EQ(test, sizeof(disk), sizeof(bytes));
	KUNIT_EXPECT_MEMEQ(test, (u8 *)&disk, bytes, sizeof(bytes));
	cowp_rec_decode(&to, &disk);
	KUNIT_EXPECT_MEMEQ(test, &from, &to, sizeof(from));
}

static void checksums_of_chunks(struct kunit *test)
{
	u32 csum[] = { 0x11111111, 0x22222222, 0x33333333 };

	/* crc32c of "123456789" without the final inversion. */
	KUNIT_EXPECT_EQ(test, port_crc32c(~0U, "123456789", 9), ~0xe3069283U);
	KUNIT_EXPECT_EQ(test, cowp_chunk_crc(csum, 1), csum[0]);
	KUNIT_EXPECT_EQ(test, cowp_chunk_crc(csum, 3), port_crc32c(~0U, csum, sizeof(csum)));
}

/* ---- the header ---- */

struct header_case {
	const char *name;
	void (*damage)(void *block);
	u64 nr;
	const u8 *uuid;
	const char *reason;
};

static void no_damage(void *block)
{
}

static void damage_magic(void *block)
{
	*(u8 *)block ^= 1;
}

static void damage_crc(void *block)
{
	((struct cowp_header *)block)->crc ^= 1;
}

static void damage_first(void *block)
{
	((struct cowp_header *)block)->uuid[0] ^= 1;
}

static void damage_last(void *block)
{
	((u8 *)block)[COWP_BLOCK_SIZE - 1] ^= 0x80;
}

static void damage_session(void *block)
{
	((struct cowp_header *)block)->session ^= 1;
}

static void damage_incarnation(void *block)
{
	((struct cowp_header *)block)->incarnation ^= 1;
}

static void damage_all(void *block)
{
	memset(block, 0, COWP_BLOCK_SIZE);
}

static const struct header_case header_cases[] = {
	{ "good", no_damage, 77, our_uuid, NULL },
	{ "good, uuid not known yet", no_damage, 77, NULL, NULL },
	{ "magic", damage_magic, 77, our_uuid, "magic number" },
	{ "zero", damage_all, 77, our_uuid, "magic number" },
	{ "checksum", damage_crc, 77, our_uuid, "checksum" },
	{ "a bit of the uuid", damage_first, 77, our_uuid, "checksum" },
	{ "a bit of the session", damage_session, 77, our_uuid, "checksum" },
	{ "a bit of the incarnation", damage_incarnation, 77, our_uuid, "checksum" },
	{ "the last bit", damage_last, 77, our_uuid, "checksum" },
	{ "another area's", no_damage, 77, other_uuid, "uuid" },
	{ "another place's", no_damage, 78, our_uuid, "block address" },
	{ "another place's, above 32 bits", no_damage, 77 + (1ULL << 32), our_uuid,
	  "block address" },
};

KUNIT_ARRAY_PARAM_DESC(header, header_cases, name);

static void header_is_checked(struct kunit *test)
{
	const struct header_case *c = test->param_value;
	void *block = new_block(test);

	memset(block, 0xa5, COWP_BLOCK_SIZE);
	cowp_seal(block, COWP_MAGIC_RUN, our_uuid, 77, 5, 6);
	c->damage(block);
	KUNIT_EXPECT_STREQ(test, cowp_check_header(block, COWP_MAGIC_RUN, c->uuid, c->nr) ?: "",
			   c->reason ?: "");
}

/* ---- the root ---- */

static struct cowp_super good_super(u32 chunk_blocks)
{
	struct cowp_super s = {
		.generation = 0x1122334455667788ULL,
		.chunk_blocks = chunk_blocks,
		.body_blocks = 7,
		.body_crc = 0xabcdef01,
		.epoch = 1234,
		.live_sectors = 1 << 20,
		.incarnation = 99,
		.session = 42,
		.replay_batch = 1000,
		.last_batch = 2000,
		.created = 1700000000,
	};

	memcpy(s.uuid, our_uuid, sizeof(s.uuid));
	cowp_layout(&s, DEVICE_BLOCKS);
	return s;
}

static void root_round_trip(struct kunit *test)
{
	void *block = new_block(test);
	u32 chunk_blocks, slot;

	for (chunk_blocks = 1; chunk_blocks <= 256; chunk_blocks *= 2) {
		struct cowp_super from = good_super(chunk_blocks), to;

		/* Larger chunks have larger segments, which need a larger device. */
		cowp_layout(&from, 8 * DEVICE_BLOCKS);
		memset(&to, 0, sizeof(to));
		for (slot = 0; slot < COWP_SLOTS; slot++) {
			from.flags = slot ? COWP_ROOT_CLEAN : 0;
			cowp_root_encode(block, slot, &from);
			KUNIT_EXPECT_PTR_EQ(test, cowp_root_decode(&to, block, slot, our_uuid,
								   from.area_blocks), NULL);
			KUNIT_EXPECT_MEMEQ(test, &from, &to, sizeof(from));
			KUNIT_EXPECT_STREQ(test, cowp_root_decode(&to, block, !slot, our_uuid,
								  from.area_blocks),
					   "block address");
		}
	}
}

/* Each field that has a check, at the values next to what is allowed. */
enum root_field {
	ROOT_GOOD, ROOT_VERSION, ROOT_INCOMPAT, ROOT_RO_COMPAT, ROOT_COMPAT, ROOT_FLAGS,
	ROOT_CHUNK_BLOCKS, ROOT_SEGMENT_BLOCKS, ROOT_SEGMENTS, ROOT_FIRST_SEGMENT,
	ROOT_AREA_BLOCKS, ROOT_BODY_0, ROOT_BODY_1, ROOT_BODY_MAX, ROOT_BODY_BLOCKS,
	ROOT_EPOCH, ROOT_LIVE_SECTORS, ROOT_REPLAY_BATCH,
};

struct root_damage {
	const char *name;
	enum root_field field;
	u64 value;
	const char *reason;
};

static const struct root_damage root_damages[] = {
	{ "nothing", ROOT_GOOD, 0, NULL },
	{ "version 0", ROOT_VERSION, 0, "format version" },
	{ "next version", ROOT_VERSION, COWP_FORMAT_VERSION + 1, "format version" },
	{ "incompat feature", ROOT_INCOMPAT, 1U << 31, "incompatible features" },
	{ "ro_compat feature", ROOT_RO_COMPAT, 1, "read-only compatible features" },
	{ "compat feature is welcome", ROOT_COMPAT, 1, NULL },
	{ "flag", ROOT_FLAGS, COWP_ROOT_CLEAN << 1, "flags" },
	{ "highest flag", ROOT_FLAGS, 1U << 31 | COWP_ROOT_CLEAN, "flags" },
	{ "chunk size 0", ROOT_CHUNK_BLOCKS, 0, "chunk size" },
	{ "chunk size 3", ROOT_CHUNK_BLOCKS, 3, "chunk size" },
	{ "chunk size 512", ROOT_CHUNK_BLOCKS, 512, "chunk size" },
	{ "chunks too large for the segments", ROOT_CHUNK_BLOCKS, 256,
	  "segment size too small for the chunk size" },
	{ "segment size 0", ROOT_SEGMENT_BLOCKS, 0, "segment size" },
	{ "segment size too small", ROOT_SEGMENT_BLOCKS, 255, "segment size" },
	{ "segment size too large", ROOT_SEGMENT_BLOCKS, (1 << 20) + 1, "segment size" },
	{ "segments larger than the area", ROOT_SEGMENT_BLOCKS, 512, "segments beyond the area" },
	{ "no segment", ROOT_SEGMENTS, 0, "number of segments" },
	{ "too many segments", ROOT_SEGMENTS, COWP_MAX_SEGMENTS + 1, "number of segments" },
	{ "all segments there can be", ROOT_SEGMENTS, ~0U, "number of segments" },
	{ "one segment more than fits", ROOT_SEGMENTS, 62, "segments beyond the area" },
	{ "first segment beyond the area", ROOT_FIRST_SEGMENT, ~0ULL,
	  "segments beyond the area" },
	{ "first segment a block too far", ROOT_FIRST_SEGMENT, 769, "segments beyond the area" },
	{ "first segment inside a body", ROOT_FIRST_SEGMENT, 600, "place of the body" },
	{ "area larger than its device", ROOT_AREA_BLOCKS, DEVICE_BLOCKS + 1,
	  "area larger than its device" },
	{ "area of all blocks there can be", ROOT_AREA_BLOCKS, ~0ULL,
	  "area larger than its device" },
	{ "area too small for its segments", ROOT_AREA_BLOCKS, 1000, "segments beyond the area" },
	{ "no area", ROOT_AREA_BLOCKS, 0, "segments beyond the area" },
	{ "first body in the fixed places", ROOT_BODY_0, COWP_FIRST_BODY_BLOCK - 1,
	  "place of the body" },
	{ "first body beyond the area", ROOT_BODY_0, ~0ULL, "place of the body" },
	{ "first body over the second", ROOT_BODY_0, COWP_FIRST_BODY_BLOCK + 1,
	  "place of the body" },
	{ "second body over the first", ROOT_BODY_1, COWP_FIRST_BODY_BLOCK,
	  "place of the body" },
	{ "second body over the segments", ROOT_BODY_1, 767, "place of the body" },
	{ "second body beyond the area", ROOT_BODY_1, ~0ULL - 4, "place of the body" },
	{ "body areas of no size", ROOT_BODY_MAX, 0, "size of the body" },
	{ "body larger than its area", ROOT_BODY_BLOCKS, 10000, "size of the body" },
	{ "no body", ROOT_BODY_BLOCKS, 0, "size of the body" },
	{ "body areas of any size", ROOT_BODY_MAX, ~0U, "size of the body" },
	{ "last epoch", ROOT_EPOCH, COWP_MAX_EPOCH, NULL },
	{ "epoch", ROOT_EPOCH, COWP_MAX_EPOCH + 1, "epoch" },
	{ "no live volume", ROOT_LIVE_SECTORS, 0, "size of the live volume" },
	{ "largest live volume", ROOT_LIVE_SECTORS, COWP_MAX_CHUNKS * 8, NULL },
	{ "live volume too large", ROOT_LIVE_SECTORS, COWP_MAX_CHUNKS * 8 + 1,
	  "size of the live volume" },
	{ "all replayed", ROOT_REPLAY_BATCH, 2000, NULL },
	{ "replay behind the last batch", ROOT_REPLAY_BATCH, 2001, "batch numbers" },
};

KUNIT_ARRAY_PARAM_DESC(root, root_damages, name);

static void damage_root(struct cowp_root *r, enum root_field field, u64 value)
{
	switch (field) {
	case ROOT_GOOD:
		break;
	case ROOT_VERSION:
		r->version = cpu_to_le32(value);
		break;
	case ROOT_INCOMPAT:
		r->incompat = cpu_to_le32(value);
		break;
	case ROOT_RO_COMPAT:
		r->ro_compat = cpu_to_le32(value);
		break;
	case ROOT_COMPAT:
		r->compat = cpu_to_le32(value);
		break;
	case ROOT_FLAGS:
		r->flags = cpu_to_le32(value);
		break;
	case ROOT_CHUNK_BLOCKS:
		r->chunk_blocks = cpu_to_le32(value);
		break;
	case ROOT_SEGMENT_BLOCKS:
		r->segment_blocks = cpu_to_le32(value);
		break;
	case ROOT_SEGMENTS:
		r->segments = cpu_to_le32(value);
		break;
	case ROOT_FIRST_SEGMENT:
		r->first_segment = cpu_to_le64(value);
		break;
	case ROOT_AREA_BLOCKS:
		r->area_blocks = cpu_to_le64(value);
		break;
	case ROOT_BODY_0:
		r->body_block[0] = cpu_to_le64(value);
		break;
	case ROOT_BODY_1:
		r->body_block[1] = cpu_to_le64(value);
		break;
	case ROOT_BODY_MAX:
		r->body_max = cpu_to_le32(value);
		break;
	case ROOT_BODY_BLOCKS:
		r->body_blocks = cpu_to_le32(value);
		break;
	case ROOT_EPOCH:
		r->epoch = cpu_to_le32(value);
		break;
	case ROOT_LIVE_SECTORS:
		r->live_sectors = cpu_to_le64(value);
		break;
	case ROOT_REPLAY_BATCH:
		r->replay_batch = cpu_to_le64(value);
		break;
	}
}

static void root_is_checked(struct kunit *test)
{
	const struct root_damage *c = test->param_value;
	struct cowp_super s = good_super(1);
	void *block = new_block(test);

	KUNIT_ASSERT_EQ(test, s.segments, 61);
	KUNIT_ASSERT_EQ(test, s.first_segment, 768);
	cowp_root_encode(block, 0, &s);
	damage_root(block, c->field, c->value);
	/* Unsealed, any change at all is one too many. */
	if (c->field != ROOT_GOOD)
		KUNIT_EXPECT_STREQ(test, cowp_root_decode(&s, block, 0, our_uuid, DEVICE_BLOCKS),
				   "checksum");
	reseal(block);
	KUNIT_EXPECT_STREQ(test, cowp_root_decode(&s, block, 0, our_uuid, DEVICE_BLOCKS) ?: "",
			   c->reason ?: "");
	KUNIT_EXPECT_STREQ(test, cowp_root_decode(&s, block, 0, other_uuid, DEVICE_BLOCKS),
			   "uuid");
}

/* ---- the state block ---- */

static void state_round_trip(struct kunit *test)
{
	struct cowp_area_state from = {
		.sequence = 0x1122334455667788ULL, .generation = 0x99aabbccddeeff00ULL,
		.session = 0x12345678,
	};
	void *block = new_block(test);
	struct cowp_area_state to;
	u32 copy;

	memcpy(from.uuid, our_uuid, sizeof(from.uuid));
	for (copy = 0; copy < COWP_SLOTS; copy++) {
		for (from.mode = 0; from.mode < COWP_MODE_COUNT; from.mode++) {
			for (from.lost = 0; from.lost < 2; from.lost++) {
				memset(&to, 0, sizeof(to));
				cowp_state_encode(block, copy, &from);
				KUNIT_EXPECT_PTR_EQ(test, cowp_state_decode(&to, block, copy,
									    our_uuid), NULL);
				KUNIT_EXPECT_MEMEQ(test, &from, &to, sizeof(from));
			}
		}
	}
}

struct state_damage {
	const char *name;
	u8 mode;
	u8 lost;
	bool seal;
	u32 copy;
	const u8 *uuid;
	const char *reason;
};

static const struct state_damage state_damages[] = {
	{ "nothing", 1, 1, true, 0, our_uuid, NULL },
	{ "uuid not known yet", 0, 0, true, 0, NULL, NULL },
	{ "mode", COWP_MODE_COUNT, 0, true, 0, our_uuid, "mode" },
	{ "mode 255", 255, 0, true, 0, our_uuid, "mode" },
	{ "lost mark", 0, 2, true, 0, our_uuid, "lost mark" },
	{ "lost mark 255", 0, 255, true, 0, our_uuid, "lost mark" },
	{ "checksum", 1, 1, false, 0, our_uuid, "checksum" },
	{ "uuid", 0, 0, true, 0, other_uuid, "uuid" },
	{ "the other copy's place", 0, 0, true, 1, our_uuid, "block address" },
};

KUNIT_ARRAY_PARAM_DESC(state, state_damages, name);

static void state_is_checked(struct kunit *test)
{
	const struct state_damage *c = test->param_value;
	struct cowp_area_state s = { .sequence = 1 };
	void *block = new_block(test);
	struct cowp_state_block *b = block;

	memcpy(s.uuid, our_uuid, sizeof(s.uuid));
	cowp_state_encode(block, 0, &s);
	b->mode = c->mode;
	b->lost = c->lost;
	if (c->seal)
		reseal(block);
	KUNIT_EXPECT_STREQ(test, cowp_state_decode(&s, block, c->copy, c->uuid) ?: "",
			   c->reason ?: "");
}

/* ---- body blocks ---- */

struct body_damage {
	const char *name;
	u64 generation;
	u32 index;
	u16 section;
	u16 count;
	u64 nr;		/* less the body's first block */
	const char *reason;
};

#define GENERATION	0x1122334455667788ULL

static const struct body_damage body_damages[] = {
	{ "nothing", GENERATION, 3, COWP_SECTION_SEGMENTS, 1, 3, NULL },
	{ "older generation", GENERATION - 1, 3, COWP_SECTION_SEGMENTS, 1, 3, "generation" },
	{ "another index", GENERATION, 4, COWP_SECTION_SEGMENTS, 1, 3, "order of blocks" },
	{ "another place", GENERATION, 3, COWP_SECTION_SEGMENTS, 1, 4, "block address" },
	{ "section", GENERATION, 3, COWP_SECTION_COUNT, 1, 3, "section" },
	{ "section 65535", GENERATION, 3, 65535, 1, 3, "section" },
	{ "no record", GENERATION, 3, COWP_SECTION_SEGMENTS, 0, 3, "number of records" },
	{ "all segments", GENERATION, 3, COWP_SECTION_SEGMENTS, 252, 3, NULL },
	{ "a segment too many", GENERATION, 3, COWP_SECTION_SEGMENTS, 253, 3,
	  "number of records" },
	{ "all snapshots", GENERATION, 3, COWP_SECTION_SNAPSHOTS, 42, 3, NULL },
	{ "a snapshot too many", GENERATION, 3, COWP_SECTION_SNAPSHOTS, 43, 3,
	  "number of records" },
	{ "all fragments", GENERATION, 3, COWP_SECTION_FRAGMENTS, 63, 3, NULL },
	{ "a fragment too many", GENERATION, 3, COWP_SECTION_FRAGMENTS, 64, 3,
	  "number of records" },
	{ "all of the open list", GENERATION, 3, COWP_SECTION_OPEN_LIST, 504, 3, NULL },
	{ "one too many on the open list", GENERATION, 3, COWP_SECTION_OPEN_LIST, 505, 3,
	  "number of records" },
};

KUNIT_ARRAY_PARAM_DESC(body, body_damages, name);

static void body_is_checked(struct kunit *test)
{
	const struct body_damage *c = test->param_value;
	struct cowp_super s = good_super(1);
	void *block = new_block(test);
	struct cowp_body_block *b = block;
	u32 slot;

	for (slot = 0; slot < COWP_SLOTS; slot++) {
		b->generation = cpu_to_le64(c->generation);
		b->index = cpu_to_le32(c->index);
		b->section = cpu_to_le16(c->section);
		b->count = cpu_to_le16(c->count);
		cowp_seal(block, COWP_MAGIC_BODY, our_uuid, s.body_block[slot] + c->nr, 1, 0);
		KUNIT_EXPECT_STREQ(test, cowp_body_check(&s, slot, 3, block) ?: "",
				   c->reason ?: "");
		KUNIT_EXPECT_STREQ(test, cowp_body_check(&s, !slot, 3, block), "block address");
		damage_last(block);
		KUNIT_EXPECT_STREQ(test, cowp_body_check(&s, slot, 3, block), "checksum");
		damage_last(block);
	}
}

static void body_has_room_for_everything(struct kunit *test)
{
	static const u32 segments[] = { 1, 16, 252, 253, 65536, COWP_MAX_SEGMENTS };
	u32 i;

	KUNIT_EXPECT_EQ(test, cowp_section_bytes(COWP_SECTION_SNAPSHOTS), 96);
	KUNIT_EXPECT_EQ(test, cowp_section_bytes(COWP_SECTION_FRAGMENTS), 64);
	KUNIT_EXPECT_EQ(test, cowp_section_bytes(COWP_SECTION_OPEN_LIST), 8);
	KUNIT_EXPECT_EQ(test, cowp_section_bytes(COWP_SECTION_SEGMENTS), 16);
	for (i = 0; i < ARRAY_SIZE(segments); i++)
		KUNIT_EXPECT_EQ(test, cowp_body_max(segments[i]),
				DIV_ROUND_UP(1024, 42) + DIV_ROUND_UP(2048, 63) +
				DIV_ROUND_UP(1024, 504) + DIV_ROUND_UP(segments[i], 252));
}

/* ---- trees ---- */

struct tree_shape {
	const char *name;
	u32 leaf_records;
	u32 node_keys;
};

static const struct tree_shape tree_shapes[] = {
	{ "as on the disk", 168, 504 },
	{ "leaves of 8, nodes of 4", 8, 4 },
	{ "leaves of 1, nodes of 2", 1, 2 },
	{ "leaves of 3, nodes of 7", 3, 7 },
};

KUNIT_ARRAY_PARAM_DESC(tree, tree_shapes, name);

static u32 count_blocks(const struct tree_shape *t, u32 records)
{
	u32 level = (records + t->leaf_records - 1) / t->leaf_records;
	u32 blocks = 0;

	for (;;) {
		blocks += level;
		if (level <= 1)
			return blocks;
		level = (level + t->node_keys - 1) / t->node_keys;
	}
}

static void trees_are_counted(struct kunit *test)
{
	const struct tree_shape *t = test->param_value;
	u32 records, blocks, last = 0;

	if (t->leaf_records != 168) {
		kunit_leaf_records = t->leaf_records;
		kunit_node_keys = t->node_keys;
	}
	KUNIT_EXPECT_EQ(test, cowp_leaf_records(), t->leaf_records);
	KUNIT_EXPECT_EQ(test, cowp_node_keys(), t->node_keys);
	for (records = 0; records < 3000; records++) {
		blocks = cowp_tree_blocks(records);
		KUNIT_ASSERT_EQ(test, blocks, count_blocks(t, records));
		KUNIT_ASSERT_GE(test, blocks, last);
		last = blocks;
	}
	/* The most records whose tree fits: it does, and a leaf more does not. */
	for (blocks = 0; blocks < 400; blocks++) {
		records = cowp_tree_records(blocks);
		KUNIT_ASSERT_LE(test, cowp_tree_blocks(records), blocks);
		KUNIT_ASSERT_GT(test, cowp_tree_blocks(records + t->leaf_records), blocks);
	}
	KUNIT_EXPECT_GE(test, cowp_tree_records(cowp_tree_blocks(65536)), 65536);
	kunit_leaf_records = COWP_BLOCK_SIZE;
	kunit_node_keys = COWP_BLOCK_SIZE;
}

/* ---- the layout ---- */

struct device_size {
	const char *name;
	u64 blocks;
};

static const struct device_size device_sizes[] = {
	{ "nothing", 0 },
	{ "one block", 1 },
	{ "the fixed places", COWP_FIRST_BODY_BLOCK },
	{ "a block short of a segment", 1023 },
	{ "2 MiB", 512 },
	{ "16 MiB", 4096 },
	{ "19 MiB less a block", 4863 },
	{ "19 MiB", 4864 },
	{ "64 MiB", 16384 },
	{ "64 MiB and a block", 16385 },
	{ "100 MB", 24414 },
	{ "300 MiB", 76800 },
	{ "1 GiB", 1 << 18 },
	{ "1 GiB less a block", (1 << 18) - 1 },
	{ "10 GiB", 10ULL << 18 },
	{ "1 TiB", 1ULL << 28 },
	{ "1 TiB and 12345 blocks", (1ULL << 28) + 12345 },
	{ "20 TiB", 20ULL << 28 },
	{ "256 TiB", 1ULL << 36 },
	{ "1 PiB", 1ULL << 38 },
	{ "8 EiB less a block", (1ULL << 51) - 1 },
};

KUNIT_ARRAY_PARAM_DESC(device_size, device_sizes, name);

static void check_layout(struct kunit *test, const struct cowp_super *s, u64 blocks)
{
	struct cowp_super to, from = *s;
	void *block = new_block(test);

	KUNIT_EXPECT_GE(test, s->segments, COWP_MIN_SEGMENTS);
	KUNIT_EXPECT_LE(test, s->segments, COWP_FORMAT_SEGMENTS);
	KUNIT_EXPECT_LE(test, s->area_blocks, blocks);
	KUNIT_EXPECT_LE(test, s->first_segment + (u64)s->segments * s->segment_blocks,
			s->area_blocks);
	/* Nothing is wasted that makes a segment, but where their number ends. */
	if (s->segments < COWP_FORMAT_SEGMENTS)
		KUNIT_EXPECT_LT(test, blocks - s->area_blocks, s->segment_blocks);
	KUNIT_EXPECT_EQ(test, s->first_segment % COWP_MIN_SEGMENT_BLOCKS, 0);
	KUNIT_EXPECT_GE(test, s->body_max, cowp_body_max(s->segments));
	/* Metadata stays within 2 % and the fixed places. */
	KUNIT_EXPECT_LE(test, s->first_segment, 1024 + div_u64(blocks, 50));

	/* What was laid out is accepted when it is read. */
	from.body_blocks = 1;
	from.live_sectors = 8;
	cowp_root_encode(block, 0, &from);
	KUNIT_EXPECT_STREQ(test, cowp_root_decode(&to, block, 0, NULL, blocks) ?: "", "");
}

static void layout_suits_the_device(struct kunit *test)
{
	const struct device_size *d = test->param_value;
	u32 chunk_blocks;

	for (chunk_blocks = 1; chunk_blocks <= 256; chunk_blocks *= 2) {
		struct cowp_super s = { .chunk_blocks = chunk_blocks };
		const char *bad = cowp_layout(&s, d->blocks);
		u32 smallest = max(256U, 16 * chunk_blocks);

		KUNIT_EXPECT_STREQ(test, bad ?: "", cowp_area_fits(chunk_blocks, d->blocks) ?: "");
		/* With 16 segments there is an area, but never for the fixed places alone. */
		if (d->blocks < COWP_FIRST_BODY_BLOCK + 16 * smallest)
			KUNIT_EXPECT_STREQ(test, bad ?: "", "the diff device is too small");
		else if (d->blocks >= 1024 + 17 * smallest)
			KUNIT_EXPECT_STREQ(test, bad ?: "", "");
		if (!bad)
			check_layout(test, &s, d->blocks);
	}
}

static void layout_refuses_chunk_sizes(struct kunit *test)
{
	static const u32 sizes[] = { 0, 3, 5, 257, 512, 1U << 28 };
	u32 i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++)
		KUNIT_EXPECT_STREQ(test, cowp_area_fits(sizes[i], 1 << 20) ?: "", "chunk size");
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(geometry_fits_its_segment, chunk_size_gen_params),
	KUNIT_CASE_PARAM(geometry_is_refused, bad_sizes_gen_params),
	KUNIT_CASE(keys_and_locations),
	KUNIT_CASE(records),
	KUNIT_CASE(checksums_of_chunks),
	KUNIT_CASE_PARAM(header_is_checked, header_gen_params),
	KUNIT_CASE(root_round_trip),
	KUNIT_CASE_PARAM(root_is_checked, root_gen_params),
	KUNIT_CASE(state_round_trip),
	KUNIT_CASE_PARAM(state_is_checked, state_gen_params),
	KUNIT_CASE_PARAM(body_is_checked, body_gen_params),
	KUNIT_CASE(body_has_room_for_everything),
	KUNIT_CASE_PARAM(trees_are_counted, tree_gen_params),
	KUNIT_CASE_PARAM(layout_suits_the_device, device_size_gen_params),
	KUNIT_CASE(layout_refuses_chunk_sizes),
	{}
};

static struct kunit_suite suite = {
	.name = "cowprotect-format",
	.test_cases = cases,
};

kunit_test_suite(suite);
