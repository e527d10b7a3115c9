/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the engine asks of the shell that it runs in.
 *
 * Three shells link the same engine: the kernel module, the KUnit suites and
 * the userspace build (simulator, tools).  Each brings a port-shell.h with the
 * inlines that this file declares; there is no table of function pointers.
 *
 * The engine is an actor: every function of engine.h that is not marked
 * otherwise is called by one thread at a time, the volume's worker, and never
 * sleeps, waits or takes a lock.  The port's functions are called from there
 * and must not sleep either, but for those marked "init"; none of them calls the
 * engine back before it has returned: what they are told is queued.
 */
#ifndef COWP_PORT_H
#define COWP_PORT_H

#include <linux/types.h>
#include <linux/bitops.h>
#include <linux/build_bug.h>
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/list.h>
#include <linux/log2.h>
#include <linux/math64.h>
#include <linux/minmax.h>
#include <linux/string.h>
#include <asm/byteorder.h>

#include "cowprotect_format.h"

struct cowp_port;	/* the shell's object behind an engine */
struct cowp_engine;

enum cowp_dev {
	COWP_LIVE,
	COWP_DIFF,
};

enum cowp_op {
	COWP_READ,
	COWP_WRITE,
	COWP_FLUSH,	/* an empty flush: no blocks */
	COWP_DISCARD,	/* nobody needs the content any more: @bytes, no blocks */
};

/**
 * struct cowp_io - one transfer between blocks of memory and a device
 * @node:	the engine's, while it owns the io
 * @done:	the engine's; called when it is done, with @error set.  A time-out calls
 *		it too, with @abandoned and @in_flight set, and the completion, if it
 *		ever comes, once more with @in_flight clear
 * @private:	the engine's, for @done
 * @started:	engine time of submission, milliseconds
 * @in_flight:	submitted, its completion not yet seen
 * @abandoned:	given up by a time-out
 * @op:		what to do
 * @dev:	where
 * @fua:	writes: durable before completion.  Only set where the port's
 *		capabilities have COWP_CAP_FUA
 * @sector:	first sector on the device
 * @bytes:	a multiple of 512; what the last block has beyond them is zeroed
 *		by a read
 * @nr_blocks:	DIV_ROUND_UP(@bytes, COWP_BLOCK_SIZE), 0 where there are none
 * @max_blocks:	room in @blocks
 * @blocks:	the memory, 4 KiB each
 * @csum:	reads: NULL or where to put the crc32c of each block before the
 *		completion is delivered (off the worker where that is dear)
 * @error:	0 or -errno, when done
 *
 * Made by port_io_new() with the shell's own part around it.
 */
struct cowp_io {
	struct list_head node;
	void (*done)(struct cowp_engine *eng, struct cowp_io *io);
	void *private;
	u64 started;
	bool in_flight;
	bool abandoned;
	u8 op;
	u8 dev;
	bool fua;
	u64 sector;
	u32 bytes;
	u32 nr_blocks;
	u32 max_blocks;
	void **blocks;
	u32 *csum;
	int error;
};

#define COWP_CAP_CACHE	1U	/* volatile write cache: writes need FUA or a flush */
#define COWP_CAP_FUA	2U
#define COWP_CAP_DISCARD 4U	/* takes discards */

/* How a waiting write goes on. */
enum cowp_verdict {
	COWP_GO,	/* all its chunks are preserved: submit the overwrite */
	COWP_AGAIN,	/* put it through the gate again */
};

struct cowp_waiter;
struct cowp_lookup;
struct cowp_msg;

#include "port-shell.h"

/*
 * port-shell.h defines, as static inlines or macros:
 *
 * void *port_zalloc(size_t bytes);				(init)
 * void port_free(void *p);					(init)
 *	Zeroed memory of any size; NULL when there is none.  Called by the worker
 *	too, for a new size of the area: never recurses into I/O.
 * void *port_block_alloc(void);				(init)
 * void port_block_free(void *block);				(init)
 *	One zeroed block of COWP_BLOCK_SIZE, aligned to its size.
 * struct cowp_io *port_io_new(struct cowp_port *p, u32 max_blocks);	(init)
 * void port_io_free(struct cowp_io *io);			(init)
 *	An io with room for @max_blocks (0: flushes, discards) and all that its
 *	submission needs, so that port_submit() allocates nothing.
 * port_percpu_alloc(type), port_percpu_free(p), port_percpu_bytes(type);	(init)
 * port_percpu_inc(p, field), port_percpu_ptr(p, cpu), for_each_possible_cpu(cpu)
 *	Memory of each processor; an increment may be interrupted, not split.
 *
 * u32 port_crc32c(u32 seed, const void *data, size_t bytes);
 *	Plain crc32c; seed ~0, the caller inverts nothing.
 * void port_submit(struct cowp_port *p, struct cowp_io *io);
 *	Start it.  Every io submitted is handed to cowp_engine_io_done() once,
 *	later and never from within this call; one whose device is absent with
 *	-ENODEV.
 * u32 port_caps(struct cowp_port *p, enum cowp_dev dev);
 *	COWP_CAP_*, as of now.
 * u64 port_sectors(struct cowp_port *p, enum cowp_dev dev);
 *	Size of the device as of now, 0 when it is absent.
 * u64 port_real_seconds(void);
 *	Seconds since 1970.
 * u32 port_random(struct cowp_port *p);
 *	For the shape of trees; no secrets depend on it.
 *
 * void port_write_done(struct cowp_port *p, struct cowp_waiter *w,
 *			enum cowp_verdict v);
 *	The engine is done with the waiter.
 * u32 port_overwrites(struct cowp_port *p, u32 few);
 *	How many writes that were to go are still on their way.  If more than @few,
 *	cowp_engine_run() is called when they have become so few.
 * void port_lookup_done(struct cowp_port *p, struct cowp_lookup *l);
 *	The lookup's results stand in it.
 * void port_msg_done(struct cowp_port *p, struct cowp_msg *m, int error);
 *	The message was carried out, or not.
 * void port_gate(struct cowp_port *p, enum cowp_gate_word word);
 *	The gate's word has been changed (fast.h; the engine stores it): from
 *	now on the shell queues, holds, fails or lets pass accordingly, and
 *	puts what it held through the gate again where the word now lets it.
 * void port_trace_batch(struct cowp_port *p, u64 batch, u32 chunks);
 * void port_trace_fault(struct cowp_port *p, u32 fault, int error);
 * void port_trace_checkpoint(struct cowp_port *p, u64 generation, int error);
 * void port_trace_merge(struct cowp_port *p, u32 runs, u32 records, u32 dropped,
 *			 u32 moved);
 *	Tracepoints.
 * void port_event(struct cowp_port *p);
 *	State, fault or mode changed: tell userspace.
 */

#endif /* COWP_PORT_H */
