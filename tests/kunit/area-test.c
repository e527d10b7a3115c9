// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the fixed blocks of a diff device are taken for.
 */
#include <kunit/test.h>
#include "engine.h"
#include "format.h"

#define DEVICE_BLOCKS	(64ULL << 20 >> COWP_BLOCK_SHIFT)

/* What stands in a block. */
enum content {
	UNREADABLE,
	ZERO,
	FOREIGN,	/* a filesystem's, say */
	OLD,		/* valid, of a lower generation or sequence */
	NEW,		/* valid */
	NEW_LOST,	/* state: likewise, with the lost mark */
	TORN,		/* the magic number and a wrong checksum */
	NEWER_FORMAT,	/* root: sealed, of a version unknown here */
	INCOMPAT,	/* root: sealed, with a feature unknown here */
	RO_COMPAT,	/* likewise */
	IMPOSSIBLE,	/* root: sealed, with a field that cannot be */
};

struct area_case {
	const char *name;
	enum content root[COWP_SLOTS];
	enum content state[COWP_SLOTS];
	enum cowp_area area;
	u64 generation;
	bool snapshots;
};

static const struct area_case area_cases[] = {
	{ "nothing can be read", { UNREADABLE, UNREADABLE }, { UNREADABLE, UNREADABLE },
	  COWP_AREA_UNREADABLE },
	{ "blank", { ZERO, ZERO }, { ZERO, ZERO }, COWP_AREA_BLANK },
	{ "blank as far as it can be read", { ZERO, UNREADABLE }, { UNREADABLE, UNREADABLE },
	  COWP_AREA_BLANK },
	{ "foreign", { FOREIGN, FOREIGN }, { FOREIGN, FOREIGN }, COWP_AREA_FOREIGN },
	{ "foreign at the first block", { FOREIGN, ZERO }, { ZERO, ZERO }, COWP_AREA_FOREIGN },
	{ "foreign at the last block", { ZERO, ZERO }, { ZERO, FOREIGN }, COWP_AREA_FOREIGN },
	{ "foreign as far as it can be read", { UNREADABLE, UNREADABLE },
	  { FOREIGN, UNREADABLE }, COWP_AREA_FOREIGN },
	{ "both roots torn", { TORN, TORN }, { NEW, NEW }, COWP_AREA_CORRUPT },
	{ "a torn root in a foreign area", { TORN, FOREIGN }, { FOREIGN, FOREIGN },
	  COWP_AREA_CORRUPT },
	{ "an impossible root", { IMPOSSIBLE, ZERO }, { NEW, NEW }, COWP_AREA_CORRUPT },
	{ "states without roots", { ZERO, ZERO }, { NEW, ZERO }, COWP_AREA_CORRUPT },
	{ "a torn state without roots", { ZERO, ZERO }, { ZERO, TORN }, COWP_AREA_CORRUPT },
	{ "first root is newest", { NEW, OLD }, { NEW, NEW }, COWP_AREA_OURS, 9, true },
	{ "second root is newest", { OLD, NEW }, { NEW, NEW }, COWP_AREA_OURS, 9, true },
	{ "one root torn", { TORN, OLD }, { NEW, NEW }, COWP_AREA_OURS, 5, true },
	{ "one root unreadable", { OLD, UNREADABLE }, { NEW, NEW }, COWP_AREA_OURS, 5, true },
	{ "one root impossible", { IMPOSSIBLE, OLD }, { NEW, NEW }, COWP_AREA_OURS, 5, true },
	{ "one root foreign", { FOREIGN, NEW }, { NEW, NEW }, COWP_AREA_OURS, 9, true },
	{ "no state", { NEW, OLD }, { ZERO, ZERO }, COWP_AREA_OURS, 9, true },
	{ "lost", { NEW, OLD }, { NEW_LOST, NEW_LOST }, COWP_AREA_OURS, 9, false },
	{ "lost in the newest state alone", { NEW, OLD }, { OLD, NEW_LOST },
	  COWP_AREA_OURS, 9, false },
	{ "lost, the other copy torn", { NEW, OLD }, { NEW_LOST, TORN }, COWP_AREA_OURS, 9, false },
	{ "a newer version", { NEWER_FORMAT, NEWER_FORMAT }, { NEW, NEW },
	  COWP_AREA_UNSUPPORTED },
	{ "a newer version in one slot", { NEW, NEWER_FORMAT }, { NEW, NEW },
	  COWP_AREA_UNSUPPORTED },
	{ "an incompatible feature", { INCOMPAT, OLD }, { NEW, NEW }, COWP_AREA_UNSUPPORTED },
	{ "a feature that forbids writing", { RO_COMPAT, OLD }, { NEW, NEW },
	  COWP_AREA_UNSUPPORTED },
};

KUNIT_ARRAY_PARAM_DESC(area, area_cases, name);

static const u8 our_uuid[16] = "0123456789abcde";

static void reseal_root(struct cowp_root *r, u32 slot)
{
	cowp_seal(r, COWP_MAGIC_ROOT, our_uuid, COWP_ROOT_BLOCK(slot), 1, 0);
}

static void make_root(void *block, enum content content, u32 slot)
{
	struct cowp_super s = {
		.generation = content == OLD ? 5 : 9, .chunk_blocks = 4,
		.body_blocks = 1, .live_sectors = content == OLD ? 500 : 1000,
	};
	struct cowp_root *r = block;

	memcpy(s.uuid, our_uuid, sizeof(s.uuid));
	cowp_layout(&s, DEVICE_BLOCKS);
	cowp_root_encode(block, slot, &s);
	if (content == TORN)
		memset((u8 *)block + 512, 0xee, 512);
	if (content == NEWER_FORMAT)
		r->version = cpu_to_le32(COWP_FORMAT_VERSION + 1);
	if (content == INCOMPAT)
		r->incompat = cpu_to_le32(1);
	if (content == RO_COMPAT)
		r->ro_compat = cpu_to_le32(1);
	if (content == IMPOSSIBLE)
		r->segments = cpu_to_le32(1 << 19);
	if (content > TORN)
		reseal_root(r, slot);
}

static void make_state(void *block, enum content content, u32 copy)
{
	struct cowp_area_state s = {
		.sequence = content == OLD ? 3 : 4,
		.generation = 5,
		.lost = content == NEW_LOST,
	};

	memcpy(s.uuid, our_uuid, sizeof(s.uuid));
	cowp_state_encode(block, copy, &s);
	if (content == TORN)
		memset((u8 *)block + 512, 0xee, 512);
}

static void *make(struct kunit *test, enum content content, u32 i,
		  void (*ours)(void *block, enum content content, u32 i))
{
	void *block;

	if (content == UNREADABLE)
		return NULL;
	block = kunit_kzalloc(test, COWP_BLOCK_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, block);
	if (content == FOREIGN)
		((u8 *)block)[0x438] = 0x53;
	else if (content != ZERO)
		ours(block, content, i);
	return block;
}

static void area_is_recognized(struct kunit *test)
{
	const struct area_case *c = test->param_value;
	const void *root[COWP_SLOTS], *state[COWP_SLOTS];
	struct cowp_area_info info;
	u32 i;

	for (i = 0; i < COWP_SLOTS; i++) {
		root[i] = make(test, c->root[i], i, make_root);
		state[i] = make(test, c->state[i], i, make_state);
	}
	memset(&info, 0xff, sizeof(info));
	KUNIT_EXPECT_EQ(test, cowp_area_probe(root, state, DEVICE_BLOCKS, &info), c->area);
	if (c->area != COWP_AREA_OURS)
		return;
	KUNIT_EXPECT_EQ(test, info.snapshots, c->snapshots);
	KUNIT_EXPECT_EQ(test, info.generation, c->generation);
	KUNIT_EXPECT_MEMEQ(test, info.uuid, our_uuid, sizeof(info.uuid));
	KUNIT_EXPECT_EQ(test, info.chunk_blocks, 4);
	KUNIT_EXPECT_EQ(test, info.live_sectors, c->generation == 5 ? 500 : 1000);
	KUNIT_EXPECT_GT(test, info.area_blocks, 0);
}

static void area_larger_than_its_device_is_corrupt(struct kunit *test)
{
	const void *root[COWP_SLOTS], *state[COWP_SLOTS];
	struct cowp_area_info info;
	u32 i;

	for (i = 0; i < COWP_SLOTS; i++) {
		root[i] = make(test, NEW, i, make_root);
		state[i] = make(test, NEW, i, make_state);
	}
	KUNIT_EXPECT_EQ(test, cowp_area_probe(root, state, DEVICE_BLOCKS / 2, &info),
			COWP_AREA_CORRUPT);
	KUNIT_EXPECT_MEMEQ(test, info.uuid, our_uuid, sizeof(info.uuid));
}

/* One copy is written at a time: each belongs to its own place. */
static void copies_at_each_others_place_are_corrupt(struct kunit *test)
{
	const void *root[COWP_SLOTS], *state[COWP_SLOTS];
	struct cowp_area_info info;
	u32 i;

	for (i = 0; i < COWP_SLOTS; i++) {
		root[i] = make(test, NEW, !i, make_root);
		state[i] = make(test, NEW, !i, make_state);
	}
	KUNIT_EXPECT_EQ(test, cowp_area_probe(root, state, DEVICE_BLOCKS, &info),
			COWP_AREA_CORRUPT);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(area_is_recognized, area_gen_params),
	KUNIT_CASE(area_larger_than_its_device_is_corrupt),
	KUNIT_CASE(copies_at_each_others_place_are_corrupt),
	{}
};

static struct kunit_suite suite = {
	.name = "cowprotect-area",
	.test_cases = cases,
};

kunit_test_suite(suite);
