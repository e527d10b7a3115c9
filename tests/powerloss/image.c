// SPDX-License-Identifier: GPL-2.0-only
/*
 * What a power cut at an event leaves: everything that was durable then, and a
 * random part of what had been submitted.
 *
 * Durable are a FUA write that had completed, and a write that had completed
 * before the submission of a flush that had completed too.  Of the others each is
 * there, or not, or torn at sectors.  They are put down in the order of their
 * completion: the load and the module have no two writes to one place under way at once.
 */
#include <stdlib.h>
#include <string.h>

#include "history.h"
#include "stamp.h"

uint64_t rng_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15ULL;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ULL;
	z = (z ^ z >> 27) * 0x94d049bb133111ebULL;
	return z ^ z >> 31;
}

uint64_t rng_below(uint64_t *state, uint64_t limit)
{
	return rng_next(state) % limit;
}

/* Writes that had completed before this event are durable at @at. */
static uint64_t flushed_before(const struct history *h, uint64_t at)
{
	uint64_t before = 0;
	size_t i;

	for (i = 0; i < h->op_count; i++) {
		const struct op *op = &h->ops[i];

		if (!op->count && op->completed <= at && op->queued > before)
			before = op->queued;
	}
	return before;
}

#define SOON	64U	/* events */

/*
 * Any moment will do.  Half of them are soon after a snapshot was acknowledged:
 * what it relies on and is not durable then becomes so by later flushes.
 */
static uint64_t random_moment(const struct history *h, uint64_t *rng)
{
	uint64_t at = h->ready + rng_below(rng, h->end - h->ready);
	const struct note *created = NULL;
	unsigned int seen = 0;
	size_t i;

	if (rng_below(rng, 2))
		return at;
	for (i = 0; i < h->note_count; i++)
		if (!strncmp(h->notes[i].text, "created ", 8) && !rng_below(rng, ++seen))
			created = &h->notes[i];
	if (created && created->at + SOON < h->end)
		at = created->at + rng_below(rng, SOON);
	return at;
}

static void put(char *image, const struct op *op)
{
	memcpy(image + op->sector * SECTOR, op->data, op->count * SECTOR);
}

static void put_torn(char *image, const struct op *op, uint64_t *rng)
{
	uint64_t i;

	for (i = 0; i < op->count; i++)
		if (rng_below(rng, 2))
			memcpy(image + (op->sector + i) * SECTOR, op->data + i * SECTOR, SECTOR);
}

void image_build(const struct history *h, uint64_t seed, char *image, size_t bytes,
		 struct cut *cut)
{
	/* Of 16 pending writes so many are kept */
	static const unsigned int kept_of_16[] = { 0, 2, 8, 8, 14, 16 };
	uint64_t rng = rng_next(&seed), flushed;
	unsigned int keep;
	size_t i;

	memset(cut, 0, sizeof(*cut));
	memset(image, 0, bytes);
	cut->at = random_moment(h, &rng);
	keep = kept_of_16[rng_below(&rng, sizeof(kept_of_16) / sizeof(kept_of_16[0]))];
	flushed = flushed_before(h, cut->at);

	for (i = 0; i < h->op_count; i++) {
		const struct op *op = &h->ops[i];

		if (!op->count || op->queued > cut->at)
			continue;
		if ((op->sector + op->count) * SECTOR > bytes)
			die("a write behind the device's end");
		if (op->completed < flushed || (op->fua && op->completed <= cut->at)) {
			put(image, op);
			cut->settled++;
			continue;
		}
		cut->pending++;
		if (rng_below(&rng, 16) >= keep)
			continue;
		cut->kept++;
		if (rng_below(&rng, 4)) {
			put(image, op);
			continue;
		}
		cut->torn++;
		put_torn(image, op, &rng);
	}
}
