// SPDX-License-Identifier: GPL-2.0-only
/*
 * What libdevmapper says.  There is one such function in a process, so this is the
 * command's choice, and not that of a plugin in somebody else's daemon.
 */
#define hweight32	dm_hweight32
#include <libdevmapper.h>
#undef hweight32

#include "mapper.h"

__printf(5, 6)
static void ignore(int level, const char *file, int line, int error, const char *f, ...)
{
	(void)level;
	(void)file;
	(void)line;
	(void)error;
	(void)f;
}

void mapper_log_nothing(void)
{
	dm_log_with_errno_init(ignore);
}
