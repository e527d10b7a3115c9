// SPDX-License-Identifier: GPL-2.0-only
/*
 * The manifest, in both slots: a checkpoint, and the clean end behind it.
 */
#include <stdlib.h>

#include "image.h"

#define GENERATION	1000U	/* of the newer one */
#define SEQUENCE	1010U	/* of the state */
#define LISTED		64U	/* segments that may be opened next, at most */
#define CREATED		1700000000U

struct composer {
	const struct image *im;
	struct cowp_super *super;
	u32 slot;
	u8 *body;
	u32 section;
	u32 crc;
};

static struct cowp_body_block *block_of(const struct composer *c, u32 index)
{
	return (void *)(c->body + (size_t)index * COWP_BLOCK_SIZE);
}

static void end_block(struct composer *c)
{
	u32 last = c->super->body_blocks - 1;
	struct cowp_body_block *b = block_of(c, last);

	cowp_seal(b, COWP_MAGIC_BODY, c->super->uuid, c->super->body_block[c->slot] + last,
		  IMAGE_SESSION, 0);
	c->crc = port_crc32c(c->crc, &b->header.crc, sizeof(b->header.crc));
}

static void *next_record(struct composer *c, enum cowp_section section)
{
	u32 blocks = c->super->body_blocks;
	struct cowp_body_block *b = blocks ? block_of(c, blocks - 1) : NULL;
	u32 count;

	if (!b || c->section != section ||
	    le16_to_cpu(b->count) == cowp_section_records(section)) {
		if (b)
			end_block(c);
		if (blocks == c->super->body_max)
			give_up(c->im->name, "the manifest is too large for its place");
		b = block_of(c, blocks);
		memset(b, 0, COWP_BLOCK_SIZE);
		b->generation = cpu_to_le64(c->super->generation);
		b->index = cpu_to_le32(blocks);
		b->section = cpu_to_le16(section);
		c->section = section;
		c->super->body_blocks++;
	}
	count = le16_to_cpu(b->count);
	b->count = cpu_to_le16(count + 1);
	return b->data + (size_t)count * cowp_section_bytes(section);
}

static void compose_snapshots(struct composer *c)
{
	const struct plan *p = c->im->plan;
	u32 id;

	for (id = 1; id <= p->snapshots; id++) {
		struct cowp_snapshot_rec *r = next_record(c, COWP_SECTION_SNAPSHOTS);

		r->id = cpu_to_le32(id);
		r->created = cpu_to_le64(c->super->created + id);
		r->live_sectors = cpu_to_le64(plan_live_sectors(p));
		snprintf(r->label, sizeof(r->label), "s%u", id);
	}
}

static void compose_fragments(struct composer *c)
{
	u32 i;

	for (i = 0; i < c->im->fragment_count; i++)
		memcpy(next_record(c, COWP_SECTION_FRAGMENTS), &c->im->fragments[i],
		       sizeof(c->im->fragments[i]));
}

static u32 listed_end(const struct image *im)
{
	return im->next_segment + min(im->geo.segments / 8, LISTED);
}

static void compose_open_list(struct composer *c)
{
	u32 nr;

	for (nr = c->im->next_segment; nr < listed_end(c->im); nr++) {
		struct cowp_open_rec *r = next_record(c, COWP_SECTION_OPEN_LIST);

		r->segment = cpu_to_le32(nr);
		r->incarnation = cpu_to_le32(image_incarnation(nr));
	}
}

static u32 fragments_in(const struct image *im, u32 nr)
{
	u32 count = 0, i;

	for (i = 0; i < im->fragment_count; i++)
		count += cowp_segment_of(&im->geo, le64_to_cpu(im->fragments[i].block)) == nr;
	return count;
}

static void compose_segment(const struct image *im, u32 nr, struct cowp_segment_rec *r)
{
	const struct plan *p = im->plan;

	if (nr < im->log_segments) {
		u64 first = (u64)nr * im->geo.slots;
		u32 live = min_t(u64, im->geo.slots, p->records - first);

		r->kind = COWP_SEGMENT_LOG;
		r->live = cpu_to_le32(live);
		r->max_epoch = cpu_to_le32(plan_epoch(p, first + live - 1));
	} else if (nr < im->next_segment) {
		r->kind = COWP_SEGMENT_RUN;
		r->live = cpu_to_le32(fragments_in(im, nr));
	} else if (nr < listed_end(im)) {
		r->kind = COWP_SEGMENT_LISTED;
	} else {
		r->kind = COWP_SEGMENT_FREE;
		return;
	}
	r->incarnation = cpu_to_le32(image_incarnation(nr));
}

static void compose_segments(struct composer *c)
{
	u32 nr;

	for (nr = 0; nr < c->im->geo.segments; nr++)
		compose_segment(c->im, nr, next_record(c, COWP_SECTION_SEGMENTS));
}

static void write_slot(struct image *im, u32 slot, u64 generation, u32 flags)
{
	struct composer c = { .im = im, .super = &im->super, .slot = slot, .crc = ~0U };
	u8 root[COWP_BLOCK_SIZE];

	c.body = malloc((size_t)im->super.body_max * COWP_BLOCK_SIZE);
	if (!c.body)
		give_up(im->name, "no memory");
	im->super.generation = generation;
	im->super.flags = flags;
	im->super.body_blocks = 0;
	compose_snapshots(&c);
	compose_fragments(&c);
	compose_open_list(&c);
	compose_segments(&c);
	end_block(&c);
	im->super.body_crc = c.crc;
	image_write(im, im->super.body_block[slot], c.body, im->super.body_blocks);
	cowp_root_encode(root, slot, &im->super);
	image_write(im, COWP_ROOT_BLOCK(slot), root, 1);
	free(c.body);
}

static void write_states(struct image *im)
{
	struct cowp_area_state s = {
		.sequence = SEQUENCE,
		.generation = GENERATION,
		.session = IMAGE_SESSION,
		.mode = COWP_MODE_NORMAL,
	};
	u8 block[COWP_BLOCK_SIZE];
	u32 copy;

	memcpy(s.uuid, im->super.uuid, sizeof(s.uuid));
	for (copy = 0; copy < COWP_SLOTS; copy++) {
		cowp_state_encode(block, copy, &s);
		image_write(im, COWP_STATE_BLOCK(copy), block, 1);
	}
}

void image_write_manifest(struct image *im)
{
	const struct plan *p = im->plan;

	if (listed_end(im) > im->geo.segments)
		give_up(im->name, "too few segments were laid out");
	im->super.created = CREATED;
	im->super.epoch = p->snapshots;
	im->super.live_sectors = plan_live_sectors(p);
	im->super.incarnation = image_incarnation(listed_end(im) - 1);
	im->super.last_batch = image_batch(p->records - 1, p->snapshots);
	im->super.replay_batch = im->super.last_batch;
	write_slot(im, 0, GENERATION - 1, 0);
	write_slot(im, 1, GENERATION, COWP_ROOT_CLEAN);
	write_states(im);
}
