// SPDX-License-Identifier: GPL-2.0-only
/*
 * A constructor's look at the diff device: it reads the four blocks whose place
 * does not depend on anything, and changes nothing, since the old table may be
 * in use and this one may never be.
 *
 * The reading is done by a work item, so that a constructor gives up waiting
 * for a device that hangs while the work goes on waiting.
 */
#include <linux/bio.h>
#include <linux/module.h>
#include <linux/slab.h>
#include "area.h"
#include "shell.h"

#define READ_SECONDS	10

/**
 * struct area_look - a look under way
 * @ref:	the work's and the constructor's
 * @leg:	the device
 * @block:	roots, then states; NULL where one could not be read
 * @done:	all were read, or failed
 * @work:	reads them
 */
struct area_look {
	struct kref ref;
	struct cowp_leg *leg;
	void *block[2 * COWP_SLOTS];
	struct completion done;
	struct work_struct work;
};

static void look_release(struct kref *ref)
{
	struct area_look *look = container_of(ref, struct area_look, ref);
	u32 i;

	for (i = 0; i < ARRAY_SIZE(look->block); i++)
		port_block_free(look->block[i]);
	cowp_leg_put(look->leg);
	kfree(look);
}

static int read_block(struct block_device *bdev, u64 nr, void *block)
{
	struct bio_vec vec;
	struct bio bio;
	int r;

	bio_init(&bio, bdev, &vec, 1, REQ_OP_READ);
	bio.bi_iter.bi_sector = nr * COWP_BLOCK_SECTORS;
	__bio_add_page(&bio, virt_to_page(block), COWP_BLOCK_SIZE, offset_in_page(block));
	r = submit_bio_wait(&bio);
	bio_uninit(&bio);
	return r;
}

static void look_work(struct work_struct *work)
{
	struct area_look *look = container_of(work, struct area_look, work);
	struct block_device *bdev = cowp_leg_bdev(look->leg);
	u64 blocks = bdev_nr_sectors(bdev) / COWP_BLOCK_SECTORS;
	u32 i;

	for (i = 0; i < ARRAY_SIZE(look->block); i++) {
		u32 slot = i % COWP_SLOTS;
		u64 nr = i < COWP_SLOTS ? COWP_ROOT_BLOCK(slot) : COWP_STATE_BLOCK(slot);

		if (nr >= blocks || read_block(bdev, nr, look->block[i])) {
			port_block_free(look->block[i]);
			look->block[i] = NULL;
		}
	}
	complete(&look->done);
	kref_put(&look->ref, look_release);
}

static struct area_look *look_new(struct cowp_leg *leg)
{
	struct area_look *look = kzalloc(sizeof(*look), GFP_KERNEL);
	u32 i;

	if (!look)
		return NULL;
	kref_init(&look->ref);
	look->leg = cowp_leg_get(leg);
	init_completion(&look->done);
	INIT_WORK(&look->work, look_work);
	for (i = 0; i < ARRAY_SIZE(look->block); i++) {
		look->block[i] = port_block_alloc();
		if (!look->block[i]) {
			kref_put(&look->ref, look_release);
			return NULL;
		}
	}
	return look;
}

/**
 * cowp_area_read - what do a diff device's fixed blocks say?
 * @diff:	the device
 * @area:	out
 * @info:	out
 *
 * May sleep, some seconds at most, killable; a device that does not answer in
 * time counts as unreadable.  Returns 0, -ENOMEM, or -EINTR if killed.
 */
int cowp_area_read(struct cowp_leg *diff, enum cowp_area *area, struct cowp_area_info *info)
{
	struct area_look *look = look_new(diff);
	const void *root[COWP_SLOTS], *state[COWP_SLOTS];
	long left;
	u32 i;

	if (!look)
		return -ENOMEM;
	memset(info, 0, sizeof(*info));
	*area = COWP_AREA_UNREADABLE;
	kref_get(&look->ref);	/* for the work; its leg keeps the module */
	queue_work(cowp_wq, &look->work);
	left = wait_for_completion_killable_timeout(&look->done, READ_SECONDS * HZ);
	if (left > 0) {
		for (i = 0; i < COWP_SLOTS; i++) {
			root[i] = look->block[i];
			state[i] = look->block[COWP_SLOTS + i];
		}
		*area = cowp_area_probe(root, state, bdev_nr_sectors(cowp_leg_bdev(diff)) /
					COWP_BLOCK_SECTORS, info);
	}
	kref_put(&look->ref, look_release);
	return left < 0 ? -EINTR : 0;
}
