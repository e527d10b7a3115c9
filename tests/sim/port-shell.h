/* SPDX-License-Identifier: GPL-2.0-only */
/* The simulator's side of port.h: functions of tests/sim, all but the trivial ones. */
#ifndef SIM_PORT_SHELL_H
#define SIM_PORT_SHELL_H

#include "crc32c.h"

/* Processors, for what is counted on each. */
#define SIM_CPUS	8

extern __thread u32 sim_cpu;

#define for_each_possible_cpu(cpu) \
	for ((cpu) = 0; (cpu) < SIM_CPUS; (cpu)++)

/*
 * In the kernel an increment that no interrupt splits, and no more: no barrier,
 * not even a locked instruction.  Here every thread has a processor of its own.
 */
#ifdef SIM_STRESS
/* Wait here and there, to widen the windows between two steps ... */
void stress_sum(int cpu);
/* ... and keep the increment back, as a processor may, until the next barrier. */
void stress_increment(unsigned long *count);
void stress_barrier(void);
/* Between any two loads a thread may lose its processor. */
void stress_load(void);

#undef READ_ONCE
#define READ_ONCE(x)		(stress_load(), __atomic_load_n(&(x), __ATOMIC_RELAXED))
#undef smp_mb
/* Where increments that were kept back become visible. */
#define smp_mb()		stress_barrier()
#define port_percpu_ptr(p, cpu)	(stress_sum(cpu), &(p)[cpu])
#define port_percpu_inc(p, field) stress_increment(&(p)[sim_cpu].field)
#else
#define port_percpu_ptr(p, cpu)	(&(p)[cpu])
#define port_percpu_inc(p, field) ((void)(p)[sim_cpu].field++)
#endif

#define port_percpu_alloc(type) \
	((type *)port_zalloc(SIM_CPUS * sizeof(type)))
#define port_percpu_bytes(type) \
	(SIM_CPUS * sizeof(type))
#define port_percpu_free(p)	port_free(p)

void *port_zalloc(size_t bytes);
void port_free(void *p);
void *port_block_alloc(void);
void port_block_free(void *block);
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
u32 port_overwrites(struct cowp_port *p, u32 few);
void port_lookup_done(struct cowp_port *p, struct cowp_lookup *l);
void port_msg_done(struct cowp_port *p, struct cowp_msg *m, int error);
void port_gate(struct cowp_port *p, u32 word);
void port_event(struct cowp_port *p);

#define port_trace_batch(p, batch, chunks)		((void)(p))
#define port_trace_fault(p, fault, error)		((void)(p))
#define port_trace_checkpoint(p, generation, error)	((void)(p))
void port_trace_merge(struct cowp_port *p, u32 runs, u32 records, u32 dropped, u32 moved);

#endif /* SIM_PORT_SHELL_H */
