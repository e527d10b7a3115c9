/* SPDX-License-Identifier: GPL-2.0-only */
/* Programs that the administrator, or low room, has run. */
#ifndef COWP_MONITOR_COMMAND_H
#define COWP_MONITOR_COMMAND_H

#include <sys/types.h>

#include "info.h"

/**
 * struct command_about - what a program finds in its environment
 * @volume:	COWPROTECT_VOLUME
 * @diff:	COWPROTECT_DIFF: the device that the diff area is on, or empty
 * @info:	COWPROTECT_STATE and COWPROTECT_FAULT
 */
struct command_about {
	const char *volume;
	const char *diff;
	const struct info *info;
};

/*
 * command_run - run a program and wait for it
 * @argv:	program, by its path, and its arguments
 * @secs:	after which it and what it has started are killed
 * @left:	in and out: one that was killed and has not ended, 0: there is none
 *
 * What waits for the disk of the volume that is blocked cannot be killed.  It is
 * left behind, as what releases it comes from the caller; until it has ended no
 * other is started.
 *
 * Returns its exit status, 128 and the signal that ended it, or -errno:
 * -ETIMEDOUT where it was killed for taking too long, -EBUSY where @left stands.
 */
int command_run(char * const argv[], const struct command_about *about, u32 secs, pid_t *left);

#endif /* COWP_MONITOR_COMMAND_H */
