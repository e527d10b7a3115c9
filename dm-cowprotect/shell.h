/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What all of the kernel module's own files share.  A reader's way through
 * them, from the table line to the devices:
 *
 *	table-line.c	the words of a live table
 *	live-target.c	the cowprotect target: device-mapper's callbacks
 *	gate.c		what becomes of a bio to the live volume
 *	volume.c	a live volume, from its first table to its last
 *	worker.c	one activation: the thread that the engine runs in
 *	io.c		the engine's transfers as bios
 *	leg.c, area.c	devices: opened, closed, looked at
 *	snapshot-target.c, snapshot-read.c, bounce.c	snapshots as devices
 *	message.c, status.c, event.c	what the operator says and sees
 */
#ifndef COWP_SHELL_H
#define COWP_SHELL_H

#include <linux/device-mapper.h>
#include <linux/workqueue.h>

#define DM_MSG_PREFIX "cowprotect"

/* The version of the table lines, messages and status of both targets. */
#define COWP_TARGET_VERSION	{ 1, 0, 0 }

/* main.c: for what may take long: opening, closing, events, taking apart. */
extern struct workqueue_struct *cowp_wq;

/*
 * main.c: checksums of large transfers.  One queue will do for all volumes:
 * its work waits for nothing, so that its rescuer is never stuck.
 */
extern struct workqueue_struct *cowp_crc_wq;

/* live-target.c, snapshot-target.c */
extern struct target_type cowp_live_target;
extern struct target_type cowp_snapshot_target;

/* crc.c */
int __init cowp_crc_init(void);
void cowp_crc_exit(void);

#endif /* COWP_SHELL_H */
