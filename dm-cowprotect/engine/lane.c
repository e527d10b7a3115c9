// SPDX-License-Identifier: GPL-2.0-only
/*
 * Lanes: the open summary blocks of the log.
 *
 * A summary block fills over several batches.  Each time it is written as a
 * new version, to a place in the segment's ring that holds no newest durable
 * version of an open block; only the full, or closing, version goes to the
 * block's home, once.  So a torn write never costs an entry that was released.
 * A lane has one version in flight at most; batches that overlap use lanes of
 * their own.
 */
#include "internal.h"

static struct cowp_entry *entry_at(struct cowp_engine *eng, struct cowp_lane *lane, u32 i)
{
	struct cowp_summary *s = lane->image;

	return (struct cowp_entry *)(s->entries + i * eng->geo.entry_bytes);
}

static void close_block(struct cowp_lane *lane)
{
	lane->segment->users--;
	lane->segment = NULL;
	lane->ring = COWP_NO_RING;
}

static void open_block(struct cowp_lane *lane, struct cowp_batch *b)
{
	struct cowp_listed *l = b->segment;

	lane->segment = l;
	l->users++;
	lane->home = l->homes_used++;
	lane->count = 0;
	lane->base_batch = b->number;
	lane->ring = COWP_NO_RING;
	memset(lane->image, 0, COWP_BLOCK_SIZE);
}

static u32 choose_ring(struct cowp_engine *eng, const struct cowp_lane *lane)
{
	u32 taken = 0;
	u32 i;

	for (i = 0; i < COWP_LANES; i++) {
		const struct cowp_lane *other = &eng->log.lane[i];

		if (other->retiring != COWP_NO_RING && other->retiring_from == lane->segment)
			taken |= 1U << other->retiring;
		if (other->segment != lane->segment)
			continue;
		if (other->ring != COWP_NO_RING)
			taken |= 1U << other->ring;
		if (other->ring_next != COWP_NO_RING)
			taken |= 1U << other->ring_next;
	}
	return ffs(~taken) - 1;
}

static void version_written(struct cowp_engine *eng, struct cowp_io *io)
{
	struct cowp_batch *b = io->private;
	u32 segment;

	segment = cowp_segment_of(&eng->geo, io->sector / COWP_BLOCK_SECTORS);
	if (io->in_flight) {
		eng->segs.table[segment].hung = true;
	} else {
		list_add(&io->node, &eng->log.summary_ios);
		eng->log.summary_idle++;
	}
	if (b)
		cowp_batch_written(eng, b, io);
}

/*
 * Versions that no batch waits for: the closing one of a block whose segment
 * is closed, and one that only brings the watermark.  What they hold is durable
 * in the ring already, so a failure costs nothing.
 */
static void spare_written(struct cowp_engine *eng, struct cowp_io *io)
{
	struct cowp_listed *l = io->private;
	u32 i;

	io->private = NULL;
	/* It may land yet: nothing is written near it, as for a batch. */
	if (io->in_flight)
		cowp_log_abort(eng);
	if (l) {
		for (i = 0; i < COWP_LANES; i++) {
			struct cowp_lane *lane = &eng->log.lane[i];

			if (lane->busy && lane->segment == l && lane->spare == io) {
				lane->busy = false;
				lane->ring_next = COWP_NO_RING;
				lane->spare = NULL;
			}
		}
		l->users--;
	}
	io->done = version_written;
	version_written(eng, io);
}

static u32 used_bytes(struct cowp_engine *eng, u32 count)
{
	return offsetof(struct cowp_summary, entries) + count * eng->geo.entry_bytes;
}

/* Is it a version of the lane's block, to which entries were only added since? */
static bool is_version(struct cowp_engine *eng, const struct cowp_summary *s,
		       const struct cowp_lane *lane)
{
	return le32_to_cpu(s->segment) == lane->segment->segment &&
	       le32_to_cpu(s->header.incarnation) == lane->segment->incarnation &&
	       le32_to_cpu(s->header.session) == eng->session &&
	       le16_to_cpu(s->home) == lane->home && le16_to_cpu(s->count) <= lane->count;
}

/* Of the block's image what an old version does not have; behind that all is zero. */
static void copy_image(struct cowp_engine *eng, struct cowp_summary *s,
		       const struct cowp_lane *lane)
{
	u32 used = used_bytes(eng, lane->count);
	u32 old = used_bytes(eng, le16_to_cpu(s->count));
	u32 from = is_version(eng, s, lane) ? old : 0;

	memcpy((u8 *)s + from, (u8 *)lane->image + from, used - from);
	if (old > used)
		memset((u8 *)s + used, 0, old - used);
}

static struct cowp_io *write_version(struct cowp_engine *eng, struct cowp_lane *lane, u64 block,
				     bool fua)
{
	struct cowp_log *log = &eng->log;
	struct cowp_io *io = list_first_entry(&log->summary_ios, struct cowp_io, node);
	struct cowp_summary *s = io->blocks[0];

	list_del_init(&io->node);
	log->summary_idle--;
	copy_image(eng, s, lane);
	s->version = cpu_to_le64(++log->version);
	s->watermark = cpu_to_le64(log->released);
	s->base_batch = cpu_to_le64(lane->base_batch);
	s->segment = cpu_to_le32(lane->segment->segment);
	s->epoch = cpu_to_le32(eng->epoch);
	s->home = cpu_to_le16(lane->home);
	s->count = cpu_to_le16(lane->count);
	cowp_seal(s, COWP_MAGIC_SUMMARY, eng->super.uuid, block, eng->session,
		  lane->segment->incarnation);
	log->watermark = log->released;

	io->op = COWP_WRITE;
	io->dev = COWP_DIFF;
	io->fua = fua;
	io->sector = block * COWP_BLOCK_SECTORS;
	io->bytes = COWP_BLOCK_SIZE;
	io->nr_blocks = 1;
	return io;
}

static void write_batch_version(struct cowp_engine *eng, struct cowp_lane *lane,
				struct cowp_batch *b, u64 block, bool fua)
{
	struct cowp_io *io = write_version(eng, lane, block, fua);

	io->private = b;
	b->outstanding++;
	cowp_submit(eng, io);
}

/*
 * The block goes home with this batch.  Until the batch is durable its newest
 * durable version is in the ring, and that place is not free.
 */
static void write_home(struct cowp_engine *eng, struct cowp_lane *lane, struct cowp_batch *b,
		       bool fua)
{
	write_batch_version(eng, lane, b,
			    cowp_home_block(&eng->geo, lane->segment->segment, lane->home), fua);
	if (lane->ring != COWP_NO_RING) {
		lane->retiring = lane->ring;
		lane->retiring_from = lane->segment;
	}
	close_block(lane);
}

static bool write_spare(struct cowp_engine *eng, struct cowp_lane *lane, u64 block)
{
	struct cowp_io *io;

	if (eng->log.summary_idle <= COWP_BATCH_PARTS)
		return false;
	io = write_version(eng, lane, block, false);
	io->done = spare_written;
	io->private = lane->segment;
	lane->segment->users++;
	lane->spare = io;
	cowp_submit(eng, io);
	return true;
}

/*
 * cowp_lane_choose - a lane for a batch
 *
 * One whose block is open in the batch's segment, else one without a block,
 * else any that is free.  NULL: the batch waits.
 */
struct cowp_lane *cowp_lane_choose(struct cowp_engine *eng, struct cowp_batch *b)
{
	struct cowp_lane *best = NULL;
	u32 i;

	if (eng->log.summary_idle < COWP_BATCH_PARTS)
		return NULL;
	for (i = 0; i < COWP_LANES; i++) {
		struct cowp_lane *lane = &eng->log.lane[i];

		if (lane->busy)
			continue;
		if (lane->segment == b->segment)
			return lane;
		if (!best || !lane->segment)
			best = lane;
	}
	/* A block of another segment must get home before its lane moves on. */
	if (best && best->segment) {
		if (!write_spare(eng, best, cowp_home_block(&eng->geo, best->segment->segment,
							    best->home)))
			return NULL;
		best->spare = NULL;
		close_block(best);
	}
	return best;
}

/* A fresh block if this one has no room for @room more entries. */
static void need_room(struct cowp_engine *eng, struct cowp_lane *lane, struct cowp_batch *b,
		      u32 room, bool fua)
{
	if (lane->segment && lane->count + room > eng->geo.entries)
		write_home(eng, lane, b, fua);
	if (!lane->segment)
		open_block(lane, b);
}

static struct cowp_entry *add_entry(struct cowp_engine *eng, struct cowp_lane *lane,
				    struct cowp_batch *b, u8 type, u32 part, u32 parts)
{
	struct cowp_entry *e = entry_at(eng, lane, lane->count++);

	e->type = type;
	e->batch = cpu_to_le32(b->number - lane->base_batch);
	e->part = part;
	e->parts = parts;
	return e;
}

static void add_copy(struct cowp_engine *eng, struct cowp_lane *lane, struct cowp_batch *b,
		     struct cowp_copy *c, u32 part, u32 parts)
{
	u32 blocks = eng->geo.chunk_blocks;
	struct cowp_entry *e;
	__le32 *csum;
	u32 i;

	c->pos = lane->home * eng->geo.entries + lane->count;
	e = add_entry(eng, lane, b, c->bad ? COWP_ENTRY_BAD : COWP_ENTRY_CHUNK, part, parts);
	e->key = cpu_to_le64(cowp_key(c->chunk, b->epoch));
	e->crc = cpu_to_le32(cowp_chunk_crc(c->csum, blocks));
	e->slot = cpu_to_le32(c->slot);
	csum = (__le32 *)(e + 1);
	for (i = 0; blocks > 1 && i < blocks; i++)
		csum[i] = cpu_to_le32(c->csum[i]);
}

static void add_epoch(struct cowp_engine *eng, struct cowp_lane *lane, struct cowp_batch *b)
{
	const struct cowp_snapshot *s = &b->create->snapshot;
	struct cowp_epoch_entry *rec;
	u32 i;

	rec = (struct cowp_epoch_entry *)add_entry(eng, lane, b, COWP_ENTRY_EPOCH, 0, 1);
	rec->entry.key = cpu_to_le64(cowp_key(0, s->id));
	rec->created = cpu_to_le64(s->created);
	rec->live_sectors = cpu_to_le64(s->live_sectors);
	memcpy(rec->label, s->label, sizeof(rec->label));
	/* The bytes behind the first entry are data: their count is what stands for them. */
	for (i = 1; i < eng->geo.epoch_entries; i++)
		lane->count++;
}

static u32 parts_of(struct cowp_engine *eng, const struct cowp_lane *lane, u32 entries)
{
	u32 room = lane->segment ? eng->geo.entries - lane->count : 0;

	if (entries <= room)
		return 1;
	return !!room + DIV_ROUND_UP(entries - room, eng->geo.entries);
}

/*
 * cowp_lane_compose - write a batch's summary entries
 *
 * The copies have their slots.  The versions' completions count for the batch.
 */
void cowp_lane_compose(struct cowp_engine *eng, struct cowp_lane *lane, struct cowp_batch *b,
		       bool fua)
{
	u32 part = 0, parts;
	struct cowp_copy *c;

	lane->busy = true;
	lane->ring_next = COWP_NO_RING;
	b->segment->uncomposed--;
	if (b->create) {
		need_room(eng, lane, b, eng->geo.epoch_entries, fua);
		add_epoch(eng, lane, b);
	} else if (!b->count) {
		/* It lost all its copies; without a trace its number would be a gap. */
		need_room(eng, lane, b, 1, fua);
		add_entry(eng, lane, b, COWP_ENTRY_VOID, 0, 1);
	}
	parts = parts_of(eng, lane, b->count);
	list_for_each_entry(c, &b->copies, node) {
		if (!lane->segment)
			open_block(lane, b);
		add_copy(eng, lane, b, c, part, parts);
		if (lane->count == eng->geo.entries) {
			write_home(eng, lane, b, fua);
			part++;
		}
	}
	if (!lane->segment)
		return;
	if (lane->count == eng->geo.entries) {
		write_home(eng, lane, b, fua);
		return;
	}
	lane->ring_next = choose_ring(eng, lane);
	write_batch_version(eng, lane, b, cowp_ring_block(&eng->geo, lane->segment->segment,
							  lane->ring_next), fua);
}

/* The batch that the lane was busy with is durable. */
void cowp_lane_durable(struct cowp_engine *eng, struct cowp_lane *lane)
{
	lane->busy = false;
	lane->retiring = COWP_NO_RING;
	if (lane->ring_next != COWP_NO_RING)
		lane->ring = lane->ring_next;
	lane->ring_next = COWP_NO_RING;
}

/* Bring the blocks of closed segments home.  Their rings are not written any more. */
void cowp_lanes_close(struct cowp_engine *eng)
{
	u32 i;

	for (i = 0; i < COWP_LANES; i++) {
		struct cowp_lane *lane = &eng->log.lane[i];

		if (lane->busy || !lane->segment || lane->segment->state != COWP_LISTED_CLOSED ||
		    lane->segment->uncomposed)
			continue;
		if (!write_spare(eng, lane, cowp_home_block(&eng->geo, lane->segment->segment,
							    lane->home)))
			return;
		lane->spare = NULL;
		close_block(lane);
	}
}

/* A batch failed: what the lanes hold stays where it is durable. */
void cowp_lanes_abort(struct cowp_engine *eng)
{
	u32 i;

	for (i = 0; i < COWP_LANES; i++) {
		struct cowp_lane *lane = &eng->log.lane[i];

		lane->busy = false;
		lane->spare = NULL;
		lane->ring_next = COWP_NO_RING;
		lane->retiring = COWP_NO_RING;
		if (lane->segment)
			close_block(lane);
	}
}

/* Write a version that only brings the watermark. */
void cowp_lanes_watermark(struct cowp_engine *eng)
{
	u32 i;

	for (i = 0; i < COWP_LANES; i++) {
		struct cowp_lane *lane = &eng->log.lane[i];
		u32 ring;

		if (lane->busy || !lane->segment || lane->segment->state != COWP_LISTED_OPEN)
			continue;
		ring = choose_ring(eng, lane);
		if (write_spare(eng, lane, cowp_ring_block(&eng->geo, lane->segment->segment,
							   ring))) {
			lane->busy = true;
			lane->ring_next = ring;
		}
		return;
	}
}

int cowp_lanes_init(struct cowp_engine *eng)
{
	struct cowp_log *log = &eng->log;
	u32 i;

	INIT_LIST_HEAD(&log->summary_ios);
	for (i = 0; i < COWP_LANES; i++) {
		log->lane[i].ring = COWP_NO_RING;
		log->lane[i].ring_next = COWP_NO_RING;
		log->lane[i].retiring = COWP_NO_RING;
		log->lane[i].image = cowp_alloc_block(eng);
		if (!log->lane[i].image)
			return -ENOMEM;
	}
	for (i = 0; i < COWP_SUMMARY_IOS; i++) {
		struct cowp_io *io = cowp_alloc_io(eng, 1, version_written);

		log->summary_io[i] = io;
		if (!io)
			return -ENOMEM;
		io->blocks[0] = cowp_alloc_block(eng);
		if (!io->blocks[0])
			return -ENOMEM;
		list_add_tail(&io->node, &log->summary_ios);
		log->summary_idle++;
	}
	return 0;
}

void cowp_lanes_exit(struct cowp_engine *eng)
{
	struct cowp_log *log = &eng->log;
	u32 i;

	for (i = 0; i < COWP_LANES; i++)
		port_block_free(log->lane[i].image);
	for (i = 0; i < COWP_SUMMARY_IOS; i++) {
		if (log->summary_io[i])
			port_block_free(log->summary_io[i]->blocks[0]);
		port_io_free(log->summary_io[i]);
	}
}
