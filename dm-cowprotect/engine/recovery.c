// SPDX-License-Identifier: GPL-2.0-only
/*
 * Recovery: from the disk to a working engine.
 *
 *	state blocks and roots -> session durable -> body -> [replay] -> checkpoint
 *
 * The replay reads the summaries of the segments that the manifest lists, in
 * passes, so that its memory is bounded: the first learns how far the log was
 * known to be durable (the watermark) and which batches are whole; the second
 * checks the data of those behind the watermark, which nobody acknowledged to
 * the disk; the third inserts what is taken.
 *
 * Every batch up to the watermark must be whole, or the area is corrupt.  Behind
 * it the log ends before the first batch that is not: batches are released in
 * order, so nothing behind was.  A block that cannot be read is a fault, never
 * the end of the log.
 *
 * No segment is opened before recovery's own checkpoint is durable: until then
 * a crash finds everything as it was.
 */
#include "recovery.h"

enum {
	FIXED_STATE = 0,		/* and the second copy */
	FIXED_ROOT = COWP_SLOTS,	/* and the second slot */
	FIXED_COUNT = 2 * COWP_SLOTS,
};

static u64 fixed_block(u32 i)
{
	return i < FIXED_ROOT ? COWP_STATE_BLOCK(i) : COWP_ROOT_BLOCK(i - FIXED_ROOT);
}

static void fail(struct cowp_engine *eng, enum cowp_fault fault, int error)
{
	eng->recovery->step = COWP_R_IDLE;
	cowp_fault(eng, fault, error);
}

static void fail_io(struct cowp_engine *eng, int error)
{
	fail(eng, cowp_fault_of(error, COWP_FAULT_ONLINE_IO_FAILURE), error);
}

/*
 * cowp_recovery_corrupt - what was read cannot be right
 * @what:	in words
 */
void cowp_recovery_corrupt(struct cowp_engine *eng, const char *what)
{
	eng->status.detail = what;
	fail(eng, COWP_FAULT_METADATA_CORRUPTION, -EBADMSG);
}

static void *fixed(struct cowp_recovery *r, u32 i)
{
	return r->fixed[i]->blocks[0];
}

static bool is_zero(const void *block)
{
	return !memchr_inv(block, 0, COWP_BLOCK_SIZE);
}

/* ---- the end ---- */

static void finished(struct cowp_engine *eng)
{
	eng->recovery->step = COWP_R_IDLE;
	eng->loaded = true;
	if (eng->state.now.lost) {
		eng->status.marked = true;
		cowp_event(eng, COWP_EVENT_LOADED_LOST, 0);
	} else {
		cowp_event(eng, eng->snapshot_count ? COWP_EVENT_LOADED_ACTIVE :
						      COWP_EVENT_LOADED_NONE, 0);
	}
}

static void start_checkpoint(struct cowp_engine *eng)
{
	eng->recovery->step = COWP_R_CHECKPOINT;
	cowp_checkpoint_want(eng, true);
}

static void free_batches(struct cowp_engine *eng)
{
	struct cowp_recovery *r = eng->recovery;

	cowp_free(eng, r->batches, r->batch_count * sizeof(*r->batches));
	r->batches = NULL;
}

static bool new_batches(struct cowp_engine *eng)
{
	struct cowp_recovery *r = eng->recovery;

	free_batches(eng);	/* of an attempt that failed */
	r->batch_count = cowp_replay_room(eng->index.capacity);
	r->batches = cowp_alloc(eng, r->batch_count * sizeof(*r->batches));
	return r->batches;
}

/* The log is in the memtables: both become runs of one manifest. */
static void replayed(struct cowp_engine *eng)
{
	struct cowp_recovery *r = eng->recovery;
	struct cowp_listed *l;

	eng->log.last = max3(r->max_batch, r->watermark, eng->super.last_batch);
	eng->log.released = eng->log.last;
	eng->log.watermark = eng->log.last;
	eng->log.version = r->max_version;
	eng->log.gap = false;
	eng->epoch = max(eng->super.epoch, r->max_epoch);
	/* The gate is blocked: nobody tests a bit with it yet. */
	WRITE_ONCE(eng->fast.epoch, eng->epoch);
	list_for_each_entry(l, &eng->segs.listed, node) {
		/*
		 * What a segment holds is in the runs of the next manifest, or
		 * dead.  One that holds nothing can take those runs: there may
		 * be no other room.
		 */
		l->last_batch = 0;
		if (l->summaries) {
			l->state = COWP_LISTED_CLOSED;
			continue;
		}
		l->state = COWP_LISTED_READY;
		l->incarnation = ++eng->incarnation;
		eng->segs.table[l->segment].incarnation = l->incarnation;
		eng->segs.ready++;
	}
	free_batches(eng);
	if (eng->state.now.lost) {
		finished(eng);
		return;
	}
	eng->index.both = true;
	start_checkpoint(eng);
}

bool cowp_recovery_writes(struct cowp_engine *eng)
{
	return eng->recovery->step == COWP_R_CHECKPOINT;
}

/* Returns true if it was recovery's own checkpoint. */
bool cowp_recovery_checkpointed(struct cowp_engine *eng)
{
	struct cowp_recovery *r = eng->recovery;

	if (r->step != COWP_R_CHECKPOINT)
		return false;
	r->step = COWP_R_IDLE;
	if (r->verifying)
		return false;
	finished(eng);
	return true;
}

/* ---- replay ---- */

/* Everything about the log that is not in the manifest. */
static void start_replay(struct cowp_engine *eng)
{
	struct cowp_recovery *r = eng->recovery;

	r->watermark = eng->super.replay_batch;
	r->max_batch = 0;
	r->max_version = 0;
	r->max_epoch = eng->super.epoch;
	r->cut = ~0ULL;
	if (eng->super.flags & COWP_ROOT_CLEAN) {
		replayed(eng);
		return;
	}
	if (!new_batches(eng)) {
		eng->status.detail = "no memory to replay the log";
		fail(eng, COWP_FAULT_MEMORY_ALLOCATION_FAILURE, -ENOMEM);
		return;
	}
	r->step = COWP_R_REPLAY;
	r->pass = COWP_PASS_LEARN;
	cowp_replay_start_pass(eng);
}

/* Where the log ends: before the first batch that is not whole. */
static bool find_cut(struct cowp_engine *eng)
{
	struct cowp_recovery *r = eng->recovery;
	u64 replay = eng->super.replay_batch;
	u64 nr;

	r->cut = replay;
	for (nr = replay + 1; nr <= r->max_batch; nr++) {
		const struct cowp_replay_batch *b = &r->batches[nr - replay - 1];

		if (b->damaged || !b->parts || b->seen != b->parts)
			break;
		r->cut = nr;
	}
	return r->cut >= r->watermark;
}

void cowp_replay_pass_done(struct cowp_engine *eng)
{
	struct cowp_recovery *r = eng->recovery;

	if (eng->state.now.lost) {
		/* The log was read for its numbers only. */
		replayed(eng);
		return;
	}
	switch (r->pass) {
	case COWP_PASS_LEARN:
		r->pass = COWP_PASS_VERIFY;
		break;
	case COWP_PASS_VERIFY:
		r->pass = COWP_PASS_INSERT;
		break;
	default:
		replayed(eng);
		return;
	}
	if (!find_cut(eng)) {
		cowp_recovery_corrupt(eng, "a batch that was durable is not in the log");
		return;
	}
	cowp_replay_start_pass(eng);
}

/* ---- the body ---- */

static void read_body(struct cowp_engine *eng)
{
	struct cowp_recovery *r = eng->recovery;
	struct cowp_io *io = r->io;
	u32 i;

	io->op = COWP_READ;
	io->dev = COWP_DIFF;
	io->csum = NULL;
	io->sector = (eng->super.body_block[eng->cp.slot] + r->body_read) * COWP_BLOCK_SECTORS;
	io->nr_blocks = min(eng->super.body_blocks - r->body_read, io->max_blocks);
	io->bytes = io->nr_blocks * COWP_BLOCK_SIZE;
	for (i = 0; i < io->nr_blocks; i++)
		io->blocks[i] = eng->cp.body[r->body_read + i];
	r->body_read += io->nr_blocks;
	cowp_submit(eng, io);
}

static void start_body(struct cowp_engine *eng)
{
	struct cowp_recovery *r = eng->recovery;

	cowp_recovery_forget(eng);
	if (cowp_tables_resize(eng, eng->super.segments)) {
		eng->status.detail = "no memory for the tables of the area";
		fail(eng, COWP_FAULT_MEMORY_ALLOCATION_FAILURE, -ENOMEM);
		return;
	}
	if (eng->formatting) {
		eng->formatting = false;
		eng->segs.free = eng->segs.count;
		eng->tables = true;
		replayed(eng);
		return;
	}
	eng->segs.free = 0;	/* the body counts them */
	r->step = COWP_R_BODY;
	r->body_read = 0;
	read_body(eng);
}

static void body_read(struct cowp_engine *eng)
{
	struct cowp_recovery *r = eng->recovery;
	const char *bad;

	if (r->body_read < eng->super.body_blocks) {
		read_body(eng);
		return;
	}
	bad = cowp_body_load(eng);
	if (bad && r->other_valid) {
		/*
		 * A manifest that failed had its root on the disk all the same,
		 * and the power went when its successor's body was being
		 * written over its own.  The one before it still counts.
		 */
		r->other_valid = false;
		eng->super = r->other;
		eng->cp.slot = !eng->cp.slot;
		cowp_geometry_attach(eng);
		start_body(eng);
		return;
	}
	if (bad) {
		cowp_recovery_corrupt(eng, bad);
		return;
	}
	if (eng->snapshot_count && eng->super.live_sectors > eng->live_sectors) {
		eng->status.detail = "the area is of a larger live volume";
		fail(eng, COWP_FAULT_METADATA_CORRUPTION, -ENOSPC);
		return;
	}
	eng->tables = true;
	start_replay(eng);
}

/* ---- the fixed places ---- */

static void session_written(struct cowp_engine *eng, int error)
{
	struct cowp_recovery *r = eng->recovery;

	if (r->step != COWP_R_SESSION)
		return;
	if (error) {
		fail_io(eng, error);
		return;
	}
	eng->mode_applied = true;
	eng->status.mode = eng->state.now.mode;
	eng->mode_known = true;
	eng->notify = true;
	start_body(eng);
}

/*
 * From now on the area is this activation's: whatever another one, long dead
 * or on another host, may still write carries its own session.
 */
static void start_session(struct cowp_engine *eng)
{
	struct cowp_recovery *r = eng->recovery;
	struct cowp_state_request *q = &r->request;

	r->step = COWP_R_SESSION;
	eng->session = eng->state.now.session + 1;
	q->fields = COWP_SET_SESSION;
	q->session = eng->session;
	if (eng->cfg.have_mode && !eng->mode_applied) {
		q->fields |= COWP_SET_MODE;
		q->mode = eng->cfg.mode;
	}
	if (eng->cfg.given_up && !eng->formatting) {
		q->fields |= COWP_SET_LOST;
		q->lost = 1;
	}
	q->then = session_written;
	cowp_state_request(eng, q);
}

/* The newest valid state, if it is of the right area. */
static enum cowp_fault choose_state(struct cowp_engine *eng)
{
	struct cowp_recovery *r = eng->recovery;
	const u8 *uuid = eng->cfg.have_uuid ? eng->cfg.uuid : NULL;
	struct cowp_area_state s, best;
	bool found = false, stranger = false;
	u32 i;

	if (eng->state.known)
		uuid = eng->state.now.uuid;
	for (i = 0; i < COWP_SLOTS; i++) {
		if (r->fixed[FIXED_STATE + i]->error)
			continue;
		if (cowp_state_decode(&s, fixed(r, FIXED_STATE + i), i, NULL))
			continue;
		if (uuid && memcmp(s.uuid, uuid, sizeof(s.uuid))) {
			stranger = true;
			continue;
		}
		if (!found || s.sequence > best.sequence)
			best = s;
		found = true;
	}
	if (!found)
		return stranger ? COWP_FAULT_EXTERNAL_WRITER : COWP_FAULT_METADATA_CORRUPTION;
	/* Another activation of the same area has been here. */
	if (eng->state.known && best.session > eng->state.now.session)
		return COWP_FAULT_EXTERNAL_WRITER;
	if (!eng->state.known || best.sequence > eng->state.sequence)
		eng->state.sequence = best.sequence;
	if (!r->verifying)
		eng->state.now = best;
	eng->state.known = true;
	return COWP_FAULT_NONE;
}

/*
 * The newest valid root.  One that is older than the state blocks say is no
 * answer: a newer manifest was durable, and segments that the older one refers
 * to have been used again since.
 */
static bool choose_root(struct cowp_engine *eng)
{
	struct cowp_recovery *r = eng->recovery;
	u64 blocks = port_sectors(eng->port, COWP_DIFF) / COWP_BLOCK_SECTORS;
	bool valid[COWP_SLOTS];
	struct cowp_super s[COWP_SLOTS];
	u32 i, best;

	for (i = 0; i < COWP_SLOTS; i++)
		valid[i] = !r->fixed[FIXED_ROOT + i]->error &&
			   !cowp_root_decode(&s[i], fixed(r, FIXED_ROOT + i), i,
					     eng->state.now.uuid, blocks) &&
			   s[i].generation >= eng->state.now.generation;
	best = valid[1] && (!valid[0] || s[1].generation > s[0].generation);
	if (!valid[best])
		return false;
	eng->super = s[best];
	eng->cp.slot = best;
	eng->cp.generation = s[best].generation;
	r->other = s[!best];
	r->other_valid = valid[!best];
	return eng->super.chunk_blocks == eng->cfg.chunk_blocks &&
	       !cowp_geometry_attach(eng);
}

static void choose(struct cowp_engine *eng)
{
	struct cowp_recovery *r = eng->recovery;
	enum cowp_fault fault = choose_state(eng);
	u32 i;

	if (fault == COWP_FAULT_METADATA_CORRUPTION) {
		/* A block that cannot be read might have been valid. */
		for (i = 0; i < FIXED_COUNT; i++) {
			if (r->fixed[i]->error) {
				fail_io(eng, r->fixed[i]->error);
				return;
			}
		}
		if (eng->cfg.format && !r->verifying && is_zero(fixed(r, FIXED_STATE)) &&
		    is_zero(fixed(r, FIXED_STATE + 1))) {
			cowp_format_start(eng);
			return;
		}
	}
	if (fault == COWP_FAULT_METADATA_CORRUPTION)
		eng->status.detail = "no valid state block";
	if (fault != COWP_FAULT_NONE) {
		fail(eng, fault, fault == COWP_FAULT_EXTERNAL_WRITER ? -EBUSY : -EBADMSG);
		return;
	}
	if (r->verifying) {
		start_checkpoint(eng);
		return;
	}
	/* The mode is known from here on, whatever else is wrong with the area. */
	eng->status.mode = eng->cfg.have_mode && !eng->mode_applied ? eng->cfg.mode :
								       eng->state.now.mode;
	eng->mode_known = true;
	if (!choose_root(eng)) {
		for (i = FIXED_ROOT; i < FIXED_COUNT; i++) {
			if (r->fixed[i]->error) {
				fail_io(eng, r->fixed[i]->error);
				return;
			}
		}
		cowp_recovery_corrupt(eng, "no valid manifest is as new as the state blocks say");
		return;
	}
	start_session(eng);
}

static void fixed_read(struct cowp_engine *eng, struct cowp_io *io)
{
	struct cowp_recovery *r = eng->recovery;

	if (cowp_io_late(io))
		return;
	if (!--r->fixed_left && r->step == COWP_R_FIXED)
		choose(eng);
}

static void read_fixed(struct cowp_engine *eng)
{
	struct cowp_recovery *r = eng->recovery;
	u32 i;

	r->step = COWP_R_FIXED;
	r->fixed_left = FIXED_COUNT;
	for (i = 0; i < FIXED_COUNT; i++) {
		struct cowp_io *io = r->fixed[i];

		io->op = COWP_READ;
		io->dev = COWP_DIFF;
		io->sector = fixed_block(i) * COWP_BLOCK_SECTORS;
		io->bytes = COWP_BLOCK_SIZE;
		io->nr_blocks = 1;
		cowp_submit(eng, io);
	}
}

/* ---- formatting ---- */

/* Regions that must be zero: the first and the last MiB and the second slot. */
static bool format_region(struct cowp_engine *eng, u32 region, u64 *first, u64 *count)
{
	u64 blocks = port_sectors(eng->port, COWP_DIFF) / COWP_BLOCK_SECTORS;
	u64 mib = (1 << 20) / COWP_BLOCK_SIZE;

	switch (region) {
	case 0:
		*first = 0;
		*count = mib;
		return true;
	case 1:
		*first = COWP_ROOT_BLOCK(1);
		*count = COWP_FIRST_BODY_BLOCK - COWP_ROOT_BLOCK(1);
		return true;
	case 2:
		*first = blocks - mib;
		*count = mib;
		return true;
	default:
		return false;
	}
}

static void layout(struct cowp_engine *eng)
{
	u64 blocks = port_sectors(eng->port, COWP_DIFF) / COWP_BLOCK_SECTORS;
	struct cowp_super *s = &eng->super;
	const char *bad;

	memset(s, 0, sizeof(*s));
	memcpy(s->uuid, eng->cfg.uuid, sizeof(s->uuid));
	s->chunk_blocks = eng->cfg.chunk_blocks;
	s->created = port_real_seconds();
	s->live_sectors = eng->live_sectors;
	bad = cowp_layout(s, blocks);
	if (bad) {
		cowp_recovery_corrupt(eng, bad);
		return;
	}
	cowp_geometry_attach(eng);
	memset(&eng->state.now, 0, sizeof(eng->state.now));
	memcpy(eng->state.now.uuid, s->uuid, sizeof(s->uuid));
	eng->state.known = true;
	eng->state.sequence = 0;
	eng->cp.slot = 1;	/* the first manifest goes to slot 0 */
	eng->cp.generation = 0;
	eng->formatting = true;
	start_session(eng);
}

static void format_read(struct cowp_engine *eng)
{
	struct cowp_recovery *r = eng->recovery;
	struct cowp_io *io = r->io;
	u64 first, count;
	u32 i;

	if (r->format_next) {
		for (i = 0; i < io->nr_blocks; i++) {
			if (!is_zero(io->blocks[i])) {
				eng->status.detail = "neither blank nor a diff area";
				fail(eng, COWP_FAULT_METADATA_CORRUPTION, -EEXIST);
				return;
			}
		}
	}
	while (format_region(eng, r->format_region, &first, &count) && r->format_next == count) {
		r->format_region++;
		r->format_next = 0;
	}
	if (!format_region(eng, r->format_region, &first, &count)) {
		layout(eng);
		return;
	}
	io->op = COWP_READ;
	io->dev = COWP_DIFF;
	io->csum = NULL;
	io->nr_blocks = min_t(u64, count - r->format_next, io->max_blocks);
	io->bytes = io->nr_blocks * COWP_BLOCK_SIZE;
	io->sector = (first + r->format_next) * COWP_BLOCK_SECTORS;
	for (i = 0; i < io->nr_blocks; i++)
		io->blocks[i] = r->buffer[i];
	r->format_next += io->nr_blocks;
	cowp_submit(eng, io);
}

/* The state copies are zero: format if all the rest that tells is too. */
void cowp_format_start(struct cowp_engine *eng)
{
	struct cowp_recovery *r = eng->recovery;
	struct cowp_super s;

	if (port_sectors(eng->port, COWP_DIFF) / COWP_BLOCK_SECTORS <= COWP_FIRST_BODY_BLOCK) {
		cowp_recovery_corrupt(eng, "the diff device is too small");
		return;
	}
	r->step = COWP_R_FORMAT;
	r->format_region = 0;
	r->format_next = 0;
	/*
	 * A format of ours that the power cut short has written its first root
	 * and no state block; no snapshot can be in it.
	 */
	if (!cowp_root_decode(&s, fixed(r, FIXED_ROOT), 0, NULL, ~0ULL) && s.generation == 1 &&
	    is_zero(fixed(r, FIXED_ROOT + 1)))
		layout(eng);
	else
		format_read(eng);
}

/* ---- the driver ---- */

static void io_done(struct cowp_engine *eng, struct cowp_io *io)
{
	struct cowp_recovery *r = eng->recovery;

	if (cowp_io_late(io))
		return;
	/* A log that is read for its numbers only may have holes. */
	if (io->error && !(eng->state.now.lost && r->step == COWP_R_REPLAY)) {
		fail_io(eng, io->error);
		return;
	}
	switch (r->step) {
	case COWP_R_FORMAT:
		format_read(eng);
		break;
	case COWP_R_BODY:
		body_read(eng);
		break;
	case COWP_R_REPLAY:
		cowp_replay_read(eng, io->error);
		break;
	default:
		break;
	}
}

static bool io_out(struct cowp_recovery *r)
{
	u32 i;

	for (i = 0; i < FIXED_COUNT; i++)
		if (r->fixed[i]->in_flight)
			return true;
	return r->io->in_flight;
}

static void begin(struct cowp_engine *eng, bool verifying)
{
	struct cowp_recovery *r = eng->recovery;

	r->verifying = verifying;
	r->step = COWP_R_WANTED;
	eng->status.detail = NULL;	/* of an earlier attempt */
	eng->again = true;
}

/* Read the area from the start. */
void cowp_recovery_start(struct cowp_engine *eng)
{
	begin(eng, false);
}

/*
 * clear: is it still our area, and does it take a checkpoint?  The data of the
 * log was durable before; the checkpoint proves that writes and flushes are
 * well again.
 */
void cowp_recovery_verify(struct cowp_engine *eng)
{
	begin(eng, true);
}

bool cowp_recovery_idle(struct cowp_engine *eng)
{
	return eng->recovery->step == COWP_R_IDLE;
}

void cowp_recovery_run(struct cowp_engine *eng)
{
	struct cowp_recovery *r = eng->recovery;

	/* What the state blocks say counts when no write of them is under way. */
	if (r->step != COWP_R_WANTED || cowp_state_busy(eng))
		return;
	if (!port_sectors(eng->port, COWP_DIFF)) {
		fail(eng, r->verifying ? COWP_FAULT_DIFF_AREA_REMOVED :
					 COWP_FAULT_DIFF_AREA_MISSING, -ENODEV);
		return;
	}
	/* What an earlier attempt left hanging uses the same buffers. */
	if (io_out(r))
		fail(eng, COWP_FAULT_TIMEOUT, -ETIMEDOUT);
	else
		read_fixed(eng);
}

int cowp_recovery_init(struct cowp_engine *eng)
{
	struct cowp_recovery *r = cowp_alloc(eng, sizeof(*r));
	u32 blocks = max(eng->cfg.chunk_blocks, COWP_RECOVERY_BLOCKS);
	u32 i;

	eng->recovery = r;
	if (!r)
		return -ENOMEM;
	for (i = 0; i < FIXED_COUNT; i++) {
		r->fixed[i] = cowp_alloc_io(eng, 1, fixed_read);
		if (!r->fixed[i])
			return -ENOMEM;
		r->fixed[i]->blocks[0] = cowp_alloc_block(eng);
		if (!fixed(r, i))
			return -ENOMEM;
	}
	r->io = cowp_alloc_io(eng, blocks, io_done);
	r->csum = cowp_alloc(eng, blocks * sizeof(*r->csum));
	r->buffer = cowp_alloc(eng, blocks * sizeof(*r->buffer));
	if (!r->io || !r->csum || !r->buffer)
		return -ENOMEM;
	for (i = 0; i < blocks; i++) {
		r->buffer[i] = cowp_alloc_block(eng);
		if (!r->buffer[i])
			return -ENOMEM;
	}
	for (i = 0; i < COWP_RING_BLOCKS; i++) {
		r->ring[i] = cowp_alloc_block(eng);
		if (!r->ring[i])
			return -ENOMEM;
	}
	return 0;
}

void cowp_recovery_exit(struct cowp_engine *eng)
{
	struct cowp_recovery *r = eng->recovery;
	u32 blocks = max(eng->cfg.chunk_blocks, COWP_RECOVERY_BLOCKS);
	u32 i;

	if (!r)
		return;
	for (i = 0; i < FIXED_COUNT; i++) {
		if (r->fixed[i])
			port_block_free(fixed(r, i));
		port_io_free(r->fixed[i]);
	}
	for (i = 0; r->buffer && i < blocks; i++)
		port_block_free(r->buffer[i]);
	for (i = 0; i < COWP_RING_BLOCKS; i++)
		port_block_free(r->ring[i]);
	port_io_free(r->io);
	port_free(r->csum);
	port_free(r->buffer);
	port_free(r->batches);
	port_free(r);
}
