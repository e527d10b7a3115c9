// SPDX-License-Identifier: GPL-2.0-only
/*
 * Flushes of memtables: a frozen memtable becomes a run, as part of a
 * checkpoint.  Behind a replay, where both are full, the other one becomes a
 * run of its own with it.
 */
#include "internal.h"

static struct cowp_memtable *source_table(struct cowp_engine *eng)
{
	struct cowp_index *x = &eng->index;

	return &x->table[x->flush.second ? x->active : !x->active];
}

/* Records of epochs that no snapshot needs are left out. */
static const struct cowp_node *next_kept(struct cowp_engine *eng, const struct cowp_node *n)
{
	while (n && cowp_key_epoch(n->rec.key) < eng->index.flush.oldest)
		n = cowp_memtable_next(source_table(eng), n);
	return n;
}

/* Begin with a memtable: how many of its records are needed by a snapshot? */
static void start_table(struct cowp_engine *eng, bool second)
{
	struct cowp_flush *fl = &eng->index.flush;
	const struct cowp_node *n;

	fl->second = second;
	fl->left = 0;
	fl->next = next_kept(eng, cowp_memtable_ceiling(source_table(eng), 0));
	for (n = fl->next; n; n = next_kept(eng, cowp_memtable_next(source_table(eng), n))) {
		fl->left++;
		/* Once: a second attempt writes the same records. */
		if (!fl->counted[second])
			eng->segs.table[cowp_place_of(n->rec.location).segment].live++;
	}
	fl->counted[second] = true;
}

/* A memtable was frozen: nothing of it is written yet. */
void cowp_flush_prepare(struct cowp_engine *eng)
{
	struct cowp_index *x = &eng->index;
	struct cowp_flush *fl = &x->flush;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(fl->run); i++) {
		fl->run[i] = x->next_run++;
		fl->counted[i] = false;
	}
	fl->done = false;
	fl->durable = false;
	fl->frags = 0;
	fl->oldest = cowp_snapshot_oldest(eng);
	cowp_writer_mark(&fl->out);
}

static void count_fragments(struct cowp_engine *eng, s32 by)
{
	struct cowp_flush *fl = &eng->index.flush;
	u32 i;

	for (i = 0; i < fl->frags; i++)
		if (!fl->frag[i].dropping)
			eng->segs.table[cowp_segment_of(&eng->geo, fl->frag[i].block)].live += by;
}

/*
 * cowp_flush_start - begin, or after a failure begin again, to write the frozen
 *		      memtable as a run
 *
 * Again means all of it: what a device had only in its cache when it failed is
 * not there when it comes back, whatever it says to the next flush.  But what
 * was flushed stays as it is: the root that failed may have landed, and a crash
 * that tears a block of the run would leave it without one.
 */
void cowp_flush_start(struct cowp_engine *eng)
{
	struct cowp_flush *fl = &eng->index.flush;

	if (fl->durable)
		return;
	if (fl->done)
		count_fragments(eng, -1);
	cowp_writer_rewind(&fl->out);
	fl->done = false;
	fl->error = 0;
	fl->frags = 0;
	start_table(eng, false);
}

static bool open_fragment(struct cowp_engine *eng)
{
	struct cowp_flush *fl = &eng->index.flush;

	if (fl->out.state != COWP_WRITER_IDLE)
		return true;
	if (fl->frags == ARRAY_SIZE(fl->frag) ||
	    eng->index.fragment_count + fl->frags == COWP_MAX_FRAGMENTS ||
	    !cowp_writer_open(eng, &fl->out, fl->run[fl->second], fl->left)) {
		fl->error = -ENOSPC;
		return false;
	}
	return true;
}

/* Returns false when it has to wait for the device. */
static bool write_record(struct cowp_engine *eng)
{
	struct cowp_flush *fl = &eng->index.flush;
	struct cowp_writer *w = &fl->out;

	if (!fl->left || cowp_writer_full(w)) {
		if (!cowp_writer_finish(eng, w))
			return false;
		fl->frag[fl->frags++] = w->frag;
		return true;
	}
	if (!cowp_writer_ready(eng, w))
		return false;
	cowp_writer_add(eng, w, &fl->next->rec);
	fl->left--;
	fl->next = next_kept(eng, cowp_memtable_next(source_table(eng), fl->next));
	return true;
}

/*
 * cowp_flush_run - go on writing
 *
 * Returns true when it is done or failed and no I/O of it is out.
 */
bool cowp_flush_run(struct cowp_engine *eng)
{
	struct cowp_flush *fl = &eng->index.flush;
	struct cowp_writer *w = &fl->out;

	while (!fl->done && !fl->error) {
		if (w->error) {
			fl->error = w->error;
		} else if (!fl->left && w->state == COWP_WRITER_IDLE) {
			if (eng->index.both && !fl->second) {
				start_table(eng, true);
				continue;
			}
			if (w->outstanding)
				break;
			count_fragments(eng, 1);
			fl->done = true;
		} else if (open_fragment(eng) && !write_record(eng)) {
			break;
		}
	}
	return !w->outstanding && (fl->done || fl->error);
}

int cowp_flush_init(struct cowp_engine *eng)
{
	return cowp_writer_init(eng, &eng->index.flush.out,
				DIV_ROUND_UP(eng->index.capacity, cowp_leaf_records()));
}

void cowp_flush_exit(struct cowp_engine *eng)
{
	cowp_writer_exit(&eng->index.flush.out);
}
