/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the administrator wants done for a volume by itself, as the file
 * /etc/cowprotect/cowprotect.conf says it.
 */
#ifndef COWP_MONITOR_POLICY_H
#define COWP_MONITOR_POLICY_H

#include <stdbool.h>

#include "port.h"

#define POLICY_FILE	"/etc/cowprotect/cowprotect.conf"

#define POLICY_CHARS	200	/* of a line that inih takes */

/**
 * struct policy - for one volume
 * @extend_percent: of the logical volume's size, added to it on low water; 0: off
 * @extend_command: instead of lvextend, or empty
 * @fault_command: run when a fault comes, or empty
 * @command_secs: after which a command is ended
 * @retry_clear: send "clear" where the cause may have healed by itself
 * @retry_first_secs: before the first attempt
 * @retry_most_secs: between attempts; each wait is twice the one before
 * @witness:	folder of the files that say what the diff area cannot be told: witness.h
 */
struct policy {
	u32 extend_percent;
	char extend_command[POLICY_CHARS];
	char fault_command[POLICY_CHARS];
	u32 command_secs;
	bool retry_clear;
	u32 retry_first_secs;
	u32 retry_most_secs;
	char witness[POLICY_CHARS];
};

/* What counts without a file */
void policy_default(struct policy *p);

/**
 * policy_read - what a file says for a volume
 * @p:		out; unchanged where the file is wrong
 * @path:	of the file; one that is not there says nothing
 * @volume:	whose section counts, above what stands before the first section
 * @error:	out: one line that names file, line, reason and mend
 * @chars:	room in @error
 *
 * The whole file is looked at, other volumes' sections too.  False: it is wrong.
 */
bool policy_read(struct policy *p, const char *path, const char *volume, char *error,
		 size_t chars);

#endif /* COWP_MONITOR_POLICY_H */
