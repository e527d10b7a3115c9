// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>

#include "crash.h"
#include "cut.h"
#include "internal.h"

struct outcome {
	struct image *live;
	struct image *diff;
	u64 hash;
};

static u32 kinds_in_flight(struct sim *s)
{
	struct dio *io;
	u32 kinds = 0;

	list_for_each_entry(io, &s->diff.flying, node) {
		if (io->op == DIO_WRITE)
			kinds |= io->kinds;
	}
	return kinds;
}

static bool msg_under_way(struct sim *s, u8 op)
{
	struct sim_msg *m;

	list_for_each_entry(m, &s->msgs, node) {
		if (m->m.op == op)
			return true;
	}
	return false;
}

/* The figures of an instant, added once for each outcome of it that is a cut of its own. */
struct instant {
	u32 kinds;
	u32 snaps;
	u64 ops;
	bool blocked;
	bool creating;
	bool merging;
	bool deleting;
};

static struct instant look(struct sim *s)
{
	return (struct instant) {
		.kinds = kinds_in_flight(s),
		.snaps = model_must_exist(&s->model),
		.ops = s->ops_since_start,
		.blocked = s->state == COWP_STATE_BLOCKED || s->state == COWP_STATE_WAITING ||
			   s->state == COWP_STATE_LOST,
		.creating = msg_under_way(s, COWP_MSG_CREATE),
		.merging = s->eng && s->eng->index.merge.state != COWP_MERGE_IDLE,
		.deleting = msg_under_way(s, COWP_MSG_DELETE),
	};
}

static void count_cut(struct sim *s, const struct instant *at)
{
	u32 i;

	stats_count(s->stats, STAT_CUTS);
	stats_add(s->stats, STAT_OPS_BEFORE, at->ops);
	stats_add(s->stats, STAT_SNAPS_AT_CUT, at->snaps);
	stats_add(s->stats, STAT_CUTS_WITH_3, at->snaps >= 3);
	stats_add(s->stats, STAT_CUT_BLOCKED, at->blocked);
	stats_add(s->stats, STAT_CUT_CREATE, at->creating);
	stats_add(s->stats, STAT_CUT_DELETE, at->deleting);
	stats_add(s->stats, STAT_CUT_MERGE, at->merging);
	for (i = 0; i < WRITE_KINDS; i++)
		stats_add(s->stats, STAT_KIND_DATA + i, at->kinds >> i & 1);
	stats_add(s->stats, STAT_KIND_NONE, !at->kinds);
}

static struct outcome outcome_random(struct sim *s)
{
	struct crash_how how = crash_dice(&s->rng);
	struct outcome o;

	o.live = crash_image(&s->live, &s->rng, rng_one_in(&s->rng, 2) ? &how : NULL);
	o.diff = crash_image(&s->diff, &s->rng, rng_one_in(&s->rng, 2) ? &how : NULL);
	o.hash = rng_mix(crash_hash(&s->live, o.live)) ^ crash_hash(&s->diff, o.diff);
	return o;
}

static void outcome_free(struct outcome *o)
{
	image_free(o->live);
	image_free(o->diff);
}

static bool ready(struct sim *s)
{
	return s->state != COWP_STATE_RECOVERING;
}

/* False: a cut came. */
static bool wait_ready(struct sim *s)
{
	const struct cowp_status *st = cowp_engine_status(s->eng);
	u64 limit = s->now + 300000000;
	u64 arrived = 0;

	/* A device that arrives late: what counts is what becomes of it then. */
	while (s->diff.absent || s->now < arrived || !ready(s)) {
		if (s->diff.absent)
			arrived = s->now + 5000000;
		else if (s->state == COWP_STATE_RECOVERING)
			arrived = 0;
		if (s->now >= limit)
			sim_fail(s, "recovery on sound devices does not end");
		if (!sim_step(s, limit)) {
			if (s->cut_now)
				return false;
			s->now = limit;
		}
	}
	if (st->state != COWP_STATE_BLOCKED && st->state != COWP_STATE_WAITING)
		return true;
	if (st->fault != COWP_FAULT_DIFF_AREA_FULL)
		sim_fail(s, "recovery on sound devices ends in state %s, fault %s %d",
			 cowp_state_words[st->state], cowp_fault_words[st->fault], st->error);
	return true;
}

static void settle_mode(struct sim *s)
{
	struct model *m = &s->model;
	u32 mode = cowp_engine_status(s->eng)->mode;

	if (mode == COWP_MODE_NORMAL ? !m->may_normal : !m->may_protected)
		sim_fail(s, "the mode is %s after a restart, which nobody asked for",
			 cowp_mode_words[mode]);
	m->may_normal = mode == COWP_MODE_NORMAL;
	m->may_protected = !m->may_normal;
}

/* The engine is up: compare all with the model, and let uncertainties end. */
static bool check_all(struct sim *s, bool given_up)
{
	struct model *m = &s->model;

	settle_mode(s);
	if (s->state == COWP_STATE_LOST) {
		m->creating = false;
		m->protects = 0;
		m->resets = 0;
		return true;
	}
	if (m->marked && !m->reset_asked)
		sim_fail(s, "the lost mark was durable, the state is %s",
			 cowp_state_words[s->state]);
	if (given_up && s->state == COWP_STATE_ACTIVE)
		sim_fail(s, "given_up was passed, the state is active");
	model_check_table(s, true);
	verify_all(s);
	counts_check(s);
	if (s->cut_now)
		return false;
	m->creating = false;
	m->protects = 0;
	m->resets = 0;
	m->reset_asked = false;
	m->lost = false;
	m->marked = false;
	m->may_lose = false;
	m->faulty = s->live.faults.nr_bad;
	image_free(m->cut_live);
	m->cut_live = NULL;
	return true;
}

static void start_over(struct sim *s, struct outcome *o)
{
	device_set_image(&s->live, o->live);
	device_set_image(&s->diff, o->diff);
	device_clear_faults(&s->live);
	device_clear_faults(&s->diff);
	s->live.absent = false;
	s->diff.absent = false;
	model_settle_live(s);
}

static void diff_arrives(struct sim *s, void *arg)
{
	(void)arg;
	device_return(&s->diff);
	cowp_engine_diff_changed(s->eng);
	sim_called(s);
}

/* The operator tries this and that with a volume that is blocked for want of its area. */
static void meddle(struct sim *s)
{
	static const u8 ops[] = {
		COWP_MSG_CHECKPOINT, COWP_MSG_GROW, COWP_MSG_DELETE, COWP_MSG_CLEAR, COWP_MSG_CLOSE,
	};
	const struct model *m = &s->model;
	u32 count = rng_range(&s->rng, 1, 3);

	while (count-- && s->state == COWP_STATE_BLOCKED) {
		u8 op = ops[rng_below(&s->rng, ARRAY_SIZE(ops))];
		u32 id = m->nr_snaps ? m->snap[rng_below(&s->rng, m->nr_snaps)].id : 1;
		u64 limit = s->now + 400000000;

		shell_message(s, op, op == COWP_MSG_DELETE ? id : 0, false, 0);
		while (s->nr_msgs && sim_step(s, limit))
			;
		if (s->nr_msgs)
			sim_fail(s, "message %s does not end on an area that cannot be read",
				 shell_msg_name(op));
		if (!s->last_error)
			sim_fail(s, "message %s succeeds on an area that cannot be read",
				 shell_msg_name(op));
	}
}

/*
 * Start on an outcome with a diff device that some time in recovery stops
 * returning anything.  In protected mode that must cost nothing, whatever is
 * tried before the device is well again: it is the next start's outcome.
 */
static void start_blind(struct sim *s, struct outcome *o)
{
	u64 reads = s->diff.reads + rng_below(&s->rng, 40);
	u64 limit = s->now + 300000000;

	start_over(s, o);
	outcome_free(o);
	sim_trace(s, "a start with an area that cannot be read to its end");
	sim_start_engine(s, false);
	while (s->diff.reads < reads && !ready(s) && sim_step(s, limit))
		;
	s->diff.faults.fail_reads = ~0U;
	while (!ready(s) && sim_step(s, limit))
		;
	if (s->state == COWP_STATE_BLOCKED) {
		stats_count(s->stats, STAT_BLIND);
		meddle(s);
	}
	*o = outcome_random(s);
	sim_stop_dead(s);
}

/*
 * Start on an outcome, several times if the recovery is cut too; then compare.
 * Writes may arrive before it is done.
 */
static void restart(struct sim *s, struct outcome *o, const struct cut_plan *plan)
{
	bool again = rng_permille(&s->rng, plan->again);
	bool given_up;

	if (rng_permille(&s->rng, plan->blind) && !s->model.may_normal && !s->record)
		start_blind(s, o);
	for (;;) {
		start_over(s, o);
		outcome_free(o);
		given_up = s->record;
		if (rng_permille(&s->rng, plan->absent)) {
			s->diff.absent = true;
			sim_after(s, rng_below(&s->rng, 3000000), diff_arrives, NULL);
		}
		sim_start_engine(s, false);
		if (rng_one_in(&s->rng, 4))
			history_early_writes(s, rng_range(&s->rng, 1, 4));
		if (again) {
			s->cut_soon = true;
			s->cut_after = rng_below(&s->rng, 300);
		}
		if (wait_ready(s)) {
			s->cut_soon = false;
			s->cut_now = false;
			break;
		}
		struct instant at = look(s);

		sim_trace(s, "power cut during recovery");
		stats_count(s->stats, STAT_RECOVERY_CUTS);
		stats_count(s->stats, STAT_INSTANTS);
		count_cut(s, &at);
		*o = outcome_random(s);
		sim_stop_dead(s);
		again = rng_one_in(&s->rng, 3);
	}
	check_all(s, given_up);
}

/* Save what the trial of an outcome changes. */
struct saved {
	struct model model;
	struct rng rng;
	u8 *bad;
	u32 nr_bad;
	bool record;
	u64 ops;
};

static void save(struct sim *s, struct saved *to)
{
	u64 sectors = s->live.visible->sectors;

	model_copy(&to->model, &s->model);
	to->rng = s->rng;
	to->bad = NULL;
	to->nr_bad = s->live.faults.nr_bad;
	if (s->live.faults.bad) {
		to->bad = malloc(sectors);
		if (!to->bad)
			abort();
		memcpy(to->bad, s->live.faults.bad, sectors);
	}
	to->record = s->record;
	to->ops = s->ops_since_start;
}

static void restore(struct sim *s, struct saved *from)
{
	sim_stop_dead(s);
	model_exit(&s->model);
	model_copy(&s->model, &from->model);
	model_exit(&from->model);
	s->rng = from->rng;
	if (from->bad)
		memcpy(s->live.faults.bad, from->bad, s->live.visible->sectors);
	free(from->bad);
	s->live.faults.nr_bad = from->nr_bad;
	s->record = from->record;
	s->ops_since_start = from->ops;
	sim_trace(s, "back to the instant of the cut");
}

static void try_outcome(struct sim *s, struct outcome *o, const struct cut_plan *plan, u64 salt)
{
	struct saved saved;

	save(s, &saved);
	rng_seed(&s->rng, saved.rng.state ^ salt);
	restart(s, o, plan);
	if (rng_permille(&s->rng, plan->work_on)) {
		history_some_ops(s, 12);
		sim_quiesce(s);
		if (cut_reopen(s))
			sim_quiesce(s);
	}
	restore(s, &saved);
}

/*
 * The newest root in an image, if the state blocks say that no older one may be
 * believed and there is an older one; else 0 and nothing to try.
 */
static bool only_root(struct sim *s, const struct image *img, u64 *block)
{
	struct cowp_super root[COWP_SLOTS];
	bool valid[COWP_SLOTS];
	u64 lowest = 0;
	u32 i;

	for (i = 0; i < COWP_SLOTS; i++) {
		const void *state = img->page[COWP_STATE_BLOCK(i)]->data;
		struct cowp_area_state st;

		if (!cowp_state_decode(&st, state, i, s->uuid))
			lowest = max(lowest, st.generation);
		valid[i] = !cowp_root_decode(&root[i], img->page[COWP_ROOT_BLOCK(i)]->data, i,
					     s->uuid, img->blocks);
	}
	if (!valid[0] || !valid[1])
		return false;
	i = root[1].generation > root[0].generation;
	*block = COWP_ROOT_BLOCK(i);
	return root[i].generation == lowest;
}

/* A disk that loses the newest root: no older truth may come up instead. */
static void try_decayed(struct sim *s, const struct outcome *o)
{
	const struct cowp_status *st;
	struct outcome copy;
	struct saved saved;
	struct page *page;
	u64 block;

	if (!only_root(s, o->diff, &block))
		return;
	save(s, &saved);
	copy = (struct outcome) { image_clone(o->live), image_clone(o->diff), 0 };
	page = page_copy(copy.diff->page[block]);
	page->data[rng_below(&s->rng, 200)] ^= 1 << rng_below(&s->rng, 8);
	image_merge(copy.diff, block, 0xff, page);
	page_put(page);
	start_over(s, &copy);
	outcome_free(&copy);
	sim_trace(s, "the newest root is unreadable");
	model_fault(s);
	sim_start_engine(s, false);
	sim_run_until(s, s->now + 1000000);
	st = cowp_engine_status(s->eng);
	if (st->state == COWP_STATE_ACTIVE || st->state == COWP_STATE_NONE)
		sim_fail(s, "an old manifest was believed: state %s",
			 cowp_state_words[st->state]);
	stats_count(s->stats, STAT_DECAYED);
	restore(s, &saved);
}

#define EXHAUSTIVE_WRITES	12U
#define EXHAUSTIVE_TORN		48U

/* Hashes of the outcomes of one instant that were tried. */
struct seen {
	u64 *hash;
	u32 count;
	u32 room;
};

static bool seen_before(struct seen *seen, u64 hash)
{
	u32 i;

	for (i = 0; i < seen->count; i++) {
		if (seen->hash[i] == hash)
			return true;
	}
	if (seen->count == seen->room) {
		seen->room = seen->room ? 2 * seen->room : 64;
		seen->hash = realloc(seen->hash, seen->room * sizeof(u64));
		if (!seen->hash)
			abort();
	}
	seen->hash[seen->count++] = hash;
	return false;
}

static bool same_place(const struct dio *a, const struct dio *b)
{
	return a->dev == b->dev && a->sector < b->sector + b->sectors &&
	       b->sector < a->sector + a->sectors;
}

/* Outcomes are kept in a list and tried when the in-flight writes are no longer needed. */
struct outcomes {
	struct outcome *o;
	u32 count;
	u32 room;
	struct seen seen;
};

static void add_outcome(struct sim *s, struct outcomes *all, struct outcome o)
{
	if (seen_before(&all->seen, o.hash)) {
		stats_count(s->stats, STAT_EQUAL);
		outcome_free(&o);
		return;
	}
	if (all->count == all->room) {
		all->room = all->room ? 2 * all->room : 16;
		all->o = realloc(all->o, all->room * sizeof(o));
		if (!all->o)
			abort();
	}
	all->o[all->count++] = o;
}

static struct outcome outcome_of(struct sim *s, struct crash_write *list, u32 live, u32 count)
{
	struct outcome o;

	o.live = crash_apply(&s->live, list, live, &s->rng);
	o.diff = crash_apply(&s->diff, list + live, count - live, &s->rng);
	o.hash = rng_mix(crash_hash(&s->live, o.live)) ^ crash_hash(&s->diff, o.diff);
	return o;
}

/* Every subset, both orders of every pair of one place, some torn ones. */
static void every_outcome(struct sim *s, struct outcomes *all, struct crash_write *list,
			  u32 live, u32 count)
{
	u32 mask, i, j;

	for (mask = 0; mask < 1U << count; mask++) {
		for (i = 0; i < count; i++)
			list[i].fate = mask >> i & 1 ? CRASH_KEEP : CRASH_DROP;
		add_outcome(s, all, outcome_of(s, list, live, count));
		for (i = 0; i < count; i++) {
			for (j = i + 1; j < count; j++) {
				if (!((mask >> i) & (mask >> j) & 1) ||
				    !same_place(list[i].io, list[j].io))
					continue;
				swap(list[i], list[j]);
				add_outcome(s, all, outcome_of(s, list, live, count));
				swap(list[i], list[j]);
			}
		}
	}
	for (j = 0; count && j < EXHAUSTIVE_TORN; j++) {
		mask = rng_next(&s->rng);
		for (i = 0; i < count; i++)
			list[i].fate = mask >> i & 1 ? CRASH_KEEP : CRASH_DROP;
		list[rng_below(&s->rng, count)].fate = rng_one_in(&s->rng, 3) ? CRASH_GARBAGE :
									       CRASH_TORN;
		add_outcome(s, all, outcome_of(s, list, live, count));
	}
}

static bool exhaust(struct sim *s, struct outcomes *all)
{
	struct crash_write list[EXHAUSTIVE_WRITES];
	u32 live = crash_list(&s->live, list, EXHAUSTIVE_WRITES);
	u32 count;

	if (live > EXHAUSTIVE_WRITES)
		return false;
	count = live + crash_list(&s->diff, list + live, EXHAUSTIVE_WRITES - live);
	if (count > EXHAUSTIVE_WRITES)
		return false;
	every_outcome(s, all, list, live, count);
	stats_count(s->stats, STAT_EXHAUSTED);
	return true;
}

void cut_power(struct sim *s, const struct cut_plan *plan)
{
	struct instant at = look(s);
	struct outcomes all = {};
	u64 salt = rng_next(&s->rng);
	u32 i, last;

	sim_trace(s, "power cut, in flight:%s", kinds_name(at.kinds));
	stats_count(s->stats, STAT_INSTANTS);
	model_cut(s);
	if (!plan->exhaustive || !exhaust(s, &all)) {
		for (i = 0; i < plan->states; i++)
			add_outcome(s, &all, outcome_random(s));
	}
	sim_stop_dead(s);

	last = rng_below(&s->rng, all.count);
	swap(all.o[last], all.o[all.count - 1]);
	for (i = 0; i < all.count; i++) {
		sim_trace(s, "outcome %u of %u", i + 1, all.count);
		count_cut(s, &at);
		if (rng_permille(&s->rng, plan->decay))
			try_decayed(s, &all.o[i]);
		if (i < all.count - 1)
			try_outcome(s, &all.o[i], plan, salt + i);
		else
			restart(s, &all.o[i], plan);
	}
	free(all.o);
	free(all.seen.hash);
}

bool cut_reopen(struct sim *s)
{
	bool given_up;

	sim_quiesce(s);
	if (s->cut_now)
		return false;
	shell_message(s, COWP_MSG_CLOSE, 0, false, 0);
	while (s->nr_msgs && sim_step(s, s->now + 60000000))
		;
	if (s->cut_now)
		return false;
	if (s->nr_msgs)
		sim_fail(s, "close does not end within a minute");
	if (s->last_error && s->state != COWP_STATE_LOST)
		sim_fail(s, "close fails with %d on sound devices", s->last_error);
	sim_stop_clean(s);
	if (s->cut_now)
		return false;
	stats_count(s->stats, STAT_REOPENS);
	sim_trace(s, "closed");
	/* What was written by then is safe: the power may go. */
	if (rng_one_in(&s->rng, 2)) {
		struct outcome o = outcome_random(s);

		sim_trace(s, "the power goes after the close");
		sim_stop_dead(s);
		start_over(s, &o);
		outcome_free(&o);
	}
	given_up = s->record;
	sim_start_engine(s, false);
	if (!wait_ready(s))
		return false;
	return check_all(s, given_up);
}

void cut_first_start(struct sim *s)
{
	sim_start_engine(s, true);
	s->have_uuid = true;
	if (!wait_ready(s))
		abort();
	if (s->state != COWP_STATE_NONE)
		sim_fail(s, "a new area comes up in state %s", cowp_state_words[s->state]);
	if (s->setup.protected) {
		shell_message(s, COWP_MSG_PROTECT, 0, false, 0);
		sim_run_until(s, s->now + 10000000);
		if (s->nr_msgs || s->last_error)
			sim_fail(s, "protect does not succeed on sound devices");
	}
}
