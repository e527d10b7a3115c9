// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading a manifest's body: nothing in it is believed before its checksum,
 * its bounds and its agreement with the rest are checked.
 */
#include "recovery.h"

/* Forget what an earlier attempt, or an earlier life of the area, left. */
void cowp_recovery_forget(struct cowp_engine *eng)
{
	struct cowp_segments *s = &eng->segs;
	struct cowp_listed *l, *next;

	eng->tables = false;
	eng->snapshot_count = 0;
	cowp_index_clear(eng);
	list_for_each_entry_safe(l, next, &s->listed, node)
		list_move(&l->node, &s->unused);
	s->listed_count = 0;
	s->ready = 0;
	s->free = 0;
	s->limbo = 0;
	s->limbo_waits = false;
	s->next = 0;
	if (s->table)
		memset(s->table, 0, s->count * sizeof(*s->table));
	cowp_discard_forget(eng);
	eng->epoch = eng->super.epoch;
	eng->incarnation = eng->super.incarnation;
	eng->log.last = 0;
	eng->log.released = 0;
}

static const char *load_snapshot(struct cowp_engine *eng, const struct cowp_snapshot_rec *r)
{
	struct cowp_snapshot s = {
		.id = le32_to_cpu(r->id),
		.created = le64_to_cpu(r->created),
		.live_sectors = le64_to_cpu(r->live_sectors),
	};

	memcpy(s.label, r->label, sizeof(s.label));
	if (!s.id || s.id > eng->super.epoch)
		return "snapshot id";
	if (eng->snapshot_count && s.id <= eng->snapshots[eng->snapshot_count - 1].id)
		return "order of snapshots";
	if (s.live_sectors > eng->super.live_sectors)
		return "size of a snapshot";
	if (s.label[sizeof(s.label) - 1])
		return "label";
	if (eng->snapshot_count == COWP_MAX_SNAPSHOTS)
		return "number of snapshots";
	cowp_snapshot_add(eng, &s);
	return NULL;
}

static const char *load_fragment(struct cowp_engine *eng, const struct cowp_fragment_rec *r)
{
	struct cowp_index *x = &eng->index;
	const struct cowp_geometry *g = &eng->geo;
	struct cowp_fragment f = {
		.first_key = le64_to_cpu(r->first_key),
		.last_key = le64_to_cpu(r->last_key),
		.block = le64_to_cpu(r->block),
		.blocks = le32_to_cpu(r->blocks),
		.leaves = le32_to_cpu(r->leaves),
		.records = le32_to_cpu(r->records),
		.incarnation = le32_to_cpu(r->incarnation),
		.min_epoch = le32_to_cpu(r->min_epoch),
		.max_epoch = le32_to_cpu(r->max_epoch),
		.run = le32_to_cpu(r->run),
	};
	u64 end = g->first_segment + (u64)g->segments * g->segment_blocks;

	if (!f.records || f.records > (u64)g->segment_blocks * cowp_leaf_records() ||
	    f.leaves != DIV_ROUND_UP(f.records, cowp_leaf_records()) ||
	    f.blocks != cowp_tree_blocks(f.records))
		return "size of a fragment";
	if (f.block <= g->first_segment || f.block >= end ||
	    cowp_segment_of(g, f.block) != cowp_segment_of(g, f.block + f.blocks - 1))
		return "place of a fragment";
	if (f.run == ~0U)
		return "run of a fragment";
	if (f.first_key > f.last_key || f.min_epoch > f.max_epoch)
		return "range of a fragment";
	/* Epochs of the log that comes behind may be above the manifest's. */
	if (f.max_epoch > COWP_MAX_EPOCH)
		return "epoch of a fragment";
	if (x->fragment_count == COWP_MAX_FRAGMENTS)
		return "number of fragments";
	cowp_fragment_add(x, &f);
	x->next_run = max(x->next_run, f.run + 1);
	return NULL;
}

static const char *load_open(struct cowp_engine *eng, const struct cowp_open_rec *r)
{
	u32 segment = le32_to_cpu(r->segment);
	struct cowp_listed *l;

	if (segment >= eng->geo.segments || eng->segs.table[segment].kind == COWP_SEGMENT_LISTED)
		return "segment on the open list";
	l = cowp_segment_list(eng, segment, le32_to_cpu(r->incarnation));
	if (!l)
		return "length of the open list";
	l->state = COWP_LISTED_CLOSED;
	return NULL;
}

static const char *load_segment(struct cowp_engine *eng, u32 nr, const struct cowp_segment_rec *r)
{
	struct cowp_segment *seg = &eng->segs.table[nr];
	bool listed = seg->kind == COWP_SEGMENT_LISTED;
	u32 incarnation = le32_to_cpu(r->incarnation);

	if (r->kind >= COWP_SEGMENT_KINDS)
		return "kind of a segment";
	if (seg->kind != r->kind && (listed || r->kind == COWP_SEGMENT_LISTED))
		return "segment against the open list";
	if (listed && incarnation != seg->incarnation)
		return "segment against the open list";
	if (incarnation > eng->super.incarnation)
		return "incarnation";
	seg->kind = r->kind;
	seg->incarnation = incarnation;
	seg->max_epoch = le32_to_cpu(r->max_epoch);
	seg->live = le32_to_cpu(r->live);
	eng->segs.free += seg->kind == COWP_SEGMENT_FREE;
	return NULL;
}

static const char *finish(struct cowp_engine *eng)
{
	struct cowp_listed *l;
	u32 i;

	if (!cowp_runs_update(&eng->index))
		return "order of the runs";
	/* What the log brings comes on top. */
	list_for_each_entry(l, &eng->segs.listed, node) {
		l->max_epoch = eng->segs.table[l->segment].max_epoch;
		l->summaries = l->max_epoch;
	}
	for (i = 0; i < eng->index.fragment_count; i++) {
		const struct cowp_fragment *f = &eng->index.fragments[i];
		const struct cowp_segment *seg;

		seg = &eng->segs.table[cowp_segment_of(&eng->geo, f->block)];
		if (seg->kind != COWP_SEGMENT_RUN || seg->incarnation != f->incarnation)
			return "segment of a fragment";
	}
	return NULL;
}

static const char *load_block(struct cowp_engine *eng, const struct cowp_body_block *b,
			      u32 *segment)
{
	enum cowp_section section = le16_to_cpu(b->section);
	const u8 *at = b->data;
	const char *bad = NULL;
	u32 i;

	for (i = 0; !bad && i < le16_to_cpu(b->count); i++, at += cowp_section_bytes(section)) {
		switch (section) {
		case COWP_SECTION_SNAPSHOTS:
			bad = load_snapshot(eng, (const void *)at);
			break;
		case COWP_SECTION_FRAGMENTS:
			bad = load_fragment(eng, (const void *)at);
			break;
		case COWP_SECTION_OPEN_LIST:
			bad = load_open(eng, (const void *)at);
			break;
		default:
			if (*segment >= eng->geo.segments)
				return "number of segments";
			bad = load_segment(eng, (*segment)++, (const void *)at);
			break;
		}
	}
	return bad;
}

/*
 * cowp_body_load - take apart the body in cp.body
 *
 * Returns NULL, or what is wrong.
 */
const char *cowp_body_load(struct cowp_engine *eng)
{
	const struct cowp_super *s = &eng->super;
	u32 last = 0, segment = 0, crc = ~0U;
	u32 i;

	for (i = 0; i < s->body_blocks; i++) {
		const struct cowp_body_block *b = eng->cp.body[i];
		const char *bad = cowp_body_check(s, eng->cp.slot, i, b);

		if (!bad && le16_to_cpu(b->section) < last)
			bad = "order of sections";
		if (!bad)
			bad = load_block(eng, b, &segment);
		if (bad)
			return bad;
		last = le16_to_cpu(b->section);
		crc = port_crc32c(crc, &b->header.crc, sizeof(b->header.crc));
	}
	if (crc != s->body_crc)
		return "checksum of the body";
	if (segment != s->segments)
		return "number of segments";
	return finish(eng);
}
