// SPDX-License-Identifier: GPL-2.0-only
/*
 * The log as it stands on the disk, read by a reader that shares nothing with
 * recovery but the structures.
 */
#include "world.h"

#define FUA	(COWP_CAP_CACHE | COWP_CAP_FUA)
#define BATCHES	600U

/* What the reader has seen of the log. */
struct seen {
	struct world *w;
	struct cowp_geometry *geo;
	u8 parts[BATCHES];	/* that a batch should have */
	u8 found[BATCHES];
	u32 *epochs;		/* of each chunk's last copy, as a set of bits */
	u64 watermark;
	u32 copies;
	u32 snapshots;
};

static const struct cowp_summary *summary_at(struct seen *s, const struct cowp_listed *l,
					     u64 block)
{
	const struct cowp_summary *sum = (void *)s->w->dev[COWP_DIFF].now[block];

	if (!sum || cowp_check_header(sum, COWP_MAGIC_SUMMARY, s->w->eng->super.uuid, block) ||
	    le32_to_cpu(sum->header.incarnation) != l->incarnation)
		return NULL;
	return sum;
}

static const struct cowp_summary *newest(struct seen *s, const struct cowp_listed *l, u32 home)
{
	const struct cowp_summary *best, *sum;
	u32 i;

	best = summary_at(s, l, cowp_home_block(s->geo, l->segment, home));
	for (i = 0; i < COWP_RING_BLOCKS; i++) {
		sum = summary_at(s, l, cowp_ring_block(s->geo, l->segment, i));
		if (!sum || le16_to_cpu(sum->home) != home)
			continue;
		/* Versions are an order: no two are equal. */
		if (best)
			KUNIT_ASSERT_NE(s->w->port.test, best->version, sum->version);
		if (!best || le64_to_cpu(sum->version) > le64_to_cpu(best->version))
			best = sum;
	}
	return best;
}

static void see_copy(struct seen *s, const struct cowp_listed *l, const struct cowp_entry *e)
{
	struct kunit *test = s->w->port.test;
	u64 key = le64_to_cpu(e->key), chunk = cowp_key_chunk(key);
	u32 blocks = s->geo->chunk_blocks, csum[16], i;
	const __le32 *each = (const __le32 *)(e + 1);
	u64 block = cowp_slot_block(s->geo, l->segment, le32_to_cpu(e->slot));

	KUNIT_ASSERT_LT(test, le32_to_cpu(e->slot), s->geo->slots);
	KUNIT_ASSERT_LT(test, chunk, s->w->setup.chunks);
	for (i = 0; i < blocks; i++) {
		device_read(&s->w->dev[COWP_DIFF], (block + i) * COWP_BLOCK_SECTORS, s->w->got,
			    COWP_BLOCK_SIZE);
		csum[i] = port_crc32c(~0U, s->w->got, COWP_BLOCK_SIZE);
		if (blocks > 1)
			KUNIT_ASSERT_EQ(test, le32_to_cpu(each[i]), csum[i]);
	}
	KUNIT_ASSERT_EQ(test, le32_to_cpu(e->crc), cowp_chunk_crc(csum, blocks));
	/* A chunk is copied once in an epoch, however many writes and snapshots. */
	KUNIT_ASSERT_FALSE(test, s->epochs[chunk] >> cowp_key_epoch(key) & 1);
	s->epochs[chunk] |= 1U << cowp_key_epoch(key);
	s->copies++;
}

static void see_summary(struct seen *s, const struct cowp_listed *l,
			const struct cowp_summary *sum)
{
	struct kunit *test = s->w->port.test;
	u64 before = 0;
	u32 i;

	s->watermark = max(s->watermark, le64_to_cpu(sum->watermark));
	KUNIT_ASSERT_LE(test, le16_to_cpu(sum->count), s->geo->entries);
	for (i = 0; i < le16_to_cpu(sum->count); i++) {
		const struct cowp_entry *e = (const void *)sum->entries + i * s->geo->entry_bytes;
		u64 nr = le64_to_cpu(sum->base_batch) + le32_to_cpu(e->batch);

		KUNIT_ASSERT_GT(test, nr, 0);
		KUNIT_ASSERT_LT(test, nr, BATCHES);
		KUNIT_ASSERT_GE(test, nr, before);
		if (nr != before) {
			KUNIT_ASSERT_TRUE(test, !s->parts[nr] || s->parts[nr] == e->parts);
			s->parts[nr] = e->parts;
			s->found[nr]++;
		}
		before = nr;
		if (e->type == COWP_ENTRY_EPOCH) {
			s->snapshots++;
			i += s->geo->epoch_entries - 1;
		} else if (e->type == COWP_ENTRY_CHUNK) {
			see_copy(s, l, e);
		}
	}
}

static void read_log(struct seen *s)
{
	struct cowp_engine *eng = s->w->eng;
	struct cowp_listed *l;
	u64 nr;
	u32 home;

	list_for_each_entry(l, &eng->segs.listed, node) {
		for (home = 0; home < s->geo->homes; home++) {
			const struct cowp_summary *sum = newest(s, l, home);

			if (sum)
				see_summary(s, l, sum);
		}
	}
	/* Every batch that was released is there, whole. */
	for (nr = 1; nr <= eng->log.released; nr++) {
		KUNIT_ASSERT_GT_MSG(s->w->port.test, s->parts[nr], 0, "batch %llu", nr);
		KUNIT_ASSERT_EQ_MSG(s->w->port.test, s->found[nr], s->parts[nr], "batch %llu", nr);
	}
	KUNIT_ASSERT_LE(s->w->port.test, s->watermark, eng->log.released);
}

struct log_setup {
	const char *name;
	struct world_setup setup;
};

static const struct log_setup log_setups[] = {
	{ "no cache", { .chunks = 400, .order = WORLD_RANDOM } },
	{ "cache", { .chunks = 400, .order = WORLD_RANDOM, .caps = COWP_CAP_CACHE } },
	{ "FUA, last first", { .chunks = 400, .order = WORLD_LIFO, .caps = FUA } },
	{ "16 KiB, FUA", { .chunks = 100, .chunk_blocks = 4, .order = WORLD_RANDOM, .caps = FUA } },
	{ "64 KiB, cache", { .chunks = 40, .chunk_blocks = 16, .order = WORLD_RANDOM,
			     .caps = COWP_CAP_CACHE, .diff_blocks = 60 << 8 } },
};

KUNIT_ARRAY_PARAM_DESC(log_setup, log_setups, name);

/* The watermark follows a second behind the last batch. */
static void log_says_what_was_done(struct kunit *test)
{
	const struct log_setup *ls = test->param_value;
	struct world *w = world_new(test, &ls->setup);
	struct seen *s = kunit_kzalloc(test, sizeof(*s), GFP_KERNEL);
	u32 i;

	KUNIT_ASSERT_NOT_NULL(test, s);
	world_start(w, true);
	s->w = w;
	s->geo = &w->eng->geo;
	s->epochs = kunit_kcalloc(test, w->setup.chunks, sizeof(u32), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, s->epochs);
	world_create(w);
	for (i = 0; i < 300; i++) {
		world_write(w, world_random(w, w->setup.chunks));
		if (world_random(w, 3))
			world_step(w);
		if (i % 100 == 99)
			world_create(w);
	}
	world_settle(w);
	world_advance(w, 3000);
	read_log(s);
	KUNIT_EXPECT_EQ(test, s->watermark, w->eng->log.last);
	KUNIT_EXPECT_EQ(test, s->snapshots, 4);
	KUNIT_EXPECT_EQ(test, s->copies, cowp_engine_status(w->eng)->preserved);
	world_check(w);
	world_crash(w);
	world_start(w, false);
	world_check(w);
	world_close(w);
}

/* Batches overlap, and are released in the order of their numbers. */
static void batches_are_released_in_order(struct kunit *test)
{
	struct world_setup setup = { .order = WORLD_RANDOM, .caps = COWP_CAP_CACHE };
	struct world *w = world_new(test, &setup);
	u64 released;
	u32 i, overlap = 0;

	world_start(w, true);
	world_create(w);
	for (i = 0; i < 60; i++) {
		struct cowp_batch *b;
		u64 nr = 0, writing = 0;

		world_write(w, i);
		released = w->eng->log.released;
		world_step(w);
		KUNIT_ASSERT_GE(test, w->eng->log.released, released);
		list_for_each_entry(b, &w->eng->log.batches, node) {
			KUNIT_ASSERT_GT(test, b->number, nr);
			KUNIT_ASSERT_GT(test, b->number, w->eng->log.released);
			nr = b->number;
			writing += b->state >= COWP_BATCH_WRITE;
		}
		overlap = max_t(u32, overlap, writing);
	}
	world_settle(w);
	KUNIT_EXPECT_EQ(test, w->eng->log.released, w->eng->log.last);
	KUNIT_EXPECT_GT(test, overlap, 1);
	world_check(w);
	world_close(w);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(log_says_what_was_done, log_setup_gen_params),
	KUNIT_CASE(batches_are_released_in_order),
	{}
};

static struct kunit_suite suite = {
	.name = "cowprotect-log",
	.test_cases = cases,
};

kunit_test_suite(suite);
