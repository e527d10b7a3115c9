/* SPDX-License-Identifier: GPL-2.0-only */
/* Power cuts and what follows: restart, recovery, comparison. */
#ifndef SIM_CUT_H
#define SIM_CUT_H

#include "sim.h"

/**
 * struct cut_plan - how to cut
 * @states:	outcomes to try from the instant
 * @again:	of 1000 recoveries so many are cut as well
 * @work_on:	of 1000 outcomes that the history does not go on from, so many
 *		are worked on for a while
 * @absent:	of 1000 starts so many have no diff device at first
 * @blind:	of 1000 starts so many have an area that cannot be read to its end
 * @decay:	of 1000 outcomes so many are tried without their newest root first
 * @exhaustive:	try every subset where there are few enough writes
 */
struct cut_plan {
	u32 states;
	u32 again;
	u32 work_on;
	u32 absent;
	u32 blind;
	u32 decay;
	bool exhaustive;
};

/* Cut the power now; afterwards the volume is up again and was compared. */
void cut_power(struct sim *s, const struct cut_plan *plan);

/* Close cleanly, start again, compare.  False if a cut came in between. */
bool cut_reopen(struct sim *s);

/* First start: format. */
void cut_first_start(struct sim *s);

/* A few random operations, for an outcome that the history does not go on from. */
void history_some_ops(struct sim *s, u32 count);

/* Writes by the user that arrive now, without waiting for them. */
void history_early_writes(struct sim *s, u32 count);

#endif /* SIM_CUT_H */
