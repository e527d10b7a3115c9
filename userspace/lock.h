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
 * @lock:	out, for lock_end(); it ends with the process, too
 *
 * To be kept only while devices are made or removed, not for what may take long, as a
 * recovery.  Returns an enum tool_exit, with the error told: whoever has the lock may wait
 * for a device that never answers, so after a minute it is TOOL_BUSY.  The operator's
 * replace-diff, which is the repair of that, takes no lock.
 */
int lock_volume(const char *name, int *lock);
void lock_end(int lock);

#endif /* COWP_TOOL_LOCK_H */
