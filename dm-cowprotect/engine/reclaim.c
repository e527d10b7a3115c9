// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is merged, and when.
 *
 * Runs of about one size are merged when there are COWP_FAN_IN of them, so that
 * a record is written again once for each factor of that in the index's size.
 * Runs with records of the current epoch stay among themselves.
 *
 * A snapshot that was the oldest gives its segments back by their epochs; what
 * its runs hold is dead, and they are merged into nothing.  Any other leaves
 * records that only a pass finds: a merge of all older runs.  That is made when
 * the volume has been idle, or room runs short.  In the latter case it goes through
 * the runs of the current epoch as well, moves chunks out of the emptiest segments,
 * if that frees more than it takes, and is made again until one gains nothing.
 */
#include "internal.h"

#define IDLE_MS		2000U
#define ATTEMPTS	3U	/* of a merge, before it counts as impossible */

static bool is_young(const struct cowp_engine *eng, const struct cowp_run *r)
{
	return r->max_epoch >= eng->epoch;
}

static u32 tier_of(const struct cowp_engine *eng, const struct cowp_run *r)
{
	u64 size = eng->index.capacity;
	u32 tier = 0;

	for (; r->records > size; size *= COWP_FAN_IN)
		tier++;
	return tier;
}

/* ---- choosing ---- */

/* Runs that no snapshot needs anything of. */
static void choose_dead(struct cowp_engine *eng, struct cowp_choice *c)
{
	const struct cowp_index *x = &eng->index;
	u32 oldest = cowp_snapshot_oldest(eng);
	u32 i;

	c->count = 0;
	for (i = 0; i < x->run_count; i++)
		if (x->runs[i].max_epoch < oldest && !x->runs[i].unreadable)
			c->run[c->count++] = x->runs[i].number;
}

/* All of a class up to a tier. */
static void choose_tier(struct cowp_engine *eng, bool young, u32 tier, struct cowp_choice *c)
{
	const struct cowp_index *x = &eng->index;
	u32 i;

	c->count = 0;
	for (i = 0; i < x->run_count; i++) {
		const struct cowp_run *r = &x->runs[i];

		if (is_young(eng, r) == young && !r->unreadable && tier_of(eng, r) <= tier)
			c->run[c->count++] = r->number;
	}
}

/* The lowest tier with so many runs, of either class. */
static bool choose_crowded(struct cowp_engine *eng, u32 crowd, struct cowp_choice *c)
{
	u32 tier, young;

	for (tier = 0; tier < COWP_MAX_TIERS; tier++)
		for (young = 0; young < 2; young++) {
			choose_tier(eng, young, tier, c);
			if (c->count >= crowd)
				return true;
		}
	return false;
}

/* ---- room ---- */

static bool is_idle(const struct cowp_engine *eng)
{
	return list_empty(&eng->log.batches) && list_empty(&eng->log.pending) &&
	       eng->now >= eng->log.released_at + IDLE_MS;
}

static bool wants_pass(const struct cowp_engine *eng)
{
	const struct cowp_reclaim *r = &eng->index.reclaim;

	if (cowp_segments_short(eng))
		return !r->vain;
	return r->dead && is_idle(eng);
}

/* ---- segments to be emptied ---- */

#define GRADES	16U

/* How full a segment is, if its chunks could be moved; GRADES if not. */
static u32 grade_of(const struct cowp_engine *eng, u32 nr)
{
	const struct cowp_segment *seg = &eng->segs.table[nr];

	if ((seg->kind != COWP_SEGMENT_LOG && seg->kind != COWP_SEGMENT_MOVED) || seg->hung ||
	    seg->pinned || !seg->live || nr == eng->index.merge.mover.segment)
		return GRADES;
	return min(seg->live * GRADES / (eng->geo.slots + 1), GRADES);
}

/*
 * Choose the emptiest segments, as many as the free ones take in, if that frees
 * more than it needs.
 */
static void choose_segments(struct cowp_engine *eng)
{
	struct cowp_segments *s = &eng->segs;
	struct cowp_reclaim *r = &eng->index.reclaim;
	u32 open = cowp_mover_slots(eng, &eng->index.merge.mover);
	u64 budget = open, left;
	u32 grade, i;

	r->emptying = 0;
	if (s->free + s->ready > s->reserve_merge)
		budget += (u64)(s->free + s->ready - s->reserve_merge) * eng->geo.slots;
	left = budget;
	for (grade = 0; grade < GRADES; grade++)
		for (i = 0; i < s->count; i++) {
			if (grade_of(eng, i) != grade || s->table[i].live > left)
				continue;
			s->table[i].emptying = true;
			left -= s->table[i].live;
			r->emptying++;
		}
	/* Those that the open segment takes need no other. */
	if (r->emptying > DIV_ROUND_UP_ULL(budget - min(left + open, budget), eng->geo.slots))
		return;
	for (i = 0; i < s->count; i++)
		s->table[i].emptying = false;
	r->emptying = 0;
}

/* ---- passes ---- */

static void begin_pass(struct cowp_engine *eng)
{
	struct cowp_index *x = &eng->index;
	struct cowp_reclaim *r = &x->reclaim;

	r->stage = COWP_PASS_OLD;
	r->dead = false;
	r->changed = false;
	r->flushed = 0;
	r->balance = eng->segs.balance;
	r->thorough = cowp_segments_short(eng);
	if (!r->thorough)
		return;
	choose_segments(eng);
	/* What is dead but in memory no pass finds: the next one shall. */
	if (x->table[x->active].count > (cowp_segments_full(eng) ? 0 : x->capacity / 8))
		cowp_checkpoint_want(eng, true);
}

static void end_pass(struct cowp_engine *eng)
{
	struct cowp_reclaim *r = &eng->index.reclaim;
	u32 i;

	eng->again = true;
	r->stage = COWP_PASS_NONE;
	r->vain = !r->changed && eng->segs.balance <= r->balance;
	if (!r->emptying)
		return;
	r->emptying = 0;
	for (i = 0; i < eng->segs.count; i++)
		eng->segs.table[i].emptying = false;
}

static void next_stage(struct cowp_engine *eng)
{
	struct cowp_reclaim *r = &eng->index.reclaim;

	eng->again = true;
	if (r->stage == COWP_PASS_OLD && r->thorough)
		r->stage = COWP_PASS_YOUNG;
	else
		end_pass(eng);
}

/*
 * cowp_reclaim_choose - begin the merge that is due, if one is
 *
 * None is under way.
 */
void cowp_reclaim_choose(struct cowp_engine *eng)
{
	struct cowp_reclaim *r = &eng->index.reclaim;
	struct cowp_choice *c = r->choice;

	/* Asked in each run of the engine, it mostly has nothing new to look at. */
	if (!r->look && !r->stage && !wants_pass(eng))
		return;
	r->look = false;
	r->serving = false;
	choose_dead(eng, c);
	if (!c->count && !choose_crowded(eng, COWP_FAN_IN, c) &&
	    !(eng->index.run_count > COWP_MAX_RUNS / 2 && choose_crowded(eng, 2, c))) {
		if (!r->stage && wants_pass(eng))
			begin_pass(eng);
		if (!r->stage)
			return;
		choose_tier(eng, r->stage == COWP_PASS_YOUNG, COWP_MAX_TIERS, c);
		r->serving = true;
	}
	if (!c->count)
		next_stage(eng);
	else if (!cowp_merge_start(eng, c->run, c->count))
		cowp_reclaim_failed(eng);
}

/* A merge was carried through. */
void cowp_reclaim_merged(struct cowp_engine *eng)
{
	struct cowp_reclaim *r = &eng->index.reclaim;

	r->failures = 0;
	if (r->serving)
		next_stage(eng);
	r->serving = false;
	r->look = true;
	eng->again = true;
}

/* One was given up. */
void cowp_reclaim_failed(struct cowp_engine *eng)
{
	struct cowp_reclaim *r = &eng->index.reclaim;

	r->look = true;
	if (++r->failures < ATTEMPTS)
		return;
	end_pass(eng);
	r->vain = true;
}

/*
 * cowp_reclaim_more - a pass may gain more than one that began before could
 *
 * So it is when records were dropped, as live counts only then tell which segments
 * to empty, and when one of those cannot be emptied.
 */
void cowp_reclaim_more(struct cowp_engine *eng)
{
	struct cowp_reclaim *r = &eng->index.reclaim;

	r->changed = true;
	r->look = true;
	if (r->failures < ATTEMPTS)
		r->vain = false;
	eng->again = true;
}

/* A snapshot was deleted (@dead), the epoch has ended, or the operator has repaired. */
void cowp_reclaim_changed(struct cowp_engine *eng, bool dead)
{
	struct cowp_reclaim *r = &eng->index.reclaim;

	r->dead |= dead;
	r->failures = 0;
	cowp_reclaim_more(eng);
}

/*
 * cowp_reclaim_flushed - a memtable has become a run
 * @records:	in it
 *
 * What was dead in memory can be found now.  A pass goes through all records: it
 * is worth that where these are many, or nothing else is left to try.
 */
void cowp_reclaim_flushed(struct cowp_engine *eng, u32 records)
{
	struct cowp_index *x = &eng->index;
	u64 all = 0;
	u32 i;

	for (i = 0; i < x->run_count; i++)
		all += x->runs[i].records;
	x->reclaim.flushed += records;
	if (cowp_segments_full(eng) || x->reclaim.flushed >= all / 16)
		cowp_reclaim_more(eng);
}

/*
 * cowp_reclaim_pending - may there be more room without a deletion?
 *
 * If so a copy that finds none waits.
 */
bool cowp_reclaim_pending(const struct cowp_engine *eng)
{
	const struct cowp_index *x = &eng->index;

	/* What comes out of memory can be looked through behind that. */
	if (eng->cp.want_full || x->frozen)
		return true;
	if (x->reclaim.vain || cowp_merge_stuck(&x->merge))
		return false;
	return x->run_count || x->merge.state != COWP_MERGE_IDLE;
}

/* When it may be time for a pass, if nothing happens before. */
u64 cowp_reclaim_tick(const struct cowp_engine *eng)
{
	const struct cowp_index *x = &eng->index;

	if (!x->reclaim.dead || x->merge.state != COWP_MERGE_IDLE || !x->run_count ||
	    eng->phase != COWP_PHASE_ACTIVE || is_idle(eng))
		return ~0ULL;
	return max(eng->log.released_at + IDLE_MS, eng->now + 1);
}

int cowp_reclaim_init(struct cowp_engine *eng)
{
	struct cowp_reclaim *r = &eng->index.reclaim;

	r->choice = cowp_alloc(eng, sizeof(*r->choice));
	return r->choice ? 0 : -ENOMEM;
}

void cowp_reclaim_exit(struct cowp_engine *eng)
{
	port_free(eng->index.reclaim.choice);
}
