/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * dmeventd, and whether it watches a volume.
 */
#ifndef COWP_TOOL_WATCHING_H
#define COWP_TOOL_WATCHING_H

/*
 * watching_begin - have dmeventd watch a volume by our plugin
 * @volume:	its name
 *
 * dmeventd is started if it does not run.  Where the plugin is not installed nothing
 * is done.  A failure is told; the volume is there all the same.
 */
void watching_begin(const char *volume);

#endif /* COWP_TOOL_WATCHING_H */
