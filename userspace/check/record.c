// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where records point to.  They are looked at in the order of their places, many
 * together, so that the disk is read forwards and each summary once.
 *
 * A record older than the oldest snapshot is dead: nobody needs it, its segment
 * may have been freed and used again since.  It stays in its fragment until
 * that is dropped, and counts only where the incarnation still fits.
 */
#include "check.h"

void records_forget(struct check *c, u32 from, u32 to)
{
	u32 i;

	/* A listed segment's slots are looked at again with the log's records. */
	for (i = from; i < to; i++) {
		if (c->man.segments[i].kind == COWP_SEGMENT_LISTED)
			continue;
		free(c->use[i].slots);
		c->use[i].slots = NULL;
	}
}

void records_exit(struct check *c)
{
	u32 i;

	free(c->pending);
	free(c->chunks);
	for (i = 0; c->use && i < c->man.segment_count; i++)
		free(c->use[i].slots);
	free(c->use);
	free(c->log);
}

static u32 crc_of(const struct check *c, const u8 *data)
{
	u32 csum[COWP_MAX_CHUNK_BLOCKS];
	u32 i;

	for (i = 0; i < c->man.geo.chunk_blocks; i++)
		csum[i] = port_crc32c(~0U, data + (size_t)i * COWP_BLOCK_SIZE, COWP_BLOCK_SIZE);
	return cowp_chunk_crc(csum, c->man.geo.chunk_blocks);
}

void records_init(struct check *c)
{
	c->pending = xcalloc(RECORD_BATCH, sizeof(*c->pending));
	c->chunks = xcalloc(max(CHUNKS_BLOCKS, COWP_MAX_CHUNK_BLOCKS), COWP_BLOCK_SIZE);
	c->zero_crc = crc_of(c, c->chunks);
}

int chunk_read(struct check *c, u32 segment, u32 slot, u32 *crc)
{
	int error = area_read(c->area, cowp_slot_block(&c->man.geo, segment, slot),
			      c->man.geo.chunk_blocks, c->chunks);

	if (!error)
		*crc = crc_of(c, c->chunks);
	c->bytes += (u64)c->man.geo.chunk_blocks * COWP_BLOCK_SIZE;
	return error;
}

const char *badmap_check(struct check *c, u32 segment, u32 incarnation, u32 slot, u64 key)
{
	struct cowp_badmap *map = xcalloc(1, COWP_BLOCK_SIZE);
	u64 block = cowp_slot_block(&c->man.geo, segment, slot);
	u32 sectors = c->man.geo.chunk_blocks * COWP_BLOCK_SECTORS;
	int error = area_read(c->area, block, 1, map);
	const char *bad;

	bad = error ? strerror(-error) :
		      cowp_check_header(map, COWP_MAGIC_BADMAP, c->man.super.uuid, block);
	if (!bad && le32_to_cpu(map->header.incarnation) != incarnation)
		bad = "incarnation";
	if (!bad && le64_to_cpu(map->key) != key)
		bad = "chunk and epoch";
	if (!bad && (!memchr_inv(map->bits, 0, sectors / 8) ||
		     (sectors / 8 < sizeof(map->bits) &&
		      memchr_inv(map->bits + sectors / 8, 0, sizeof(map->bits) - sectors / 8))))
		bad = "its bits are none, or beyond the chunk";
	free(map);
	return bad;
}

/* ---- one record ---- */

/* For findings: "record (chunk 5, epoch 2)". */
#define RECORD_FMT	"record (chunk %llu, epoch %u)"
#define RECORD_ARGS(f)	cowp_key_chunk((f)->rec.key), cowp_key_epoch((f)->rec.key)

static const struct cowp_segment *segment_of(const struct check *c, const struct cowp_place *p)
{
	return p->segment < c->man.segment_count ? &c->man.segments[p->segment] : NULL;
}

/* Returns false when there is nothing more to be said about it. */
static bool check_place(struct check *c, const struct found_record *f, const struct cowp_place *p)
{
	const struct cowp_segment *seg = segment_of(c, p);
	u32 bad = p->flags & COWP_RECORD_BAD;
	u32 epoch = cowp_key_epoch(f->rec.key);

	if (!seg || !cowp_holds_chunks(seg->kind)) {
		if (epoch >= c->oldest)
			finding(&c->findings, f->block,
				RECORD_FMT
				" points to segment %u, which holds no chunks; its content is lost",
				RECORD_ARGS(f), p->segment);
		return false;
	}
	if (seg->incarnation != f->rec.incarnation) {
		if (epoch >= c->oldest)
			finding(&c->findings, f->block,
				RECORD_FMT
				" is of incarnation %u of segment %u, which is at %u; its content is overwritten",
				RECORD_ARGS(f), f->rec.incarnation, p->segment, seg->incarnation);
		return false;
	}
	if (p->slot + !!bad >= c->man.geo.slots || p->flags & ~COWP_RECORD_BAD) {
		finding(&c->findings, f->block,
			RECORD_FMT " points to slot %u of %u, flags %u; there is no such place",
			RECORD_ARGS(f), p->slot, c->man.geo.slots, p->flags);
		return false;
	}
	return true;
}

static void check_key(struct check *c, const struct found_record *f, const struct cowp_place *p)
{
	const struct cowp_segment *seg = &c->man.segments[p->segment];
	u32 epoch = cowp_key_epoch(f->rec.key);
	u64 sectors = c->man.geo.chunk_blocks * COWP_BLOCK_SECTORS;

	if (c->pending_log)
		return;
	if (!epoch || epoch > c->man.super.epoch)
		finding(&c->findings, f->block,
			RECORD_FMT ": the current epoch is %u; it is found by the wrong snapshots",
			RECORD_ARGS(f), c->man.super.epoch);
	if (cowp_key_chunk(f->rec.key) >= DIV_ROUND_UP(c->man.super.live_sectors, sectors))
		finding(&c->findings, f->block,
			RECORD_FMT ": the live volume has %llu chunks; nobody reads it",
			RECORD_ARGS(f), DIV_ROUND_UP(c->man.super.live_sectors, sectors));
	if (epoch > seg->max_epoch)
		finding(&c->findings, f->block,
			RECORD_FMT ": its segment %u goes up to epoch %u; it is freed too soon",
			RECORD_ARGS(f), p->segment, seg->max_epoch);
}

static void use_slot(struct check *c, const struct found_record *f, u32 segment, u32 slot)
{
	struct usage *u = &c->use[segment];

	if (!u->slots)
		u->slots = xcalloc(DIV_ROUND_UP(c->man.geo.slots, 8), 1);
	if (u->slots[slot / 8] & 1 << slot % 8)
		finding(&c->findings, f->block,
			RECORD_FMT
			" shares slot %u of segment %u with another record; one of the two contents is lost",
			RECORD_ARGS(f), slot, segment);
	u->slots[slot / 8] |= 1 << slot % 8;
}

/*
 * The summary entry that the record names.  Nothing reads it any more once the
 * record is in a run, but nothing overwrites it either.
 */
static void check_entry(struct check *c, const struct found_record *f, const struct cowp_place *p)
{
	u32 home = p->pos / c->man.geo.entries, i = p->pos % c->man.geo.entries;
	const struct cowp_summary *s = NULL;
	const struct cowp_entry *e;
	u8 type = p->flags & COWP_RECORD_BAD ? COWP_ENTRY_BAD : COWP_ENTRY_CHUNK;

	if (c->man.segments[p->segment].kind == COWP_SEGMENT_MOVED)
		type = COWP_ENTRY_MOVED;
	summaries_load(c, p->segment, f->rec.incarnation);
	if (home < c->man.geo.homes)
		s = c->sum.newest[home];
	if (!s || i >= le16_to_cpu(s->count)) {
		finding(&c->findings, s ? summaries_block(c, s) :
			cowp_home_block(&c->man.geo, p->segment, min(home, c->man.geo.homes - 1)),
			"summary of segment %u, home %u: no valid version has entry %u of "
			RECORD_FMT "; its relocation or recovery fails",
			p->segment, home, i, RECORD_ARGS(f));
		return;
	}
	e = summary_entry(c, s, i);
	if (le64_to_cpu(e->key) != f->rec.key || le32_to_cpu(e->slot) != p->slot ||
	    le32_to_cpu(e->crc) != f->rec.crc ||
	    e->type != type)
		finding(&c->findings, summaries_block(c, s),
			"summary of segment %u, home %u: entry %u does not agree with "
			RECORD_FMT "; one of them is wrong",
			p->segment, home, i, RECORD_ARGS(f));
}

static bool check_record(struct check *c, const struct found_record *f)
{
	struct cowp_place p = cowp_place_of(f->rec.location);
	const char *bad;

	c->records++;
	if (!check_place(c, f, &p))
		return false;
	check_key(c, f, &p);
	use_slot(c, f, p.segment, p.slot);
	if (!c->pending_log)
		c->use[p.segment].records++;
	check_entry(c, f, &p);
	if (!(p.flags & COWP_RECORD_BAD))
		return true;
	use_slot(c, f, p.segment, p.slot + 1);
	bad = badmap_check(c, p.segment, f->rec.incarnation, p.slot + 1, f->rec.key);
	if (bad)
		finding(&c->findings, cowp_slot_block(&c->man.geo, p.segment, p.slot + 1),
			"bad map of " RECORD_FMT ": %s; all of the chunk reads as an error",
			RECORD_ARGS(f), bad);
	return true;
}

/* ---- the data ---- */

static u64 data_block(const struct check *c, const struct found_record *f)
{
	struct cowp_place p = cowp_place_of(f->rec.location);

	return cowp_slot_block(&c->man.geo, p.segment, p.slot);
}

static void judge_data(struct check *c, const struct found_record *f, u32 crc, int error)
{
	if (error)
		finding(&c->findings, data_block(c, f),
			"content of " RECORD_FMT ": %s; snapshots cannot read it",
			RECORD_ARGS(f), strerror(-error));
	else if (crc != f->rec.crc)
		finding(&c->findings, data_block(c, f),
			"content of " RECORD_FMT
			" does not match its checksum; snapshots cannot read it",
			RECORD_ARGS(f));
}

/* Chunks side by side in one read; those of one that fails each for itself. */
static void check_data(struct check *c, const struct found_record *f, u32 count)
{
	u32 blocks = c->man.geo.chunk_blocks;
	int error = area_read(c->area, data_block(c, f), count * blocks, c->chunks);
	u32 i;

	for (i = 0; i < count; i++) {
		u8 *data = check_slot_data(c, i * blocks);
		int one = !error ? 0 : area_read(c->area, data_block(c, &f[i]), blocks, data);

		judge_data(c, &f[i], one ? 0 : crc_of(c, data), one);
	}
}

/* A chunk that the file has no blocks for: zeros, without reading them. */
static bool in_hole(struct check *c, const struct found_record *f)
{
	u64 block = data_block(c, f), end = block + c->man.geo.chunk_blocks;

	if (block < c->hole[0] || block >= c->hole[1]) {
		c->hole[0] = block;
		c->hole[1] = area_hole_end(c->area, block);
	}
	return end <= c->hole[1];
}

static void check_contents(struct check *c, u32 count)
{
	u32 most = max(CHUNKS_BLOCKS / c->man.geo.chunk_blocks, 1U);
	u32 i, n;

	for (i = 0; i < count; i += n) {
		n = 1;
		if (in_hole(c, &c->pending[i])) {
			judge_data(c, &c->pending[i], c->zero_crc, 0);
		} else {
			for (; i + n < count && n < most; n++)
				if (data_block(c, &c->pending[i + n]) !=
				    data_block(c, &c->pending[i]) +
				    (u64)n * c->man.geo.chunk_blocks ||
				    in_hole(c, &c->pending[i + n]))
					break;
			check_data(c, &c->pending[i], n);
		}
		c->bytes += (u64)n * c->man.geo.chunk_blocks * COWP_BLOCK_SIZE;
		progress(c, c->pending_log ? "log records" : "records");
	}
}

/* ---- many records ---- */

static int by_location(const void *a, const void *b)
{
	const struct found_record *x = a, *y = b;

	return x->rec.location < y->rec.location ? -1 : x->rec.location > y->rec.location;
}

void records_flush(struct check *c)
{
	u32 kept = 0, i;

	if (!c->pending_count)
		return;
	qsort(c->pending, c->pending_count, sizeof(*c->pending), by_location);
	for (i = 0; i < c->pending_count; i++)
		if (check_record(c, &c->pending[i]))
			c->pending[kept++] = c->pending[i];
	if (c->data)
		check_contents(c, kept);
	c->pending_count = 0;
}

void records_add(struct check *c, const struct cowp_rec *rec, u64 block)
{
	c->pending[c->pending_count].rec = *rec;
	c->pending[c->pending_count++].block = block;
	if (c->pending_count == RECORD_BATCH)
		records_flush(c);
}
