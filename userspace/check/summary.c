// SPDX-License-Identifier: GPL-2.0-only
/* The summary blocks of a log segment: homes, ring, the newest version of each home. */
#include "check.h"

void summaries_init(struct check *c)
{
	struct summaries *s = &c->sum;
	u32 blocks = c->man.geo.homes + COWP_RING_BLOCKS;

	s->segment = COWP_NO_SEGMENT;
	s->blocks = xcalloc(blocks, COWP_BLOCK_SIZE);
	s->valid = xcalloc(blocks, sizeof(*s->valid));
	s->newest = xcalloc(c->man.geo.homes, sizeof(*s->newest));
}

void summaries_exit(struct check *c)
{
	free(c->sum.blocks);
	free(c->sum.valid);
	free(c->sum.newest);
}

static const struct cowp_summary *summary_at(const struct check *c, u32 i)
{
	return (const void *)(c->sum.blocks + (size_t)i * COWP_BLOCK_SIZE);
}

u64 summaries_block(const struct check *c, const struct cowp_summary *s)
{
	return cowp_home_block(&c->man.geo, c->sum.segment, 0) +
	       ((const u8 *)s - c->sum.blocks) / COWP_BLOCK_SIZE;
}

const struct cowp_entry *summary_entry(const struct check *c, const struct cowp_summary *s,
				       u32 i)
{
	return (const void *)(s->entries + i * c->man.geo.entry_bytes);
}

/* Entries that this one takes; 0: it cannot be. */
u32 summary_entry_size(const struct check *c, const struct cowp_summary *s, u32 i)
{
	const struct cowp_geometry *g = &c->man.geo;
	const struct cowp_entry *e = summary_entry(c, s, i);
	u32 slot = le32_to_cpu(e->slot);

	switch (e->type) {
	case COWP_ENTRY_CHUNK:
	case COWP_ENTRY_MOVED:
		return slot < g->slots;
	case COWP_ENTRY_BAD:
		return slot + 1 < g->slots;
	case COWP_ENTRY_VOID:
		return 1;
	case COWP_ENTRY_EPOCH:
		return i + g->epoch_entries <= le16_to_cpu(s->count) ? g->epoch_entries : 0;
	default:
		return 0;
	}
}

static bool valid_version(const struct check *c, const struct cowp_summary *s, u32 i)
{
	const struct cowp_geometry *g = &c->man.geo;

	return !cowp_check_header(s, COWP_MAGIC_SUMMARY, c->man.super.uuid,
				  cowp_home_block(g, c->sum.segment, i)) &&
	       le32_to_cpu(s->header.incarnation) == c->sum.incarnation &&
	       le32_to_cpu(s->segment) == c->sum.segment &&
	       le16_to_cpu(s->home) < g->homes && le16_to_cpu(s->count) <= g->entries &&
	       (i >= g->homes || le16_to_cpu(s->home) == i);
}

/* Read all of a segment; false if a block of it cannot be read. */
static bool read_blocks(struct check *c)
{
	u32 blocks = c->man.geo.homes + COWP_RING_BLOCKS;
	u64 first = cowp_home_block(&c->man.geo, c->sum.segment, 0);
	bool good = true;
	u32 i;

	if (!area_read(c->area, first, blocks, c->sum.blocks))
		return true;
	for (i = 0; i < blocks; i++) {
		void *to = c->sum.blocks + (size_t)i * COWP_BLOCK_SIZE;
		int error = area_read(c->area, first + i, 1, to);

		if (!error)
			continue;
		memset(to, 0, COWP_BLOCK_SIZE);
		finding(&c->findings, first + i,
			"summary of segment %u: %s; what it names cannot be recovered",
			c->sum.segment, strerror(-error));
		good = false;
	}
	return good;
}

/*
 * summaries_load - read the summaries of a log segment into c->sum
 *
 * Returns true if they were not there already.
 */
bool summaries_load(struct check *c, u32 segment, u32 incarnation)
{
	struct summaries *s = &c->sum;
	u32 homes = c->man.geo.homes;
	u32 i;

	if (s->segment == segment)
		return false;
	s->segment = segment;
	s->incarnation = incarnation;
	read_blocks(c);
	memset(s->newest, 0, homes * sizeof(*s->newest));
	for (i = 0; i < homes + COWP_RING_BLOCKS; i++) {
		const struct cowp_summary *v = summary_at(c, i), **best;

		s->valid[i] = valid_version(c, v, i);
		if (!s->valid[i])
			continue;
		best = &s->newest[le16_to_cpu(v->home)];
		if (!*best || le64_to_cpu(v->version) > le64_to_cpu((*best)->version))
			*best = v;
	}
	return true;
}
