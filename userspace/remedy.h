/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a fault means to people, and the commands that mend it.
 */
#ifndef COWP_TOOL_REMEDY_H
#define COWP_TOOL_REMEDY_H

#include "info.h"

#define REMEDY_STEPS	5U
#define REMEDY_CHARS	512U

/**
 * struct remedy - for one volume in its state
 * @reason:	what has happened
 * @steps:	what to do, in this order
 * @count:	of steps
 */
struct remedy {
	char reason[REMEDY_CHARS];
	char steps[REMEDY_STEPS][REMEDY_CHARS];
	u32 count;
};

/* False: nothing is wrong. */
bool remedy_find(struct remedy *r, const char *volume, const struct info *info);

#endif /* COWP_TOOL_REMEDY_H */
