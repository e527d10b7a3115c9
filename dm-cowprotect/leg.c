// SPDX-License-Identifier: GPL-2.0-only
/*
 * Opening and closing devices.  See leg.h.
 *
 * Both are done by work of their own: a close writes back what others left in
 * the page cache and waits for it, which on a hung device is for ever, and an
 * open may wait for the device likewise.  Nothing else must wait with them.
 */
#include <linux/module.h>
#include <linux/slab.h>
#include "leg.h"
#include "shell.h"

#define OPEN_SECONDS	10

static void leg_close_work(struct work_struct *work)
{
	struct cowp_leg *leg = container_of(work, struct cowp_leg, work);

	if (leg->open.bdev)
		cowp_bdev_close(&leg->open);
	kfree(leg);
	module_put(THIS_MODULE);
}

static void leg_release(struct kref *ref)
{
	struct cowp_leg *leg = container_of(ref, struct cowp_leg, ref);

	/* The last reference may go in an interrupt, or on a volume's worker. */
	INIT_WORK(&leg->work, leg_close_work);
	queue_work(cowp_wq, &leg->work);
}

/**
 * cowp_leg_put - drop a reference
 * @leg:	the leg, or NULL
 *
 * Any context.  The device is closed some time after the last one.
 */
void cowp_leg_put(struct cowp_leg *leg)
{
	if (leg)
		kref_put(&leg->ref, leg_release);
}

/**
 * cowp_leg_close - drop a reference, and close the device if it is the last
 * @leg:	the leg, or NULL
 *
 * Kernel threads; may sleep, on a hung device for ever.
 */
void cowp_leg_close(struct cowp_leg *leg)
{
	if (leg && refcount_dec_and_test(&leg->ref.refcount))
		leg_close_work(&leg->work);
}

static void leg_open_work(struct work_struct *work)
{
	struct cowp_leg *leg = container_of(work, struct cowp_leg, work);

	leg->error = cowp_bdev_open(&leg->open, leg->dev, leg->mode);
	if (leg->error)
		leg->open.bdev = NULL;
	complete(&leg->ready);
	cowp_leg_put(leg);
}

/**
 * cowp_leg_open - open a device
 * @dev:	number
 * @mode:	BLK_OPEN_*
 *
 * May sleep, some seconds at most, killable.  Returns the leg with one
 * reference, or an ERR_PTR: -ETIMEDOUT if the device did not answer, -EINTR if
 * the caller was killed, or what the opening returned.
 */
struct cowp_leg *cowp_leg_open(dev_t dev, blk_mode_t mode)
{
	struct cowp_leg *leg = kzalloc(sizeof(*leg), GFP_KERNEL);
	long left;
	int error;

	if (!leg)
		return ERR_PTR(-ENOMEM);
	__module_get(THIS_MODULE);
	kref_init(&leg->ref);
	leg->dev = dev;
	leg->mode = mode;
	init_completion(&leg->ready);
	INIT_WORK(&leg->work, leg_open_work);
	cowp_leg_get(leg);	/* for the work */
	queue_work(cowp_wq, &leg->work);

	left = wait_for_completion_killable_timeout(&leg->ready, OPEN_SECONDS * HZ);
	if (left < 0)
		error = -EINTR;
	else if (!left)
		error = -ETIMEDOUT;
	else
		error = leg->error;
	if (!error)
		return leg;
	cowp_leg_put(leg);
	return ERR_PTR(error);
}

/**
 * cowp_leg_errno - what a bio's status means for a volume
 * @bdev:	device of the bio
 * @status:	the bio's
 *
 * Any context.  A device that was pulled out ends its I/O with whatever its
 * driver had at hand; that it is gone is what the operator has to know.
 * Returns 0 or -errno.
 */
int cowp_leg_errno(struct block_device *bdev, blk_status_t status)
{
	if (!status)
		return 0;
	if (test_bit(GD_DEAD, &bdev->bd_disk->state))
		return -ENODEV;
	return blk_status_to_errno(status);
}
