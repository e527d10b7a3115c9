// SPDX-License-Identifier: GPL-2.0-only
#include <stdlib.h>

#include "event.h"

void event_queue_init(struct event_queue *q)
{
	*q = (struct event_queue) { .room = 256 };
	q->heap = malloc(q->room * sizeof(*q->heap));
	if (!q->heap)
		abort();
}

void event_queue_exit(struct event_queue *q)
{
	free(q->heap);
}

void event_queue_clear(struct event_queue *q)
{
	q->count = 0;
}

static bool before(const struct event *a, const struct event *b)
{
	return a->at != b->at ? a->at < b->at : a->tie < b->tie;
}

void event_add(struct event_queue *q, u64 at, u32 random, event_fn fn, void *arg)
{
	struct event e = {
		.at = at,
		.tie = (u64)random << 32 | (u32)q->added++,
		.fn = fn,
		.arg = arg,
	};
	u32 i = q->count++;

	if (q->count > q->room) {
		q->room *= 2;
		q->heap = realloc(q->heap, q->room * sizeof(*q->heap));
		if (!q->heap)
			abort();
	}
	while (i && before(&e, &q->heap[(i - 1) / 2])) {
		q->heap[i] = q->heap[(i - 1) / 2];
		i = (i - 1) / 2;
	}
	q->heap[i] = e;
}

bool event_next(struct event_queue *q, u64 until, struct event *e)
{
	struct event last;
	u32 i = 0;

	if (!q->count || q->heap[0].at > until)
		return false;
	*e = q->heap[0];
	last = q->heap[--q->count];
	for (;;) {
		u32 child = 2 * i + 1;

		if (child >= q->count)
			break;
		if (child + 1 < q->count && before(&q->heap[child + 1], &q->heap[child]))
			child++;
		if (!before(&q->heap[child], &last))
			break;
		q->heap[i] = q->heap[child];
		i = child;
	}
	if (q->count)
		q->heap[i] = last;
	return true;
}
