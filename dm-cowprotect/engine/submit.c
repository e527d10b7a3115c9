// SPDX-License-Identifier: GPL-2.0-only
/*
 * What every file of the engine needs: memory, counted, and I/O with a time-out.
 */
#include "budget.h"
#include "internal.h"

#define NOT_SEEN	(~0ULL)	/* an io that no run has seen yet */

/*
 * Zeroed, counted as what it takes at most, freed by port_free().  May sleep.
 * NULL when there is none.
 */
void *cowp_alloc(struct cowp_engine *eng, size_t bytes)
{
	void *p = port_zalloc(bytes);

	if (p)
		eng->status.memory_used += cowp_footprint(bytes);
	return p;
}

/* What has been replaced while the engine lives on. */
void cowp_free(struct cowp_engine *eng, void *p, size_t bytes)
{
	if (p)
		eng->status.memory_used -= cowp_footprint(bytes);
	port_free(p);
}

void *cowp_alloc_block(struct cowp_engine *eng)
{
	void *p = port_block_alloc();

	if (p)
		eng->status.memory_used += COWP_BLOCK_SIZE;
	return p;
}

void cowp_free_block(struct cowp_engine *eng, void *p)
{
	if (p)
		eng->status.memory_used -= COWP_BLOCK_SIZE;
	port_block_free(p);
}

struct cowp_io *cowp_alloc_io(struct cowp_engine *eng, u32 max_blocks,
			      void (*done)(struct cowp_engine *eng, struct cowp_io *io))
{
	struct cowp_io *io = port_io_new(eng->port, max_blocks);

	if (!io)
		return NULL;
	INIT_LIST_HEAD(&io->node);
	io->done = done;
	eng->status.memory_used += cowp_io_footprint(max_blocks);
	return io;
}

/* Start an io; its done() is called later, never from here. */
void cowp_submit(struct cowp_engine *eng, struct cowp_io *io)
{
	struct cowp_status *s = &eng->status;

	io->in_flight = true;
	io->abandoned = false;
	io->error = 0;
	io->started = NOT_SEEN;	/* the clock may have stood still since the last run */
	if (io->dev == COWP_DIFF) {
		list_move_tail(&io->node, &eng->inflight);
		if (io->op == COWP_WRITE) {
			s->diff_writes++;
			s->diff_bytes += io->bytes;
		}
		s->diff_flushes += io->op == COWP_FLUSH;
	}
	if (!eng->cancelled)
		port_submit(eng->port, io);
}

void cowp_engine_io_done(struct cowp_engine *eng, struct cowp_io *io)
{
	io->in_flight = false;
	list_del_init(&io->node);
	if (eng->cancelled)
		return;
	if (io->abandoned)
		io->error = -ETIMEDOUT;
	io->done(eng, io);
	io->abandoned = false;
}

/*
 * Give up what the diff device neither completes nor fails.  Returns the time
 * at which to look again.
 */
u64 cowp_submit_tick(struct cowp_engine *eng)
{
	struct cowp_io *io;

	list_for_each_entry_reverse(io, &eng->inflight, node) {
		if (io->started != NOT_SEEN)
			break;
		io->started = eng->now;
	}
	while (eng->cfg.diff_timeout_ms && !list_empty(&eng->inflight)) {
		io = list_first_entry(&eng->inflight, struct cowp_io, node);
		if (eng->now < io->started + eng->cfg.diff_timeout_ms)
			return io->started + eng->cfg.diff_timeout_ms;
		list_del_init(&io->node);
		io->abandoned = true;
		io->error = -ETIMEDOUT;
		io->done(eng, io);
		/* Whatever it was for: a device that hangs is a fault. */
		cowp_fault(eng, COWP_FAULT_TIMEOUT, -ETIMEDOUT);
	}
	return ~0ULL;
}
