// SPDX-License-Identifier: GPL-2.0-only
/*
 * The engine's transfers as bios.
 *
 * All memory of a transfer is allocated with it, so that submission allocates
 * nothing; pages of the engine's blocks go into the bio as they are.
 *
 * The worker must never wait for the diff device: if that hangs, it is the
 * worker that has to see the time-out.  submit_bio() waits, though, when the
 * device has no request left, or is stacked on one.  So transfers to the diff
 * device are submitted with REQ_NOWAIT, and the few that cannot be started
 * without waiting go to a workqueue that may, as do discards, which the block
 * layer may have to split.  So do those of a reader that asks the engine: it must
 * not sleep, and from within its own submission they would be put off until that
 * ends, while others may wait for the same block.
 * Waiting for the live device is no such danger: when that hangs there is nothing
 * to serve.
 */
#include <linux/bio.h>
#include <linux/slab.h>
#include "budget.h"
#include "engine.h"
#include "shell.h"
#include "worker.h"

/* Checksums of more blocks than this are made off the worker. */
#define CRC_INLINE_BLOCKS	16U

/**
 * struct port_io - a transfer with all that it needs
 * @io:		the engine's part
 * @port:	the activation
 * @leg:	the device, held until the transfer has ended
 * @done:	in cowp_port.done
 * @work:	submission that may sleep, or checksums
 * @summed:	checksums are there
 * @bio:	the bio
 * @vecs:	room for one block each
 */
struct port_io {
	struct cowp_io io;
	struct cowp_port *port;
	struct cowp_leg *leg;
	struct llist_node done;
	struct work_struct work;
	bool summed;
	struct bio bio;
	struct bio_vec vecs[];
};

/* As the engine counts it. */
static_assert(sizeof(struct port_io) <= COWP_IO_BYTES);
static_assert(sizeof(struct bio_vec) <= COWP_IO_BLOCK_BYTES);

static struct port_io *to_port_io(struct cowp_io *io)
{
	return container_of(io, struct port_io, io);
}

/**
 * port_io_new - allocate a transfer
 * @p:		the activation
 * @max_blocks:	room for so many blocks of 4 KiB, 256 at most; 0: flushes and discards
 *
 * May sleep.  Returns NULL when there is no memory.
 */
struct cowp_io *port_io_new(struct cowp_port *p, u32 max_blocks)
{
	struct port_io *pio;

	if (WARN_ON_ONCE(max_blocks > BIO_MAX_VECS))
		return NULL;
	pio = port_zalloc(struct_size(pio, vecs, max_blocks));
	if (!pio)
		return NULL;
	if (max_blocks) {
		pio->io.blocks = port_zalloc(array_size(max_blocks, sizeof(*pio->io.blocks)));
		if (!pio->io.blocks) {
			port_free(pio);
			return NULL;
		}
	}
	pio->io.max_blocks = max_blocks;
	pio->port = p;
	return &pio->io;
}

/**
 * port_io_free - free a transfer
 * @io:		from port_io_new(), not in flight; or NULL
 */
void port_io_free(struct cowp_io *io)
{
	if (!io)
		return;
	port_free(io->blocks);
	port_free(to_port_io(io));
}

static void io_post(struct port_io *pio)
{
	struct cowp_port *p = pio->port;

	/* The worker looks by itself when it has submitted. */
	if (llist_add(&pio->done, &p->done) && !cowp_port_runs(p))
		cowp_port_kick(p);
}

/* Whole blocks are summed, whatever the length: what lies behind it is zero. */
static void io_finish_read(struct port_io *pio)
{
	struct cowp_io *io = &pio->io;
	u32 tail = io->bytes % COWP_BLOCK_SIZE;
	u32 i;

	if (tail)
		memset(io->blocks[io->nr_blocks - 1] + tail, 0, COWP_BLOCK_SIZE - tail);
	if (io->csum)
		for (i = 0; i < io->nr_blocks; i++)
			io->csum[i] = port_crc32c(~0U, io->blocks[i], COWP_BLOCK_SIZE);
	pio->summed = true;
}

static void io_crc_work(struct work_struct *work)
{
	struct port_io *pio = container_of(work, struct port_io, work);

	io_finish_read(pio);
	io_post(pio);
}

static void io_submit(struct port_io *pio, blk_opf_t flags);

static void io_submit_work(struct work_struct *work)
{
	io_submit(container_of(work, struct port_io, work), 0);
}

static void io_end(struct bio *bio)
{
	struct port_io *pio = container_of(bio, struct port_io, bio);
	struct cowp_io *io = &pio->io;

	if (bio->bi_opf & REQ_NOWAIT &&
	    (bio->bi_status == BLK_STS_AGAIN || bio->bi_status == BLK_STS_NOTSUPP)) {
		/*
		 * It could not be started at once, or not all of it.  Doing all
		 * of it again is harmless: it is the same data to the same place.
		 */
		INIT_WORK(&pio->work, io_submit_work);
		queue_work(pio->port->submit_wq, &pio->work);
		return;
	}

	io->error = cowp_leg_errno(bio->bi_bdev, bio->bi_status);
	if (!io->error && io->op == COWP_READ && io->csum && io->nr_blocks > CRC_INLINE_BLOCKS) {
		INIT_WORK(&pio->work, io_crc_work);
		queue_work(cowp_crc_wq, &pio->work);
		return;
	}
	io_post(pio);
}

static blk_opf_t io_opf(const struct cowp_io *io)
{
	switch (io->op) {
	case COWP_READ:
		return REQ_OP_READ;
	case COWP_WRITE:
		/*
		 * Somebody's write waits for this one: it is synchronous, and
		 * REQ_IDLE exempts it from the throttling of write-back.
		 */
		return REQ_OP_WRITE | REQ_SYNC | REQ_IDLE | (io->fua ? REQ_FUA : 0);
	case COWP_DISCARD:
		return REQ_OP_DISCARD;
	default:
		return REQ_OP_WRITE | REQ_SYNC | REQ_PREFLUSH;
	}
}

static void io_submit(struct port_io *pio, blk_opf_t flags)
{
	struct cowp_io *io = &pio->io;
	struct bio *bio = &pio->bio;
	u32 left = io->bytes;
	u32 i;

	bio_init(bio, cowp_leg_bdev(pio->leg), pio->vecs, io->max_blocks, io_opf(io) | flags);
	bio->bi_iter.bi_sector = io->sector;
	bio->bi_end_io = io_end;
	if (io->op == COWP_DISCARD) {
		bio->bi_iter.bi_size = io->bytes;
	} else if (io->op != COWP_FLUSH) {
		for (i = 0; i < io->nr_blocks; i++) {
			u32 bytes = min(left, COWP_BLOCK_SIZE);

			__bio_add_page(bio, virt_to_page(io->blocks[i]), bytes,
				       offset_in_page(io->blocks[i]));
			left -= bytes;
		}
	}
	submit_bio(bio);
}

/**
 * port_submit - start a transfer
 * @p:		the activation
 * @io:		the transfer
 *
 * The worker, or a reader that has the engine (to the diff device only, and
 * without sleeping); does not wait for the diff device.  The transfer is
 * delivered to the engine in a later round of the worker, in every case: with
 * -ENODEV if its device is absent, as the device cannot answer for itself.
 */
void port_submit(struct cowp_port *p, struct cowp_io *io)
{
	struct port_io *pio = to_port_io(io);
	struct cowp_leg *leg = p->leg[io->dev];

	cowp_port_get(p);
	io->error = 0;
	pio->summed = false;
	if (!leg) {
		pio->leg = NULL;
		io->error = -ENODEV;
		io_post(pio);
		return;
	}
	pio->leg = cowp_leg_get(leg);
	if (io->dev == COWP_LIVE) {
		io_submit(pio, 0);
	} else if (cowp_port_runs(p) && bdev_nowait(cowp_leg_bdev(leg)) &&
		   io->op != COWP_DISCARD) {
		io_submit(pio, REQ_NOWAIT);
	} else {
		INIT_WORK(&pio->work, io_submit_work);
		queue_work(p->submit_wq, &pio->work);
	}
}

/**
 * cowp_io_deliver - hand ended transfers to the engine
 * @p:		the activation
 *
 * Worker.
 */
void cowp_io_deliver(struct cowp_port *p)
{
	struct llist_node *list = llist_reverse_order(llist_del_all(&p->done));
	struct port_io *pio, *next;

	llist_for_each_entry_safe(pio, next, list, done) {
		if (!pio->io.error && pio->io.op == COWP_READ && !pio->summed)
			io_finish_read(pio);
		if (pio->leg)
			bio_uninit(&pio->bio);
		cowp_leg_put(pio->leg);
		cowp_engine_io_done(p->eng, &pio->io);
		/* If it is the last one: the takedown waits until the worker is idle. */
		cowp_port_put(p);
	}
}

/**
 * port_caps - what a device's writes need to become durable, and what it can
 * @p:		the activation
 * @dev:	which device
 *
 * Worker.  Asked anew each time: the administrator can switch the cache in
 * sysfs, and a mapped device gets another table.
 */
u32 port_caps(struct cowp_port *p, enum cowp_dev dev)
{
	struct cowp_leg *leg = p->leg[dev];
	u32 caps = 0;

	if (!leg)
		return 0;
	if (bdev_write_cache(cowp_leg_bdev(leg)))
		caps |= COWP_CAP_CACHE;
	if (bdev_fua(cowp_leg_bdev(leg)))
		caps |= COWP_CAP_FUA;
	if (bdev_max_discard_sectors(cowp_leg_bdev(leg)))
		caps |= COWP_CAP_DISCARD;
	return caps;
}

/**
 * port_sectors - size of a device
 * @p:		the activation
 * @dev:	which device
 *
 * Worker.  Returns sectors, 0 when the device is absent or gone.
 */
u64 port_sectors(struct cowp_port *p, enum cowp_dev dev)
{
	struct cowp_leg *leg = p->leg[dev];

	if (!leg || test_bit(GD_DEAD, &cowp_leg_bdev(leg)->bd_disk->state))
		return 0;
	return bdev_nr_sectors(cowp_leg_bdev(leg));
}
