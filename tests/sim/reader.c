// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reads of a snapshot as the snapshot target does them: lookup, read where it
 * says, start over if the sums moved meanwhile.
 */
#include <stdlib.h>

#include "format.h"
#include "sim.h"

struct reader {
	struct sim_lookup ask;
	struct list_head node;
	struct sim *sim;
	u32 id;
	u64 chunk;
	u32 count;
	u32 parity;
	bool inside;
	u32 seqs;
	u32 lost;
	u32 tries;
	u32 mismatches;
	u32 pending;
	int error;
	u32 nr_found;
	u32 chunk_sectors;
	u32 sampled[COWP_LOOKUP_CHUNKS];
	u8 **data;		/* by found */
};

struct reader_io {
	struct reader *r;
	u32 found;
};

static void reader_try(struct sim *s, void *arg);

static void data_free(struct reader *r)
{
	u32 i;

	for (i = 0; i < r->nr_found; i++)
		free(r->data[i]);
	free(r->data);
	r->data = NULL;
	r->nr_found = 0;
}

static void reader_free(struct reader *r)
{
	if (r->inside)
		cowp_count_leave(&r->sim->fast->readers, r->parity);
	data_free(r);
	list_del(&r->node);
	r->sim->nr_readers--;
	free(r);
}

void reader_forget(struct sim *s)
{
	struct reader *r, *next;

	list_for_each_entry_safe(r, next, &s->readers, node) {
		data_free(r);
		free(r);
	}
	INIT_LIST_HEAD(&s->readers);
	s->nr_readers = 0;
}

static void again(struct sim *s, struct reader *r)
{
	cowp_count_leave(&s->fast->readers, r->parity);
	r->inside = false;
	data_free(r);
	r->error = 0;
	stats_count(s->stats, STAT_REREADS);
	if (++r->tries > 1000)
		sim_fail(s, "a snapshot read starts over for ever");
	sim_after(s, rng_below(&s->rng, 50), reader_try, r);
}

/* The snapshot's content is the model's, but for sectors that were unreadable. */
static void compare(struct sim *s, struct reader *r)
{
	struct model_snapshot *snap = model_find(&s->model, r->id);
	u32 i, n;

	if (!snap)
		return;		/* deleted meanwhile */
	for (i = 0; i < r->nr_found; i++) {
		u64 first = (r->chunk + i) * r->chunk_sectors;

		for (n = 0; n < r->chunk_sectors && first + n < snap->sectors; n++) {
			if (snap->bad && snap->bad[first + n])
				continue;
			if (!memcmp(r->data[i] + n * 512, image_sector(snap->image, first + n),
				    512))
				continue;
			sim_fail(s,
				 "read of snapshot %u: sector %llu (chunk %llu, %s) holds write %llx, not %llx",
				 r->id, first + n, r->chunk + i,
				 r->ask.l.found[i].where == COWP_IN_LIVE ? "live" : "diff",
				 stamp_of(r->data[i] + n * 512, s->seed, first + n),
				 stamp_of(image_sector(snap->image, first + n), s->seed,
					  first + n));
		}
		stats_count(s->stats, STAT_READS);
	}
}

static void reader_data_there(struct sim *s, struct reader *r)
{
	u32 sum, i;

	sim_cpu = rng_below(&s->rng, SIM_CPUS);
	sum = cowp_seqs_sample(&s->fast->seqs, r->chunk, r->count);
	if (READ_ONCE(s->fast->lost) != r->lost) {
		/* Given up meanwhile: an error, which nobody can mistake. */
		stats_count(s->stats, STAT_READ_ERRORS);
		reader_free(r);
		return;
	}
	if (sum != r->seqs) {
		again(s, r);
		return;
	}
	for (i = 0; i < r->nr_found && !r->error; i++) {
		const struct cowp_found *f = &r->ask.l.found[i];
		u32 csum[COWP_MAX_CHUNK_BLOCKS];
		u32 b;

		if (f->where == COWP_IN_LIVE)
			continue;
		for (b = 0; b < s->setup.chunk_blocks; b++)
			csum[b] = crc32c(~0U, r->data[i] + b * COWP_BLOCK_SIZE, COWP_BLOCK_SIZE);
		if (cowp_chunk_crc(csum, s->setup.chunk_blocks) == f->crc)
			continue;
		/* Once it may have been moved between lookup and read. */
		if (r->mismatches++)
			sim_fail(s,
				 "read of snapshot %u: chunk %llu: wrong checksum at sector %llu",
				 r->id, r->chunk + i, f->sector);
		again(s, r);
		return;
	}
	if (r->error && !s->model.faulty)
		sim_fail(s, "read of snapshot %u: error %d on sound devices", r->id, r->error);
	if (r->error)
		stats_count(s->stats, STAT_READ_ERRORS);
	else
		compare(s, r);
	reader_free(r);
}

static void reader_io_done(struct sim *s, struct dio *io, int error)
{
	struct reader_io *ri = io->arg;
	struct reader *r = ri->r;

	if (error)
		r->error = error;
	else
		dio_get_data(io, 0, io->sectors, r->data[ri->found]);
	free(ri);
	if (!--r->pending)
		reader_data_there(s, r);
}

static void reader_submit(struct sim *s, void *arg)
{
	struct reader *r = arg;
	u32 i;

	r->pending = r->nr_found;
	for (i = 0; i < r->nr_found; i++) {
		const struct cowp_found *f = &r->ask.l.found[i];
		bool live = f->where == COWP_IN_LIVE;
		struct device *d = live ? &s->live : &s->diff;
		u64 sector = live ? (r->chunk + i) * r->chunk_sectors : f->sector;
		u32 sectors = r->chunk_sectors;
		struct reader_io *ri = calloc(1, sizeof(*ri));

		if (!ri)
			abort();
		*ri = (struct reader_io) { .r = r, .found = i };
		if (live)
			sectors = min_t(u64, sectors, d->visible->sectors - sector);
		device_submit(dio_new(d, DIO_READ, sector, sectors, reader_io_done, ri));
	}
}

static void reader_found(struct sim *s, struct sim_lookup *l)
{
	struct reader *r = container_of(l, struct reader, ask);
	const struct model_snapshot *snap = model_find(&s->model, r->id);
	u32 i;

	if (l->l.error) {
		if (l->l.error == -ESTALE && snap && snap->must && !s->stopping)
			sim_fail(s, "lookup in snapshot %u: ESTALE, but it must exist", r->id);
		if (l->l.error == -EIO && !s->model.faulty)
			sim_fail(s, "lookup in snapshot %u: EIO on sound devices", r->id);
		stats_count(s->stats, STAT_READ_ERRORS);
		reader_free(r);
		return;
	}
	if (!l->l.answered || l->l.answered > l->l.count)
		sim_fail(s, "a lookup of %u chunks answered %u", l->l.count, l->l.answered);
	r->nr_found = l->l.answered;
	r->count = l->l.answered;
	r->data = calloc(r->nr_found, sizeof(r->data[0]));
	for (i = 0; i < r->nr_found; i++) {
		r->data[i] = calloc(1, r->chunk_sectors * 512);
		if (!r->data[i])
			abort();
	}
	/* The sums were of the whole range; of the part that was answered they are taken anew. */
	r->seqs = 0;
	for (i = 0; i < r->nr_found; i++)
		r->seqs += r->sampled[i];
	/* Now and then one is put aside for long: meanwhile nothing may be used again. */
	sim_after(s, rng_below(&s->rng, rng_one_in(&s->rng, 8) ? 200000 : 20), reader_submit,
		  r);
}

static void reader_try(struct sim *s, void *arg)
{
	struct reader *r = arg;
	u32 i;

	sim_cpu = rng_below(&s->rng, SIM_CPUS);
	r->parity = cowp_count_enter(&s->fast->readers);
	r->inside = true;
	r->lost = READ_ONCE(s->fast->lost);
	for (i = 0; i < r->count; i++)
		r->sampled[i] = cowp_seqs_sample(&s->fast->seqs, r->chunk + i, 1);
	r->ask.l = (struct cowp_lookup) {
		.snapshot = r->id, .chunk = r->chunk, .count = r->count,
	};
	r->ask.done = reader_found;
	sim_ask(s, &r->ask);
}

void reader_start(struct sim *s, u32 id, u64 chunk, u32 count)
{
	struct reader *r = calloc(1, sizeof(*r));

	if (!r)
		abort();
	r->sim = s;
	r->id = id;
	r->chunk = chunk;
	r->count = count;
	r->chunk_sectors = s->setup.chunk_blocks * COWP_BLOCK_SECTORS;
	list_add_tail(&r->node, &s->readers);
	s->nr_readers++;
	reader_try(s, r);
}

bool reader_has_open(struct sim *s, u32 id)
{
	struct reader *r;

	list_for_each_entry(r, &s->readers, node) {
		if (r->id == id)
			return true;
	}
	return false;
}
