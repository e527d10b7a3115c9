/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A block device in memory, with a volatile cache if it has one: what a crash
 * leaves of it is what was flushed, and of the rest what the dice say.
 */
#ifndef KUNIT_DEVICE_H
#define KUNIT_DEVICE_H

#include <linux/prandom.h>
#include "port.h"

/**
 * struct device - blocks in memory, zero until they are written
 * @sectors:	size; 0: absent
 * @caps:	COWP_CAP_*
 * @count:	blocks that there is room for
 * @now:	what a read returns
 * @durable:	what a crash cannot take; NULL: zeros
 * @dirty:	@now and @durable differ
 * @dirty_list:	those of it, each once
 * @dirty_count: how many
 * @writes:	blocks written
 * @discards:	blocks discarded
 */
struct device {
	u64 sectors;
	u32 caps;
	u64 count;
	u8 **now;
	u8 **durable;
	bool *dirty;
	u32 *dirty_list;
	u32 dirty_count;
	u64 writes;
	u64 discards;
};

int device_init(struct device *d, u64 sectors, u32 caps);
void device_exit(struct device *d);
void device_read(const struct device *d, u64 sector, void *to, u32 bytes);
void device_write(struct device *d, u64 sector, const void *from, u32 bytes, bool fua);
void device_discard(struct device *d, u64 sector, u32 bytes);
void device_flush(struct device *d);

/* Of each block that was not flushed either the old or the new content stays. */
void device_crash(struct device *d, struct rnd_state *rnd);

#endif /* KUNIT_DEVICE_H */
