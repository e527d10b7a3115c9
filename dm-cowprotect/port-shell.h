/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel module's side of the engine's port (engine/port.h).
 *
 * Only what must be inline is here.  The rest are plain functions of io.c,
 * port.c, gate.c, event.c and trace.c: the engine calls them per batch, not per
 * chunk.
 */
#ifndef COWP_PORT_SHELL_H
#define COWP_PORT_SHELL_H

#include <linux/bug.h>
#include <linux/compiler.h>
#include <linux/cpumask.h>
#include <linux/gfp.h>
#include <linux/mm.h>
#include <linux/percpu.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/vmalloc.h>
#include <asm/barrier.h>

enum cowp_gate_word;

/*
 * The worker allocates too, for a new size of the area.  If its allocation
 * waited for write-back to the very volume that it serves nothing would ever
 * move again, hence NOIO whoever calls; and hence an end to the trying: without
 * RETRY_MAYFAIL the page allocator goes round for a single page until somebody
 * frees one, which may be this worker.  A failure is an answer, not a bug: the
 * engine makes it a fault, or an error of the message.
 */
#define PORT_GFP	(GFP_NOIO | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

static inline void *port_zalloc(size_t bytes)
{
	void *p;

	if (bytes <= PAGE_SIZE)
		return kzalloc(bytes, PORT_GFP);
	/* In one piece if that is easy. */
	p = kzalloc(bytes, GFP_NOIO | __GFP_NORETRY | __GFP_NOWARN);
	return p ? p : __vmalloc(bytes, PORT_GFP | __GFP_ZERO);
}

static inline void port_free(void *p)
{
	kvfree(p);
}

/*
 * Blocks go into bios by their kernel address.  Where a page is a block the
 * page allocator gives them; network block devices copy what the slab gave.
 */
static inline void *port_block_alloc(void)
{
	if (PAGE_SIZE == COWP_BLOCK_SIZE)
		return (void *)get_zeroed_page(PORT_GFP);
	return kzalloc(COWP_BLOCK_SIZE, PORT_GFP);
}

static inline void port_block_free(void *block)
{
	if (PAGE_SIZE == COWP_BLOCK_SIZE)
		free_page((unsigned long)block);
	else
		kfree(block);
}

#define port_percpu_alloc(type)		alloc_percpu_gfp(type, GFP_NOIO | __GFP_NOWARN)
#define port_percpu_bytes(type)		(num_possible_cpus() * sizeof(type))
#define port_percpu_free(ptr)		free_percpu(ptr)
#define port_percpu_inc(ptr, field)	this_cpu_inc((ptr)->field)
#define port_percpu_ptr(ptr, cpu)	per_cpu_ptr(ptr, cpu)

u32 port_crc32c(u32 seed, const void *data, size_t bytes);

struct cowp_io *port_io_new(struct cowp_port *p, u32 max_blocks);
void port_io_free(struct cowp_io *io);
void port_submit(struct cowp_port *p, struct cowp_io *io);
u32 port_caps(struct cowp_port *p, enum cowp_dev dev);
u64 port_sectors(struct cowp_port *p, enum cowp_dev dev);

static inline u64 port_real_seconds(void)
{
	return ktime_get_real_seconds();
}

u32 port_random(struct cowp_port *p);

void port_write_done(struct cowp_port *p, struct cowp_waiter *w, enum cowp_verdict v);
u32 port_overwrites(struct cowp_port *p, u32 few);
void port_lookup_done(struct cowp_port *p, struct cowp_lookup *l);
void port_msg_done(struct cowp_port *p, struct cowp_msg *m, int error);
void port_gate(struct cowp_port *p, enum cowp_gate_word word);
void port_event(struct cowp_port *p);

/* Tracepoints: a batch was released, a fault was raised, a checkpoint ended. */
void port_trace_batch(struct cowp_port *p, u64 batch, u32 chunks);
void port_trace_fault(struct cowp_port *p, u32 fault, int error);
void port_trace_checkpoint(struct cowp_port *p, u64 generation, int error);
void port_trace_merge(struct cowp_port *p, u32 runs, u32 records, u32 dropped, u32 moved);

#endif /* COWP_PORT_SHELL_H */
