// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs: the index on the disk.
 *
 * A run is written once, from a frozen memtable, as one or more fragments:
 * trees in bulk-loaded order, leaves first, each level above behind the one
 * below, so that a child's place follows from its number and no block holds a
 * pointer.  Nothing in a run is ever written again.  A crash in the middle of
 * one leaves blocks that no manifest knows.
 */
#include "internal.h"

static u64 level_start(const struct cowp_fragment *f, u32 level)
{
	u64 block = f->block;
	u32 blocks = f->leaves;

	while (level--) {
		block += blocks;
		blocks = DIV_ROUND_UP(blocks, cowp_node_keys());
	}
	return block;
}

static u32 top_level(const struct cowp_fragment *f)
{
	u32 blocks = f->leaves;
	u32 level = 0;

	while (blocks > 1) {
		blocks = DIV_ROUND_UP(blocks, cowp_node_keys());
		level++;
	}
	return level;
}

static int get_block(struct cowp_engine *eng, const struct cowp_fragment *f, u32 level,
		     u32 index, struct cowp_wait *wait, const struct cowp_run_block **block)
{
	void *data;
	int error = cowp_cache_get(eng, level_start(f, level) + index, f->incarnation, wait,
				   &data);

	if (error)
		return error;
	*block = data;
	if (le16_to_cpu((*block)->level) != level || le32_to_cpu((*block)->index) != index)
		return -EBADMSG;
	return 0;
}

/* The last child whose first key is not above @key. */
static u32 child_of(const struct cowp_run_block *b, u64 key)
{
	u32 low = 0, high = le16_to_cpu(b->count);

	while (high - low > 1) {
		u32 middle = (low + high) / 2;

		if (le64_to_cpu(b->keys[middle]) <= key)
			low = middle;
		else
			high = middle;
	}
	return low;
}

/* The first record not below @key, or the count. */
static u32 record_of(const struct cowp_run_block *b, u64 key)
{
	u32 low = 0, high = le16_to_cpu(b->count);

	while (low < high) {
		u32 middle = (low + high) / 2;

		if (le64_to_cpu(b->records[middle].key) < key)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/*
 * cowp_run_ceiling - find the first record that is not below a key
 * @eng:	the engine
 * @f:		the fragment
 * @key:	the key
 * @at:		how far the search has come; zero at first, and again at the end
 * @wait:	resumed when a block that is needed came; then call again
 * @leaf:	out: the leaf, valid until the worker's next wait
 * @pos:	out: the record in it
 *
 * Returns 0, -ENOENT, -EAGAIN, or the error that made the fragment unreadable.
 */
int cowp_run_ceiling(struct cowp_engine *eng, const struct cowp_fragment *f, u64 key,
		     struct cowp_search *at, struct cowp_wait *wait,
		     const struct cowp_run_block **leaf, u32 *pos)
{
	int error;

	if (!at->descending) {
		at->descending = true;
		at->next_leaf = false;
		at->level = top_level(f);
		at->index = 0;
	}
	for (;;) {
		error = get_block(eng, f, at->level, at->index, wait, leaf);
		if (error)
			break;
		if (at->level) {
			at->index = at->index * cowp_node_keys() + child_of(*leaf, key);
			at->level--;
			if (!at->level && at->index >= f->leaves) {
				error = -EBADMSG;
				break;
			}
			continue;
		}
		*pos = at->next_leaf ? 0 : record_of(*leaf, key);
		if (*pos < le16_to_cpu((*leaf)->count))
			break;
		if (at->index + 1 == f->leaves) {
			error = -ENOENT;
			break;
		}
		at->index++;
		at->next_leaf = true;
	}
	if (error != -EAGAIN)
		at->descending = false;
	return error;
}

/*
 * The builder.  It fills windows of blocks and writes each when it is full, so
 * that a long run holds the worker up a window at a time.
 */

static bool kept(const struct cowp_builder *b, const struct cowp_node *n)
{
	return cowp_key_epoch(n->rec.key) >= b->oldest;
}

/* The frozen memtable; behind a replay, where both are full, then the other one. */
static const struct cowp_memtable *source_table(struct cowp_engine *eng)
{
	const struct cowp_index *x = &eng->index;

	return &x->table[x->builder.second ? x->active : !x->active];
}

static const struct cowp_node *next_kept(struct cowp_engine *eng, const struct cowp_node *n)
{
	while (n && !kept(&eng->index.builder, n))
		n = cowp_memtable_next(source_table(eng), n);
	return n;
}

/* Begin with a memtable: how many of its records are needed by a snapshot? */
static void start_table(struct cowp_engine *eng, bool second)
{
	struct cowp_builder *b = &eng->index.builder;
	const struct cowp_node *n;

	b->second = second;
	b->records = 0;
	b->written = 0;
	b->next = next_kept(eng, cowp_memtable_ceiling(source_table(eng), 0));
	for (n = b->next; n; n = next_kept(eng, cowp_memtable_next(source_table(eng), n))) {
		b->records++;
		/* Once: a second attempt writes the same records. */
		if (!b->counted[second])
			eng->segs.table[cowp_place_of(n->rec.location).segment].live++;
	}
	b->counted[second] = true;
}

/*
 * Place the next fragment: as much of the rest as the segment has room for.  An
 * attempt that failed has placed it already: the same blocks are written to the
 * same places.
 */
static bool place_fragment(struct cowp_engine *eng)
{
	struct cowp_builder *b = &eng->index.builder;
	u32 left = b->records - b->written;
	u32 room = b->segment == COWP_NO_SEGMENT ? 0 : eng->geo.segment_blocks - b->used;
	struct cowp_fragment *f = &b->frag[b->frags];

	if (b->frags < b->placed)
		return true;
	if (b->frags == ARRAY_SIZE(b->frag) ||
	    eng->index.fragment_count + b->placed == COWP_MAX_FRAGMENTS)
		return false;
	if (cowp_tree_blocks(left) > room && room < eng->geo.segment_blocks / 2) {
		b->segment = cowp_segment_take(eng);
		if (b->segment == COWP_NO_SEGMENT)
			return false;
		b->used = 1;	/* the header */
		room = eng->geo.segment_blocks - 1;
	}

	memset(f, 0, sizeof(*f));
	f->records = min(left, cowp_tree_records(room));
	f->leaves = DIV_ROUND_UP(f->records, cowp_leaf_records());
	f->blocks = cowp_tree_blocks(f->records);
	f->block = cowp_segment_block(&eng->geo, b->segment) + b->used;
	f->incarnation = eng->segs.table[b->segment].incarnation;
	f->min_epoch = COWP_MAX_EPOCH;
	f->run = eng->index.next_run;
	b->used += f->blocks;
	b->placed++;
	eng->segs.table[b->segment].live++;
	return true;
}

static bool start_fragment(struct cowp_engine *eng)
{
	struct cowp_builder *b = &eng->index.builder;
	const struct cowp_fragment *f = &b->frag[b->frags];

	if (!place_fragment(eng)) {
		b->error = -ENOSPC;
		return false;
	}
	b->level = 0;
	b->index = 0;
	b->level_blocks = f->leaves;
	b->frag_left = f->records;
	b->block = f->block;
	return true;
}

static void fill_leaf(struct cowp_engine *eng, struct cowp_run_block *to)
{
	struct cowp_builder *b = &eng->index.builder;
	struct cowp_fragment *f = &b->frag[b->frags];
	u32 count = min(b->frag_left, cowp_leaf_records());
	u32 i;

	b->keys[b->index] = b->next->rec.key;
	if (!b->index)
		f->first_key = b->next->rec.key;
	for (i = 0; i < count; i++) {
		u32 epoch = cowp_key_epoch(b->next->rec.key);

		cowp_rec_encode(&to->records[i], &b->next->rec);
		f->last_key = b->next->rec.key;
		f->min_epoch = min(f->min_epoch, epoch);
		f->max_epoch = max(f->max_epoch, epoch);
		b->next = next_kept(eng, cowp_memtable_next(source_table(eng), b->next));
	}
	b->frag_left -= count;
	b->written += count;
	to->count = cpu_to_le16(count);
}

/* Keys of a level stand in b->keys until the level above has replaced them. */
static void fill_node(struct cowp_builder *b, struct cowp_run_block *to, u32 below)
{
	u32 first = b->index * cowp_node_keys();
	u32 count = min(below - first, cowp_node_keys());
	u32 i;

	for (i = 0; i < count; i++)
		to->keys[i] = cpu_to_le64(b->keys[first + i]);
	b->keys[b->index] = b->keys[first];
	to->count = cpu_to_le16(count);
}

/* One block of the fragment; false when it is complete. */
static bool fill_block(struct cowp_engine *eng, void *data)
{
	struct cowp_builder *b = &eng->index.builder;
	struct cowp_run_block *to = data;
	const struct cowp_fragment *f = &b->frag[b->frags];

	if (b->index == b->level_blocks) {
		if (b->level_blocks == 1)
			return false;
		b->level++;
		b->index = 0;
		b->level_blocks = DIV_ROUND_UP(b->level_blocks, cowp_node_keys());
	}
	memset(to, 0, COWP_BLOCK_SIZE);
	to->level = cpu_to_le16(b->level);
	to->index = cpu_to_le32(b->index);
	if (b->level) {
		u32 below = f->leaves, level;

		for (level = 1; level < b->level; level++)
			below = DIV_ROUND_UP(below, cowp_node_keys());
		fill_node(b, to, below);
	} else {
		fill_leaf(eng, to);
	}
	cowp_seal(to, COWP_MAGIC_RUN, eng->super.uuid, b->block, eng->session, f->incarnation);
	b->block++;
	b->index++;
	return true;
}

static void fill_header(struct cowp_engine *eng, void *data)
{
	const struct cowp_fragment *f = &eng->index.builder.frag[eng->index.builder.frags];
	u32 segment = cowp_segment_of(&eng->geo, f->block);
	struct cowp_segment_header *h = data;

	memset(h, 0, COWP_BLOCK_SIZE);
	h->segment = cpu_to_le32(segment);
	h->kind = COWP_SEGMENT_RUN;
	cowp_seal(h, COWP_MAGIC_SEGMENT, eng->super.uuid, f->block - 1, eng->session,
		  f->incarnation);
}

static void window_written(struct cowp_engine *eng, struct cowp_io *io)
{
	struct cowp_builder *b = &eng->index.builder;

	if (!io->in_flight)
		b->outstanding--;
	if (io->in_flight) {
		eng->segs.table[cowp_segment_of(&eng->geo, io->sector / COWP_BLOCK_SECTORS)].hung =
			true;
		b->hung = true;
	}
	if (io->error && !cowp_io_late(io))
		b->error = io->error;
}

/* Returns false when the fragment is complete. */
static bool write_window(struct cowp_engine *eng, struct cowp_io *io)
{
	struct cowp_builder *b = &eng->index.builder;
	bool more = true;
	u32 n = 0;

	io->op = COWP_WRITE;
	io->dev = COWP_DIFF;
	io->fua = false;
	io->sector = b->block * COWP_BLOCK_SECTORS;
	/* The first fragment of a segment brings its header. */
	if (b->block == cowp_segment_block(&eng->geo, cowp_segment_of(&eng->geo, b->block)) + 1) {
		fill_header(eng, io->blocks[n++]);
		io->sector -= COWP_BLOCK_SECTORS;
	}
	while (n < io->max_blocks) {
		more = fill_block(eng, io->blocks[n]);
		if (!more)
			break;
		n++;
	}
	if (n) {
		io->nr_blocks = n;
		io->bytes = n * COWP_BLOCK_SIZE;
		b->outstanding++;
		cowp_submit(eng, io);
	}
	return more;
}

/* A write that may yet land threatens its place: take others. */
static void forget_places(struct cowp_engine *eng)
{
	struct cowp_builder *b = &eng->index.builder;
	u32 i;

	for (i = 0; i < b->placed; i++)
		eng->segs.table[cowp_segment_of(&eng->geo, b->frag[i].block)].live--;
	b->placed = 0;
	b->segment = COWP_NO_SEGMENT;
	b->hung = false;
}

/*
 * cowp_builder_start - begin, or after a failure begin again, to write the
 *			frozen memtable as a run
 *
 * Again means all of it: what a device had only in its cache when it failed is
 * not there when it comes back, whatever it says to the next flush.  But what
 * was flushed stays as it is: the root that failed may have landed, and a crash
 * that tears a block of the run would leave it without one.
 */
void cowp_builder_start(struct cowp_engine *eng)
{
	struct cowp_builder *b = &eng->index.builder;

	if (b->durable)
		return;
	if (!b->counted[0])
		b->oldest = cowp_snapshot_oldest(eng);
	if (b->hung)
		forget_places(eng);
	b->done = false;
	b->error = 0;
	b->frags = 0;
	b->level_blocks = 0;
	start_table(eng, false);
}

/*
 * cowp_builder_run - go on writing
 *
 * Returns true when it is done or failed and no I/O of it is out.
 */
bool cowp_builder_run(struct cowp_engine *eng)
{
	struct cowp_builder *b = &eng->index.builder;
	u32 i;

	while (!b->done && !b->error) {
		struct cowp_io *io = NULL;

		if (!b->level_blocks) {
			if (b->written == b->records && b->both && !b->second)
				start_table(eng, true);
			if (b->written == b->records) {
				b->done = !b->outstanding;
				break;
			}
			if (!start_fragment(eng))
				break;
		}
		for (i = 0; i < ARRAY_SIZE(b->io); i++)
			if (!b->io[i]->in_flight)
				io = b->io[i];
		if (!io)
			break;
		if (!write_window(eng, io)) {
			b->frags++;
			b->level_blocks = 0;
		}
	}
	return !b->outstanding && (b->done || b->error);
}

int cowp_builder_init(struct cowp_engine *eng)
{
	struct cowp_builder *b = &eng->index.builder;
	u32 i, j;

	b->segment = COWP_NO_SEGMENT;
	b->keys_capacity = DIV_ROUND_UP(eng->index.capacity, cowp_leaf_records());
	b->keys = cowp_alloc(eng, b->keys_capacity * sizeof(*b->keys));
	if (!b->keys)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(b->io); i++) {
		b->io[i] = cowp_alloc_io(eng, COWP_RUN_WINDOW, window_written);
		if (!b->io[i])
			return -ENOMEM;
		for (j = 0; j < COWP_RUN_WINDOW; j++) {
			b->io[i]->blocks[j] = cowp_alloc_block(eng);
			if (!b->io[i]->blocks[j])
				return -ENOMEM;
		}
	}
	return 0;
}

void cowp_builder_exit(struct cowp_engine *eng)
{
	struct cowp_builder *b = &eng->index.builder;
	u32 i, j;

	port_free(b->keys);
	for (i = 0; i < ARRAY_SIZE(b->io); i++) {
		for (j = 0; b->io[i] && j < COWP_RUN_WINDOW; j++)
			port_block_free(b->io[i]->blocks[j]);
		port_io_free(b->io[i]);
	}
}
