/* SPDX-License-Identifier: GPL-2.0-only */
/* What happens when: a queue of calls ordered by virtual time. */
#ifndef SIM_EVENT_H
#define SIM_EVENT_H

#include <linux/types.h>

struct sim;

typedef void (*event_fn)(struct sim *s, void *arg);

struct event {
	u64 at;			/* microseconds */
	u64 tie;		/* order of those at one time: random, then by arrival */
	event_fn fn;
	void *arg;
};

struct event_queue {
	struct event *heap;
	u32 count;
	u32 room;
	u64 added;
};

void event_queue_init(struct event_queue *q);
void event_queue_exit(struct event_queue *q);

/* Forget everything: the machine stopped. */
void event_queue_clear(struct event_queue *q);
void event_add(struct event_queue *q, u64 at, u32 random, event_fn fn, void *arg);

/* Take the next one off; false if there is none at or before @until. */
bool event_next(struct event_queue *q, u64 until, struct event *e);

#endif /* SIM_EVENT_H */
