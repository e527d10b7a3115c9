// SPDX-License-Identifier: GPL-2.0-only
/*
 * Segments: which are free, which may be opened, which are freed when.
 *
 * Recovery looks for batches only in the segments that the manifest lists, so
 * a segment is opened only when a durable manifest lists it, and what a
 * manifest frees is used again only when that manifest is durable and the
 * readers who could still look there are gone.
 *
 * The reserve: a memtable is written out as a run even when no copy may be
 * made any more, so that delete, clear and checkpoint work in a full area.
 * Copies therefore leave alone as many segments as the runs of both memtables
 * can need, and a merge, which finds what is dead.  They may consume them; copies
 * then wait until deletion or growth has made the reserve whole again, and
 * meanwhile no memtable fills.
 */
#include "internal.h"

#define LISTED_TARGET	64U	/* unopened segments a manifest lists, at most */

int cowp_segments_init(struct cowp_engine *eng)
{
	struct cowp_segments *s = &eng->segs;
	u32 i;

	INIT_LIST_HEAD(&s->listed);
	INIT_LIST_HEAD(&s->unused);
	s->pool = cowp_alloc(eng, COWP_OPEN_LIST_MAX * sizeof(*s->pool));
	if (!s->pool)
		return -ENOMEM;
	for (i = 0; i < COWP_OPEN_LIST_MAX; i++)
		list_add_tail(&s->pool[i].node, &s->unused);
	return 0;
}

void cowp_segments_exit(struct cowp_engine *eng)
{
	port_free(eng->segs.table);
	port_free(eng->segs.pool);
}

/* What follows from the number and the size of the segments. */
void cowp_segments_limits(struct cowp_engine *eng)
{
	struct cowp_segments *s = &eng->segs;
	u32 run = DIV_ROUND_UP(cowp_tree_blocks(eng->index.capacity),
			       eng->geo.segment_blocks - 1);
	u32 records = min_t(u64, (u64)s->count * eng->geo.slots, ~0U / 2);
	u32 index = DIV_ROUND_UP(cowp_tree_blocks(records), eng->geo.segment_blocks - 1);

	/* A run may find its current segment nearly used up: one more. */
	s->reserve_flush = 2 * (run + 1);
	/* A merge has what it wrote beside what it has not used up of each input. */
	s->reserve_merge = s->reserve_flush + min(index, COWP_MAX_RUNS / 2) + 1;
	/* To empty segments that are nearly full takes several at once. */
	s->reserve = s->reserve_merge + clamp(s->count / 32, 1U, 8U);
	s->target = clamp(s->count / 8, 4U, LISTED_TARGET);
}

/* No room for copies: in the segments, or in the list of runs that find them. */
bool cowp_segments_full(struct cowp_engine *eng)
{
	return eng->segs.free + eng->segs.ready <= eng->segs.reserve || cowp_index_full(eng);
}

/* Soon there is none: time to look for what is dead. */
bool cowp_segments_short(const struct cowp_engine *eng)
{
	const struct cowp_segments *s = &eng->segs;

	return s->free + s->ready <= s->reserve + max(s->count / 16, 2U);
}

static u32 find_free(struct cowp_segments *s)
{
	u32 i, n;

	for (i = 0; s->free && i < s->count; i++) {
		n = s->next + i;
		if (n >= s->count)
			n -= s->count;
		if (s->table[n].kind == COWP_SEGMENT_FREE && !s->table[n].hung) {
			s->next = n + 1 == s->count ? 0 : n + 1;
			return n;
		}
	}
	return COWP_NO_SEGMENT;
}

static void unlist(struct cowp_segments *s, struct cowp_listed *l)
{
	list_move(&l->node, &s->unused);
	s->listed_count--;
}

/*
 * cowp_segment_take - a segment for runs
 * @kind:	what for
 *
 * Free ones first, then one of the open list that was not opened: should the
 * next manifest not come about, recovery finds no summaries in it.
 *
 * Returns its number or COWP_NO_SEGMENT.
 */
u32 cowp_segment_take(struct cowp_engine *eng, enum cowp_segment_kind kind)
{
	struct cowp_segments *s = &eng->segs;
	u32 n = find_free(s);
	struct cowp_listed *l;

	if (n != COWP_NO_SEGMENT) {
		s->free--;
	} else {
		list_for_each_entry_reverse(l, &s->listed, node) {
			if (l->state == COWP_LISTED_READY) {
				n = l->segment;
				s->ready--;
				unlist(s, l);
				break;
			}
		}
	}
	if (n == COWP_NO_SEGMENT)
		return n;
	s->balance--;
	s->table[n].kind = kind;
	s->table[n].incarnation = ++eng->incarnation;
	s->table[n].live = 0;
	s->table[n].change = 0;
	s->table[n].max_epoch = 0;
	return n;
}

/*
 * cowp_segment_list - put a segment on the open list
 *
 * Returns NULL when the list is full.
 */
struct cowp_listed *cowp_segment_list(struct cowp_engine *eng, u32 segment, u32 incarnation)
{
	struct cowp_segments *s = &eng->segs;
	struct cowp_listed *l;

	if (list_empty(&s->unused))
		return NULL;
	l = list_first_entry(&s->unused, struct cowp_listed, node);
	memset((char *)l + sizeof(l->node), 0, sizeof(*l) - sizeof(l->node));
	l->segment = segment;
	l->incarnation = incarnation;
	list_move_tail(&l->node, &s->listed);
	s->listed_count++;
	s->table[segment].kind = COWP_SEGMENT_LISTED;
	s->table[segment].incarnation = incarnation;
	return l;
}

/*
 * cowp_segment_open - open the next segment of the list for copies
 *
 * Returns NULL when none is ready or the rest is the reserve.
 */
struct cowp_listed *cowp_segment_open(struct cowp_engine *eng)
{
	struct cowp_segments *s = &eng->segs;
	struct cowp_listed *l;

	if (cowp_segments_full(eng))
		return NULL;
	list_for_each_entry(l, &s->listed, node) {
		if (l->state != COWP_LISTED_READY)
			continue;
		l->state = COWP_LISTED_OPEN;
		l->entries_left = (eng->geo.homes - COWP_LANES) * eng->geo.entries;
		s->ready--;
		/* Half of the list used: the next manifest in time. */
		if (s->ready <= s->target / 2)
			cowp_checkpoint_want(eng, s->listed_count > COWP_OPEN_LIST_MAX / 2);
		return l;
	}
	cowp_checkpoint_want(eng, s->listed_count > COWP_OPEN_LIST_MAX / 2);
	return NULL;
}

void cowp_segment_close(struct cowp_engine *eng, struct cowp_listed *l)
{
	l->state = COWP_LISTED_CLOSED;
}

static void fill_list(struct cowp_engine *eng)
{
	struct cowp_segments *s = &eng->segs;
	u32 unopened = s->ready;
	struct cowp_listed *l;
	u32 n;

	list_for_each_entry(l, &s->listed, node)
		unopened += l->state == COWP_LISTED_NEW;
	while (unopened < s->target && !list_empty(&s->unused)) {
		n = find_free(s);
		if (n == COWP_NO_SEGMENT)
			break;
		s->free--;
		s->table[n].live = 0;
		s->table[n].change = 0;
		s->table[n].max_epoch = 0;
		cowp_segment_list(eng, n, ++eng->incarnation);
		unopened++;
	}
}

/*
 * cowp_segments_plan - decide what the manifest being composed lists and frees
 * @oldest:	oldest snapshot in it, COWP_MAX_EPOCH + 1 without one
 * @replay_batch: batches up to it are in runs
 *
 * Nothing takes effect before cowp_segments_commit().
 */
void cowp_segments_plan(struct cowp_engine *eng, u32 oldest, u64 replay_batch)
{
	struct cowp_segments *s = &eng->segs;
	struct cowp_listed *l;
	u32 i;

	list_for_each_entry(l, &s->listed, node) {
		struct cowp_segment *seg = &s->table[l->segment];

		l->leaving = l->state == COWP_LISTED_CLOSED && !l->users &&
			     l->last_batch <= replay_batch;
		seg->freeing = l->leaving && (l->max_epoch < oldest || !seg->live) && !seg->hung;
	}
	for (i = 0; i < s->count; i++) {
		struct cowp_segment *seg = &s->table[i];

		if (seg->kind == COWP_SEGMENT_LOG || seg->kind == COWP_SEGMENT_MOVED)
			seg->freeing = (seg->max_epoch < oldest || !seg->live) && !seg->hung &&
				       !cowp_mover_holds(eng, i);
		else if (seg->kind == COWP_SEGMENT_RUN)
			seg->freeing = !seg->live && !seg->hung &&
				       !cowp_writer_holds(&eng->index.flush.out, i) &&
				       !cowp_writer_holds(&eng->index.merge.out, i);
	}
	fill_list(eng);
}

/* No record is needed any more: the next manifest frees what they are in. */
void cowp_segments_forget(struct cowp_engine *eng)
{
	u32 i;

	for (i = 0; i < eng->segs.count; i++) {
		eng->segs.table[i].live = 0;
		eng->segs.table[i].change = 0;
	}
}

/*
 * cowp_segments_commit - the manifest is durable, or has failed
 *
 * A crash before this point finds the old manifest, whose segments are all
 * untouched; after it the new one.
 */
void cowp_segments_commit(struct cowp_engine *eng, bool durable)
{
	struct cowp_segments *s = &eng->segs;
	struct cowp_listed *l, *next;
	u32 i;

	list_for_each_entry_safe(l, next, &s->listed, node) {
		bool leaving = l->leaving;

		l->leaving = false;
		if (!durable)
			continue;
		if (leaving) {
			s->table[l->segment].kind = COWP_SEGMENT_LOG;
			unlist(s, l);
		} else if (l->state == COWP_LISTED_NEW) {
			l->state = COWP_LISTED_READY;
			s->ready++;
		}
	}
	for (i = 0; i < s->count; i++) {
		if (!s->table[i].freeing)
			continue;
		s->table[i].freeing = false;
		if (!durable)
			continue;
		s->table[i].kind = COWP_SEGMENT_LIMBO;
		s->limbo++;
		s->balance++;
	}
	cowp_segments_reap(eng);
}

/*
 * cowp_segments_reap - make free what no reader can hold any more
 */
void cowp_segments_reap(struct cowp_engine *eng)
{
	struct cowp_segments *s = &eng->segs;
	struct cowp_count *readers = &eng->fast.readers;
	bool more = false;
	u32 i;

	if (!s->limbo)
		return;
	if (s->limbo_waits) {
		if (!cowp_count_idle(readers, s->limbo_parity))
			return;
		s->limbo_waits = false;
		for (i = 0; i < s->count; i++) {
			if (s->table[i].kind != COWP_SEGMENT_LIMBO_WAIT)
				continue;
			s->table[i].pinned = false;
			s->limbo--;
			cowp_discard_add(eng, i);
		}
	}
	/*
	 * Those who read the parity long ago and entered late stand in the
	 * other one, as in SRCU: they too must be gone before the flip.
	 */
	if (!cowp_count_idle(readers, !(readers->parity & 1)))
		return;
	for (i = 0; s->limbo && i < s->count; i++) {
		if (s->table[i].kind != COWP_SEGMENT_LIMBO)
			continue;
		s->table[i].kind = COWP_SEGMENT_LIMBO_WAIT;
		more = true;
	}
	if (!more)
		return;
	s->limbo_parity = readers->parity & 1;
	s->limbo_waits = true;
	cowp_count_flip(readers);
	if (cowp_count_idle(readers, s->limbo_parity))
		cowp_segments_reap(eng);
}
