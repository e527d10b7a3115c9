/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Another device below a volume's diff area, while the volume keeps what it holds.
 *
 * Functions that return an enum tool_exit have told the error.
 */
#ifndef COWP_TOOL_REPLACE_H
#define COWP_TOOL_REPLACE_H

#include "volume.h"

/* Has it no diff device, or one that has gone?  Not if it was taken away on purpose. */
bool replace_lacks(const struct volume *v);

/*
 * replace_diff - put a device with the volume's diff area in its place
 *
 * Whatever is there now.  The volume takes it up by itself only if it had none.
 */
int replace_diff(const struct volume *v, const char *operand);

/*
 * replace_if_lacking - likewise for an active volume that lacks one
 * @name:	of the volume
 *
 * Done by one process at a time, as udev and whoever activates come at the same moment.
 */
int replace_if_lacking(const char *name, const char *operand);

#endif /* COWP_TOOL_REPLACE_H */
