// SPDX-License-Identifier: GPL-2.0-only
/*
 * The manifest's tables: the segment table against the open list, incarnations,
 * the fragments' places.
 */
#include "check.h"

static const char * const kind_words[COWP_SEGMENT_KINDS] = {
	[COWP_SEGMENT_FREE] = "free",
	[COWP_SEGMENT_LISTED] = "listed",
	[COWP_SEGMENT_LOG] = "log",
	[COWP_SEGMENT_RUN] = "run",
	[COWP_SEGMENT_MOVED] = "moved",
};

static u64 table_block(const struct check *c, u32 segment)
{
	return manifest_block(&c->man, COWP_SECTION_SEGMENTS, segment);
}

static void check_segment(struct check *c, u32 nr)
{
	const struct cowp_segment *seg = &c->man.segments[nr];

	if (seg->kind >= COWP_SEGMENT_KINDS) {
		finding(&c->findings, table_block(c, nr),
			"segment table: segment %u is of kind %u, which there is not; recovery refuses the area",
			nr, seg->kind);
		return;
	}
	if (seg->kind == COWP_SEGMENT_FREE) {
		if (seg->incarnation || seg->max_epoch || seg->live)
			finding(&c->findings, table_block(c, nr),
				"segment table: segment %u is free, but has incarnation %u, epoch %u, live count %u",
				nr, seg->incarnation, seg->max_epoch, seg->live);
		return;
	}
	if (!seg->incarnation || seg->incarnation > c->man.super.incarnation)
		finding(&c->findings, table_block(c, nr),
			"segment table: segment %u, %s, has incarnation %u, outside of 1..%u; recovery refuses the area",
			nr, kind_words[seg->kind], seg->incarnation, c->man.super.incarnation);
	if (seg->max_epoch > c->man.super.epoch)
		finding(&c->findings, table_block(c, nr),
			"segment table: segment %u, %s, has epoch %u, above the current %u; it is freed too late",
			nr, kind_words[seg->kind], seg->max_epoch, c->man.super.epoch);
	if (seg->kind != COWP_SEGMENT_RUN && seg->live > c->man.geo.slots)
		finding(&c->findings, table_block(c, nr),
			"segment table: segment %u, %s, has live count %u and %u slots; no cleaner will take it",
			nr, kind_words[seg->kind], seg->live, c->man.geo.slots);
}

static void check_open_list(struct check *c)
{
	struct manifest *m = &c->man;
	bool *on_list = xcalloc(m->segment_count, sizeof(*on_list));
	u32 i;

	for (i = 0; i < m->open_count; i++) {
		u32 nr = le32_to_cpu(m->open[i].segment);
		const struct cowp_segment *seg = &m->segments[nr];
		u64 block = manifest_block(m, COWP_SECTION_OPEN_LIST, i);

		if (on_list[nr])
			finding(&c->findings, block,
				"open list: segment %u twice; recovery refuses the area", nr);
		on_list[nr] = true;
		if (seg->kind != COWP_SEGMENT_LISTED)
			finding(&c->findings, block,
				"open list: segment %u, which the segment table does not have as listed; recovery refuses the area",
				nr);
		else if (seg->incarnation != le32_to_cpu(m->open[i].incarnation))
			finding(&c->findings, block,
				"open list: segment %u with incarnation %u, in the segment table %u; recovery refuses the area",
				nr, le32_to_cpu(m->open[i].incarnation), seg->incarnation);
	}
	for (i = 0; i < m->segment_count; i++)
		if (m->segments[i].kind == COWP_SEGMENT_LISTED && !on_list[i])
			finding(&c->findings, table_block(c, i),
				"segment table: segment %u is listed, but not on the open list; recovery refuses the area",
				i);
	free(on_list);
}

static int by_incarnation(const void *a, const void *b, void *segments)
{
	const struct cowp_segment *table = segments;
	u32 x = table[*(const u32 *)a].incarnation, y = table[*(const u32 *)b].incarnation;

	return x < y ? -1 : x > y;
}

static void check_incarnations(struct check *c)
{
	struct manifest *m = &c->man;
	u32 *order = xcalloc(m->segment_count, sizeof(*order));
	u32 n = 0, i;

	for (i = 0; i < m->segment_count; i++)
		if (m->segments[i].kind != COWP_SEGMENT_FREE)
			order[n++] = i;
	qsort_r(order, n, sizeof(*order), by_incarnation, m->segments);
	for (i = 1; i < n; i++)
		if (m->segments[order[i]].incarnation == m->segments[order[i - 1]].incarnation)
			finding(&c->findings, table_block(c, order[i]),
				"segment table: incarnation %u in segments %u and %u; what is dead in one may be believed",
				m->segments[order[i]].incarnation, order[i - 1], order[i]);
	free(order);
}

static void check_fragment(struct check *c, u32 i)
{
	const struct cowp_fragment *f = &c->man.fragments[i];
	u32 nr = cowp_segment_of(&c->man.geo, f->block);
	const struct cowp_segment *seg = &c->man.segments[nr];
	u64 block = manifest_block(&c->man, COWP_SECTION_FRAGMENTS, i);

	c->use[nr].fragments++;
	if (seg->kind != COWP_SEGMENT_RUN)
		finding(&c->findings, block,
			"list of fragments: fragment at block %llu is in segment %u, which is not one of runs; recovery refuses the area",
			f->block, nr);
	else if (seg->incarnation != f->incarnation)
		finding(&c->findings, block,
			"list of fragments: fragment at block %llu has incarnation %u, segment %u has %u; recovery refuses the area",
			f->block, f->incarnation, nr, seg->incarnation);
	if (c->oldest > COWP_MAX_EPOCH)
		finding(&c->findings, block,
			"list of fragments: fragment at block %llu, though there is no snapshot; it should have been dropped",
			f->block);
	if (f->max_epoch > c->man.super.epoch)
		finding(&c->findings, block,
			"list of fragments: fragment at block %llu goes up to epoch %u, above the current %u",
			f->block, f->max_epoch, c->man.super.epoch);
}

static int by_block(const void *a, const void *b)
{
	const struct cowp_fragment *const *x = a, *const *y = b;

	return (*x)->block < (*y)->block ? -1 : (*x)->block > (*y)->block;
}

static void check_overlap(struct check *c)
{
	struct manifest *m = &c->man;
	const struct cowp_fragment **order = xcalloc(m->fragment_count, sizeof(*order));
	u32 i;

	for (i = 0; i < m->fragment_count; i++)
		order[i] = &m->fragments[i];
	qsort(order, m->fragment_count, sizeof(*order), by_block);
	for (i = 1; i < m->fragment_count; i++)
		if (order[i - 1]->block + order[i - 1]->blocks > order[i]->block)
			finding(&c->findings, order[i]->block,
				"fragments at blocks %llu and %llu overlap; one of them is overwritten",
				order[i - 1]->block, order[i]->block);
	free(order);
}

static int by_key(const void *a, const void *b)
{
	const struct cowp_fragment *const *x = a, *const *y = b;

	if ((*x)->run != (*y)->run)
		return (*x)->run < (*y)->run ? -1 : 1;
	return (*x)->first_key < (*y)->first_key ? -1 : (*x)->first_key > (*y)->first_key;
}

static void check_runs_order(struct check *c)
{
	struct manifest *m = &c->man;
	const struct cowp_fragment **order = xcalloc(m->fragment_count, sizeof(*order));
	u32 runs = 0, i;

	for (i = 0; i < m->fragment_count; i++)
		order[i] = &m->fragments[i];
	qsort(order, m->fragment_count, sizeof(*order), by_key);
	for (i = 0; i < m->fragment_count; i++) {
		if (!i || order[i]->run != order[i - 1]->run)
			runs++;
		else if (order[i]->first_key <= order[i - 1]->last_key)
			finding(&c->findings,
				manifest_block(m, COWP_SECTION_FRAGMENTS, order[i] - m->fragments),
				"list of fragments: those at blocks %llu and %llu overlap in run %u; recovery refuses the area",
				order[i - 1]->block, order[i]->block, order[i]->run);
	}
	if (runs > COWP_MAX_RUNS)
		finding(&c->findings, manifest_block(m, COWP_SECTION_FRAGMENTS, 0),
			"list of fragments: %u runs, %u are possible; recovery refuses the area",
			runs, COWP_MAX_RUNS);
	free(order);
}

void check_tables(struct check *c)
{
	struct manifest *m = &c->man;
	u32 i;

	c->oldest = m->snapshot_count ? m->snapshots[0].id : COWP_MAX_EPOCH + 1;
	/* One more for records that name none of them. */
	c->use = xcalloc(m->segment_count + 1, sizeof(*c->use));
	for (i = 0; i < m->segment_count; i++)
		check_segment(c, i);
	check_open_list(c);
	check_incarnations(c);
	for (i = 0; i < m->fragment_count; i++)
		check_fragment(c, i);
	check_overlap(c);
	check_runs_order(c);
}
