// SPDX-License-Identifier: GPL-2.0-only
/*
 * The log: the summaries of the segments on the open list, read as recovery
 * does, in passes.  The first learns how far the log was known to be durable
 * and which batches are whole, the second looks at the data of the tail behind
 * that, the third collects the records that a recovery would take.
 */
#include "check.h"

/* What the log has of a batch behind the replay point. */
struct seen_batch {
	u8 parts;		/* summary blocks that it should have, 0: nothing seen */
	bool damaged;		/* its data does not match, behind the watermark */
	u32 mask;		/* which of them are there */
	u64 block;		/* the last of them */
};

/* As many as a replay has to find room for. */
#define SEEN_BATCHES	(4U * COWP_MEMTABLE_MAX + COWP_BATCHES)

struct log_reader {
	struct check *c;
	struct seen_batch *batches;
	u32 segment;
	u32 incarnation;
	u32 max_epoch;
	u8 *slots;		/* of the segment, given to an entry */
};

static bool is_copy(const struct cowp_entry *e)
{
	return e->type == COWP_ENTRY_CHUNK || e->type == COWP_ENTRY_BAD;
}

static u64 entry_batch(const struct cowp_summary *s, const struct cowp_entry *e)
{
	return le64_to_cpu(s->base_batch) + le32_to_cpu(e->batch);
}

static struct seen_batch *batch_of(const struct log_reader *r, u64 nr)
{
	u64 replay = r->c->man.super.replay_batch;

	return nr > replay && nr - replay <= SEEN_BATCHES ? &r->batches[nr - replay - 1] : NULL;
}

/* ---- the versions of a segment's summary blocks ---- */

static void check_version(struct check *c, const struct cowp_summary *s, u64 nr)
{
	const struct cowp_summary *newest = c->sum.newest[le16_to_cpu(s->home)];
	u32 bytes = le16_to_cpu(s->count) * c->man.geo.entry_bytes;

	check_session(c, s, nr, "summary");
	if (s == newest)
		return;
	if (s->version == newest->version)
		finding(&c->findings, nr,
			"summary: version %llu of home %u is in block %llu too; which one counts is left to chance",
			le64_to_cpu(s->version), le16_to_cpu(s->home), summaries_block(c, newest));
	else if (s->base_batch != newest->base_batch ||
		 le16_to_cpu(s->count) > le16_to_cpu(newest->count) ||
		 memcmp(s->entries, newest->entries, bytes))
		finding(&c->findings, summaries_block(c, newest),
			"summary: version %llu of home %u lacks entries of version %llu in block %llu; what was durable is lost",
			le64_to_cpu(newest->version), le16_to_cpu(s->home),
			le64_to_cpu(s->version), nr);
}

/* A block that was a version of this incarnation, and is none. */
static void check_invalid(struct check *c, const struct cowp_summary *s, u64 nr)
{
	const char *bad = cowp_check_header(s, COWP_MAGIC_SUMMARY, c->man.super.uuid, nr);

	if (le32_to_cpu(s->header.magic) != COWP_MAGIC_SUMMARY ||
	    le32_to_cpu(s->header.incarnation) != c->sum.incarnation)
		return;
	if (bad)
		note(&c->findings, nr,
		     "summary of segment %u: %s; a write that was cut short leaves this, and the version before counts",
		     c->sum.segment, bad);
	else
		finding(&c->findings, nr,
			"summary of segment %u: its segment, home or count is impossible; recovery does not see it",
			c->sum.segment);
}

static int by_version(const void *a, const void *b)
{
	const struct cowp_summary *const *x = a, *const *y = b;
	u64 v = le64_to_cpu((*x)->version), w = le64_to_cpu((*y)->version);

	return v < w ? -1 : v > w;
}

static void check_versions(struct check *c)
{
	u32 blocks = c->man.geo.homes + COWP_RING_BLOCKS;
	const struct cowp_summary **order = xcalloc(blocks, sizeof(*order));
	u32 n = 0, i;

	for (i = 0; i < blocks; i++) {
		const struct cowp_summary *s = (const void *)(c->sum.blocks +
							      (size_t)i * COWP_BLOCK_SIZE);
		u64 nr = summaries_block(c, s);

		if (!c->sum.valid[i]) {
			check_invalid(c, s, nr);
			continue;
		}
		check_version(c, s, nr);
		order[n++] = s;
	}
	qsort(order, n, sizeof(*order), by_version);
	for (i = 1; i < n; i++)
		if (order[i]->version == order[i - 1]->version &&
		    order[i]->home != order[i - 1]->home)
			finding(&c->findings, summaries_block(c, order[i]),
				"summary: version %llu is in block %llu too; version numbers are given out once",
				le64_to_cpu(order[i]->version), summaries_block(c, order[i - 1]));
	free(order);
}

/* ---- going through the entries ---- */

typedef void (*entry_fn)(struct log_reader *r, const struct cowp_summary *s, u32 i);

static void each_entry(struct log_reader *r, const struct cowp_summary *s, entry_fn fn)
{
	struct check *c = r->c;
	u32 i, size;

	for (i = 0; i < le16_to_cpu(s->count); i += size) {
		size = summary_entry_size(c, s, i);
		if (!size)
			break;
		fn(r, s, i);
	}
}

static void each_segment(struct log_reader *r, void (*segment)(struct log_reader *r), entry_fn fn)
{
	struct manifest *m = &r->c->man;
	u32 i, home;

	for (i = 0; i < m->open_count; i++) {
		r->segment = le32_to_cpu(m->open[i].segment);
		r->incarnation = le32_to_cpu(m->open[i].incarnation);
		summaries_load(r->c, r->segment, r->incarnation);
		if (segment)
			segment(r);
		for (home = 0; home < m->geo.homes; home++)
			if (r->c->sum.newest[home])
				each_entry(r, r->c->sum.newest[home], fn);
		progress(r->c, "log");
	}
}

/* ---- first pass ---- */

static void take_slot(struct log_reader *r, u32 slot, u64 block)
{
	if (r->slots[slot / 8] & 1 << slot % 8)
		finding(&r->c->findings, block,
			"summary: slot %u of segment %u has two entries; one chunk is overwritten",
			slot, r->segment);
	r->slots[slot / 8] |= 1 << slot % 8;
}

static void check_copy_entry(struct log_reader *r, const struct cowp_summary *s,
			     const struct cowp_entry *e, u64 block)
{
	u32 epoch = cowp_key_epoch(le64_to_cpu(e->key));

	take_slot(r, le32_to_cpu(e->slot), block);
	if (e->type == COWP_ENTRY_BAD)
		take_slot(r, le32_to_cpu(e->slot) + 1, block);
	if (!epoch || epoch > le32_to_cpu(s->epoch))
		finding(&r->c->findings, block,
			"summary: an entry of epoch %u, the current one was %u; it is found by the wrong snapshots",
			epoch, le32_to_cpu(s->epoch));
}

static void check_epoch_entry(struct log_reader *r, const struct cowp_summary *s,
			      const struct cowp_entry *e, u64 block)
{
	u32 id = cowp_key_epoch(le64_to_cpu(e->key));

	if (!id || cowp_key_chunk(le64_to_cpu(e->key)) || id > le32_to_cpu(s->epoch) + 1)
		finding(&r->c->findings, block,
			"summary: an epoch record for snapshot %u, the current epoch was %u; the snapshot comes back wrong",
			id, le32_to_cpu(s->epoch));
	r->max_epoch = max(r->max_epoch, id);
}

static void learn_batch(struct log_reader *r, const struct cowp_entry *e, u64 nr, u64 block)
{
	struct check *c = r->c;
	struct seen_batch *b = batch_of(r, nr);

	if (nr <= c->man.super.replay_batch)
		return;
	if (!b) {
		finding(&c->findings, block,
			"summary: batch %llu, far above the replay point %llu; recovery refuses the area",
			nr, c->man.super.replay_batch);
		return;
	}
	c->max_batch = max(c->max_batch, nr);
	b->block = block;
	if (!e->parts || e->parts > COWP_BATCH_PARTS || e->part >= e->parts ||
	    (b->parts && b->parts != e->parts)) {
		finding(&c->findings, block,
			"summary: batch %llu, part %u of %u; the batch cannot be told whole",
			nr, e->part, e->parts);
		b->damaged = true;
		return;
	}
	b->parts = e->parts;
	b->mask |= 1U << e->part;
}

static void learn(struct log_reader *r, const struct cowp_summary *s, u32 i)
{
	const struct cowp_entry *e = summary_entry(r->c, s, i);
	u64 block = summaries_block(r->c, s);

	if (is_copy(e))
		check_copy_entry(r, s, e, block);
	else if (e->type == COWP_ENTRY_EPOCH)
		check_epoch_entry(r, s, e, block);
	learn_batch(r, e, entry_batch(s, e), block);
}

/* Entries that break off, and numbers that go back. */
static void check_entries(struct log_reader *r, const struct cowp_summary *s)
{
	struct check *c = r->c;
	u64 before = 0;
	u32 i, size;

	for (i = 0; i < le16_to_cpu(s->count); i += size) {
		const struct cowp_entry *e = summary_entry(c, s, i);

		size = summary_entry_size(c, s, i);
		if (!size) {
			finding(&c->findings, summaries_block(c, s),
				"summary: entry %u, of type %u for slot %u, is impossible; recovery refuses the area",
				i, e->type, le32_to_cpu(e->slot));
			return;
		}
		if (entry_batch(s, e) < before)
			finding(&c->findings, summaries_block(c, s),
				"summary: entry %u is of batch %llu and stands behind %llu; batches come in order",
				i, entry_batch(s, e), before);
		before = entry_batch(s, e);
	}
}

static void learn_segment(struct log_reader *r)
{
	struct check *c = r->c;
	u32 home;

	memset(r->slots, 0, DIV_ROUND_UP(c->man.geo.slots, 8));
	check_versions(c);
	for (home = 0; home < c->man.geo.homes; home++) {
		const struct cowp_summary *s = c->sum.newest[home];

		if (!s)
			continue;
		c->watermark = max(c->watermark, le64_to_cpu(s->watermark));
		r->max_epoch = max(r->max_epoch, le32_to_cpu(s->epoch));
		check_entries(r, s);
	}
}

/* ---- the end of the log ---- */

static bool is_whole(const struct seen_batch *b)
{
	return b->parts && b->mask == (1U << b->parts) - 1 && !b->damaged;
}

/* Where the log ends: before the first batch that is not whole. */
static void find_cut(struct log_reader *r)
{
	struct check *c = r->c;
	u64 nr;

	c->cut = c->man.super.replay_batch;
	for (nr = c->cut + 1; nr <= c->max_batch && is_whole(batch_of(r, nr)); nr++)
		c->cut = nr;
}

static void check_watermark(struct log_reader *r)
{
	struct check *c = r->c;
	const struct seen_batch *b = batch_of(r, c->cut + 1);
	u64 nr, more = 0;

	if (c->cut >= c->watermark)
		return;
	for (nr = c->cut + 2; nr <= c->watermark; nr++)
		more += !batch_of(r, nr) || !is_whole(batch_of(r, nr));
	finding(&c->findings, b && b->block ? b->block : COWP_ROOT_BLOCK(c->man.slot),
		"log: batch %llu is not whole (%u of %u parts; %llu more), though all up to %llu were durable; recovery refuses the area",
		c->cut + 1, b ? (u32)__builtin_popcount(b->mask) : 0, b ? b->parts : 0, more,
		c->watermark);
}

/* ---- second pass: the data of the tail ---- */

static void verify(struct log_reader *r, const struct cowp_summary *s, u32 i)
{
	struct check *c = r->c;
	const struct cowp_entry *e = summary_entry(c, s, i);
	u64 nr = entry_batch(s, e);
	u32 slot = le32_to_cpu(e->slot);
	u32 crc;

	if (!is_copy(e) || nr <= c->watermark || nr > c->cut)
		return;
	if (chunk_read(c, r->segment, slot, &crc) || crc != le32_to_cpu(e->crc) ||
	    (e->type == COWP_ENTRY_BAD &&
	     badmap_check(c, r->segment, r->incarnation, slot + 1, le64_to_cpu(e->key))))
		batch_of(r, nr)->damaged = true;
}

/* ---- third pass: the records ---- */

static void take_record(struct log_reader *r, const struct cowp_summary *s, u32 i)
{
	struct check *c = r->c;
	const struct cowp_entry *e = summary_entry(c, s, i);
	struct cowp_place place = {
		.segment = r->segment,
		.slot = le32_to_cpu(e->slot),
		.pos = le16_to_cpu(s->home) * c->man.geo.entries + i,
		.flags = e->type == COWP_ENTRY_BAD ? COWP_RECORD_BAD : 0,
	};
	struct found_record *f;

	if (c->log_count == c->log_room) {
		c->log_room = c->log_room ? 2 * c->log_room : 1024;
		c->log = xrealloc(c->log, c->log_room * sizeof(*c->log));
	}
	f = &c->log[c->log_count++];
	f->rec.key = le64_to_cpu(e->key);
	f->rec.location = cowp_location(&place);
	f->rec.incarnation = r->incarnation;
	f->rec.crc = le32_to_cpu(e->crc);
	f->block = summaries_block(c, s);
	c->use[r->segment].replayed++;
}

static void take(struct log_reader *r, const struct cowp_summary *s, u32 i)
{
	struct check *c = r->c;
	const struct cowp_entry *e = summary_entry(c, s, i);
	u64 nr = entry_batch(s, e);

	if (nr <= c->man.super.replay_batch || nr > c->cut)
		return;
	if (is_copy(e)) {
		take_record(r, s, i);
	} else if (e->type == COWP_ENTRY_EPOCH &&
		 cowp_key_epoch(le64_to_cpu(e->key)) > c->man.super.epoch) {
		if (c->log_snapshots < COWP_MAX_SNAPSHOTS)
			c->log_ids[c->log_snapshots] = cowp_key_epoch(le64_to_cpu(e->key));
		c->log_snapshots++;
	}
}

static int by_key(const void *a, const void *b)
{
	const struct found_record *x = a, *y = b;

	return x->rec.key < y->rec.key ? -1 : x->rec.key > y->rec.key;
}

void check_log(struct check *c)
{
	const struct cowp_super *s = &c->man.super;
	bool lost = c->fixed.newest >= 0 && c->fixed.copy[c->fixed.newest].lost;
	struct log_reader r = { .c = c, .max_epoch = s->epoch };

	r.batches = xcalloc(SEEN_BATCHES, sizeof(*r.batches));
	r.slots = xcalloc(DIV_ROUND_UP(c->man.geo.slots, 8), 1);
	c->watermark = s->replay_batch;
	each_segment(&r, learn_segment, learn);
	if (s->flags & COWP_ROOT_CLEAN && c->max_batch > s->replay_batch)
		finding(&c->findings, COWP_ROOT_BLOCK(c->man.slot),
			"log: batch %llu stands behind a clean end at %llu; it is not replayed",
			c->max_batch, s->replay_batch);
	find_cut(&r);
	if (!lost)
		check_watermark(&r);
	if (c->data && c->cut > c->watermark) {
		each_segment(&r, NULL, verify);
		find_cut(&r);
	}
	if (c->max_batch > max(c->cut, c->watermark))
		note(&c->findings, COWP_ROOT_BLOCK(c->man.slot),
		     "log: batch %llu of %llu is not whole, all up to %llu were known to be durable; a crash leaves this, and recovery ends there",
		     c->cut + 1, c->max_batch, c->watermark);
	each_segment(&r, NULL, take);
	if (c->log_snapshots + c->man.snapshot_count > COWP_MAX_SNAPSHOTS)
		finding(&c->findings, COWP_ROOT_BLOCK(c->man.slot),
			"log: %u snapshots beside the manifest's %u; the rest of them is dropped",
			c->log_snapshots, c->man.snapshot_count);
	if (c->log_count)
		qsort(c->log, c->log_count, sizeof(*c->log), by_key);
	free(r.batches);
	free(r.slots);
}
