// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memtable against a sorted array that does the same the slow way.
 */
#include <kunit/test.h>
#include <linux/prandom.h>
#include "memtable.h"

struct model_rec {
	struct cowp_rec rec;
	u64 batch;
};

struct model {
	struct model_rec *recs;
	u32 count;
};

static u32 lower_bound(const struct model *m, u64 key)
{
	u32 i = 0;

	while (i < m->count && m->recs[i].rec.key < key)
		i++;
	return i;
}

/* The first durable one wins, in whatever order they come. */
static bool model_insert(struct model *m, const struct cowp_rec *rec, u64 batch)
{
	u32 at = lower_bound(m, rec->key);

	if (at < m->count && m->recs[at].rec.key == rec->key) {
		if (batch < m->recs[at].batch)
			m->recs[at] = (struct model_rec) { *rec, batch };
		return false;
	}
	memmove(&m->recs[at + 1], &m->recs[at], (m->count - at) * sizeof(*m->recs));
	m->recs[at] = (struct model_rec) { *rec, batch };
	m->count++;
	return true;
}

static void expect_same_record(struct kunit *test, const struct cowp_node *n,
			       const struct model_rec *r)
{
	KUNIT_ASSERT_NOT_NULL(test, n);
	KUNIT_ASSERT_EQ(test, n->rec.key, r->rec.key);
	KUNIT_ASSERT_EQ(test, n->rec.location, r->rec.location);
	KUNIT_ASSERT_EQ(test, n->rec.incarnation, r->rec.incarnation);
	KUNIT_ASSERT_EQ(test, n->rec.crc, r->rec.crc);
}

static void expect_ceiling(struct kunit *test, const struct cowp_memtable *t,
			   const struct model *m, u64 key)
{
	const struct cowp_node *n = cowp_memtable_ceiling(t, key);
	u32 at = lower_bound(m, key);

	if (at == m->count)
		KUNIT_ASSERT_PTR_EQ(test, n, NULL);
	else
		expect_same_record(test, n, &m->recs[at]);
}

/* In order from the first, and by ceiling at, below and above each key. */
static void expect_same(struct kunit *test, const struct cowp_memtable *t, const struct model *m)
{
	const struct cowp_node *n = cowp_memtable_ceiling(t, 0);
	u32 min_epoch = COWP_MAX_EPOCH, max_epoch = 0;
	u32 i;

	KUNIT_ASSERT_EQ(test, t->count, m->count);
	for (i = 0; i < m->count; i++) {
		u64 key = m->recs[i].rec.key;

		expect_same_record(test, n, &m->recs[i]);
		n = cowp_memtable_next(t, n);
		expect_ceiling(test, t, m, key);
		expect_ceiling(test, t, m, key + 1);
		if (key)
			expect_ceiling(test, t, m, key - 1);
		min_epoch = min(min_epoch, cowp_key_epoch(key));
		max_epoch = max(max_epoch, cowp_key_epoch(key));
	}
	KUNIT_EXPECT_PTR_EQ(test, n, NULL);
	expect_ceiling(test, t, m, ~0ULL);
	KUNIT_EXPECT_EQ(test, t->min_epoch, min_epoch);
	KUNIT_EXPECT_EQ(test, t->max_epoch, max_epoch);
}

/**
 * struct shape - which records come
 * @name:	of the case
 * @capacity:	of the table
 * @inserts:	how many, duplicates included; stops when the table is full
 * @chunks:	numbers to choose from
 * @epochs:	likewise
 * @base:	batch that the table counts from
 * @batches:	numbers to choose from, above @base
 */
struct shape {
	const char *name;
	u32 capacity;
	u32 inserts;
	u64 chunks;
	u32 epochs;
	u64 base;
	u32 batches;
};

static const struct shape shapes[] = {
	{ "one record", 1, 20, 1, 1, 0, 10 },
	{ "few keys, many duplicates", 64, 2000, 8, 4, 0, 50 },
	{ "one batch, the first to come stays", 64, 500, 10, 3, 7, 1 },
	{ "full of different keys", 512, 4000, 1ULL << 30, 1 << 20, 0, 1000 },
	{ "full, and duplicates after that", 200, 4000, 40, 6, 0, 1000 },
	{ "one chunk, many epochs", 256, 1000, 1, 400, 0, 100 },
	{ "largest chunks and batches", 128, 600, COWP_MAX_CHUNKS, COWP_MAX_EPOCH,
	  1ULL << 50, 1 << 30 },
	{ "capacity of no power of two", 1021, 3000, 5000, 2, 3, 500 },
};

KUNIT_ARRAY_PARAM_DESC(shape, shapes, name);

static struct cowp_rec random_record(struct rnd_state *rnd, const struct shape *s)
{
	u64 chunk = (u64)prandom_u32_state(rnd) << 32 | prandom_u32_state(rnd);
	u64 n;

	div64_u64_rem(chunk, s->chunks, &n);
	return (struct cowp_rec) {
		.key = cowp_key(n, prandom_u32_state(rnd) % s->epochs),
		.location = chunk,
		.incarnation = prandom_u32_state(rnd),
		.crc = prandom_u32_state(rnd),
	};
}

static void check_random(struct kunit *test, const struct shape *s, u32 seed)
{
	struct model m = { 0 };
	struct cowp_memtable t;
	struct rnd_state rnd;
	u32 i;

	prandom_seed_state(&rnd, seed);
	m.recs = kunit_kcalloc(test, s->capacity + 1, sizeof(*m.recs), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, m.recs);
	KUNIT_ASSERT_EQ(test, cowp_memtable_init(&t, s->capacity), 0);
	cowp_memtable_reset(&t, s->base);
	expect_same(test, &t, &m);

	for (i = 0; i < s->inserts; i++) {
		struct cowp_rec rec = random_record(&rnd, s);
		u64 batch = s->base + 1 + prandom_u32_state(&rnd) % s->batches;
		u32 at = lower_bound(&m, rec.key);
		bool known = at < m.count && m.recs[at].rec.key == rec.key;

		/* A full table still meets the records that it has. */
		if (m.count == s->capacity && !known)
			continue;
		KUNIT_ASSERT_EQ(test, cowp_memtable_insert(&t, &rec, batch,
							   prandom_u32_state(&rnd)),
				model_insert(&m, &rec, batch));
	}
	expect_same(test, &t, &m);

	/* Once more from empty: nothing of before is left. */
	cowp_memtable_reset(&t, s->base);
	m.count = 0;
	expect_same(test, &t, &m);
	cowp_memtable_exit(&t);
}

static void random_inserts(struct kunit *test)
{
	u32 seed;

	for (seed = 1; seed <= 4; seed++)
		check_random(test, test->param_value, seed);
}

/* The dice that make every node as high, or as low, as can be. */
static void filled_with(struct kunit *test, u32 random, bool descending)
{
	const u32 capacity = 300;
	struct model m = { 0 };
	struct cowp_memtable t;
	u32 i;

	m.recs = kunit_kcalloc(test, capacity + 1, sizeof(*m.recs), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, m.recs);
	KUNIT_ASSERT_EQ(test, cowp_memtable_init(&t, capacity), 0);
	for (i = 0; i < capacity; i++) {
		struct cowp_rec rec = {
			.key = cowp_key(descending ? capacity - i : i, i + 1),
			.location = i,
		};

		KUNIT_ASSERT_TRUE(test, cowp_memtable_insert(&t, &rec, i, random));
		model_insert(&m, &rec, i);
	}
	expect_same(test, &t, &m);
	KUNIT_EXPECT_LE(test, t.links_used, cowp_memtable_bytes(capacity) / sizeof(u32));
	cowp_memtable_exit(&t);
}

static void all_highest_nodes(struct kunit *test)
{
	filled_with(test, 0, false);
	filled_with(test, 0, true);
}

static void all_lowest_nodes(struct kunit *test)
{
	filled_with(test, ~0U, false);
	filled_with(test, ~0U, true);
}

static void first_durable_wins(struct kunit *test)
{
	struct cowp_rec first = { .key = cowp_key(7, 3), .location = 1, .crc = 1 };
	struct cowp_rec second = { .key = cowp_key(7, 3), .location = 2, .crc = 2 };
	struct cowp_memtable t;

	KUNIT_ASSERT_EQ(test, cowp_memtable_init(&t, 4), 0);
	cowp_memtable_reset(&t, 100);
	KUNIT_EXPECT_TRUE(test, cowp_memtable_insert(&t, &second, 102, 1));
	KUNIT_EXPECT_FALSE(test, cowp_memtable_insert(&t, &first, 101, 1));
	KUNIT_EXPECT_EQ(test, cowp_memtable_ceiling(&t, 0)->rec.crc, 1);
	KUNIT_EXPECT_FALSE(test, cowp_memtable_insert(&t, &second, 103, 1));
	KUNIT_EXPECT_EQ(test, cowp_memtable_ceiling(&t, 0)->rec.crc, 1);
	KUNIT_EXPECT_FALSE(test, cowp_memtable_insert(&t, &second, 101, 1));
	KUNIT_EXPECT_EQ(test, cowp_memtable_ceiling(&t, 0)->rec.crc, 1);
	KUNIT_EXPECT_EQ(test, t.count, 1);
	cowp_memtable_exit(&t);
}

static void keys_at_the_ends(struct kunit *test)
{
	u64 last = cowp_key(COWP_MAX_CHUNKS - 1, COWP_MAX_EPOCH);
	struct cowp_rec low = { .key = 0 }, high = { .key = last };
	struct cowp_memtable t;

	KUNIT_EXPECT_EQ(test, last, ~0ULL);
	KUNIT_ASSERT_EQ(test, cowp_memtable_init(&t, 2), 0);
	KUNIT_EXPECT_TRUE(test, cowp_memtable_insert(&t, &high, 1, 5));
	KUNIT_EXPECT_TRUE(test, cowp_memtable_insert(&t, &low, 1, 5));
	KUNIT_EXPECT_EQ(test, cowp_memtable_ceiling(&t, 0)->rec.key, 0);
	KUNIT_EXPECT_EQ(test, cowp_memtable_ceiling(&t, 1)->rec.key, last);
	KUNIT_EXPECT_EQ(test, cowp_memtable_ceiling(&t, last)->rec.key, last);
	KUNIT_EXPECT_EQ(test, t.min_epoch, 0);
	KUNIT_EXPECT_EQ(test, t.max_epoch, COWP_MAX_EPOCH);
	cowp_memtable_exit(&t);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(random_inserts, shape_gen_params),
	KUNIT_CASE(all_highest_nodes),
	KUNIT_CASE(all_lowest_nodes),
	KUNIT_CASE(first_durable_wins),
	KUNIT_CASE(keys_at_the_ends),
	{}
};

static struct kunit_suite suite = {
	.name = "cowprotect-memtable",
	.test_cases = cases,
};

kunit_test_suite(suite);
