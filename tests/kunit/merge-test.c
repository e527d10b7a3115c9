// SPDX-License-Identifier: GPL-2.0-only
/*
 * Merges and moves: what snapshots need is kept, what they do not goes, and the
 * live counts agree with the records on the disk.
 */
#include "world.h"

/* Every record that counts, on the disk, against the segments' live counts. */
static void check_counts(struct world *w)
{
	struct cowp_engine *eng = w->eng;
	struct kunit *test = w->port.test;
	u32 *live = kunit_kcalloc(test, eng->segs.count, sizeof(*live), GFP_KERNEL);
	u32 i, leaf, at;

	KUNIT_ASSERT_NOT_NULL(test, live);
	KUNIT_ASSERT_EQ(test, eng->index.merge.state, COWP_MERGE_IDLE);
	KUNIT_ASSERT_FALSE(test, eng->index.frozen);
	for (i = 0; i < eng->index.fragment_count; i++) {
		const struct cowp_fragment *f = &eng->index.fragments[i];

		live[cowp_segment_of(&eng->geo, f->block)]++;
		for (leaf = 0; leaf < f->leaves; leaf++) {
			const struct cowp_run_block *b;

			b = (void *)w->dev[COWP_DIFF].now[f->block + leaf];
			for (at = 0; at < le16_to_cpu(b->count); at++) {
				struct cowp_rec rec;
				u32 segment;

				cowp_rec_decode(&rec, &b->records[at]);
				segment = cowp_place_of(rec.location).segment;
				if (rec.key >= f->first_key &&
				    cowp_holds_chunks(eng->segs.table[segment].kind) &&
				    eng->segs.table[segment].incarnation == rec.incarnation)
					live[segment]++;
			}
		}
	}
	for (i = 0; i < eng->segs.count; i++)
		if (eng->segs.table[i].kind != COWP_SEGMENT_FREE &&
		    eng->segs.table[i].kind < COWP_SEGMENT_KINDS)
			KUNIT_EXPECT_EQ_MSG(test, eng->segs.table[i].live, live[i],
					    "segment %u", i);
	kunit_kfree(test, live);
}

static u32 records(struct world *w)
{
	u32 count = 0, i;

	for (i = 0; i < w->eng->index.run_count; i++)
		count += w->eng->index.runs[i].records;
	return count;
}

/* One record for each of @count chunks from @first on, in a run of its own. */
static void write_run(struct world *w, u32 first, u32 count)
{
	u32 i;

	for (i = first; i < first + count; i++) {
		world_write(w, i);
		world_settle(w);
	}
	KUNIT_ASSERT_EQ(w->port.test, world_message(w, COWP_MSG_CHECKPOINT, false, 0), 0);
}

/* Let merges that are due be made, and the pass of an idle volume. */
static void rest(struct world *w)
{
	u32 i;

	for (i = 0; i < 4; i++) {
		world_advance(w, 1000);
		world_settle(w);
	}
}

static struct world *new_world(struct kunit *test, u32 chunks)
{
	struct world_setup setup = { .chunks = chunks, .mode = COWP_MODE_PROTECTED };
	struct world *w = world_new(test, &setup);

	kunit_leaf_records = 8;
	kunit_node_keys = 4;
	world_start(w, true);
	return w;
}

static void runs_of_one_size_become_one(struct kunit *test)
{
	struct world *w = new_world(test, 200);
	u32 i;

	world_create(w);
	for (i = 0; i < COWP_FAN_IN; i++)
		write_run(w, i * 10, 10);
	rest(w);
	KUNIT_EXPECT_EQ(test, w->eng->index.run_count, 1);
	KUNIT_EXPECT_EQ(test, records(w), COWP_FAN_IN * 10);
	check_counts(w);
	world_check(w);
	world_crash(w);
	world_start(w, false);
	KUNIT_EXPECT_EQ(test, records(w), COWP_FAN_IN * 10);
	world_check(w);
	check_counts(w);
	world_close(w);
}

/* Records of the current epoch are not merged with older ones. */
static void current_epoch_stays_apart(struct kunit *test)
{
	struct world *w = new_world(test, 200);
	u32 i;

	world_create(w);
	for (i = 0; i < COWP_FAN_IN - 1; i++)
		write_run(w, i * 10, 10);
	world_create(w);
	for (i = 0; i < COWP_FAN_IN - 1; i++)
		write_run(w, i * 10, 10);
	rest(w);
	KUNIT_EXPECT_EQ(test, w->eng->index.run_count, 2 * (COWP_FAN_IN - 1));
	/* With the next epoch all are old. */
	world_create(w);
	rest(w);
	KUNIT_EXPECT_EQ(test, w->eng->index.run_count, 1);
	KUNIT_EXPECT_EQ(test, records(w), 2 * (COWP_FAN_IN - 1) * 10);
	check_counts(w);
	world_check(w);
	world_close(w);
}

/* A snapshot in the middle goes: what only it read goes with it, once idle. */
static void pass_drops_what_nobody_needs(struct kunit *test)
{
	struct world *w = new_world(test, 200);

	world_create(w);
	write_run(w, 0, 40);
	world_create(w);
	write_run(w, 20, 40);	/* 20..39 a second time */
	world_create(w);
	write_run(w, 0, 5);
	KUNIT_EXPECT_EQ(test, world_delete(w, 2), 0);
	rest(w);
	/* Snapshot 1 reads 20..39 from its own epoch, 40..59 from the second. */
	KUNIT_EXPECT_EQ(test, records(w), 40 + 20 + 5);
	check_counts(w);
	world_check(w);
	world_crash(w);
	world_start(w, false);
	world_check(w);
	check_counts(w);
	world_close(w);
}

static void dead_runs_are_merged_into_nothing(struct kunit *test)
{
	struct world *w = new_world(test, 200);

	world_create(w);
	write_run(w, 0, 40);
	world_create(w);
	write_run(w, 20, 40);
	KUNIT_EXPECT_EQ(test, world_delete(w, 1), 0);
	rest(w);
	KUNIT_EXPECT_EQ(test, records(w), 40);
	check_counts(w);
	world_check(w);
	world_close(w);
}

/* Deletes in any order, in an area that is nearly full, for a long time. */
static void rotation_leaks_nothing(struct kunit *test)
{
	struct world *w = new_world(test, 400);
	u32 ids[4], used = 0, i, j;

	for (i = 0; i < ARRAY_SIZE(ids); i++)
		ids[i] = world_create(w);
	for (i = 0; i < 60; i++) {
		u32 at = i % 3;

		for (j = 0; j < 100; j++) {
			world_write(w, world_random(w, 400));
			world_settle(w);
		}
		KUNIT_ASSERT_EQ(test, world_delete(w, ids[at]), 0);
		for (; at + 1 < ARRAY_SIZE(ids); at++)
			ids[at] = ids[at + 1];
		ids[at] = world_create(w);
		KUNIT_ASSERT_NE(test, ids[at], 0);
		rest(w);
		if (i == 20)
			used = w->eng->status.used_chunks;
		if (i > 20)
			KUNIT_ASSERT_LE(test, w->eng->status.used_chunks, 2 * used);
	}
	KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_ACTIVE);
	KUNIT_ASSERT_EQ(test, world_message(w, COWP_MSG_CHECKPOINT, false, 0), 0);
	rest(w);
	check_counts(w);
	world_check(w);
	world_close(w);
}

static u64 bad_sector;

/* The first chunk that is to be moved can never be read for that. */
static int first_move_fails(struct world *w, const struct cowp_io *io)
{
	if (io->op != COWP_READ || io->private != &w->eng->index.merge.mover)
		return 0;
	if (!bad_sector)
		bad_sector = io->sector;
	return io->sector == bad_sector ? -EIO : 0;
}

/* A chunk that cannot be moved stays where it is, and its segment with it. */
static void unreadable_chunk_is_not_moved(struct kunit *test)
{
	/* Little room, so that segments are emptied. */
	struct world_setup setup = {
		.chunks = 1000, .diff_blocks = 20 << 8, .mode = COWP_MODE_PROTECTED,
	};
	struct world *w = world_new(test, &setup);
	u32 ids[5], pinned = 0, moved = 0, i, j;

	world_start(w, true);
	bad_sector = 0;
	w->fate = first_move_fails;
	for (i = 0; i < ARRAY_SIZE(ids); i++)
		ids[i] = world_create(w);
	for (i = 0; i < 16; i++) {
		u32 at = i % (ARRAY_SIZE(ids) - 1);

		for (j = 0; j < 200; j++) {
			world_write(w, world_random(w, 1000));
			world_settle(w);
		}
		KUNIT_ASSERT_EQ(test, world_delete(w, ids[at]), 0);
		for (; at + 1 < ARRAY_SIZE(ids); at++)
			ids[at] = ids[at + 1];
		ids[at] = world_create(w);
		rest(w);
		KUNIT_ASSERT_EQ(test, world_state(w), COWP_STATE_ACTIVE);
		for (j = 0; j < w->eng->segs.count; j++) {
			pinned += w->eng->segs.table[j].pinned;
			moved += w->eng->segs.table[j].kind == COWP_SEGMENT_MOVED;
		}
	}
	KUNIT_EXPECT_GT(test, pinned, 0);
	KUNIT_EXPECT_GT(test, moved, 0);
	w->fate = NULL;
	KUNIT_ASSERT_EQ(test, world_message(w, COWP_MSG_CHECKPOINT, false, 0), 0);
	rest(w);
	check_counts(w);
	world_check(w);
	world_close(w);
}

static const struct cowp_io *slow;

/* Any leaf of a fragment but its first, which a merge begins with */
static bool is_later_leaf(struct world *w, u64 block)
{
	const struct cowp_index *x = &w->eng->index;
	u32 i;

	for (i = 0; i < x->fragment_count; i++)
		if (block > x->fragments[i].block &&
		    block < x->fragments[i].block + x->fragments[i].leaves)
			return true;
	return false;
}

/* The first leaf of that kind that somebody looks for does not come. */
static int one_leaf_is_slow(struct world *w, const struct cowp_io *io)
{
	const struct cowp_cache *c = &w->eng->cache;
	const struct cowp_cached *e = io->private;

	if (io->op != COWP_READ || e < c->entries || e >= c->entries + c->count)
		return 0;
	if (!slow && is_later_leaf(w, e->block))
		slow = io;
	return io == slow ? WORLD_HOLD : 0;
}

/* What a slow device says of a run that is merged by then does not matter. */
static void run_goes_while_it_is_read(struct kunit *test)
{
	struct cowp_lookup *l = kunit_kzalloc(test, sizeof(*l), GFP_KERNEL);
	struct world *w = new_world(test, 200);
	struct cowp_index *x;
	u64 block;
	u32 i, j;

	KUNIT_ASSERT_NOT_NULL(test, l);
	for (j = 0; j < 2; j++) {
		world_create(w);
		for (i = 0; i < COWP_FAN_IN - 1; i++)
			write_run(w, i * 10, 10);
	}
	world_crash(w);
	world_start(w, false);
	x = &w->eng->index;
	slow = NULL;
	w->fate = one_leaf_is_slow;
	/* The last chunk of the first run is in its second leaf. */
	l->snapshot = 1;
	l->chunk = 9;
	l->count = 1;
	w->lookup_done = false;
	cowp_engine_lookup(w->eng, l);
	world_settle(w);
	KUNIT_ASSERT_NOT_NULL(test, slow);
	/* With the next epoch all runs are old, and are merged. */
	KUNIT_ASSERT_NE(test, world_create(w), 0);
	rest(w);
	KUNIT_ASSERT_FALSE(test, w->lookup_done);
	KUNIT_ASSERT_EQ(test, x->run_count, 1);
	block = slow->sector / COWP_BLOCK_SECTORS;
	KUNIT_ASSERT_TRUE(test, block < x->fragments[0].block ||
			  block >= x->fragments[0].block + x->fragments[0].blocks);
	device_discard(&w->dev[COWP_DIFF], slow->sector, COWP_BLOCK_SIZE);
	w->fate = NULL;
	world_settle(w);
	KUNIT_ASSERT_TRUE(test, w->lookup_done);
	KUNIT_EXPECT_EQ(test, l->error, 0);
	KUNIT_EXPECT_EQ(test, l->found[0].where, COWP_IN_DIFF);
	world_check(w);
	world_close(w);
}

/*
 * A read that was given up, and that never ends, as of a device that is gone, does
 * not keep those from the block who come when another device has taken its place.
 */
static void hung_block_is_read_anew(struct kunit *test)
{
	struct cowp_lookup *l = kunit_kzalloc(test, sizeof(*l), GFP_KERNEL);
	struct world *w = new_world(test, 200);
	struct cowp_found found;

	KUNIT_ASSERT_NOT_NULL(test, l);
	world_create(w);
	write_run(w, 0, 10);
	world_crash(w);
	world_start(w, false);
	slow = NULL;
	w->fate = one_leaf_is_slow;
	/* In the second leaf, as above */
	l->snapshot = 1;
	l->chunk = 9;
	l->count = 1;
	w->lookup_done = false;
	cowp_engine_lookup(w->eng, l);
	world_settle(w);
	KUNIT_ASSERT_NOT_NULL(test, slow);
	KUNIT_ASSERT_FALSE(test, w->lookup_done);
	world_advance(w, 2 * w->cfg.diff_timeout_ms);
	KUNIT_ASSERT_TRUE(test, w->lookup_done);
	KUNIT_EXPECT_EQ(test, l->error, -EIO);
	KUNIT_ASSERT_EQ(test, world_state(w), COWP_STATE_BLOCKED);
	KUNIT_EXPECT_EQ(test, world_fault(w), COWP_FAULT_TIMEOUT);
	KUNIT_ASSERT_EQ(test, world_message(w, COWP_MSG_CLEAR, false, 0), 0);
	KUNIT_ASSERT_EQ(test, world_lookup(w, 1, 9, &found), 0);
	KUNIT_EXPECT_EQ(test, found.where, COWP_IN_DIFF);
	KUNIT_ASSERT_TRUE(test, slow->in_flight);
	/* And if it ends after all, that does no harm. */
	w->fate = NULL;
	world_settle(w);
	KUNIT_ASSERT_FALSE(test, slow->in_flight);
	world_check(w);
	world_close(w);
}

/* A step that fails goes back to the segment that it began in. */
static void segment_of_the_mark_is_held(struct kunit *test)
{
	struct cowp_writer *wr = kunit_kzalloc(test, sizeof(*wr), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, wr);
	wr->segment = 5;
	wr->used = 3;
	cowp_writer_mark(wr);
	wr->segment = 7;
	KUNIT_EXPECT_TRUE(test, cowp_writer_holds(wr, 5));
	KUNIT_EXPECT_TRUE(test, cowp_writer_holds(wr, 7));
	KUNIT_EXPECT_FALSE(test, cowp_writer_holds(wr, 6));
	cowp_writer_rewind(wr);
	KUNIT_EXPECT_EQ(test, wr->segment, 5);
	cowp_writer_mark(wr);
	KUNIT_EXPECT_FALSE(test, cowp_writer_holds(wr, 7));
}

static void restore_sizes(struct kunit *test)
{
	kunit_leaf_records = COWP_BLOCK_SIZE;
	kunit_node_keys = COWP_BLOCK_SIZE;
}

static struct kunit_case cases[] = {
	KUNIT_CASE(runs_of_one_size_become_one),
	KUNIT_CASE(current_epoch_stays_apart),
	KUNIT_CASE(pass_drops_what_nobody_needs),
	KUNIT_CASE(dead_runs_are_merged_into_nothing),
	KUNIT_CASE(rotation_leaks_nothing),
	KUNIT_CASE(unreadable_chunk_is_not_moved),
	KUNIT_CASE(run_goes_while_it_is_read),
	KUNIT_CASE(hung_block_is_read_anew),
	KUNIT_CASE(segment_of_the_mark_is_held),
	{}
};

static struct kunit_suite suite = {
	.name = "cowprotect-merge",
	.exit = restore_sizes,
	.test_cases = cases,
};

kunit_test_suite(suite);
