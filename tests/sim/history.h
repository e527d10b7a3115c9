/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A history: a list of operations that a seed determines, and its execution.
 * Operations can be dropped from the list; what remains is a history too.
 */
#ifndef SIM_HISTORY_H
#define SIM_HISTORY_H

#include "sim.h"

#define OPS(X)			\
	X(WRITE)		\
	X(WRITE_MANY)		\
	X(FLUSH)		\
	X(READ)			\
	X(SNAPSHOT_READ)	\
	X(SNAPSHOT_CYCLE)	/* create or delete, towards the wanted number */ \
	X(DELETE)		\
	X(CHECKPOINT)		\
	X(PROTECT)		\
	X(NOPROTECT)		\
	X(RESET)		\
	X(CLEAR)		\
	X(GROW)			\
	X(LIVE_GROW)		\
	X(CANCEL)		\
	X(CANCEL_MESSAGE)	\
	X(IDLE)			\
	X(CHECK)		/* compare all, without a cut */ \
	X(QUIESCE)		\
	X(REOPEN)		\
	X(FAULT)		\
	X(REPAIR)		\
	X(ARM)			/* cut at a coming write of a kind */ \
	X(CUT)

enum op_type {
#define OP_ENUM(name)	OP_##name,
	OPS(OP_ENUM)
#undef OP_ENUM
	OP_TYPES
};

struct op {
	u8 type;
	bool dropped;
	u32 a, b, c;
	u32 delay;	/* microseconds until the next one */
	u64 seed;	/* of all that is random while it runs */
};

/**
 * struct options - the command line
 * @chunk_blocks: 0: any
 * @caps:	enum sim_caps, of the diff device
 * @exhaustive:	short histories, every subset at a cut
 * @faults:	0 never, 1 some histories, 2 all
 * @states:	outcomes tried from one instant, at most
 * @segment:	operations between cuts, on average
 * @roomy:	no diff area that gets full
 * @no_memory:	every allocation after an activation fails
 * @without:	bits of the operations to leave out
 */
struct options {
	u32 chunk_blocks;
	u32 caps;
	bool exhaustive;
	u32 faults;
	u32 states;
	u32 segment;
	u32 without;
	bool roomy;
	bool no_memory;
};

struct history {
	u64 seed;
	struct sim_setup setup;
	bool exhaustive;
	struct op *ops;
	u32 nr;
};

void history_make(struct history *h, u64 seed, const struct options *opt);
void history_free(struct history *h);

/* Returns true if all was well; else the failure is in @stats. */
bool history_run(const struct history *h, struct stats *stats, bool trace);
/* Number of an operation by its name, OP_TYPES if there is none. */
u32 history_op_by_name(const char *name);
void history_print(const struct history *h);

#endif /* SIM_HISTORY_H */
