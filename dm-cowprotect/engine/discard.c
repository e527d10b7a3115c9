// SPDX-License-Identifier: GPL-2.0-only
/*
 * Freed segments are discarded on the diff device, if the table line asks for it.
 *
 * A segment comes here where it would become free: a durable manifest does not
 * have it, and no reader can hold it.  It is free when its discard has ended, so
 * that no write to it can meet the discard.  How that ended does not matter: a
 * discard is a favour to the device, and changes nothing that anybody reads.
 *
 * Nothing waits for one but a clean end, behind which the segment may be another
 * activation's.  Where room runs short, and where the volume is not at work, what
 * waits here becomes free as it is.
 */
#include "internal.h"

/* One discard of a large segment: so much at a time. */
#define PIECE_BLOCKS	65536U

static bool may_discard(struct cowp_engine *eng)
{
	if (!eng->cfg.discard_freed || eng->closed || eng->cp.want_clean || eng->cp.clean)
		return false;
	if (eng->phase != COWP_PHASE_ACTIVE && eng->phase != COWP_PHASE_NONE)
		return false;
	return port_caps(eng->port, COWP_DIFF) & COWP_CAP_DISCARD &&
	       !cowp_segments_short(eng);
}

static void set_free(struct cowp_engine *eng, u32 segment)
{
	struct cowp_segments *s = &eng->segs;

	s->table[segment].kind = COWP_SEGMENT_FREE;
	s->discards--;
	s->free++;
}

static void submit(struct cowp_engine *eng, struct cowp_discard *d)
{
	struct cowp_io *io = d->io;
	u32 blocks = min(eng->geo.segment_blocks - d->done, PIECE_BLOCKS);

	io->sector = (cowp_segment_block(&eng->geo, d->segment) + d->done) * COWP_BLOCK_SECTORS;
	io->bytes = blocks * COWP_BLOCK_SIZE;
	d->done += blocks;
	d->busy = true;
	cowp_submit(eng, io);
}

static void discarded(struct cowp_engine *eng, struct cowp_io *io)
{
	struct cowp_segments *s = &eng->segs;
	struct cowp_discard *d = io->private;

	d->busy = io->in_flight;
	if (cowp_io_late(io) || d->segment == COWP_NO_SEGMENT)
		return;		/* it stays where nobody writes */
	if (io->in_flight) {
		s->table[d->segment].hung = true;
		s->discards--;
	} else if (!io->error && d->done < eng->geo.segment_blocks && may_discard(eng)) {
		submit(eng, d);
	} else {
		set_free(eng, d->segment);
		eng->again = true;
	}
}

/* The next one that waits; there is one. */
static u32 next_waiting(struct cowp_segments *s)
{
	do {
		if (++s->next_discard >= s->count)
			s->next_discard = 0;
	} while (s->table[s->next_discard].kind != COWP_SEGMENT_DISCARD);
	s->discards_waiting--;
	return s->next_discard;
}

/* cowp_discard_add - a segment is free, or will be when it is discarded */
void cowp_discard_add(struct cowp_engine *eng, u32 segment)
{
	struct cowp_segments *s = &eng->segs;

	s->discards++;
	if (!may_discard(eng)) {
		set_free(eng, segment);
		return;
	}
	s->table[segment].kind = COWP_SEGMENT_DISCARD;
	s->discards_waiting++;
	eng->again = true;
}

void cowp_discard_run(struct cowp_engine *eng)
{
	struct cowp_segments *s = &eng->segs;
	u32 i;

	if (!s->discards_waiting)
		return;
	while (s->discards_waiting && !may_discard(eng))
		set_free(eng, next_waiting(s));
	for (i = 0; i < COWP_DISCARDS && s->discards_waiting; i++) {
		struct cowp_discard *d = &eng->discard[i];

		if (d->busy)
			continue;
		d->segment = next_waiting(s);
		d->done = 0;
		s->table[d->segment].kind = COWP_SEGMENT_DISCARDING;
		submit(eng, d);
	}
}

/* The table is read anew: what is on its way may meet other segments there. */
void cowp_discard_forget(struct cowp_engine *eng)
{
	struct cowp_segments *s = &eng->segs;
	u32 i;

	s->discards = 0;
	s->discards_waiting = 0;
	for (i = 0; i < COWP_DISCARDS; i++) {
		struct cowp_discard *d = &eng->discard[i];

		if (d->busy && d->segment < s->count)
			s->table[d->segment].hung = true;
		d->segment = COWP_NO_SEGMENT;
	}
}

/* None is on its way, but for those that were given up. */
bool cowp_discard_idle(const struct cowp_engine *eng)
{
	return !eng->segs.discards;
}

int cowp_discard_init(struct cowp_engine *eng)
{
	u32 i;

	for (i = 0; i < COWP_DISCARDS; i++) {
		struct cowp_io *io = cowp_alloc_io(eng, 0, discarded);

		eng->discard[i].io = io;
		if (!io)
			return -ENOMEM;
		io->op = COWP_DISCARD;
		io->dev = COWP_DIFF;
		io->private = &eng->discard[i];
	}
	return 0;
}

void cowp_discard_exit(struct cowp_engine *eng)
{
	u32 i;

	for (i = 0; i < COWP_DISCARDS; i++)
		port_io_free(eng->discard[i].io);
}
