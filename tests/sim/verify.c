// SPDX-License-Identifier: GPL-2.0-only
/*
 * Compare every snapshot's whole content with the model.
 *
 * The lookups go through the engine as any do; the data is looked at directly,
 * at the moment of the answer.
 */
#include <stdlib.h>

#include "format.h"
#include "sim.h"

#define ASK_AT_ONCE	8U

struct verify {
	struct sim_lookup ask;
	struct sim *sim;
	u32 id;
	u64 chunk;
	u64 end;
	bool done;
	u32 sampled[COWP_LOOKUP_CHUNKS];
	u32 tries;
	u32 *pending;
};

static void ask(struct sim *s, void *arg);

static void check_sectors(struct sim *s, const struct model_snapshot *snap, u64 first, u32 sectors,
			  const struct image *img, u64 at, const char *where)
{
	u32 i;

	/* Nearly always all is well, and then block by block is quicker. */
	for (i = 0; i + PAGE_SECTORS <= sectors && first + i + PAGE_SECTORS <= snap->sectors;
	     i += PAGE_SECTORS) {
		const struct page *is = img->page[(at + i) / PAGE_SECTORS];
		const struct page *expect = snap->image->page[(first + i) / PAGE_SECTORS];

		if (is != expect && memcmp(is->data, expect->data, PAGE_BYTES))
			break;
	}
	for (; i < sectors && first + i < snap->sectors; i++) {
		const u8 *is = image_sector(img, at + i);
		const u8 *expect = image_sector(snap->image, first + i);

		if (is == expect || !memcmp(is, expect, 512))
			continue;
		if (snap->bad && snap->bad[first + i])
			continue;
		sim_fail(s,
			 "snapshot %u (%s): sector %llu (chunk %llu, %s) holds write %llx, not %llx",
			 snap->id, snap->label, first + i, (first + i) / sectors, where,
			 stamp_of(is, s->seed, first + i), stamp_of(expect, s->seed, first + i));
	}
}

static void check_diff(struct sim *s, const struct model_snapshot *snap, u64 chunk,
		       const struct cowp_found *f)
{
	u32 blocks = s->setup.chunk_blocks;
	u64 block = f->sector / COWP_BLOCK_SECTORS;
	u32 csum[COWP_MAX_CHUNK_BLOCKS];
	u32 i;

	if (f->sector % COWP_BLOCK_SECTORS || block + blocks > s->diff.visible->blocks)
		sim_fail(s, "snapshot %u: chunk %llu is said to be at sector %llu", snap->id,
			 chunk, f->sector);
	for (i = 0; i < blocks; i++)
		csum[i] = page_crc(s->diff.visible->page[block + i]);
	if (cowp_chunk_crc(csum, blocks) != f->crc)
		sim_fail(s, "snapshot %u: chunk %llu at sector %llu has the wrong checksum",
			 snap->id, chunk, f->sector);
	check_sectors(s, snap, chunk * blocks * COWP_BLOCK_SECTORS, blocks * COWP_BLOCK_SECTORS,
		      s->diff.visible, f->sector, "diff");
	stats_count(s->stats, STAT_CHECKED_DIFF);
}

static void check_bad_map(struct sim *s, const struct model_snapshot *snap, u64 chunk,
			  const struct cowp_found *f)
{
	u32 sectors = s->setup.chunk_blocks * COWP_BLOCK_SECTORS;
	u64 block = f->sector / COWP_BLOCK_SECTORS + s->setup.chunk_blocks;
	const struct cowp_badmap *map = (void *)s->diff.visible->page[block]->data;
	const char *bad = cowp_check_header(map, COWP_MAGIC_BADMAP, s->uuid, block);
	u32 i;

	if (bad || le64_to_cpu(map->key) != f->key)
		sim_fail(s, "snapshot %u: chunk %llu: bad map: %s", snap->id, chunk,
			 bad ? bad : "key");
	/* Behind the snapshot's end the volume may have grown since, and be unreadable. */
	for (i = 0; i < sectors && chunk * sectors + i < snap->sectors; i++) {
		if (!(map->bits[i / 8] & 1 << i % 8))
			continue;
		if (!snap->bad || !snap->bad[chunk * sectors + i])
			sim_fail(s,
				 "snapshot %u: chunk %llu: sector %u is said to be unreadable, it never was",
				 snap->id, chunk, i);
	}
}

static void answered(struct sim *s, struct sim_lookup *l)
{
	struct verify *v = container_of(l, struct verify, ask);
	const struct model_snapshot *snap = model_find(&s->model, v->id);
	u32 sectors = s->setup.chunk_blocks * COWP_BLOCK_SECTORS;
	u32 i;

	if (!snap)
		goto next;
	if (l->l.error == -ESTALE && !snap->must)
		goto next;
	if (l->l.error)
		sim_fail(s, "snapshot %u (%s): lookup of chunk %llu fails with %d", snap->id,
			 snap->label, v->chunk, l->l.error);
	if (!l->l.answered || l->l.answered > l->l.count)
		sim_fail(s, "a lookup of %u chunks answered %u", l->l.count, l->l.answered);
	for (i = 0; i < l->l.answered; i++) {
		u64 chunk = v->chunk + i;
		const struct cowp_found *f = &l->l.found[i];

		if (f->where == COWP_IN_LIVE) {
			/* The live device may be overwritten already, as a read would find. */
			if (cowp_seqs_sample(&s->fast->seqs, chunk, 1) != v->sampled[i]) {
				if (++v->tries > 1000)
					sim_fail(s, "a check starts over for ever");
				if (i)
					break;
				sim_after(s, 0, ask, v);
				return;
			}
			check_sectors(s, snap, chunk * sectors, sectors, s->live.visible,
				      chunk * sectors, "live");
		} else {
			check_diff(s, snap, chunk, f);
			if (f->where == COWP_IN_DIFF_BAD)
				check_bad_map(s, snap, chunk, f);
		}
		stats_count(s->stats, STAT_CHECKED);
	}
	v->chunk += i;
	if (v->chunk < v->end) {
		sim_after(s, 0, ask, v);
		return;
	}
next:
	v->done = true;
	--*v->pending;
}

static void ask(struct sim *s, void *arg)
{
	struct verify *v = arg;
	u32 count = min_t(u64, v->end - v->chunk, COWP_LOOKUP_CHUNKS);
	u32 i;

	v->ask.l = (struct cowp_lookup) {
		.snapshot = v->id, .chunk = v->chunk, .count = count,
	};
	v->ask.done = answered;
	for (i = 0; i < count; i++)
		v->sampled[i] = cowp_seqs_sample(&s->fast->seqs, v->chunk + i, 1);
	sim_ask(s, &v->ask);
}

void verify_all(struct sim *s)
{
	u32 sectors = s->setup.chunk_blocks * COWP_BLOCK_SECTORS;
	struct verify v[ASK_AT_ONCE];
	u32 ids[MODEL_SNAPSHOTS];
	u32 nr = s->model.nr_snaps;
	u64 limit = s->now + 60000000;
	u32 i, n, pending = 0, parity;

	for (i = 0; i < nr; i++)
		ids[i] = s->model.snap[i].id;
	parity = cowp_count_enter(&s->fast->readers);
	for (i = 0; i < nr; i += n) {
		for (n = 0; n < ASK_AT_ONCE && i + n < nr; n++) {
			const struct model_snapshot *snap = model_find(&s->model, ids[i + n]);

			v[n] = (struct verify) {
				.sim = s, .id = ids[i + n], .pending = &pending,
				.end = snap ? DIV_ROUND_UP(snap->sectors, sectors) : 0,
				.done = !snap,
			};
			if (!snap)
				continue;
			pending++;
			ask(s, &v[n]);
		}
		while (pending && s->now < limit && sim_step(s, limit))
			;
		if (pending && !s->cut_now)
			sim_fail(s, "a lookup is not answered within a minute");
		if (s->cut_now)
			return;
	}
	cowp_count_leave(&s->fast->readers, parity);
}
