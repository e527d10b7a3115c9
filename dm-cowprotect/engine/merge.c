// SPDX-License-Identifier: GPL-2.0-only
/*
 * Merges: several runs become one, without the records that nobody needs.
 *
 * A merge goes through the keys in steps of about one fragment.  A step reads
 * its inputs' leaves forwards, a window each, and writes one fragment; when that
 * is durable the next manifest publishes it, and takes what was read off the
 * inputs by raising their first keys.  So a step changes nothing that a crash
 * could find half done, needs a fixed amount of memory, and of space little more
 * than its fragment: what is used up of an input is freed with each manifest.
 *
 *	IDLE -> WORK -> FINISH -> FLUSH -> DONE -> (manifest) -> WORK ... -> IDLE
 *	          \________\________\___-> DRAIN -> IDLE
 *
 * Keys are unique, so it does not matter which runs are merged with which, but
 * for one rule: runs with records of the current epoch are not merged with
 * older ones, and none of those records is dropped, as the preserved bits are
 * made from them.  Which runs, and when: reclaim.c.
 *
 * A merge copies nothing that a write waits for, so its troubles are no fault:
 * it is given up, and begun again later; a run that cannot be read is left out.
 * The flush alone is different.  When that fails, batches may have lost what the
 * device had in its cache.
 */
#include "internal.h"

#define RETRY_MS	1000U

/* ---- inputs ---- */

static void failed(struct cowp_engine *eng);

static struct cowp_run *run_of(struct cowp_index *x, u32 number)
{
	u32 i;

	for (i = 0; i < x->run_count; i++)
		if (x->runs[i].number == number)
			return &x->runs[i];
	return NULL;
}

/* The run cannot be read: leave it as it is, snapshot reads get what is left. */
static void give_up_run(struct cowp_engine *eng, struct cowp_cursor *c)
{
	struct cowp_index *x = &eng->index;
	u32 i;

	for (i = 0; i < x->fragment_count; i++)
		if (x->fragments[i].run == c->run)
			x->fragments[i].unreadable = true;
	cowp_runs_update(x);
	failed(eng);
}

/*
 * cowp_merge_again - the operator says that the area is repaired: try all runs
 *		      and segments
 */
void cowp_merge_again(struct cowp_engine *eng)
{
	struct cowp_index *x = &eng->index;
	u32 i;

	for (i = 0; i < x->fragment_count; i++)
		x->fragments[i].unreadable = false;
	for (i = 0; i < eng->segs.count; i++)
		eng->segs.table[i].pinned = false;
	x->merge.retry_at = 0;
	cowp_runs_update(x);
	cowp_reclaim_changed(eng, false);
}

static void window_read(struct cowp_engine *eng, struct cowp_io *io)
{
	struct cowp_cursor *c = io->private;
	struct cowp_merge *m = &eng->index.merge;
	u32 i;

	if (cowp_io_late(io) || m->state == COWP_MERGE_DRAIN)
		return;
	for (i = 0; !io->error && i < io->nr_blocks; i++)
		if (cowp_leaf_check(eng, &c->frag, c->leaf + i, io->blocks[i]))
			io->error = -EBADMSG;
	if (io->error) {
		give_up_run(eng, c);
		return;
	}
	c->leaves = io->nr_blocks;
	c->at_leaf = 0;
	c->at = 0;
	c->state = COWP_CURSOR_READ;
}

static void read_window(struct cowp_engine *eng, struct cowp_cursor *c)
{
	struct cowp_io *io = c->io;

	c->state = COWP_CURSOR_READING;
	io->op = COWP_READ;
	io->dev = COWP_DIFF;
	io->sector = (cowp_fragment_level(&c->frag, 0) + c->leaf) * COWP_BLOCK_SECTORS;
	io->nr_blocks = min(c->frag.leaves - c->leaf, io->max_blocks);
	io->bytes = io->nr_blocks * COWP_BLOCK_SIZE;
	cowp_submit(eng, io);
}

/* Find the leaf at which to go on in the next fragment. */
static void seek(struct cowp_engine *eng, struct cowp_wait *wait)
{
	struct cowp_cursor *c = container_of(wait, struct cowp_cursor, wait);
	const struct cowp_run_block *leaf;
	u32 pos;
	int error;

	error = cowp_run_ceiling(eng, &c->frag, c->key, &c->search, wait, &leaf, &pos);
	if (error == -EAGAIN)
		return;
	if (error) {
		give_up_run(eng, c);
		return;
	}
	c->key = le64_to_cpu(leaf->records[pos].key);
	c->leaf = c->search.index;
	c->first = true;
	read_window(eng, c);
}

static void next_fragment(struct cowp_engine *eng, struct cowp_cursor *c)
{
	const struct cowp_run *r = run_of(&eng->index, c->run);
	const struct cowp_fragment *f = r ? cowp_run_fragment(&eng->index, r, c->key) : NULL;

	if (!f) {
		c->state = COWP_CURSOR_END;
		return;
	}
	c->state = COWP_CURSOR_SEEKING;
	c->frag = *f;
	memset(&c->search, 0, sizeof(c->search));
	seek(eng, &c->wait);
}

/* Take the record at the window's next place, if there is one that counts. */
static bool take_record(struct cowp_engine *eng, struct cowp_cursor *c)
{
	const struct cowp_run_block *leaf = c->io->blocks[c->at_leaf];

	while (c->at < le16_to_cpu(leaf->count)) {
		cowp_rec_decode(&c->rec, &leaf->records[c->at++]);
		if (c->rec.key >= c->key) {
			c->first = false;
			c->key = c->rec.key + 1;
			c->state = COWP_CURSOR_RECORD;
			return true;
		}
		/* Below what was asked for is nothing but the leaf's beginning. */
		if (!c->first) {
			give_up_run(eng, c);
			return false;
		}
	}
	c->at_leaf++;
	c->at = 0;
	return false;
}

/* Move a cursor to its next record.  Returns false when that has to wait. */
static bool advance(struct cowp_engine *eng, struct cowp_cursor *c)
{
	for (;;) {
		switch (c->state) {
		case COWP_CURSOR_RECORD:
		case COWP_CURSOR_END:
			return true;
		case COWP_CURSOR_READ:
			if (c->at_leaf < c->leaves) {
				take_record(eng, c);
				break;
			}
			c->leaf += c->leaves;
			if (c->leaf < c->frag.leaves)
				read_window(eng, c);
			else
				c->state = COWP_CURSOR_NEXT;
			break;
		case COWP_CURSOR_NEXT:
			next_fragment(eng, c);
			break;
		default:
			return false;
		}
	}
}

/* The cursor with the lowest key; NULL with *@wait or at the end of all. */
static struct cowp_cursor *lowest(struct cowp_engine *eng, bool *wait)
{
	struct cowp_merge *m = &eng->index.merge;
	struct cowp_cursor *best = NULL;
	u32 i;

	*wait = false;
	for (i = 0; i < m->inputs && m->state == COWP_MERGE_WORK; i++) {
		struct cowp_cursor *c = &m->cursor[i];

		/* All of them: their reads go on side by side. */
		if (!advance(eng, c))
			*wait = true;
		else if (c->state == COWP_CURSOR_RECORD && (!best || c->rec.key < best->rec.key))
			best = c;
	}
	*wait |= m->state != COWP_MERGE_WORK;
	return *wait ? NULL : best;
}

/* ---- a step ---- */

/* Is there a snapshot that reads this record?  @before: epoch of the chunk's last one. */
static bool needed(struct cowp_engine *eng, u32 before, u32 epoch)
{
	u32 low = 0, high = eng->snapshot_count;

	if (epoch == eng->epoch)
		return true;
	/* The newest snapshot that is not newer than the record. */
	while (low < high) {
		u32 middle = (low + high) / 2;

		if (eng->snapshots[middle].id <= epoch)
			low = middle + 1;
		else
			high = middle;
	}
	return low && eng->snapshots[low - 1].id > before;
}

static void drop(struct cowp_engine *eng, const struct cowp_rec *rec)
{
	struct cowp_segment *seg = &eng->segs.table[cowp_place_of(rec->location).segment];

	/* A record older than the oldest snapshot may point to what is used again. */
	if (cowp_holds_chunks(seg->kind) && seg->incarnation == rec->incarnation)
		seg->change--;
}

/* What comes from here on may be taken back; what was before stays. */
static void mark(struct cowp_merge *m)
{
	cowp_writer_mark(&m->out);
	cowp_mover_mark(&m->mover);
}

static void begin_step(struct cowp_engine *eng)
{
	struct cowp_merge *m = &eng->index.merge;
	u32 caps = port_caps(eng->port, COWP_DIFF);

	m->state = COWP_MERGE_WORK;
	m->step_records = 0;
	m->step_dropped = 0;
	m->step_moved = 0;
	m->have_frag = false;
	m->flush = caps & COWP_CAP_CACHE && !(caps & COWP_CAP_FUA);
	m->out.fua = caps & COWP_CAP_CACHE && caps & COWP_CAP_FUA;
	m->out.leave = eng->segs.reserve_flush;
	m->mover.fua = m->out.fua;
	mark(m);
}

/* The step has all its records, or the inputs are at their end. */
static void end_step(struct cowp_engine *eng)
{
	struct cowp_merge *m = &eng->index.merge;

	m->state = COWP_MERGE_FINISH;
	m->have_frag = m->out.state != COWP_WRITER_IDLE;
}

static bool open_output(struct cowp_engine *eng)
{
	struct cowp_merge *m = &eng->index.merge;

	if (m->out.state != COWP_WRITER_IDLE)
		return true;
	if (eng->index.fragment_count < COWP_MAX_FRAGMENTS &&
	    cowp_writer_open(eng, &m->out, m->run, m->left))
		return true;
	failed(eng);
	return false;
}

/* Write a record, with its chunk's new place if that is moved.  False: not now. */
static bool keep(struct cowp_engine *eng, const struct cowp_rec *rec)
{
	struct cowp_merge *m = &eng->index.merge;
	struct cowp_rec as = *rec;

	if (!open_output(eng))
		return false;
	if (cowp_writer_full(&m->out)) {
		end_step(eng);
		return false;
	}
	if (!cowp_writer_ready(eng, &m->out))
		return false;
	if (cowp_mover_wants(eng, rec) &&
	    !(cowp_mover_run(eng, &m->mover, false) && cowp_mover_take(eng, &m->mover, &as)))
		return false;
	cowp_writer_add(eng, &m->out, &as);
	m->step_moved += as.location != rec->location;
	return true;
}

/* Returns false when the step ends or has to wait. */
static bool take_lowest(struct cowp_engine *eng)
{
	struct cowp_merge *m = &eng->index.merge;
	bool wait;
	struct cowp_cursor *c = lowest(eng, &wait);
	const struct cowp_rec *rec;
	u32 before = 0;

	if (!c) {
		if (!wait)
			end_step(eng);
		return false;
	}
	rec = &c->rec;
	if (rec->key < m->next_key) {
		/* A key that came before: one of the two runs is not what it says. */
		give_up_run(eng, c);
		return false;
	}
	if (cowp_key_chunk(m->prev) == cowp_key_chunk(rec->key))
		before = cowp_key_epoch(m->prev);
	if (needed(eng, before, cowp_key_epoch(rec->key))) {
		if (!keep(eng, rec))
			return false;
	} else {
		drop(eng, rec);
		m->step_dropped++;
	}
	m->prev = rec->key;
	m->next_key = rec->key + 1;
	m->left -= !!m->left;
	c->state = COWP_CURSOR_READ;
	if (++m->step_records < COWP_MERGE_STEP)
		return true;
	end_step(eng);
	return false;
}

/* The step is durable: from now on every manifest has it. */
static void step_done(struct cowp_engine *eng)
{
	struct cowp_index *x = &eng->index;
	struct cowp_merge *m = &x->merge;
	u32 i;

	m->state = COWP_MERGE_DONE;
	m->composed = false;
	for (i = 0; i < eng->segs.count; i++) {
		struct cowp_segment *seg = &eng->segs.table[i];

		seg->live += seg->change;
		seg->change = 0;
	}
	if (m->have_frag)
		eng->segs.table[m->out.segment].live++;
	for (i = 0; i < x->fragment_count; i++) {
		const struct cowp_fragment *f = &x->fragments[i];

		if (cowp_merge_has(m, f->run) && f->last_key < m->next_key)
			eng->segs.table[cowp_segment_of(&eng->geo, f->block)].live--;
	}
	cowp_checkpoint_want(eng, false);
}

static void flushed(struct cowp_engine *eng, struct cowp_io *io)
{
	struct cowp_merge *m = &eng->index.merge;

	if (cowp_io_late(io))
		return;
	if (io->error) {
		/* What batches have only in the device's cache cannot be relied on either. */
		cowp_proof_note_batches(eng);
		cowp_fault(eng, cowp_fault_of(io->error, COWP_FAULT_COW_WRITE_FAILURE), io->error);
		cowp_log_abort(eng);
		failed(eng);
	} else if (m->state == COWP_MERGE_FLUSH) {
		step_done(eng);
	}
}

static void finish_step(struct cowp_engine *eng)
{
	struct cowp_merge *m = &eng->index.merge;

	if (m->out.state != COWP_WRITER_IDLE && !cowp_writer_finish(eng, &m->out))
		return;
	if (!cowp_mover_run(eng, &m->mover, true) || m->out.outstanding)
		return;
	if (!m->have_frag || !m->flush) {
		step_done(eng);
		return;
	}
	m->state = COWP_MERGE_FLUSH;
	cowp_submit(eng, m->flush_io);
}

/* ---- giving up ---- */

static void stop(struct cowp_engine *eng)
{
	struct cowp_merge *m = &eng->index.merge;
	u32 i;

	m->state = COWP_MERGE_DRAIN;
	/* There may be nothing out that would bring the next run. */
	eng->again = true;
	for (i = 0; i < m->inputs; i++)
		list_del_init(&m->cursor[i].wait.node);
}

static void failed(struct cowp_engine *eng)
{
	struct cowp_merge *m = &eng->index.merge;

	if (m->state == COWP_MERGE_WORK || m->state == COWP_MERGE_FINISH ||
	    m->state == COWP_MERGE_FLUSH)
		cowp_reclaim_failed(eng);
	m->retry_at = eng->now + RETRY_MS;
	stop(eng);
}

/* Wait for what is out; then nothing of the step is left. */
static void drain(struct cowp_engine *eng)
{
	struct cowp_merge *m = &eng->index.merge;
	u32 i;

	if (m->out.outstanding || m->mover.outstanding || m->flush_io->in_flight)
		return;
	for (i = 0; i < m->inputs; i++)
		if (m->cursor[i].io->in_flight)
			return;
	for (i = 0; i < eng->segs.count; i++)
		eng->segs.table[i].change = 0;
	cowp_writer_rewind(&m->out);
	cowp_mover_rewind(eng, &m->mover);
	if (m->forget) {
		m->out.segment = COWP_NO_SEGMENT;
		m->mover.segment = COWP_NO_SEGMENT;
	}
	/* What it took is free again with the next manifest. */
	mark(m);
	m->forget = false;
	m->inputs = 0;
	m->state = COWP_MERGE_IDLE;
	eng->index.reclaim.look = true;
}

/* Is it waiting for I/O that was given up, and may never end? */
bool cowp_merge_stuck(const struct cowp_merge *m)
{
	u32 i;

	if (m->state != COWP_MERGE_DRAIN)
		return false;
	for (i = 0; i < m->inputs; i++)
		if (m->cursor[i].io->in_flight && m->cursor[i].io->abandoned)
			return true;
	return m->out.hung || m->mover.hung || (m->flush_io->in_flight && m->flush_io->abandoned);
}

/*
 * cowp_merge_forget - the index is empty, or nobody needs what is in it
 */
void cowp_merge_forget(struct cowp_engine *eng)
{
	struct cowp_merge *m = &eng->index.merge;

	m->forget = true;
	stop(eng);
}

/* ---- manifests ---- */

/* Is the run an input? */
bool cowp_merge_has(const struct cowp_merge *m, u32 run)
{
	u32 i;

	for (i = 0; i < m->inputs; i++)
		if (m->cursor[i].run == run)
			return true;
	return false;
}

/*
 * cowp_merge_published - a durable manifest has the step: go on with the next
 *
 * Called before the fragments that are dropping leave the list.
 */
void cowp_merge_published(struct cowp_engine *eng)
{
	struct cowp_index *x = &eng->index;
	struct cowp_merge *m = &x->merge;
	bool more = false;
	u32 i;

	if (m->state != COWP_MERGE_DONE || !m->composed)
		return;
	port_trace_merge(eng->port, m->inputs, m->step_records, m->step_dropped,
			 m->step_moved);
	if (m->step_dropped)
		cowp_reclaim_more(eng);
	for (i = 0; i < x->fragment_count; i++) {
		struct cowp_fragment *f = &x->fragments[i];

		if (!cowp_merge_has(m, f->run))
			continue;
		f->first_key = max(f->first_key, m->next_key);
		f->dropping |= f->last_key < m->next_key;
	}
	if (m->have_frag && !m->out.frag.dropping)
		cowp_fragment_add(x, &m->out.frag);
	for (i = 0; i < m->inputs; i++)
		more |= m->cursor[i].state != COWP_CURSOR_END;
	if (more) {
		begin_step(eng);
		return;
	}
	mark(m);
	m->inputs = 0;
	m->state = COWP_MERGE_IDLE;
	cowp_reclaim_merged(eng);
}

/* ---- the whole ---- */

/*
 * cowp_merge_start - merge runs
 * @wanted:	numbers of the runs
 * @count:	how many
 *
 * None is under way.  Returns false if it cannot be begun now.
 */
bool cowp_merge_start(struct cowp_engine *eng, const u32 *wanted, u32 count)
{
	struct cowp_merge *m = &eng->index.merge;
	u32 i;

	for (i = 0; i < count; i++)
		if (m->cursor[i].io->in_flight)
			return false;
	m->inputs = count;
	m->next_key = 0;
	m->prev = 0;
	m->left = 0;
	m->run = eng->index.next_run++;
	for (i = 0; i < count; i++) {
		struct cowp_cursor *c = &m->cursor[i];

		c->run = wanted[i];
		c->key = 0;
		c->wait.error = 0;
		c->state = COWP_CURSOR_NEXT;
		m->left += run_of(&eng->index, wanted[i])->records;
	}
	begin_step(eng);
	return true;
}

/* May merges go on?  Behind a clean end the area may be another activation's. */
static bool may_merge(struct cowp_engine *eng)
{
	if (!eng->loaded || eng->closed || eng->cp.want_clean || eng->cp.clean)
		return false;
	switch (eng->phase) {
	case COWP_PHASE_ACTIVE:
	case COWP_PHASE_WAIT_ROOM:
		return true;
	case COWP_PHASE_CLEARING:
		return eng->proof.running;
	default:
		return false;
	}
}

/*
 * cowp_merge_run - go on with the merge, or begin one
 *
 * Returns when to be called again.
 */
u64 cowp_merge_run(struct cowp_engine *eng)
{
	struct cowp_merge *m = &eng->index.merge;
	u32 budget = COWP_MERGE_ROUND;

	if (m->state == COWP_MERGE_DRAIN)
		drain(eng);
	if (m->state == COWP_MERGE_WORK || m->state == COWP_MERGE_FINISH) {
		if (m->out.error || (m->mover.error && m->mover.error != -EBADMSG))
			failed(eng);
		else if (m->mover.error)
			stop(eng);	/* without that chunk's segment it goes on */
	}
	if (m->state == COWP_MERGE_IDLE && may_merge(eng) && !eng->index.dropping) {
		if (eng->now < m->retry_at)
			return m->retry_at;
		cowp_reclaim_choose(eng);
	}
	if (m->state == COWP_MERGE_WORK && !may_merge(eng))
		stop(eng);
	while (m->state == COWP_MERGE_WORK && budget && take_lowest(eng))
		budget--;
	if (m->state == COWP_MERGE_FINISH)
		finish_step(eng);
	/* A long merge leaves room for what else there is to do. */
	return budget ? cowp_reclaim_tick(eng) : eng->now;
}

int cowp_merge_init(struct cowp_engine *eng)
{
	struct cowp_merge *m = &eng->index.merge;
	u32 i, j;

	m->flush_io = cowp_alloc_io(eng, 0, flushed);
	if (!m->flush_io)
		return -ENOMEM;
	m->flush_io->op = COWP_FLUSH;
	m->flush_io->dev = COWP_DIFF;
	for (i = 0; i < COWP_MAX_RUNS; i++) {
		struct cowp_cursor *c = &m->cursor[i];

		INIT_LIST_HEAD(&c->wait.node);
		c->wait.resume = seek;
		c->io = cowp_alloc_io(eng, COWP_MERGE_WINDOW, window_read);
		if (!c->io)
			return -ENOMEM;
		c->io->private = c;
		for (j = 0; j < COWP_MERGE_WINDOW; j++) {
			c->io->blocks[j] = cowp_alloc_block(eng);
			if (!c->io->blocks[j])
				return -ENOMEM;
		}
	}
	if (cowp_mover_init(eng, &m->mover))
		return -ENOMEM;
	return cowp_writer_init(eng, &m->out, COWP_MERGE_LEAVES);
}

void cowp_merge_exit(struct cowp_engine *eng)
{
	struct cowp_merge *m = &eng->index.merge;
	u32 i, j;

	cowp_writer_exit(&m->out);
	cowp_mover_exit(eng, &m->mover);
	port_io_free(m->flush_io);
	for (i = 0; i < COWP_MAX_RUNS; i++) {
		struct cowp_cursor *c = &m->cursor[i];

		for (j = 0; c->io && j < COWP_MERGE_WINDOW; j++)
			port_block_free(c->io->blocks[j]);
		port_io_free(c->io);
	}
}
