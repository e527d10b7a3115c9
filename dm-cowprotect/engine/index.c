// SPDX-License-Identifier: GPL-2.0-only
/*
 * The index: memtables in front, runs behind.
 *
 * Snapshot j reads a chunk's record with the smallest epoch not below j, from
 * whichever source has it, or else the live volume.
 */
#include "internal.h"

static struct cowp_memtable *active_table(struct cowp_engine *eng)
{
	return &eng->index.table[eng->index.active];
}

/*
 * cowp_index_full - has the run list room for nothing but what is on its way?
 *
 * Both memtables become runs yet, and each batch under way may be released into
 * a memtable of its own: so much is left for them, and for the checkpoints of
 * recovery, delete and clear, which bring nothing else once copies have ended.
 */
bool cowp_index_full(const struct cowp_engine *eng)
{
	const struct cowp_index *x = &eng->index;

	return x->run_count > COWP_MAX_RUNS - (2 + COWP_BATCHES) ||
	       x->fragment_count > COWP_MAX_FRAGMENTS - COWP_RUN_FRAGMENTS * (2 + COWP_BATCHES);
}

/* Promise an entry, so that a durable copy always finds room. */
bool cowp_index_reserve(struct cowp_engine *eng)
{
	struct cowp_index *x = &eng->index;
	u32 count = active_table(eng)->count;

	/* A run in time, so that copies need not wait for it. */
	if (count >= x->capacity - x->capacity / 4 && !x->frozen)
		cowp_checkpoint_want(eng, true);
	if (count + x->reserved >= x->capacity)
		return false;
	x->reserved++;
	return true;
}

void cowp_index_unreserve(struct cowp_engine *eng, u32 count)
{
	eng->index.reserved -= count;
}

void cowp_index_insert(struct cowp_engine *eng, const struct cowp_rec *rec, u64 batch)
{
	cowp_memtable_insert(active_table(eng), rec, batch, port_random(eng->port));
}

static bool holds(const struct cowp_memtable *t, u64 key)
{
	const struct cowp_node *n = cowp_memtable_ceiling(t, key);

	return n && n->rec.key == key;
}

/*
 * cowp_index_replay - insert a record that recovery found in the log
 *
 * Fills the active memtable first, then the other one.  Returns false if there
 * are more than a log can have.
 */
bool cowp_index_replay(struct cowp_engine *eng, const struct cowp_rec *rec, u64 batch)
{
	struct cowp_index *x = &eng->index;
	struct cowp_memtable *t = &x->table[x->active];

	/* A key that is in one of them already meets its record there. */
	if (t->count == x->capacity && !holds(t, rec->key))
		t = &x->table[!x->active];
	if (t->count == x->capacity && !holds(t, rec->key))
		return false;
	cowp_memtable_insert(t, rec, batch, port_random(eng->port));
	return true;
}

static void take_better(struct cowp_search *at, u64 chunk, const struct cowp_rec *rec)
{
	if (cowp_key_chunk(rec->key) != chunk || (at->found && rec->key >= at->best_key))
		return;
	at->found = true;
	at->best_key = rec->key;
	at->best_location = rec->location;
	at->best_crc = rec->crc;
}

static void search_memtables(struct cowp_engine *eng, u64 key, struct cowp_search *at)
{
	u32 i;

	for (i = 0; i < 2; i++) {
		const struct cowp_node *n = cowp_memtable_ceiling(&eng->index.table[i], key);

		if (n)
			take_better(at, cowp_key_chunk(key), &n->rec);
	}
}

static int search_run(struct cowp_engine *eng, const struct cowp_run *r, u64 key,
		      struct cowp_search *at, struct cowp_wait *wait)
{
	const struct cowp_fragment *f = cowp_run_fragment(&eng->index, r, key);
	const struct cowp_run_block *leaf;
	struct cowp_rec rec;
	u32 pos;
	int error;

	if (!f || f->max_epoch < cowp_key_epoch(key) ||
	    f->first_key > cowp_key(cowp_key_chunk(key), COWP_MAX_EPOCH) ||
	    (at->found && f->min_epoch >= cowp_key_epoch(at->best_key)))
		return 0;
	error = cowp_run_ceiling(eng, f, key, at, wait, &leaf, &pos);
	if (error)
		return error == -ENOENT ? 0 : error;
	cowp_rec_decode(&rec, &leaf->records[pos]);
	take_better(at, cowp_key_chunk(key), &rec);
	return 0;
}

/*
 * The record that a snapshot reads a chunk from, into at->best*.  Returns 0
 * with at->found, -EAGAIN, or an error.  A memtable that became a run meanwhile
 * makes it start anew; records that came meanwhile raise the sequence count,
 * which the reader compares.
 */
static int find(struct cowp_engine *eng, u32 snapshot, u64 chunk, struct cowp_search *at,
		struct cowp_wait *wait)
{
	struct cowp_index *x = &eng->index;
	u64 key = cowp_key(chunk, snapshot);
	int error;

	if (at->generation != x->generation) {
		memset(at, 0, sizeof(*at));
		at->generation = x->generation;
		cowp_cache_anew(eng, wait);
		search_memtables(eng, key, at);
	}
	for (; at->run < x->run_count; at->run++) {
		error = search_run(eng, &x->runs[at->run], key, at, wait);
		if (error)
			return error;
	}
	return 0;
}

/*
 * cowp_index_freeze - set the active memtable aside, to become a run
 *
 * Returns false when there is one set aside already.
 */
bool cowp_index_freeze(struct cowp_engine *eng)
{
	struct cowp_index *x = &eng->index;

	if (x->frozen)
		return false;
	x->frozen = true;
	x->frozen_batch = cowp_log_replay_point(eng);
	x->active = !x->active;
	/* Behind a replay the other one is full too, and becomes a run with it. */
	if (!x->both)
		cowp_memtable_reset(active_table(eng), x->frozen_batch);
	cowp_flush_prepare(eng);
	return true;
}

/*
 * cowp_index_publish - a durable manifest lists the new runs: drop the memtable
 *			and the fragments that the manifest left out
 */
void cowp_index_publish(struct cowp_engine *eng)
{
	struct cowp_index *x = &eng->index;
	struct cowp_flush *fl = &x->flush;
	u32 flushed = 0;
	u32 i, n = 0;

	cowp_merge_published(eng);
	for (i = 0; i < x->fragment_count; i++)
		if (!x->fragments[i].dropping)
			x->fragments[n++] = x->fragments[i];
	x->fragment_count = n;
	if (x->frozen && fl->done) {
		for (i = 0; i < fl->frags; i++) {
			if (fl->frag[i].dropping)
				continue;
			flushed += fl->frag[i].records;
			cowp_fragment_add(x, &fl->frag[i]);
		}
		fl->frags = 0;
		fl->done = false;
		cowp_writer_mark(&fl->out);
		x->frozen = false;
		cowp_memtable_reset(&x->table[!x->active], 0);
		if (x->both)
			cowp_memtable_reset(&x->table[x->active], x->frozen_batch);
		x->both = false;
	}
	x->dropping = false;
	cowp_runs_update(x);
	x->generation++;
	if (flushed)
		cowp_reclaim_flushed(eng, flushed);
}

/* Forget everything: the snapshots were given up. */
void cowp_index_clear(struct cowp_engine *eng)
{
	struct cowp_index *x = &eng->index;

	cowp_memtable_reset(&x->table[0], eng->log.last);
	cowp_memtable_reset(&x->table[1], eng->log.last);
	x->frozen = false;
	x->both = false;
	x->dropping = false;
	x->fragment_count = 0;
	x->run_count = 0;
	x->flush.done = false;
	x->flush.frags = 0;
	x->flush.out.segment = COWP_NO_SEGMENT;
	cowp_writer_mark(&x->flush.out);
	cowp_merge_forget(eng);
	x->generation++;
}

static void answer(struct cowp_engine *eng, struct cowp_lookup *l, int error)
{
	l->error = error;
	port_lookup_done(eng->port, l);
}

static void set_found(struct cowp_engine *eng, struct cowp_found *found,
		      const struct cowp_search *at)
{
	struct cowp_place p = cowp_place_of(at->best_location);

	found->where = COWP_IN_LIVE;
	if (!at->found)
		return;
	found->where = p.flags & COWP_RECORD_BAD ? COWP_IN_DIFF_BAD : COWP_IN_DIFF;
	found->crc = at->best_crc;
	found->key = at->best_key;
	found->sector = cowp_slot_block(&eng->geo, p.segment, p.slot) * COWP_BLOCK_SECTORS;
}

static void lookup_step(struct cowp_engine *eng, struct cowp_wait *wait)
{
	struct cowp_lookup *l = container_of(wait, struct cowp_lookup, wait);

	while (l->answered < l->count) {
		int error = find(eng, l->snapshot, l->chunk + l->answered, &l->search, &l->wait);

		if (error == -EAGAIN)
			return;
		if (error) {
			/* What was found so far is right and may be used. */
			answer(eng, l, l->answered ? 0 : -EIO);
			return;
		}
		set_found(eng, &l->found[l->answered], &l->search);
		l->answered++;
		l->search.generation = 0;
	}
	answer(eng, l, 0);
}

/* Start a lookup; the snapshot was seen to be there. */
void cowp_index_lookup(struct cowp_engine *eng, struct cowp_lookup *l)
{
	INIT_LIST_HEAD(&l->wait.node);
	l->wait.resume = lookup_step;
	l->wait.error = 0;
	l->answered = 0;
	l->search.generation = 0;
	lookup_step(eng, &l->wait);
}

int cowp_index_init(struct cowp_engine *eng)
{
	struct cowp_index *x = &eng->index;
	u32 i;

	x->generation = 1;	/* 0: a search that has not begun */
	for (i = 0; i < 2; i++) {
		if (cowp_memtable_init(&x->table[i], x->capacity))
			return -ENOMEM;
		eng->status.memory_used += cowp_memtable_bytes(x->capacity);
	}
	x->fragments = cowp_alloc(eng, COWP_MAX_FRAGMENTS * sizeof(*x->fragments));
	if (!x->fragments)
		return -ENOMEM;
	if (cowp_flush_init(eng) || cowp_merge_init(eng))
		return -ENOMEM;
	return cowp_reclaim_init(eng);
}

void cowp_index_exit(struct cowp_engine *eng)
{
	cowp_reclaim_exit(eng);
	cowp_merge_exit(eng);
	cowp_flush_exit(eng);
	port_free(eng->index.fragments);
	cowp_memtable_exit(&eng->index.table[0]);
	cowp_memtable_exit(&eng->index.table[1]);
}
