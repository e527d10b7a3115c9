/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What a power cut leaves.
 *
 * The durable image, plus any subset of the writes that were not durable
 * (completed and not flushed, or in flight), each whole or torn at sector
 * granularity, two of one address in either order; in those that were in flight
 * torn sectors may hold garbage.
 */
#ifndef SIM_CRASH_H
#define SIM_CRASH_H

#include "device.h"

enum crash_fate {
	CRASH_DROP,
	CRASH_KEEP,
	CRASH_TORN,
	CRASH_GARBAGE,
};

struct crash_write {
	struct dio *io;
	u8 fate;
};

/**
 * struct crash_how - the dice
 * @keep:	of 1000 writes so many are kept
 * @torn:	of 1000 kept ones so many are torn
 * @garbage:	of 1000 torn ones in flight so many hold garbage
 * @reorder:	of 1000 so many are applied out of order
 */
struct crash_how {
	u32 keep;
	u32 torn;
	u32 garbage;
	u32 reorder;
};

/* The unsettled writes, cached ones first; @list has room for @max. Returns how many there are. */
u32 crash_list(struct device *d, struct crash_write *list, u32 max);

/* Apply them in this order to a copy of the durable image. */
struct image *crash_apply(struct device *d, const struct crash_write *list, u32 count,
			  struct rng *rng);

/* A random outcome.  @how: NULL for random dice. */
struct image *crash_image(struct device *d, struct rng *rng, const struct crash_how *how);

struct crash_how crash_dice(struct rng *rng);

/* Two outcomes of one instant are equal if this is: a hash of all that was unsettled. */
u64 crash_hash(struct device *d, const struct image *img);

#endif /* SIM_CRASH_H */
