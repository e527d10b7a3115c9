/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Snapshot devices.
 */
#ifndef COWP_SNAPSHOT_H
#define COWP_SNAPSHOT_H

#include <linux/device-mapper.h>
#include "engine.h"
#include "volume.h"

struct cowp_leg;

/**
 * struct cowp_snap - a snapshot target of one table
 * @open:	its claim, with the id
 * @volume:	of the live volume
 * @dev:	the live device, claimed
 * @diff_name:	name of the diff device as given
 * @requeue:	noflush suspend: reads that wait go back
 */
struct cowp_snap {
	struct cowp_open_snapshot open;
	struct cowp_volume *volume;
	struct dm_dev *dev;
	char *diff_name;
	bool requeue;
};

/**
 * struct cowp_snap_io - a read of a snapshot
 * @lookup:	the question for the places of its chunks
 * @work:	issues and verifies
 * @snap:	the target
 * @bio:	the read; dm_bio_from_per_bio_data() is a call
 * @port:	the activation that was asked, with a reference
 * @parity:	of the count of readers
 * @seq:	sample of the sequence counts before the lookup
 * @lost:	of the count of losses
 * @done:	bytes that are there
 * @bytes:	bytes that the chunks asked for make
 * @iter:	the bio's range while that is remapped to one of the devices
 * @bdev:	likewise its device
 * @end_io:	likewise what device-mapper ends it with
 * @pending:	clones under way, and the issuer
 * @status:	of the bios that failed
 * @leg:	the devices while they are read
 * @live:	some chunks were read from the live device
 * @direct:	bits of those that were read from the diff device into the reader's pages
 * @mismatch:	a checksum did not match
 * @here:	the reader itself asks the engine
 * @answered:	and has been answered
 * @tries:	lookups after a checksum did not match
 */
struct cowp_snap_io {
	struct cowp_lookup lookup;
	struct work_struct work;
	struct cowp_snap *snap;
	struct bio *bio;
	struct cowp_port *port;
	u32 parity;
	u32 seq;
	u32 lost;
	u32 done;
	u32 bytes;
	struct bvec_iter iter;
	struct block_device *bdev;
	bio_end_io_t *end_io;
	atomic_t pending;
	blk_status_t status;
	struct cowp_leg *leg[2];
	u32 direct;
	bool live;
	bool mismatch;
	bool here;
	bool answered;
	u8 tries;
};

static inline struct cowp_snap_io *cowp_snap_io(struct bio *bio)
{
	return dm_per_bio_data(bio, sizeof(struct cowp_snap_io));
}

/* snapshot-read.c */
int cowp_snapshot_read(struct cowp_snap *snap, struct dm_target *ti, struct bio *bio);
void cowp_snapshot_found(struct cowp_lookup *l);
bool cowp_snapshot_asked(struct cowp_lookup *l);
void cowp_snapshot_give_back(struct cowp_snap *snap);

#endif /* COWP_SNAPSHOT_H */
