// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moves old chunks out of nearly empty segments, so that those become free.
 *
 * A merge that meets a record of a chunk in a segment to be emptied moves the
 * chunk and writes the record with its new place.  The manifest that publishes
 * the merge exchanges one for the other, at once and for good; before it nobody
 * knows of the copy, behind it nobody of the source.
 *
 * Moved chunks have segments of their own, laid out as log segments are, whose
 * summaries name each source; no recovery reads them.  The checksum is the
 * source's, compared when the chunk was read, and never made anew: what does
 * not match stays where it is, and pins its segment.
 */
#include "internal.h"

static void move_ended(struct cowp_engine *eng, struct cowp_io *io)
{
	struct cowp_mover *mv = io->private;

	if (!io->in_flight)
		mv->outstanding--;
	else
		mv->hung = true;
	if (io->in_flight && io->op == COWP_WRITE)
		eng->segs.table[mv->segment].hung = true;
	/* What cannot be read is found by verify_chunks(). */
	if (io->error && (io->op == COWP_WRITE || io->in_flight) && !cowp_io_late(io))
		mv->error = io->error;
}

static void submit(struct cowp_engine *eng, struct cowp_mover *mv, struct cowp_io *io, u64 block)
{
	io->dev = COWP_DIFF;
	io->fua = io->op == COWP_WRITE && mv->fua;
	io->sector = block * COWP_BLOCK_SECTORS;
	io->bytes = io->nr_blocks * COWP_BLOCK_SIZE;
	mv->outstanding++;
	cowp_submit(eng, io);
}

/* ---- taking in ---- */

/* How many chunks the open segment still takes. */
u32 cowp_mover_slots(const struct cowp_engine *eng, const struct cowp_mover *mv)
{
	if (mv->segment == COWP_NO_SEGMENT || mv->home == eng->geo.homes)
		return 0;
	return eng->geo.slots - mv->slot;
}

static bool open_segment(struct cowp_engine *eng, struct cowp_mover *mv)
{
	if (cowp_mover_slots(eng, mv))
		return true;
	if (eng->segs.free + eng->segs.ready <= eng->segs.reserve_merge)
		return false;
	mv->segment = cowp_segment_take(eng, COWP_SEGMENT_MOVED);
	if (mv->segment == COWP_NO_SEGMENT)
		return false;
	mv->slot = 0;
	mv->home = 0;
	mv->entries = 0;
	return true;
}

static bool window_full(struct cowp_engine *eng, const struct cowp_mover *mv)
{
	return mv->count == mv->max || mv->entries == eng->geo.entries ||
	       (mv->count && mv->slot == eng->geo.slots);
}

static void add_entry(struct cowp_engine *eng, struct cowp_mover *mv, const struct cowp_move *move)
{
	struct cowp_summary *s = mv->summary_io->blocks[0];
	struct cowp_entry *e = (void *)(s->entries + mv->entries * eng->geo.entry_bytes);

	if (!mv->entries)
		memset(s, 0, COWP_BLOCK_SIZE);
	e->key = cpu_to_le64(move->from.key);
	e->crc = cpu_to_le32(move->from.crc);
	e->slot = cpu_to_le32(move->slot);
	e->source_slot = cpu_to_le32(cowp_place_of(move->from.location).slot);
	e->source_incarnation = cpu_to_le32(move->from.incarnation);
	e->type = COWP_ENTRY_MOVED;
	e->parts = 1;
	mv->entries++;
}

/* Is the record's chunk in a segment that is being emptied? */
bool cowp_mover_wants(struct cowp_engine *eng, const struct cowp_rec *rec)
{
	struct cowp_place p = cowp_place_of(rec->location);
	const struct cowp_segment *seg = &eng->segs.table[p.segment];

	/* A bad map names its own place: such a chunk stays. */
	return seg->emptying && !seg->pinned && seg->incarnation == rec->incarnation &&
	       !(p.flags & COWP_RECORD_BAD);
}

/*
 * cowp_mover_take - move a chunk
 * @rec:	its record; in: as it was found, out: as it will be
 *
 * Returns false when that has to wait (cowp_mover_run()).  Where there is no
 * room the record stays as it is.
 */
bool cowp_mover_take(struct cowp_engine *eng, struct cowp_mover *mv, struct cowp_rec *rec)
{
	struct cowp_place from = cowp_place_of(rec->location);
	struct cowp_place to;
	struct cowp_move *move;

	if (mv->state != COWP_MOVER_GATHER || window_full(eng, mv))
		return false;
	if (!open_segment(eng, mv))
		return true;
	move = &mv->move[mv->count++];
	move->from = *rec;
	move->slot = mv->slot++;
	to = (struct cowp_place) {
		.segment = mv->segment,
		.slot = move->slot,
		.pos = mv->home * eng->geo.entries + mv->entries,
	};
	add_entry(eng, mv, move);
	rec->location = cowp_location(&to);
	rec->incarnation = eng->segs.table[mv->segment].incarnation;
	eng->segs.table[from.segment].change--;
	eng->segs.table[to.segment].change++;
	eng->segs.table[to.segment].max_epoch = max(eng->segs.table[to.segment].max_epoch,
						    cowp_key_epoch(rec->key));
	return true;
}

/* ---- moving ---- */

static void read_chunks(struct cowp_engine *eng, struct cowp_mover *mv)
{
	u32 i;

	mv->state = COWP_MOVER_READ;
	for (i = 0; i < mv->count; i++) {
		struct cowp_place p = cowp_place_of(mv->move[i].from.location);
		struct cowp_io *io = mv->move[i].io;

		io->op = COWP_READ;
		io->nr_blocks = eng->geo.chunk_blocks;
		submit(eng, mv, io, cowp_slot_block(&eng->geo, p.segment, p.slot));
	}
}

static bool verify_chunks(struct cowp_engine *eng, struct cowp_mover *mv)
{
	u32 blocks = eng->geo.chunk_blocks;
	bool good = true;
	u32 i, j;

	for (i = 0; i < mv->count; i++) {
		struct cowp_move *move = &mv->move[i];
		struct cowp_summary *s = mv->summary_io->blocks[0];
		struct cowp_entry *e = (void *)(s->entries + (mv->entries - mv->count + i) *
						eng->geo.entry_bytes);
		__le32 *csum = (void *)(e + 1);

		if (move->io->error ||
		    cowp_chunk_crc(move->io->csum, blocks) != move->from.crc) {
			eng->segs.table[cowp_place_of(move->from.location).segment].pinned = true;
			cowp_reclaim_more(eng);
			good = false;
		}
		for (j = 0; blocks > 1 && j < blocks; j++)
			csum[j] = cpu_to_le32(move->io->csum[j]);
	}
	return good;
}

static void write_header(struct cowp_engine *eng, struct cowp_mover *mv)
{
	struct cowp_segment_header *h = mv->header_io->blocks[0];
	u64 block = cowp_segment_block(&eng->geo, mv->segment);

	memset(h, 0, COWP_BLOCK_SIZE);
	h->segment = cpu_to_le32(mv->segment);
	h->kind = COWP_SEGMENT_MOVED;
	cowp_seal(h, COWP_MAGIC_SEGMENT, eng->super.uuid, block, eng->session,
		  eng->segs.table[mv->segment].incarnation);
	submit(eng, mv, mv->header_io, block);
}

static void write_home(struct cowp_engine *eng, struct cowp_mover *mv)
{
	struct cowp_summary *s = mv->summary_io->blocks[0];
	u64 block = cowp_home_block(&eng->geo, mv->segment, mv->home);

	s->version = cpu_to_le64(++eng->log.version);
	s->segment = cpu_to_le32(mv->segment);
	s->epoch = cpu_to_le32(eng->epoch);
	s->home = cpu_to_le16(mv->home);
	s->count = cpu_to_le16(mv->entries);
	cowp_seal(s, COWP_MAGIC_SUMMARY, eng->super.uuid, block, eng->session,
		  eng->segs.table[mv->segment].incarnation);
	submit(eng, mv, mv->summary_io, block);
	mv->home++;
	mv->entries = 0;
}

static void write_chunks(struct cowp_engine *eng, struct cowp_mover *mv)
{
	u32 blocks = eng->geo.chunk_blocks;
	struct cowp_io *io = mv->data_io;
	u32 i, j;

	mv->state = COWP_MOVER_WRITE;
	io->nr_blocks = 0;
	for (i = 0; i < mv->count; i++)
		for (j = 0; j < blocks; j++)
			io->blocks[io->nr_blocks++] = mv->move[i].io->blocks[j];
	/* The first chunks of a segment bring its header. */
	if (!mv->move[0].slot)
		write_header(eng, mv);
	submit(eng, mv, io, cowp_slot_block(&eng->geo, mv->segment, mv->move[0].slot));
	mv->count = 0;
	if (mv->entries == eng->geo.entries || mv->slot == eng->geo.slots)
		write_home(eng, mv);
}

/*
 * cowp_mover_run - go on with what was taken in
 * @all:	to the end: no more comes
 *
 * Returns true when the mover can take in more, or with @all, when everything is
 * written; mv->error says whether it could be.
 */
bool cowp_mover_run(struct cowp_engine *eng, struct cowp_mover *mv, bool all)
{
	while (!mv->outstanding && !mv->error) {
		switch (mv->state) {
		case COWP_MOVER_READ:
			if (verify_chunks(eng, mv))
				write_chunks(eng, mv);
			else
				mv->error = -EBADMSG;
			break;
		case COWP_MOVER_WRITE:
			mv->state = COWP_MOVER_GATHER;
			break;
		default:
			if (mv->count && (all || window_full(eng, mv))) {
				read_chunks(eng, mv);
			} else if (all && mv->entries) {
				mv->state = COWP_MOVER_WRITE;
				write_home(eng, mv);
			} else {
				return true;
			}
		}
	}
	return false;
}

/* ---- steps ---- */

/* cowp_mover_mark - a step begins: what comes from here on may be taken back */
void cowp_mover_mark(struct cowp_mover *mv)
{
	mv->mark_segment = mv->segment;
	mv->mark_slot = mv->slot;
	mv->mark_home = mv->home;
}

/*
 * cowp_mover_rewind - forget what the step has moved; nothing of it is out but
 *		       writes that were given up
 */
void cowp_mover_rewind(struct cowp_engine *eng, struct cowp_mover *mv)
{
	mv->segment = mv->mark_segment;
	mv->slot = mv->mark_slot;
	mv->home = mv->mark_home;
	if (mv->segment != COWP_NO_SEGMENT && eng->segs.table[mv->segment].hung)
		mv->segment = COWP_NO_SEGMENT;
	mv->state = COWP_MOVER_GATHER;
	mv->hung = false;
	mv->entries = 0;
	mv->count = 0;
	mv->error = 0;
}

/* Is it the open segment, that of the mark, or did the step put chunks there? */
bool cowp_mover_holds(const struct cowp_engine *eng, u32 segment)
{
	const struct cowp_mover *mv = &eng->index.merge.mover;

	return segment == mv->segment || segment == mv->mark_segment ||
	       eng->segs.table[segment].change > 0;
}

int cowp_mover_init(struct cowp_engine *eng, struct cowp_mover *mv)
{
	u32 blocks = eng->cfg.chunk_blocks;
	u32 i, j;

	mv->segment = COWP_NO_SEGMENT;
	cowp_mover_mark(mv);
	mv->max = max(COWP_MOVE_BLOCKS / blocks, 1U);
	mv->move = cowp_alloc(eng, mv->max * sizeof(*mv->move));
	mv->data_io = cowp_alloc_io(eng, mv->max * blocks, move_ended);
	mv->summary_io = cowp_alloc_io(eng, 1, move_ended);
	mv->header_io = cowp_alloc_io(eng, 1, move_ended);
	if (!mv->move || !mv->data_io || !mv->summary_io || !mv->header_io)
		return -ENOMEM;
	mv->summary_io->blocks[0] = cowp_alloc_block(eng);
	mv->header_io->blocks[0] = cowp_alloc_block(eng);
	if (!mv->summary_io->blocks[0] || !mv->header_io->blocks[0])
		return -ENOMEM;
	mv->data_io->op = COWP_WRITE;
	mv->data_io->private = mv;
	mv->summary_io->op = COWP_WRITE;
	mv->summary_io->nr_blocks = 1;
	mv->summary_io->private = mv;
	mv->header_io->op = COWP_WRITE;
	mv->header_io->nr_blocks = 1;
	mv->header_io->private = mv;
	for (i = 0; i < mv->max; i++) {
		struct cowp_io *io = cowp_alloc_io(eng, blocks, move_ended);

		mv->move[i].io = io;
		if (!io)
			return -ENOMEM;
		io->private = mv;
		io->csum = cowp_alloc(eng, blocks * sizeof(*io->csum));
		if (!io->csum)
			return -ENOMEM;
		for (j = 0; j < blocks; j++) {
			io->blocks[j] = cowp_alloc_block(eng);
			if (!io->blocks[j])
				return -ENOMEM;
		}
	}
	return 0;
}

static void free_io(struct cowp_io *io, u32 blocks)
{
	u32 i;

	for (i = 0; io && i < blocks; i++)
		port_block_free(io->blocks[i]);
	port_io_free(io);
}

void cowp_mover_exit(struct cowp_engine *eng, struct cowp_mover *mv)
{
	u32 i;

	for (i = 0; mv->move && i < mv->max; i++) {
		if (mv->move[i].io)
			port_free(mv->move[i].io->csum);
		free_io(mv->move[i].io, eng->cfg.chunk_blocks);
	}
	port_free(mv->move);
	port_io_free(mv->data_io);
	free_io(mv->summary_io, 1);
	free_io(mv->header_io, 1);
}
