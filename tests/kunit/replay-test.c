// SPDX-License-Identifier: GPL-2.0-only
/*
 * Replay of logs that no engine wrote, or none in its right mind: summaries
 * made by hand behind those of a crashed activation.
 */
#include "world.h"

#define CHUNK_BLOCKS	16
#define CHUNK		5	/* that all crafted batches hold */
#define CONTENT		1000	/* version of the first crafted content */
#define NO_BATCH	0

/**
 * struct crafted - a batch of one chunk in a summary block of its own
 * @batch:	number above the last one of the log; 0: none
 * @content:	version of the chunk, above CONTENT
 * @torn:	the data is not what the entry's checksum says
 * @parts:	summary blocks that it claims
 * @watermark:	above the last number of the log
 * @stale:	of another incarnation of the segment
 * @type:	enum cowp_entry_type, 0: a chunk
 * @slot:	that it claims instead of its own, 0: none
 */
struct crafted {
	u32 batch;
	u32 content;
	bool torn;
	u32 parts;
	u32 watermark;
	bool stale;
	u32 type;
	u32 slot;
};

/*
 * struct log_case - batches in the order of their places
 * @want:	content of the chunk in the snapshot; 0: as on the live volume
 * @fault:	or the fault that recovery must end with
 */
struct log_case {
	const char *name;
	struct crafted batch[3];
	u32 want;
	u32 fault;
};

static const struct log_case log_cases[] = {
	{ "one durable batch", { { .batch = 1, .content = 1 } }, 1 },
	{ "the first wins, first in place",
	  { { .batch = 1, .content = 1 }, { .batch = 2, .content = 2 } }, 1 },
	{ "the first wins, last in place",
	  { { .batch = 2, .content = 2 }, { .batch = 1, .content = 1 } }, 1 },
	{ "the first wins, between others",
	  { { .batch = 3, .content = 3 }, { .batch = 1, .content = 1 },
	    { .batch = 2, .content = 2 } }, 1 },
	{ "the first wins, below the watermark",
	  { { .batch = 2, .content = 2, .watermark = 2 },
	    { .batch = 1, .content = 1, .watermark = 1 } }, 1 },
	{ "the tail ends at a hole", { { .batch = 2, .content = 2 } }, 0 },
	{ "the tail ends at torn data",
	  { { .batch = 1, .content = 1, .torn = true }, { .batch = 2, .content = 2 } }, 0 },
	{ "the tail ends at the second's torn data",
	  { { .batch = 1, .content = 1 }, { .batch = 2, .content = 2, .torn = true } }, 1 },
	{ "the tail ends at a batch in parts",
	  { { .batch = 1, .content = 1, .parts = 2 }, { .batch = 2, .content = 2 } }, 0 },
	{ "another incarnation is nothing", { { .batch = 1, .content = 1, .stale = true } }, 0 },
	{ "a void batch holds nothing",
	  { { .batch = 1, .content = 1, .type = COWP_ENTRY_VOID },
	    { .batch = 2, .content = 2 } }, 2 },
	{ "a hole below the watermark is corrupt",
	  { { .batch = 2, .content = 2, .watermark = 2 } }, 0, COWP_FAULT_METADATA_CORRUPTION },
	{ "a watermark without its batch is corrupt",
	  { { .batch = 1, .content = 1, .watermark = 2 } }, 0, COWP_FAULT_METADATA_CORRUPTION },
	{ "a batch in parts below the watermark is corrupt",
	  { { .batch = 1, .content = 1, .parts = 2, .watermark = 1 } }, 0,
	  COWP_FAULT_METADATA_CORRUPTION },
	{ "an entry of no type is corrupt",
	  { { .batch = 1, .content = 1, .type = 99 } }, 0, COWP_FAULT_METADATA_CORRUPTION },
	{ "a slot beyond the segment is corrupt",
	  { { .batch = 1, .content = 1, .slot = 100000 } }, 0, COWP_FAULT_METADATA_CORRUPTION },
	{ "a batch number beyond reason is corrupt",
	  { { .batch = 1000000, .content = 1 } }, 0, COWP_FAULT_METADATA_CORRUPTION },
};

KUNIT_ARRAY_PARAM_DESC(log, log_cases, name);

/* What of a crashed activation the craftsman needs. */
struct crashed {
	struct cowp_geometry geo;
	u8 uuid[16];
	u32 segment;
	u32 incarnation;
	u32 session;
	u32 epoch;
	u64 last;
	u64 version;
};

static struct crashed crash(struct world *w)
{
	struct cowp_engine *eng = w->eng;
	struct crashed c = {
		.geo = eng->geo,
		.segment = eng->log.open->segment,
		.incarnation = eng->log.open->incarnation,
		.session = eng->session,
		.epoch = eng->epoch,
		.last = eng->log.last,
		.version = eng->log.version,
	};

	memcpy(c.uuid, eng->super.uuid, sizeof(c.uuid));
	world_crash(w);
	return c;
}

static void craft(struct world *w, const struct crashed *c, const struct crafted *b, u32 nth)
{
	u32 home = c->geo.homes - 3 + nth, slot = c->geo.slots - 3 + nth;
	u64 block = cowp_home_block(&c->geo, c->segment, home);
	struct cowp_summary *s = (void *)w->got;
	struct cowp_entry *e = (void *)s->entries;
	__le32 *csum = (__le32 *)(e + 1);
	u32 i;

	world_pattern(w, CHUNK, CONTENT + b->content, w->want);
	memset(s, 0, COWP_BLOCK_SIZE);
	s->version = cpu_to_le64(c->version + 1 + nth);
	s->watermark = cpu_to_le64(c->last + b->watermark);
	s->base_batch = cpu_to_le64(c->last);
	s->segment = cpu_to_le32(c->segment);
	s->epoch = cpu_to_le32(c->epoch);
	s->home = cpu_to_le16(home);
	s->count = cpu_to_le16(1);
	e->key = cpu_to_le64(cowp_key(CHUNK, c->epoch));
	for (i = 0; i < CHUNK_BLOCKS; i++)
		csum[i] = cpu_to_le32(port_crc32c(~0U, w->want + i * COWP_BLOCK_SIZE,
						  COWP_BLOCK_SIZE));
	e->crc = cpu_to_le32(port_crc32c(~0U, csum, CHUNK_BLOCKS * sizeof(*csum)));
	e->batch = cpu_to_le32(b->batch);
	e->slot = cpu_to_le32(b->slot ?: slot);
	e->type = b->type ?: COWP_ENTRY_CHUNK;
	e->parts = b->parts ?: 1;
	cowp_seal(s, COWP_MAGIC_SUMMARY, c->uuid, block, c->session, c->incarnation - b->stale);
	device_write(&w->dev[COWP_DIFF], block * COWP_BLOCK_SECTORS, s, COWP_BLOCK_SIZE, true);

	w->want[7] ^= b->torn;
	device_write(&w->dev[COWP_DIFF], cowp_slot_block(&c->geo, c->segment, slot) *
		     COWP_BLOCK_SECTORS, w->want, world_chunk_bytes(w), true);
}

/* A snapshot, two batches of its own making, and a crash. */
static struct world *crashed_world(struct kunit *test, struct crashed *c)
{
	struct world_setup setup = {
		.mode = COWP_MODE_PROTECTED,
		.chunk_blocks = CHUNK_BLOCKS,
		.chunks = 16,
	};
	struct world *w = world_new(test, &setup);

	world_start(w, true);
	world_write(w, CHUNK);
	world_create(w);
	world_write(w, 9);
	world_settle(w);
	world_write(w, 10);
	world_settle(w);
	*c = crash(w);
	KUNIT_ASSERT_EQ(test, c->last, 3);
	return w;
}

static void log_is_replayed(struct kunit *test)
{
	const struct log_case *lc = test->param_value;
	struct crashed c;
	struct world *w = crashed_world(test, &c);
	u32 i;

	for (i = 0; i < ARRAY_SIZE(lc->batch); i++)
		if (lc->batch[i].batch != NO_BATCH)
			craft(w, &c, &lc->batch[i], i);
	if (lc->want)
		world_snapshot(w, 1)->versions[CHUNK] = CONTENT + lc->want;
	world_start(w, false);
	KUNIT_EXPECT_EQ(test, world_fault(w), lc->fault);
	if (lc->fault) {
		KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_BLOCKED);
		KUNIT_EXPECT_NOT_NULL(test, cowp_engine_status(w->eng)->detail);
		return;
	}
	KUNIT_ASSERT_EQ(test, world_state(w), COWP_STATE_ACTIVE);
	world_check(w);
	/* Once more from the runs that the replay became. */
	world_crash(w);
	world_start(w, false);
	KUNIT_ASSERT_EQ(test, world_state(w), COWP_STATE_ACTIVE);
	world_check(w);
	world_close(w);
}

/* ---- what cannot be read is a fault, never the end of the log ---- */

static u64 unreadable;

static int fail_block(struct world *w, const struct cowp_io *io)
{
	u64 first = io->sector / COWP_BLOCK_SECTORS;

	return io->op == COWP_READ && io->dev == COWP_DIFF && unreadable >= first &&
	       unreadable < first + io->nr_blocks ? -EIO : 0;
}

struct unreadable_case {
	const char *name;
	bool ring;
	u32 nth;
};

static const struct unreadable_case unreadable_cases[] = {
	{ "first home", false, 0 },
	{ "a home that was never written", false, 1 },
	{ "first place of the ring", true, 0 },
	{ "last place of the ring", true, COWP_RING_BLOCKS - 1 },
};

KUNIT_ARRAY_PARAM_DESC(unreadable, unreadable_cases, name);

static void unreadable_log_is_a_fault(struct kunit *test)
{
	const struct unreadable_case *u = test->param_value;
	struct crashed c;
	struct world *w = crashed_world(test, &c);

	unreadable = u->ring ? cowp_ring_block(&c.geo, c.segment, u->nth) :
			       cowp_home_block(&c.geo, c.segment, u->nth);
	w->fate = fail_block;
	world_start(w, false);
	KUNIT_EXPECT_EQ(test, world_state(w), COWP_STATE_BLOCKED);
	KUNIT_EXPECT_EQ(test, world_fault(w), COWP_FAULT_ONLINE_IO_FAILURE);
	w->fate = NULL;
	KUNIT_EXPECT_EQ(test, world_message(w, COWP_MSG_CLEAR, false, 0), 0);
	KUNIT_ASSERT_EQ(test, world_state(w), COWP_STATE_ACTIVE);
	world_check(w);
	world_close(w);
}

static struct kunit_case cases[] = {
	KUNIT_CASE_PARAM(log_is_replayed, log_gen_params),
	KUNIT_CASE_PARAM(unreadable_log_is_a_fault, unreadable_gen_params),
	{}
};

static struct kunit_suite suite = {
	.name = "cowprotect-replay",
	.test_cases = cases,
};

kunit_test_suite(suite);
