// SPDX-License-Identifier: GPL-2.0-only
/*
 * Checkpoints: manifests on the disk.
 *
 *	look -> [run ->] body -> flush -> look -> root, durable -> generation in the
 *	state blocks
 *
 * Only then does anything that the manifest says take effect: its open list,
 * what it frees, what relies on it.  A crash before the root is durable finds
 * the old manifest, whose slot and segments are untouched; one between the root
 * and the state blocks finds either, and both are true.  The body needs no
 * flush of its own behind the run: it is believed only through its root.
 */
#include "internal.h"

void cowp_checkpoint_want(struct cowp_engine *eng, bool full)
{
	struct cowp_checkpoint *cp = &eng->cp;

	if (cp->wanted && (cp->want_full || !full))
		return;
	cp->wanted = true;
	cp->want_full |= full;
	eng->again = true;
}

/* None is under way or to be started. */
bool cowp_checkpoint_idle(struct cowp_engine *eng)
{
	return eng->cp.step == COWP_CP_IDLE && !eng->cp.wanted;
}

/* ---- composing the body ---- */

struct composer {
	struct cowp_engine *eng;
	u32 blocks;
	enum cowp_section section;
	u32 left;		/* records the current block has room for */
	u8 *at;
	u32 crc;
};

static void end_block(struct composer *c)
{
	struct cowp_checkpoint *cp = &c->eng->cp;
	struct cowp_body_block *b;
	u64 nr;

	if (!c->blocks)
		return;
	b = cp->body[c->blocks - 1];
	nr = cp->super.body_block[!cp->slot] + c->blocks - 1;
	cowp_seal(b, COWP_MAGIC_BODY, cp->super.uuid, nr, cp->super.session, 0);
	c->crc = port_crc32c(c->crc, &b->header.crc, sizeof(b->header.crc));
}

/* Room for one more record, in a new block where the section or the room ends. */
static void *next_record(struct composer *c, enum cowp_section section)
{
	struct cowp_checkpoint *cp = &c->eng->cp;
	struct cowp_body_block *b;
	void *record;

	if (!c->blocks || c->section != section || !c->left) {
		end_block(c);
		b = cp->body[c->blocks];
		memset(b, 0, COWP_BLOCK_SIZE);
		b->generation = cpu_to_le64(cp->super.generation);
		b->index = cpu_to_le32(c->blocks);
		b->section = cpu_to_le16(section);
		c->blocks++;
		c->section = section;
		c->left = cowp_section_records(section);
		c->at = b->data;
	}
	b = cp->body[c->blocks - 1];
	le16_add_cpu(&b->count, 1);
	record = c->at;
	c->at += cowp_section_bytes(section);
	c->left--;
	return record;
}

static void compose_snapshots(struct composer *c)
{
	struct cowp_engine *eng = c->eng;
	u32 i;

	for (i = 0; i < eng->snapshot_count; i++) {
		struct cowp_snapshot *s = &eng->snapshots[i];
		struct cowp_snapshot_rec *r;

		s->leaving = s->deleting || eng->cp.empty;
		if (s->leaving)
			continue;
		r = next_record(c, COWP_SECTION_SNAPSHOTS);
		r->id = cpu_to_le32(s->id);
		r->created = cpu_to_le64(s->created);
		r->live_sectors = cpu_to_le64(s->live_sectors);
		memcpy(r->label, s->label, sizeof(r->label));
	}
}

static void compose_fragment(struct composer *c, const struct cowp_fragment *f, u64 from)
{
	struct cowp_fragment_rec *r;

	if (f->dropping || f->last_key < from)
		return;
	r = next_record(c, COWP_SECTION_FRAGMENTS);
	r->first_key = cpu_to_le64(max(f->first_key, from));
	r->last_key = cpu_to_le64(f->last_key);
	r->block = cpu_to_le64(f->block);
	r->blocks = cpu_to_le32(f->blocks);
	r->leaves = cpu_to_le32(f->leaves);
	r->records = cpu_to_le32(f->records);
	r->incarnation = cpu_to_le32(f->incarnation);
	r->min_epoch = cpu_to_le32(f->min_epoch);
	r->max_epoch = cpu_to_le32(f->max_epoch);
	r->run = cpu_to_le32(f->run);
}

static void compose_fragments(struct composer *c)
{
	struct cowp_index *x = &c->eng->index;
	struct cowp_merge *m = &x->merge;
	u32 i;

	m->composed = m->state == COWP_MERGE_DONE;
	for (i = 0; i < x->fragment_count; i++) {
		const struct cowp_fragment *f = &x->fragments[i];

		compose_fragment(c, f, m->composed && cowp_merge_has(m, f->run) ? m->next_key : 0);
	}
	if (m->composed && m->have_frag)
		compose_fragment(c, &m->out.frag, 0);
	for (i = 0; x->frozen && i < x->flush.frags; i++)
		compose_fragment(c, &x->flush.frag[i], 0);
}

/* Without a snapshot nobody needs the index, for good: ids only grow. */
static void drop_index(struct cowp_engine *eng)
{
	struct cowp_index *x = &eng->index;
	u32 i;

	for (i = 0; i < x->fragment_count; i++)
		x->fragments[i].dropping = true;
	for (i = 0; x->frozen && i < x->flush.frags; i++)
		x->flush.frag[i].dropping = true;
	x->flush.oldest = COWP_MAX_EPOCH + 1;
	x->dropping = true;
	cowp_merge_forget(eng);
	cowp_segments_forget(eng);
}

static void compose_open_list(struct composer *c)
{
	struct cowp_listed *l;

	list_for_each_entry(l, &c->eng->segs.listed, node) {
		struct cowp_open_rec *r;

		if (l->leaving)
			continue;
		r = next_record(c, COWP_SECTION_OPEN_LIST);
		r->segment = cpu_to_le32(l->segment);
		r->incarnation = cpu_to_le32(l->incarnation);
	}
}

static u8 disk_kind(const struct cowp_segment *seg)
{
	if (seg->freeing || seg->kind >= COWP_SEGMENT_KINDS)
		return COWP_SEGMENT_FREE;
	return seg->kind;
}

static void compose_segments(struct composer *c)
{
	struct cowp_segments *s = &c->eng->segs;
	struct cowp_listed *l;
	u32 i;

	/* Those that leave the list are ordinary log segments in this manifest. */
	list_for_each_entry(l, &s->listed, node) {
		s->table[l->segment].max_epoch = l->max_epoch;
		if (l->leaving)
			s->table[l->segment].kind = COWP_SEGMENT_LOG;
	}
	for (i = 0; i < s->count; i++) {
		struct cowp_segment_rec *r = next_record(c, COWP_SECTION_SEGMENTS);
		const struct cowp_segment *seg = &s->table[i];

		r->kind = disk_kind(seg);
		if (r->kind == COWP_SEGMENT_FREE)
			continue;
		r->incarnation = cpu_to_le32(seg->incarnation);
		r->max_epoch = cpu_to_le32(seg->max_epoch);
		r->live = cpu_to_le32(seg->live);
	}
	list_for_each_entry(l, &s->listed, node)
		s->table[l->segment].kind = COWP_SEGMENT_LISTED;
}

static void compose(struct cowp_engine *eng)
{
	struct cowp_checkpoint *cp = &eng->cp;
	struct composer c = { .eng = eng, .crc = ~0U };
	u32 oldest = cp->empty ? COWP_MAX_EPOCH + 1 : cowp_snapshot_oldest(eng);

	cp->super = eng->super;
	cp->super.generation = ++cp->generation;
	cp->super.flags = cp->clean ? COWP_ROOT_CLEAN : 0;
	/* The area may have grown since. */
	cp->super.segments = eng->geo.segments;
	cp->super.area_blocks = cp->super.first_segment +
				(u64)cp->super.segments * cp->super.segment_blocks;
	cp->super.epoch = eng->epoch;
	cp->super.live_sectors = eng->live_sectors;
	cp->super.session = eng->session;
	if (eng->index.frozen)
		cp->super.replay_batch = eng->index.frozen_batch;
	cp->super.last_batch = eng->log.last;
	if (cp->empty) {
		eng->log.released = eng->log.last;
		cp->super.replay_batch = eng->log.last;
	}

	compose_snapshots(&c);
	if (oldest > COWP_MAX_EPOCH)
		drop_index(eng);
	compose_fragments(&c);
	cowp_segments_plan(eng, oldest, cp->super.replay_batch);
	cp->super.incarnation = eng->incarnation;
	compose_open_list(&c);
	compose_segments(&c);
	end_block(&c);
	cp->super.body_blocks = c.blocks;
	cp->super.body_crc = c.crc;
}

/* ---- the steps ---- */

static void reply_all(struct cowp_engine *eng, struct list_head *list, int error)
{
	struct cowp_msg *m, *next;

	list_for_each_entry_safe(m, next, list, node) {
		list_del_init(&m->node);
		if (m->op == COWP_MSG_CLOSE && !error)
			eng->closed = true;
		port_msg_done(eng->port, m, error);
	}
}

/* No checkpoint will be written for those that wait for one. */
void cowp_checkpoint_refuse(struct cowp_engine *eng, int error)
{
	LIST_HEAD(waiting);

	list_splice_init(&eng->cp.waiting, &waiting);
	reply_all(eng, &waiting, error);
}

static void failed_as(struct cowp_engine *eng, enum cowp_fault fault, int error)
{
	struct cowp_checkpoint *cp = &eng->cp;
	LIST_HEAD(serving);

	cp->step = COWP_CP_IDLE;
	port_trace_checkpoint(eng->port, cp->generation, error);
	cowp_segments_commit(eng, false);
	/* What batches have only in the device's cache cannot be relied on either. */
	cowp_log_abort(eng);
	list_splice_init(&cp->serving, &serving);
	list_splice_tail_init(&cp->waiting, &serving);
	/* Nor does a creation wait for one that may never come. */
	if (eng->create.step == COWP_CREATE_RECORD && !eng->create.error)
		eng->create.error = error;
	/*
	 * A retry comes with the next message or clear, not by itself; but a
	 * reset that came meanwhile waits for one of its own.
	 */
	cp->wanted = cp->want_empty;
	cp->want_full |= cp->full || eng->index.frozen || eng->log.gap;
	if (cp->empty) {
		cp->empty = false;
		cowp_event(eng, COWP_EVENT_EMPTY_FAILED, error);
	} else {
		cowp_fault(eng, fault, error);
	}
	cp->clean = false;
	reply_all(eng, &serving, error);
}

static void failed(struct cowp_engine *eng, int error)
{
	failed_as(eng, cowp_fault_of(error, COWP_FAULT_IO_FAILURE), error);
}

static void committed(struct cowp_engine *eng)
{
	struct cowp_checkpoint *cp = &eng->cp;
	bool empty = cp->empty;
	LIST_HEAD(serving);

	cp->step = COWP_CP_IDLE;
	eng->super = cp->super;
	if (eng->log.gap && eng->super.replay_batch == eng->log.last)
		eng->log.gap = false;
	port_trace_checkpoint(eng->port, cp->super.generation, 0);
	cowp_index_publish(eng);
	cowp_segments_commit(eng, true);
	cp->empty = false;
	cp->clean = false;
	if (cp->again) {
		cowp_checkpoint_want(eng, true);
		list_splice_init(&cp->serving, &cp->waiting);
		return;
	}
	list_splice_init(&cp->serving, &serving);
	cowp_snapshots_committed(eng);
	if (empty) {
		eng->status.mode = eng->state.now.mode;
		eng->status.marked = false;
		cowp_event(eng, COWP_EVENT_EMPTIED, 0);
	}
	cowp_checkpointed(eng);
	reply_all(eng, &serving, 0);
}

static void state_written(struct cowp_engine *eng, int error)
{
	if (error)
		failed(eng, error);
	else
		committed(eng);
}

static void root_written(struct cowp_engine *eng, int error)
{
	struct cowp_checkpoint *cp = &eng->cp;

	if (error) {
		failed(eng, error);
		return;
	}
	/*
	 * From the first write of the state blocks on, the disk may say that no
	 * older manifest is to be believed: should they fail, the next manifest
	 * goes to the other slot.  A root that failed is written over instead.
	 */
	cp->slot = !cp->slot;
	cp->step = COWP_CP_STATE;
	cp->state.fields = COWP_SET_GENERATION;
	cp->state.generation = cp->super.generation;
	if (cp->empty) {
		/* reset: the mark goes only when the empty manifest is there. */
		cp->state.fields |= COWP_SET_LOST | COWP_SET_MODE;
		cp->state.lost = 0;
		cp->state.mode = COWP_MODE_NORMAL;
	}
	cp->state.then = state_written;
	cowp_state_request(eng, &cp->state);
}

static void write_root(struct cowp_engine *eng)
{
	struct cowp_checkpoint *cp = &eng->cp;

	cp->step = COWP_CP_ROOT;
	cowp_root_encode(cp->root.io->blocks[0], !cp->slot, &cp->super);
	cowp_put(eng, &cp->root, COWP_ROOT_BLOCK(!cp->slot), root_written);
}

/*
 * Is the area still ours alone?  Another activation, on this host or another, has
 * raised the session when it started.  Its runs may be in what is free for this one,
 * and its newest body where this one's next goes, so this comes before either is
 * written; and again before the root goes over an older one, as one root of each
 * would leave nothing that can be believed.
 */
static void look_at_copy(struct cowp_engine *eng, u32 copy)
{
	struct cowp_checkpoint *cp = &eng->cp;

	cp->look_copy = copy;
	cp->look->sector = COWP_STATE_BLOCK(copy) * COWP_BLOCK_SECTORS;
	cowp_submit(eng, cp->look);
}

static void look_at_state(struct cowp_engine *eng, void (*then)(struct cowp_engine *eng))
{
	struct cowp_checkpoint *cp = &eng->cp;

	cp->step = COWP_CP_LOOK;
	cp->look_then = then;
	look_at_copy(eng, 0);
}

static void looked(struct cowp_engine *eng, struct cowp_io *io)
{
	struct cowp_checkpoint *cp = &eng->cp;
	struct cowp_area_state is;

	if (cowp_io_late(io))
		return;
	if (io->error || cowp_state_decode(&is, io->blocks[0], cp->look_copy, NULL)) {
		/* One of them may be unreadable, or being written by ourselves. */
		if (!io->in_flight && cp->look_copy + 1 < COWP_SLOTS)
			look_at_copy(eng, cp->look_copy + 1);
		else if (io->error)
			failed(eng, io->error);
		else
			failed_as(eng, COWP_FAULT_METADATA_CORRUPTION, -EBADMSG);
		return;
	}
	if (memcmp(is.uuid, eng->super.uuid, sizeof(is.uuid)) || is.session != eng->session)
		failed_as(eng, COWP_FAULT_EXTERNAL_WRITER, -EBUSY);
	else
		cp->look_then(eng);
}

/* Run and body are durable. */
static void end_body(struct cowp_engine *eng)
{
	eng->index.flush.durable = true;
	look_at_state(eng, write_root);
}

static void flushed(struct cowp_engine *eng, struct cowp_io *io)
{
	if (cowp_io_late(io))
		return;
	if (io->error)
		failed(eng, io->error);
	else
		end_body(eng);
}

static void write_body(struct cowp_engine *eng)
{
	struct cowp_checkpoint *cp = &eng->cp;
	struct cowp_io *io = cp->io;
	u32 i;

	io->op = COWP_WRITE;
	io->dev = COWP_DIFF;
	io->fua = false;
	io->sector = (cp->super.body_block[!cp->slot] + cp->body_written) * COWP_BLOCK_SECTORS;
	io->nr_blocks = min(cp->super.body_blocks - cp->body_written, COWP_BODY_WINDOW);
	io->bytes = io->nr_blocks * COWP_BLOCK_SIZE;
	for (i = 0; i < io->nr_blocks; i++)
		io->blocks[i] = cp->body[cp->body_written + i];
	cp->body_written += io->nr_blocks;
	cowp_submit(eng, io);
}

static void body_written(struct cowp_engine *eng, struct cowp_io *io)
{
	struct cowp_checkpoint *cp = &eng->cp;

	if (cowp_io_late(io))
		return;
	if (io->error) {
		failed(eng, io->error);
	} else if (cp->body_written < cp->super.body_blocks) {
		write_body(eng);
	} else if (port_caps(eng->port, COWP_DIFF) & COWP_CAP_CACHE) {
		cp->step = COWP_CP_FLUSH;
		cowp_submit(eng, cp->flush);
	} else {
		end_body(eng);
	}
}

static void start_body(struct cowp_engine *eng)
{
	struct cowp_checkpoint *cp = &eng->cp;

	cp->step = COWP_CP_BODY;
	compose(eng);
	cp->body_written = 0;
	write_body(eng);
}

/* A write to a fixed place whose end was not seen: nothing may be written there. */
static bool places_busy(struct cowp_checkpoint *cp)
{
	return cp->io->in_flight || cp->flush->in_flight || cp->look->in_flight || cp->root.busy;
}

/* Nothing is written but what this checkpoint was asked for when it started. */
static void begin(struct cowp_engine *eng)
{
	struct cowp_checkpoint *cp = &eng->cp;

	if (cp->empty) {
		cowp_index_clear(eng);
		cp->full = false;
	}
	/* One that failed left a frozen memtable behind: that one first. */
	cp->again = cp->full && eng->index.frozen;
	if (cp->again && cp->clean) {
		cp->clean = false;
		cp->want_clean = true;
	}
	if (cp->full)
		cowp_index_freeze(eng);
	if (eng->index.frozen) {
		cp->step = COWP_CP_RUN;
		cowp_flush_start(eng);
	} else {
		start_body(eng);
	}
}

static void start(struct cowp_engine *eng)
{
	struct cowp_checkpoint *cp = &eng->cp;

	cp->wanted = false;
	cp->full = cp->want_full || cp->want_clean;
	cp->clean = cp->want_clean;
	cp->empty = cp->want_empty;
	cp->want_full = false;
	cp->want_clean = false;
	cp->want_empty = false;
	list_splice_tail_init(&cp->waiting, &cp->serving);
	if (places_busy(cp))
		failed(eng, -EBUSY);
	else
		look_at_state(eng, begin);
}

/*
 * cowp_checkpoint_run - start a checkpoint that is wanted, and go on with one
 *			 that writes a run
 */
void cowp_checkpoint_run(struct cowp_engine *eng)
{
	struct cowp_checkpoint *cp = &eng->cp;

	if (cp->step == COWP_CP_IDLE && cp->wanted && cowp_may_checkpoint(eng))
		start(eng);
	if (cp->step == COWP_CP_RUN && cowp_flush_run(eng)) {
		if (eng->index.flush.error)
			failed(eng, eng->index.flush.error);
		else
			start_body(eng);
	}
}

int cowp_manifest_init(struct cowp_engine *eng)
{
	struct cowp_checkpoint *cp = &eng->cp;

	INIT_LIST_HEAD(&cp->waiting);
	INIT_LIST_HEAD(&cp->serving);
	cp->io = cowp_alloc_io(eng, COWP_BODY_WINDOW, body_written);
	cp->flush = cowp_alloc_io(eng, 0, flushed);
	cp->look = cowp_alloc_io(eng, 1, looked);
	if (!cp->io || !cp->flush || !cp->look)
		return -ENOMEM;
	cp->look->op = COWP_READ;
	cp->look->dev = COWP_DIFF;
	cp->look->nr_blocks = 1;
	cp->look->bytes = COWP_BLOCK_SIZE;
	cp->look->blocks[0] = cowp_alloc_block(eng);
	if (!cp->look->blocks[0])
		return -ENOMEM;
	cp->flush->op = COWP_FLUSH;
	cp->flush->dev = COWP_DIFF;
	return cowp_put_init(eng, &cp->root);
}

void cowp_manifest_exit(struct cowp_engine *eng)
{
	struct cowp_checkpoint *cp = &eng->cp;
	u32 i;

	for (i = 0; i < cp->body_capacity; i++)
		port_block_free(cp->body[i]);
	port_free(cp->body);
	port_io_free(cp->io);
	port_io_free(cp->flush);
	if (cp->look)
		port_block_free(cp->look->blocks[0]);
	port_io_free(cp->look);
	cowp_put_exit(&cp->root);
}
