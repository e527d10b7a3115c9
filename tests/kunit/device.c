// SPDX-License-Identifier: GPL-2.0-only
/*
 * A block device in memory.  See device.h.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include "device.h"

int device_init(struct device *d, u64 sectors, u32 caps)
{
	memset(d, 0, sizeof(*d));
	d->sectors = sectors;
	d->caps = caps;
	d->count = DIV_ROUND_UP_ULL(sectors, COWP_BLOCK_SECTORS);
	d->now = kvcalloc(d->count, sizeof(*d->now), GFP_KERNEL);
	d->durable = kvcalloc(d->count, sizeof(*d->durable), GFP_KERNEL);
	d->dirty = kvcalloc(d->count, sizeof(*d->dirty), GFP_KERNEL);
	d->dirty_list = kvcalloc(d->count, sizeof(*d->dirty_list), GFP_KERNEL);
	return d->now && d->durable && d->dirty && d->dirty_list ? 0 : -ENOMEM;
}

void device_exit(struct device *d)
{
	u64 i;

	for (i = 0; d->now && d->durable && i < d->count; i++) {
		kfree(d->now[i]);
		kfree(d->durable[i]);
	}
	kvfree(d->now);
	kvfree(d->durable);
	kvfree(d->dirty);
	kvfree(d->dirty_list);
}

/* A test that runs out of memory here has no use for an answer. */
static u8 *block_at(u8 **blocks, u64 nr)
{
	if (!blocks[nr])
		blocks[nr] = kzalloc(COWP_BLOCK_SIZE, GFP_KERNEL | __GFP_NOFAIL);
	return blocks[nr];
}

static void make_durable(struct device *d, u64 nr)
{
	memcpy(block_at(d->durable, nr), d->now[nr], COWP_BLOCK_SIZE);
}

static void make_dirty(struct device *d, u64 nr)
{
	if (!d->dirty[nr])
		d->dirty_list[d->dirty_count++] = nr;
	d->dirty[nr] = true;
}

/* Bytes of a block from @at on, @left at most. */
static u32 piece(u32 at, u32 left)
{
	return min(left, COWP_BLOCK_SIZE - at);
}

void device_read(const struct device *d, u64 sector, void *to, u32 bytes)
{
	while (bytes) {
		u64 nr = sector / COWP_BLOCK_SECTORS;
		u32 at = sector % COWP_BLOCK_SECTORS * 512;
		u32 size = piece(at, bytes);

		if (d->now[nr])
			memcpy(to, d->now[nr] + at, size);
		else
			memset(to, 0, size);
		to += size;
		sector += size / 512;
		bytes -= size;
	}
}

void device_write(struct device *d, u64 sector, const void *from, u32 bytes, bool fua)
{
	while (bytes) {
		u64 nr = sector / COWP_BLOCK_SECTORS;
		u32 at = sector % COWP_BLOCK_SECTORS * 512;
		u32 size = piece(at, bytes);

		memcpy(block_at(d->now, nr) + at, from, size);
		d->writes++;
		if (fua || !(d->caps & COWP_CAP_CACHE))
			make_durable(d, nr);
		else
			make_dirty(d, nr);
		from += size;
		sector += size / 512;
		bytes -= size;
	}
}

/* What is left is anything. */
void device_discard(struct device *d, u64 sector, u32 bytes)
{
	u64 nr = sector / COWP_BLOCK_SECTORS;

	for (; bytes; bytes -= COWP_BLOCK_SIZE, nr++) {
		memset(block_at(d->now, nr), 0xd5, COWP_BLOCK_SIZE);
		make_durable(d, nr);
		d->discards++;
	}
}

void device_flush(struct device *d)
{
	while (d->dirty_count) {
		u32 nr = d->dirty_list[--d->dirty_count];

		d->dirty[nr] = false;
		make_durable(d, nr);
	}
}

static void forget(struct device *d, u64 nr)
{
	if (d->durable[nr])
		memcpy(d->now[nr], d->durable[nr], COWP_BLOCK_SIZE);
	else
		memset(d->now[nr], 0, COWP_BLOCK_SIZE);
}

void device_crash(struct device *d, struct rnd_state *rnd)
{
	u32 i;

	for (i = 0; i < d->dirty_count; i++)
		if (!(prandom_u32_state(rnd) & 1))
			forget(d, d->dirty_list[i]);
	device_flush(d);
}
