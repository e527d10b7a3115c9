/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Raw live devices of cowprotecttab, as udev's rules ask for them.
 */
#ifndef COWP_TOOL_LIVE_H
#define COWP_TOOL_LIVE_H

/*
 * live_tell - is this the live device of a line?
 * @node:	the device
 * @links:	to it, as udev has them so far in DEVLINKS; or NULL
 * @part:	it is a part of one that is
 *
 * Prints properties.  Returns an enum tool_exit.
 */
int live_tell(const char *node, const char *links, bool part);

#endif /* COWP_TOOL_LIVE_H */
