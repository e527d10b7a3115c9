// SPDX-License-Identifier: GPL-2.0-only
/*
 * Freed segments are discarded: before they are used again, a few at a time, and
 * nobody waits for it.
 */
#include "world.h"

#define CHUNKS	2000U

static int hold_discards(struct world *w, const struct cowp_io *io)
{
	return io->op == COWP_DISCARD ? WORLD_HOLD : 0;
}

static int fail_discards(struct world *w, const struct cowp_io *io)
{
	return io->op == COWP_DISCARD ? -EOPNOTSUPP : 0;
}

static void write_all(struct world *w)
{
	u32 i;

	for (i = 0; i < CHUNKS; i++) {
		world_write(w, i);
		if (i % 32 == 31)
			world_settle(w);
	}
	world_settle(w);
	KUNIT_ASSERT_EQ(w->port.test, world_waiting(w), 0);
}

/* A snapshot, all of whose chunks are in the diff area. */
static u32 full_snapshot(struct world *w)
{
	u32 id = world_create(w);

	KUNIT_ASSERT_NE(w->port.test, id, 0);
	write_all(w);
	return id;
}

static struct world *new_world(struct kunit *test, bool option, u32 caps)
{
	struct world_setup setup = {
		.chunks = CHUNKS, .diff_blocks = 16384, .caps = caps,
		.mode = COWP_MODE_PROTECTED,
	};
	struct world *w = world_new(test, &setup);

	w->cfg.discard_freed = option;
	world_start(w, true);
	return w;
}

static u32 of_kind(struct world *w, u8 kind)
{
	u32 count = 0, i;

	for (i = 0; i < w->eng->segs.count; i++)
		count += w->eng->segs.table[i].kind == kind;
	return count;
}

static void before_use(struct kunit *test)
{
	struct world *w = new_world(test, true, COWP_CAP_CACHE | COWP_CAP_DISCARD);
	u32 first = full_snapshot(w);
	u32 second = full_snapshot(w);

	w->fate = hold_discards;
	KUNIT_ASSERT_EQ(test, world_delete(w, first), 0);
	world_settle(w);
	KUNIT_EXPECT_EQ(test, of_kind(w, COWP_SEGMENT_DISCARDING), COWP_DISCARDS);
	KUNIT_EXPECT_GE(test, w->eng->segs.discards, CHUNKS / w->eng->geo.slots);
	KUNIT_EXPECT_EQ(test, w->eng->segs.discards_waiting,
			w->eng->segs.discards - COWP_DISCARDS);
	/* The volume goes on, elsewhere. */
	full_snapshot(w);
	KUNIT_EXPECT_EQ(test, of_kind(w, COWP_SEGMENT_DISCARDING), COWP_DISCARDS);
	KUNIT_EXPECT_EQ(test, w->dev[COWP_DIFF].discards, 0);
	w->fate = NULL;
	world_settle(w);
	KUNIT_EXPECT_EQ(test, w->eng->segs.discards, 0);
	KUNIT_EXPECT_GE(test, w->dev[COWP_DIFF].discards,
			(u64)COWP_DISCARDS * w->eng->geo.segment_blocks);
	KUNIT_EXPECT_EQ(test, world_delete(w, second), 0);
	full_snapshot(w);
	world_check(w);
	world_crash(w);
	world_start(w, false);
	world_check(w);
	world_close(w);
}

/* However it ends, and where there is none, the segment is free. */
static void without_effect(struct kunit *test)
{
	static const struct {
		bool option;
		u32 caps;
		int (*fate)(struct world *w, const struct cowp_io *io);
	} cases[] = {
		{ true, COWP_CAP_DISCARD, fail_discards },
		{ true, 0, hold_discards },
		{ false, COWP_CAP_DISCARD, hold_discards },
	};
	u32 i, id, before;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world *w = new_world(test, cases[i].option, cases[i].caps);

		before = w->eng->segs.free + w->eng->segs.ready;
		id = full_snapshot(w);
		w->fate = cases[i].fate;
		KUNIT_ASSERT_EQ(test, world_delete(w, id), 0);
		world_settle(w);
		KUNIT_EXPECT_EQ(test, w->eng->segs.discards, 0);
		KUNIT_EXPECT_GE(test, w->eng->segs.free + w->eng->segs.ready, before - 2);
		KUNIT_EXPECT_EQ(test, w->dev[COWP_DIFF].discards, 0);
		KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_NONE);
		w->fate = NULL;
		world_close(w);
	}
}

/* Short of room, what waits for its discard is free without. */
static void not_where_room_is_short(struct kunit *test)
{
	struct world *w = new_world(test, true, COWP_CAP_DISCARD);
	u32 ids[2] = { full_snapshot(w), full_snapshot(w) };

	w->fate = hold_discards;
	KUNIT_ASSERT_EQ(test, world_delete(w, ids[0]), 0);
	world_settle(w);
	KUNIT_ASSERT_GT(test, w->eng->segs.discards_waiting, 0);
	while (!cowp_segments_short(w->eng) && w->eng->segs.discards_waiting)
		full_snapshot(w);
	KUNIT_EXPECT_EQ(test, w->eng->segs.discards_waiting, 0);
	KUNIT_EXPECT_EQ(test, w->eng->segs.discards, COWP_DISCARDS);
	KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_ACTIVE);
	w->fate = NULL;
	world_settle(w);
	world_check(w);
	world_close(w);
}

/* Behind a clean end the next activation may write there. */
static void clean_end_waits(struct kunit *test)
{
	struct world *w = new_world(test, true, COWP_CAP_DISCARD);
	struct cowp_msg close = { .op = COWP_MSG_CLOSE };
	u32 id = full_snapshot(w);

	w->fate = hold_discards;
	KUNIT_ASSERT_EQ(test, world_delete(w, id), 0);
	world_settle(w);
	KUNIT_ASSERT_EQ(test, of_kind(w, COWP_SEGMENT_DISCARDING), COWP_DISCARDS);
	w->msg_done = false;
	cowp_engine_message(w->eng, &close);
	world_settle(w);
	KUNIT_EXPECT_FALSE(test, w->msg_done);
	/* No new ones are begun for it. */
	KUNIT_EXPECT_EQ(test, w->eng->segs.discards, COWP_DISCARDS);
	w->fate = NULL;
	world_settle(w);
	KUNIT_EXPECT_TRUE(test, w->msg_done);
	KUNIT_EXPECT_EQ(test, w->msg_error, 0);
	KUNIT_EXPECT_EQ(test, w->dev[COWP_DIFF].discards,
			(u64)COWP_DISCARDS * w->eng->geo.segment_blocks);
	world_crash(w);
	world_start(w, false);
	world_close(w);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(before_use),
	KUNIT_CASE(without_effect),
	KUNIT_CASE(not_where_room_is_short),
	KUNIT_CASE(clean_end_waits),
	{}
};

static struct kunit_suite suite = {
	.name = "cowprotect-discard",
	.test_cases = cases,
};

kunit_test_suite(suite);
