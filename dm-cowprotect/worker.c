// SPDX-License-Identifier: GPL-2.0-only
/*
 * The worker of an activation.  See worker.h.
 *
 * A round takes all input, lets the engine draw its conclusions, and starts
 * what these were; then the next, until there is no input.  While transfers of
 * one round are under way the input of the next gathers: that makes batches
 * without a timer that would delay a lonely writer.
 */
#include <linux/ktime.h>
#include <linux/random.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include "budget.h"
#include "shell.h"
#include "snapshot.h"
#include "worker.h"

/* Rounds before others get the workqueue's processor. */
#define MAX_ROUNDS	32

/* Of the engine in one round: on a RAM disk a write is read, written and let go. */
#define MAX_RUNS	4

/*
 * How long a new activation waits for the one before to let go of the diff
 * device; after that it is missing, and a fault or a wait as any missing one.
 */
#define PREDECESSOR_MS	10000

/* With the queues' threads and the clones, of which this leaves most to them. */
static_assert(sizeof(struct cowp_port) <= COWP_SHELL_BYTES / 8);

/* The longest sleep, to be clear of what jiffies can express. */
#define HOUR_MS		(3600 * MSEC_PER_SEC)

/**
 * cowp_port_now - the engine's clock
 *
 * Any context.  Returns monotonic milliseconds, a timer tick late at most: no
 * wait of the engine is finer, and it is asked in each round.
 */
u64 cowp_port_now(void)
{
	return ktime_to_ms(ktime_get_coarse());
}

/**
 * port_random - random numbers for the shape of trees
 * @p:		the activation
 *
 * Who has the engine.
 */
u32 port_random(struct cowp_port *p)
{
	return prandom_u32_state(&p->random);
}

/**
 * cowp_port_kick - have the worker look at its input
 * @p:		the activation
 *
 * Any context.
 */
void cowp_port_kick(struct cowp_port *p)
{
	/* The worker itself, as by a transfer that ends while it is submitted. */
	if (cowp_port_runs(p))
		p->kicked = true;
	else
		queue_work(p->wq, &p->work);
}

/**
 * cowp_port_flag - tell the worker
 * @p:		the activation
 * @flag:	what
 *
 * Any context.
 */
void cowp_port_flag(struct cowp_port *p, enum cowp_port_flag flag)
{
	set_bit(flag, &p->flags);
	cowp_port_kick(p);
}

/**
 * cowp_port_set_diff - have another diff device used
 * @p:		the activation
 * @diff:	the device, one reference of the caller's goes along; NULL: none
 *
 * Process context; does not sleep.
 */
void cowp_port_set_diff(struct cowp_port *p, struct cowp_leg *diff)
{
	struct cowp_leg *old;

	spin_lock_irq(&p->lock);
	old = p->new_diff;
	p->new_diff = diff;
	set_bit(COWP_PORT_DIFF, &p->flags);
	spin_unlock_irq(&p->lock);
	cowp_leg_put(old);
	cowp_port_kick(p);
}

/**
 * cowp_port_set_sectors - the live volume has another size
 * @p:		the activation
 * @sectors:	from now on
 *
 * Process context; does not sleep.
 */
void cowp_port_set_sectors(struct cowp_port *p, u64 sectors)
{
	spin_lock_irq(&p->lock);
	p->new_sectors = sectors;
	set_bit(COWP_PORT_RESIZE, &p->flags);
	spin_unlock_irq(&p->lock);
	cowp_port_kick(p);
}

/**
 * cowp_port_tune - another table has been resumed
 * @p:		the activation
 * @cfg:	of that table
 *
 * Any context.
 */
void cowp_port_tune(struct cowp_port *p, const struct cowp_config *cfg)
{
	spin_lock_irq(&p->lock);
	p->new_limits = *cfg;
	set_bit(COWP_PORT_TUNE, &p->flags);
	spin_unlock_irq(&p->lock);
	cowp_port_kick(p);
}

/**
 * cowp_port_leg - a device of the activation
 * @p:		the activation
 * @dev:	which
 *
 * Any context.  Returns it with a reference, or NULL if it is absent.
 */
struct cowp_leg *cowp_port_leg(struct cowp_port *p, enum cowp_dev dev)
{
	struct cowp_leg *leg;
	unsigned long flags;

	spin_lock_irqsave(&p->leg_lock, flags);
	leg = p->leg[dev];
	if (leg)
		cowp_leg_get(leg);
	spin_unlock_irqrestore(&p->leg_lock, flags);
	return leg;
}

/**
 * cowp_port_post - have something done by the worker
 * @p:		the activation
 * @r:		what; initialised but for @list and @done.  Its function may free
 *		it if nobody waits for it
 *
 * Process context; does not sleep.
 */
void cowp_port_post(struct cowp_port *p, struct cowp_request *r)
{
	r->waited = false;
	spin_lock_irq(&p->lock);
	list_add_tail(&r->list, &p->requests);
	spin_unlock_irq(&p->lock);
	cowp_port_kick(p);
}

/**
 * cowp_port_call - have something done by the worker, and wait
 * @p:		the activation
 * @r:		what; initialised but for @list and @done
 *
 * May sleep, killable.  The worker waits for no device but the live one.
 * Returns 0 or, if the caller was killed before it was done, -EINTR.
 */
int cowp_port_call(struct cowp_port *p, struct cowp_request *r)
{
	bool queued;

	init_completion(&r->done);
	r->waited = true;
	spin_lock_irq(&p->lock);
	list_add_tail(&r->list, &p->requests);
	spin_unlock_irq(&p->lock);
	cowp_port_kick(p);

	if (!wait_for_completion_killable(&r->done))
		return 0;

	spin_lock_irq(&p->lock);
	queued = !list_empty(&r->list);
	list_del_init(&r->list);
	spin_unlock_irq(&p->lock);
	if (queued)
		return -EINTR;
	/* The worker is at it, and does not sleep in there. */
	wait_for_completion(&r->done);
	return 0;
}

static void take_requests(struct cowp_port *p)
{
	struct cowp_request *r;
	bool waited;

	/* Whoever adds one kicks afterwards. */
	while (!list_empty_careful(&p->requests)) {
		spin_lock_irq(&p->lock);
		r = list_first_entry_or_null(&p->requests, struct cowp_request, list);
		if (r)
			list_del_init(&r->list);
		spin_unlock_irq(&p->lock);
		if (!r)
			return;
		waited = r->waited;
		r->fn(p, r);
		if (waited)
			complete(&r->done);
	}
}

/*
 * The diff device of a new activation is left alone until the one before has
 * let go of it: its last writes could land among ours.
 */
static bool predecessor_gone(struct cowp_port *p)
{
	return !atomic_read(&p->volume->old_ports);
}

static void take_diff(struct cowp_port *p)
{
	struct cowp_leg *old, *new;

	if (!test_bit(COWP_PORT_DIFF, &p->flags) || !predecessor_gone(p))
		return;
	spin_lock_irq(&p->lock);
	clear_bit(COWP_PORT_DIFF, &p->flags);
	new = p->new_diff;
	p->new_diff = NULL;
	spin_unlock_irq(&p->lock);

	spin_lock_irq(&p->leg_lock);
	old = p->leg[COWP_DIFF];
	p->leg[COWP_DIFF] = new;
	spin_unlock_irq(&p->leg_lock);
	cowp_leg_put(old);
	if (p->started && !p->retired)
		cowp_engine_diff_changed(p->eng);
}

static void take_size(struct cowp_port *p)
{
	u64 sectors;

	if (!p->started || !test_and_clear_bit(COWP_PORT_RESIZE, &p->flags))
		return;
	spin_lock_irq(&p->lock);
	sectors = p->new_sectors;
	spin_unlock_irq(&p->lock);
	cowp_engine_live_resized(p->eng, sectors);
}

static void take_limits(struct cowp_port *p)
{
	struct cowp_config cfg;

	clear_bit(COWP_PORT_TUNE, &p->flags);
	spin_lock_irq(&p->lock);
	cfg = p->new_limits;
	spin_unlock_irq(&p->lock);
	cowp_engine_tune(p->eng, &cfg);
}

static void take_start(struct cowp_port *p)
{
	/* It may have been closed while it waited for the one before. */
	if (p->started || p->closed || !test_bit(COWP_PORT_START, &p->flags))
		return;
	if (!p->start_by)
		p->start_by = cowp_port_now() + PREDECESSOR_MS;
	if (test_bit(COWP_PORT_DIFF, &p->flags) && cowp_port_now() < p->start_by)
		return;
	p->started = true;
	cowp_engine_start(p->eng);
}

static void port_closed(struct cowp_port *p)
{
	WRITE_ONCE(p->closed, true);
	/* If it was retired meanwhile that is to be carried out now. */
	cowp_port_kick(p);
	cowp_volume_port_closed(p->volume);
}

static void take_close(struct cowp_port *p)
{
	if (!test_and_clear_bit(COWP_PORT_CLOSE, &p->flags))
		return;
	if (!p->started) {
		port_closed(p);
		return;
	}
	p->close_msg.op = COWP_MSG_CLOSE;
	cowp_engine_message(p->eng, &p->close_msg);
}

static void take_retire(struct cowp_port *p)
{
	/* A close under way is worth the wait: it saves the next one a replay. */
	if (!test_bit(COWP_PORT_RETIRE, &p->flags) || p->retired || !p->closed)
		return;
	p->retired = true;
	cowp_engine_cancel(p->eng);
	/*
	 * From now on the sequence counts do not move any more.  Reads of a
	 * snapshot that are under way must not believe them: the next
	 * activation may let the live device be overwritten.
	 */
	WRITE_ONCE(p->fast->lost, p->fast->lost + 1);
	/* The volume's reference, which came with the flag. */
	cowp_port_put(p);
}

/* Snapshot reads wait here while the engine recovers: a suspend can reach them. */
static void take_lookups(struct cowp_port *p)
{
	struct cowp_lookup *l, *next;
	LIST_HEAD(list);

	if (list_empty_careful(&p->lookups))
		return;
	if (!p->retired && (!p->started ||
			    READ_ONCE(p->status->state) == COWP_STATE_RECOVERING))
		return;
	spin_lock_irq(&p->lock);
	list_splice_init(&p->lookups, &list);
	spin_unlock_irq(&p->lock);

	list_for_each_entry_safe(l, next, &list, wait.node) {
		list_del_init(&l->wait.node);
		if (p->retired) {
			l->answered = 0;
			l->error = -ESTALE;
			cowp_snapshot_found(l);
		} else {
			cowp_engine_lookup(p->eng, l);
		}
	}
}

/* With the engine.  Begins what the worker goes on with, or gets the answer. */
static enum cowp_lookup_result lookup(struct cowp_port *p, struct cowp_lookup *l)
{
	bool answered;

	if (!p->started || p->retired ||
	    READ_ONCE(p->status->state) == COWP_STATE_RECOVERING)
		return COWP_LOOKUP_NOT_NOW;
	cowp_engine_lookup(p->eng, l);
	answered = cowp_snapshot_asked(l);
	if (!answered || l->error)
		cowp_port_kick(p);
	return answered ? COWP_LOOKUP_ANSWERED : COWP_LOOKUP_LATER;
}

/**
 * cowp_port_lookup - ask for a snapshot's chunks without the worker
 * @p:		the activation; the caller has a reference
 * @l:		the question
 *
 * Process context; does not sleep.
 *
 * COWP_LOOKUP_NOT_NOW: the worker is at work, or nothing can be answered yet;
 * COWP_LOOKUP_LATER: the answer comes by the worker, or has come, and neither @l
 * nor that reference are the caller's any more; COWP_LOOKUP_ANSWERED: it is there.
 */
enum cowp_lookup_result cowp_port_lookup(struct cowp_port *p, struct cowp_lookup *l)
{
	enum cowp_lookup_result r = COWP_LOOKUP_NOT_NOW;

	/*
	 * The worker waits for whoever has the engine: a reader of low priority,
	 * or one whose group has used up its quota, must not be put aside with it.
	 */
	preempt_disable();
	if (mutex_trylock(&p->engine)) {
		/* The answer may end the read, and with it the last reference. */
		cowp_port_get(p);
		r = lookup(p, l);
		mutex_unlock(&p->engine);
		cowp_port_put(p);
	}
	preempt_enable();
	return r;
}

static bool more_input(struct cowp_port *p)
{
	return !llist_empty(&p->done) || cowp_gate_more(p) || !list_empty_careful(&p->requests);
}

static u64 next_tick(struct cowp_port *p, u64 next)
{
	if (!p->started && test_bit(COWP_PORT_START, &p->flags))
		return p->start_by;
	return next;
}

static void set_tick(struct cowp_port *p, u64 next)
{
	u64 now, delay;

	/* One that comes early does no harm, and saves setting it each time. */
	if (next >= p->tick_at)
		return;
	now = cowp_port_now();
	p->tick_at = next;
	delay = next > now ? min_t(u64, next - now, HOUR_MS) : 0;
	mod_delayed_work(p->wq, &p->tick, msecs_to_jiffies(delay));
}

/* What ends while it is submitted, as on a RAM disk, is taken at once. */
static u64 run_engine(struct cowp_port *p)
{
	int runs = 0;
	u64 next;

	do {
		cowp_io_deliver(p);
		next = cowp_engine_run(p->eng, cowp_port_now());
	} while (++runs < MAX_RUNS && !llist_empty(&p->done));
	return next;
}

static u64 port_round(struct cowp_port *p)
{
	struct blk_plug plug;
	u64 next = ~0ULL;

	blk_start_plug(&plug);
	take_diff(p);
	take_size(p);
	if (test_bit(COWP_PORT_TUNE, &p->flags))
		take_limits(p);
	take_start(p);
	take_requests(p);
	cowp_gate_take(p);
	take_close(p);
	take_retire(p);
	take_lookups(p);
	if (p->started)
		next = run_engine(p);
	else
		cowp_io_deliver(p);
	cowp_gate_submit(p);
	blk_finish_plug(&plug);
	return next_tick(p, next);
}

/* With the engine. */
static void port_run(struct cowp_port *p)
{
	u64 next;
	int rounds = 0;

	WRITE_ONCE(p->runner, current);
	do {
		p->kicked = false;
		next = port_round(p);
	} while (++rounds < MAX_ROUNDS &&
		 (p->kicked || more_input(p) || next <= cowp_port_now()));
	WRITE_ONCE(p->runner, NULL);
	if (rounds == MAX_ROUNDS)
		cowp_port_kick(p);
	set_tick(p, next);
}

static void port_work(struct work_struct *work)
{
	struct cowp_port *p = container_of(work, struct cowp_port, work);

	mutex_lock(&p->engine);
	port_run(p);
	mutex_unlock(&p->engine);
}

static void port_tick(struct work_struct *work)
{
	struct cowp_port *p = container_of(work, struct cowp_port, tick.work);

	mutex_lock(&p->engine);
	p->tick_at = ~0ULL;
	port_run(p);
	mutex_unlock(&p->engine);
}

/**
 * port_msg_done - a message was carried out, or not
 * @p:		the activation
 * @m:		the message
 * @error:	0 or -errno
 *
 * Worker.
 */
void port_msg_done(struct cowp_port *p, struct cowp_msg *m, int error)
{
	struct cowp_message *message = container_of(m, struct cowp_message, msg);

	if (m == &p->close_msg) {
		/* -ENODATA: of a lost volume there is nothing to close. */
		if (error && error != -ENODATA)
			DMWARN("%s: not closed cleanly (error %d): the next activation replays",
			       p->volume->name, error);
		port_closed(p);
		return;
	}
	message->answer(message, error);
}

/**
 * port_lookup_done - the places of a snapshot's chunks were found
 * @p:		the activation
 * @l:		the lookup
 *
 * The worker, or a reader in cowp_port_lookup().
 */
void port_lookup_done(struct cowp_port *p, struct cowp_lookup *l)
{
	cowp_snapshot_found(l);
}

static void port_takedown(struct work_struct *work)
{
	struct cowp_port *p = container_of(work, struct cowp_port, takedown);
	struct cowp_volume *v = p->volume;
	bool counted = test_bit(COWP_PORT_RETIRE, &p->flags);

	/* Nobody is left to kick it; what runs may set the tick once more. */
	cancel_work_sync(&p->work);
	cancel_delayed_work_sync(&p->tick);
	take_requests(p);
	destroy_workqueue(p->wq);
	destroy_workqueue(p->submit_wq);

	mempool_exit(&p->errands);
	cowp_engine_free(p->eng);
	cowp_leg_close(p->leg[COWP_LIVE]);
	cowp_leg_close(p->leg[COWP_DIFF]);
	cowp_leg_close(p->new_diff);
	kfree(p);

	if (counted)
		cowp_volume_port_gone(v);
	cowp_volume_put(v);
}

static void port_release(struct kref *ref)
{
	struct cowp_port *p = container_of(ref, struct cowp_port, ref);

	/* The last reference may go in an interrupt, or on the worker itself. */
	queue_work(cowp_wq, &p->takedown);
}

/**
 * cowp_port_put - drop a reference
 * @p:		the activation, or NULL
 *
 * Any context.
 */
void cowp_port_put(struct cowp_port *p)
{
	if (p)
		kref_put(&p->ref, port_release);
}

static void port_init(struct cowp_port *p, const struct cowp_config *cfg)
{
	u32 chunk_bytes = cfg->chunk_blocks * COWP_BLOCK_SIZE;

	kref_init(&p->ref);
	INIT_WORK(&p->work, port_work);
	INIT_DELAYED_WORK(&p->tick, port_tick);
	INIT_WORK(&p->takedown, port_takedown);
	init_llist_head(&p->done);
	prandom_seed_state(&p->random, get_random_u64());
	mutex_init(&p->engine);
	spin_lock_init(&p->lock);
	spin_lock_init(&p->leg_lock);
	bio_list_init(&p->bios);
	bio_list_init(&p->held);
	bio_list_init(&p->go);
	bio_list_init(&p->again);
	INIT_LIST_HEAD(&p->lookups);
	INIT_LIST_HEAD(&p->requests);
	INIT_LIST_HEAD(&p->owned);
	p->tick_at = ~0ULL;
	p->few = -1;
	p->chunk_shift = ilog2(cfg->chunk_blocks * COWP_BLOCK_SECTORS);
	/* A write that needs megabytes copied is better done in pieces. */
	p->write_chunks = clamp(SZ_4M / chunk_bytes, 1U, COWP_WRITE_CHUNKS);
}

/**
 * cowp_port_new - make an activation
 * @v:		its volume
 * @cfg:	for the engine
 * @live:	the live device; on success the caller's reference goes along
 *
 * May sleep: all memory is allocated here.  Nothing is read or written before
 * COWP_PORT_START.  Returns it with one reference, or an ERR_PTR.
 */
struct cowp_port *cowp_port_new(struct cowp_volume *v, const struct cowp_config *cfg,
				struct cowp_leg *live)
{
	struct cowp_port *p = kzalloc(sizeof(*p), GFP_KERNEL);
	int r = -ENOMEM;

	if (!p)
		return ERR_PTR(-ENOMEM);
	port_init(p, cfg);
	/*
	 * On the processor that the input came from, as kcopyd's: a step that wakes
	 * another one costs more there than all that is done in it.
	 */
	p->wq = alloc_workqueue("cowprotect/%u:%u", WQ_MEM_RECLAIM, 0,
				MAJOR(v->dev), MINOR(v->dev));
	if (!p->wq)
		goto no_wq;
	p->submit_wq = alloc_workqueue("cowprotect_diff/%u:%u", WQ_MEM_RECLAIM, 0,
				       MAJOR(v->dev), MINOR(v->dev));
	if (!p->submit_wq)
		goto no_submit_wq;
	/* The engine's constructor may ask for the size of the live device. */
	p->leg[COWP_LIVE] = live;
	r = cowp_engine_new(&p->eng, cfg, p);
	if (r)
		goto no_engine;
	r = cowp_errands_init(p);
	if (r)
		goto no_errands;
	p->fast = cowp_engine_fast(p->eng);
	p->status = cowp_engine_status(p->eng);
	kref_get(&v->ref);
	p->volume = v;
	return p;

no_errands:
	cowp_engine_free(p->eng);
no_engine:
	destroy_workqueue(p->submit_wq);
no_submit_wq:
	destroy_workqueue(p->wq);
no_wq:
	kfree(p);
	return ERR_PTR(r);
}
