// SPDX-License-Identifier: GPL-2.0-only
/*
 * The log: batches of copies, from the first chunk to the release.
 *
 *	GATHER -> READ -> READY -> WRITE [-> FLUSH_WAIT -> FLUSH] -> DURABLE -> released
 *
 * While one batch is on its way the next one gathers, and waits a little where
 * others are bound to come; no timer delays a single write.  A batch's data, its
 * summary versions and, in a fresh segment, the header are written in parallel:
 * the checksums in the summary cover the data, so nothing has to come before
 * anything else.  Batches overlap, but they are released in the order of their
 * numbers, and recovery takes nothing behind the first number that is missing.
 * Therefore a batch that cannot be completed takes all unreleased ones with it
 * (cowp_log_abort()), and no batch is begun behind the gap before a durable
 * manifest has put its replay point past it: that manifest is the void record of
 * the numbers that were lost.
 */
#include "internal.h"

#define WATERMARK_DELAY_MS	1000U
#define HOLD_MS			20U	/* a batch waits for more, at most */
#define GOOD_BLOCKS		32U	/* of data: enough for one of summary */

/* ---- batches ---- */

/* A number for a batch, unless there are too many for a replay already. */
struct cowp_batch *cowp_batch_new(struct cowp_engine *eng)
{
	struct cowp_log *log = &eng->log;
	u32 i;

	if (log->gap || log->last - eng->super.replay_batch >= cowp_replay_batches(eng)) {
		cowp_checkpoint_want(eng, true);
		return NULL;
	}
	for (i = 0; i < COWP_BATCHES; i++) {
		struct cowp_batch *b = &log->batch[i];

		if (b->state != COWP_BATCH_IDLE)
			continue;
		b->state = COWP_BATCH_GATHER;
		b->number = ++log->last;
		b->epoch = eng->epoch;
		b->need_flush = false;
		b->error = 0;
		b->count = 0;
		b->unread = NULL;
		b->came = false;
		b->held_until = 0;
		b->writers = 0;
		b->segment = NULL;
		b->lane = NULL;
		b->create = NULL;
		b->salvaging = NULL;
		list_add_tail(&b->node, &log->batches);
		return b;
	}
	return NULL;
}

/* The newest batch has not begun: its number goes back. */
void cowp_batch_unused(struct cowp_engine *eng, struct cowp_batch *b)
{
	if (eng->log.gather == b)
		eng->log.gather = NULL;
	/* A fault on the way here has taken it apart already. */
	if (b->state != COWP_BATCH_GATHER)
		return;
	list_del_init(&b->node);
	b->state = COWP_BATCH_IDLE;
	eng->log.last--;
}

/* Free a failed batch, and its hold on the segment, when the last of its I/O was seen. */
void cowp_batch_retire(struct cowp_engine *eng, struct cowp_batch *b)
{
	struct cowp_copy *c, *next;

	if (b->state != COWP_BATCH_FAILED || b->outstanding)
		return;
	list_for_each_entry_safe(c, next, &b->copies, node)
		cowp_copy_free(eng, c);
	if (b->segment)
		b->segment->users--;
	b->state = COWP_BATCH_IDLE;
}

/* Is anything under way that may free segments, or lead to a run that does? */
static bool may_find_room(struct cowp_engine *eng, struct cowp_batch *b)
{
	return eng->segs.limbo || !cowp_discard_idle(eng) || !cowp_checkpoint_idle(eng) ||
	       cowp_reclaim_pending(eng) || !list_is_first(&b->node, &eng->log.batches);
}

/* The open segment, or where that has no room the next one. */
static struct cowp_listed *open_segment(struct cowp_engine *eng, u32 slots, u32 entries)
{
	struct cowp_log *log = &eng->log;
	struct cowp_listed *l = log->open;

	if (l && l->slots_used + slots <= eng->geo.slots && l->entries_left >= entries)
		return l;
	if (l)
		cowp_segment_close(eng, l);
	log->open = cowp_segment_open(eng);
	return log->open;
}

/*
 * cowp_log_segment - put a batch into the open segment, or into a fresh one
 * @slots:	needed for a start
 * @entries:	likewise
 *
 * Returns 0; -EAGAIN: when the next manifest is durable; -ENOSPC: that would
 * bring no room either.
 */
int cowp_log_segment(struct cowp_engine *eng, struct cowp_batch *b, u32 slots, u32 entries)
{
	struct cowp_listed *l = NULL;

	/* Copies need room in the index, too. */
	if (!slots || !cowp_index_full(eng))
		l = open_segment(eng, slots, entries);
	if (l) {
		b->segment = l;
		l->users++;
		l->uncomposed++;
		return 0;
	}
	if (!cowp_segments_full(eng))
		return -EAGAIN;
	if (may_find_room(eng, b))
		return -EAGAIN;
	if (!eng->index.frozen && eng->log.released == eng->super.replay_batch)
		return -ENOSPC;
	/* What is dead but still in the replay's range becomes free by a run. */
	cowp_checkpoint_want(eng, true);
	return -EAGAIN;
}

/*
 * cowp_log_epoch - record the creation of a snapshot
 *
 * The batch that is gathering belongs to the epoch before and goes first.
 * Returns 0: cowp_snapshot_recorded() tells how it ended; -EAGAIN: call again;
 * -ENOSPC.
 */
int cowp_log_epoch(struct cowp_engine *eng, struct cowp_create *create)
{
	/* A block may have to be left partly empty to hold the record in one piece. */
	u32 entries = 2 * eng->geo.epoch_entries;
	struct cowp_batch *b;
	int error;

	eng->log.gather = NULL;
	b = cowp_batch_new(eng);
	if (!b)
		return -EAGAIN;
	error = cowp_log_segment(eng, b, 0, entries);
	if (error) {
		cowp_batch_unused(eng, b);
		return error;
	}
	b->segment->entries_left -= entries;
	b->create = create;
	return 0;
}

/* ---- writing ---- */

static void batch_durable(struct cowp_engine *eng, struct cowp_batch *b)
{
	b->state = COWP_BATCH_DURABLE;
	cowp_lane_durable(eng, b->lane);
}

/*
 * cowp_batch_written - a write of the batch ended
 *
 * Any failure is one to copy: the batch is given up at once, though writes of
 * it may be out, and may land later.
 */
void cowp_batch_written(struct cowp_engine *eng, struct cowp_batch *b, struct cowp_io *io)
{
	if (!io->in_flight)
		b->outstanding--;
	if (b->state == COWP_BATCH_FAILED) {
		cowp_batch_retire(eng, b);
		return;
	}
	if (io->error) {
		if (io->in_flight)
			eng->segs.table[b->segment->segment].hung = true;
		cowp_proof_note_batches(eng);
		cowp_fault(eng, cowp_fault_of(io->error, COWP_FAULT_COW_WRITE_FAILURE), io->error);
		cowp_log_abort(eng);
		return;
	}
	if (b->outstanding)
		return;
	if (b->need_flush)
		b->state = COWP_BATCH_FLUSH_WAIT;
	else
		batch_durable(eng, b);
}

static void data_written(struct cowp_engine *eng, struct cowp_io *io)
{
	cowp_batch_written(eng, io->private, io);
}

static void submit_write(struct cowp_engine *eng, struct cowp_batch *b, struct cowp_io *io,
			 bool fua)
{
	io->private = b;
	io->op = COWP_WRITE;
	io->dev = COWP_DIFF;
	io->fua = fua;
	io->bytes = io->nr_blocks * COWP_BLOCK_SIZE;
	b->outstanding++;
	cowp_submit(eng, io);
}

static void write_header(struct cowp_engine *eng, struct cowp_batch *b, bool fua)
{
	struct cowp_io *io = b->header_io;
	struct cowp_segment_header *h = io->blocks[0];
	u64 block = cowp_segment_block(&eng->geo, b->segment->segment);

	memset(h, 0, COWP_BLOCK_SIZE);
	h->segment = cpu_to_le32(b->segment->segment);
	h->kind = COWP_SEGMENT_LOG;
	cowp_seal(h, COWP_MAGIC_SEGMENT, eng->super.uuid, block, eng->session,
		  b->segment->incarnation);
	io->sector = block * COWP_BLOCK_SECTORS;
	io->nr_blocks = 1;
	submit_write(eng, b, io, fua);
	b->segment->header_written = true;
}

/* The data of a batch, contiguous on the disk, in as few writes as hold it. */
struct data_writer {
	struct cowp_batch *batch;
	u64 block;
	u32 used;
	bool fua;
};

static void add_block(struct cowp_engine *eng, struct data_writer *d, void *block)
{
	struct cowp_io *io = d->batch->data_io[d->used];

	if (!io->nr_blocks)
		io->sector = d->block * COWP_BLOCK_SECTORS;
	io->blocks[io->nr_blocks++] = block;
	d->block++;
	if (io->nr_blocks == io->max_blocks) {
		submit_write(eng, d->batch, io, d->fua);
		d->used++;
	}
}

static void write_data(struct cowp_engine *eng, struct cowp_batch *b, bool fua)
{
	struct data_writer d = { .batch = b, .fua = fua };
	struct cowp_copy *c;
	u32 i;

	d.block = cowp_slot_block(&eng->geo, b->segment->segment, b->first_slot);
	for (i = 0; i < COWP_DATA_IOS; i++)
		b->data_io[i]->nr_blocks = 0;
	list_for_each_entry(c, &b->copies, node) {
		for (i = 0; i < eng->geo.chunk_blocks; i++)
			add_block(eng, &d, c->blocks[i]);
		if (!c->bad)
			continue;
		((struct cowp_badmap *)b->map)->key = cpu_to_le64(cowp_key(c->chunk, b->epoch));
		cowp_seal(b->map, COWP_MAGIC_BADMAP, eng->super.uuid, d.block, eng->session,
			  b->segment->incarnation);
		add_block(eng, &d, b->map);
		for (i = 1; i < eng->geo.chunk_blocks; i++)
			add_block(eng, &d, eng->log.zero_block);
	}
	if (d.used < COWP_DATA_IOS && b->data_io[d.used]->nr_blocks)
		submit_write(eng, b, b->data_io[d.used], fua);
}

static void place_copies(struct cowp_batch *b)
{
	struct cowp_listed *l = b->segment;
	struct cowp_copy *c;

	b->first_slot = l->slots_placed;
	list_for_each_entry(c, &b->copies, node) {
		c->slot = l->slots_placed++;
		if (c->bad)
			l->slots_placed++;
	}
}

static bool compose(struct cowp_engine *eng, struct cowp_batch *b)
{
	u32 caps = port_caps(eng->port, COWP_DIFF);
	bool fua = caps & COWP_CAP_CACHE && caps & COWP_CAP_FUA;

	b->lane = cowp_lane_choose(eng, b);
	if (!b->lane)
		return false;
	b->need_flush = caps & COWP_CAP_CACHE && !fua;
	b->state = COWP_BATCH_WRITE;
	place_copies(b);
	if (!b->segment->header_written)
		write_header(eng, b, fua);
	write_data(eng, b, fua);
	cowp_lane_compose(eng, b->lane, b, fua);
	eng->status.batches++;
	port_trace_batch(eng->port, b->number, b->count);
	return true;
}

/* ---- flush ---- */

static void flushed(struct cowp_engine *eng, struct cowp_io *io)
{
	struct cowp_batch *b;

	if (cowp_io_late(io))
		return;
	if (io->error) {
		cowp_proof_note_batches(eng);
		cowp_fault(eng, cowp_fault_of(io->error, COWP_FAULT_COW_WRITE_FAILURE), io->error);
		cowp_log_abort(eng);
		return;
	}
	list_for_each_entry(b, &eng->log.batches, node)
		if (b->state == COWP_BATCH_FLUSH)
			batch_durable(eng, b);
}

/* One flush for all batches whose writes have completed by now. */
static void start_flush(struct cowp_engine *eng)
{
	struct cowp_log *log = &eng->log;
	struct cowp_batch *b;
	bool any = false;

	if (log->flush_io->in_flight)
		return;
	list_for_each_entry(b, &log->batches, node) {
		if (b->state != COWP_BATCH_FLUSH_WAIT)
			continue;
		b->state = COWP_BATCH_FLUSH;
		any = true;
	}
	if (any)
		cowp_submit(eng, log->flush_io);
}

/* ---- release ---- */

static void release_copy(struct cowp_engine *eng, struct cowp_batch *b, struct cowp_copy *c)
{
	struct cowp_listed *l = b->segment;
	struct cowp_place place = {
		.segment = l->segment,
		.slot = c->slot,
		.pos = c->pos,
		.flags = c->bad ? COWP_RECORD_BAD : 0,
	};
	struct cowp_rec rec = {
		.key = cowp_key(c->chunk, b->epoch),
		.location = cowp_location(&place),
		.incarnation = l->incarnation,
		.crc = cowp_chunk_crc(c->csum, eng->geo.chunk_blocks),
	};

	/* Invariant 3: durable, in the index, sequence count, bit; then the overwrite. */
	cowp_index_insert(eng, &rec, b->number);
	cowp_seqs_raise(&eng->fast.seqs, c->chunk);
	if (b->epoch == eng->epoch)
		cowp_bits_mark(c->frame, c->chunk);
	cowp_copy_free(eng, c);
}

/*
 * cowp_log_preserved - may the write go?
 *
 * The batch that a write waited for was the last of its chunks' when it came.
 * Since then a copy may have been dropped, or the gate shut: look again.
 */
bool cowp_log_preserved(struct cowp_engine *eng, const struct cowp_waiter *w)
{
	return eng->fast.gate.word == COWP_GATE_PRESERVE &&
	       cowp_bits_run(&eng->fast.bits, w->chunk, w->count, eng->fast.epoch,
			     true) == w->count;
}

static void release(struct cowp_engine *eng, struct cowp_batch *b)
{
	struct cowp_log *log = &eng->log;
	struct cowp_copy *c, *next;
	struct cowp_waiter *w, *next_w;

	list_for_each_entry_safe(c, next, &b->copies, node)
		release_copy(eng, b, c);
	cowp_index_unreserve(eng, b->count);
	if (b->count)
		b->segment->max_epoch = max(b->segment->max_epoch, b->epoch);
	b->segment->last_batch = b->number;
	b->segment->users--;
	log->released = b->number;
	log->released_at = eng->now;
	eng->status.preserved += b->count;
	list_del_init(&b->node);
	b->state = COWP_BATCH_IDLE;
	/* A creation may have found no batch for its record. */
	eng->again |= eng->create.step == COWP_CREATE_RECORD;

	list_for_each_entry_safe(w, next_w, &b->waiters, node) {
		list_del_init(&w->node);
		cowp_waiter_done(eng, w, cowp_log_preserved(eng, w) ? COWP_GO : COWP_AGAIN);
	}
	if (b->create)
		cowp_snapshot_recorded(eng, b->create, 0);
}

/* ---- the pipeline ---- */

static bool lanes_free(struct cowp_log *log)
{
	u32 i;

	for (i = 0; i < COWP_LANES; i++)
		if (!log->lane[i].busy)
			return true;
	return false;
}

/*
 * Is it better to wait before the batch is begun?  Each costs a block of summary,
 * and a flush where the device has no FUA.  Writers whose chunks are in the batches
 * before it, or who were let go just now, will soon be back.  Unless these are few
 * all go on together.  With FUA two batches that overlap make up for the block.
 */
static bool waits_for_more(struct cowp_engine *eng, struct cowp_batch *b)
{
	struct cowp_log *log = &eng->log;
	u32 caps = port_caps(eng->port, COWP_DIFF);
	u32 few = max(b->writers / 3, 2U);
	struct cowp_batch *each;
	u32 others = 0;

	if (!(caps & COWP_CAP_CACHE) || caps & COWP_CAP_FUA || log->gather != b ||
	    b->count >= log->good_chunks || eng->fast.gate.word != COWP_GATE_PRESERVE)
		return false;
	list_for_each_entry(each, &log->batches, node)
		if (each != b)
			others += each->writers;
	others += port_overwrites(eng->port, few - min(few, others));
	if (others <= few)
		return false;
	if (!b->held_until)
		b->held_until = eng->now + HOLD_MS;
	return eng->now < b->held_until;
}

static bool start_reading(struct cowp_engine *eng)
{
	struct cowp_log *log = &eng->log;
	struct cowp_batch *b;

	list_for_each_entry(b, &log->batches, node) {
		if (b->state == COWP_BATCH_READ && b->unread) {
			cowp_batch_read(eng, b);
			return true;
		}
		/* One batch before its writes at a time: the others gather. */
		if (b->state > COWP_BATCH_GATHER && b->state < COWP_BATCH_WRITE)
			return false;
		if (b->state != COWP_BATCH_GATHER)
			continue;
		if (!b->count && !b->create)
			return false;
		if (!lanes_free(log) || waits_for_more(eng, b))
			return false;
		if (log->gather == b)
			log->gather = NULL;
		cowp_batch_read(eng, b);
		return true;
	}
	return false;
}

static bool start_writing(struct cowp_engine *eng)
{
	struct cowp_batch *b;

	list_for_each_entry(b, &eng->log.batches, node) {
		if (b->state < COWP_BATCH_READY)
			return false;
		if (b->state == COWP_BATCH_READY)
			return compose(eng, b);
	}
	return false;
}

static bool release_next(struct cowp_engine *eng)
{
	struct cowp_batch *b;

	if (list_empty(&eng->log.batches))
		return false;
	b = list_first_entry(&eng->log.batches, struct cowp_batch, node);
	if (b->state != COWP_BATCH_DURABLE)
		return false;
	release(eng, b);
	return true;
}

/* Move every batch as far as it goes. */
void cowp_log_run(struct cowp_engine *eng)
{
	bool more;

	do {
		more = false;
		while (release_next(eng))
			more = true;
		if ((eng->phase == COWP_PHASE_ACTIVE || eng->proof.running) &&
		    !list_empty(&eng->log.pending))
			cowp_log_run_pending(eng);
		more |= start_writing(eng);
		more |= start_reading(eng);
		start_flush(eng);
	} while (more);
	cowp_lanes_close(eng);
}

/* Returns when to be called again. */
u64 cowp_log_tick(struct cowp_engine *eng)
{
	struct cowp_log *log = &eng->log;

	if (log->gather && log->gather->held_until > eng->now)
		return log->gather->held_until;
	if (log->watermark >= log->released || !list_empty(&log->batches) ||
	    eng->phase != COWP_PHASE_ACTIVE)
		return ~0ULL;
	if (eng->now < log->released_at + WATERMARK_DELAY_MS)
		return log->released_at + WATERMARK_DELAY_MS;
	cowp_lanes_watermark(eng);
	/* Where no block is open there is nothing to write it to, and no need. */
	log->watermark = log->released;
	return ~0ULL;
}

/* ---- failure ---- */

static void abort_batch(struct cowp_engine *eng, struct cowp_batch *b)
{
	struct cowp_create *create = b->create;
	struct cowp_waiter *w, *next;
	struct cowp_copy *c;

	if (b->segment && b->state < COWP_BATCH_WRITE)
		b->segment->uncomposed--;
	list_del_init(&b->node);
	b->state = COWP_BATCH_FAILED;
	b->create = NULL;
	list_for_each_entry(c, &b->copies, node) {
		list_del_init(&c->hash);
		c->frame->pins--;
		c->frame = NULL;
	}
	cowp_index_unreserve(eng, b->count);
	/* The segment stays in use until the last write to it was seen to end. */
	if (b->segment)
		b->segment->last_batch = b->number;
	list_for_each_entry_safe(w, next, &b->waiters, node) {
		list_del_init(&w->node);
		cowp_waiter_done(eng, w, COWP_AGAIN);
	}
	cowp_batch_retire(eng, b);
	if (create)
		cowp_snapshot_recorded(eng, create, -EIO);
}

/*
 * cowp_log_abort - give up all batches that are not released
 *
 * Releasing a later one over the gap would let writes through whose chunks
 * recovery, which stops at the gap, would not find.  The segments are closed:
 * what may still land there finds a place that is not used again.
 */
void cowp_log_abort(struct cowp_engine *eng)
{
	struct cowp_log *log = &eng->log;
	struct cowp_batch *b, *next;
	struct cowp_listed *l;

	log->gather = NULL;
	list_for_each_entry_safe(b, next, &log->batches, node)
		abort_batch(eng, b);
	cowp_lanes_abort(eng);
	list_for_each_entry(l, &eng->segs.listed, node)
		if (l->state == COWP_LISTED_OPEN)
			cowp_segment_close(eng, l);
	log->open = NULL;
	log->gap = true;
	cowp_checkpoint_want(eng, true);
}

/*
 * cowp_log_replay_point - the number up to which a manifest's runs, with the
 *			   memtable frozen now, will hold everything
 *
 * Behind a failure that is every number given out: no batch is under way, none
 * begins before the manifest is durable, and a crash until then finds the log
 * with its gap and nothing behind it.
 */
u64 cowp_log_replay_point(struct cowp_engine *eng)
{
	struct cowp_log *log = &eng->log;

	if (log->gap)
		log->released = log->last;
	return log->released;
}

/* ---- making and unmaking ---- */

static int init_batch(struct cowp_engine *eng, struct cowp_batch *b)
{
	u32 i;

	INIT_LIST_HEAD(&b->node);
	INIT_LIST_HEAD(&b->copies);
	INIT_LIST_HEAD(&b->waiters);
	b->map = cowp_alloc_block(eng);
	b->header_io = cowp_alloc_io(eng, 1, data_written);
	if (!b->map || !b->header_io)
		return -ENOMEM;
	b->header_io->blocks[0] = cowp_alloc_block(eng);
	if (!b->header_io->blocks[0])
		return -ENOMEM;
	for (i = 0; i < COWP_DATA_IOS; i++) {
		b->data_io[i] = cowp_alloc_io(eng, COWP_DATA_IO_BLOCKS, data_written);
		if (!b->data_io[i])
			return -ENOMEM;
	}
	return 0;
}

int cowp_log_init(struct cowp_engine *eng)
{
	struct cowp_log *log = &eng->log;
	u32 i;

	INIT_LIST_HEAD(&log->batches);
	INIT_LIST_HEAD(&log->pending);
	log->zero_block = cowp_alloc_block(eng);
	log->flush_io = cowp_alloc_io(eng, 0, flushed);
	if (!log->zero_block || !log->flush_io)
		return -ENOMEM;
	log->flush_io->op = COWP_FLUSH;
	log->flush_io->dev = COWP_DIFF;
	for (i = 0; i < COWP_BATCHES; i++)
		if (init_batch(eng, &log->batch[i]))
			return -ENOMEM;
	if (cowp_lanes_init(eng))
		return -ENOMEM;
	return cowp_copies_init(eng);
}

/* The geometry is known. */
void cowp_log_attach(struct cowp_engine *eng)
{
	struct cowp_log *log = &eng->log;

	log->batch_chunks = max(COWP_BATCH_BLOCKS / eng->geo.chunk_blocks, 1U);
	/* One slot is left for a bad map, one part for a block that was begun before. */
	log->batch_chunks = min(log->batch_chunks, eng->geo.slots - 1);
	log->batch_chunks = min(log->batch_chunks, (COWP_BATCH_PARTS - 2) * eng->geo.entries);
	log->good_chunks = DIV_ROUND_UP(GOOD_BLOCKS, eng->geo.chunk_blocks);
}

void cowp_log_exit(struct cowp_engine *eng)
{
	struct cowp_log *log = &eng->log;
	u32 i, j;

	for (i = 0; i < COWP_BATCHES; i++) {
		struct cowp_batch *b = &log->batch[i];

		port_block_free(b->map);
		if (b->header_io)
			port_block_free(b->header_io->blocks[0]);
		port_io_free(b->header_io);
		for (j = 0; j < COWP_DATA_IOS; j++)
			port_io_free(b->data_io[j]);
	}
	port_block_free(log->zero_block);
	port_io_free(log->flush_io);
	cowp_lanes_exit(eng);
	cowp_copies_exit(eng);
}
