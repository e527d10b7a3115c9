/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A simulated block device.
 *
 * Writes in flight land at some time between submission and completion, in any
 * order.  A write that completed is visible; whether it is durable depends on
 * the cache: an empty flush makes durable exactly what had completed when the
 * flush was submitted, an FUA write itself alone.
 */
#ifndef SIM_DEVICE_H
#define SIM_DEVICE_H

#include <linux/list.h>

#include "page.h"
#include "rng.h"

struct sim;
struct dio;

typedef void (*dio_fn)(struct sim *s, struct dio *io, int error);

enum dio_op {
	DIO_READ,
	DIO_WRITE,
	DIO_FLUSH,
};

/* What a write to the diff device holds, by its blocks' magic numbers. */
enum write_kind {
	WRITE_DATA,
	WRITE_SUMMARY,
	WRITE_RUN,
	WRITE_ROOT,
	WRITE_BODY,
	WRITE_HEADER,
	WRITE_STATE,
	WRITE_KINDS
};

extern const char * const write_kind_names[WRITE_KINDS];

/* Sectors of one 4 KiB block of the device. */
struct piece {
	u32 block;
	u8 mask;
	struct page *page;
};

/*
 * struct dio - a transfer
 * @node:	in the device's list of those in flight or in the cache
 * @fate:	0 or the -errno that it will complete with
 * @hung:	no completion is on its way
 * @landed:	visible
 * @completed:	the device's count at its completion, 0 before
 * @kinds:	bits of enum write_kind
 */
struct dio {
	struct list_head node;
	struct device *dev;
	dio_fn fn;
	void *arg;
	u64 sector;
	u32 sectors;
	u8 op;
	u8 kinds;
	bool fua;
	bool hung;
	bool landed;
	bool sampled;
	int fate;
	u64 submitted;
	u64 completed;
	u32 nr_pieces;
	struct piece piece[];
};

/*
 * struct device_faults - how many of the next I/Os meet what
 * @bad:	sectors that cannot be read until they are written, a byte each
 */
struct device_faults {
	u32 fail_reads;
	u32 fail_writes;
	u32 fail_flushes;
	u32 hang_reads;
	u32 hang_writes;
	u32 hang_flushes;
	u8 *bad;
	u32 nr_bad;
};

/*
 * struct device - see above
 * @visible:	what a read finds
 * @durable:	what is safe from a power cut
 * @flying:	in flight, hung ones included
 * @cached:	writes completed, not durable, in the order of completion
 * @exclusive:	it is an error of the caller to write where a write is in flight
 */
struct device {
	struct sim *sim;
	const char *name;
	struct rng *rng;
	struct image *visible;
	struct image *durable;
	struct list_head flying;
	struct list_head cached;
	u32 nr_cached;
	u32 nr_flying;
	u64 count;
	bool cache;
	bool fua;
	bool absent;
	bool exclusive;
	u32 block_sectors;
	u32 latency_min;
	u32 latency_max;
	struct device_faults faults;
	u64 writes;
	u64 reads;
	u64 flushes;
};

void device_init(struct device *d, struct sim *s, const char *name, struct rng *rng, u64 sectors);
void device_exit(struct device *d);

/* Drop what is in flight and cached without any completion: after a power cut. */
void device_forget(struct device *d);

/* Take an image as content, durable. */
void device_set_image(struct device *d, const struct image *img);
void device_grow(struct device *d, u64 sectors);

struct dio *dio_new(struct device *d, enum dio_op op, u64 sector, u32 sectors, dio_fn fn,
		    void *arg);
void dio_free(struct dio *io);

/* Writes: the data from sector @from of the transfer on. */
void dio_put_data(struct dio *io, u32 from, u32 sectors, const void *data);

/* Reads, in the completion: copy out from sector @from of the transfer on. */
void dio_get_data(const struct dio *io, u32 from, u32 sectors, void *data);

void device_submit(struct dio *io);

void device_remove(struct device *d, bool lose_cache);
void device_return(struct device *d);

/* Let what hangs complete, one way or the other. */
void device_release_hung(struct device *d);
void device_clear_faults(struct device *d);
void device_set_bad(struct device *d, u64 sector, bool bad);

#endif /* SIM_DEVICE_H */
