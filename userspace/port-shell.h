/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tool's side of port.h: one thread, synchronous I/O.
 *
 * What the engine submits is queued; port_pump() carries it out, one transfer
 * at a time, and lets the engine go on until nothing is left to do.
 */
#ifndef COWP_TOOL_PORT_SHELL_H
#define COWP_TOOL_PORT_SHELL_H

#include <stdlib.h>

#include "crc32c.h"

#define for_each_possible_cpu(cpu)	for ((cpu) = 0; (cpu) < 1; (cpu)++)
#define port_percpu_ptr(p, cpu)		(&(p)[cpu])
#define port_percpu_inc(p, field)	((void)(p)->field++)
#define port_percpu_alloc(type)		((type *)port_zalloc(sizeof(type)))
#define port_percpu_bytes(type) \
	sizeof(type)
#define port_percpu_free(p)		port_free(p)

/* What becomes of an io: the tests' way to break things. */
enum port_fate {
	PORT_DO,
	PORT_SKIP,	/* not done, and said to be */
	PORT_FAIL,	/* with -EIO */
	PORT_DIE,	/* the machine stops: port_pump() carries out nothing more */
};

/*
 * struct cowp_port - an engine's surroundings
 * @eng:	the engine
 * @fd:		of each device; the live one may be -1, it is then all zero
 * @sectors:	their sizes
 * @queue:	I/O that the engine submitted
 * @fate:	NULL: do everything
 * @dead:	after PORT_DIE
 * @still:	the engine's clock is @clock and goes on only while something waits
 * @clock:	milliseconds
 * @write_done, @lookup_done: what the engine says, for who waits; or NULL
 * @msg_error:	of the message that came back last
 * @waiting:	messages that are not back
 * @random:	state of port_random()
 */
struct cowp_port {
	struct cowp_engine *eng;
	int fd[2];
	u64 sectors[2];
	struct list_head queue;
	enum port_fate (*fate)(struct cowp_port *p, const struct cowp_io *io);
	bool dead;
	bool still;
	u64 clock;
	void (*write_done)(struct cowp_port *p, struct cowp_waiter *w, enum cowp_verdict v);
	void (*lookup_done)(struct cowp_port *p, struct cowp_lookup *l);
	int msg_error;
	u32 waiting;
	u32 random;
};

void port_init(struct cowp_port *p);

/*
 * port_pump - let the engine work until it waits for nothing but the clock
 *
 * Returns the time of the clock at which it has to be called again, or ~0.
 */
u64 port_pump(struct cowp_port *p);

/* Milliseconds of the machine's monotonic clock. */
u64 port_now(void);

/* Send a message and wait for its end.  Returns its error, -EIO when @p died. */
int port_message(struct cowp_port *p, struct cowp_msg *m);

static inline void *port_zalloc(size_t bytes)
{
	return calloc(1, bytes);
}

static inline void port_free(void *p)
{
	free(p);
}

void *port_block_alloc(void);

static inline void port_block_free(void *block)
{
	free(block);
}

struct cowp_io *port_io_new(struct cowp_port *p, u32 max_blocks);
void port_io_free(struct cowp_io *io);

static inline u32 port_crc32c(u32 seed, const void *data, size_t bytes)
{
	return crc32c(seed, data, bytes);
}

void port_submit(struct cowp_port *p, struct cowp_io *io);
u32 port_caps(struct cowp_port *p, enum cowp_dev dev);
u64 port_sectors(struct cowp_port *p, enum cowp_dev dev);
u64 port_real_seconds(void);
u32 port_random(struct cowp_port *p);
void port_write_done(struct cowp_port *p, struct cowp_waiter *w, enum cowp_verdict v);
void port_lookup_done(struct cowp_port *p, struct cowp_lookup *l);
void port_msg_done(struct cowp_port *p, struct cowp_msg *m, int error);

#define port_overwrites(p, few)				((void)(p), (void)(few), 0)
#define port_gate(p, word)				((void)(p), (void)(word))
#define port_event(p)					((void)(p))
#define port_trace_batch(p, batch, chunks)		((void)(p))
#define port_trace_fault(p, fault, error)		((void)(p))
#define port_trace_checkpoint(p, generation, error)	((void)(p))
#define port_trace_merge(p, runs, records, dropped, moved) ((void)(p))

#endif /* COWP_TOOL_PORT_SHELL_H */
