// SPDX-License-Identifier: GPL-2.0-only
/*
 * Live counts: what the segment table says against every record and fragment
 * of the index, read from the device directly.  One too low frees a segment
 * that is needed, one too high never frees it.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"
#include "sim.h"

/* Nothing is on its way from one place of the index to another. */
static bool at_rest(const struct cowp_engine *eng)
{
	const struct cowp_index *x = &eng->index;

	return eng->loaded && eng->cp.step == COWP_CP_IDLE && !x->frozen && !x->dropping &&
	       x->merge.state != COWP_MERGE_DONE;
}

static void count_leaf(struct sim *s, const struct cowp_fragment *f, u32 index, u32 *live)
{
	const struct cowp_segments *segs = &s->eng->segs;
	const struct cowp_run_block *leaf =
		(const void *)s->diff.visible->page[f->block + index]->data;
	u32 i;

	/* Damaged where the history meant it to be: nothing can be said. */
	for (i = 0; i < le16_to_cpu(leaf->count); i++) {
		struct cowp_place p;
		struct cowp_rec rec;

		cowp_rec_decode(&rec, &leaf->records[i]);
		p = cowp_place_of(rec.location);
		if (rec.key >= f->first_key && p.segment < segs->count &&
		    cowp_holds_chunks(segs->table[p.segment].kind) &&
		    segs->table[p.segment].incarnation == rec.incarnation)
			live[p.segment]++;
	}
}

void counts_check(struct sim *s)
{
	struct cowp_engine *eng = s->eng;
	u32 *live, i, leaf;

	if (!eng || !at_rest(eng))
		return;
	live = calloc(eng->segs.count + 1, sizeof(*live));
	for (i = 0; i < eng->index.fragment_count; i++) {
		const struct cowp_fragment *f = &eng->index.fragments[i];

		live[cowp_segment_of(&eng->geo, f->block)]++;
		for (leaf = 0; leaf < f->leaves; leaf++)
			count_leaf(s, f, leaf, live);
	}
	for (i = 0; i < eng->segs.count; i++) {
		const struct cowp_segment *seg = &eng->segs.table[i];

		if (seg->kind == COWP_SEGMENT_FREE || seg->kind >= COWP_SEGMENT_KINDS)
			continue;
		if (seg->live != live[i])
			sim_fail(s,
				 "segment %u (kind %u, incarnation %u): count %u, %u point to it",
				 i, seg->kind, seg->incarnation, seg->live, live[i]);
	}
	free(live);
	stats_count(s->stats, STAT_COUNTED);
}
