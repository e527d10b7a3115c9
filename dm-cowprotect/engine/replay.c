// SPDX-License-Identifier: GPL-2.0-only
/*
 * Replaying the log: a pass over the summaries of all listed segments.
 *
 * Of a summary block's versions, its home and those in the ring, the newest
 * valid one counts.  What each pass does with an entry is in the functions
 * called from entry_*(); why there are passes, in recovery.c.
 */
#include "recovery.h"

static void read_blocks(struct cowp_engine *eng, u64 block, u32 count, void **blocks)
{
	struct cowp_io *io = eng->recovery->io;
	u32 i;

	io->op = COWP_READ;
	io->dev = COWP_DIFF;
	io->sector = block * COWP_BLOCK_SECTORS;
	io->nr_blocks = count;
	io->bytes = count * COWP_BLOCK_SIZE;
	for (i = 0; i < count; i++)
		io->blocks[i] = blocks[i];
	cowp_submit(eng, io);
}

static void start_segment(struct cowp_engine *eng)
{
	struct cowp_recovery *r = eng->recovery;

	if (list_entry_is_head(r->at, &eng->segs.listed, node)) {
		cowp_replay_pass_done(eng);
		return;
	}
	r->ring_read = false;
	r->verifying_data = NULL;
	read_blocks(eng, cowp_ring_block(&eng->geo, r->at->segment, 0), COWP_RING_BLOCKS, r->ring);
}

void cowp_replay_start_pass(struct cowp_engine *eng)
{
	struct cowp_recovery *r = eng->recovery;

	/* Without a tail behind the watermark there is no data to check. */
	if (r->pass == COWP_PASS_VERIFY && r->max_batch <= r->watermark) {
		cowp_replay_pass_done(eng);
		return;
	}
	r->at = list_first_entry(&eng->segs.listed, struct cowp_listed, node);
	start_segment(eng);
}

static void next_segment(struct cowp_engine *eng)
{
	struct cowp_recovery *r = eng->recovery;

	r->at = list_next_entry(r->at, node);
	start_segment(eng);
}

static void next_homes(struct cowp_engine *eng)
{
	struct cowp_recovery *r = eng->recovery;

	if (r->home == eng->geo.homes) {
		next_segment(eng);
		return;
	}
	r->homes = min(eng->geo.homes - r->home, COWP_RECOVERY_BLOCKS);
	r->next_home = 0;
	r->next_entry = 0;
	read_blocks(eng, cowp_home_block(&eng->geo, r->at->segment, r->home), r->homes, r->buffer);
}

static bool valid_version(struct cowp_engine *eng, const struct cowp_summary *s, u64 block)
{
	const struct cowp_listed *l = eng->recovery->at;

	return !cowp_check_header(s, COWP_MAGIC_SUMMARY, eng->super.uuid, block) &&
	       le32_to_cpu(s->header.incarnation) == l->incarnation &&
	       le32_to_cpu(s->segment) == l->segment &&
	       le16_to_cpu(s->home) < eng->geo.homes &&
	       le16_to_cpu(s->count) <= eng->geo.entries;
}

static void check_ring(struct cowp_engine *eng, int error)
{
	struct cowp_recovery *r = eng->recovery;
	u32 i;

	for (i = 0; i < COWP_RING_BLOCKS; i++)
		r->ring_valid[i] = !error && valid_version(eng, r->ring[i],
			cowp_ring_block(&eng->geo, r->at->segment, i));
	r->ring_read = true;
	r->home = 0;
}

/* The newest valid version of a home in the buffer. */
static const struct cowp_summary *newest_version(struct cowp_engine *eng, u32 home)
{
	struct cowp_recovery *r = eng->recovery;
	const struct cowp_summary *best = NULL, *s = r->buffer[home - r->home];
	u32 i;

	if (valid_version(eng, s, cowp_home_block(&eng->geo, r->at->segment, home)) &&
	    le16_to_cpu(s->home) == home)
		best = s;
	for (i = 0; i < COWP_RING_BLOCKS; i++) {
		s = r->ring[i];
		if (!r->ring_valid[i] || le16_to_cpu(s->home) != home)
			continue;
		if (!best || le64_to_cpu(s->version) > le64_to_cpu(best->version))
			best = s;
	}
	return best;
}

static bool is_copy(const struct cowp_entry *e)
{
	return e->type == COWP_ENTRY_CHUNK || e->type == COWP_ENTRY_BAD;
}

static const struct cowp_entry *entry_at(struct cowp_engine *eng, const struct cowp_summary *s,
					 u32 i)
{
	return (const struct cowp_entry *)(s->entries + i * eng->geo.entry_bytes);
}

/* Entries that this one takes; 0: it cannot be. */
static u32 entry_size(struct cowp_engine *eng, const struct cowp_summary *s, u32 i)
{
	const struct cowp_entry *e = entry_at(eng, s, i);
	u32 slot = le32_to_cpu(e->slot);

	switch (e->type) {
	case COWP_ENTRY_CHUNK:
		return slot < eng->geo.slots;
	case COWP_ENTRY_BAD:
		return slot + 1 < eng->geo.slots;
	case COWP_ENTRY_VOID:
		return 1;
	case COWP_ENTRY_EPOCH:
		return i + eng->geo.epoch_entries <= le16_to_cpu(s->count) ?
		       eng->geo.epoch_entries : 0;
	default:
		return 0;
	}
}

static struct cowp_replay_batch *batch_of(struct cowp_recovery *r, u64 replay, u64 nr)
{
	return nr > replay && nr - replay <= r->batch_count ? &r->batches[nr - replay - 1] : NULL;
}

/* ---- what the passes do ---- */

static void learn_block(struct cowp_recovery *r, const struct cowp_summary *s)
{
	r->at->summaries = true;
	r->watermark = max(r->watermark, le64_to_cpu(s->watermark));
	r->max_version = max(r->max_version, le64_to_cpu(s->version));
	r->max_epoch = max(r->max_epoch, le32_to_cpu(s->epoch));
}

static bool learn(struct cowp_engine *eng, const struct cowp_entry *e, u64 nr, u64 before)
{
	struct cowp_recovery *r = eng->recovery;
	struct cowp_replay_batch *b = batch_of(r, eng->super.replay_batch, nr);

	if (e->type == COWP_ENTRY_EPOCH)
		r->max_epoch = max(r->max_epoch, cowp_key_epoch(le64_to_cpu(e->key)));
	if (nr <= eng->super.replay_batch)
		return true;
	if (!b)
		return false;
	r->max_batch = max(r->max_batch, nr);
	if (nr == before)
		return true;
	if (b->parts && b->parts != e->parts)
		b->damaged = true;
	b->parts = e->parts;
	b->seen++;
	return true;
}

static void read_data(struct cowp_engine *eng, const struct cowp_entry *e, u64 nr)
{
	struct cowp_recovery *r = eng->recovery;
	u32 slot = le32_to_cpu(e->slot);

	r->verifying_data = e;
	r->verifying_batch = nr;
	r->verifying_map = false;
	r->io->csum = r->csum;
	/* No copy is under way: their buffers are free. */
	read_blocks(eng, cowp_slot_block(&eng->geo, r->at->segment, slot), eng->geo.chunk_blocks,
		    eng->log.copies[0].blocks);
}

static bool map_valid(struct cowp_engine *eng, const struct cowp_entry *e)
{
	const struct cowp_badmap *map = eng->log.copies[0].blocks[0];
	u64 block = cowp_slot_block(&eng->geo, eng->recovery->at->segment,
				    le32_to_cpu(e->slot) + 1);

	return !cowp_check_header(map, COWP_MAGIC_BADMAP, eng->super.uuid, block) &&
	       map->key == e->key;
}

/* Returns false if it has to read on: the bad map behind the chunk. */
static bool check_data(struct cowp_engine *eng)
{
	struct cowp_recovery *r = eng->recovery;
	const struct cowp_entry *e = r->verifying_data;
	bool good;

	if (r->verifying_map) {
		good = map_valid(eng, e);
	} else {
		good = cowp_chunk_crc(r->csum, eng->geo.chunk_blocks) == le32_to_cpu(e->crc);
		if (good && e->type == COWP_ENTRY_BAD) {
			r->verifying_map = true;
			read_blocks(eng, cowp_slot_block(&eng->geo, r->at->segment,
							 le32_to_cpu(e->slot) + 1),
				    1, eng->log.copies[0].blocks);
			return false;
		}
	}
	if (!good)
		batch_of(r, eng->super.replay_batch, r->verifying_batch)->damaged = true;
	r->verifying_data = NULL;
	return true;
}

static void insert_snapshot(struct cowp_engine *eng, const struct cowp_epoch_entry *e)
{
	struct cowp_snapshot s = {
		.id = cowp_key_epoch(le64_to_cpu(e->entry.key)),
		.created = le64_to_cpu(e->created),
		.live_sectors = le64_to_cpu(e->live_sectors),
	};
	u32 at = eng->snapshot_count;

	/* The manifest knows those up to its epoch, and which of them are deleted. */
	if (s.id <= eng->super.epoch || at == COWP_MAX_SNAPSHOTS)
		return;
	memcpy(s.label, e->label, sizeof(s.label));
	s.label[sizeof(s.label) - 1] = 0;
	cowp_snapshot_add(eng, &s);
	for (; at && eng->snapshots[at - 1].id > s.id; at--)
		swap(eng->snapshots[at - 1], eng->snapshots[at]);
}

static bool insert(struct cowp_engine *eng, const struct cowp_entry *e, u64 nr, u32 pos)
{
	struct cowp_recovery *r = eng->recovery;
	struct cowp_place place = {
		.segment = r->at->segment,
		.slot = le32_to_cpu(e->slot),
		.pos = pos,
		.flags = e->type == COWP_ENTRY_BAD ? COWP_RECORD_BAD : 0,
	};
	struct cowp_rec rec = {
		.key = le64_to_cpu(e->key),
		.location = cowp_location(&place),
		.incarnation = r->at->incarnation,
		.crc = le32_to_cpu(e->crc),
	};

	if (nr <= eng->super.replay_batch || nr > r->cut)
		return true;
	if (e->type == COWP_ENTRY_EPOCH)
		insert_snapshot(eng, (const struct cowp_epoch_entry *)e);
	if (!is_copy(e))
		return true;
	r->at->max_epoch = max(r->at->max_epoch, cowp_key_epoch(rec.key));
	return cowp_index_replay(eng, &rec, nr);
}

/* ---- going through a window of homes ---- */

enum { DONE, WAIT, BROKEN };

static int do_entry(struct cowp_engine *eng, const struct cowp_summary *s, u32 i, u64 before)
{
	struct cowp_recovery *r = eng->recovery;
	const struct cowp_entry *e = entry_at(eng, s, i);
	u64 nr = le64_to_cpu(s->base_batch) + le32_to_cpu(e->batch);

	switch (r->pass) {
	case COWP_PASS_LEARN:
		return learn(eng, e, nr, before) ? DONE : BROKEN;
	case COWP_PASS_VERIFY:
		if (!is_copy(e) || nr <= r->watermark || nr > r->cut)
			return DONE;
		read_data(eng, e, nr);
		return WAIT;
	default:
		return insert(eng, e, nr, le16_to_cpu(s->home) * eng->geo.entries + i) ?
		       DONE : BROKEN;
	}
}

static int do_block(struct cowp_engine *eng, const struct cowp_summary *s)
{
	struct cowp_recovery *r = eng->recovery;
	u64 before = 0;

	if (r->pass == COWP_PASS_LEARN)
		learn_block(r, s);
	while (r->next_entry < le16_to_cpu(s->count)) {
		u32 i = r->next_entry;
		u32 size = entry_size(eng, s, i);
		int ret;

		if (!size)
			return BROKEN;
		ret = do_entry(eng, s, i, before);
		if (ret == BROKEN)
			return ret;
		r->next_entry += size;
		before = le64_to_cpu(s->base_batch) + le32_to_cpu(entry_at(eng, s, i)->batch);
		if (ret == WAIT)
			return ret;
	}
	return DONE;
}

static void go_on(struct cowp_engine *eng)
{
	struct cowp_recovery *r = eng->recovery;

	for (; r->next_home < r->homes; r->next_home++) {
		const struct cowp_summary *s = newest_version(eng, r->home + r->next_home);
		int ret = s ? do_block(eng, s) : DONE;

		if (ret == WAIT)
			return;
		if (ret == BROKEN && !eng->state.now.lost) {
			cowp_recovery_corrupt(eng, "an entry of the log is impossible");
			return;
		}
		r->next_entry = 0;
	}
	r->home += r->homes;
	next_homes(eng);
}

/* A read of the replay ended.  @error: only where the log may have holes. */
void cowp_replay_read(struct cowp_engine *eng, int error)
{
	struct cowp_recovery *r = eng->recovery;
	u32 i;

	if (!r->ring_read) {
		check_ring(eng, error);
		next_homes(eng);
		return;
	}
	r->io->csum = NULL;
	if (r->verifying_data) {
		if (!check_data(eng))
			return;
	} else {
		for (i = 0; error && i < r->homes; i++)
			memset(r->buffer[i], 0, COWP_BLOCK_SIZE);
	}
	go_on(eng);
}
