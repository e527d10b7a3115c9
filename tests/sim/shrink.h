/* SPDX-License-Identifier: GPL-2.0-only */
/* Make a failing history small. */
#ifndef SIM_SHRINK_H
#define SIM_SHRINK_H

#include "history.h"

/* How a history ends in a process of its own. */
enum run_end {
	RUN_GOOD,
	RUN_FAILED,	/* a divergence */
	RUN_DIED,	/* a sanitizer's finding, a BUG, a signal */
	RUN_STUCK,	/* no end */
};

/* SIGVTALRM to this process after so many seconds of its own: the machine may be busy. */
void limit_processor_time(u32 seconds);

/* @shared: where the process tells of the failure.  @loud: let it write to stderr. */
enum run_end run_apart(const struct history *h, struct stats *shared, bool trace, bool loud,
		       u32 seconds);

/* Drop operations while the history still fails in the same way. */
void shrink(struct history *h, struct stats *shared, u32 seconds);

#endif /* SIM_SHRINK_H */
