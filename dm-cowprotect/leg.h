/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A leg: the live or the diff device as a volume has it open.
 *
 * dm_get_device() only claims a device for a table.  I/O of a volume outlives
 * tables, so a volume has each device open on its own, without a claim, until
 * its last I/O to it is done.
 */
#ifndef COWP_LEG_H
#define COWP_LEG_H

#include "compat.h"

/**
 * struct cowp_leg - a device held open
 * @ref:	whoever does I/O to it, or may
 * @open:	the device
 * @dev:	its number
 * @mode:	BLK_OPEN_*
 * @error:	of the opening
 * @ready:	the opening has ended
 * @work:	opens, later closes
 */
struct cowp_leg {
	struct kref ref;
	struct cowp_open open;
	dev_t dev;
	blk_mode_t mode;
	int error;
	struct completion ready;
	struct work_struct work;
};

struct cowp_leg *cowp_leg_open(dev_t dev, blk_mode_t mode);
void cowp_leg_put(struct cowp_leg *leg);
void cowp_leg_close(struct cowp_leg *leg);
int cowp_leg_errno(struct block_device *bdev, blk_status_t status);

static inline struct cowp_leg *cowp_leg_get(struct cowp_leg *leg)
{
	kref_get(&leg->ref);
	return leg;
}

static inline struct block_device *cowp_leg_bdev(struct cowp_leg *leg)
{
	return leg->open.bdev;
}

#endif /* COWP_LEG_H */
