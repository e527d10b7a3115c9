/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * File systems that stand still for a moment, and never for longer.
 */
#ifndef COWP_TOOL_FREEZE_H
#define COWP_TOOL_FREEZE_H

#include "tool.h"

struct frozen;

/* What is to be frozen: nothing yet. */
struct frozen *freeze_new(void);

/*
 * freeze_add - add the file systems that are mounted from a device
 * @number:	its "major:minor"
 *
 * Those on devices that are stacked on it, too.  Returns an enum tool_exit.
 */
int freeze_add(struct frozen *f, const char *number);

/*
 * freeze - freeze all that was added
 * @seconds:	after which they are thawed in any case
 *
 * Each has a process of its own that thaws it when it is told so, when the time
 * is up, or when the caller is no more.  When one cannot be frozen all are thawed.
 */
int freeze(struct frozen *f, u32 seconds);

/*
 * thaw - thaw them, and free
 *
 * Returns TOOL_FAILED, after it was told, if one was not frozen all the time.
 */
int thaw(struct frozen *f);

#endif /* COWP_TOOL_FREEZE_H */
