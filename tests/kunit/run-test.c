// SPDX-License-Identifier: GPL-2.0-only
/*
 * Runs: built from a memtable by a checkpoint, searched for every key that is
 * there and for those beside it, as built and as recovery finds them.
 */
#include <linux/sort.h>
#include "world.h"

struct run_shape {
	const char *name;
	u32 leaf_records;
	u32 node_keys;
	u32 records;
	u32 chunks;
	u32 epochs;	/* from 0 on; the oldest snapshot is 1 */
};

static const struct run_shape run_shapes[] = {
	{ "empty", 8, 4, 0, 10, 1 },
	{ "one record", 8, 4, 1, 10, 3 },
	{ "a leaf", 8, 4, 8, 1000, 1 },
	{ "a leaf and a record", 8, 4, 9, 1000, 1 },
	{ "a node of full leaves", 8, 4, 32, 1000, 1 },
	{ "a node of full leaves and a record", 8, 4, 33, 1000, 1 },
	{ "four levels", 8, 4, 700, 100000, 1 },
	{ "one chunk, many epochs", 8, 4, 300, 1, 1000 },
	{ "records of deleted snapshots among them", 8, 4, 600, 500, 3 },
	{ "several fragments, nine levels", 2, 2, 1000, 100000, 1 },
	{ "leaves of one record", 1, 2, 500, 100000, 1 },
	{ "blocks as on the disk", 4096, 4096, 1000, 1 << 30, 1 },
};

KUNIT_ARRAY_PARAM_DESC(run_shape, run_shapes, name);

struct run_model {
	struct cowp_rec *recs;	/* those that a run must hold, in order */
	u32 count;
};

static int by_key(const void *a, const void *b)
{
	const struct cowp_rec *x = a, *y = b;

	return x->key < y->key ? -1 : x->key > y->key;
}

static void fill_memtable(struct world *w, const struct run_shape *shape, struct run_model *m)
{
	struct cowp_index *x = &w->eng->index;
	struct cowp_listed *l = list_first_entry(&w->eng->segs.listed, struct cowp_listed, node);
	u32 tries;

	/* Behind its back, so without its promise of room. */
	for (tries = 0; m->count < shape->records && x->table[x->active].count < x->capacity &&
	     tries < 4 * shape->records; tries++) {
		struct cowp_place place = {
			.segment = l->segment,
			.slot = tries % w->eng->geo.slots,
		};
		struct cowp_rec rec = {
			.key = cowp_key(world_random(w, shape->chunks),
					shape->epochs == 1 ? 1 : world_random(w, shape->epochs)),
			.location = cowp_location(&place),
			.incarnation = tries,
			.crc = ~tries,
		};
		u32 before = x->table[x->active].count;

		cowp_index_insert(w->eng, &rec, 1);
		if (x->table[x->active].count > before && cowp_key_epoch(rec.key) >= 1)
			m->recs[m->count++] = rec;
	}
	sort(m->recs, m->count, sizeof(*m->recs), by_key, NULL);
}

static void woken(struct cowp_engine *eng, struct cowp_wait *wait)
{
}

static int run_ceiling(struct world *w, const struct cowp_fragment *f, u64 key,
		       struct cowp_rec *rec)
{
	struct cowp_wait wait = { .resume = woken };
	struct cowp_search at = { 0 };
	const struct cowp_run_block *leaf;
	int error;
	u32 pos;

	for (;;) {
		INIT_LIST_HEAD(&wait.node);
		error = cowp_run_ceiling(w->eng, f, key, &at, &wait, &leaf, &pos);
		if (error != -EAGAIN)
			break;
		world_settle(w);
	}
	if (!error)
		cowp_rec_decode(rec, &leaf->records[pos]);
	return error;
}

/* The fragment that holds the first record not below a key; they are in order. */
static const struct cowp_fragment *fragment_of(struct world *w, u64 key)
{
	struct cowp_index *x = &w->eng->index;
	u32 i;

	for (i = 0; i < x->fragment_count; i++)
		if (x->fragments[i].last_key >= key)
			return &x->fragments[i];
	return NULL;
}

static void expect_ceiling(struct world *w, const struct run_model *m, u32 at, u64 key)
{
	const struct cowp_fragment *f = fragment_of(w, key);
	struct kunit *test = w->port.test;
	struct cowp_rec rec;

	if (at == m->count) {
		KUNIT_ASSERT_PTR_EQ(test, f, NULL);
		return;
	}
	KUNIT_ASSERT_NOT_NULL(test, f);
	KUNIT_ASSERT_EQ(test, run_ceiling(w, f, key, &rec), 0);
	KUNIT_ASSERT_MEMEQ(test, &rec, &m->recs[at], sizeof(rec));
}

static void check_fragments(struct world *w, const struct run_model *m)
{
	struct cowp_index *x = &w->eng->index;
	struct kunit *test = w->port.test;
	u32 i, at = 0;

	for (i = 0; i < x->fragment_count; i++) {
		const struct cowp_fragment *f = &x->fragments[i];
		u32 min_epoch = COWP_MAX_EPOCH, max_epoch = 0, j;
		struct cowp_rec rec;

		KUNIT_ASSERT_LE(test, at + f->records, m->count);
		KUNIT_ASSERT_EQ(test, f->first_key, m->recs[at].key);
		KUNIT_ASSERT_EQ(test, f->last_key, m->recs[at + f->records - 1].key);
		KUNIT_ASSERT_EQ(test, f->blocks, cowp_tree_blocks(f->records));
		for (j = 0; j < f->records; j++, at++) {
			min_epoch = min(min_epoch, cowp_key_epoch(m->recs[at].key));
			max_epoch = max(max_epoch, cowp_key_epoch(m->recs[at].key));
		}
		KUNIT_ASSERT_EQ(test, f->min_epoch, min_epoch);
		KUNIT_ASSERT_EQ(test, f->max_epoch, max_epoch);
		/* Beyond the fragment's last record there is nothing in it. */
		KUNIT_ASSERT_EQ(test, run_ceiling(w, f, f->last_key + 1, &rec), -ENOENT);
	}
	KUNIT_ASSERT_EQ(test, at, m->count);
}

static void check_run(struct world *w, const struct run_model *m)
{
	u32 i;

	check_fragments(w, m);
	expect_ceiling(w, m, 0, 0);
	for (i = 0; i < m->count; i++) {
		u64 key = m->recs[i].key;

		expect_ceiling(w, m, i, key);
		expect_ceiling(w, m, i + 1, key + 1);
		if (!i || m->recs[i - 1].key < key - 1)
			expect_ceiling(w, m, i, key - 1);
	}
	expect_ceiling(w, m, m->count, ~0ULL);
}

static void run_holds_the_memtable(struct kunit *test)
{
	const struct run_shape *shape = test->param_value;
	struct world_setup setup = {
		.order = WORLD_RANDOM,
		.diff_blocks = 60 << 8,
		.chunk_blocks = 16,	/* fewer buffers: sooner made */
		.chunks = 16,
	};
	struct run_model m = { 0 };
	struct world *w;

	kunit_leaf_records = shape->leaf_records;
	kunit_node_keys = shape->node_keys;
	m.recs = kunit_kcalloc(test, shape->records + 1, sizeof(*m.recs), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, m.recs);

	w = world_new(test, &setup);
	world_start(w, true);
	world_create(w);
	fill_memtable(w, shape, &m);
	KUNIT_ASSERT_EQ(test, world_message(w, COWP_MSG_CHECKPOINT, false, 0), 0);
	KUNIT_EXPECT_EQ(test, w->eng->index.table[0].count + w->eng->index.table[1].count, 0);
	check_run(w, &m);

	world_crash(w);
	world_start(w, false);
	KUNIT_ASSERT_EQ(test, world_state(w), COWP_STATE_ACTIVE);
	check_run(w, &m);
	world_close(w);
}

/* What is read is checked: a block that is damaged is an error, not an answer. */
static void damaged_blocks_are_errors(struct kunit *test)
{
	struct run_shape shape = { .records = 100, .chunks = 1000, .epochs = 1 };
	struct world_setup setup = { .seed = 3 };
	struct world *w = world_new(test, &setup);
	struct run_model m = { 0 };
	const struct cowp_fragment *f;
	struct cowp_rec rec;
	u32 i;

	kunit_leaf_records = 8;
	kunit_node_keys = 4;
	m.recs = kunit_kcalloc(test, 101, sizeof(*m.recs), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, m.recs);
	world_start(w, true);
	world_create(w);
	fill_memtable(w, &shape, &m);
	KUNIT_ASSERT_EQ(test, world_message(w, COWP_MSG_CHECKPOINT, false, 0), 0);
	KUNIT_ASSERT_EQ(test, w->eng->index.fragment_count, 1);
	f = w->eng->index.fragments;
	for (i = 0; i < f->blocks; i++)
		w->dev[COWP_DIFF].now[f->block + i][1000] ^= 4;
	for (i = 0; i < m.count; i += 9)
		KUNIT_EXPECT_EQ(test, run_ceiling(w, f, m.recs[i].key, &rec), -EBADMSG);
	for (i = 0; i < f->blocks; i++)
		w->dev[COWP_DIFF].now[f->block + i][1000] ^= 4;
	check_run(w, &m);
	world_close(w);
}

/* A leaf that was written so, say by another implementation with a fault. */
static void expect_refused(struct world *w, const struct cowp_run_block *wrong, u64 key)
{
	const struct cowp_fragment *f = w->eng->index.fragments;
	struct cowp_run_block *leaf = (void *)w->dev[COWP_DIFF].now[f->block];
	struct kunit *test = w->port.test;
	struct cowp_run_block *right = kunit_kmalloc(test, COWP_BLOCK_SIZE, GFP_KERNEL);
	struct cowp_rec rec;

	KUNIT_ASSERT_NOT_NULL(test, right);
	memcpy(right, leaf, COWP_BLOCK_SIZE);
	memcpy(leaf, wrong, COWP_BLOCK_SIZE);
	cowp_seal(leaf, COWP_MAGIC_RUN, w->eng->super.uuid, f->block,
		  le32_to_cpu(leaf->header.session), f->incarnation);
	KUNIT_EXPECT_EQ(test, run_ceiling(w, f, key, &rec), -EBADMSG);
	memcpy(leaf, right, COWP_BLOCK_SIZE);
}

/*
 * A location is an index of the segment table, and an address: bounds come first.
 * Searches go by the order of the keys: they might not end where there is none.
 */
static void contents_are_checked(struct kunit *test)
{
	struct run_shape shape = { .records = 20, .chunks = 1000, .epochs = 1 };
	struct world_setup setup = { .seed = 4 };
	struct world *w = world_new(test, &setup);
	struct run_model m = { 0 };
	struct cowp_run_block *leaf;
	struct cowp_place place;
	struct cowp_record first;

	m.recs = kunit_kcalloc(test, shape.records + 1, sizeof(*m.recs), GFP_KERNEL);
	leaf = kunit_kmalloc(test, COWP_BLOCK_SIZE, GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, m.recs && leaf);
	world_start(w, true);
	world_create(w);
	fill_memtable(w, &shape, &m);
	KUNIT_ASSERT_EQ(test, world_message(w, COWP_MSG_CHECKPOINT, false, 0), 0);
	KUNIT_ASSERT_EQ(test, w->eng->index.fragment_count, 1);
	memcpy(leaf, w->dev[COWP_DIFF].now[w->eng->index.fragments->block], COWP_BLOCK_SIZE);
	first = leaf->records[0];

	place = cowp_place_of(m.recs[0].location);
	place.segment = w->eng->segs.count;
	leaf->records[0].location = cpu_to_le64(cowp_location(&place));
	expect_refused(w, leaf, m.recs[0].key);

	place = cowp_place_of(m.recs[0].location);
	place.slot = w->eng->geo.slots;
	leaf->records[0].location = cpu_to_le64(cowp_location(&place));
	expect_refused(w, leaf, m.recs[0].key);

	leaf->records[0] = leaf->records[1];
	leaf->records[1] = first;
	expect_refused(w, leaf, m.recs[0].key);

	leaf->records[0] = first;
	leaf->records[1] = first;
	expect_refused(w, leaf, m.recs[0].key);
	check_run(w, &m);
	world_close(w);
}

static void restore_sizes(struct kunit *test)
{
	kunit_leaf_records = COWP_BLOCK_SIZE;
	kunit_node_keys = COWP_BLOCK_SIZE;
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(run_holds_the_memtable, run_shape_gen_params),
	KUNIT_CASE(damaged_blocks_are_errors),
	KUNIT_CASE(contents_are_checked),
	{}
};

static struct kunit_suite suite = {
	.name = "cowprotect-run",
	.exit = restore_sizes,
	.test_cases = cases,
};

kunit_test_suite(suite);
