/* SPDX-License-Identifier: GPL-2.0-only */
/* What a run did, counted; one of these a job, in memory that the parent shares. */
#ifndef SIM_STATS_H
#define SIM_STATS_H

#include <linux/types.h>

#define STATS(X)						\
	X(HISTORIES,	"histories")				\
	X(OPS,		"operations")				\
	X(CUTS,		"power cuts")				\
	X(INSTANTS,	"instants of a cut")			\
	X(EQUAL,	"outcomes equal to one tried, not counted")	\
	X(OPS_BEFORE,	"operations since the start before, summed over cuts") \
	X(RECOVERY_CUTS, "cuts during recovery")		\
	X(DECAYED,	"starts without the newest root")	\
	X(BLIND,	"starts with an area that cannot be read to its end") \
	X(EXHAUSTED,	"instants tried exhaustively")		\
	X(SNAPS_AT_CUT,	"snapshots at a cut, summed")		\
	X(CUTS_WITH_3,	"cuts with 3 snapshots or more")	\
	X(CUT_BLOCKED,	"cuts while blocked, waiting or lost")	\
	X(CUT_CREATE,	"cuts with a creation under way")	\
	X(CUT_DELETE,	"cuts with a deletion under way")	\
	X(CHECKED,	"chunks of snapshots compared")		\
	X(CHECKED_DIFF,	"of these in the diff area")		\
	X(WRITES,	"writes by the user")			\
	X(WRITES_FAILED, "of these failed")			\
	X(FAST,		"writes that found their chunks preserved") \
	X(WAITED,	"writes that waited for the engine")	\
	X(AGAIN,	"writes sent to the gate again")	\
	X(HELD,		"writes held by the gate")		\
	X(CANCELLED,	"waiters taken back")			\
	X(READS,	"snapshot reads by chunk")		\
	X(REREADS,	"of these repeated, as the sums moved")	\
	X(READ_ERRORS,	"snapshot reads that failed")		\
	X(CREATES,	"snapshots created")			\
	X(DELETES,	"snapshots deleted")			\
	X(MSG_ERRORS,	"messages that failed")			\
	X(REOPENS,	"clean closes")				\
	X(FAULTS,	"faults injected")			\
	X(BLOCKED,	"times blocked")			\
	X(WAITING,	"times waiting")			\
	X(LOST,		"times lost")				\
	X(FULL,		"times full")				\
	X(RESETS,	"resets")				\
	X(GROWN,	"growths of the diff area")		\
	X(NO_MEMORY,	"allocations after an activation, all refused") \
	X(NO_GROWTH,	"growths refused for want of memory")	\
	X(LIVE_GROWN,	"growths of the live volume")		\
	X(MERGES,	"steps of merges published")		\
	X(MERGED,	"records that they went through")	\
	X(DROPPED,	"of these dropped")			\
	X(MOVED,	"chunks moved")			\
	X(COUNTED,	"times all live counts were compared")	\
	X(CUT_MERGE,	"cuts with a merge under way")		\
	X(LIVE_WRITES,	"I/O: live writes")			\
	X(DIFF_WRITES,	"I/O: diff writes")			\
	X(DIFF_READS,	"I/O: diff reads")			\
	X(DIFF_FLUSHES,	"I/O: diff flushes")			\
	X(DISCARDS,	"I/O: diff discards")			\
	X(KIND_DATA,	"cuts with data in flight")		\
	X(KIND_SUMMARY,	"cuts with a summary in flight")	\
	X(KIND_RUN,	"cuts with a run in flight")		\
	X(KIND_ROOT,	"cuts with a root in flight")		\
	X(KIND_BODY,	"cuts with a body in flight")		\
	X(KIND_HEADER,	"cuts with a segment header in flight")	\
	X(KIND_STATE,	"cuts with a state block in flight")	\
	X(KIND_NONE,	"cuts with nothing in flight to the diff area")

enum stat_id {
#define STAT_ENUM(name, ...)	STAT_##name,
	STATS(STAT_ENUM)
#undef STAT_ENUM
	STAT_COUNT
};

struct stats {
	u64 n[STAT_COUNT];
	u64 seed;		/* of the history under way */
	u64 failed_seed;
	u32 failed;
	char failure[1024];
	u64 failure_id;
};

static inline void stats_add(struct stats *s, enum stat_id what, u64 n)
{
	__atomic_store_n(&s->n[what], s->n[what] + n, __ATOMIC_RELAXED);
}

static inline void stats_count(struct stats *s, enum stat_id what)
{
	stats_add(s, what, 1);
}

void stats_sum(struct stats *to, const struct stats *from);
void stats_print(const struct stats *s, double seconds);

#endif /* SIM_STATS_H */
