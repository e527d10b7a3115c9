// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory whose size the area decides: the segment table and the blocks of
 * the manifest's body.
 *
 * Recovery makes it, when it has read how large the area is, and growth, before
 * anything says that the area is larger.  All of it is there or nothing has
 * changed.  It never shrinks: an older manifest may be of a smaller area.
 */
#include "budget.h"
#include "internal.h"

static void set_limit(struct cowp_engine *eng, u32 segments, u64 old)
{
	struct cowp_budget b;

	cowp_budget(&b, &eng->cfg, segments);
	WRITE_ONCE(eng->status.memory_limit, b.total + old);
}

/* The new table and body, the body's old blocks first. */
static int make(struct cowp_engine *eng, u32 segments, struct cowp_segment **table, void ***body)
{
	u32 had = eng->cp.body_capacity;
	u32 want = cowp_body_max(segments);
	u32 i = had;

	*table = cowp_alloc(eng, segments * sizeof(**table));
	*body = cowp_alloc(eng, want * sizeof(**body));
	for (; *table && *body && i < want; i++) {
		(*body)[i] = cowp_alloc_block(eng);
		if (!(*body)[i])
			break;
	}
	if (*table && *body && i == want)
		return 0;
	while (i-- > had)
		cowp_free_block(eng, (*body)[i]);
	cowp_free(eng, *body, want * sizeof(**body));
	cowp_free(eng, *table, segments * sizeof(**table));
	return -ENOMEM;
}

static int enlarge(struct cowp_engine *eng, u32 segments)
{
	struct cowp_segments *s = &eng->segs;
	struct cowp_checkpoint *cp = &eng->cp;
	u64 table_bytes = s->capacity * sizeof(*s->table);
	u64 body_bytes = cp->body_capacity * sizeof(*cp->body);
	struct cowp_segment *table;
	void **body;

	/* For a moment there are both. */
	set_limit(eng, segments, cowp_footprint(table_bytes) + cowp_footprint(body_bytes));
	if (make(eng, segments, &table, &body)) {
		set_limit(eng, s->capacity, 0);
		return -ENOMEM;
	}
	if (s->table)
		memcpy(table, s->table, table_bytes);
	if (cp->body)
		memcpy(body, cp->body, body_bytes);
	cowp_free(eng, s->table, table_bytes);
	cowp_free(eng, cp->body, body_bytes);
	s->table = table;
	s->capacity = segments;
	cp->body = body;
	cp->body_capacity = cowp_body_max(segments);
	set_limit(eng, segments, 0);
	return 0;
}

/*
 * cowp_tables_resize - the area has so many segments
 *
 * What is in the table stays; segments beyond are free.  Returns 0, or -ENOMEM
 * with everything as it was.
 */
int cowp_tables_resize(struct cowp_engine *eng, u32 segments)
{
	struct cowp_segments *s = &eng->segs;

	if (segments > s->capacity && enlarge(eng, segments))
		return -ENOMEM;
	if (segments > s->count) {
		memset(&s->table[s->count], 0, (segments - s->count) * sizeof(*s->table));
		s->free += segments - s->count;
	}
	s->count = segments;
	cowp_segments_limits(eng);
	return 0;
}

/* Before the area is known, and for those who look at the status. */
void cowp_tables_init(struct cowp_engine *eng)
{
	set_limit(eng, 0, 0);
}
