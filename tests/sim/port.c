// SPDX-License-Identifier: GPL-2.0-only
/* The engine's I/O and its clock. */
#include <stdlib.h>

#include "sim.h"

__thread u32 sim_cpu;

static void read_done(struct cowp_io *io, const struct dio *d, int error)
{
	u32 i;

	for (i = 0; i < io->nr_blocks; i++) {
		u32 from = i * COWP_BLOCK_SECTORS;
		u32 sectors = from < d->sectors ?
			min_t(u32, COWP_BLOCK_SECTORS, d->sectors - from) : 0;

		/* What a failed read leaves in memory is anything. */
		if (error) {
			memset(io->blocks[i], 0x5a, COWP_BLOCK_SIZE);
			continue;
		}
		if (sectors)
			dio_get_data(d, from, sectors, io->blocks[i]);
		memset((u8 *)io->blocks[i] + sectors * 512, 0, COWP_BLOCK_SIZE - sectors * 512);
		if (io->csum)
			io->csum[i] = crc32c(~0U, io->blocks[i], COWP_BLOCK_SIZE);
	}
}

/* The device may read the memory until the completion: nobody else writes to it. */
static void check_unchanged(struct sim *s, const struct cowp_io *io, const struct dio *d)
{
	u32 i;

	for (i = 0; i < io->nr_blocks; i++) {
		if (memcmp(io->blocks[i], d->piece[i].page->data, COWP_BLOCK_SIZE))
			sim_fail(s, "block %u of a %s in flight was changed in memory", i,
				 kinds_name(d->kinds));
	}
}

static void bad_sectors(struct sim *s, const struct dio *d)
{
	u32 i;

	for (i = 0; i < d->sectors; i++)
		model_bad_sector(&s->model, d->sector + i);
}

static void io_done(struct sim *s, struct dio *d, int error)
{
	struct cowp_io *io = d->arg;

	if (d->op == DIO_READ) {
		read_done(io, d, error);
		/* A logical block by itself: a sector that will not be read again. */
		if (error && d->dev == &s->live && d->sectors == s->setup.live_block_sectors)
			bad_sectors(s, d);
	} else if (d->op == DIO_WRITE) {
		check_unchanged(s, io, d);
	} else if (d->dev == &s->live && !error) {
		model_flushed(&s->model, d->submitted);
	}
	io->error = error;
	s->ios--;
	cowp_engine_io_done(s->eng, io);
	sim_called(s);
}

/*
 * A discard is a write of anything, that lands as writes do: the content may stay,
 * become zeros or garbage, before or behind what was not flushed.
 */
static struct dio *discard_of(struct sim *s, struct device *d, struct cowp_io *io)
{
	struct dio *dio;
	u32 i, how;

	if (d != &s->diff || !io->bytes || io->bytes % COWP_BLOCK_SIZE || io->nr_blocks ||
	    io->sector % COWP_BLOCK_SECTORS || !(port_caps(&s->port, io->dev) & COWP_CAP_DISCARD))
		sim_fail(s, "malformed discard: sector %llu, %u bytes", io->sector, io->bytes);
	dio = dio_new(d, DIO_WRITE, io->sector, io->bytes / 512, io_done, io);
	for (i = 0; i < dio->nr_pieces; i++) {
		how = rng_below(&s->rng, 3);
		if (how == 1)
			memset(dio->piece[i].page->data, 0, COWP_BLOCK_SIZE);
		else if (how == 2)
			memset(dio->piece[i].page->data, 0xd5, COWP_BLOCK_SIZE);
		else
			dio->piece[i].mask = 0;
	}
	return dio;
}

void port_submit(struct cowp_port *p, struct cowp_io *io)
{
	static const u8 ops[] = {
		[COWP_READ] = DIO_READ,
		[COWP_WRITE] = DIO_WRITE,
		[COWP_FLUSH] = DIO_FLUSH,
	};
	struct sim *s = p->sim;
	struct device *d = io->dev == COWP_LIVE ? &s->live : &s->diff;
	struct dio *dio;
	u32 i;

	s->told++;
	s->ios++;
	if (io->op == COWP_FLUSH) {
		device_submit(dio_new(d, DIO_FLUSH, 0, 0, io_done, io));
		if (d == &s->diff)
			stats_count(s->stats, STAT_DIFF_FLUSHES);
		return;
	}
	if (io->op == COWP_DISCARD) {
		device_submit(discard_of(s, d, io));
		stats_count(s->stats, STAT_DISCARDS);
		return;
	}
	/* A chunk with unreadable sectors is read by logical blocks. */
	if (!io->bytes || io->bytes % 512 ||
	    (io->dev == COWP_DIFF && io->sector % COWP_BLOCK_SECTORS) ||
	    io->nr_blocks < DIV_ROUND_UP(io->bytes, COWP_BLOCK_SIZE) ||
	    (io->op == COWP_WRITE && io->bytes != io->nr_blocks * COWP_BLOCK_SIZE) ||
	    io->nr_blocks > io->max_blocks)
		sim_fail(s, "malformed io: sector %llu, %u bytes, %u blocks of %u",
			 io->sector, io->bytes, io->nr_blocks, io->max_blocks);
	dio = dio_new(d, ops[io->op], io->sector, io->bytes / 512, io_done, io);
	if (io->op == COWP_WRITE) {
		if (d == &s->live)
			sim_fail(s, "the engine writes to the live device");
		if (io->fua && !(port_caps(p, io->dev) & COWP_CAP_FUA))
			sim_fail(s, "FUA on a device without");
		for (i = 0; i < io->nr_blocks; i++)
			dio_put_data(dio, i * COWP_BLOCK_SECTORS, COWP_BLOCK_SECTORS,
				     io->blocks[i]);
		dio->fua = io->fua;
		stats_count(s->stats, STAT_DIFF_WRITES);
	} else if (d == &s->diff) {
		stats_count(s->stats, STAT_DIFF_READS);
	} else {
		model_copied(s, io->sector, io->bytes / 512);
	}
	device_submit(dio);
}

u32 port_caps(struct cowp_port *p, enum cowp_dev dev)
{
	const struct device *d = dev == COWP_LIVE ? &p->sim->live : &p->sim->diff;

	return (d->cache ? COWP_CAP_CACHE : 0) | (d->cache && d->fua ? COWP_CAP_FUA : 0) |
	       (dev == COWP_DIFF ? COWP_CAP_DISCARD : 0);
}

u64 port_sectors(struct cowp_port *p, enum cowp_dev dev)
{
	const struct device *d = dev == COWP_LIVE ? &p->sim->live : &p->sim->diff;

	return d->absent ? 0 : d->visible->sectors;
}

u64 port_real_seconds(void)
{
	return 1700000000ULL + the_sim->now / 1000000;
}

u32 port_random(struct cowp_port *p)
{
	return rng_next(&p->sim->rng);
}

void port_trace_merge(struct cowp_port *p, u32 runs, u32 records, u32 dropped, u32 moved)
{
	struct sim *s = p->sim;

	sim_trace(s, "merged %u runs: %u records, %u of them dropped, %u moved", runs, records,
		  dropped, moved);
	stats_add(s->stats, STAT_MOVED, moved);
	stats_count(s->stats, STAT_MERGES);
	stats_add(s->stats, STAT_MERGED, records);
	stats_add(s->stats, STAT_DROPPED, dropped);
}
