/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A volume: a live device with its snapshots, from the first table that names
 * it to the last, across reloads.
 *
 * The volume is only an identity.  What works, engine and worker and open
 * devices, is an activation (struct cowp_port, worker.h).  An activation begins
 * with the first resume of a live target and ends when the last live target is
 * gone; it is then closed, and goes on to answer the reads of snapshot devices.
 * A live target that comes back gets a new activation, which recovers like any
 * other: what it finds in the diff area, not what the memory of the old one
 * says, is the truth, since the device was out of our hands meanwhile.
 */
#ifndef COWP_VOLUME_H
#define COWP_VOLUME_H

#include <linux/dm-ioctl.h>
#include <linux/kref.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include "engine.h"

struct cowp_port;
struct cowp_reader;
struct dm_target;

/**
 * struct cowp_volume - a live device and its snapshots
 * @ref:	targets, activations
 * @list:	in the list of all volumes until the last reference goes: as long
 *		as an old activation has I/O out nobody else may have its devices
 * @dev:	number of the live device
 * @targets:	live targets of any table, active or not
 * @snapshots:	snapshot targets, likewise
 * @opens:	struct cowp_open_snapshot of each
 * @deletes:	struct cowp_delete: ids that are being deleted
 * @old_ports:	activations that still have I/O out or hold devices open
 * @idle:	woken when @old_ports falls, or an activation was closed
 * @port_lock:	for @port; taken in interrupts too
 * @port:	the activation that counts, NULL before the first resume
 * @closing:	@port belongs to no live target any more
 * @diff:	number of the diff device that the last resumed table names; 0: none
 * @reap:	lets go of a closed activation that nobody needs
 * @reader:	what snapshot reads need, from the first snapshot target on
 * @event_lock:	for @ti: not taken while anything sleeps for I/O
 * @ti:		the live target that was resumed last, to send events through
 * @name:	of its mapped device, for messages
 * @event:	sends them
 * @untold:	there was no memory for the newest one, which is
 * @untold_state: enum cowp_state
 * @untold_fault: enum cowp_fault
 *
 * The list, the counts, @opens, @deletes, @closing and @diff belong
 * to cowp_volumes_lock.
 */
struct cowp_volume {
	struct kref ref;
	struct list_head list;
	dev_t dev;
	unsigned int targets;
	unsigned int snapshots;
	struct list_head opens;
	struct list_head deletes;
	atomic_t old_ports;
	wait_queue_head_t idle;

	spinlock_t port_lock;		/* port */
	struct cowp_port *port;
	bool closing;
	dev_t diff;
	struct work_struct reap;

	struct cowp_reader *reader;

	struct mutex event_lock;	/* ti, name, untold */
	struct dm_target *ti;
	char name[DM_NAME_LEN];
	struct delayed_work event;
	bool untold;
	u8 untold_state;
	u8 untold_fault;
};

/* A snapshot target's claim on its snapshot. */
struct cowp_open_snapshot {
	struct list_head list;
	u32 id;
};

/* A deletion's claim. */
struct cowp_delete {
	struct list_head list;
	u32 id;
};

struct cowp_volume *cowp_volume_join(dev_t dev);
void cowp_volume_leave(struct cowp_volume *v);
void cowp_volume_put(struct cowp_volume *v);

struct cowp_port *cowp_volume_port(struct cowp_volume *v);
struct cowp_port *cowp_volume_attached(struct cowp_volume *v);
struct cowp_port *cowp_volume_activate(struct cowp_volume *v, struct cowp_port *pending,
				       dev_t diff, bool *first);
const char *cowp_volume_claims(struct cowp_volume *v, dev_t diff, const u8 *uuid);
void cowp_volume_port_closed(struct cowp_volume *v);
void cowp_volume_port_gone(struct cowp_volume *v);

struct cowp_volume *cowp_volume_open_snapshot(dev_t dev, struct cowp_open_snapshot *o,
					      char **error);
void cowp_volume_close_snapshot(struct cowp_volume *v, struct cowp_open_snapshot *o);
void cowp_volume_reader(struct cowp_volume *v, struct cowp_reader *new);
u64 cowp_volume_reader_bytes(struct cowp_volume *v);
int cowp_volume_delete_begin(struct cowp_volume *v, struct cowp_delete *d);
void cowp_volume_delete_end(struct cowp_volume *v, struct cowp_delete *d);

/* event.c */
void cowp_event_work(struct work_struct *work);
void cowp_event_attach(struct cowp_volume *v, struct dm_target *ti);
void cowp_event_detach(struct cowp_volume *v, struct dm_target *ti);

#endif /* COWP_VOLUME_H */
