// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs: the index on the disk, and searches in it.
 *
 * A run is a number of fragments whose ranges of keys are disjoint.  A fragment
 * is a tree in bulk-loaded order: leaves first, each level above behind the one
 * below, so that a child's place follows from its number and no block holds a
 * pointer.  It is written once, by a writer (writer.c): from a memtable (flush.c)
 * or from other runs (merge.c).  A merge takes what it has done off its inputs
 * from below, by raising their fragments' first keys: what a tree holds below
 * that counts no more.
 */
#include "internal.h"

/* The first block of a level; leaves are level 0. */
u64 cowp_fragment_level(const struct cowp_fragment *f, u32 level)
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
	int error = cowp_cache_get(eng, cowp_fragment_level(f, level) + index, f->incarnation, wait,
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
 * @key:	the key; what lies below the fragment's first one is not found
 * @at:		how far the search has come; zero at first, and again at the end,
 *		when @at->index is the number of the leaf
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

	key = max(key, f->first_key);
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
 * cowp_leaf_check - is this block the fragment's leaf of that number?
 *
 * Returns NULL, or what is wrong.
 */
const char *cowp_leaf_check(struct cowp_engine *eng, const struct cowp_fragment *f, u32 index,
			    const struct cowp_run_block *leaf)
{
	u32 most = cowp_leaf_records();
	const char *bad = cowp_run_block_check(eng, leaf, f->block + index, f->incarnation);

	if (bad)
		return bad;
	if (leaf->level || le32_to_cpu(leaf->index) != index)
		return "place in the fragment";
	if (le16_to_cpu(leaf->count) != min(f->records - index * most, most))
		return "number of records";
	return NULL;
}

/* ---- the list of runs ---- */

/* Where in the list, ordered by run and key, a fragment belongs. */
static u32 position_of(const struct cowp_index *x, const struct cowp_fragment *f)
{
	u32 low = 0, high = x->fragment_count;

	while (low < high) {
		u32 middle = (low + high) / 2;
		const struct cowp_fragment *m = &x->fragments[middle];

		if (m->run < f->run || (m->run == f->run && m->first_key < f->first_key))
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Put a fragment on the list; there is room.  cowp_runs_update() follows. */
void cowp_fragment_add(struct cowp_index *x, const struct cowp_fragment *f)
{
	u32 at = position_of(x, f);

	memmove(&x->fragments[at + 1], &x->fragments[at],
		(x->fragment_count - at) * sizeof(*f));
	x->fragments[at] = *f;
	x->fragment_count++;
}

static bool belongs(const struct cowp_index *x, const struct cowp_run *r,
		    const struct cowp_fragment *f)
{
	return f->run == r->number && f->first_key > x->fragments[r->first + r->count - 1].last_key;
}

/*
 * cowp_runs_update - find the runs in the list of fragments
 *
 * Returns false if there are too many, or fragments of one overlap.
 */
bool cowp_runs_update(struct cowp_index *x)
{
	struct cowp_run *r = NULL;
	u32 i;

	x->reclaim.look = true;
	x->run_count = 0;
	for (i = 0; i < x->fragment_count; i++) {
		const struct cowp_fragment *f = &x->fragments[i];

		if (!r || !belongs(x, r, f)) {
			if (x->run_count == COWP_MAX_RUNS || (r && r->number == f->run))
				return false;
			r = &x->runs[x->run_count++];
			r->number = f->run;
			r->first = i;
			r->count = 0;
			r->max_epoch = 0;
			r->records = 0;
			r->unreadable = false;
		}
		r->count++;
		r->unreadable |= f->unreadable;
		r->max_epoch = max(r->max_epoch, f->max_epoch);
		r->records += f->records;
	}
	return true;
}

/*
 * cowp_run_fragment - the first fragment of a run with something not below a key
 *
 * Returns NULL if there is none.
 */
const struct cowp_fragment *cowp_run_fragment(const struct cowp_index *x,
					      const struct cowp_run *r, u64 key)
{
	u32 low = r->first, high = r->first + r->count;

	while (low < high) {
		u32 middle = (low + high) / 2;

		if (x->fragments[middle].last_key < key)
			low = middle + 1;
		else
			high = middle;
	}
	return low < r->first + r->count ? &x->fragments[low] : NULL;
}
