// SPDX-License-Identifier: GPL-2.0-only
/*
 * The preserved bits: a cache over the index.
 *
 * A bit says that the chunk's content of this epoch is durable in the diff
 * area, so that the live volume may be overwritten.  Pages of bits are made on
 * demand, from the memtables and those runs that hold records of the current
 * epoch; nothing else is asked.  A page in which a copy is under way is not
 * evicted: its bit would be set in nobody's page.
 */
#include "budget.h"
#include "internal.h"

static void load_step(struct cowp_engine *eng, struct cowp_wait *wait);

static struct cowp_frame *find_frame(struct cowp_frame *set, u64 tag)
{
	u32 way;

	for (way = 0; way < COWP_FRAME_WAYS; way++)
		if (set[way].tag == tag)
			return &set[way];
	return NULL;
}

/* A frame without a page of this epoch, or the one that was used longest ago. */
static struct cowp_frame *choose_frame(struct cowp_engine *eng, struct cowp_frame *set)
{
	struct cowp_frame *best = NULL;
	u32 way;

	for (way = 0; way < COWP_FRAME_WAYS; way++) {
		struct cowp_frame *f = &set[way];

		if (f->pins || f->loading)
			continue;
		if (f->tag == COWP_NO_TAG || (f->tag & COWP_MAX_EPOCH) != eng->fast.epoch)
			return f;
		if (!best || f->used < best->used)
			best = f;
	}
	return best;
}

static struct cowp_loader *idle_loader(struct cowp_engine *eng)
{
	u32 i;

	for (i = 0; i < COWP_LOADERS; i++)
		if (!eng->loader[i].frame)
			return &eng->loader[i];
	return NULL;
}

static void finish(struct cowp_engine *eng, struct cowp_loader *ld, int error)
{
	struct cowp_frame *f = ld->frame;
	struct cowp_waiter *w, *next;
	LIST_HEAD(todo);

	ld->frame = NULL;
	f->loading = false;
	if (error)
		cowp_bits_assign(f, COWP_NO_TAG);
	list_splice_init(&f->waiters, &todo);
	/* Before the waiters are looked at again: it decides where they go. */
	if (error) {
		cowp_proof_note(eng, ld->page << COWP_PAGE_SHIFT);
		cowp_fault(eng, cowp_fault_of(error, error == -EBADMSG ?
					      COWP_FAULT_METADATA_CORRUPTION :
					      COWP_FAULT_IO_FAILURE), error);
	}
	list_for_each_entry_safe(w, next, &todo, node) {
		list_del_init(&w->node);
		cowp_log_write(eng, w);
	}
}

static void scan_table(struct cowp_loader *ld, const struct cowp_memtable *t)
{
	u64 first = ld->page << COWP_PAGE_SHIFT;
	const struct cowp_node *n;

	if (!t->count || t->max_epoch < ld->epoch)
		return;
	for (n = cowp_memtable_ceiling(t, cowp_key(first, 0)); n; n = cowp_memtable_next(t, n)) {
		u64 chunk = cowp_key_chunk(n->rec.key);

		if (chunk >= first + COWP_PAGE_CHUNKS)
			break;
		if (cowp_key_epoch(n->rec.key) == ld->epoch)
			cowp_bits_mark(ld->frame, chunk);
	}
}

/*
 * Marks what a leaf holds of the page.  Returns 0, -ENOENT at the page's end, or
 * -EBADMSG where the leaf goes back behind what was scanned: a bit of another
 * page, marked here, would let a write over an old chunk.
 */
static int scan_leaf(struct cowp_loader *ld, const struct cowp_run_block *leaf, u32 pos)
{
	u64 end = (ld->page + 1) << COWP_PAGE_SHIFT;

	for (; pos < le16_to_cpu(leaf->count); pos++) {
		u64 key = le64_to_cpu(leaf->records[pos].key);

		if (key < ld->key)
			return -EBADMSG;
		if (cowp_key_chunk(key) >= end)
			return -ENOENT;
		if (cowp_key_epoch(key) == ld->epoch)
			cowp_bits_mark(ld->frame, cowp_key_chunk(key));
		ld->key = key + 1;
	}
	return 0;
}

static int scan_run(struct cowp_engine *eng, struct cowp_loader *ld, const struct cowp_run *r)
{
	u64 end = cowp_key((ld->page + 1) << COWP_PAGE_SHIFT, 0);
	const struct cowp_run_block *leaf;
	const struct cowp_fragment *f;
	u32 pos;
	int error;

	if (r->max_epoch < ld->epoch)
		return 0;
	for (;;) {
		f = cowp_run_fragment(&eng->index, r, ld->key);
		if (!f || f->first_key >= end)
			return 0;
		error = cowp_run_ceiling(eng, f, ld->key, &ld->search, &ld->wait, &leaf, &pos);
		/* It says that there is something up to its last key. */
		if (error == -ENOENT)
			return -EBADMSG;
		if (!error)
			error = scan_leaf(ld, leaf, pos);
		if (error)
			return error == -ENOENT ? 0 : error;
	}
}

static void restart(struct cowp_engine *eng, struct cowp_loader *ld)
{
	memset(&ld->search, 0, sizeof(ld->search));
	ld->search.generation = eng->index.generation;
	cowp_cache_anew(eng, &ld->wait);
	ld->key = cowp_key(ld->page << COWP_PAGE_SHIFT, 0);
	scan_table(ld, &eng->index.table[0]);
	scan_table(ld, &eng->index.table[1]);
}

static void load_step(struct cowp_engine *eng, struct cowp_wait *wait)
{
	struct cowp_loader *ld = container_of(wait, struct cowp_loader, wait);
	int error = 0;

	/* A run took a memtable's place, or went: what was scanned stays true. */
	if (ld->search.generation != eng->index.generation)
		restart(eng, ld);
	while (!error && ld->search.run < eng->index.run_count) {
		error = scan_run(eng, ld, &eng->index.runs[ld->search.run]);
		if (error == -EAGAIN)
			return;
		ld->search.run++;
		ld->key = cowp_key(ld->page << COWP_PAGE_SHIFT, 0);
	}
	finish(eng, ld, error);
}

/*
 * cowp_preserved_frame - the page of bits of a chunk
 * @w:		whom to look at again when the page is there
 *
 * Returns the frame; NULL when the write was put on its list; ERR_PTR-free: an
 * engine out of frames or loaders puts the write among those that wait for
 * resources.
 */
struct cowp_frame *cowp_preserved_frame(struct cowp_engine *eng, u64 chunk,
					struct cowp_waiter *w)
{
	struct cowp_frame *set = cowp_bits_set_of(&eng->fast.bits, chunk);
	u64 tag = cowp_bits_tag(chunk, eng->fast.epoch);
	struct cowp_frame *f = find_frame(set, tag);
	struct cowp_loader *ld;

	if (!f) {
		ld = idle_loader(eng);
		f = choose_frame(eng, set);
		if (!ld || !f) {
			list_add_tail(&w->node, &eng->log.pending);
			return NULL;
		}
		cowp_bits_assign(f, tag);
		f->loading = true;
		ld->frame = f;
		ld->page = chunk >> COWP_PAGE_SHIFT;
		ld->epoch = eng->fast.epoch;
		ld->search.generation = 0;
		ld->wait.resume = load_step;
		ld->wait.error = 0;
		list_add_tail(&w->node, &f->waiters);
		load_step(eng, &ld->wait);
		return NULL;
	}
	if (f->loading) {
		list_add_tail(&w->node, &f->waiters);
		return NULL;
	}
	f->used = ++eng->frame_clock;
	return f;
}

/* Hand the writes that wait for pages back to the gate. */
void cowp_preserved_return_waiters(struct cowp_engine *eng)
{
	struct cowp_waiter *w, *next;
	u32 i;

	for (i = 0; i < COWP_LOADERS; i++) {
		if (!eng->loader[i].frame)
			continue;
		list_for_each_entry_safe(w, next, &eng->loader[i].frame->waiters, node) {
			list_del_init(&w->node);
			cowp_waiter_done(eng, w, COWP_AGAIN);
		}
	}
}

int cowp_preserved_init(struct cowp_engine *eng)
{
	struct cowp_bits *bits = &eng->fast.bits;
	u32 frames, i;

	bits->sets = cowp_budget_sets(&eng->cfg);
	frames = bits->sets * COWP_FRAME_WAYS;
	bits->frames = cowp_alloc(eng, frames * sizeof(*bits->frames));
	if (!bits->frames)
		return -ENOMEM;
	for (i = 0; i < frames; i++) {
		INIT_LIST_HEAD(&bits->frames[i].waiters);
		bits->frames[i].tag = COWP_NO_TAG;
		bits->frames[i].bits = cowp_alloc_block(eng);
		if (!bits->frames[i].bits)
			return -ENOMEM;
	}
	eng->fast.seqs.count = cowp_alloc(eng, COWP_SEQ_COUNTS * sizeof(u32));
	return eng->fast.seqs.count ? 0 : -ENOMEM;
}

void cowp_preserved_exit(struct cowp_engine *eng)
{
	struct cowp_bits *bits = &eng->fast.bits;
	u32 i;

	for (i = 0; bits->frames && i < bits->sets * COWP_FRAME_WAYS; i++)
		port_block_free(bits->frames[i].bits);
	port_free(bits->frames);
	port_free(eng->fast.seqs.count);
}
