/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An activation of a volume: the engine, the thread that it runs in, the
 * devices that it has open, and the bios that wait for it.
 *
 * Everything reaches the engine through one work item, the worker.  Other contexts
 * leave what they have on the input lists and kick it.  It is of normal priority: a
 * high-priority one runs before the next write has come and so makes a batch of each.
 */
#ifndef COWP_WORKER_H
#define COWP_WORKER_H

#include <linux/completion.h>
#include <linux/llist.h>
#include <linux/mempool.h>
#include <linux/mutex.h>
#include <linux/prandom.h>
#include "leg.h"
#include "volume.h"

/* States and faults that were not told to userspace yet. */
#define COWP_EVENT_RING		16U

struct cowp_event_note {
	u8 mode;
	u8 state;
	u8 fault;
	bool marked;
	int error;
	const char *detail;
};

enum cowp_port_flag {
	COWP_PORT_START,	/* the first resume */
	COWP_PORT_CLOSE,	/* the last live target is gone */
	COWP_PORT_RETIRE,	/* nobody needs it any more */
	COWP_PORT_DIFF,		/* @new_diff is to be used from now on */
	COWP_PORT_RESIZE,	/* @new_sectors */
	COWP_PORT_TUNE,		/* @new_limits */
	COWP_PORT_REQUEUE,	/* noflush suspend: bios that wait go back */
	COWP_PORT_REGATE,	/* what is held may go, or must fail */
};

/**
 * struct cowp_port - an activation
 * @ref:	the volume's, targets', one for each io under way and each
 *		snapshot read
 * @volume:	its volume
 * @eng:	the engine
 * @fast:	its part for all contexts
 * @status:	likewise
 * @chunk_shift: log2 of the sectors of a chunk
 * @write_chunks: most chunks of one bio that may need a copy
 * @wq:		the worker's
 * @submit_wq:	where a submission to the diff device may sleep
 * @work:	the worker
 * @engine:	for whoever calls the engine: the worker, its tick, and readers of a
 *		snapshot who find it free
 * @runner:	the task that it runs in, while it runs
 * @kicked:	by itself: another round
 * @random:	state of port_random()
 * @tick:	likewise, later
 * @flags:	enum cowp_port_flag
 * @error_if_blocked: fail what would be held while a fault stands
 * @table_error_if_blocked: what the table said that was resumed last
 * @live_sectors: size of the live volume by that table
 * @done:	input: transfers that ended
 * @lock:	for the input lists below and the event ring; taken in interrupts
 * @bios:	input: bios to the live volume that cannot pass
 * @lookups:	input: snapshot reads
 * @requests:	input: struct cowp_request
 * @new_diff:	input: device to use from now on, under @lock
 * @new_sectors: input: size of the live volume, under @lock
 * @new_limits:	input: for cowp_engine_tune(), under @lock
 * @leg_lock:	for @leg against other contexts than the worker's
 * @leg:	the devices, NULL where absent
 * @held:	bios that the gate holds
 * @nr_held:	how many
 * @owned:	struct cowp_live_io that the engine has
 * @nr_owned:	how many
 * @overwrites:	bios that the engine let go, and that did not end yet
 * @few:	kick when these are so many, -1: never
 * @go:		bios to submit
 * @again:	bios to put through the gate again
 * @cancelling:	being taken back from the engine
 * @started:	recovery was started
 * @start_by:	engine time at which it starts without the diff device if that
 *		is still in the hands of the activation before
 * @closing:	the closing checkpoint was asked for
 * @closed:	the closing checkpoint has ended, well or not
 * @retired:	cancelled; only waits for I/O
 * @close_msg:	for the engine
 * @tick_at:	engine time for which @tick is set, ~0 for none
 * @events:	ring of what to tell
 * @event_head:	next to be written
 * @event_tail:	next to be read
 * @base:	counters at the last stats_reset, under @lock
 * @errands:	memory for messages (message.c)
 * @takedown:	frees it
 *
 * Fields between @held and @tick_at are the worker's own, but that the ends of bios
 * count @overwrites down and look at @few.
 */
struct cowp_port {
	struct kref ref;
	struct cowp_volume *volume;
	struct cowp_engine *eng;
	struct cowp_fast *fast;
	const struct cowp_status *status;
	u32 chunk_shift;
	u32 write_chunks;
	struct workqueue_struct *wq;
	struct workqueue_struct *submit_wq;
	struct work_struct work;
	struct mutex engine;		/* eng */
	struct task_struct *runner;
	bool kicked;
	struct rnd_state random;
	struct delayed_work tick;
	unsigned long flags;
	bool error_if_blocked;
	bool table_error_if_blocked;
	u64 live_sectors;

	struct llist_head done;
	spinlock_t lock;		/* input lists, events, base */
	struct bio_list bios;
	struct list_head lookups;
	struct list_head requests;
	struct cowp_leg *new_diff;
	u64 new_sectors;
	struct cowp_config new_limits;

	spinlock_t leg_lock;		/* leg */
	struct cowp_leg *leg[2];

	struct bio_list held;
	atomic_t nr_held;
	struct list_head owned;
	atomic_t nr_owned;
	atomic_t overwrites;
	int few;
	struct bio_list go;
	struct bio_list again;
	struct cowp_waiter *cancelling;
	bool started;
	u64 start_by;
	bool closing;
	bool closed;
	bool retired;
	struct cowp_msg close_msg;
	u64 tick_at;

	struct cowp_event_note events[COWP_EVENT_RING];
	u32 event_head;
	u32 event_tail;
	struct cowp_status base;
	mempool_t errands;
	struct work_struct takedown;
};

/**
 * struct cowp_request - something to be done by the worker
 * @list:	in cowp_port.requests
 * @fn:		what; must not sleep
 * @waited:	somebody waits for @done
 * @done:	it was done
 */
struct cowp_request {
	struct list_head list;
	void (*fn)(struct cowp_port *p, struct cowp_request *r);
	bool waited;
	struct completion done;
};

/**
 * struct cowp_message - a message to the engine, and who waits for its answer
 * @msg:	for the engine
 * @answer:	called by the worker with the answer, once
 * @error:	the answer
 * @answered:	it is there
 */
struct cowp_message {
	struct cowp_msg msg;
	void (*answer)(struct cowp_message *m, int error);
	int error;
	struct completion answered;
};

enum cowp_lookup_result {
	COWP_LOOKUP_NOT_NOW,
	COWP_LOOKUP_LATER,
	COWP_LOOKUP_ANSWERED,
};

struct cowp_port *cowp_port_new(struct cowp_volume *v, const struct cowp_config *cfg,
				struct cowp_leg *live);
void cowp_port_put(struct cowp_port *p);
void cowp_port_kick(struct cowp_port *p);
void cowp_port_flag(struct cowp_port *p, enum cowp_port_flag flag);
void cowp_port_set_diff(struct cowp_port *p, struct cowp_leg *diff);
void cowp_port_set_sectors(struct cowp_port *p, u64 sectors);
void cowp_port_tune(struct cowp_port *p, const struct cowp_config *cfg);
struct cowp_leg *cowp_port_leg(struct cowp_port *p, enum cowp_dev dev);
void cowp_port_post(struct cowp_port *p, struct cowp_request *r);
int cowp_port_call(struct cowp_port *p, struct cowp_request *r);
enum cowp_lookup_result cowp_port_lookup(struct cowp_port *p, struct cowp_lookup *l);
u64 cowp_port_now(void);

/* Is this the worker? */
static inline bool cowp_port_runs(struct cowp_port *p)
{
	return in_task() && READ_ONCE(p->runner) == current;
}

static inline struct cowp_port *cowp_port_get(struct cowp_port *p)
{
	kref_get(&p->ref);
	return p;
}

/* message.c */
int cowp_errands_init(struct cowp_port *p);

/* io.c */
void cowp_io_deliver(struct cowp_port *p);

/* gate.c */
int cowp_gate_map(struct cowp_port *p, struct dm_target *ti, struct bio *bio);
void cowp_gate_done(struct bio *bio);
void cowp_gate_take(struct cowp_port *p);
bool cowp_gate_more(struct cowp_port *p);
void cowp_gate_submit(struct cowp_port *p);

#endif /* COWP_WORKER_H */
