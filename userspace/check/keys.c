// SPDX-License-Identifier: GPL-2.0-only
/*
 * No (chunk, epoch) twice.  Each fragment is in order, so all of them are
 * merged, with a leaf of each in memory; and the records of the log with them.
 */
#include "check.h"

/* A source of keys in order: a fragment, or the log. */
struct source {
	const struct cowp_fragment *f;	/* NULL: the log */
	struct cowp_run_block *leaf;
	u32 next_leaf;
	u32 pos;
	u32 count;
	u64 key;
	u64 block;
};

static bool next_in_fragment(struct check *c, struct source *s)
{
	u32 blocks;

	if (s->pos == s->count) {
		if (s->next_leaf == s->f->leaves)
			return false;
		s->block = fragment_level(s->f, 0, &blocks) + s->next_leaf++;
		if (area_read(c->area, s->block, 1, s->leaf))
			return false;
		s->count = min_t(u32, le16_to_cpu(s->leaf->count), cowp_leaf_records());
		s->pos = 0;
		if (!s->count)
			return false;
	}
	s->key = le64_to_cpu(s->leaf->records[s->pos++].key);
	return true;
}

static bool next_key(struct check *c, struct source *s)
{
	if (!s->f) {
		if (s->pos == c->log_count)
			return false;
		s->key = c->log[s->pos].rec.key;
		s->block = c->log[s->pos++].block;
		return true;
	}
	while (next_in_fragment(c, s))
		/* Below is what a merge has taken elsewhere. */
		if (s->key >= s->f->first_key)
			return true;
	return false;
}

/* A heap, the lowest key at its top. */
static void sift_down(struct source **heap, u32 count, u32 i)
{
	for (;;) {
		u32 child = 2 * i + 1;

		if (child >= count)
			return;
		if (child + 1 < count && heap[child + 1]->key < heap[child]->key)
			child++;
		if (heap[i]->key <= heap[child]->key)
			return;
		swap(heap[i], heap[child]);
		i = child;
	}
}

static void merge(struct check *c, struct source **heap, u32 count)
{
	u64 key = ~0ULL, block = 0;
	u32 i;

	for (i = count; i--;)
		sift_down(heap, count, i);
	while (count) {
		struct source *s = heap[0];

		if (s->key == key)
			finding(&c->findings, s->block,
				"record (chunk %llu, epoch %u) is in block %llu too; one of the two is not the content of that time",
				cowp_key_chunk(key), cowp_key_epoch(key), block);
		key = s->key;
		block = s->block;
		if (!next_key(c, s))
			heap[0] = heap[--count];
		sift_down(heap, count, 0);
	}
}

void check_keys(struct check *c)
{
	u32 most = c->man.fragment_count + 1;
	struct source *sources = xcalloc(most, sizeof(*sources));
	struct source **heap = xcalloc(most, sizeof(*heap));
	u32 count = 0, i;

	for (i = 0; i < most; i++) {
		struct source *s = &sources[i];

		if (i < c->man.fragment_count) {
			s->f = &c->man.fragments[i];
			if (!s->f->records)	/* broken, told already */
				continue;
			s->leaf = xcalloc(1, COWP_BLOCK_SIZE);
		}
		if (next_key(c, s))
			heap[count++] = s;
	}
	merge(c, heap, count);
	for (i = 0; i < most; i++)
		free(sources[i].leaf);
	free(sources);
	free(heap);
}
