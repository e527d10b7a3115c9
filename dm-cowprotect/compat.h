/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One face for the kernels that this builds on.  What they have was found by
 * test compiles (compat-probe.sh); a version number is never asked.
 */
#ifndef COWP_COMPAT_H
#define COWP_COMPAT_H

#include <linux/blkdev.h>
#include <linux/bio.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/device-mapper.h>

#include "compat-config.h"

#ifndef COWP_HAVE_BLK_MODE
typedef fmode_t blk_mode_t;
#define BLK_OPEN_READ		((__force blk_mode_t)FMODE_READ)
#define BLK_OPEN_WRITE		((__force blk_mode_t)FMODE_WRITE)
#endif

#ifndef COWP_HAVE_BIO_LIST_MERGE_INIT
static inline void bio_list_merge_init(struct bio_list *to, struct bio_list *from)
{
	bio_list_merge(to, from);
	bio_list_init(from);
}
#endif

/**
 * struct cowp_open - a block device that is held open without a claim
 * @bdev:	the device
 * @file:	what this kernel wants back at the close
 * @handle:	likewise, older
 * @mode:	likewise, oldest
 */
struct cowp_open {
	struct block_device *bdev;
#if defined(COWP_HAVE_BDEV_FILE)
	struct file *file;
#elif defined(COWP_HAVE_BDEV_HANDLE)
	struct bdev_handle *handle;
#else
	blk_mode_t mode;
#endif
};

/**
 * cowp_bdev_open - open a device, sharing it with whoever has it open
 * @o:		out
 * @dev:	number
 * @mode:	BLK_OPEN_*
 *
 * May sleep.  Returns 0 or -errno.
 */
static inline int cowp_bdev_open(struct cowp_open *o, dev_t dev, blk_mode_t mode)
{
#if defined(COWP_HAVE_BDEV_FILE)
	o->file = bdev_file_open_by_dev(dev, mode, NULL, NULL);
	if (IS_ERR(o->file))
		return PTR_ERR(o->file);
	o->bdev = file_bdev(o->file);
#elif defined(COWP_HAVE_BDEV_HANDLE)
	o->handle = bdev_open_by_dev(dev, mode, NULL, NULL);
	if (IS_ERR(o->handle))
		return PTR_ERR(o->handle);
	o->bdev = o->handle->bdev;
#else
	o->mode = mode;
#ifdef COWP_HAVE_HOLDER_OPS
	o->bdev = blkdev_get_by_dev(dev, mode, NULL, NULL);
#else
	o->bdev = blkdev_get_by_dev(dev, mode, NULL);
#endif
	if (IS_ERR(o->bdev))
		return PTR_ERR(o->bdev);
#endif
	return 0;
}

/*
 * Kernel threads only: the last reference is dropped here and not by some later
 * work, so that the device is free for others when this returns.
 */
static inline void cowp_bdev_close(struct cowp_open *o)
{
#if defined(COWP_HAVE_BDEV_FILE)
	__fput_sync(o->file);
#elif defined(COWP_HAVE_BDEV_HANDLE)
	bdev_release(o->handle);
#elif defined(COWP_HAVE_HOLDER_OPS)
	blkdev_put(o->bdev, NULL);
#else
	blkdev_put(o->bdev, o->mode);
#endif
}

#endif /* COWP_COMPAT_H */
