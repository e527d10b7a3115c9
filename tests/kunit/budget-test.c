// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory bound, and what an activation reads: computed figures against what
 * really happens.
 */
#include <kunit/test.h>
#include "budget.h"
#include "recovery.h"
#include "world.h"

struct chunk_size {
	const char *name;
	u32 blocks;
};

static const struct chunk_size chunk_sizes[] = {
	{ "chunks of 4 KiB", 1 },
	{ "chunks of 8 KiB", 2 },
	{ "chunks of 64 KiB", 16 },
	{ "chunks of 1 MiB", 256 },
};

KUNIT_ARRAY_PARAM_DESC(chunk_size, chunk_sizes, name);

static struct world *small_world(struct kunit *test, u32 chunk_blocks)
{
	struct world_setup setup = {
		.chunk_blocks = chunk_blocks,
		.chunks = chunk_blocks > 16 ? 4 : 64,
		.diff_blocks = chunk_blocks > 16 ? 300 << 8 : 0,
		.mode = COWP_MODE_PROTECTED,
	};

	return world_new(test, &setup);
}

/* What the bound has and an engine at work has not. */
static u64 idle_part(struct world *w)
{
	struct cowp_budget b;

	cowp_budget(&b, &w->cfg, w->eng->segs.capacity);
	return b.bytes[COWP_BUDGET_READERS] +
	       b.bytes[COWP_BUDGET_SHELL] +
	       cowp_footprint(cowp_replay_room(w->eng->index.capacity) *
			      sizeof(struct cowp_replay_batch));
}

static void expect_exact(struct kunit *test, struct world *w)
{
	const struct cowp_status *s = cowp_engine_status(w->eng);

	KUNIT_EXPECT_EQ(test, s->memory_used + idle_part(w), s->memory_limit);
}

/* To the byte, after each thing that allocates; run() compares in between. */
static void used_is_what_was_computed(struct kunit *test)
{
	const struct chunk_size *size = test->param_value;
	struct world *w = small_world(test, size->blocks);
	u64 limit;

	world_start(w, true);
	expect_exact(test, w);
	world_create(w);
	world_write(w, 1);
	world_settle(w);
	expect_exact(test, w);
	world_crash(w);
	world_start(w, false);
	KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_ACTIVE);
	expect_exact(test, w);
	limit = cowp_engine_status(w->eng)->memory_limit;
	world_close(w);

	/* Another size of the live volume, another bound: before anything is made. */
	w->cfg.live_sectors *= 4096;
	w->cfg.bits_blocks = 0;
	KUNIT_ASSERT_EQ(test, cowp_engine_new(&w->eng, &w->cfg, &w->port), 0);
	KUNIT_EXPECT_NE(test, cowp_engine_status(w->eng)->memory_limit, limit);
	KUNIT_EXPECT_LE(test, cowp_engine_status(w->eng)->memory_used,
			cowp_engine_status(w->eng)->memory_limit);
	cowp_engine_free(w->eng);
	w->eng = NULL;
}

/* The default limit holds for every area as it is formatted, whatever the sizes. */
static void default_limit_holds(struct kunit *test)
{
	struct cowp_config cfg = {
		.cache_blocks = COWP_DEFAULT_CACHE_KIB * 1024 / COWP_BLOCK_SIZE,
	};
	struct cowp_budget b;
	u32 shift;

	for (cfg.chunk_blocks = 1; cfg.chunk_blocks <= COWP_MAX_CHUNK_BLOCKS;
	     cfg.chunk_blocks *= 2) {
		for (shift = 12; shift <= 41; shift++) {
			cfg.live_sectors = 1ULL << shift;
			cowp_budget(&b, &cfg, COWP_FORMAT_SEGMENTS);
			KUNIT_EXPECT_LE_MSG(test, b.total, COWP_DEFAULT_LIMIT,
					    "chunks of %u blocks, 2^%u sectors",
					    cfg.chunk_blocks, shift);
			KUNIT_EXPECT_LE(test, cowp_budget_sets(&cfg) * COWP_FRAME_WAYS *
					COWP_BLOCK_SIZE, 8U << 20);
		}
	}
	/* 256 GiB at 4 KiB are all resident. */
	cfg.chunk_blocks = 1;
	cfg.live_sectors = 256ULL << 21;
	KUNIT_EXPECT_EQ(test, (u64)cowp_budget_sets(&cfg) * COWP_FRAME_WAYS * COWP_PAGE_CHUNKS *
			COWP_BLOCK_SECTORS, cfg.live_sectors);
}

/* Growth costs what the bound says, and nothing else of it changes. */
static void segments_cost_what_they_cost(struct kunit *test)
{
	struct cowp_config cfg = { .chunk_blocks = 1, .live_sectors = 1ULL << 31 };
	struct cowp_budget small, large;
	u32 i;

	cowp_budget(&small, &cfg, COWP_FORMAT_SEGMENTS);
	cowp_budget(&large, &cfg, COWP_MAX_SEGMENTS);
	for (i = 0; i < COWP_BUDGET_COUNT; i++) {
		if (i == COWP_BUDGET_SEGMENTS || i == COWP_BUDGET_MANIFEST)
			KUNIT_EXPECT_GT(test, large.bytes[i], small.bytes[i]);
		else
			KUNIT_EXPECT_EQ(test, large.bytes[i], small.bytes[i]);
	}
	KUNIT_EXPECT_LE(test, large.total - small.total,
			37ULL * (COWP_MAX_SEGMENTS - COWP_FORMAT_SEGMENTS));
}

static void expect_same(struct kunit *test, struct world *w, const struct cowp_status *before,
			u32 segments, long allocated)
{
	const struct cowp_status *s = cowp_engine_status(w->eng);

	KUNIT_EXPECT_EQ(test, s->memory_used, before->memory_used);
	KUNIT_EXPECT_EQ(test, s->memory_limit, before->memory_limit);
	KUNIT_EXPECT_EQ(test, s->total_chunks, before->total_chunks);
	KUNIT_EXPECT_EQ(test, s->state, before->state);
	KUNIT_EXPECT_EQ(test, w->eng->geo.segments, segments);
	KUNIT_EXPECT_EQ(test, w->eng->segs.count, segments);
	KUNIT_EXPECT_EQ(test, world_allocated, allocated);
}

/* All of the memory for a larger area, or nothing has changed. */
static void grow_without_memory_changes_nothing(struct kunit *test)
{
	struct world_setup setup = { .diff_blocks = 120 << 8, .mode = COWP_MODE_PROTECTED };
	struct world *w = world_new(test, &setup);
	u64 all = w->dev[COWP_DIFF].sectors;
	struct cowp_status before;
	u32 segments, n = 0;
	long allocated;
	int error;

	w->dev[COWP_DIFF].sectors = (22 << 8) * COWP_BLOCK_SECTORS;
	world_start(w, true);
	world_create(w);
	before = *cowp_engine_status(w->eng);
	segments = w->eng->segs.count;
	allocated = world_allocated;
	w->dev[COWP_DIFF].sectors = all;
	do {
		world_fail_alloc = ++n;
		error = world_message(w, COWP_MSG_GROW, false, 0);
		if (!error)
			break;
		KUNIT_ASSERT_EQ(test, error, -ENOMEM);
		expect_same(test, w, &before, segments, allocated);
	} while (n < 100);
	world_fail_alloc = 0;
	/* The table, the body, its blocks if there are more: each has failed. */
	KUNIT_EXPECT_GE(test, n, 3);
	KUNIT_EXPECT_EQ(test, error, 0);
	KUNIT_EXPECT_GT(test, w->eng->segs.count, segments);
	KUNIT_EXPECT_GT(test, cowp_engine_status(w->eng)->memory_limit, before.memory_limit);
	expect_exact(test, w);
	world_write(w, 3);
	world_settle(w);
	world_check(w);
	world_close(w);
}

/* Memory for the tables is missing when the area is read: a fault that heals. */
static void activation_without_memory_heals(struct kunit *test)
{
	struct world *w = small_world(test, 1);
	u32 n;

	world_start(w, true);
	world_create(w);
	world_write(w, 5);
	world_settle(w);
	for (n = 1; n < 100; n++) {
		world_crash(w);
		KUNIT_ASSERT_EQ(test, cowp_engine_new(&w->eng, &w->cfg, &w->port), 0);
		cowp_engine_start(w->eng);
		world_fail_alloc = n;
		world_settle(w);
		if (world_fail_alloc)
			break;
		KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_BLOCKED);
		KUNIT_EXPECT_EQ(test, world_fault(w), COWP_FAULT_MEMORY_ALLOCATION_FAILURE);
		KUNIT_EXPECT_NOT_NULL(test, cowp_engine_status(w->eng)->detail);
		KUNIT_EXPECT_EQ(test, world_message(w, COWP_MSG_CLEAR, false, 0), 0);
		KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_ACTIVE);
		expect_exact(test, w);
	}
	world_fail_alloc = 0;
	KUNIT_EXPECT_GT(test, n, 10);
	KUNIT_EXPECT_LT(test, n, 100);
	KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_ACTIVE);
	world_check(w);
	world_close(w);
}

/* ---- what an activation reads ---- */

/* State blocks and roots, and two looks at the state around its own manifest. */
#define FIXED_READS	(2 * COWP_SLOTS + 2)

static void reads_from_here(struct world *w)
{
	w->diff_reads = 0;
	w->diff_read_blocks = 0;
}

/* Manifest and nothing else, however much the index holds. */
static void clean_activation_reads_the_manifest(struct kunit *test)
{
	struct world_setup setup = { .chunks = 2048, .mode = COWP_MODE_PROTECTED };
	struct world *w = world_new(test, &setup);
	u32 chunk;

	world_start(w, true);
	world_create(w);
	for (chunk = 0; chunk < 2048; chunk++) {
		world_write(w, chunk);
		if (chunk % 32 == 31)
			world_settle(w);
	}
	world_settle(w);
	world_close(w);
	reads_from_here(w);
	world_start(w, false);
	KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_ACTIVE);
	KUNIT_EXPECT_GT(test, w->eng->index.fragment_count, 0);
	/* The old manifest's body: the new one is written, not read. */
	KUNIT_EXPECT_LE(test, w->diff_read_blocks, FIXED_READS + w->eng->super.body_blocks);
	/* Pages of bits are made when a write asks for them. */
	reads_from_here(w);
	world_write(w, 77);
	world_settle(w);
	KUNIT_EXPECT_GT(test, w->diff_reads, 0);
	world_check(w);
	world_close(w);
}

/*
 * Blocks that an activation behind a crash reads at most: the manifest; in three
 * passes the ring and the homes of the segments that it lists; once the chunks
 * that were under way.
 */
static u64 most_blocks(const struct world *w, u32 body, u32 listed)
{
	const struct cowp_engine *eng = w->eng;
	u64 tail = COWP_BATCHES * (u64)eng->log.batch_chunks * (eng->geo.chunk_blocks + 1);

	return FIXED_READS + body + 3ULL * listed * (COWP_RING_BLOCKS + eng->geo.homes) + tail;
}

static void replaying_activation_is_bounded(struct kunit *test)
{
	struct world_setup setup = { .chunks = 2048, .mode = COWP_MODE_PROTECTED };
	struct world *w = world_new(test, &setup);
	u32 chunk, round, body, listed;

	world_start(w, true);
	for (round = 0; round < 3; round++) {
		world_create(w);
		for (chunk = 0; chunk < 600; chunk++) {
			world_write(w, world_random(w, 2048));
			if (chunk % 32 == 31)
				world_settle(w);
		}
		world_settle(w);
		body = w->eng->super.body_blocks;
		listed = w->eng->segs.listed_count;
		KUNIT_EXPECT_LE(test, listed, COWP_OPEN_LIST_MAX);
		world_crash(w);
		reads_from_here(w);
		world_start(w, false);
		KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_ACTIVE);
		KUNIT_EXPECT_GT(test, w->diff_read_blocks, body);
		KUNIT_EXPECT_LE(test, w->diff_read_blocks, most_blocks(w, body, listed));
	}
	world_check(w);
	world_close(w);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(used_is_what_was_computed, chunk_size_gen_params),
	KUNIT_CASE(default_limit_holds),
	KUNIT_CASE(segments_cost_what_they_cost),
	KUNIT_CASE(grow_without_memory_changes_nothing),
	KUNIT_CASE(activation_without_memory_heals),
	KUNIT_CASE(clean_activation_reads_the_manifest),
	KUNIT_CASE(replaying_activation_is_bounded),
	{}
};

static struct kunit_suite suite = {
	.name = "cowprotect-budget",
	.test_cases = cases,
};

kunit_test_suite(suite);
