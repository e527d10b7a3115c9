// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the fixed blocks of a diff device say, before anything is activated.
 */
#include "engine.h"
#include "format.h"

/* What has been seen of a device so far. */
struct sight {
	bool readable;
	bool written;		/* a block that is not zero */
	bool ours;		/* a magic number of ours */
	bool unsupported;	/* a root that only a newer module understands */
	bool valid;		/* a valid root */
	bool lost;		/* the newest valid state */
	u64 sequence;
};

static bool is_zero(const void *block)
{
	return !memchr_inv(block, 0, COWP_BLOCK_SIZE);
}

static bool has_magic(const void *block, u32 magic)
{
	const struct cowp_header *h = block;

	return le32_to_cpu(h->magic) == magic;
}

static bool is_unsupported(const struct cowp_root *r)
{
	return le32_to_cpu(r->version) != COWP_FORMAT_VERSION ||
	       le32_to_cpu(r->incompat) & ~COWP_INCOMPAT_KNOWN ||
	       le32_to_cpu(r->ro_compat) & ~COWP_RO_COMPAT_KNOWN;
}

static void look_at_root(struct sight *see, const void *block, u32 slot, u64 device_blocks,
			 struct cowp_area_info *info)
{
	const struct cowp_root *r = block;
	struct cowp_super s;

	see->readable = true;
	see->written |= !is_zero(block);
	see->ours |= has_magic(block, COWP_MAGIC_ROOT);
	if (cowp_check_header(block, COWP_MAGIC_ROOT, NULL, COWP_ROOT_BLOCK(slot)))
		return;
	see->unsupported |= is_unsupported(r);
	if (!see->valid)
		memcpy(info->uuid, r->header.uuid, sizeof(info->uuid));
	if (cowp_root_decode(&s, block, slot, NULL, device_blocks) ||
	    (see->valid && s.generation < info->generation))
		return;
	see->valid = true;
	memcpy(info->uuid, s.uuid, sizeof(info->uuid));
	info->chunk_blocks = s.chunk_blocks;
	info->live_sectors = s.live_sectors;
	info->area_blocks = s.area_blocks;
	info->generation = s.generation;
}

static void look_at_state(struct sight *see, const void *block, u32 copy)
{
	struct cowp_area_state s;

	see->readable = true;
	see->written |= !is_zero(block);
	see->ours |= has_magic(block, COWP_MAGIC_STATE);
	if (cowp_state_decode(&s, block, copy, NULL) || s.sequence < see->sequence)
		return;
	see->sequence = s.sequence;
	see->lost = s.lost;
}

enum cowp_area cowp_area_probe(const void *const root[COWP_SLOTS],
			       const void *const state[COWP_SLOTS],
			       u64 device_blocks, struct cowp_area_info *info)
{
	struct sight see = { 0 };
	u32 i;

	memset(info, 0, sizeof(*info));
	for (i = 0; i < COWP_SLOTS; i++) {
		if (root[i])
			look_at_root(&see, root[i], i, device_blocks, info);
		if (state[i])
			look_at_state(&see, state[i], i);
	}
	info->snapshots = see.valid && !see.lost;
	if (!see.readable)
		return COWP_AREA_UNREADABLE;
	if (see.unsupported)
		return COWP_AREA_UNSUPPORTED;
	if (see.valid)
		return COWP_AREA_OURS;
	if (see.ours)
		return COWP_AREA_CORRUPT;
	return see.written ? COWP_AREA_FOREIGN : COWP_AREA_BLANK;
}

const char *cowp_area_fits(u32 chunk_blocks, u64 device_blocks)
{
	struct cowp_super s = { .chunk_blocks = chunk_blocks };

	return cowp_layout(&s, device_blocks);
}
