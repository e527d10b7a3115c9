// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the segment table says against what points into the segments, and the
 * headers.
 *
 * Live counts are exact: one too low frees a segment that is needed, one too high
 * keeps it for ever.
 */
#include "check.h"

static void check_header(struct check *c, u32 nr)
{
	const struct cowp_segment *seg = &c->man.segments[nr];
	u64 block = cowp_segment_block(&c->man.geo, nr);
	struct cowp_segment_header *h = xcalloc(1, COWP_BLOCK_SIZE);
	u8 kind = seg->kind == COWP_SEGMENT_LISTED ? COWP_SEGMENT_LOG : seg->kind;
	int error = area_read(c->area, block, 1, h);
	const char *bad;

	bad = error ? strerror(-error) :
		      cowp_check_header(h, COWP_MAGIC_SEGMENT, c->man.super.uuid, block);
	if (!bad && le32_to_cpu(h->header.incarnation) != seg->incarnation)
		bad = "incarnation";
	if (bad && kind == COWP_SEGMENT_LOG && !error) {
		note(&c->findings, block,
		     "header of segment %u: %s; a crash may have lost it, what is in the segment is found without",
		     nr, bad);
		free(h);
		return;
	}
	if (!bad && le32_to_cpu(h->segment) != nr)
		bad = "number of the segment";
	if (!bad && h->kind != kind)
		bad = "kind of the segment";
	if (bad)
		finding(&c->findings, block,
			"header of segment %u: %s; what is in the segment is still found", nr, bad);
	else
		check_session(c, h, block, "segment header");
	free(h);
}

static void check_counts(struct check *c, u32 nr)
{
	const struct cowp_segment *seg = &c->man.segments[nr];
	const struct usage *u = &c->use[nr];
	u64 block = manifest_block(&c->man, COWP_SECTION_SEGMENTS, nr);

	if (seg->kind == COWP_SEGMENT_RUN && seg->live != u->fragments)
		finding(&c->findings, block,
			"segment table: segment %u has live count %u and %u fragments; it is freed too %s",
			nr, seg->live, u->fragments, seg->live < u->fragments ? "soon" : "late");
	else if (cowp_holds_chunks(seg->kind) && seg->live != u->records)
		finding(&c->findings, block,
			"segment table: segment %u has live count %u and %u records; it is freed too %s",
			nr, seg->live, u->records, seg->live < u->records ? "soon" : "late");
}

/*
 * Headers of run and moved segments are durable before a manifest refers to what
 * is in them.  That of a log
 * segment is written beside its first batch: a power cut may take the header
 * and leave the rest of a batch, which recovery then believes, since summaries
 * and data carry all that it needs.
 */
static bool needs_header(const struct check *c, u32 nr)
{
	const struct cowp_segment *seg = &c->man.segments[nr];
	const struct usage *u = &c->use[nr];

	switch (seg->kind) {
	case COWP_SEGMENT_LOG:
		return u->records || seg->max_epoch;
	case COWP_SEGMENT_LISTED:
		return u->records || u->replayed || seg->max_epoch;
	case COWP_SEGMENT_MOVED:
		return u->records;
	case COWP_SEGMENT_RUN:
		return u->fragments;
	default:
		return false;
	}
}

void check_segments(struct check *c)
{
	u32 i;

	for (i = 0; i < c->man.segment_count; i++) {
		if (c->man.segments[i].kind >= COWP_SEGMENT_KINDS)
			continue;
		check_counts(c, i);
		if (needs_header(c, i))
			check_header(c, i);
	}
}
