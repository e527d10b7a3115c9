// SPDX-License-Identifier: GPL-2.0-only
/*
 * The blocks of every fragment: each for itself, then against the blocks below
 * and the manifest; then the records, so many segments at a time that what
 * points into them fits in memory.
 */
#include "check.h"

struct tree {
	struct check *c;
	const struct cowp_fragment *f;
	struct cowp_run_block *block;	/* the one looked at */
	u64 *keys;			/* first keys of the level below, ~0 where unknown */
	bool broken;			/* a block could not be believed */
	u64 last_key;
	bool any;
	u64 records;
	u32 min_epoch;
	u32 max_epoch;
};

/* Blocks of a level are full, but for the last one. */
static u32 expected_count(const struct cowp_fragment *f, u32 level, u32 index)
{
	u32 below, room, first;

	if (!level) {
		room = cowp_leaf_records();
		below = f->records;
	} else {
		room = cowp_node_keys();
		fragment_level(f, level - 1, &below);
	}
	first = index * room;
	return min(below - first, room);
}

/* Returns NULL, or what is wrong with the block. */
static const char *get_block(struct check *c, const struct cowp_fragment *f, u32 level, u32 index,
			     struct cowp_run_block *block)
{
	u32 blocks;
	u64 nr = fragment_level(f, level, &blocks) + index;
	int error = area_read(c->area, nr, 1, block);
	const char *bad;

	bad = error ? strerror(-error) :
		      cowp_check_header(block, COWP_MAGIC_RUN, c->man.super.uuid, nr);
	if (!bad && le32_to_cpu(block->header.incarnation) != f->incarnation)
		bad = "incarnation";
	if (!bad && le16_to_cpu(block->level) != level)
		bad = "level";
	if (!bad && le32_to_cpu(block->index) != index)
		bad = "number in its level";
	if (!bad && le16_to_cpu(block->count) != expected_count(f, level, index))
		bad = "number of records or keys";
	return bad;
}

static bool read_block(struct tree *t, u32 level, u32 index)
{
	u32 blocks;
	u64 nr = fragment_level(t->f, level, &blocks) + index;
	const char *bad = get_block(t->c, t->f, level, index, t->block);

	if (!bad) {
		check_session(t->c, t->block, nr, "index block");
		return true;
	}
	finding(&t->c->findings, nr,
		"index block of the fragment at %llu, level %u, number %u: %s; snapshot reads through it fail",
		t->f->block, level, index, bad);
	t->broken = true;
	return false;
}

/* The segment that it names; one more than there are stands for impossible ones. */
static u32 named_segment(const struct check *c, const struct cowp_rec *rec)
{
	return min(cowp_place_of(rec->location).segment, c->man.segment_count);
}

static void check_leaf(struct tree *t, u32 index)
{
	u32 blocks, i;
	u64 nr = fragment_level(t->f, 0, &blocks) + index;
	bool told = false;

	t->keys[index] = le64_to_cpu(t->block->records[0].key);
	for (i = 0; i < le16_to_cpu(t->block->count); i++) {
		struct cowp_rec rec;
		u32 epoch;

		cowp_rec_decode(&rec, &t->block->records[i]);
		epoch = cowp_key_epoch(rec.key);
		if (t->any && rec.key <= t->last_key && !told) {
			finding(&t->c->findings, nr,
				"index leaf: record %u (chunk %llu, epoch %u) is not behind the one before; snapshots do not find it",
				i, cowp_key_chunk(rec.key), epoch);
			told = true;
			t->broken = true;
		}
		t->last_key = rec.key;
		t->any = true;
		t->records++;
		t->min_epoch = min(t->min_epoch, epoch);
		t->max_epoch = max(t->max_epoch, epoch);
		/* Below is what a merge has taken elsewhere. */
		if (rec.key >= t->f->first_key)
			t->c->use[named_segment(t->c, &rec)].found++;
	}
}

static void check_leaves(struct tree *t)
{
	u32 index;

	for (index = 0; index < t->f->leaves; index++) {
		t->keys[index] = ~0ULL;
		if (read_block(t, 0, index))
			check_leaf(t, index);
		progress(t->c, "index");
	}
}

static void check_node(struct tree *t, u32 level, u32 index)
{
	u32 first = index * cowp_node_keys();
	u32 blocks, i;
	u64 nr = fragment_level(t->f, level, &blocks) + index;

	for (i = 0; i < le16_to_cpu(t->block->count); i++) {
		u64 key = le64_to_cpu(t->block->keys[i]);

		if (t->keys[first + i] == ~0ULL || t->keys[first + i] == key)
			continue;
		finding(&t->c->findings, nr,
			"index node: key %u is chunk %llu, epoch %u, its child begins with chunk %llu, epoch %u; snapshots do not find what is there",
			i, cowp_key_chunk(key), cowp_key_epoch(key),
			cowp_key_chunk(t->keys[first + i]), cowp_key_epoch(t->keys[first + i]));
		break;
	}
}

static void check_nodes(struct tree *t)
{
	u32 top = fragment_top(t->f);
	u32 level, index, blocks;

	for (level = 1; level <= top; level++) {
		fragment_level(t->f, level, &blocks);
		for (index = 0; index < blocks; index++) {
			if (read_block(t, level, index))
				check_node(t, level, index);
			/* In place: this level's numbers are not above the children's. */
			t->keys[index] = t->keys[index * cowp_node_keys()];
		}
	}
}

static void check_totals(struct tree *t)
{
	const struct cowp_fragment *f = t->f;
	struct check *c = t->c;
	u64 block = manifest_block(&c->man, COWP_SECTION_FRAGMENTS, f - c->man.fragments);

	if (t->broken)
		return;
	if (t->keys[0] > f->first_key || t->last_key != f->last_key)
		finding(&c->findings, block,
			"list of fragments: fragment at block %llu has other first and last keys than its leaves; snapshots do not find what is there",
			f->block);
	if (t->min_epoch != f->min_epoch || t->max_epoch != f->max_epoch)
		finding(&c->findings, block,
			"list of fragments: fragment at block %llu has epochs %u to %u, its leaves %u to %u; snapshots do not find what is there",
			f->block, f->min_epoch, f->max_epoch, t->min_epoch, t->max_epoch);
}

static void check_tree(struct tree *t, struct cowp_fragment *f)
{
	t->f = f;
	t->keys = xcalloc(f->leaves, sizeof(*t->keys));
	t->broken = false;
	t->any = false;
	t->records = 0;
	t->min_epoch = COWP_MAX_EPOCH;
	t->max_epoch = 0;
	check_leaves(t);
	check_nodes(t);
	check_totals(t);
	free(t->keys);
}

/* The records that name the segments [from, to). */
static void check_records(struct check *c, u32 from, u32 to, struct cowp_run_block *leaf)
{
	u32 i, index, pos, blocks;

	for (i = 0; i < c->man.fragment_count; i++) {
		const struct cowp_fragment *f = &c->man.fragments[i];

		for (index = 0; index < f->leaves; index++) {
			/* What is wrong with it was told. */
			if (get_block(c, f, 0, index, leaf))
				continue;
			for (pos = 0; pos < le16_to_cpu(leaf->count); pos++) {
				struct cowp_rec rec;
				u32 segment;

				cowp_rec_decode(&rec, &leaf->records[pos]);
				segment = named_segment(c, &rec);
				if (rec.key >= f->first_key && segment >= from && segment < to)
					records_add(c, &rec, fragment_level(f, 0, &blocks) + index);
			}
			progress(c, "records");
		}
	}
	records_flush(c);
	records_forget(c, from, min(to, c->man.segment_count));
}

static void check_all_records(struct check *c, struct cowp_run_block *leaf)
{
	u32 from, to, count;

	for (from = 0; from <= c->man.segment_count; from = to) {
		count = c->use[from].found;
		for (to = from + 1; to <= c->man.segment_count; to++) {
			if (c->use[to].found > RECORD_BATCH - min(count, RECORD_BATCH))
				break;
			count += c->use[to].found;
		}
		if (count)
			check_records(c, from, to, leaf);
	}
}

void check_runs(struct check *c)
{
	struct tree t = { .c = c };
	bool *broken = xcalloc(c->man.fragment_count, sizeof(*broken));
	u32 i;

	t.block = xcalloc(1, COWP_BLOCK_SIZE);
	for (i = 0; i < c->man.fragment_count; i++) {
		check_tree(&t, &c->man.fragments[i]);
		broken[i] = t.broken;
	}
	check_all_records(c, t.block);
	/* keys.c merges what is in order only. */
	for (i = 0; i < c->man.fragment_count; i++)
		if (broken[i])
			c->man.fragments[i].records = 0;
	free(broken);
	free(t.block);
	c->pending_log = true;
	for (i = 0; i < c->log_count; i++)
		records_add(c, &c->log[i].rec, c->log[i].block);
	records_flush(c);
}
