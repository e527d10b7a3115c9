// SPDX-License-Identifier: GPL-2.0-only
/*
 * Reading a snapshot.
 *
 * No lock keeps writers away.  A read samples the sequence counts of its chunks
 * and the count of losses, asks where the chunks are, reads, and looks at the
 * counts again.  It asks the engine itself if nobody else is at it, else the
 * worker.  A chunk that was found in the diff area is proven by its checksum.
 * One that was not found is in the live device, and may have been overwritten
 * between the lookup and the read: but then it was preserved first, its count
 * has moved, and the read starts over.
 *
 * Meanwhile it counts as a reader: nothing that the lookup may point to is
 * reused.
 *
 * What sleeps here does so in the reader's thread or on a workqueue of snapshot
 * reads alone, so that a hung diff device stops these and nothing else.
 */
#include "bounce.h"
#include "format.h"
#include "shell.h"
#include "snapshot.h"
#include "worker.h"

/* Lookups for one read whose checksums do not match: one more, then an error. */
#define MAX_TRIES	2

/* Bytes whose checksums whoever ends a read may compute on the spot. */
#define VERIFY_AT_ONCE	(4 * COWP_BLOCK_SIZE)

static u64 read_sector(struct cowp_snap_io *io)
{
	return io->bio->bi_iter.bi_sector + (io->done >> SECTOR_SHIFT);
}

static u64 read_chunk(struct cowp_snap_io *io)
{
	return read_sector(io) >> io->port->chunk_shift;
}

/* Chunks from there to the end of the bio, as many as one lookup takes. */
static u32 read_count(struct cowp_snap_io *io)
{
	u64 last = (bio_end_sector(io->bio) - 1) >> io->port->chunk_shift;

	return min_t(u64, last - read_chunk(io) + 1, COWP_LOOKUP_CHUNKS);
}

static void prepare(struct cowp_snap_io *io, struct cowp_port *p)
{
	struct cowp_lookup *l = &io->lookup;

	io->port = p;
	io->status = BLK_STS_OK;
	io->live = false;
	io->direct = 0;
	io->mismatch = false;
	io->here = false;
	io->answered = false;
	io->leg[COWP_LIVE] = NULL;
	io->leg[COWP_DIFF] = NULL;

	l->snapshot = io->snap->open.id;
	l->chunk = read_chunk(io);
	l->count = read_count(io);
	l->answered = 0;
	l->error = 0;

	io->parity = cowp_count_enter(&p->fast->readers);
	io->lost = READ_ONCE(p->fast->lost);
	io->seq = cowp_seqs_sample(&p->fast->seqs, l->chunk, l->count);
}

static void ask_worker(struct cowp_snap_io *io)
{
	struct cowp_port *p = io->port;
	unsigned long flags;

	spin_lock_irqsave(&p->lock, flags);
	list_add_tail(&io->lookup.wait.node, &p->lookups);
	spin_unlock_irqrestore(&p->lock, flags);
	cowp_port_kick(p);
}

static bool recovering(struct cowp_port *p)
{
	return READ_ONCE(p->status->state) == COWP_STATE_RECOVERING;
}

static void put_legs(struct cowp_snap_io *io)
{
	cowp_leg_put(io->leg[COWP_LIVE]);
	cowp_leg_put(io->leg[COWP_DIFF]);
	io->leg[COWP_LIVE] = NULL;
	io->leg[COWP_DIFF] = NULL;
}

/* Before the devices and the activation go, the count of readers falls. */
static void release(struct cowp_snap_io *io)
{
	struct cowp_port *p = io->port;

	cowp_count_leave(&p->fast->readers, io->parity);
	put_legs(io);
	io->port = NULL;
	cowp_port_put(p);
}

static void end_read(struct cowp_snap_io *io, blk_status_t status)
{
	struct bio *bio = io->bio;

	release(io);
	bio->bi_status = status;
	bio_endio(bio);
}

/* From the beginning of what is not there yet, with whatever counts now. */
static void ask_again(struct cowp_snap_io *io)
{
	struct cowp_port *p = cowp_volume_port(io->snap->volume);

	release(io);
	if (p) {
		prepare(io, p);
		ask_worker(io);
	} else {
		struct bio *bio = io->bio;

		bio_io_error(bio);
	}
}

static bool counts_moved(struct cowp_snap_io *io)
{
	struct cowp_fast *fast = io->port->fast;
	struct cowp_lookup *l = &io->lookup;

	return cowp_seqs_sample(&fast->seqs, l->chunk, l->count) != io->seq ||
	       READ_ONCE(fast->lost) != io->lost;
}

static void mismatched(struct cowp_snap_io *io)
{
	if (++io->tries < MAX_TRIES) {
		ask_again(io);
		return;
	}
	DMERR_LIMIT("%s: snapshot %u: wrong checksum near chunk %llu: run cowprotect check",
		    io->snap->volume->name, io->snap->open.id, read_chunk(io));
	end_read(io, BLK_STS_IOERR);
}

static void conclude(struct cowp_snap_io *io)
{
	if (io->status) {
		end_read(io, io->status);
		return;
	}
	if (io->live && counts_moved(io)) {
		ask_again(io);
		return;
	}
	if (io->mismatch) {
		mismatched(io);
		return;
	}
	io->tries = 0;
	io->done += io->bytes;
	if (io->done < io->bio->bi_iter.bi_size)
		ask_again(io);
	else
		end_read(io, BLK_STS_OK);
}

/* ---- the part of the bio that a chunk is read into ---- */

/**
 * struct part - a range of the bio
 * @offset:	bytes from the bio's start
 * @bytes:	how many
 * @skip:	bytes of the first chunk before the range
 */
struct part {
	u32 offset;
	u32 bytes;
	u32 skip;
};

static u32 chunk_bytes(struct cowp_snap_io *io)
{
	return 1U << (io->port->chunk_shift + SECTOR_SHIFT);
}

static struct part part_of(struct cowp_snap_io *io, u32 first, u32 count)
{
	u32 shift = io->port->chunk_shift;
	u64 from = read_sector(io);
	u64 end = from + (io->bytes >> SECTOR_SHIFT);
	u64 chunk = read_chunk(io) + first;
	u64 start = max_t(u64, from, chunk << shift);
	u64 stop = min_t(u64, end, (chunk + count) << shift);

	return (struct part) {
		.offset = io->done + ((start - from) << SECTOR_SHIFT),
		.bytes = (stop - start) << SECTOR_SHIFT,
		.skip = (start - (chunk << shift)) << SECTOR_SHIFT,
	};
}

static struct bvec_iter part_iter(struct cowp_snap_io *io, const struct part *part)
{
	struct bio *bio = io->bio;
	struct bvec_iter iter = bio->bi_iter;

	bio_advance_iter(bio, &iter, part->offset);
	iter.bi_size = part->bytes;
	return iter;
}

/* The diff device may want more than the live device, whose limits the bio obeys. */
static bool aligned(struct cowp_snap_io *io, const struct part *part)
{
	struct block_device *bdev = cowp_leg_bdev(io->leg[COWP_DIFF]);
	u32 mask = max_t(u32, bdev_logical_block_size(bdev) - 1, bdev_dma_alignment(bdev));
	struct bio *bio = io->bio;
	struct bvec_iter iter, start = part_iter(io, part);
	struct bio_vec bv;

	__bio_for_each_bvec(bv, bio, iter, start)
		if ((bv.bv_offset | bv.bv_len) & mask)
			return false;
	return true;
}

/* Straight into the reader's pages: whole chunks, at the first try. */
static bool is_direct(struct cowp_snap_io *io, u32 i)
{
	struct part part = part_of(io, i, 1);

	return io->lookup.found[i].where == COWP_IN_DIFF && !io->tries &&
	       part.bytes == chunk_bytes(io) && aligned(io, &part);
}

static u32 part_crc(struct cowp_snap_io *io, const struct part *part)
{
	u32 blocks = part->bytes / COWP_BLOCK_SIZE;
	struct bio *bio = io->bio;
	struct bvec_iter iter, start = part_iter(io, part);
	struct bio_vec bv;
	u32 at = 0, csum = ~0U, crc = ~0U;

	__bio_for_each_segment(bv, bio, iter, start) {
		u8 *data = bvec_kmap_local(&bv);
		u32 from = 0;

		while (from < bv.bv_len) {
			u32 n = min_t(u32, bv.bv_len - from, COWP_BLOCK_SIZE - at);

			csum = port_crc32c(csum, data + from, n);
			from += n;
			at += n;
			if (at == COWP_BLOCK_SIZE) {
				crc = cowp_chunk_crc_next(crc, csum, blocks);
				csum = ~0U;
				at = 0;
			}
		}
		kunmap_local(data);
	}
	return crc;
}

/* ---- reading ---- */

static void verify(struct cowp_snap_io *io)
{
	u32 i;

	for (i = 0; i < io->lookup.answered; i++) {
		struct part part;

		if (!(io->direct & BIT(i)))
			continue;
		part = part_of(io, i, 1);
		if (part_crc(io, &part) != io->lookup.found[i].crc)
			io->mismatch = true;
	}
	conclude(io);
}

static void verify_work(struct work_struct *work)
{
	verify(container_of(work, struct cowp_snap_io, work));
}

static void was_read(struct cowp_snap_io *io)
{
	if (io->direct && !io->status && in_task() && io->bytes <= VERIFY_AT_ONCE) {
		verify(io);
	} else if (io->direct && !io->status) {
		INIT_WORK(&io->work, verify_work);
		queue_work(io->snap->volume->reader->wq, &io->work);
	} else {
		conclude(io);
	}
}

static void put_pending(struct cowp_snap_io *io)
{
	if (atomic_dec_and_test(&io->pending))
		was_read(io);
}

static void clone_end(struct bio *clone)
{
	struct cowp_snap_io *io = clone->bi_private;

	if (clone->bi_status)
		WRITE_ONCE(io->status, clone->bi_status);
	bio_put(clone);
	put_pending(io);
}

/* Sleeps until other clones have ended, which needs nothing from here. */
static void read_clone(struct cowp_snap_io *io, enum cowp_dev dev, u64 sector,
		       const struct part *part)
{
	struct bio *clone;

	clone = bio_alloc_clone(cowp_leg_bdev(io->leg[dev]), io->bio, GFP_NOIO,
				&io->snap->volume->reader->clones);
	clone->bi_iter = part_iter(io, part);
	clone->bi_iter.bi_sector = sector;
	clone->bi_opf &= ~REQ_POLLED;
	clone->bi_end_io = clone_end;
	clone->bi_private = io;
	atomic_inc(&io->pending);
	submit_bio_noacct(clone);
}

static void copy_out(struct cowp_snap_io *io, const struct part *part, struct cowp_bounce *b)
{
	struct bio *bio = io->bio;
	struct bvec_iter iter, start = part_iter(io, part);
	struct bio_vec bv;
	u32 from = part->skip;

	__bio_for_each_segment(bv, bio, iter, start) {
		u8 *data = bvec_kmap_local(&bv);
		u32 to = 0;

		while (to < bv.bv_len) {
			u32 at = from % COWP_BLOCK_SIZE;
			u32 n = min_t(u32, bv.bv_len - to, COWP_BLOCK_SIZE - at);

			memcpy(data + to, b->blocks[from / COWP_BLOCK_SIZE] + at, n);
			to += n;
			from += n;
		}
		flush_dcache_page(bv.bv_page);
		kunmap_local(data);
	}
}

static bool bad_sectors(const struct cowp_badmap *map, const struct part *part)
{
	u32 first = part->skip >> SECTOR_SHIFT;
	u32 sector;

	for (sector = first; sector < first + (part->bytes >> SECTOR_SHIFT); sector++)
		if (map->bits[sector / 8] & 1U << (sector % 8))
			return true;
	return false;
}

/* A chunk of which some sectors could not be read when it was preserved. */
static blk_status_t check_bad(struct cowp_snap_io *io, u32 i, const struct part *part,
			      struct cowp_bounce *b)
{
	const struct cowp_found *f = &io->lookup.found[i];
	u64 sector = f->sector + (1U << io->port->chunk_shift);
	void *block = b->blocks[chunk_bytes(io) / COWP_BLOCK_SIZE];
	const struct cowp_badmap *map = block;
	int r;

	r = cowp_bounce_read_map(b, cowp_leg_bdev(io->leg[COWP_DIFF]), sector, block);
	if (r)
		return errno_to_blk_status(r);
	if (cowp_check_header(map, COWP_MAGIC_BADMAP, cowp_engine_uuid(io->port->eng),
			      sector / COWP_BLOCK_SECTORS) ||
	    le64_to_cpu(map->key) != f->key) {
		io->mismatch = true;
		return BLK_STS_OK;
	}
	return bad_sectors(map, part) ? BLK_STS_MEDIUM : BLK_STS_OK;
}

static blk_status_t read_bounced(struct cowp_snap_io *io, u32 i, struct cowp_bounce *b)
{
	const struct cowp_found *f = &io->lookup.found[i];
	struct part part = part_of(io, i, 1);
	u32 blocks = chunk_bytes(io) / COWP_BLOCK_SIZE;
	blk_status_t status;
	u32 n;
	int r;

	r = cowp_bounce_read(b, cowp_leg_bdev(io->leg[COWP_DIFF]), f->sector, blocks);
	if (r)
		return errno_to_blk_status(r);
	for (n = 0; n < blocks; n++)
		b->csum[n] = port_crc32c(~0U, b->blocks[n], COWP_BLOCK_SIZE);
	if (cowp_chunk_crc(b->csum, blocks) != f->crc) {
		io->mismatch = true;
		return BLK_STS_OK;
	}
	if (f->where == COWP_IN_DIFF_BAD) {
		status = check_bad(io, i, &part, b);
		if (status || io->mismatch)
			return status;
	}
	copy_out(io, &part, b);
	return BLK_STS_OK;
}

static void bounce(struct cowp_snap_io *io, u32 i)
{
	struct cowp_reader *reader = io->snap->volume->reader;
	struct cowp_bounce *b = cowp_bounce_get(reader);
	blk_status_t status = read_bounced(io, i, b);

	if (status)
		WRITE_ONCE(io->status, status);
	cowp_bounce_put(reader, b);
}

/* How many chunks from @i on can be read by one bio; 0: it is to be bounced. */
static u32 extent(struct cowp_snap_io *io, u32 i)
{
	const struct cowp_found *f = &io->lookup.found[i];
	u64 step = 1ULL << io->port->chunk_shift;
	u32 n = 1;

	if (f->where == COWP_IN_LIVE) {
		while (i + n < io->lookup.answered && f[n].where == COWP_IN_LIVE)
			n++;
		return n;
	}
	if (!is_direct(io, i))
		return 0;
	while (i + n < io->lookup.answered && is_direct(io, i + n) &&
	       f[n].sector == f->sector + n * step)
		n++;
	return n;
}

/* What has to be looked at when an extent was read, and where it is. */
static enum cowp_dev note_extent(struct cowp_snap_io *io, u32 i, u32 count)
{
	if (io->lookup.found[i].where == COWP_IN_LIVE) {
		io->live = true;
		return COWP_LIVE;
	}
	io->direct |= GENMASK(i + count - 1, i);
	return COWP_DIFF;
}

static void read_extent(struct cowp_snap_io *io, u32 i, u32 count)
{
	enum cowp_dev dev = note_extent(io, i, count);
	struct part part = part_of(io, i, count);
	u64 sector = io->lookup.found[i].sector;

	if (dev == COWP_LIVE)
		sector = io->bio->bi_iter.bi_sector + (part.offset >> SECTOR_SHIFT);
	read_clone(io, dev, sector, &part);
}

static bool get_legs(struct cowp_snap_io *io)
{
	bool live = false, diff = false;
	u32 i;

	for (i = 0; i < io->lookup.answered; i++) {
		if (io->lookup.found[i].where == COWP_IN_LIVE)
			live = true;
		else
			diff = true;
	}
	if (live)
		io->leg[COWP_LIVE] = cowp_port_leg(io->port, COWP_LIVE);
	if (diff)
		io->leg[COWP_DIFF] = cowp_port_leg(io->port, COWP_DIFF);
	return (!live || io->leg[COWP_LIVE]) && (!diff || io->leg[COWP_DIFF]);
}

static void read_found(struct cowp_snap_io *io)
{
	u32 i, n;

	/* The issuer's own, so that nothing is concluded before all is issued. */
	atomic_set(&io->pending, 1);
	for (i = 0; i < io->lookup.answered; i += n ? n : 1) {
		n = extent(io, i);
		if (n)
			read_extent(io, i, n);
	}
	/* These sleep, one after the other, while the clones are under way. */
	for (i = 0; i < io->lookup.answered; i += n ? n : 1) {
		n = extent(io, i);
		if (!n)
			bounce(io, i);
	}
	put_pending(io);
}

static bool is_answer(const struct cowp_lookup *l)
{
	return !l->error && l->answered && l->answered <= l->count;
}

static void take_answer(struct cowp_snap_io *io)
{
	const struct cowp_lookup *l = &io->lookup;
	u64 end;

	end = min_t(u64, (l->chunk + l->answered) << io->port->chunk_shift,
		    bio_end_sector(io->bio));
	io->bytes = (end - read_sector(io)) << SECTOR_SHIFT;
}

static void issue_work(struct work_struct *work)
{
	struct cowp_snap_io *io = container_of(work, struct cowp_snap_io, work);
	struct cowp_lookup *l = &io->lookup;

	if (l->error == -ESTALE && READ_ONCE(io->port->retired)) {
		ask_again(io);
		return;
	}
	if (!is_answer(l)) {
		end_read(io, BLK_STS_IOERR);
		return;
	}
	take_answer(io);
	if (get_legs(io))
		read_found(io);
	else
		end_read(io, BLK_STS_IOERR);
}

static void issue_later(struct cowp_snap_io *io)
{
	INIT_WORK(&io->work, issue_work);
	queue_work(io->snap->volume->reader->wq, &io->work);
}

/* ---- reading without a clone ---- */

/* The bio is device-mapper's again, as it came: it may be read into once more. */
static void remapped_end(struct bio *bio)
{
	struct cowp_snap_io *io = bio->bi_private;

	bio->bi_iter = io->iter;
	bio->bi_bdev = io->bdev;
	bio->bi_end_io = io->end_io;
	io->status = bio->bi_status;
	was_read(io);
}

static void remap(struct cowp_snap_io *io)
{
	enum cowp_dev dev = note_extent(io, 0, io->lookup.answered);
	struct bio *bio = io->bio;

	/* What was not answered comes as a read of its own. */
	if (io->bytes < bio->bi_iter.bi_size)
		dm_accept_partial_bio(bio, io->bytes >> SECTOR_SHIFT);
	io->iter = bio->bi_iter;
	io->bdev = bio->bi_bdev;
	io->end_io = bio->bi_end_io;
	if (dev == COWP_DIFF)
		bio->bi_iter.bi_sector = io->lookup.found[0].sector;
	/* Whoever polls would find it in the hands of device-mapper, or of a workqueue. */
	bio->bi_opf &= ~REQ_POLLED;
	bio->bi_end_io = remapped_end;
	bio->bi_private = io;
	bio_set_dev(bio, cowp_leg_bdev(io->leg[dev]));
}

/* What is in one piece, and needs no buffer of ours, is read by who asked. */
static int issue_here(struct cowp_snap_io *io)
{
	if (is_answer(&io->lookup)) {
		take_answer(io);
		if (get_legs(io) && extent(io, 0) == io->lookup.answered) {
			remap(io);
			return DM_MAPIO_REMAPPED;
		}
		put_legs(io);
	}
	issue_later(io);
	return DM_MAPIO_SUBMITTED;
}

/**
 * cowp_snapshot_found - a lookup was answered
 * @l:		the lookup
 *
 * Who has the engine: the worker, or the reader in cowp_port_lookup().
 */
void cowp_snapshot_found(struct cowp_lookup *l)
{
	struct cowp_snap_io *io = container_of(l, struct cowp_snap_io, lookup);

	if (io->here)
		io->answered = true;
	else
		issue_later(io);
}

/**
 * cowp_snapshot_asked - the reader has asked the engine
 * @l:		the lookup
 *
 * In cowp_port_lookup().  Returns true if it was answered; an answer that comes
 * later is the worker's to pass on.
 */
bool cowp_snapshot_asked(struct cowp_lookup *l)
{
	struct cowp_snap_io *io = container_of(l, struct cowp_snap_io, lookup);

	io->here = false;
	return io->answered;
}

static int ask(struct cowp_snap_io *io)
{
	enum cowp_lookup_result r = COWP_LOOKUP_NOT_NOW;

	if (in_task()) {
		io->here = true;
		r = cowp_port_lookup(io->port, &io->lookup);
	}
	if (r == COWP_LOOKUP_ANSWERED)
		return issue_here(io);
	if (r == COWP_LOOKUP_NOT_NOW) {
		io->here = false;
		ask_worker(io);
	}
	return DM_MAPIO_SUBMITTED;
}

/**
 * cowp_snapshot_read - map a read of a snapshot
 * @snap:	the target
 * @ti:		likewise, device-mapper's
 * @bio:	of device-mapper, for the whole or a part of its range
 *
 * Any context that may submit I/O; does not sleep.  Returns DM_MAPIO_*.
 */
int cowp_snapshot_read(struct cowp_snap *snap, struct dm_target *ti, struct bio *bio)
{
	struct cowp_port *p = cowp_volume_port(snap->volume);
	struct cowp_snap_io *io = cowp_snap_io(bio);
	sector_t end;
	int r;

	if (!p)
		return DM_MAPIO_KILL;
	/* Outside of a noflush suspend, or after one was interrupted, it would fail. */
	if (READ_ONCE(snap->requeue) && dm_noflush_suspending(ti) && recovering(p)) {
		cowp_port_put(p);
		return DM_MAPIO_REQUEUE;
	}
	end = ((bio->bi_iter.bi_sector >> p->chunk_shift) + COWP_LOOKUP_CHUNKS) << p->chunk_shift;
	if (end < bio_end_sector(bio))
		dm_accept_partial_bio(bio, end - bio->bi_iter.bi_sector);
	io->snap = snap;
	io->bio = bio;
	io->done = 0;
	io->tries = 0;
	prepare(io, p);
	r = ask(io);
	/* If presuspend came in between it did not find this read. */
	if (READ_ONCE(snap->requeue) && dm_noflush_suspending(ti))
		cowp_snapshot_give_back(snap);
	return r;
}

/**
 * cowp_snapshot_give_back - give back what waits for recovery
 * @snap:	a target in a noflush suspend
 *
 * Process context; does not sleep.  Reads that are further go on: they end when
 * the devices answer.
 */
void cowp_snapshot_give_back(struct cowp_snap *snap)
{
	struct cowp_port *p = cowp_volume_port(snap->volume);
	struct cowp_lookup *l, *next;
	LIST_HEAD(list);

	if (!p)
		return;
	spin_lock_irq(&p->lock);
	list_for_each_entry_safe(l, next, &p->lookups, wait.node)
		if (container_of(l, struct cowp_snap_io, lookup)->snap == snap)
			list_move_tail(&l->wait.node, &list);
	spin_unlock_irq(&p->lock);
	list_for_each_entry_safe(l, next, &list, wait.node) {
		list_del_init(&l->wait.node);
		end_read(container_of(l, struct cowp_snap_io, lookup), BLK_STS_DM_REQUEUE);
	}
	cowp_port_put(p);
}
