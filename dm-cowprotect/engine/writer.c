// SPDX-License-Identifier: GPL-2.0-only
/*
 * Writes fragments of runs, a record at a time.
 *
 * Leaves go out in windows of blocks while the next window fills; when the
 * fragment has as many as its place holds, or there is no more, the levels above
 * follow.  A crash in the middle leaves blocks that no manifest knows.
 */
#include "internal.h"

static u32 window_blocks(const struct cowp_writer *w)
{
	return w->io[0]->max_blocks;
}

static void window_written(struct cowp_engine *eng, struct cowp_io *io)
{
	struct cowp_writer *w = io->private;

	if (!io->in_flight)
		w->outstanding--;
	if (io->in_flight) {
		eng->segs.table[cowp_segment_of(&eng->geo, io->sector / COWP_BLOCK_SECTORS)].hung =
			true;
		w->hung = true;
	}
	if (io->error && !cowp_io_late(io))
		w->error = io->error;
}

static void submit_window(struct cowp_engine *eng, struct cowp_writer *w)
{
	struct cowp_io *io = w->filling;

	w->filling = NULL;
	if (!io || !io->nr_blocks)
		return;
	io->op = COWP_WRITE;
	io->dev = COWP_DIFF;
	io->fua = w->fua;
	io->bytes = io->nr_blocks * COWP_BLOCK_SIZE;
	w->outstanding++;
	cowp_submit(eng, io);
}

/* The window being filled, or an idle one; NULL: both are being written. */
static struct cowp_io *window(struct cowp_writer *w)
{
	u32 i;

	if (w->filling)
		return w->filling;
	for (i = 0; i < ARRAY_SIZE(w->io); i++) {
		if (w->io[i]->in_flight)
			continue;
		w->io[i]->nr_blocks = 0;
		w->filling = w->io[i];
		break;
	}
	return w->filling;
}

/* A zeroed block for the next place; there is a window. */
static void *next_block(struct cowp_writer *w)
{
	struct cowp_io *io = w->filling;
	void *block = io->blocks[io->nr_blocks++];

	if (io->nr_blocks == 1)
		io->sector = w->block * COWP_BLOCK_SECTORS;
	memset(block, 0, COWP_BLOCK_SIZE);
	w->block++;
	return block;
}

/* Behind each block: the window may be full. */
static void end_block(struct cowp_engine *eng, struct cowp_writer *w)
{
	if (w->filling->nr_blocks == window_blocks(w))
		submit_window(eng, w);
}

static void write_header(struct cowp_engine *eng, struct cowp_writer *w)
{
	struct cowp_segment_header *h = next_block(w);

	h->segment = cpu_to_le32(w->segment);
	h->kind = COWP_SEGMENT_RUN;
	cowp_seal(h, COWP_MAGIC_SEGMENT, eng->super.uuid, w->block - 1, eng->session,
		  w->frag.incarnation);
	end_block(eng, w);
}

/* One that an attempt before has taken, or a fresh one. */
static bool take_segment(struct cowp_engine *eng, struct cowp_writer *w)
{
	if (w->taken_used == w->taken_count) {
		if (w->taken_count == ARRAY_SIZE(w->taken))
			return false;
		w->segment = COWP_NO_SEGMENT;
		if (eng->segs.free + eng->segs.ready > w->leave)
			w->segment = cowp_segment_take(eng, COWP_SEGMENT_RUN);
		if (w->segment == COWP_NO_SEGMENT)
			return false;
		w->taken[w->taken_count++] = w->segment;
	}
	w->segment = w->taken[w->taken_used++];
	w->used = 1;	/* the header */
	return true;
}

/*
 * cowp_writer_open - begin a fragment
 * @run:	its run
 * @left:	records to come, at most
 *
 * In the writer's segment if there is enough of it left, else in a fresh one.
 * Returns false where there is none.
 */
bool cowp_writer_open(struct cowp_engine *eng, struct cowp_writer *w, u32 run, u64 left)
{
	u32 room = w->segment == COWP_NO_SEGMENT ? 0 : eng->geo.segment_blocks - w->used;
	u32 most = w->keys_capacity * cowp_leaf_records();
	struct cowp_fragment *f = &w->frag;

	if (cowp_tree_records(room) < left && room < eng->geo.segment_blocks / 2) {
		if (!take_segment(eng, w))
			return false;
		room = eng->geo.segment_blocks - 1;
	}
	memset(f, 0, sizeof(*f));
	f->block = cowp_segment_block(&eng->geo, w->segment) + w->used;
	f->incarnation = eng->segs.table[w->segment].incarnation;
	f->min_epoch = COWP_MAX_EPOCH;
	f->run = run;
	w->room = min(cowp_tree_records(room), most);
	w->block = f->block - (w->used == 1);
	w->level = 0;
	w->leaf = NULL;
	w->state = COWP_WRITER_LEAVES;
	return true;
}

static void seal_block(struct cowp_engine *eng, struct cowp_writer *w, struct cowp_run_block *b)
{
	cowp_seal(b, COWP_MAGIC_RUN, eng->super.uuid, w->block - 1, eng->session,
		  w->frag.incarnation);
	end_block(eng, w);
}

static void end_leaf(struct cowp_engine *eng, struct cowp_writer *w)
{
	struct cowp_run_block *leaf = w->leaf;

	w->leaf = NULL;
	if (leaf)
		seal_block(eng, w, leaf);
}

/*
 * cowp_writer_ready - is there room for a record in memory?
 *
 * If not, some of what is being written has to end first.
 */
bool cowp_writer_ready(struct cowp_engine *eng, struct cowp_writer *w)
{
	if (w->leaf)
		return true;
	if (!window(w))
		return false;
	/* The first fragment of a segment brings the header. */
	if (w->block < w->frag.block)
		write_header(eng, w);
	return window(w);
}

/* Is the fragment as large as its place? */
bool cowp_writer_full(const struct cowp_writer *w)
{
	return w->frag.records == w->room;
}

/*
 * cowp_writer_add - the next record; the writer is ready and not full
 */
void cowp_writer_add(struct cowp_engine *eng, struct cowp_writer *w, const struct cowp_rec *rec)
{
	struct cowp_fragment *f = &w->frag;
	u32 epoch = cowp_key_epoch(rec->key);
	u32 count;

	if (!w->leaf) {
		w->leaf = next_block(w);
		w->leaf->index = cpu_to_le32(f->leaves);
		w->keys[f->leaves++] = rec->key;
	}
	count = le16_to_cpu(w->leaf->count);
	cowp_rec_encode(&w->leaf->records[count++], rec);
	w->leaf->count = cpu_to_le16(count);
	if (!f->records++)
		f->first_key = rec->key;
	f->last_key = rec->key;
	f->min_epoch = min(f->min_epoch, epoch);
	f->max_epoch = max(f->max_epoch, epoch);
	if (count == cowp_leaf_records())
		end_leaf(eng, w);
}

/* The keys of a level stand in w->keys until the level above has replaced them. */
static void write_node(struct cowp_engine *eng, struct cowp_writer *w)
{
	struct cowp_run_block *b = next_block(w);
	u32 first = w->index * cowp_node_keys();
	u32 count = min(w->below - first, cowp_node_keys());
	u32 i;

	b->level = cpu_to_le16(w->level);
	b->index = cpu_to_le32(w->index);
	b->count = cpu_to_le16(count);
	for (i = 0; i < count; i++)
		b->keys[i] = cpu_to_le64(w->keys[first + i]);
	w->keys[w->index++] = w->keys[first];
	seal_block(eng, w, b);
}

/*
 * cowp_writer_finish - end the fragment: the levels above its leaves
 *
 * Returns true when all of it is submitted; until then call it again.
 */
bool cowp_writer_finish(struct cowp_engine *eng, struct cowp_writer *w)
{
	if (w->state == COWP_WRITER_LEAVES) {
		end_leaf(eng, w);
		w->state = COWP_WRITER_NODES;
		w->below = w->frag.leaves;
		w->level = 1;
		w->index = 0;
	}
	while (w->below > 1) {
		if (!window(w))
			return false;
		write_node(eng, w);
		if (w->index < DIV_ROUND_UP(w->below, cowp_node_keys()))
			continue;
		w->below = w->index;
		w->level++;
		w->index = 0;
	}
	submit_window(eng, w);
	w->frag.blocks = cowp_tree_blocks(w->frag.records);
	w->used += w->frag.blocks;
	w->state = COWP_WRITER_IDLE;
	return true;
}

/* cowp_writer_mark - what comes from here on may have to be written once more */
void cowp_writer_mark(struct cowp_writer *w)
{
	w->mark_segment = w->segment;
	w->mark_used = w->used;
	w->taken_count = 0;
	w->taken_used = 0;
}

/*
 * cowp_writer_rewind - go back to the mark
 *
 * The same places are used again, unless a write to them was given up and may
 * yet land.  No write is out but such.
 */
void cowp_writer_rewind(struct cowp_writer *w)
{
	w->segment = w->mark_segment;
	w->used = w->mark_used;
	w->taken_used = 0;
	if (w->hung) {
		w->segment = COWP_NO_SEGMENT;
		cowp_writer_mark(w);
	}
	w->hung = false;
	w->error = 0;
	w->leaf = NULL;
	w->filling = NULL;
	w->state = COWP_WRITER_IDLE;
}

/*
 * cowp_writer_holds - is a segment without a published fragment the writer's?
 *
 * That of the mark is too: the writer may go back to it.
 */
bool cowp_writer_holds(const struct cowp_writer *w, u32 segment)
{
	u32 i;

	for (i = 0; i < w->taken_count; i++)
		if (w->taken[i] == segment)
			return true;
	return segment == w->segment || segment == w->mark_segment;
}

int cowp_writer_init(struct cowp_engine *eng, struct cowp_writer *w, u32 leaves)
{
	u32 i, j;

	w->segment = COWP_NO_SEGMENT;
	cowp_writer_mark(w);
	w->keys_capacity = leaves;
	w->keys = cowp_alloc(eng, leaves * sizeof(*w->keys));
	if (!w->keys)
		return -ENOMEM;
	for (i = 0; i < ARRAY_SIZE(w->io); i++) {
		w->io[i] = cowp_alloc_io(eng, COWP_RUN_WINDOW, window_written);
		if (!w->io[i])
			return -ENOMEM;
		w->io[i]->private = w;
		for (j = 0; j < COWP_RUN_WINDOW; j++) {
			w->io[i]->blocks[j] = cowp_alloc_block(eng);
			if (!w->io[i]->blocks[j])
				return -ENOMEM;
		}
	}
	return 0;
}

void cowp_writer_exit(struct cowp_writer *w)
{
	u32 i, j;

	port_free(w->keys);
	for (i = 0; i < ARRAY_SIZE(w->io); i++) {
		for (j = 0; w->io[i] && j < COWP_RUN_WINDOW; j++)
			port_block_free(w->io[i]->blocks[j]);
		port_io_free(w->io[i]);
	}
}
