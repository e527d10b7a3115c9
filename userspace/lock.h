/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One process at a time makes a volume's devices, exchanges them or takes them apart:
 * udev, systemd and the operator may all do it at the same moment.
 */
#ifndef COWP_TOOL_LOCK_H
#define COWP_TOOL_LOCK_H

/*
 * lock_volume - wait until nobody else works on a volume's devices
 * @name:	of the volume, whether it is there or not
 *
 * To be kept only while devices are made or removed, not for what may take long, as a
 * recovery.  Returns what lock_end() takes; it ends with the process, too.
 */
int lock_volume(const char *name);
void lock_end(int lock);

#endif /* COWP_TOOL_LOCK_H */
