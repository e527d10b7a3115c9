// SPDX-License-Identifier: GPL-2.0-only
/*
 * What becomes of a bio to the live volume.
 *
 * The map function passes what may pass: reads after a test of one word, writes
 * after a test of a bit a chunk.  It never sleeps.  Everything else goes to the
 * worker, which alone changes the gate and so can go by its word without a race.
 *
 *	gate		reads, flushes	changes
 *	OPEN		pass		pass
 *	PRESERVE	pass		pass if every chunk is preserved; else wait
 *					for the engine
 *	SHUT		pass		held
 *	BLOCKED		held		held
 *
 * What is held fails instead while a fault stands, by option, and goes back to
 * device-mapper in a noflush suspend.
 */
#include "engine.h"
#include "gate.h"
#include "shell.h"

/* A discard is looked at in pieces of at most so many chunks. */
#define DISCARD_CHUNKS	16384U

/* Changes the live device, other than by making durable what is there. */
static bool changes(struct bio *bio)
{
	return op_is_write(bio_op(bio)) && bio_sectors(bio);
}

static bool is_discard(struct bio *bio)
{
	return bio_op(bio) == REQ_OP_DISCARD;
}

static u64 first_chunk(struct cowp_port *p, struct bio *bio)
{
	return bio->bi_iter.bi_sector >> p->chunk_shift;
}

static u64 chunk_count(struct cowp_port *p, struct bio *bio)
{
	u64 last = (bio_end_sector(bio) - 1) >> p->chunk_shift;

	return last - first_chunk(p, bio) + 1;
}

/* How many chunks from @chunk on, @max at most, are preserved (or are not). */
static u64 run_of(struct cowp_port *p, u64 chunk, u64 max, bool preserved)
{
	u32 epoch = READ_ONCE(p->fast->epoch);

	return cowp_bits_run(&p->fast->bits, chunk, max, epoch, preserved);
}

/* Have device-mapper send the rest of the bio as another one. */
static void cut(struct cowp_port *p, struct bio *bio, u64 chunks)
{
	sector_t end = (first_chunk(p, bio) + chunks) << p->chunk_shift;

	if (end < bio_end_sector(bio))
		dm_accept_partial_bio(bio, end - bio->bi_iter.bi_sector);
}

static void leave(struct cowp_port *p, u32 parity)
{
	if (cowp_gate_leave(&p->fast->gate, parity))
		cowp_port_kick(p);
}

static int pass(struct cowp_live_io *io, u32 parity)
{
	io->parity = parity;
	io->inside = true;
	return DM_MAPIO_REMAPPED;
}

/*
 * Between presuspend and the end of a noflush suspend what cannot pass goes
 * back at once.  device-mapper turns that into an I/O error when the suspend
 * has been interrupted meanwhile; hence its own flag is asked each time, last
 * thing before the answer.
 */
static bool going_back(struct bio *bio)
{
	struct cowp_live_io *io = cowp_live_io(bio);

	return test_bit(COWP_PORT_REQUEUE, &io->port->flags) && dm_noflush_suspending(io->ti);
}

static int to_worker(struct cowp_port *p, struct bio *bio)
{
	unsigned long flags;

	if (going_back(bio))
		return DM_MAPIO_REQUEUE;
	spin_lock_irqsave(&p->lock, flags);
	bio_list_add(&p->bios, bio);
	spin_unlock_irqrestore(&p->lock, flags);
	cowp_port_kick(p);
	return DM_MAPIO_SUBMITTED;
}

/*
 * A discard is advice.  Copying what it discards to the diff area would fill it
 * by each fstrim, so chunks that are not preserved are left as they are.
 */
static int map_discard(struct cowp_port *p, struct bio *bio, enum cowp_gate_word word,
		       u32 parity)
{
	u64 chunk = first_chunk(p, bio);
	u64 max = min_t(u64, chunk_count(p, bio), DISCARD_CHUNKS);
	u64 n;

	if (word != COWP_GATE_PRESERVE) {
		leave(p, parity);
		cut(p, bio, max);
		return to_worker(p, bio);
	}
	n = run_of(p, chunk, max, true);
	if (n) {
		cut(p, bio, n);
		return pass(cowp_live_io(bio), parity);
	}
	/* The first one may have been preserved since; it was not when asked. */
	cut(p, bio, max_t(u64, run_of(p, chunk, max, false), 1));
	leave(p, parity);
	bio_endio(bio);
	return DM_MAPIO_SUBMITTED;
}

/* How many of the first chunks of a write can wait together. */
static u64 bite(struct cowp_port *p, u64 chunk, u64 count)
{
	u32 epoch = READ_ONCE(p->fast->epoch);
	u64 n, copies = 0;

	if (count <= p->write_chunks)
		return count;
	count = min_t(u64, count, COWP_WRITE_CHUNKS);
	for (n = 0; n < count; n++)
		if (!cowp_bits_test(&p->fast->bits, chunk + n, epoch) &&
		    ++copies > p->write_chunks)
			break;
	return n;
}

static int map_change(struct cowp_port *p, struct bio *bio)
{
	u64 chunk = first_chunk(p, bio);
	u64 count = chunk_count(p, bio);
	enum cowp_gate_word word;
	u32 parity;

	word = cowp_gate_enter(&p->fast->gate, &parity);
	if (word == COWP_GATE_OPEN)
		return pass(cowp_live_io(bio), parity);
	if (is_discard(bio))
		return map_discard(p, bio, word, parity);
	if (word == COWP_GATE_PRESERVE) {
		u64 n = run_of(p, chunk, count, true);

		/* What is preserved is not split, unless it could not wait in one piece. */
		if (n == count || n >= COWP_WRITE_CHUNKS) {
			cut(p, bio, n);
			return pass(cowp_live_io(bio), parity);
		}
	}
	leave(p, parity);
	/* The pieces are cut here: later device-mapper does not take them any more. */
	cut(p, bio, bite(p, chunk, count));
	return to_worker(p, bio);
}

/**
 * cowp_gate_map - let a bio pass, or give it to the worker
 * @p:		the activation
 * @ti:		the target
 * @bio:	of device-mapper, with the live device set
 *
 * Any context that may submit I/O; does not sleep.  Returns DM_MAPIO_*.
 */
int cowp_gate_map(struct cowp_port *p, struct dm_target *ti, struct bio *bio)
{
	struct cowp_live_io *io = cowp_live_io(bio);

	io->port = p;
	io->ti = ti;
	io->overwrite = false;
	io->inside = false;
	if (changes(bio))
		return map_change(p, bio);
	if (READ_ONCE(p->fast->gate.word) == COWP_GATE_BLOCKED)
		return to_worker(p, bio);
	return DM_MAPIO_REMAPPED;
}

static void overwritten(struct cowp_port *p)
{
	/* A full barrier: port_overwrites() sees this one, or is seen. */
	if (atomic_dec_return(&p->overwrites) == READ_ONCE(p->few))
		cowp_port_kick(p);
}

/**
 * cowp_gate_done - a bio to the live volume has ended
 * @bio:	the bio, whatever became of it
 *
 * Any context.
 */
void cowp_gate_done(struct bio *bio)
{
	struct cowp_live_io *io = cowp_live_io(bio);

	if (io->overwrite)
		overwritten(io->port);
	io->overwrite = false;
	if (io->inside)
		leave(io->port, io->parity);
	io->inside = false;
}

/* Worker: nothing changes the gate between this and the submission's count. */
static void let_go(struct cowp_port *p, struct bio *bio)
{
	struct cowp_live_io *io = cowp_live_io(bio);

	if (changes(bio)) {
		cowp_gate_enter(&p->fast->gate, &io->parity);
		io->inside = true;
	}
	bio_list_add(&p->go, bio);
}

static void hold(struct cowp_port *p, struct bio *bio)
{
	if (READ_ONCE(p->error_if_blocked) &&
	    READ_ONCE(p->status->state) == COWP_STATE_BLOCKED) {
		bio_io_error(bio);
		return;
	}
	bio_list_add(&p->held, bio);
	atomic_inc(&p->nr_held);
}

static void wait_for_engine(struct cowp_port *p, struct bio *bio)
{
	struct cowp_live_io *io = cowp_live_io(bio);

	io->waiter.chunk = first_chunk(p, bio);
	io->waiter.count = chunk_count(p, bio);
	list_add_tail(&io->owned, &p->owned);
	atomic_inc(&p->nr_owned);
	cowp_engine_write(p->eng, &io->waiter);
}

static void go_back(struct bio *bio)
{
	bio->bi_status = BLK_STS_DM_REQUEUE;
	bio_endio(bio);
}

static void regate(struct cowp_port *p, struct bio *bio)
{
	enum cowp_gate_word word = p->fast->gate.word;

	if (!p->started || word == COWP_GATE_BLOCKED) {
		hold(p, bio);
	} else if (!changes(bio) || word == COWP_GATE_OPEN) {
		let_go(p, bio);
	} else if (word == COWP_GATE_SHUT) {
		hold(p, bio);
	} else if (run_of(p, first_chunk(p, bio), chunk_count(p, bio), true) ==
		   chunk_count(p, bio)) {
		let_go(p, bio);
	} else if (is_discard(bio)) {
		bio_endio(bio);
	} else {
		wait_for_engine(p, bio);
	}
}

static void take_back(struct cowp_port *p)
{
	struct cowp_live_io *io, *next;

	list_for_each_entry_safe(io, next, &p->owned, owned) {
		p->cancelling = &io->waiter;
		cowp_engine_write_cancel(p->eng, &io->waiter);
		p->cancelling = NULL;
		list_del_init(&io->owned);
		atomic_dec(&p->nr_owned);
		bio_list_add(&p->again, cowp_live_bio(io));
	}
}

/**
 * cowp_gate_take - put what waits through the gate
 * @p:		the activation
 *
 * Worker.
 */
void cowp_gate_take(struct cowp_port *p)
{
	struct bio_list list = BIO_EMPTY_LIST;
	struct bio *bio;
	bool back = test_bit(COWP_PORT_REQUEUE, &p->flags);

	if (!back && !cowp_gate_more(p))
		return;
	if (test_and_clear_bit(COWP_PORT_REGATE, &p->flags) || back) {
		bio_list_merge_init(&list, &p->held);
		atomic_set(&p->nr_held, 0);
	}
	if (back)
		take_back(p);
	bio_list_merge_init(&list, &p->again);
	spin_lock_irq(&p->lock);
	bio_list_merge_init(&list, &p->bios);
	spin_unlock_irq(&p->lock);

	while ((bio = bio_list_pop(&list))) {
		if (going_back(bio))
			go_back(bio);
		else
			regate(p, bio);
	}
}

/**
 * cowp_gate_more - would another cowp_gate_take() find something?
 * @p:		the activation
 *
 * Worker.
 */
bool cowp_gate_more(struct cowp_port *p)
{
	return !bio_list_empty(&p->again) || !bio_list_empty(&p->bios) ||
	       test_bit(COWP_PORT_REGATE, &p->flags);
}

/**
 * cowp_gate_submit - submit what may go
 * @p:		the activation
 *
 * Worker, after the engine has run.
 */
void cowp_gate_submit(struct cowp_port *p)
{
	struct bio *bio;

	while ((bio = bio_list_pop(&p->go)))
		dm_submit_bio_remap(bio, NULL);
}

/**
 * port_write_done - the engine is done with a waiting write
 * @p:		the activation
 * @w:		what waited
 * @v:		how it goes on
 *
 * Worker.
 */
void port_write_done(struct cowp_port *p, struct cowp_waiter *w, enum cowp_verdict v)
{
	struct cowp_live_io *io = container_of(w, struct cowp_live_io, waiter);

	if (w == p->cancelling)
		return;
	list_del_init(&io->owned);
	atomic_dec(&p->nr_owned);
	if (v == COWP_GO) {
		io->overwrite = true;
		atomic_inc(&p->overwrites);
		let_go(p, cowp_live_bio(io));
	} else {
		bio_list_add(&p->again, cowp_live_bio(io));
	}
}

/**
 * port_overwrites - how many writes are on their way that the engine let go
 * @p:		the activation
 * @few:	if there are more, have the engine run when there are so many
 *
 * Worker.
 */
u32 port_overwrites(struct cowp_port *p, u32 few)
{
	u32 count;

	WRITE_ONCE(p->few, few);
	smp_mb();	/* pairs with overwritten() */
	count = atomic_read(&p->overwrites);
	if (count <= few)
		WRITE_ONCE(p->few, -1);
	return count;
}

/**
 * port_gate - the gate's word has been changed
 * @p:		the activation
 * @word:	the new one, already in force
 *
 * Worker.
 */
void port_gate(struct cowp_port *p, enum cowp_gate_word word)
{
	set_bit(COWP_PORT_REGATE, &p->flags);
}
