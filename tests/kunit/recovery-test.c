// SPDX-License-Identifier: GPL-2.0-only
/*
 * Histories of writes, snapshots, deletions, checkpoints, crashes and closes:
 * after each activation every chunk of every snapshot is what the model says.
 */
#include "world.h"

#define FUA	(COWP_CAP_CACHE | COWP_CAP_FUA)

struct history {
	const char *name;
	struct world_setup setup;
};

static const struct history histories[] = {
	{ "4 KiB, no cache", { .chunks = 200, .order = WORLD_FIFO } },
	{ "4 KiB, no cache, last first", { .chunks = 200, .order = WORLD_LIFO } },
	{ "4 KiB, no cache, any order", { .chunks = 200, .order = WORLD_RANDOM } },
	{ "4 KiB, cache", { .chunks = 200, .order = WORLD_RANDOM, .caps = COWP_CAP_CACHE } },
	{ "4 KiB, FUA", { .chunks = 200, .order = WORLD_RANDOM, .caps = FUA } },
	{ "4 KiB, FUA, last first", { .chunks = 200, .order = WORLD_LIFO, .caps = FUA } },
	{ "4 KiB, protected", { .chunks = 100, .order = WORLD_RANDOM, .caps = FUA,
				.mode = COWP_MODE_PROTECTED } },
	{ "4 KiB, odd size", { .chunks = 33, .cut = 5, .order = WORLD_RANDOM, .caps = FUA } },
	{ "4 KiB, live device with a cache", { .chunks = 50, .order = WORLD_RANDOM, .caps = FUA,
					       .live_caps = COWP_CAP_CACHE } },
	{ "8 KiB, cache", { .chunks = 60, .chunk_blocks = 2, .order = WORLD_RANDOM,
			    .caps = COWP_CAP_CACHE } },
	{ "16 KiB, FUA, odd size", { .chunks = 40, .chunk_blocks = 4, .cut = 19,
				     .order = WORLD_RANDOM, .caps = FUA } },
	{ "64 KiB, cache", { .chunks = 20, .chunk_blocks = 16, .order = WORLD_RANDOM,
			     .caps = COWP_CAP_CACHE, .diff_blocks = 40 << 8 } },
	{ "1 MiB, FUA, odd size", { .chunks = 6, .chunk_blocks = 256, .cut = 2001,
				    .order = WORLD_RANDOM, .caps = FUA,
				    .diff_blocks = 300 << 8 } },
};

KUNIT_ARRAY_PARAM_DESC(history, histories, name);

static u32 random_snapshot(struct world *w)
{
	return w->snapshot[world_random(w, WORLD_SNAPSHOTS)].id;
}

static void reopen(struct world *w, bool crash)
{
	u32 expected = COWP_STATE_NONE;
	u32 i;

	if (crash)
		world_crash(w);
	else
		world_close(w);
	world_start(w, false);
	for (i = 0; i < WORLD_SNAPSHOTS; i++)
		if (w->snapshot[i].id)
			expected = COWP_STATE_ACTIVE;
	KUNIT_ASSERT_EQ_MSG(w->port.test, world_state(w), expected, "%s",
			    cowp_engine_status(w->eng)->detail ?: "");
	world_check(w);
}

static void some_writes(struct world *w)
{
	u32 n = world_random(w, 30), steps = world_random(w, 40);

	while (n--)
		world_write(w, world_random(w, w->setup.chunks));
	/* Not all of them end here. */
	while (steps-- && world_step(w))
		;
}

static void step(struct world *w)
{
	u32 id;

	switch (world_random(w, 16)) {
	case 0:
	case 1:
		if (world_snapshot(w, 0))
			world_create(w);
		break;
	case 2:
		id = random_snapshot(w);
		if (id)
			KUNIT_ASSERT_EQ(w->port.test, world_delete(w, id), 0);
		break;
	case 3:
		KUNIT_ASSERT_EQ(w->port.test,
				world_message(w, COWP_MSG_CHECKPOINT, false, 0), 0);
		break;
	case 4:
		world_advance(w, 1500);
		break;
	case 5:
		reopen(w, false);
		break;
	case 6:
	case 7:
		reopen(w, true);
		break;
	default:
		some_writes(w);
	}
}

static void play(struct kunit *test, const struct history *h, u32 seed)
{
	struct world_setup setup = h->setup;
	struct world *w;
	u32 i;

	setup.seed = seed;
	w = world_new(test, &setup);
	world_start(w, true);
	KUNIT_ASSERT_EQ(test, world_state(w), COWP_STATE_NONE);
	for (i = 0; i < 16; i++)
		step(w);
	reopen(w, true);
	world_close(w);
}

static void history_is_kept(struct kunit *test)
{
	play(test, test->param_value, 1);
}

/* The example that the whole is about, step by step. */
static void chunks_come_back_after_a_crash(struct kunit *test)
{
	struct world_setup setup = { .caps = COWP_CAP_CACHE };
	struct world *w = world_new(test, &setup);
	u32 chunk, id;

	world_start(w, true);
	for (chunk = 0; chunk < 64; chunk++)
		world_write(w, chunk);
	id = world_create(w);
	KUNIT_EXPECT_EQ(test, id, 1);
	for (chunk = 0; chunk < 64; chunk += 2)
		world_write(w, chunk);
	world_settle(w);
	KUNIT_EXPECT_EQ(test, world_waiting(w), 0);
	KUNIT_EXPECT_EQ(test, cowp_engine_status(w->eng)->preserved, 32);
	world_check(w);
	reopen(w, true);
	KUNIT_EXPECT_EQ(test, world_create(w), 2);
	world_check(w);
}

/* An overwrite is not begun before its copy is durable. */
static void writes_wait_for_their_copies(struct kunit *test)
{
	struct world_setup setup = { .caps = COWP_CAP_CACHE };
	struct world *w = world_new(test, &setup);

	world_start(w, true);
	world_write(w, 3);
	world_settle(w);
	world_create(w);
	world_write(w, 3);
	while (world_waiting(w)) {
		KUNIT_ASSERT_EQ(test, w->versions[3], 1);
		KUNIT_ASSERT_TRUE(test, world_step(w));
	}
	KUNIT_EXPECT_EQ(test, w->versions[3], 2);
	reopen(w, true);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(chunks_come_back_after_a_crash),
	KUNIT_CASE(writes_wait_for_their_copies),
	KUNIT_CASE_PARAM(history_is_kept, history_gen_params),
	{}
};

static struct kunit_suite suite = {
	.name = "cowprotect-recovery",
	.test_cases = cases,
};

kunit_test_suite(suite);
