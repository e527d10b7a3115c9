/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Devices by the names that an administrator gives them.
 */
#ifndef COWP_TOOL_DEVICE_H
#define COWP_TOOL_DEVICE_H

#include <limits.h>

#include "tool.h"

/* Can it be one of these names?  Returns NULL, or what is wrong. */
const char *device_wrong(const char *name);

/*
 * What udev calls a live device of cowprotecttab instead of /dev/disk/by-uuid/X and
 * by-label/X, which are the volume's: /dev/cowprotect/by-uuid/X and by-label/X.
 */
#define DEVICE_HIDDEN	"/dev/cowprotect"

/*
 * device_link - the path where udev has what an administrator names
 * @path:	out
 *
 * Returns an enum tool_exit, after the error was told: the name is too long.
 */
int device_link(const char *name, char path[PATH_MAX]);

/*
 * device_path - the path of what an administrator names
 * @name:	a path, or UUID=, LABEL=, PARTUUID=, PARTLABEL= or ID= with a value,
 *		as udev knows it
 * @path:	out; may be longer than what is used of it
 *
 * Devices are not opened to look for it: one may belong to a volume that is
 * blocked.  Returns an enum tool_exit, after the error was told.
 */
int device_path(const char *name, char path[PATH_MAX]);

/* Room for "4095:1048575". */
#define DEVICE_NUMBER_CHARS	24

/*
 * device_shown - "/dev/sdb1" for "8:17", which tables have
 *
 * "8:17" where the kernel knows no name.
 */
void device_shown(const char *number, char path[PATH_MAX]);

/* The size of what a table names; 0: it is not known. */
u64 device_sectors(const char *number);

#endif /* COWP_TOOL_DEVICE_H */
