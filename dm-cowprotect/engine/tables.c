// SPDX-License-Identifier: GPL-2.0-only
/*
 * The memory whose size the area decides: the segment table and the blocks of
 * the manifest's body.
 */
#include "internal.h"

/* Make the table larger; what is in it stays.  Returns 0 or -ENOMEM. */
int cowp_segments_resize(struct cowp_engine *eng, u32 count)
{
	struct cowp_segments *s = &eng->segs;
	struct cowp_segment *table = cowp_alloc(eng, count * sizeof(*table));

	if (!table)
		return -ENOMEM;
	if (s->table)
		memcpy(table, s->table, min(s->count, count) * sizeof(*table));
	cowp_free(eng, s->table, s->count * sizeof(*table));
	s->table = table;
	if (count > s->count)
		s->free += count - s->count;
	s->count = count;
	cowp_segments_limits(eng);
	return 0;
}

/* Memory for the bodies of an area of so many segments.  Returns 0 or -ENOMEM. */
int cowp_manifest_resize(struct cowp_engine *eng, u32 segments)
{
	struct cowp_checkpoint *cp = &eng->cp;
	u32 blocks = cowp_body_max(segments);
	void **body;

	if (blocks <= cp->body_capacity)
		return 0;
	body = cowp_alloc(eng, blocks * sizeof(*body));
	if (!body)
		return -ENOMEM;
	if (cp->body)
		memcpy(body, cp->body, cp->body_capacity * sizeof(*body));
	cowp_free(eng, cp->body, cp->body_capacity * sizeof(*body));
	cp->body = body;
	for (; cp->body_capacity < blocks; cp->body_capacity++) {
		body[cp->body_capacity] = cowp_alloc_block(eng);
		if (!body[cp->body_capacity])
			return -ENOMEM;
	}
	return 0;
}
