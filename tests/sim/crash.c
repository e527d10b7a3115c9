// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>
#include <string.h>

#include "crash.h"

u32 crash_list(struct device *d, struct crash_write *list, u32 max)
{
	struct dio *io;
	u32 n = 0;

	list_for_each_entry(io, &d->cached, node) {
		if (list && n < max)
			list[n] = (struct crash_write) { .io = io };
		n++;
	}
	list_for_each_entry(io, &d->flying, node) {
		if (io->op != DIO_WRITE)
			continue;
		if (list && n < max)
			list[n] = (struct crash_write) { .io = io };
		n++;
	}
	return n;
}

/* Which sectors of a torn write arrived: some prefix, some suffix, any. */
static void tear(const struct dio *io, u8 *mask, struct rng *rng)
{
	u32 cut = rng_below(rng, io->sectors + 1);
	u32 how = rng_below(rng, 4);
	u32 i, bit;

	for (i = 0; i < io->nr_pieces; i++) {
		switch (how) {
		case 0:
			mask[i] = rng_next(rng);
			break;
		case 1:
			/* Whole blocks only. */
			mask[i] = rng_one_in(rng, 2) ? 0xff : 0;
			break;
		default:
			mask[i] = 0;
			for (bit = 0; bit < PAGE_SECTORS; bit++) {
				u64 sector = (u64)io->piece[i].block * PAGE_SECTORS + bit;
				bool first = sector < io->sector + cut;

				if (how == 2 ? first : !first)
					mask[i] |= 1 << bit;
			}
			break;
		}
	}
}

static void apply_garbage(struct image *img, const struct piece *p, u8 lost, struct rng *rng)
{
	struct page *page = page_copy(img->page[p->block]);
	u32 bit, i;

	for (bit = 0; bit < PAGE_SECTORS; bit++) {
		u8 *sector = page->data + bit * 512;

		if (!(lost & p->mask & 1 << bit) || rng_one_in(rng, 2))
			continue;
		switch (rng_below(rng, 3)) {
		case 0:
			for (i = 0; i < 512; i += 8) {
				u64 word = rng_next(rng);

				memcpy(sector + i, &word, 8);
			}
			break;
		case 1:
			memset(sector, rng_one_in(rng, 2) ? 0xff : 0, 512);
			break;
		default:
			/* Half a sector of the new content. */
			memcpy(sector, p->page->data + bit * 512, 256);
			break;
		}
	}
	page_put(img->page[p->block]);
	img->page[p->block] = page;
}

struct image *crash_apply(struct device *d, const struct crash_write *list, u32 count,
			  struct rng *rng)
{
	struct image *img = image_clone(d->durable);
	u8 *mask = NULL;
	u32 room = 0;
	u32 n, i;

	for (n = 0; n < count; n++) {
		const struct dio *io = list[n].io;

		if (list[n].fate == CRASH_DROP)
			continue;
		if (room < io->nr_pieces) {
			room = io->nr_pieces;
			mask = realloc(mask, room);
			if (!mask)
				abort();
		}
		memset(mask, 0xff, io->nr_pieces);
		if (list[n].fate != CRASH_KEEP)
			tear(io, mask, rng);
		for (i = 0; i < io->nr_pieces; i++) {
			const struct piece *p = &io->piece[i];

			image_merge(img, p->block, p->mask & mask[i], p->page);
			if (list[n].fate == CRASH_GARBAGE && !io->completed &&
			    (p->mask & ~mask[i]))
				apply_garbage(img, p, ~mask[i], rng);
		}
	}
	free(mask);
	return img;
}

struct crash_how crash_dice(struct rng *rng)
{
	static const u16 odds[] = { 0, 0, 100, 300, 500, 500, 700, 900, 1000, 1000 };
	static const u16 torn[] = { 0, 0, 0, 100, 300, 600 };

	return (struct crash_how) {
		.keep = odds[rng_below(rng, ARRAY_SIZE(odds))],
		.torn = torn[rng_below(rng, ARRAY_SIZE(torn))],
		.garbage = rng_one_in(rng, 3) ? 500 : 0,
		.reorder = rng_one_in(rng, 2) ? 300 : 0,
	};
}

struct image *crash_image(struct device *d, struct rng *rng, const struct crash_how *how)
{
	struct crash_how dice;
	struct crash_write *list;
	struct image *img;
	u32 count, cached, i;

	if (!how) {
		dice = crash_dice(rng);
		how = &dice;
	}
	count = crash_list(d, NULL, 0);
	list = malloc((count + 1) * sizeof(*list));
	if (!list)
		abort();
	crash_list(d, list, count);
	cached = d->nr_cached;
	for (i = 0; i < count; i++) {
		if (!rng_permille(rng, how->keep))
			list[i].fate = CRASH_DROP;
		else if (!rng_permille(rng, how->torn))
			list[i].fate = CRASH_KEEP;
		else if (!rng_permille(rng, how->garbage))
			list[i].fate = CRASH_TORN;
		else
			list[i].fate = CRASH_GARBAGE;
	}
	/* Those in flight land in any order, those in the cache may have been written back so. */
	for (i = cached; i < count; i++)
		swap(list[i], list[cached + rng_below(rng, count - cached)]);
	for (i = 0; i < count; i++) {
		if (rng_permille(rng, how->reorder))
			swap(list[i], list[rng_below(rng, count)]);
	}
	img = crash_apply(d, list, count, rng);
	free(list);
	return img;
}

u64 crash_hash(struct device *d, const struct image *img)
{
	struct list_head *lists[] = { &d->cached, &d->flying };
	struct dio *io;
	u64 hash = 0;
	u32 i, n;

	for (n = 0; n < ARRAY_SIZE(lists); n++) {
		list_for_each_entry(io, lists[n], node) {
			if (io->op != DIO_WRITE)
				continue;
			for (i = 0; i < io->nr_pieces; i++) {
				u32 block = io->piece[i].block;

				hash = rng_mix(hash ^ ((u64)block << 32 |
						       page_crc(img->page[block])));
			}
		}
	}
	return hash;
}
