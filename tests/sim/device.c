// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cowprotect_format.h"
#include "crash.h"
#include "device.h"
#include "sim.h"

const char * const write_kind_names[WRITE_KINDS] = {
	[WRITE_DATA] = "data",
	[WRITE_SUMMARY] = "summary",
	[WRITE_RUN] = "run",
	[WRITE_ROOT] = "root",
	[WRITE_BODY] = "body",
	[WRITE_HEADER] = "header",
	[WRITE_STATE] = "state",
};

/* More than that and the device writes the oldest back by itself. */
#define CACHE_MAX	256U

void device_init(struct device *d, struct sim *s, const char *name, struct rng *rng, u64 sectors)
{
	memset(d, 0, sizeof(*d));
	d->sim = s;
	d->name = name;
	d->rng = rng;
	d->visible = image_new(sectors);
	d->durable = image_new(sectors);
	INIT_LIST_HEAD(&d->flying);
	INIT_LIST_HEAD(&d->cached);
	d->block_sectors = 1;
	d->latency_min = 50;
	d->latency_max = 300;
	d->count = 1;
}

void device_forget(struct device *d)
{
	struct dio *io, *next;

	list_for_each_entry_safe(io, next, &d->flying, node)
		dio_free(io);
	list_for_each_entry_safe(io, next, &d->cached, node)
		dio_free(io);
	INIT_LIST_HEAD(&d->flying);
	INIT_LIST_HEAD(&d->cached);
	d->nr_cached = 0;
	d->nr_flying = 0;
}

void device_exit(struct device *d)
{
	device_forget(d);
	image_free(d->visible);
	image_free(d->durable);
	free(d->faults.bad);
	memset(d, 0, sizeof(*d));
}

void device_set_image(struct device *d, const struct image *img)
{
	image_free(d->visible);
	image_free(d->durable);
	d->visible = image_clone(img);
	d->durable = image_clone(img);
}

void device_grow(struct device *d, u64 sectors)
{
	if (d->faults.bad) {
		d->faults.bad = realloc(d->faults.bad, sectors);
		if (!d->faults.bad)
			abort();
		if (sectors > d->visible->sectors)
			memset(d->faults.bad + d->visible->sectors, 0,
			       sectors - d->visible->sectors);
	}
	image_resize(d->visible, sectors);
	image_resize(d->durable, sectors);
}

void device_set_bad(struct device *d, u64 sector, bool bad)
{
	struct device_faults *f = &d->faults;

	if (!f->bad) {
		if (!bad)
			return;
		f->bad = calloc(1, d->visible->sectors);
		if (!f->bad)
			abort();
	}
	if (f->bad[sector] == bad)
		return;
	f->bad[sector] = bad;
	f->nr_bad += bad ? 1 : -1;
}

struct dio *dio_new(struct device *d, enum dio_op op, u64 sector, u32 sectors, dio_fn fn,
		    void *arg)
{
	u32 first = sector / PAGE_SECTORS;
	u32 pieces = sectors ? (sector + sectors - 1) / PAGE_SECTORS - first + 1 : 0;
	struct dio *io = malloc(sizeof(*io) + pieces * sizeof(io->piece[0]));
	u32 i;

	if (!io)
		abort();
	*io = (struct dio) {
		.dev = d, .op = op, .sector = sector, .sectors = sectors, .fn = fn, .arg = arg,
		.nr_pieces = pieces,
	};
	for (i = 0; i < pieces; i++) {
		u64 start = max_t(u64, sector, (u64)(first + i) * PAGE_SECTORS);
		u64 end = min_t(u64, sector + sectors, (u64)(first + i + 1) * PAGE_SECTORS);
		u32 in_page = start % PAGE_SECTORS;

		io->piece[i] = (struct piece) {
			.block = first + i,
			.mask = (u8)((0xffU >> (PAGE_SECTORS - (end - start))) << in_page),
			.page = op == DIO_WRITE ? page_new() : NULL,
		};
	}
	return io;
}

void dio_free(struct dio *io)
{
	u32 i;

	for (i = 0; i < io->nr_pieces; i++) {
		if (io->piece[i].page)
			page_put(io->piece[i].page);
	}
	free(io);
}

static void dio_copy(const struct dio *io, u32 from, u32 sectors, u8 *data, bool in)
{
	u64 sector = io->sector + from;

	while (sectors) {
		const struct piece *p = &io->piece[sector / PAGE_SECTORS -
						   io->sector / PAGE_SECTORS];
		u32 in_page = sector % PAGE_SECTORS;
		u32 n = min_t(u32, PAGE_SECTORS - in_page, sectors);
		u8 *at = p->page->data + in_page * 512;

		if (in)
			memcpy(at, data, n * 512);
		else
			memcpy(data, at, n * 512);
		data += n * 512;
		sector += n;
		sectors -= n;
	}
}

void dio_put_data(struct dio *io, u32 from, u32 sectors, const void *data)
{
	dio_copy(io, from, sectors, (u8 *)data, true);
}

void dio_get_data(const struct dio *io, u32 from, u32 sectors, void *data)
{
	dio_copy(io, from, sectors, data, false);
}

static u32 kind_of(const struct piece *p)
{
	u32 magic;

	memcpy(&magic, p->page->data, sizeof(magic));
	switch (magic) {
	case COWP_MAGIC_SUMMARY:
		return WRITE_SUMMARY;
	case COWP_MAGIC_RUN:
		return WRITE_RUN;
	case COWP_MAGIC_ROOT:
		return WRITE_ROOT;
	case COWP_MAGIC_BODY:
		return WRITE_BODY;
	case COWP_MAGIC_SEGMENT:
		return WRITE_HEADER;
	case COWP_MAGIC_STATE:
		return WRITE_STATE;
	default:
		return WRITE_DATA;
	}
}

static void land(struct dio *io)
{
	u32 i, bit;

	if (io->landed || io->op != DIO_WRITE)
		return;
	io->landed = true;
	for (i = 0; i < io->nr_pieces; i++) {
		struct piece *p = &io->piece[i];

		image_merge(io->dev->visible, p->block, p->mask, p->page);
		if (!io->dev->faults.nr_bad)
			continue;
		for (bit = 0; bit < PAGE_SECTORS; bit++) {
			if (p->mask & 1 << bit)
				device_set_bad(io->dev, (u64)p->block * PAGE_SECTORS + bit, false);
		}
	}
}

static void sample(struct dio *io)
{
	u32 i;

	if (io->sampled)
		return;
	io->sampled = true;
	for (i = 0; i < io->nr_pieces; i++)
		io->piece[i].page = page_get(io->dev->visible->page[io->piece[i].block]);
}

/* Sectors of older writes that are durably overwritten cannot come back. */
static void supersede(struct device *d, const struct dio *newer)
{
	struct dio *io;
	u32 i;

	list_for_each_entry(io, &d->cached, node) {
		for (i = 0; i < io->nr_pieces; i++) {
			struct piece *p = &io->piece[i];
			u32 j = p->block - newer->piece[0].block;

			if (p->block >= newer->piece[0].block && j < newer->nr_pieces)
				p->mask &= ~newer->piece[j].mask;
		}
	}
}

static void make_durable(struct dio *io)
{
	u32 i;

	for (i = 0; i < io->nr_pieces; i++)
		image_merge(io->dev->durable, io->piece[i].block, io->piece[i].mask,
			    io->piece[i].page);
}

static void uncache(struct dio *io)
{
	list_del(&io->node);
	io->dev->nr_cached--;
	make_durable(io);
	dio_free(io);
}

static void flush_cache(struct device *d, u64 before, bool all)
{
	struct dio *io, *next;

	list_for_each_entry_safe(io, next, &d->cached, node) {
		if (io->completed >= before)
			continue;
		/* A flush that failed may have written some back, in order. */
		if (!all && rng_one_in(d->rng, 4))
			break;
		uncache(io);
	}
}

/* A write that fails may have landed all the same: whole, in part, not at all. */
static void land_in_part(struct dio *io)
{
	u32 how = rng_below(io->dev->rng, 3);
	u32 i;

	if (io->landed)
		return;
	for (i = 0; i < io->nr_pieces && how; i++) {
		if (how == 2)
			io->piece[i].mask &= rng_next(io->dev->rng);
	}
	if (how) {
		land(io);
		return;
	}
	for (i = 0; i < io->nr_pieces; i++)
		io->piece[i].mask = 0;
}

static bool has_bad_sector(const struct dio *io)
{
	const struct device_faults *f = &io->dev->faults;

	return f->nr_bad && memchr(f->bad + io->sector, 1, io->sectors);
}

static void complete(struct sim *s, void *arg)
{
	struct dio *io = arg;
	struct device *d = io->dev;
	int error = io->fate;
	bool keep = false;

	list_del(&io->node);
	d->nr_flying--;
	io->completed = ++d->count;
	switch (io->op) {
	case DIO_READ:
		sample(io);
		if (!error && has_bad_sector(io))
			error = -EIO;
		break;
	case DIO_WRITE:
		if (error)
			land_in_part(io);
		else
			land(io);
		if (!d->cache || (io->fua && !error)) {
			supersede(d, io);
			make_durable(io);
		} else {
			list_add_tail(&io->node, &d->cached);
			d->nr_cached++;
			keep = true;
		}
		break;
	case DIO_FLUSH:
		flush_cache(d, io->submitted, !error);
		break;
	}
	sim_trace(s, "%s %s %llu+%u done %d", d->name,
		  io->op == DIO_READ ? "read" : io->op == DIO_WRITE ? "write" : "flush",
		  io->sector, io->sectors, error);
	io->fn(s, io, error);
	if (!keep)
		dio_free(io);
	if (d->nr_cached > CACHE_MAX)
		uncache(list_first_entry(&d->cached, struct dio, node));
}

static void land_event(struct sim *s, void *arg)
{
	(void)s;
	land(arg);
}

static bool overlaps(const struct dio *a, const struct dio *b)
{
	return a->sector < b->sector + b->sectors && b->sector < a->sector + a->sectors;
}

static u32 latency(struct device *d)
{
	u32 t = rng_range(d->rng, d->latency_min, d->latency_max);

	/* The tail: a seek, an erase, a retry. */
	if (rng_one_in(d->rng, 16))
		t *= 8;
	if (rng_one_in(d->rng, 512))
		t *= 200;
	return t;
}

/* One of the next few: whether it is this one. */
static bool take_fault(struct device *d, u32 *count)
{
	if (!*count || rng_one_in(d->rng, 4))
		return false;
	--*count;
	return true;
}

static void check_overlap(struct dio *io)
{
	struct dio *other;

	list_for_each_entry(other, &io->dev->flying, node) {
		if (other->op != DIO_WRITE || !overlaps(io, other))
			continue;
		sim_fail(io->dev->sim,
			 "%s: write to %llu+%u while a write to %llu+%u has not been seen to complete%s",
			 io->dev->name, io->sector, io->sectors, other->sector, other->sectors,
			 other->hung ? " (it hangs)" : "");
	}
}

void device_submit(struct dio *io)
{
	struct device *d = io->dev;
	u64 start = d->sim->now;
	u32 t = latency(d);
	u32 i;

	if (!d->absent && io->sectors) {
		if (io->sector + io->sectors > d->visible->sectors)
			sim_fail(d->sim, "%s: I/O beyond the end: %llu+%u of %llu", d->name,
				 io->sector, io->sectors, d->visible->sectors);
		if (io->sector % d->block_sectors || io->sectors % d->block_sectors)
			sim_fail(d->sim, "%s: I/O not aligned to the logical block: %llu+%u",
				 d->name, io->sector, io->sectors);
	}

	io->submitted = ++d->count;
	switch (io->op) {
	case DIO_READ:
		d->reads++;
		break;
	case DIO_WRITE:
		d->writes++;
		if (d->exclusive && !d->absent)
			check_overlap(io);
		for (i = 0; i < io->nr_pieces; i++)
			io->kinds |= 1 << kind_of(&io->piece[i]);
		break;
	case DIO_FLUSH:
		d->flushes++;
		break;
	}
	list_add_tail(&io->node, &d->flying);
	d->nr_flying++;

	if (d->absent) {
		io->fate = -ENODEV;
		for (i = 0; io->op == DIO_WRITE && i < io->nr_pieces; i++)
			io->piece[i].mask = 0;
		if (io->op == DIO_READ) {
			/* Nothing there to sample: zeros under an error. */
			io->sampled = true;
			for (i = 0; i < io->nr_pieces; i++)
				io->piece[i].page = page_get(&page_zero);
		}
		t = rng_below(d->rng, 50);
	} else if (take_fault(d, io->op == DIO_READ ? &d->faults.fail_reads :
				 io->op == DIO_WRITE ? &d->faults.fail_writes :
						       &d->faults.fail_flushes)) {
		io->fate = -EIO;
	} else if (take_fault(d, io->op == DIO_READ ? &d->faults.hang_reads :
				 io->op == DIO_WRITE ? &d->faults.hang_writes :
						       &d->faults.hang_flushes)) {
		io->hung = true;
	}
	sim_trace(d->sim, "%s %s %llu+%u%s%s%s", d->name,
		  io->op == DIO_READ ? "read" : io->op == DIO_WRITE ? "write" : "flush",
		  io->sector, io->sectors, io->fua ? " fua" : "",
		  io->fate ? " fails" : io->hung ? " hangs" : "",
		  io->op == DIO_WRITE && d->exclusive ? kinds_name(io->kinds) : "");

	/* When in its time does it take effect? */
	if (!io->fate && !d->absent) {
		switch (rng_below(d->rng, 4)) {
		case 0:
			if (io->op == DIO_READ)
				sample(io);
			else
				land(io);
			break;
		case 1:
			if (io->op == DIO_WRITE && !io->hung)
				event_add(&d->sim->queue, start + rng_below(d->rng, t + 1), 0,
					  land_event, io);
			break;
		default:
			break;
		}
	}
	if (!io->hung)
		event_add(&d->sim->queue, start + t + 1, rng_next(d->rng), complete, io);
	sim_submitted(d->sim, io);
}

void device_release_hung(struct device *d)
{
	struct dio *io;

	list_for_each_entry(io, &d->flying, node) {
		if (!io->hung)
			continue;
		io->hung = false;
		if (rng_one_in(d->rng, 2))
			io->fate = -EIO;
		event_add(&d->sim->queue, d->sim->now + rng_below(d->rng, 2000),
			  rng_next(d->rng), complete, io);
	}
}

void device_clear_faults(struct device *d)
{
	d->faults.fail_reads = 0;
	d->faults.fail_writes = 0;
	d->faults.fail_flushes = 0;
	d->faults.hang_reads = 0;
	d->faults.hang_writes = 0;
	d->faults.hang_flushes = 0;
}

/*
 * What is in flight fails; its completion may still be on its way, it cannot
 * land any more once the device is gone.  A device that loses power with its
 * connection loses its cache.
 */
void device_remove(struct device *d, bool lose_cache)
{
	struct dio *io;

	d->absent = true;
	list_for_each_entry(io, &d->flying, node) {
		if (io->op == DIO_WRITE)
			land_in_part(io);
		if (io->op == DIO_READ)
			sample(io);
		if (!io->fate)
			io->fate = -EIO;
		if (io->hung) {
			io->hung = false;
			event_add(&d->sim->queue, d->sim->now + rng_below(d->rng, 2000),
				  rng_next(d->rng), complete, io);
		}
	}
	if (lose_cache) {
		struct image *img = crash_image(d, d->rng, NULL);

		device_set_image(d, img);
		image_free(img);
		while (!list_empty(&d->cached)) {
			io = list_first_entry(&d->cached, struct dio, node);
			list_del(&io->node);
			dio_free(io);
		}
		d->nr_cached = 0;
		/* What was in flight has landed, or has not: it is settled. */
		list_for_each_entry(io, &d->flying, node) {
			u32 i;

			for (i = 0; io->op == DIO_WRITE && i < io->nr_pieces; i++)
				io->piece[i].mask = 0;
		}
	}
}

void device_return(struct device *d)
{
	d->absent = false;
}
