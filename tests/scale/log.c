// SPDX-License-Identifier: GPL-2.0-only
/*
 * The log: segments full of old chunks, with the summaries that found them once.
 * Runs have taken over; what is here is as the volume left it.
 */
#include <stdlib.h>

#include "image.h"

struct writer {
	struct image *im;
	u32 segment;
	u8 *blocks;		/* header and homes */
	u8 *chunk;
};

static struct cowp_summary *home_of(const struct writer *w, u32 home)
{
	return (struct cowp_summary *)(w->blocks + (size_t)(1 + home) * COWP_BLOCK_SIZE);
}

static void put_entry(struct writer *w, u64 record, u32 epoch, u64 chunk)
{
	const struct image *im = w->im;
	struct cowp_place place = image_place(im, record);
	u32 home = place.pos / im->geo.entries;
	struct cowp_summary *s = home_of(w, home);
	u64 batch = image_batch(record, epoch);
	struct cowp_entry *e;

	if (!s->count)
		s->base_batch = cpu_to_le64(batch);
	e = (void *)(s->entries + place.pos % im->geo.entries * im->geo.entry_bytes);
	e->key = cpu_to_le64(cowp_key(chunk, epoch));
	e->batch = cpu_to_le32(batch - le64_to_cpu(s->base_batch));
	e->slot = cpu_to_le32(place.slot);
	e->type = COWP_ENTRY_CHUNK;
	e->parts = 1;
	s->epoch = cpu_to_le32(epoch);
	s->watermark = cpu_to_le64(batch - min_t(u64, batch, COWP_LANES));
	le16_add_cpu(&s->count, 1);
}

/* The checksums, behind the entry where there are many; and the chunk itself. */
static void put_chunk(struct writer *w, u64 record, u32 epoch, u64 chunk)
{
	struct image *im = w->im;
	const struct plan *p = im->plan;
	struct cowp_place place = image_place(im, record);
	struct cowp_summary *s = home_of(w, place.pos / im->geo.entries);
	struct cowp_entry *e = (void *)(s->entries +
					place.pos % im->geo.entries * im->geo.entry_bytes);
	bool stamped = plan_stamped(p, chunk, epoch);
	__le32 *csum = (void *)(e + 1);
	u32 i;

	e->crc = cpu_to_le32(stamped ? plan_crc(p, chunk, epoch) : p->zero_crc);
	if (!stamped && p->chunk_blocks == 1)
		return;
	plan_content(p, chunk, epoch, w->chunk);
	for (i = 0; p->chunk_blocks > 1 && i < p->chunk_blocks; i++)
		csum[i] = cpu_to_le32(port_crc32c(~0U, w->chunk + (size_t)i * COWP_BLOCK_SIZE,
						  COWP_BLOCK_SIZE));
	if (!stamped)
		return;
	image_write(im, cowp_slot_block(&im->geo, place.segment, place.slot), w->chunk,
		    p->chunk_blocks);
	im->stamped++;
}

/* A snapshot was created: that has the last home, which no copy needs. */
static void put_epoch(struct writer *w, u64 record, u32 epoch)
{
	const struct image *im = w->im;
	struct cowp_summary *s = home_of(w, im->geo.homes - 1);
	struct cowp_epoch_entry *e = (void *)s->entries;
	u64 batch = image_batch(record, epoch) - 1;

	s->base_batch = cpu_to_le64(batch);
	s->watermark = cpu_to_le64(batch - 1);
	s->epoch = cpu_to_le32(epoch - 1);
	s->count = cpu_to_le16(im->geo.epoch_entries);
	e->entry.key = cpu_to_le64(cowp_key(0, epoch));
	e->entry.type = COWP_ENTRY_EPOCH;
	e->entry.parts = 1;
	e->created = cpu_to_le64(im->super.created + epoch);
	e->live_sectors = cpu_to_le64(plan_live_sectors(im->plan));
	snprintf(e->label, sizeof(e->label), "s%u", epoch);
}

static void seal(struct writer *w)
{
	const struct image *im = w->im;
	u32 used = 0, home;

	image_header(im, w->segment, COWP_SEGMENT_LOG, w->blocks);
	for (home = 0; home < im->geo.homes; home++) {
		struct cowp_summary *s = home_of(w, home);

		if (!s->count)
			continue;
		s->version = cpu_to_le64((u64)w->segment * im->geo.homes + home + 1);
		s->segment = cpu_to_le32(w->segment);
		s->home = cpu_to_le16(home);
		cowp_seal(s, COWP_MAGIC_SUMMARY, im->super.uuid,
			  cowp_home_block(&im->geo, w->segment, home), IMAGE_SESSION,
			  image_incarnation(w->segment));
		/* What lies between is blank. */
		if (home == used)
			used++;
		else
			image_write(im, cowp_home_block(&im->geo, w->segment, home), s, 1);
	}
	image_write(im, cowp_segment_block(&im->geo, w->segment), w->blocks, 1 + used);
}

static void write_segment(struct writer *w)
{
	const struct image *im = w->im;
	const struct plan *p = im->plan;
	u64 record = (u64)w->segment * im->geo.slots;
	u64 end = min(record + im->geo.slots, p->records);
	u32 epoch = plan_epoch(p, record);

	memset(w->blocks, 0, (size_t)(1 + im->geo.homes) * COWP_BLOCK_SIZE);
	for (; record < end; record++) {
		u64 chunk;

		if (record == p->first[epoch + 1])
			epoch++;
		if (record == p->first[epoch])
			put_epoch(w, record, epoch);
		chunk = plan_chunk(&p->order[epoch], p->chunk_bits, record - p->first[epoch]);
		put_entry(w, record, epoch, chunk);
		put_chunk(w, record, epoch, chunk);
	}
	seal(w);
}

void image_write_log(struct image *im)
{
	struct writer w = { .im = im };

	w.blocks = malloc((size_t)(1 + im->geo.homes) * COWP_BLOCK_SIZE);
	w.chunk = malloc(plan_chunk_bytes(im->plan));
	if (!w.blocks || !w.chunk)
		give_up(im->name, "no memory");
	for (w.segment = 0; w.segment < im->log_segments; w.segment++)
		write_segment(&w);
	free(w.blocks);
	free(w.chunk);
}
