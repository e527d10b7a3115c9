// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine as its shell sees it: deletion, checkpoints, faults and their
 * repair, memory that runs out.
 */
#include "recovery.h"
#include "world.h"

/* ---- deletion and checkpoints ---- */

static void delete_gives_the_space_back(struct kunit *test)
{
	struct world_setup setup = { .chunks = 400 };
	struct world *w = world_new(test, &setup);
	const struct cowp_status *status;
	u64 used;
	u32 round, i;

	world_start(w, true);
	status = cowp_engine_status(w->eng);
	used = status->used_chunks;
	/* Far more than the area holds, as each round is freed by the next. */
	for (round = 1; round <= 12; round++) {
		KUNIT_ASSERT_EQ(test, world_create(w), round);
		for (i = 0; i < 400; i++)
			world_write(w, i);
		world_settle(w);
		KUNIT_ASSERT_EQ(test, world_waiting(w), 0);
		KUNIT_ASSERT_EQ(test, world_state(w), COWP_STATE_ACTIVE);
		if (round > 1)
			KUNIT_ASSERT_EQ(test, world_delete(w, round - 1), 0);
	}
	world_check(w);
	KUNIT_EXPECT_EQ(test, status->preserved, 12 * 400);
	KUNIT_EXPECT_EQ(test, world_delete(w, 12), 0);
	KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_NONE);
	KUNIT_EXPECT_EQ(test, world_message(w, COWP_MSG_CHECKPOINT, false, 0), 0);
	world_advance(w, 1000);
	/* A segment may be open, and a run's as well. */
	KUNIT_EXPECT_LE(test, status->used_chunks, used + 2 * w->eng->geo.slots);
	world_close(w);
}

static void delete_of_what_is_not_there(struct kunit *test)
{
	struct world_setup setup = { 0 };
	struct world *w = world_new(test, &setup);

	world_start(w, true);
	KUNIT_EXPECT_EQ(test, world_delete(w, 1), -ENOENT);
	KUNIT_EXPECT_EQ(test, world_create(w), 1);
	KUNIT_EXPECT_EQ(test, world_create(w), 2);
	KUNIT_EXPECT_EQ(test, world_delete(w, 3), -ENOENT);
	KUNIT_EXPECT_EQ(test, world_delete(w, 1), 0);
	KUNIT_EXPECT_EQ(test, world_delete(w, 1), -ENOENT);
	/* Ids are never used again, across a close and a crash either. */
	KUNIT_EXPECT_EQ(test, world_delete(w, 2), 0);
	KUNIT_EXPECT_EQ(test, world_create(w), 3);
	world_close(w);
	world_start(w, false);
	KUNIT_EXPECT_EQ(test, world_create(w), 4);
	world_crash(w);
	world_start(w, false);
	KUNIT_EXPECT_EQ(test, world_create(w), 5);
	world_check(w);
	world_close(w);
}

static int hold_diff_writes(struct world *w, const struct cowp_io *io)
{
	return io->dev == COWP_DIFF && io->op == COWP_WRITE ? WORLD_HOLD : 0;
}

/* Not acknowledged, so a crash brings it back whole. */
static void delete_that_was_not_durable(struct kunit *test)
{
	struct world_setup setup = { .caps = COWP_CAP_CACHE };
	struct world *w = world_new(test, &setup);
	struct cowp_msg m = { .op = COWP_MSG_DELETE, .id = 1 };
	struct cowp_found found;
	u32 i;

	world_start(w, true);
	world_create(w);
	for (i = 0; i < 20; i++)
		world_write(w, i);
	world_settle(w);
	w->fate = hold_diff_writes;
	w->msg_done = false;
	cowp_engine_message(w->eng, &m);
	world_settle(w);
	KUNIT_EXPECT_FALSE(test, w->msg_done);
	KUNIT_EXPECT_EQ(test, world_lookup(w, 1, 3, &found), -ESTALE);
	w->fate = NULL;
	device_crash(&w->dev[COWP_DIFF], &w->rnd);
	w->dev[COWP_DIFF].sectors = 0;	/* nothing that is held gets there */
	world_crash(w);
	w->dev[COWP_DIFF].sectors = w->dev[COWP_DIFF].count * COWP_BLOCK_SECTORS;
	world_start(w, false);
	KUNIT_ASSERT_EQ(test, world_state(w), COWP_STATE_ACTIVE);
	world_check(w);
	world_close(w);
}

static void checkpoints_alternate(struct kunit *test)
{
	struct world_setup setup = { .caps = COWP_CAP_CACHE | COWP_CAP_FUA };
	struct world *w = world_new(test, &setup);
	u64 generation;
	u32 i, slot;

	world_start(w, true);
	world_create(w);
	for (i = 0; i < 4; i++) {
		generation = w->eng->super.generation;
		slot = w->eng->cp.slot;
		world_write(w, i);
		KUNIT_ASSERT_EQ(test, world_message(w, COWP_MSG_CHECKPOINT, false, 0), 0);
		KUNIT_EXPECT_EQ(test, w->eng->super.generation, generation + 1);
		KUNIT_EXPECT_NE(test, w->eng->cp.slot, slot);
		KUNIT_EXPECT_EQ(test, w->eng->state.now.generation, generation + 1);
	}
	/* Behind a clean close there is nothing to replay. */
	world_close(w);
	world_start(w, false);
	KUNIT_EXPECT_EQ(test, w->eng->recovery->max_batch, 0);
	world_check(w);
	world_close(w);
}

/* Nothing of a run can be read; state blocks can, at each checkpoint. */
static int runs_unreadable(struct world *w, const struct cowp_io *io)
{
	return io->op == COWP_READ && io->dev == COWP_DIFF &&
	       io->sector / COWP_BLOCK_SECTORS >= w->eng->geo.first_segment ? -EIO : 0;
}

static void write_run(struct world *w, u32 chunk)
{
	world_write(w, chunk);
	world_settle(w);
	if (world_state(w) == COWP_STATE_ACTIVE)
		KUNIT_ASSERT_EQ(w->port.test, world_message(w, COWP_MSG_CHECKPOINT, false, 0), 0);
	/* A merge that was given up is begun again. */
	world_advance(w, 1000);
	world_settle(w);
}

/* Each checkpoint adds a run, and merges take them away. */
static void run_list_stays_short(struct kunit *test)
{
	struct world_setup setup = { .chunks = 600, .mode = COWP_MODE_PROTECTED };
	struct world *w = world_new(test, &setup);
	u32 i;

	world_start(w, true);
	world_create(w);
	for (i = 0; i < 400; i++) {
		write_run(w, i);
		KUNIT_ASSERT_LE(test, w->eng->index.run_count, 2 * COWP_FAN_IN);
	}
	KUNIT_ASSERT_EQ(test, world_state(w), COWP_STATE_ACTIVE);
	world_check(w);
	world_close(w);
	world_start(w, false);
	world_check(w);
	world_close(w);
}

/* Merges that cannot be made are no fault, but in the end there is no room. */
static void full_run_list_is_a_full_area(struct kunit *test)
{
	struct world_setup setup = { .chunks = 600, .mode = COWP_MODE_PROTECTED };
	struct world *w = world_new(test, &setup);
	u32 i;

	world_start(w, true);
	world_create(w);
	w->fate = runs_unreadable;
	for (i = 0; i < 400 && world_state(w) == COWP_STATE_ACTIVE; i++)
		write_run(w, i);
	KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_BLOCKED);
	KUNIT_EXPECT_EQ(test, world_fault(w), COWP_FAULT_DIFF_AREA_FULL);
	KUNIT_EXPECT_LE(test, w->eng->index.run_count, COWP_MAX_RUNS);
	KUNIT_EXPECT_EQ(test, world_waiting(w), 1);
	KUNIT_EXPECT_NE(test, world_message(w, COWP_MSG_CLEAR, false, 0), 0);
	KUNIT_EXPECT_EQ(test, world_waiting(w), 1);
	/* Repaired: the runs are merged, and the write goes. */
	w->fate = NULL;
	KUNIT_EXPECT_EQ(test, world_message(w, COWP_MSG_CLEAR, false, 0), 0);
	KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_ACTIVE);
	KUNIT_EXPECT_EQ(test, world_waiting(w), 0);
	world_advance(w, 1000);
	world_settle(w);
	KUNIT_EXPECT_LE(test, w->eng->index.run_count, 2 * COWP_FAN_IN);
	world_check(w);
	/* With the last snapshot the index goes. */
	KUNIT_EXPECT_EQ(test, world_delete(w, 1), 0);
	KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_NONE);
	KUNIT_EXPECT_EQ(test, w->eng->index.fragment_count, 0);
	world_close(w);
}

static u32 diff_writes;

static int count_diff_writes(struct world *w, const struct cowp_io *io)
{
	diff_writes += io->dev == COWP_DIFF && io->op == COWP_WRITE;
	return 0;
}

/*
 * Another activation of the area: this one must not write over what that one has
 * written, neither its root nor its body nor its runs; nor at the end.
 */
static void another_session_stops_a_checkpoint(struct kunit *test)
{
	struct world_setup setup = { .mode = COWP_MODE_PROTECTED };
	struct world *w = world_new(test, &setup);
	u8 *block = kunit_kzalloc(test, COWP_BLOCK_SIZE, GFP_KERNEL);
	struct cowp_area_state state;
	u64 generation;
	u32 copy;

	world_start(w, true);
	world_create(w);
	world_write(w, 1);
	world_settle(w);
	state = w->eng->state.now;
	generation = w->eng->super.generation;
	for (copy = 0; copy < COWP_SLOTS; copy++) {
		u64 sector = COWP_STATE_BLOCK(copy) * COWP_BLOCK_SECTORS;

		state.session = w->eng->session + 1;
		cowp_state_encode(block, copy, &state);
		device_write(&w->dev[COWP_DIFF], sector, block, COWP_BLOCK_SIZE, true);
	}
	diff_writes = 0;
	w->fate = count_diff_writes;
	KUNIT_EXPECT_EQ(test, world_message(w, COWP_MSG_CHECKPOINT, false, 0), -EBUSY);
	KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_BLOCKED);
	KUNIT_EXPECT_EQ(test, world_fault(w), COWP_FAULT_EXTERNAL_WRITER);
	KUNIT_EXPECT_EQ(test, w->eng->super.generation, generation);
	KUNIT_EXPECT_EQ(test, world_message(w, COWP_MSG_CLOSE, false, 0), -EBUSY);
	KUNIT_EXPECT_EQ(test, diff_writes, 0);
	world_crash(w);
}

/* ---- faults ---- */

static int fail_diff_writes(struct world *w, const struct cowp_io *io)
{
	return io->dev == COWP_DIFF && io->op == COWP_WRITE ? -EIO : 0;
}

static int fail_diff_flushes(struct world *w, const struct cowp_io *io)
{
	return io->dev == COWP_DIFF && io->op == COWP_FLUSH ? -EIO : 0;
}

static int fail_live_reads(struct world *w, const struct cowp_io *io)
{
	return io->dev == COWP_LIVE && io->op == COWP_READ ? -EIO : 0;
}

/* State blocks, roots and bodies work: a checkpoint does not meet it. */
static int fail_segment_writes(struct world *w, const struct cowp_io *io)
{
	return io->dev == COWP_DIFF && io->op == COWP_WRITE &&
	       io->sector >= w->eng->geo.first_segment * COWP_BLOCK_SECTORS ? -EIO : 0;
}

static int hold_diff(struct world *w, const struct cowp_io *io)
{
	return io->dev == COWP_DIFF ? WORLD_HOLD : 0;
}

struct fault_case {
	const char *name;
	int (*fate)(struct world *w, const struct cowp_io *io);
	bool absent;
	u32 fault;
};

static const struct fault_case fault_cases[] = {
	{ "copies cannot be written", fail_diff_writes, false, COWP_FAULT_COW_WRITE_FAILURE },
	{ "copies cannot be flushed", fail_diff_flushes, false, COWP_FAULT_COW_WRITE_FAILURE },
	{ "old chunks cannot be read", fail_live_reads, false, COWP_FAULT_COW_READ_FAILURE },
	{ "segments cannot be written", fail_segment_writes, false,
	  COWP_FAULT_COW_WRITE_FAILURE },
	{ "the diff area hangs", hold_diff, false, COWP_FAULT_TIMEOUT },
	{ "the diff area is removed", NULL, true, COWP_FAULT_DIFF_AREA_REMOVED },
};

KUNIT_ARRAY_PARAM_DESC(fault, fault_cases, name);

static void begin_fault(struct world *w, const struct fault_case *c)
{
	w->fate = c->fate;
	if (c->absent)
		w->dev[COWP_DIFF].sectors = 0;
}

static void end_fault(struct world *w)
{
	w->fate = NULL;
	w->dev[COWP_DIFF].sectors = w->dev[COWP_DIFF].count * COWP_BLOCK_SECTORS;
}

static struct world *world_with_a_snapshot(struct kunit *test, u32 mode)
{
	struct world_setup setup = {
		.mode = mode,
		.caps = COWP_CAP_CACHE,
		.chunk_blocks = 4,
	};
	struct world *w = world_new(test, &setup);
	u32 i;

	world_start(w, true);
	for (i = 0; i < 64; i++)
		world_write(w, i);
	world_create(w);
	for (i = 0; i < 10; i++)
		world_write(w, i);
	world_settle(w);
	return w;
}

static void protected_fault_blocks_and_heals(struct kunit *test)
{
	const struct fault_case *c = test->param_value;
	struct world *w = world_with_a_snapshot(test, COWP_MODE_PROTECTED);
	u32 i, version;

	version = w->versions[20];
	begin_fault(w, c);
	for (i = 20; i < 30; i++)
		world_write(w, i);
	world_advance(w, 100000);
	KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_BLOCKED);
	KUNIT_EXPECT_EQ(test, world_fault(w), c->fault);
	/* The writes are held: none is lost, none has reached the disk. */
	KUNIT_EXPECT_EQ(test, world_waiting(w), 10);
	KUNIT_EXPECT_EQ(test, w->versions[20], version);
	if (!c->absent) {
		/* A cause that persists faults again, and releases nothing. */
		KUNIT_EXPECT_NE(test, world_message(w, COWP_MSG_CLEAR, false, 0), 0);
		KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_BLOCKED);
		KUNIT_EXPECT_EQ(test, world_waiting(w), 10);
	}
	/* Nor does the end of protection, which is refused. */
	KUNIT_EXPECT_EQ(test, world_message(w, COWP_MSG_NOPROTECT, false, 0), -EIO);
	KUNIT_EXPECT_EQ(test, world_waiting(w), 10);
	end_fault(w);
	world_settle(w);
	KUNIT_EXPECT_EQ(test, world_message(w, COWP_MSG_CLEAR, false, 0), 0);
	world_advance(w, 1000);
	KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_ACTIVE);
	KUNIT_EXPECT_EQ(test, world_fault(w), COWP_FAULT_NONE);
	KUNIT_EXPECT_EQ(test, world_waiting(w), 0);
	world_check(w);
	world_crash(w);
	world_start(w, false);
	KUNIT_ASSERT_EQ(test, world_state(w), COWP_STATE_ACTIVE);
	world_check(w);
	world_close(w);
}

/* Lost, durably, and never a silently wrong snapshot. */
static void normal_fault_gives_up(struct kunit *test)
{
	const struct fault_case *c = test->param_value;
	struct world *w;
	struct cowp_found found;
	u32 i;

	/* Without protection an unreadable sector costs no snapshot. */
	if (c->fault == COWP_FAULT_COW_READ_FAILURE)
		return;
	w = world_with_a_snapshot(test, COWP_MODE_NORMAL);
	begin_fault(w, c);
	for (i = 20; i < 30; i++)
		world_write(w, i);
	world_advance(w, 1000000);
	KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_LOST);
	KUNIT_EXPECT_EQ(test, world_waiting(w), 0);
	KUNIT_EXPECT_EQ(test, world_lookup(w, 1, 3, &found), -ESTALE);
	end_fault(w);
	cowp_engine_diff_changed(w->eng);
	world_advance(w, 10000);
	KUNIT_EXPECT_TRUE(test, cowp_engine_status(w->eng)->marked);

	/* The next activation knows it, too. */
	world_crash(w);
	world_start(w, false);
	KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_LOST);
	KUNIT_EXPECT_EQ(test, world_lookup(w, 1, 3, &found), -ESTALE);
	KUNIT_EXPECT_EQ(test, world_lookup(w, 1, 25, &found), -ESTALE);
	KUNIT_EXPECT_EQ(test, world_message(w, COWP_MSG_CREATE, false, 0), -ENODATA);
	KUNIT_EXPECT_EQ(test, world_message(w, COWP_MSG_RESET, false, 0), 0);
	KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_NONE);
	w->snapshot[0].id = 0;
	KUNIT_EXPECT_GT(test, world_create(w), 1);
	world_write(w, 7);
	world_check(w);
	world_close(w);
}

static void unreadable_sectors_cost_a_chunk_only(struct kunit *test)
{
	struct world *w = world_with_a_snapshot(test, COWP_MODE_NORMAL);
	struct cowp_found found;

	w->fate = fail_live_reads;
	world_write(w, 40);
	world_settle(w);
	w->fate = NULL;
	KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_ACTIVE);
	KUNIT_EXPECT_EQ(test, world_waiting(w), 0);
	KUNIT_ASSERT_EQ(test, world_lookup(w, 1, 40, &found), 0);
	KUNIT_EXPECT_EQ(test, found.where, COWP_IN_DIFF_BAD);
	KUNIT_EXPECT_EQ(test, found.key, cowp_key(40, 1));
	KUNIT_ASSERT_EQ(test, world_lookup(w, 1, 41, &found), 0);
	KUNIT_EXPECT_EQ(test, found.where, COWP_IN_LIVE);
	world_crash(w);
	world_start(w, false);
	KUNIT_ASSERT_EQ(test, world_lookup(w, 1, 40, &found), 0);
	KUNIT_EXPECT_EQ(test, found.where, COWP_IN_DIFF_BAD);
	world_close(w);
}

static void reset_of_a_blocked_volume(struct kunit *test)
{
	struct world *w = world_with_a_snapshot(test, COWP_MODE_PROTECTED);
	struct cowp_found found;

	w->fate = fail_diff_writes;
	world_write(w, 30);
	world_settle(w);
	KUNIT_ASSERT_EQ(test, world_state(w), COWP_STATE_BLOCKED);
	/* Without a durable mark it is refused and releases nothing. */
	KUNIT_EXPECT_EQ(test, world_message(w, COWP_MSG_RESET, false, 0), -EIO);
	KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_BLOCKED);
	KUNIT_EXPECT_EQ(test, world_waiting(w), 1);
	w->fate = NULL;
	KUNIT_EXPECT_EQ(test, world_message(w, COWP_MSG_RESET, false, 0), 0);
	KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_NONE);
	KUNIT_EXPECT_EQ(test, cowp_engine_status(w->eng)->mode, COWP_MODE_NORMAL);
	KUNIT_EXPECT_EQ(test, world_waiting(w), 0);
	KUNIT_EXPECT_EQ(test, world_lookup(w, 1, 3, &found), -ESTALE);
	world_crash(w);
	w->cfg.have_mode = false;
	world_start(w, false);
	KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_NONE);
	KUNIT_EXPECT_EQ(test, cowp_engine_status(w->eng)->mode, COWP_MODE_NORMAL);
	world_close(w);
}

static int fail_segment_reads(struct world *w, const struct cowp_io *io)
{
	u64 first = w->eng->super.first_segment;	/* 0: not known yet */

	return io->dev == COWP_DIFF && io->op == COWP_READ && first &&
	       io->sector >= first * COWP_BLOCK_SECTORS ? -EIO : 0;
}

/* What was read half-way is no truth that a manifest could tell. */
static void area_that_was_not_read_is_left_alone(struct kunit *test)
{
	static const u8 ops[] = {
		COWP_MSG_CHECKPOINT, COWP_MSG_GROW, COWP_MSG_DELETE, COWP_MSG_CLOSE,
	};
	struct world_setup setup = { .mode = COWP_MODE_PROTECTED, .caps = COWP_CAP_CACHE };
	struct world *w = world_new(test, &setup);
	u32 i;

	world_start(w, true);
	world_create(w);
	for (i = 0; i < 20; i++)
		world_write(w, i);
	world_create(w);
	for (i = 10; i < 30; i++)
		world_write(w, i);
	world_settle(w);
	world_crash(w);

	/* The body can be read and the log cannot; then nothing can. */
	w->fate = fail_segment_reads;
	world_start(w, false);
	KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_BLOCKED);
	for (i = 0; i < ARRAY_SIZE(ops); i++)
		KUNIT_EXPECT_EQ(test, world_message(w, ops[i], false, 1), -EIO);
	w->fate = NULL;
	world_crash(w);
	w->dev[COWP_DIFF].sectors = 0;
	world_start(w, false);
	KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_BLOCKED);
	for (i = 0; i < ARRAY_SIZE(ops); i++)
		KUNIT_EXPECT_EQ(test, world_message(w, ops[i], false, 1), -EIO);
	world_crash(w);
	w->dev[COWP_DIFF].sectors = w->dev[COWP_DIFF].count * COWP_BLOCK_SECTORS;

	world_start(w, false);
	KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_ACTIVE);
	KUNIT_EXPECT_EQ(test, cowp_engine_status(w->eng)->snapshots, 2);
	world_check(w);
	world_close(w);
}

/* ---- memory ---- */

static void every_allocation_may_fail(struct kunit *test)
{
	struct world_setup setup = { .chunk_blocks = 256, .chunks = 4, .diff_blocks = 300 << 8 };
	struct world *w = world_new(test, &setup);
	u32 n, failed = 0;

	/* All of the first, then samples: most are buffers, one like the other. */
	for (n = 1; n < 6000; n += n < 60 ? 1 : 211) {
		int error;

		world_fail_alloc = n;
		error = cowp_engine_new(&w->eng, &w->cfg, &w->port);
		if (!error) {
			KUNIT_EXPECT_NE(test, world_fail_alloc, 0);
			cowp_engine_free(w->eng);
			w->eng = NULL;
			break;
		}
		w->eng = NULL;
		KUNIT_ASSERT_EQ(test, error, -ENOMEM);
		KUNIT_ASSERT_EQ_MSG(test, world_allocated, 0, "behind allocation %u", n);
		failed++;
	}
	world_fail_alloc = 0;
	KUNIT_EXPECT_GT(test, failed, 60);
	KUNIT_EXPECT_EQ(test, world_allocated, 0);
}

static void noprotect_keeps_the_snapshots(struct kunit *test)
{
	struct world *w = world_with_a_snapshot(test, COWP_MODE_PROTECTED);

	KUNIT_EXPECT_EQ(test, world_message(w, COWP_MSG_NOPROTECT, false, 0), 0);
	KUNIT_EXPECT_EQ(test, cowp_engine_status(w->eng)->mode, COWP_MODE_NORMAL);
	KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_ACTIVE);
	world_write(w, 40);
	world_check(w);
	world_crash(w);
	w->cfg.have_mode = false;
	world_start(w, false);
	KUNIT_EXPECT_EQ(test, cowp_engine_status(w->eng)->mode, COWP_MODE_NORMAL);
	KUNIT_ASSERT_EQ(test, world_state(w), COWP_STATE_ACTIVE);
	world_check(w);
	world_close(w);
}

/* A change of mode outlives the message that asked for it. */
static void protect_cancelled_and_sent_again(struct kunit *test)
{
	struct world_setup setup = { 0 };
	struct world *w = world_new(test, &setup);
	struct cowp_msg first = { .op = COWP_MSG_PROTECT }, second = first;

	world_start(w, true);
	world_create(w);
	w->fate = hold_diff_writes;
	w->msg_done = false;
	cowp_engine_message(w->eng, &first);
	world_settle(w);
	KUNIT_EXPECT_TRUE(test, cowp_engine_message_cancel(w->eng, &first));
	KUNIT_EXPECT_EQ(test, w->msg_error, -EINTR);
	w->msg_done = false;
	cowp_engine_message(w->eng, &second);
	world_settle(w);
	KUNIT_EXPECT_FALSE(test, w->msg_done);
	w->fate = NULL;
	world_settle(w);
	KUNIT_EXPECT_TRUE(test, w->msg_done);
	KUNIT_EXPECT_EQ(test, w->msg_error, 0);
	KUNIT_EXPECT_EQ(test, cowp_engine_status(w->eng)->mode, COWP_MODE_PROTECTED);
	world_close(w);
}

static void memory_is_what_status_says(struct kunit *test)
{
	struct world_setup setup = { 0 };
	struct world *w = world_new(test, &setup);
	u64 used;
	u32 i;

	world_start(w, true);
	used = cowp_engine_status(w->eng)->memory_used;
	/* Without the frames and the table of segments it is mostly copy buffers. */
	KUNIT_EXPECT_GT(test, used, COWP_COPY_BLOCKS * COWP_BLOCK_SIZE);
	KUNIT_EXPECT_LT(test, used, 16ULL << 20);
	world_create(w);
	for (i = 0; i < 200; i++)
		world_write(w, i % 64);
	world_settle(w);
	KUNIT_EXPECT_EQ(test, cowp_engine_status(w->eng)->memory_used, used);
	world_close(w);
}

static int fail_body_reads(struct world *w, const struct cowp_io *io)
{
	return io->dev == COWP_DIFF && io->op == COWP_READ &&
	       io->sector >= COWP_FIRST_BODY_BLOCK * COWP_BLOCK_SECTORS ? -EIO : 0;
}

/* Each attempt makes the tables anew, as the area may be of another size by then. */
static void attempts_to_recover_need_no_more(struct kunit *test)
{
	struct world_setup setup = { .mode = COWP_MODE_PROTECTED };
	struct world *w = world_new(test, &setup);
	u64 used;
	u32 i;

	world_start(w, true);
	world_create(w);
	used = cowp_engine_status(w->eng)->memory_used;
	world_close(w);
	w->fate = fail_body_reads;
	world_start(w, false);
	KUNIT_EXPECT_EQ(test, world_fault(w), COWP_FAULT_ONLINE_IO_FAILURE);
	for (i = 0; i < 3; i++)
		KUNIT_EXPECT_NE(test, world_message(w, COWP_MSG_CLEAR, false, 0), 0);
	w->fate = NULL;
	KUNIT_EXPECT_EQ(test, world_message(w, COWP_MSG_CLEAR, false, 0), 0);
	KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_ACTIVE);
	KUNIT_EXPECT_EQ(test, cowp_engine_status(w->eng)->memory_used, used);
	world_close(w);
}

static struct kunit_case cases[] = {
	KUNIT_CASE(delete_gives_the_space_back),
	KUNIT_CASE(delete_of_what_is_not_there),
	KUNIT_CASE(delete_that_was_not_durable),
	KUNIT_CASE(checkpoints_alternate),
	KUNIT_CASE(another_session_stops_a_checkpoint),
	KUNIT_CASE(run_list_stays_short),
	KUNIT_CASE(full_run_list_is_a_full_area),
	KUNIT_CASE_PARAM(protected_fault_blocks_and_heals, fault_gen_params),
	KUNIT_CASE_PARAM(normal_fault_gives_up, fault_gen_params),
	KUNIT_CASE(unreadable_sectors_cost_a_chunk_only),
	KUNIT_CASE(reset_of_a_blocked_volume),
	KUNIT_CASE(noprotect_keeps_the_snapshots),
	KUNIT_CASE(protect_cancelled_and_sent_again),
	KUNIT_CASE(area_that_was_not_read_is_left_alone),
	KUNIT_CASE(every_allocation_may_fail),
	KUNIT_CASE(memory_is_what_status_says),
	KUNIT_CASE(attempts_to_recover_need_no_more),
	{}
};

static struct kunit_suite suite = {
	.name = "cowprotect-engine",
	.test_cases = cases,
};

kunit_test_suite(suite);
