// SPDX-License-Identifier: GPL-2.0-only
/*
 * Clean blocks of the index.
 *
 * A small cache of fixed size, read asynchronously: the worker never waits.
 * Whoever needs a block that is not here is put on its list and resumed when
 * it came; it then starts its search anew, so that nothing points into the
 * cache across a wait.  Run blocks never change, and a place that is used
 * again has a new incarnation, so nothing here is ever stale.
 */
#include "internal.h"

static struct list_head *bucket_of(struct cowp_cache *c, u64 block)
{
	return &c->hash[block % COWP_CACHE_HASH];
}

static struct cowp_cached *find(struct cowp_cache *c, u64 block)
{
	struct cowp_cached *e;

	list_for_each_entry(e, bucket_of(c, block), hash)
		if (e->block == block)
			return e;
	return NULL;
}

static void resume_all(struct cowp_engine *eng, struct list_head *waits, int error)
{
	struct cowp_wait *w, *next;
	LIST_HEAD(todo);

	list_splice_init(waits, &todo);
	list_for_each_entry_safe(w, next, &todo, node) {
		list_del_init(&w->node);
		w->error = error;
		w->resume(eng, w);
	}
}

static u64 key_at(const struct cowp_run_block *b, u32 i)
{
	return le64_to_cpu(b->level ? b->keys[i] : b->records[i].key);
}

/* Searches go by it: out of order they would not end where they should, or at all. */
static bool ascending(const struct cowp_run_block *b)
{
	u32 i;

	for (i = 1; i < le16_to_cpu(b->count); i++)
		if (key_at(b, i) <= key_at(b, i - 1))
			return false;
	return true;
}

/* What is there is looked up in the segment table, and read. */
static bool in_bounds(struct cowp_engine *eng, const struct cowp_run_block *b)
{
	u32 i;

	for (i = 0; !b->level && i < le16_to_cpu(b->count); i++) {
		struct cowp_place p = cowp_place_of(le64_to_cpu(b->records[i].location));

		if (p.segment >= eng->segs.count || p.slot >= eng->geo.slots)
			return false;
	}
	return true;
}

/* Is this what was read from a run's block?  Returns NULL, or what is wrong. */
const char *cowp_run_block_check(struct cowp_engine *eng, const struct cowp_run_block *b,
				 u64 block, u32 incarnation)
{
	u32 most = le16_to_cpu(b->level) ? cowp_node_keys() : cowp_leaf_records();
	const char *bad = cowp_check_header(b, COWP_MAGIC_RUN, eng->super.uuid, block);

	if (bad)
		return bad;
	if (le32_to_cpu(b->header.incarnation) != incarnation)
		return "incarnation";
	if (!b->count || le16_to_cpu(b->count) > most)
		return "number of records";
	if (!ascending(b))
		return "order";
	return in_bounds(eng, b) ? NULL : "location of a record";
}

static void loaded(struct cowp_engine *eng, struct cowp_io *io)
{
	struct cowp_cached *e = io->private;
	int error = io->error;

	e->loading = io->in_flight;
	if (!cowp_io_late(io)) {
		if (!error && cowp_run_block_check(eng, e->data, e->block, e->incarnation))
			error = -EBADMSG;
		e->valid = !error;
		/* One that was given up may never end: whoever comes now reads it anew. */
		if (error)
			list_del_init(&e->hash);
		resume_all(eng, &e->waits, error);
	}
	if (!e->loading)
		resume_all(eng, &eng->cache.starved, 0);
}

static struct cowp_cached *victim(struct cowp_cache *c)
{
	struct cowp_cached *e;

	list_for_each_entry(e, &c->lru, lru)
		if (!e->loading)
			return e;
	return NULL;
}

static void load(struct cowp_engine *eng, struct cowp_cached *e, u64 block, u32 incarnation)
{
	list_del_init(&e->hash);
	e->block = block;
	e->incarnation = incarnation;
	e->valid = false;
	e->loading = true;
	list_add(&e->hash, bucket_of(&eng->cache, block));

	e->io->op = COWP_READ;
	e->io->dev = COWP_DIFF;
	e->io->sector = block * COWP_BLOCK_SECTORS;
	e->io->bytes = COWP_BLOCK_SIZE;
	e->io->nr_blocks = 1;
	e->io->blocks[0] = e->data;
	cowp_submit(eng, e->io);
}

/*
 * cowp_cache_get - a block of a run
 * @eng:	the engine
 * @block:	where
 * @incarnation: of its segment
 * @wait:	resumed when the block came, with its @error
 * @data:	out: 4 KiB, checked; valid until the worker's next wait
 *
 * Returns 0; -EAGAIN if @wait will be resumed; or the error of the wait that
 * just ended, which it consumes.
 */
int cowp_cache_get(struct cowp_engine *eng, u64 block, u32 incarnation,
		   struct cowp_wait *wait, void **data)
{
	struct cowp_cache *c = &eng->cache;
	struct cowp_cached *e = find(c, block);

	if (wait->error) {
		int error = wait->error;

		wait->error = 0;
		return error;
	}
	if (e && e->incarnation == incarnation && e->valid) {
		list_move_tail(&e->lru, &c->lru);
		*data = e->data;
		return 0;
	}
	if (!e || e->incarnation != incarnation) {
		if (!e)
			e = victim(c);
		/* What is read for an older use of the place says nothing of this one. */
		if (!e || e->loading) {
			list_add_tail(&wait->node, &c->starved);
			return -EAGAIN;
		}
		load(eng, e, block, incarnation);
		list_move_tail(&e->lru, &c->lru);
	}
	list_add_tail(&wait->node, &e->waits);
	return -EAGAIN;
}

/*
 * cowp_cache_anew - a search begins anew, as the index has changed
 *
 * It may have waited for a block of a run that is gone: merged, and its segment
 * discarded or used again while a slow device read it.  How that read ended does
 * not matter.
 */
void cowp_cache_anew(struct cowp_engine *eng, struct cowp_wait *wait)
{
	if (!eng->cancelled)
		wait->error = 0;
}

/* No block comes any more: whoever waits for one is told so. */
void cowp_cache_cancel(struct cowp_engine *eng)
{
	u32 i;

	for (i = 0; i < eng->cache.count; i++)
		resume_all(eng, &eng->cache.entries[i].waits, -EIO);
	resume_all(eng, &eng->cache.starved, -EIO);
}

int cowp_cache_init(struct cowp_engine *eng)
{
	struct cowp_cache *c = &eng->cache;
	u32 i;

	INIT_LIST_HEAD(&c->lru);
	INIT_LIST_HEAD(&c->starved);
	for (i = 0; i < COWP_CACHE_HASH; i++)
		INIT_LIST_HEAD(&c->hash[i]);
	c->count = eng->cfg.cache_blocks;
	c->entries = cowp_alloc(eng, c->count * sizeof(*c->entries));
	if (!c->entries)
		return -ENOMEM;
	for (i = 0; i < c->count; i++) {
		struct cowp_cached *e = &c->entries[i];

		INIT_LIST_HEAD(&e->hash);
		INIT_LIST_HEAD(&e->waits);
		list_add_tail(&e->lru, &c->lru);
		e->data = cowp_alloc_block(eng);
		e->io = cowp_alloc_io(eng, 1, loaded);
		if (!e->data || !e->io)
			return -ENOMEM;
		e->io->private = e;
	}
	return 0;
}

void cowp_cache_exit(struct cowp_engine *eng)
{
	struct cowp_cache *c = &eng->cache;
	u32 i;

	for (i = 0; c->entries && i < c->count; i++) {
		port_block_free(c->entries[i].data);
		port_io_free(c->entries[i].io);
	}
	port_free(c->entries);
}
