/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The KUnit suites' side of the engine's port (engine/port.h).
 *
 * Memory is counted, and runs out when a test says so; the devices are in
 * memory (device.c), and nothing completes before the test pumps it (world.c).
 */
#ifndef COWP_PORT_SHELL_H
#define COWP_PORT_SHELL_H

#include <linux/bug.h>
#include <linux/compiler.h>
#include <linux/cpumask.h>
#include <linux/crc32.h>
#include <linux/percpu.h>
#include <asm/barrier.h>

enum cowp_gate_word;

/* What COWP_LEAF_MAX_RECORDS and COWP_NODE_MAX_KEYS stand for here. */
extern u32 kunit_leaf_records;
extern u32 kunit_node_keys;

void *port_zalloc(size_t bytes);
void port_free(void *p);

static inline void *port_block_alloc(void)
{
	return port_zalloc(COWP_BLOCK_SIZE);
}

static inline void port_block_free(void *block)
{
	port_free(block);
}

#define port_percpu_alloc(type)		alloc_percpu(type)
#define port_percpu_bytes(type)		(num_possible_cpus() * sizeof(type))
#define port_percpu_free(ptr)		free_percpu(ptr)
#define port_percpu_inc(ptr, field)	this_cpu_inc((ptr)->field)
#define port_percpu_ptr(ptr, cpu)	per_cpu_ptr(ptr, cpu)

static inline u32 port_crc32c(u32 seed, const void *data, size_t bytes)
{
	return __crc32c_le(seed, data, bytes);
}

struct cowp_io *port_io_new(struct cowp_port *p, u32 max_blocks);
void port_io_free(struct cowp_io *io);
void port_submit(struct cowp_port *p, struct cowp_io *io);
u32 port_caps(struct cowp_port *p, enum cowp_dev dev);
u64 port_sectors(struct cowp_port *p, enum cowp_dev dev);
u64 port_real_seconds(void);
u32 port_random(struct cowp_port *p);

void port_write_done(struct cowp_port *p, struct cowp_waiter *w, enum cowp_verdict v);
void port_lookup_done(struct cowp_port *p, struct cowp_lookup *l);
void port_msg_done(struct cowp_port *p, struct cowp_msg *m, int error);
void port_gate(struct cowp_port *p, enum cowp_gate_word word);
void port_event(struct cowp_port *p);

/* What may go has gone. */
static inline u32 port_overwrites(struct cowp_port *p, u32 few)
{
	return 0;
}

static inline void port_trace_batch(struct cowp_port *p, u64 batch, u32 chunks)
{
}

static inline void port_trace_fault(struct cowp_port *p, u32 fault, int error)
{
}

static inline void port_trace_checkpoint(struct cowp_port *p, u64 generation, int error)
{
}

static inline void port_trace_merge(struct cowp_port *p, u32 runs, u32 records, u32 dropped,
				    u32 moved)
{
}

#endif /* COWP_PORT_SHELL_H */
