// SPDX-License-Identifier: GPL-2.0-only
/*
 * The index: as many runs as merging ever leaves at rest.
 *
 * A run holds the records of a stretch of the log, the oldest run the longest.
 * Those of the current epoch are runs of their own.
 *
 * Records are wanted in the order of chunks and known in that of the log.  So a
 * run asks each chunk, epoch by epoch, for its place in the log: that is a few
 * multiplications, and cheaper than to sort.
 */
#include <stdlib.h>

#include "image.h"

/*
 * The engine merges when there are eight runs up to some size; those of the current
 * epoch count for themselves, and so do all others.
 */
#define RUNS_AT_REST	7U

/* Most leaves of a fragment, and blocks of one write. */
#define FRAGMENT_LEAVES		8191U
#define WINDOW			256U

/* ---- fragments ---- */

struct writer {
	struct image *im;
	u32 run;
	u64 left;		/* records of the run that are in no fragment yet */
	u32 segment;		/* COWP_NO_SEGMENT: none */
	u32 used;		/* blocks of it */
	struct cowp_fragment_rec *fragment;
	u64 block;		/* of the window's first */
	u32 window_blocks;
	u8 *window;
	struct cowp_run_block *leaf;	/* that is being filled */
	u32 leaves;		/* of the fragment so far, with that one */
	u32 records;		/* of the fragment so far */
	u64 *keys;		/* first ones of the blocks of the level below */
};

#define COWP_NO_SEGMENT		(~0U)

static void flush_window(struct writer *w)
{
	if (w->window_blocks)
		image_write(w->im, w->block, w->window, w->window_blocks);
	w->block += w->window_blocks;
	w->window_blocks = 0;
}

static struct cowp_run_block *next_block(struct writer *w, u32 level, u32 index)
{
	struct cowp_run_block *b;

	if (w->window_blocks == WINDOW)
		flush_window(w);
	b = (void *)(w->window + (size_t)w->window_blocks++ * COWP_BLOCK_SIZE);
	memset(b, 0, COWP_BLOCK_SIZE);
	b->level = cpu_to_le16(level);
	b->index = cpu_to_le32(index);
	return b;
}

static void seal_block(struct writer *w, struct cowp_run_block *b)
{
	u64 nr = w->block + ((u8 *)b - w->window) / COWP_BLOCK_SIZE;

	cowp_seal(b, COWP_MAGIC_RUN, w->im->super.uuid, nr, IMAGE_SESSION,
		  image_incarnation(w->segment));
}

static void take_segment(struct writer *w)
{
	u8 header[COWP_BLOCK_SIZE];

	w->segment = w->im->next_segment++;
	w->used = 1;
	if (w->segment >= w->im->geo.segments)
		give_up(w->im->name, "too few segments were laid out");
	image_header(w->im, w->segment, COWP_SEGMENT_RUN, header);
	image_write(w->im, cowp_segment_block(&w->im->geo, w->segment), header, 1);
}

/* As the engine does: what a segment has room for, if that is not too little. */
static void begin_fragment(struct writer *w)
{
	struct image *im = w->im;
	u32 room = w->segment == COWP_NO_SEGMENT ? 0 : im->geo.segment_blocks - w->used;
	u32 most = FRAGMENT_LEAVES * cowp_leaf_records();
	struct cowp_fragment_rec *f = &im->fragments[im->fragment_count++];
	u32 records;

	if (im->fragment_count > COWP_MAX_FRAGMENTS)
		give_up(im->name, "more fragments than a manifest lists");
	if (room < im->geo.segment_blocks / 2 &&
	    cowp_tree_blocks(min_t(u64, w->left, most)) > room) {
		take_segment(w);
		room = im->geo.segment_blocks - w->used;
	}
	records = min3(w->left, (u64)cowp_tree_records(room), (u64)most);
	w->fragment = f;
	w->block = cowp_segment_block(&im->geo, w->segment) + w->used;
	w->leaf = NULL;
	w->leaves = 0;
	w->records = 0;
	w->left -= records;
	f->block = cpu_to_le64(w->block);
	f->blocks = cpu_to_le32(cowp_tree_blocks(records));
	f->leaves = cpu_to_le32(DIV_ROUND_UP(records, cowp_leaf_records()));
	f->records = cpu_to_le32(records);
	f->incarnation = cpu_to_le32(image_incarnation(w->segment));
	f->min_epoch = cpu_to_le32(COWP_MAX_EPOCH);
	f->run = cpu_to_le32(w->run);
	w->used += cowp_tree_blocks(records);
}

/* The levels above the leaves; each level's first keys take the place of those below. */
static void end_fragment(struct writer *w)
{
	u32 below = w->leaves, level;

	for (level = 1; below > 1; level++) {
		u32 index, blocks = DIV_ROUND_UP(below, cowp_node_keys());

		for (index = 0; index < blocks; index++) {
			struct cowp_run_block *b = next_block(w, level, index);
			u32 first = index * cowp_node_keys();
			u32 count = min(below - first, cowp_node_keys());
			u32 i;

			for (i = 0; i < count; i++)
				b->keys[i] = cpu_to_le64(w->keys[first + i]);
			b->count = cpu_to_le16(count);
			w->keys[index] = w->keys[first];
			seal_block(w, b);
		}
		below = blocks;
	}
	flush_window(w);
	w->fragment = NULL;
}

static void put_record(struct writer *w, const struct cowp_rec *rec)
{
	u32 epoch = cowp_key_epoch(rec->key), count;
	struct cowp_fragment_rec *f;

	if (!w->fragment)
		begin_fragment(w);
	f = w->fragment;
	if (!w->leaf) {
		if (!w->leaves)
			f->first_key = cpu_to_le64(rec->key);
		w->keys[w->leaves] = rec->key;
		w->leaf = next_block(w, 0, w->leaves++);
	}
	count = le16_to_cpu(w->leaf->count);
	cowp_rec_encode(&w->leaf->records[count++], rec);
	w->leaf->count = cpu_to_le16(count);
	w->records++;
	f->last_key = cpu_to_le64(rec->key);
	f->min_epoch = cpu_to_le32(min(le32_to_cpu(f->min_epoch), epoch));
	f->max_epoch = cpu_to_le32(max(le32_to_cpu(f->max_epoch), epoch));
	if (count == cowp_leaf_records() || w->records == le32_to_cpu(f->records)) {
		seal_block(w, w->leaf);
		w->leaf = NULL;
	}
	if (w->records == le32_to_cpu(f->records))
		end_fragment(w);
}

/* ---- records in the order of chunks ---- */

#define TILE	4096U	/* chunks looked at together */

struct hit {
	u32 chunk;		/* in the tile */
	u32 epoch;
	u32 place;		/* in the epoch */
};

struct tile {
	u32 first;
	u32 chunks;
	u32 places[TILE];
	struct hit *hits;
	struct hit *sorted;
	u32 count;
	u32 start[TILE + 1];
};

/* Those of one epoch whose places are in [from, to). */
__attribute__((target_clones("avx2", "default"), optimize("O3")))
static void ask(struct tile *t, const struct plan_order *o, u32 bits)
{
	u32 i;

	for (i = 0; i < TILE; i++)
		t->places[i] = plan_place(o, bits, t->first + i);
}

static void ask_epoch(struct tile *t, const struct plan *p, u32 epoch, u32 from, u32 to)
{
	u32 i;

	ask(t, &p->order[epoch], p->chunk_bits);
	for (i = 0; i < t->chunks; i++) {
		struct hit *h = &t->hits[t->count];

		h->chunk = i;
		h->epoch = epoch;
		h->place = t->places[i];
		t->count += t->places[i] - from < to - from;
	}
}

/* By chunk; epochs came in their order and stay in it. */
static void sort_hits(struct tile *t)
{
	u32 i, at = 0;

	memset(t->start, 0, sizeof(t->start));
	for (i = 0; i < t->count; i++)
		t->start[t->hits[i].chunk]++;
	for (i = 0; i < TILE; i++) {
		u32 count = t->start[i];

		t->start[i] = at;
		at += count;
	}
	for (i = 0; i < t->count; i++)
		t->sorted[t->start[t->hits[i].chunk]++] = t->hits[i];
}

static void put_hit(struct writer *w, const struct tile *t, const struct hit *h)
{
	const struct plan *p = w->im->plan;
	u64 chunk = t->first + h->chunk;
	struct cowp_place place = image_place(w->im, p->first[h->epoch] + h->place);
	struct cowp_rec rec = {
		.key = cowp_key(chunk, h->epoch),
		.location = cowp_location(&place),
		.incarnation = image_incarnation(place.segment),
		.crc = plan_stamped(p, chunk, h->epoch) ? plan_crc(p, chunk, h->epoch) :
							  p->zero_crc,
	};

	put_record(w, &rec);
}

/* The records [from, to) of the log. */
static void write_run(struct writer *w, struct tile *t, u64 from, u64 to)
{
	const struct plan *p = w->im->plan;
	u32 oldest = plan_epoch(p, from), newest = plan_epoch(p, to - 1);
	u64 chunk;
	u32 e, i;

	w->run++;
	w->left = to - from;
	for (chunk = 0; chunk < plan_chunks(p); chunk += TILE) {
		t->first = chunk;
		t->chunks = min_t(u64, TILE, plan_chunks(p) - chunk);
		t->count = 0;
		for (e = oldest; e <= newest; e++)
			ask_epoch(t, p, e, max(from, p->first[e]) - p->first[e],
				  min(to, p->first[e + 1]) - p->first[e]);
		sort_hits(t);
		for (i = 0; i < t->count; i++)
			put_hit(w, t, &t->sorted[i]);
	}
}

/* A stretch of the log as runs, each twice as long as all those behind it. */
static void write_stretch(struct writer *w, struct tile *t, u64 from, u64 to)
{
	u32 left;

	for (left = RUNS_AT_REST; left && from < to; left--) {
		u64 size = left > 1 ? DIV_ROUND_UP((to - from) * 2, 3) : to - from;

		write_run(w, t, from, from + size);
		from += size;
	}
}

void image_write_runs(struct image *im)
{
	const struct plan *p = im->plan;
	struct writer w = { .im = im, .segment = COWP_NO_SEGMENT };
	size_t hits = (size_t)(p->snapshots * TILE + 1) * sizeof(struct hit);
	struct tile *t = calloc(1, sizeof(*t));

	w.window = malloc((size_t)WINDOW * COWP_BLOCK_SIZE);
	w.keys = malloc(FRAGMENT_LEAVES * sizeof(*w.keys));
	if (!t || !w.window || !w.keys)
		give_up(im->name, "no memory");
	t->hits = malloc(hits);
	t->sorted = malloc(hits);
	if (!t->hits || !t->sorted)
		give_up(im->name, "no memory");
	write_stretch(&w, t, 0, p->first[p->snapshots]);
	write_stretch(&w, t, p->first[p->snapshots], p->records);
	free(t->hits);
	free(t->sorted);
	free(t);
	free(w.window);
	free(w.keys);
}
