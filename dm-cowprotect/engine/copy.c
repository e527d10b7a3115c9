// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copies: from a write that wants to overwrite chunks to their old content in
 * memory.
 *
 * All that a copy will need is promised to it before the old chunk is read:
 * buffer, memtable entry, data slot, summary entry.  A write that cannot have
 * that waits in line; low memory slows and never fails.  Buffers belong to
 * chunks: the write may go away at any time.
 */
#include "internal.h"

static struct list_head *bucket_of(struct cowp_log *log, u64 chunk)
{
	return &log->hash[chunk % COWP_COPY_HASH];
}

static struct cowp_copy *find_copy(struct cowp_log *log, u64 chunk)
{
	struct cowp_copy *c;

	list_for_each_entry(c, bucket_of(log, chunk), hash)
		if (c->chunk == chunk)
			return c;
	return NULL;
}

static struct cowp_batch *find_batch(struct cowp_log *log, u64 number)
{
	struct cowp_batch *b;

	list_for_each_entry(b, &log->batches, node)
		if (b->number == number)
			return b;
	return NULL;
}

/*
 * The newest batch takes more copies until the first of its reads has come back:
 * writers that come together, but not at the same instant, share a batch, and
 * the first of them waits for the others one read's time at most.
 */
static struct cowp_batch *joinable(struct cowp_engine *eng)
{
	struct cowp_log *log = &eng->log;
	struct cowp_batch *b;

	if (list_empty(&log->batches))
		return NULL;
	b = list_last_entry(&log->batches, struct cowp_batch, node);
	if (b->state != COWP_BATCH_READ || b->came || b->create || b->epoch != eng->epoch)
		return NULL;
	return b;
}

static struct cowp_batch *gathering(struct cowp_engine *eng)
{
	struct cowp_log *log = &eng->log;
	struct cowp_batch *b = log->gather ? log->gather : joinable(eng);
	int error;

	if (b && b->count < log->batch_chunks && b->segment->slots_used < eng->geo.slots &&
	    b->segment->entries_left)
		return b;
	/* Full: it waits to be started, the next one gathers. */
	log->gather = cowp_batch_new(eng);
	if (!log->gather)
		return NULL;
	b = log->gather;
	error = cowp_log_segment(eng, b, 1, 1);
	if (error) {
		cowp_batch_unused(eng, b);
		if (error == -ENOSPC)
			cowp_fault(eng, COWP_FAULT_DIFF_AREA_FULL, error);
		return NULL;
	}
	return b;
}

static struct cowp_copy *new_copy(struct cowp_engine *eng, u64 chunk, struct cowp_frame *frame)
{
	struct cowp_log *log = &eng->log;
	struct cowp_batch *b;
	struct cowp_copy *c;

	if (list_empty(&log->free_copies) || !cowp_index_reserve(eng))
		return NULL;
	b = gathering(eng);
	if (!b) {
		cowp_index_unreserve(eng, 1);
		return NULL;
	}
	c = list_first_entry(&log->free_copies, struct cowp_copy, node);
	list_move_tail(&c->node, &b->copies);
	list_add(&c->hash, bucket_of(log, chunk));
	b->count++;
	b->segment->slots_used++;
	b->segment->entries_left--;
	c->batch = b;
	c->chunk = chunk;
	c->salvage = false;
	c->bad = false;
	c->frame = frame;
	frame->pins++;
	if (!b->unread)
		b->unread = c;
	return c;
}

void cowp_copy_free(struct cowp_engine *eng, struct cowp_copy *c)
{
	list_del_init(&c->hash);
	if (c->frame)
		c->frame->pins--;
	c->frame = NULL;
	c->batch = NULL;
	list_move(&c->node, &eng->log.free_copies);
}

/* The attempt may have ended in a fault, which has emptied the line. */
static void wait_in_line(struct cowp_engine *eng, struct cowp_waiter *w)
{
	if (eng->fast.gate.word == COWP_GATE_PRESERVE || cowp_is_proof(eng, w))
		list_add_tail(&w->node, &eng->log.pending);
	else
		cowp_waiter_done(eng, w, COWP_AGAIN);
}

/*
 * cowp_log_write - find or make the copies that a write needs
 *
 * Goes on where the write stopped the last time.  The write ends up with the
 * last batch that one of its chunks is in: batches are released in order.  If
 * that one is gone, it may have dropped its copy (start_salvage()).
 */
void cowp_log_write(struct cowp_engine *eng, struct cowp_waiter *w)
{
	struct cowp_log *log = &eng->log;
	struct cowp_frame *f = NULL;
	struct cowp_batch *b;

	if (eng->fast.gate.word != COWP_GATE_PRESERVE && !cowp_is_proof(eng, w)) {
		cowp_waiter_done(eng, w, COWP_AGAIN);
		return;
	}
	for (; w->done < w->count; w->done++) {
		u64 chunk = w->chunk + w->done;
		struct cowp_copy *c = find_copy(log, chunk);

		if (!c) {
			if (!f || f->tag != cowp_bits_tag(chunk, eng->fast.epoch))
				f = cowp_preserved_frame(eng, chunk, w);
			if (!f)
				return;
			if (cowp_bits_marked(f, chunk))
				continue;
			if (eng->phase == COWP_PHASE_ACTIVE || cowp_is_proof(eng, w))
				c = new_copy(eng, chunk, f);
			if (!c) {
				wait_in_line(eng, w);
				return;
			}
		}
		w->batch = max(w->batch, c->batch->number);
	}
	b = find_batch(log, w->batch);
	if (!b) {
		cowp_waiter_done(eng, w, cowp_log_preserved(eng, w) ? COWP_GO : COWP_AGAIN);
		return;
	}
	list_add_tail(&w->node, &b->waiters);
	b->writers++;
}

/* Let those that wait in line try again, as far as resources go. */
void cowp_log_run_pending(struct cowp_engine *eng)
{
	struct cowp_log *log = &eng->log;
	struct cowp_waiter *w;
	LIST_HEAD(todo);

	list_splice_init(&log->pending, &todo);
	while (!list_empty(&todo) && list_empty(&log->pending)) {
		w = list_first_entry(&todo, struct cowp_waiter, node);
		list_del_init(&w->node);
		cowp_log_write(eng, w);
	}
	list_splice_tail(&todo, &log->pending);
	if (eng->fast.gate.word != COWP_GATE_PRESERVE && !eng->proof.running)
		cowp_log_return_waiters(eng);
}

static void return_list(struct cowp_engine *eng, struct list_head *list)
{
	struct cowp_waiter *w, *next;

	list_for_each_entry_safe(w, next, list, node) {
		list_del_init(&w->node);
		cowp_waiter_done(eng, w, COWP_AGAIN);
	}
}

/* Hand the writes that wait for anything but a batch back to the gate. */
void cowp_log_return_waiters(struct cowp_engine *eng)
{
	return_list(eng, &eng->log.pending);
	cowp_preserved_return_waiters(eng);
}

/* ---- reading ---- */

static u32 chunk_sectors(struct cowp_engine *eng)
{
	return eng->geo.chunk_blocks * COWP_BLOCK_SECTORS;
}

/* Sectors that a chunk has on the live device: the last one may be cut off. */
static u32 sectors_of(struct cowp_engine *eng, u64 chunk)
{
	u64 first = chunk * chunk_sectors(eng);

	return min_t(u64, chunk_sectors(eng), eng->live_sectors - first);
}

static void salvage_next(struct cowp_engine *eng, struct cowp_batch *b)
{
	struct cowp_copy *c = b->salvaging;
	struct cowp_io *io = eng->log.salvage_io;
	u32 block;

	if (b->salvage_sector >= c->sectors) {
		for (block = 0; block < eng->geo.chunk_blocks; block++)
			c->csum[block] = port_crc32c(~0U, c->blocks[block], COWP_BLOCK_SIZE);
		b->salvaging = NULL;
		b->state = COWP_BATCH_READY;
		return;
	}
	/* Out for a batch that was given up: salvage_done() comes back here. */
	if (io->in_flight)
		return;
	io->private = b;
	io->op = COWP_READ;
	io->dev = COWP_LIVE;
	io->sector = c->chunk * chunk_sectors(eng) + b->salvage_sector;
	io->bytes = eng->cfg.live_block_sectors << 9;
	io->nr_blocks = 1;
	b->outstanding++;
	cowp_submit(eng, io);
}

static void salvage_waiting(struct cowp_engine *eng)
{
	struct cowp_batch *b;

	/* There is one batch before its writes at a time. */
	list_for_each_entry(b, &eng->log.batches, node) {
		if (b->state == COWP_BATCH_SALVAGE) {
			salvage_next(eng, b);
			return;
		}
	}
}

static void salvage_done(struct cowp_engine *eng, struct cowp_io *io)
{
	struct cowp_batch *b = io->private;
	struct cowp_copy *c = b->salvaging;
	struct cowp_badmap *map = b->map;
	u32 unit = eng->cfg.live_block_sectors;
	u32 at = b->salvage_sector;
	u32 i;

	b->outstanding--;
	if (b->state == COWP_BATCH_FAILED) {
		cowp_batch_retire(eng, b);
		salvage_waiting(eng);
		return;
	}
	if (io->error) {
		c->bad = true;
		for (i = at; i < at + unit; i++)
			map->bits[i / 8] |= 1 << (i % 8);
	} else {
		memcpy((char *)c->blocks[at / COWP_BLOCK_SECTORS] +
		       at % COWP_BLOCK_SECTORS * 512, io->blocks[0], io->bytes);
	}
	b->salvage_sector += unit;
	salvage_next(eng, b);
}

/*
 * Read the first copy whose read failed sector by sector.  There is one bad map
 * to a batch: the others start over in a later one, as the writes that wait for
 * them are looked at again before they may go.
 */
static void start_salvage(struct cowp_engine *eng, struct cowp_batch *b)
{
	struct cowp_copy *c, *next;
	u32 i;

	list_for_each_entry_safe(c, next, &b->copies, node) {
		if (!c->salvage)
			continue;
		if (!b->salvaging && b->segment->slots_used < eng->geo.slots) {
			b->salvaging = c;
			b->segment->slots_used++;	/* for the map */
			continue;
		}
		b->count--;
		cowp_index_unreserve(eng, 1);
		cowp_copy_free(eng, c);
	}
	c = b->salvaging;
	if (!c) {
		/* No room for a map here: the next batch begins a new segment. */
		b->segment->slots_used = eng->geo.slots;
		b->state = COWP_BATCH_READY;
		return;
	}
	for (i = 0; i < eng->geo.chunk_blocks; i++)
		memset(c->blocks[i], 0, COWP_BLOCK_SIZE);
	memset(b->map, 0, COWP_BLOCK_SIZE);
	b->salvage_sector = 0;
	b->state = COWP_BATCH_SALVAGE;
	salvage_next(eng, b);
}

static struct cowp_copy *first_unread(struct cowp_batch *b)
{
	struct cowp_copy *c;

	list_for_each_entry(c, &b->copies, node)
		if (c->salvage)
			break;
	return c;
}

static void reads_done(struct cowp_engine *eng, struct cowp_batch *b)
{
	int error = b->error;

	if (!error) {
		b->state = COWP_BATCH_READY;
		return;
	}
	b->error = 0;
	cowp_proof_note(eng, first_unread(b)->chunk);
	if (cowp_fault(eng, COWP_FAULT_COW_READ_FAILURE, error) & COWP_ACT_BAD)
		start_salvage(eng, b);
	else
		cowp_log_abort(eng);
}

/* Blocks beyond the end of the live device are zero. */
static void pad_copy(struct cowp_engine *eng, struct cowp_copy *c)
{
	u32 i = DIV_ROUND_UP(c->sectors, COWP_BLOCK_SECTORS);

	for (; i < eng->geo.chunk_blocks; i++) {
		memset(c->blocks[i], 0, COWP_BLOCK_SIZE);
		c->csum[i] = port_crc32c(~0U, c->blocks[i], COWP_BLOCK_SIZE);
	}
}

static void read_done(struct cowp_engine *eng, struct cowp_io *io)
{
	struct cowp_copy *c = io->private;
	struct cowp_copy *each = c;
	struct cowp_batch *b = c->batch;
	u32 blocks = eng->geo.chunk_blocks;
	u32 i;

	b->outstanding--;
	b->came = true;
	if (io->error)
		b->error = io->error;
	for (i = 0; i < c->reads; i++, each = list_next_entry(each, node)) {
		each->salvage = io->error;
		memcpy(each->csum, c->io_csum + i * blocks, blocks * sizeof(*each->csum));
		pad_copy(eng, each);
	}
	if (b->outstanding)
		return;
	if (b->state != COWP_BATCH_READ)
		cowp_batch_retire(eng, b);
	else if (!b->unread)
		reads_done(eng, b);
}

static bool extends(struct cowp_engine *eng, const struct cowp_copy *first,
		    const struct cowp_copy *c)
{
	return c->chunk == first->chunk + first->reads &&
	       (first->reads + 1) * eng->geo.chunk_blocks <= first->io->max_blocks;
}

/*
 * cowp_batch_read - read the old chunks, those side by side in one go
 *
 * Called again when others have joined.
 */
void cowp_batch_read(struct cowp_engine *eng, struct cowp_batch *b)
{
	struct cowp_copy *c, *first = NULL;
	struct cowp_copy *unread = b->unread;
	struct cowp_io *io;
	u32 i;

	if (!unread) {
		b->state = COWP_BATCH_READY;
		return;
	}
	b->state = COWP_BATCH_READ;
	b->unread = NULL;
	c = unread;
	list_for_each_entry_from(c, &b->copies, node) {
		c->reads = 0;
		if (!first || !extends(eng, first, c)) {
			first = c;
			io = first->io;
			io->private = first;
			io->op = COWP_READ;
			io->dev = COWP_LIVE;
			io->sector = first->chunk * chunk_sectors(eng);
			io->bytes = 0;
			io->csum = first->io_csum;
			b->outstanding++;
		}
		for (i = 0; i < eng->geo.chunk_blocks; i++)
			io->blocks[first->reads * eng->geo.chunk_blocks + i] = c->blocks[i];
		/* Settled here: the live device may grow while the read is under way. */
		c->sectors = sectors_of(eng, c->chunk);
		io->bytes += c->sectors << 9;
		io->nr_blocks = DIV_ROUND_UP(io->bytes, COWP_BLOCK_SIZE);
		first->reads++;
	}
	/* Submitted when all are counted: none may find itself the last too soon. */
	c = unread;
	list_for_each_entry_from(c, &b->copies, node) {
		if (c->reads)
			cowp_submit(eng, c->io);
	}
}

int cowp_copies_init(struct cowp_engine *eng)
{
	struct cowp_log *log = &eng->log;
	u32 blocks = eng->cfg.chunk_blocks;
	u32 io_blocks = max(blocks, COWP_READ_BLOCKS);
	u32 i, j;

	INIT_LIST_HEAD(&log->free_copies);
	for (i = 0; i < COWP_COPY_HASH; i++)
		INIT_LIST_HEAD(&log->hash[i]);
	log->copy_count = max(COWP_COPY_BLOCKS / blocks, 4U);
	log->copies = cowp_alloc(eng, log->copy_count * sizeof(*log->copies));
	log->salvage_io = cowp_alloc_io(eng, 1, salvage_done);
	if (!log->copies || !log->salvage_io)
		return -ENOMEM;
	log->salvage_io->blocks[0] = cowp_alloc_block(eng);
	if (!log->salvage_io->blocks[0])
		return -ENOMEM;
	for (i = 0; i < log->copy_count; i++) {
		struct cowp_copy *c = &log->copies[i];

		INIT_LIST_HEAD(&c->hash);
		c->blocks = cowp_alloc(eng, blocks * sizeof(*c->blocks));
		c->csum = cowp_alloc(eng, blocks * sizeof(*c->csum));
		c->io_csum = cowp_alloc(eng, io_blocks * sizeof(*c->io_csum));
		c->io = cowp_alloc_io(eng, io_blocks, read_done);
		if (!c->blocks || !c->csum || !c->io_csum || !c->io)
			return -ENOMEM;
		for (j = 0; j < blocks; j++) {
			c->blocks[j] = cowp_alloc_block(eng);
			if (!c->blocks[j])
				return -ENOMEM;
		}
		list_add_tail(&c->node, &log->free_copies);
	}
	return 0;
}

void cowp_copies_exit(struct cowp_engine *eng)
{
	struct cowp_log *log = &eng->log;
	u32 i, j;

	for (i = 0; log->copies && i < log->copy_count; i++) {
		struct cowp_copy *c = &log->copies[i];

		for (j = 0; c->blocks && j < eng->cfg.chunk_blocks; j++)
			port_block_free(c->blocks[j]);
		port_free(c->blocks);
		port_free(c->csum);
		port_free(c->io_csum);
		port_io_free(c->io);
	}
	port_free(log->copies);
	if (log->salvage_io)
		port_block_free(log->salvage_io->blocks[0]);
	port_io_free(log->salvage_io);
}
