// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading a manifest's body, as the engine's body.c does, but telling all that
 * is wrong and going on where that makes sense.
 */
#include "area.h"

struct reader {
	struct manifest *m;
	struct findings *f;
	u64 block;		/* that is being taken apart */
};

u64 fragment_level(const struct cowp_fragment *f, u32 level, u32 *blocks)
{
	u64 block = f->block;

	*blocks = f->leaves;
	while (level--) {
		block += *blocks;
		*blocks = DIV_ROUND_UP(*blocks, cowp_node_keys());
	}
	return block;
}

u32 fragment_top(const struct cowp_fragment *f)
{
	u32 blocks = f->leaves;
	u32 level = 0;

	for (; blocks > 1; level++)
		blocks = DIV_ROUND_UP(blocks, cowp_node_keys());
	return level;
}

u64 manifest_block(const struct manifest *m, enum cowp_section section, u32 record)
{
	return m->section[section] + record / cowp_section_records(section);
}

static void take_snapshot(struct reader *r, const struct cowp_snapshot_rec *rec)
{
	struct manifest *m = r->m;
	struct cowp_snapshot *s = &m->snapshots[m->snapshot_count];
	u32 id = le32_to_cpu(rec->id);

	if (m->snapshot_count == COWP_MAX_SNAPSHOTS) {
		finding(r->f, r->block,
			"snapshot table: more than %u snapshots; recovery refuses the area",
			COWP_MAX_SNAPSHOTS);
		return;
	}
	s->id = id;
	s->created = le64_to_cpu(rec->created);
	s->live_sectors = le64_to_cpu(rec->live_sectors);
	memcpy(s->label, rec->label, sizeof(s->label));
	if (!id || id > m->super.epoch)
		finding(r->f, r->block,
			"snapshot table: id %u is not in 1..%u, the current epoch; recovery refuses the area",
			id, m->super.epoch);
	if (m->snapshot_count && id <= s[-1].id)
		finding(r->f, r->block,
			"snapshot table: id %u stands behind %u; recovery refuses the area",
			id, s[-1].id);
	if (!s->live_sectors || s->live_sectors > m->super.live_sectors)
		finding(r->f, r->block,
			"snapshot table: snapshot %u has %llu sectors, the live volume %llu; recovery refuses the area",
			id, s->live_sectors, m->super.live_sectors);
	if (s->label[sizeof(s->label) - 1])
		finding(r->f, r->block,
			"snapshot table: the label of snapshot %u has no end; recovery refuses the area",
			id);
	s->label[sizeof(s->label) - 1] = 0;
	m->snapshot_count++;
}

static const char *bad_fragment(const struct manifest *m, const struct cowp_fragment *f)
{
	const struct cowp_geometry *g = &m->geo;
	u64 end = g->first_segment + (u64)g->segments * g->segment_blocks;

	if (!f->records || f->records > (u64)g->segment_blocks * cowp_leaf_records() ||
	    f->leaves != DIV_ROUND_UP(f->records, cowp_leaf_records()) ||
	    f->blocks != cowp_tree_blocks(f->records))
		return "blocks, leaves and records do not agree";
	if (f->block <= g->first_segment || f->block >= end ||
	    cowp_segment_of(g, f->block) != cowp_segment_of(g, f->block + f->blocks - 1) ||
	    f->block == cowp_segment_block(g, cowp_segment_of(g, f->block)))
		return "it does not lie behind the header of one segment";
	if (f->first_key > f->last_key || f->min_epoch > f->max_epoch ||
	    f->max_epoch > COWP_MAX_EPOCH)
		return "its range of keys or epochs is impossible";
	return NULL;
}

static void take_fragment(struct reader *r, const struct cowp_fragment_rec *rec)
{
	struct manifest *m = r->m;
	struct cowp_fragment f = {
		.first_key = le64_to_cpu(rec->first_key),
		.last_key = le64_to_cpu(rec->last_key),
		.block = le64_to_cpu(rec->block),
		.blocks = le32_to_cpu(rec->blocks),
		.leaves = le32_to_cpu(rec->leaves),
		.records = le32_to_cpu(rec->records),
		.incarnation = le32_to_cpu(rec->incarnation),
		.min_epoch = le32_to_cpu(rec->min_epoch),
		.max_epoch = le32_to_cpu(rec->max_epoch),
		.run = le32_to_cpu(rec->run),
	};
	const char *bad = bad_fragment(m, &f);

	if (bad) {
		finding(r->f, r->block,
			"list of fragments: fragment at block %llu: %s; recovery refuses the area",
			f.block, bad);
		return;
	}
	if (m->fragment_count == COWP_MAX_FRAGMENTS) {
		finding(r->f, r->block,
			"list of fragments: more than %u; recovery refuses the area",
			COWP_MAX_FRAGMENTS);
		return;
	}
	m->fragments[m->fragment_count++] = f;
}

static void take_open(struct reader *r, const struct cowp_open_rec *rec)
{
	struct manifest *m = r->m;

	if (le32_to_cpu(rec->segment) >= m->geo.segments)
		finding(r->f, r->block,
			"open list: segment %u of %u; recovery refuses the area",
			le32_to_cpu(rec->segment), m->geo.segments);
	else if (m->open_count == COWP_OPEN_LIST_MAX)
		finding(r->f, r->block,
			"open list: more than %u segments; recovery refuses the area",
			COWP_OPEN_LIST_MAX);
	else
		m->open[m->open_count++] = *rec;
}

static void take_segment(struct reader *r, const struct cowp_segment_rec *rec)
{
	struct manifest *m = r->m;
	struct cowp_segment *seg;

	if (m->segment_count == m->geo.segments)
		return;
	seg = &m->segments[m->segment_count++];
	seg->incarnation = le32_to_cpu(rec->incarnation);
	seg->max_epoch = le32_to_cpu(rec->max_epoch);
	seg->live = le32_to_cpu(rec->live);
	seg->kind = rec->kind;
}

static void take_block(struct reader *r, const struct cowp_body_block *b)
{
	enum cowp_section section = le16_to_cpu(b->section);
	const u8 *at = b->data;
	u32 i;

	if (!r->m->section[section])
		r->m->section[section] = r->block;
	for (i = 0; i < le16_to_cpu(b->count); i++, at += cowp_section_bytes(section)) {
		switch (section) {
		case COWP_SECTION_SNAPSHOTS:
			take_snapshot(r, (const void *)at);
			break;
		case COWP_SECTION_FRAGMENTS:
			take_fragment(r, (const void *)at);
			break;
		case COWP_SECTION_OPEN_LIST:
			take_open(r, (const void *)at);
			break;
		default:
			take_segment(r, (const void *)at);
			break;
		}
	}
}

bool manifest_read(struct manifest *m, const struct area *a, const struct cowp_super *super,
		   u32 slot, struct findings *f)
{
	struct cowp_body_block *b = xcalloc(1, COWP_BLOCK_SIZE);
	struct reader r = { .m = m, .f = f };
	u32 last = 0, counted = 0, crc = ~0U;
	bool good = true;
	u32 i;

	memset(m, 0, sizeof(*m));
	m->super = *super;
	m->slot = slot;
	cowp_geometry_init(&m->geo, super->chunk_blocks, super->segment_blocks);
	m->geo.segments = super->segments;
	m->geo.first_segment = super->first_segment;
	m->snapshots = xcalloc(COWP_MAX_SNAPSHOTS, sizeof(*m->snapshots));
	m->fragments = xcalloc(COWP_MAX_FRAGMENTS, sizeof(*m->fragments));
	m->open = xcalloc(COWP_OPEN_LIST_MAX, sizeof(*m->open));
	m->segments = xcalloc(super->segments, sizeof(*m->segments));

	for (i = 0; i < super->body_blocks; i++) {
		int error;
		const char *bad;

		r.block = super->body_block[slot] + i;
		error = area_read(a, r.block, 1, b);
		bad = error ? strerror(-error) : cowp_body_check(super, slot, i, b);
		if (!bad && le16_to_cpu(b->section) < last)
			bad = "order of sections";
		if (bad) {
			finding(f, r.block,
				"body of manifest %llu, block %u of %u: %s; recovery refuses the area",
				super->generation, i, super->body_blocks, bad);
			good = false;
			continue;
		}
		last = le16_to_cpu(b->section);
		if (last == COWP_SECTION_SEGMENTS)
			counted += le16_to_cpu(b->count);
		crc = port_crc32c(crc, &b->header.crc, sizeof(b->header.crc));
		take_block(&r, b);
	}
	if (good && crc != super->body_crc)
		finding(f, COWP_ROOT_BLOCK(slot),
			"root, slot %u: the checksum over the body does not match; recovery refuses the area",
			slot);
	if (good && counted != super->segments) {
		finding(f, super->body_block[slot],
			"segment table: %u records for %u segments; recovery refuses the area",
			counted, super->segments);
		good = false;
	}
	free(b);
	return good;
}

void manifest_free(struct manifest *m)
{
	free(m->snapshots);
	free(m->fragments);
	free(m->open);
	free(m->segments);
	memset(m, 0, sizeof(*m));
}

bool manifest_choose(struct manifest *m, const struct area *a, struct fixed *fixed,
		     struct findings *f)
{
	u32 slot = fixed->slot;
	const struct cowp_super *best = &fixed->super[slot], *before = &fixed->super[!slot];
	struct findings quiet = { 0 };
	bool good;

	good = manifest_read(m, a, best, slot, &quiet);
	if (!quiet.count)
		return good;
	manifest_free(m);
	if (!fixed->bad_root[!slot] && fixed->newest >= 0 &&
	    before->generation >= fixed->copy[fixed->newest].generation) {
		quiet.count = 0;
		good = manifest_read(m, a, before, !slot, &quiet);
		if (!quiet.count) {
			note(f, COWP_ROOT_BLOCK(slot),
			     "root, slot %u: the body of manifest %llu is not whole; a checkpoint that failed leaves this, and manifest %llu counts",
			     slot, best->generation, before->generation);
			fixed->slot = !slot;
			return good;
		}
		manifest_free(m);
	}
	return manifest_read(m, a, best, slot, f);
}
