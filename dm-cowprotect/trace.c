// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine's way to the tracepoints: it knows no kernel header.
 */
#include "shell.h"
#include "worker.h"

#define CREATE_TRACE_POINTS
#include "trace.h"

/**
 * port_trace_batch - a batch was released
 * @p:		the activation
 * @batch:	number
 * @chunks:	preserved by it
 *
 * Worker.
 */
void port_trace_batch(struct cowp_port *p, u64 batch, u32 chunks)
{
	trace_cowprotect_batch(p->volume->dev, batch, chunks);
}

/**
 * port_trace_fault - a fault was raised
 * @p:		the activation
 * @fault:	enum cowp_fault
 * @error:	-errno
 *
 * Worker.
 */
void port_trace_fault(struct cowp_port *p, u32 fault, int error)
{
	trace_cowprotect_fault(p->volume->dev, cowp_fault_words[fault], error);
}

/**
 * port_trace_checkpoint - a checkpoint has ended
 * @p:		the activation
 * @generation:	of its manifest
 * @error:	0 or -errno
 *
 * Worker.
 */
void port_trace_checkpoint(struct cowp_port *p, u64 generation, int error)
{
	trace_cowprotect_checkpoint(p->volume->dev, generation, error);
}

/**
 * port_trace_merge - a step of a merge was published
 * @p:		the activation
 * @runs:	that are being merged
 * @records:	that the step went through
 * @dropped:	of these, what nobody needed
 * @moved:	of these, whose chunks were moved
 *
 * Worker.
 */
void port_trace_merge(struct cowp_port *p, u32 runs, u32 records, u32 dropped, u32 moved)
{
	trace_cowprotect_merge(p->volume->dev, runs, records, dropped, moved);
}
