// SPDX-License-Identifier: GPL-2.0-only
/*
 * The state blocks: mode, lost mark, session, lowest acceptable manifest.
 *
 * Two copies, one after the other, so that a crash in the middle of one leaves
 * the other; a change is durable when both are.
 */
#include "internal.h"

static void put_ended(struct cowp_engine *eng, struct cowp_put *put, struct cowp_io *io)
{
	if (!io->in_flight)
		put->busy = false;
	if (!cowp_io_late(io))
		put->then(eng, io->error);
}

static void put_flushed(struct cowp_engine *eng, struct cowp_io *io)
{
	put_ended(eng, io->private, io);
}

static void put_written(struct cowp_engine *eng, struct cowp_io *io)
{
	struct cowp_put *put = io->private;

	if (!io->error && !io->fua && port_caps(eng->port, COWP_DIFF) & COWP_CAP_CACHE)
		cowp_submit(eng, put->flush);
	else
		put_ended(eng, put, io);
}

/*
 * cowp_put - write the block in @put->io->blocks[0] to a fixed place
 *
 * The put must not be busy.
 */
void cowp_put(struct cowp_engine *eng, struct cowp_put *put, u64 block,
	      void (*then)(struct cowp_engine *eng, int error))
{
	u32 caps = port_caps(eng->port, COWP_DIFF);

	put->busy = true;
	put->then = then;
	put->io->op = COWP_WRITE;
	put->io->dev = COWP_DIFF;
	put->io->fua = caps & COWP_CAP_CACHE && caps & COWP_CAP_FUA;
	put->io->sector = block * COWP_BLOCK_SECTORS;
	put->io->bytes = COWP_BLOCK_SIZE;
	put->io->nr_blocks = 1;
	cowp_submit(eng, put->io);
}

int cowp_put_init(struct cowp_engine *eng, struct cowp_put *put)
{
	put->io = cowp_alloc_io(eng, 1, put_written);
	put->flush = cowp_alloc_io(eng, 0, put_flushed);
	if (!put->io || !put->flush)
		return -ENOMEM;
	put->io->private = put;
	put->flush->private = put;
	put->flush->op = COWP_FLUSH;
	put->flush->dev = COWP_DIFF;
	put->io->blocks[0] = cowp_alloc_block(eng);
	return put->io->blocks[0] ? 0 : -ENOMEM;
}

void cowp_put_exit(struct cowp_put *put)
{
	if (put->io)
		port_block_free(put->io->blocks[0]);
	port_io_free(put->io);
	port_io_free(put->flush);
}

static void finish(struct cowp_engine *eng, int error)
{
	struct cowp_state_writer *sw = &eng->state;
	struct cowp_state_request *r, *next;
	LIST_HEAD(done);

	sw->busy = false;
	list_splice_init(&sw->serving, &done);
	list_for_each_entry_safe(r, next, &done, node) {
		list_del_init(&r->node);
		r->then(eng, error);
	}
}

static void copy_written(struct cowp_engine *eng, int error);

static void write_copy(struct cowp_engine *eng)
{
	struct cowp_state_writer *sw = &eng->state;

	cowp_state_encode(sw->put.io->blocks[0], sw->copy, &sw->next);
	cowp_put(eng, &sw->put, COWP_STATE_BLOCK(sw->copy), copy_written);
}

static void copy_written(struct cowp_engine *eng, int error)
{
	struct cowp_state_writer *sw = &eng->state;

	if (error) {
		finish(eng, error);
	} else if (!sw->copy) {
		sw->copy = 1;
		write_copy(eng);
	} else {
		sw->now = sw->next;
		finish(eng, 0);
	}
}

static void apply(struct cowp_area_state *s, const struct cowp_state_request *r)
{
	if (r->fields & COWP_SET_GENERATION)
		s->generation = r->generation;
	if (r->fields & COWP_SET_SESSION)
		s->session = r->session;
	if (r->fields & COWP_SET_MODE)
		s->mode = r->mode;
	if (r->fields & COWP_SET_LOST)
		s->lost = r->lost;
}

/*
 * cowp_state_request - change the state blocks
 *
 * The request must not be under way already: its owner waits for then().  After
 * an error the disk may have the old or the new state; the next change writes
 * over either.
 */
void cowp_state_request(struct cowp_engine *eng, struct cowp_state_request *r)
{
	list_add_tail(&r->node, &eng->state.queued);
}

/* Is a change under way, or waiting? */
bool cowp_state_busy(struct cowp_engine *eng)
{
	return eng->state.busy || !list_empty(&eng->state.queued);
}

void cowp_state_run(struct cowp_engine *eng)
{
	struct cowp_state_writer *sw = &eng->state;
	struct cowp_state_request *r;

	if (sw->busy || list_empty(&sw->queued))
		return;
	list_splice_init(&sw->queued, &sw->serving);
	sw->busy = true;
	if (!sw->known || sw->put.busy) {
		finish(eng, sw->known ? -EBUSY : -ENODEV);
		return;
	}
	sw->next = sw->now;
	sw->next.sequence = ++sw->sequence;
	list_for_each_entry(r, &sw->serving, node)
		apply(&sw->next, r);
	sw->copy = 0;
	write_copy(eng);
}

int cowp_state_init(struct cowp_engine *eng)
{
	INIT_LIST_HEAD(&eng->state.queued);
	INIT_LIST_HEAD(&eng->state.serving);
	return cowp_put_init(eng, &eng->state.put);
}

void cowp_state_exit(struct cowp_engine *eng)
{
	cowp_put_exit(&eng->state.put);
}
