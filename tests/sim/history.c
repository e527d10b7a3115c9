// SPDX-License-Identifier: GPL-2.0-only
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "cut.h"
#include "history.h"

static const char * const op_names[OP_TYPES] = {
#define OP_NAME(name) \
	[OP_##name] = #name,
	OPS(OP_NAME)
#undef OP_NAME
};

/* Operations of every thousand, without those that the generator places itself. */
static const struct {
	u8 type;
	u16 weight;
} weights[] = {
	{ OP_WRITE, 672 },
	{ OP_WRITE_MANY, 20 },
	{ OP_FLUSH, 30 },
	{ OP_READ, 15 },
	{ OP_SNAPSHOT_READ, 100 },
	{ OP_SNAPSHOT_CYCLE, 60 },
	{ OP_DELETE, 6 },
	{ OP_CHECKPOINT, 16 },
	{ OP_PROTECT, 2 },
	{ OP_NOPROTECT, 1 },
	{ OP_RESET, 1 },
	{ OP_CLEAR, 2 },
	{ OP_GROW, 3 },
	{ OP_LIVE_GROW, 3 },
	{ OP_CANCEL, 30 },
	{ OP_CANCEL_MESSAGE, 6 },
	{ OP_IDLE, 20 },
	{ OP_CHECK, 2 },
	{ OP_QUIESCE, 4 },
	{ OP_REOPEN, 1 },
};

u32 history_op_by_name(const char *name)
{
	u32 i;

	for (i = 0; i < OP_TYPES; i++) {
		if (!strcasecmp(name, op_names[i]))
			break;
	}
	return i;
}

static u8 random_type(struct rng *rng)
{
	u32 sum = 0, n, i;

	for (i = 0; i < ARRAY_SIZE(weights); i++)
		sum += weights[i].weight;
	n = rng_below(rng, sum);
	for (i = 0; n >= weights[i].weight; i++)
		n -= weights[i].weight;
	return weights[i].type;
}

static u32 random_delay(struct rng *rng)
{
	u32 n = rng_below(rng, 1000);

	if (n < 500)
		return rng_below(rng, 100);
	if (n < 900)
		return rng_below(rng, 600);
	if (n < 990)
		return rng_below(rng, 5000);
	return rng_below(rng, 1500000);
}

static struct op random_op(struct rng *rng, u8 type)
{
	return (struct op) {
		.type = type,
		.a = rng_next(rng),
		.b = rng_next(rng),
		.c = rng_next(rng),
		.delay = random_delay(rng),
		.seed = rng_next(rng),
	};
}

static void add(struct history *h, struct op op)
{
	if (!(h->nr & (h->nr - 1))) {
		h->ops = realloc(h->ops, (h->nr ? 2 * h->nr : 1) * sizeof(op));
		if (!h->ops)
			abort();
	}
	h->ops[h->nr++] = op;
}

static u32 segments_needed(const struct sim_setup *setup, u32 chunks, u32 segment)
{
	/* A third for what summaries, runs and the end of a segment take. */
	u32 slots = (segment - 16) * 2 / (3 * setup->chunk_blocks);

	return 16 + chunks * (setup->snapshots + 2) / slots;
}

static void make_setup(struct sim_setup *setup, struct rng *rng, const struct options *opt)
{
	static const u8 chunk_blocks[] = { 1, 1, 1, 1, 1, 1, 2, 2, 4, 8 };
	static const u8 caps[] = { CAPS_NONE, CAPS_CACHE, CAPS_CACHE, CAPS_FUA, CAPS_FUA };
	u32 chunks, chunk_sectors, segment, segments, odd;

	*setup = (struct sim_setup) {
		.chunk_blocks = opt->chunk_blocks ? opt->chunk_blocks :
				chunk_blocks[rng_below(rng, ARRAY_SIZE(chunk_blocks))],
		.live_block_sectors = rng_one_in(rng, 4) ? 8 : 1,
		.diff_block_sectors = rng_one_in(rng, 3) ? 8 : 1,
		.live_caps = caps[rng_below(rng, ARRAY_SIZE(caps))],
		.diff_caps = opt->caps ? opt->caps : caps[rng_below(rng, ARRAY_SIZE(caps))],
		.protected = rng_permille(rng, 600),
		.no_memory = opt->no_memory,
		.faults = opt->faults == 2 || (opt->faults && rng_one_in(rng, 3)),
		.snapshots = rng_one_in(rng, 10) ? 1 : rng_range(rng, 4, 7),
		.cache_blocks = rng_range(rng, 16, 96),
		.bits_blocks = rng_range(rng, 0, 3),
		.discard = rng_one_in(rng, 2),
		.diff_timeout_ms = 600,
	};
	chunk_sectors = setup->chunk_blocks * COWP_BLOCK_SECTORS;
	chunks = rng_one_in(rng, 4) ? rng_range(rng, 60, 200) : rng_range(rng, 24, 60);
	if (setup->chunk_blocks > 2)
		chunks = min(chunks, 48U);
	setup->live_sectors = (u64)chunks * chunk_sectors;
	if (rng_one_in(rng, 2)) {
		odd = rng_below(rng, chunk_sectors);
		setup->live_sectors -= odd - odd % setup->live_block_sectors;
	}
	setup->live_room = setup->live_sectors + chunk_sectors * 16;

	segment = max(COWP_MIN_SEGMENT_BLOCKS, setup->chunk_blocks * 16);
	segments = rng_range(rng, 24, 64);
	/* In most histories there is room for all that can be copied, in some there is not. */
	if (opt->roomy || !rng_one_in(rng, 5))
		segments = max(segments, segments_needed(setup, chunks, segment));
	setup->diff_sectors = (640ULL + segments * segment) * COWP_BLOCK_SECTORS;
	setup->diff_room = setup->diff_sectors + 32ULL * segment * COWP_BLOCK_SECTORS;
}

#define FAULT_KINDS	12U
#define FAULT_HANGS	3U	/* the first so many */

/* A fault, and its repair a while later. */
static void add_fault(struct history *h, struct rng *rng, u32 *count)
{
	u32 n = rng_range(rng, 1, 25);
	struct op op = random_op(rng, OP_FAULT);

	add(h, op);
	/* What hangs matters when its time is over. */
	if (op.a % FAULT_KINDS < FAULT_HANGS) {
		for (; n > 8; n--, ++*count)
			add(h, random_op(rng, random_type(rng)));
		op = random_op(rng, OP_IDLE);
		op.a = 8 * rng_range(rng, 90000, 200000);
		add(h, op);
	}
	while (n--) {
		add(h, random_op(rng, random_type(rng)));
		++*count;
	}
	add(h, random_op(rng, OP_REPAIR));
}

static void add_segment(struct history *h, struct rng *rng, const struct options *opt)
{
	u32 length = rng_range(rng, opt->segment / 2, opt->segment * 3 / 2);
	u32 window = rng_range(rng, 4, 40);
	u32 kind = rng_below(rng, WRITE_KINDS + 1);
	u32 faults = h->setup.faults && rng_one_in(rng, 2) ? rng_range(rng, 1, 3) : 0;
	struct op op;
	u32 i;

	if (kind == WRITE_DATA)		/* by chance there is enough of it */
		kind = WRITE_HEADER;
	for (i = 0; i < length; i++) {
		add(h, random_op(rng, random_type(rng)));
		if (faults && rng_one_in(rng, length / 2 + 1)) {
			add_fault(h, rng, &i);
			faults--;
		}
	}
	op = random_op(rng, OP_ARM);
	op.a = kind;
	op.b = rng_below(rng, 3);
	add(h, op);
	if (kind == WRITE_RUN || kind == WRITE_ROOT || kind == WRITE_BODY || kind == WRITE_STATE) {
		add(h, random_op(rng, OP_WRITE));
		add(h, random_op(rng, OP_CHECKPOINT));
	}
	for (i = 0; i < window; i++)
		add(h, random_op(rng, random_type(rng)));
	op = random_op(rng, OP_CUT);
	op.a = rng_range(rng, 1, opt->states);
	add(h, op);
}

void history_make(struct history *h, u64 seed, const struct options *opt)
{
	struct rng rng;
	u32 cuts, i;

	*h = (struct history) { .seed = seed, .exhaustive = opt->exhaustive };
	rng_seed(&rng, seed ^ 0x68697374);
	make_setup(&h->setup, &rng, opt);
	cuts = rng_range(&rng, 2, opt->exhaustive ? 3 : 6);
	while (cuts--)
		add_segment(h, &rng, opt);
	add(h, random_op(&rng, OP_REOPEN));
	for (i = 0; i < h->nr; i++)
		h->ops[i].dropped = opt->without >> h->ops[i].type & 1;
}

void history_free(struct history *h)
{
	free(h->ops);
	h->ops = NULL;
	h->nr = 0;
}

void history_print(const struct history *h)
{
	const struct sim_setup *su = &h->setup;
	u32 i, kept = 0;

	for (i = 0; i < h->nr; i++)
		kept += !h->ops[i].dropped;
	printf("history %llu: %u operations, live %llu sectors of %u, diff %llu sectors of %u, ",
	       h->seed, kept, su->live_sectors, su->live_block_sectors, su->diff_sectors,
	       su->diff_block_sectors);
	printf("chunk %u blocks, caps live %u diff %u, %s, %s faults%s\n",
	       su->chunk_blocks, su->live_caps, su->diff_caps,
	       su->protected ? "protected" : "normal", su->faults ? "with" : "without",
	       su->no_memory ? ", no memory once active" : "");
	if (kept > 300)
		return;
	for (i = 0; i < h->nr; i++) {
		const struct op *op = &h->ops[i];

		if (!op->dropped)
			printf("  %5u %s %u %u %u, then %u us\n", i, op_names[op->type], op->a,
			       op->b, op->c, op->delay);
	}
}

/* Outstanding operations of the user, snapshot reads, messages. */
#define USERS_MAX	24U
#define READERS_MAX	6U
#define MSGS_MAX	3U

static u32 chunk_sectors(const struct sim *s)
{
	return s->setup.chunk_blocks * COWP_BLOCK_SECTORS;
}

static void pump(struct sim *s, u32 us)
{
	sim_run_until(s, s->now + us);
}

/* False: too many writes are under way, and waiting a little did not help. */
static bool room_for_user(struct sim *s)
{
	u32 i;

	for (i = 0; s->nr_users >= USERS_MAX && i < 8; i++)
		pump(s, 500);
	return s->nr_users < USERS_MAX && !s->cut_now;
}

static bool write_at(struct sim *s, u64 sector, u32 sectors, bool fua)
{
	u64 size = s->live.visible->sectors;
	u32 align = s->live.block_sectors;

	sector = rounddown(sector, align);
	sectors = roundup(sectors, align);
	sectors = min_t(u64, sectors, size - sector);
	if (!sectors || shell_busy(s, sector, sectors))
		return false;
	shell_write(s, sector, sectors, fua);
	return true;
}

static bool op_write(struct sim *s, const struct op *op)
{
	u64 size = s->live.visible->sectors;
	u32 cs = chunk_sectors(s);
	u64 chunks = DIV_ROUND_UP(size, cs);
	u64 chunk = op->a % chunks;
	u32 try;

	/* A hot quarter. */
	if (op->c & 1)
		chunk %= chunks / 4 + 1;
	if (!room_for_user(s))
		return false;
	for (try = 0; try < 4; try++) {
		u64 start = chunk * cs;
		bool ok;

		switch (op->c >> 1 & 7) {
		case 0:
		case 1:
		case 2:
			ok = write_at(s, start, cs, op->c >> 8 & 1);
			break;
		case 3:
			ok = write_at(s, start + op->b % cs < size ? start + op->b % cs : start,
				      1, op->c >> 8 & 1);
			break;
		case 4:
			/* Across the border of two chunks. */
			ok = write_at(s, start + cs / 2 < size ? start + cs / 2 : start, cs,
				      false);
			break;
		case 5:
			ok = write_at(s, start, cs * (2 + op->b % 5), false);
			break;
		default:
			ok = write_at(s, start, 1 + op->b % cs, false);
			break;
		}
		if (ok)
			return true;
		chunk = (chunk + 7) % chunks;
	}
	return false;
}

static bool op_write_many(struct sim *s, const struct op *op)
{
	u32 cs = chunk_sectors(s);
	u64 chunks = DIV_ROUND_UP(s->live.visible->sectors, cs);
	u32 n = 3 + op->b % 14, i;

	if (!room_for_user(s))
		return false;
	for (i = 0; i < n; i++)
		write_at(s, (op->a + i) % chunks * cs, cs, false);
	return true;
}

static struct model_snapshot *pick_snapshot(struct sim *s, u32 which)
{
	u32 n = model_must_exist(&s->model);
	u32 i;

	if (!n)
		return NULL;
	which %= n;
	for (i = 0; i < s->model.nr_snaps; i++) {
		if (s->model.snap[i].must && !which--)
			return &s->model.snap[i];
	}
	return NULL;
}

static bool op_snapshot_read(struct sim *s, const struct op *op)
{
	const struct model_snapshot *snap = pick_snapshot(s, op->a);
	u64 chunks, chunk;
	u32 count;

	if (!snap || s->nr_readers >= READERS_MAX || s->state == COWP_STATE_RECOVERING)
		return false;
	chunks = DIV_ROUND_UP(snap->sectors, chunk_sectors(s));
	chunk = op->b % chunks;
	if (op->c & 1)
		chunk %= chunks / 4 + 1;
	/* Mostly a few chunks, sometimes all that one lookup can ask for. */
	count = op->c >> 1 & 7 ? 1 + (op->c >> 4) % 4 : COWP_LOOKUP_CHUNKS;
	reader_start(s, snap->id, chunk, min_t(u64, count, chunks - chunk));
	return true;
}

static u64 deadline(struct sim *s, u32 random)
{
	if (random % 16)
		return 0;
	return s->now / 1000 + 1 + random / 16 % 50;
}

static bool op_create(struct sim *s, const struct op *op)
{
	if (s->nr_msgs >= MSGS_MAX || s->model.nr_snaps > 12)
		return false;
	if (shell_has_message(s, COWP_MSG_CREATE, 0))
		return false;
	shell_message(s, COWP_MSG_CREATE, 0, false, deadline(s, op->b));
	return true;
}

static bool op_delete(struct sim *s, const struct op *op)
{
	const struct model_snapshot *snap = pick_snapshot(s, op->c & 1 ? 0 : op->a);

	if (!snap || s->nr_msgs >= MSGS_MAX || reader_has_open(s, snap->id))
		return false;
	shell_message(s, COWP_MSG_DELETE, snap->id, false, deadline(s, op->b));
	return true;
}

static bool op_snapshot_cycle(struct sim *s, const struct op *op)
{
	u32 n = model_must_exist(&s->model);

	if (n < s->setup.snapshots || (n == s->setup.snapshots && op->c & 2))
		return op_create(s, op);
	return op_delete(s, op);
}

static bool op_message(struct sim *s, u8 what, bool flag, u64 limit)
{
	if (s->nr_msgs >= MSGS_MAX)
		return false;
	shell_message(s, what, 0, flag, limit);
	return true;
}

static bool op_grow(struct sim *s, const struct op *op)
{
	u64 size = s->diff.visible->sectors;
	u64 by = (op->a % 16 + 1) * COWP_MIN_SEGMENT_BLOCKS * COWP_BLOCK_SECTORS;

	if (s->diff.absent || s->nr_msgs >= MSGS_MAX)
		return false;
	if (size + by <= s->setup.diff_room) {
		device_grow(&s->diff, size + by);
		stats_count(s->stats, STAT_GROWN);
	}
	shell_message(s, COWP_MSG_GROW, 0, false, 0);
	return true;
}

static bool op_live_grow(struct sim *s, const struct op *op)
{
	u64 size = s->live.visible->sectors;
	u64 by = roundup(1 + op->a % (chunk_sectors(s) * 4), s->live.block_sectors);

	if (size + by > s->setup.live_room)
		return false;
	device_grow(&s->live, size + by);
	model_grow(&s->model, size + by);
	stats_count(s->stats, STAT_LIVE_GROWN);
	cowp_engine_live_resized(s->eng, size + by);
	sim_called(s);
	return true;
}

static void release_live(struct sim *s, void *arg)
{
	(void)arg;
	device_release_hung(&s->live);
}

/* What cannot be read is a whole logical block. */
static void bad_block(struct sim *s, u64 sector)
{
	u32 i;

	sector = rounddown(sector, s->live.block_sectors);
	for (i = 0; i < s->live.block_sectors; i++) {
		device_set_bad(&s->live, sector + i, true);
		model_bad_sector(&s->model, sector + i);
	}
}

static bool op_fault(struct sim *s, const struct op *op)
{
	u32 n = 1 + op->b % 6;

	model_fault(s);
	stats_count(s->stats, STAT_FAULTS);
	switch (op->a % FAULT_KINDS) {
	case 0:
	case 1:
		s->diff.faults.hang_writes += n;
		break;
	case 2:
		if (op->b & 8)
			s->diff.faults.hang_reads += n;
		else
			s->diff.faults.hang_flushes += n;
		break;
	case 3:
	case 4:
		s->diff.faults.fail_writes += n;
		break;
	case 5:
		s->diff.faults.fail_reads += n;
		break;
	case 6:
		s->diff.faults.fail_flushes += n;
		break;
	case 7:
		if (s->diff.absent)
			break;
		device_remove(&s->diff, op->b & 1);
		if (op->b & 2) {
			cowp_engine_diff_changed(s->eng);
			sim_called(s);
		}
		break;
	case 8:
		while (n--)
			bad_block(s, (op->c + n) % s->live.visible->sectors);
		break;
	case 9:
		s->live.faults.fail_writes += n;
		break;
	case 10:
		s->live.faults.fail_flushes += n;
		break;
	default:
		/* The live device stands still for a while. */
		s->live.faults.hang_writes += n;
		if (op->b & 8)
			s->live.faults.hang_reads += n;
		sim_after(s, op->c % 4000000, release_live, NULL);
		break;
	}
	return true;
}

static bool op_repair(struct sim *s, const struct op *op)
{
	bool was_absent = s->diff.absent;

	device_clear_faults(&s->live);
	device_clear_faults(&s->diff);
	device_return(&s->diff);
	device_release_hung(&s->live);
	/* What hangs may hang for ever. */
	if (op->a & 1)
		device_release_hung(&s->diff);
	if (was_absent) {
		cowp_engine_diff_changed(s->eng);
		sim_called(s);
	}
	if (s->nr_msgs < MSGS_MAX)
		shell_message(s, COWP_MSG_CLEAR, 0, op->a & 2, 0);
	return true;
}

static bool op_check(struct sim *s)
{
	if (s->state != COWP_STATE_ACTIVE && s->state != COWP_STATE_NONE)
		return false;
	if (s->model.faulty)
		return false;
	model_check_table(s, false);
	verify_all(s);
	counts_check(s);
	return true;
}

static void plan_of(struct cut_plan *plan, const struct history *h, const struct op *op)
{
	*plan = (struct cut_plan) {
		.states = op->a ? op->a : 1,
		.again = 120,
		.work_on = h->exhaustive ? 5 : 60,
		.absent = 25,
		.blind = 30,
		.decay = 15,
		.exhaustive = h->exhaustive,
	};
}

static bool execute(struct sim *s, const struct history *h, const struct op *op)
{
	struct cut_plan plan;

	switch ((enum op_type)op->type) {
	case OP_WRITE:
		return op_write(s, op);
	case OP_WRITE_MANY:
		return op_write_many(s, op);
	case OP_FLUSH:
		if (!room_for_user(s))
			return false;
		shell_flush(s);
		return true;
	case OP_READ:
		if (!room_for_user(s))
			return false;
		shell_read(s, rounddown(op->a % s->live.visible->sectors,
					s->live.block_sectors), s->live.block_sectors);
		return true;
	case OP_SNAPSHOT_READ:
		return op_snapshot_read(s, op);
	case OP_SNAPSHOT_CYCLE:
		return op_snapshot_cycle(s, op);
	case OP_DELETE:
		return op_delete(s, op);
	case OP_CHECKPOINT:
		return op_message(s, COWP_MSG_CHECKPOINT, false, deadline(s, op->b));
	case OP_PROTECT:
		return op_message(s, COWP_MSG_PROTECT, false, 0);
	case OP_NOPROTECT:
		return op_message(s, COWP_MSG_NOPROTECT, false, 0);
	case OP_RESET:
		return op->a % 4 == 0 && op_message(s, COWP_MSG_RESET, false, 0);
	case OP_CLEAR:
		return op_message(s, COWP_MSG_CLEAR, op->a & 1, 0);
	case OP_GROW:
		return op_grow(s, op);
	case OP_LIVE_GROW:
		return op_live_grow(s, op);
	case OP_CANCEL:
		shell_cancel_write(s, op->a);
		return true;
	case OP_CANCEL_MESSAGE:
		shell_cancel_message(s, op->a);
		return true;
	case OP_IDLE:
		pump(s, op->a % 8 ? op->a % 3000 : op->a % 2500000);
		return true;
	case OP_CHECK:
		return op_check(s);
	case OP_QUIESCE:
		sim_quiesce(s);
		return true;
	case OP_REOPEN:
		cut_reopen(s);
		return true;
	case OP_FAULT:
		return op_fault(s, op);
	case OP_REPAIR:
		return op_repair(s, op);
	case OP_ARM:
		s->cut_kind = op->a;
		s->cut_skip = op->b;
		return true;
	case OP_CUT:
		plan_of(&plan, h, op);
		cut_power(s, &plan);
		return true;
	case OP_TYPES:
		break;
	}
	return false;
}

void history_early_writes(struct sim *s, u32 count)
{
	while (count--) {
		u64 sector = rng_below(&s->rng, s->live.visible->sectors);

		write_at(s, sector, rng_range(&s->rng, 1, chunk_sectors(s)), false);
	}
}

void history_some_ops(struct sim *s, u32 count)
{
	static const u8 types[] = {
		OP_WRITE, OP_WRITE, OP_WRITE, OP_WRITE, OP_SNAPSHOT_READ, OP_SNAPSHOT_READ,
		OP_SNAPSHOT_CYCLE, OP_CHECKPOINT, OP_FLUSH,
	};
	static const struct history none;

	while (count--) {
		struct op op = random_op(&s->rng, types[rng_below(&s->rng, ARRAY_SIZE(types))]);

		execute(s, &none, &op);
		pump(s, op.delay);
	}
}

static void run_ops(struct sim *s, const struct history *h)
{
	u32 i;

	cut_first_start(s);
	for (i = 0; i < h->nr; i++) {
		const struct op *op = &h->ops[i];

		if (op->dropped || (s->cut_now && op->type != OP_CUT))
			continue;
		rng_seed(&s->rng, op->seed);
		sim_trace(s, "-- %u %s", i, op_names[op->type]);
		if (!execute(s, h, op))
			continue;
		if (op->type != OP_ARM && op->type != OP_CUT) {
			s->ops_since_start++;
			stats_count(s->stats, STAT_OPS);
		}
		pump(s, op->delay);
	}
	if (!s->cut_now) {
		sim_quiesce(s);
		model_check_table(s, true);
		verify_all(s);
		counts_check(s);
		sim_stop_clean(s);
	}
}

bool history_run(const struct history *h, struct stats *stats, bool trace)
{
	struct sim *s = malloc(sizeof(*s));
	bool good;

	if (!s)
		abort();
	sim_init(s, h->seed, &h->setup, stats);
	s->trace = trace;
	good = !setjmp(s->fail_to);
	if (good) {
		run_ops(s, h);
		stats_count(stats, STAT_HISTORIES);
	} else {
		memcpy(stats->failure, s->failure, sizeof(stats->failure));
		stats->failure_id = s->failure_id;
		stats->failed_seed = h->seed;
		stats->failed = 1;
	}
	sim_exit(s);
	free(s);
	return good;
}
