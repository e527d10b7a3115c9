/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints: what a volume does, a line a batch, fault and checkpoint.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM cowprotect

#if !defined(COWP_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define COWP_TRACE_H

#include <linux/types.h>
#include <linux/kdev_t.h>
#include <linux/tracepoint.h>

TRACE_EVENT(cowprotect_batch,
	TP_PROTO(dev_t dev, u64 batch, u32 chunks),
	TP_ARGS(dev, batch, chunks),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, batch)
		__field(u32, chunks)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->batch = batch;
		__entry->chunks = chunks;
	),
	TP_printk("live %d:%d batch %llu chunks %u", MAJOR(__entry->dev), MINOR(__entry->dev),
		  __entry->batch, __entry->chunks)
);

TRACE_EVENT(cowprotect_fault,
	TP_PROTO(dev_t dev, const char *fault, int error),
	TP_ARGS(dev, fault, error),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__array(char, fault, 32)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->dev = dev;
		strscpy(__entry->fault, fault, sizeof(__entry->fault));
		__entry->error = error;
	),
	TP_printk("live %d:%d fault %s error %d", MAJOR(__entry->dev), MINOR(__entry->dev),
		  __entry->fault, __entry->error)
);

TRACE_EVENT(cowprotect_checkpoint,
	TP_PROTO(dev_t dev, u64 generation, int error),
	TP_ARGS(dev, generation, error),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, generation)
		__field(int, error)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->generation = generation;
		__entry->error = error;
	),
	TP_printk("live %d:%d generation %llu error %d", MAJOR(__entry->dev),
		  MINOR(__entry->dev), __entry->generation, __entry->error)
);

TRACE_EVENT(cowprotect_merge,
	TP_PROTO(dev_t dev, u32 runs, u32 records, u32 dropped, u32 moved),
	TP_ARGS(dev, runs, records, dropped, moved),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u32, runs)
		__field(u32, records)
		__field(u32, dropped)
		__field(u32, moved)
	),
	TP_fast_assign(
		__entry->dev = dev;
		__entry->runs = runs;
		__entry->records = records;
		__entry->dropped = dropped;
		__entry->moved = moved;
	),
	TP_printk("live %d:%d runs %u records %u dropped %u moved %u", MAJOR(__entry->dev),
		  MINOR(__entry->dev), __entry->runs, __entry->records, __entry->dropped,
		  __entry->moved)
);

#endif /* COWP_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE trace
#include <trace/define_trace.h>
