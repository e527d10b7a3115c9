/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the kernel's log says about an ioctl that failed: device-mapper gives
 * its reasons there, and an error number.
 */
#ifndef COWP_TOOL_KMSG_H
#define COWP_TOOL_KMSG_H

/* Take note of where the log ends. */
int kmsg_open(void);

/* Print what was added by our targets since; nothing where the log cannot be read. */
void kmsg_show(int fd);

void kmsg_close(int fd);

#endif /* COWP_TOOL_KMSG_H */
