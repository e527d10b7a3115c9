// SPDX-License-Identifier: GPL-2.0-only
/* The engine's surroundings in the tool: see port-shell.h. */
#include <errno.h>
#include <time.h>
#include <unistd.h>

#include "engine.h"

void port_init(struct cowp_port *p)
{
	memset(p, 0, sizeof(*p));
	INIT_LIST_HEAD(&p->queue);
	p->fd[COWP_LIVE] = -1;
	p->fd[COWP_DIFF] = -1;
	p->random = 1;
}

void *port_block_alloc(void)
{
	void *block = aligned_alloc(COWP_BLOCK_SIZE, COWP_BLOCK_SIZE);

	if (block)
		memset(block, 0, COWP_BLOCK_SIZE);
	return block;
}

/* An io and its place in the queue. */
struct queued {
	struct list_head node;
	struct cowp_io io;
};

struct cowp_io *port_io_new(struct cowp_port *p, u32 max_blocks)
{
	struct queued *q = calloc(1, sizeof(*q));

	(void)p;
	if (!q)
		return NULL;
	q->io.blocks = calloc(max_blocks ? max_blocks : 1, sizeof(*q->io.blocks));
	if (!q->io.blocks) {
		free(q);
		return NULL;
	}
	q->io.max_blocks = max_blocks;
	return &q->io;
}

void port_io_free(struct cowp_io *io)
{
	if (!io)
		return;
	free(io->blocks);
	free(container_of(io, struct queued, io));
}

void port_submit(struct cowp_port *p, struct cowp_io *io)
{
	list_add_tail(&container_of(io, struct queued, io)->node, &p->queue);
}

u32 port_caps(struct cowp_port *p, enum cowp_dev dev)
{
	return p->fd[dev] < 0 ? 0 : COWP_CAP_CACHE;
}

u64 port_sectors(struct cowp_port *p, enum cowp_dev dev)
{
	return p->sectors[dev];
}

u64 port_real_seconds(void)
{
	return time(NULL);
}

u32 port_random(struct cowp_port *p)
{
	p->random = p->random * 1664525 + 1013904223;
	return p->random >> 8;
}

void port_write_done(struct cowp_port *p, struct cowp_waiter *w, enum cowp_verdict v)
{
	if (p->write_done)
		p->write_done(p, w, v);
}

void port_lookup_done(struct cowp_port *p, struct cowp_lookup *l)
{
	if (p->lookup_done)
		p->lookup_done(p, l);
}

void port_msg_done(struct cowp_port *p, struct cowp_msg *m, int error)
{
	(void)m;
	p->msg_error = error;
	p->waiting--;
}

/* One block, or what an io has of it; a device that ends before gives zeros. */
static int read_block(int fd, u64 at, void *block, u32 bytes)
{
	ssize_t n = fd < 0 ? 0 : pread(fd, block, bytes, at);

	if (n < 0)
		return -errno;
	memset((char *)block + n, 0, COWP_BLOCK_SIZE - n);
	return 0;
}

static int write_block(int fd, u64 at, const void *block, u32 bytes)
{
	ssize_t n = pwrite(fd, block, bytes, at);

	if (n < 0)
		return -errno;
	return n == (ssize_t)bytes ? 0 : -EIO;
}

static int transfer(struct cowp_port *p, struct cowp_io *io)
{
	int fd = p->fd[io->dev];
	u32 left = io->bytes;
	u32 i;

	for (i = 0; i < io->nr_blocks; i++) {
		u64 at = (io->sector << SECTOR_SHIFT) + (u64)i * COWP_BLOCK_SIZE;
		u32 bytes = min(left, COWP_BLOCK_SIZE);
		int error;

		if (io->op == COWP_WRITE)
			error = write_block(fd, at, io->blocks[i], bytes);
		else
			error = read_block(fd, at, io->blocks[i], bytes);
		if (error)
			return error;
		if (io->op == COWP_READ && io->csum)
			io->csum[i] = crc32c(~0U, io->blocks[i], COWP_BLOCK_SIZE);
		left -= bytes;
	}
	return 0;
}

static int carry_out(struct cowp_port *p, struct cowp_io *io)
{
	enum port_fate fate = p->fate ? p->fate(p, io) : PORT_DO;

	p->dead = fate == PORT_DIE;
	if (fate != PORT_DO)
		return fate == PORT_SKIP ? 0 : -EIO;
	if (!p->sectors[io->dev])
		return -ENODEV;
	if (io->op != COWP_FLUSH)
		return transfer(p, io);
	if (p->fd[io->dev] >= 0 && fdatasync(p->fd[io->dev]))
		return -errno;
	return 0;
}

u64 port_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ULL + t.tv_nsec / 1000000;
}

static u64 engine_now(const struct cowp_port *p)
{
	return p->still ? p->clock : port_now();
}

u64 port_pump(struct cowp_port *p)
{
	u64 next = cowp_engine_run(p->eng, engine_now(p));

	while (!list_empty(&p->queue) && !p->dead) {
		struct queued *q = list_first_entry(&p->queue, struct queued, node);

		list_del(&q->node);
		q->io.error = carry_out(p, &q->io);
		if (p->dead)
			break;
		cowp_engine_io_done(p->eng, &q->io);
		next = cowp_engine_run(p->eng, engine_now(p));
	}
	return next;
}

int port_message(struct cowp_port *p, struct cowp_msg *m)
{
	static const struct timespec tick = { .tv_nsec = 1000000 };
	u32 before = p->waiting++;

	cowp_engine_message(p->eng, m);
	while (port_pump(p), p->waiting > before && !p->dead) {
		p->clock++;
		if (!p->still)
			nanosleep(&tick, NULL);
	}
	return p->dead ? -EIO : p->msg_error;
}
