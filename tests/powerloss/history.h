/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What happened while the load ran, by the numbers of the trace's events.
 *
 *	history.c	the bios, from the trace, and their data, from the log
 *	image.c		what a power cut leaves on the device
 *	model.c		what must be found in it, from the load's notes
 *	replay.c	makes the one and looks for the other
 */
#ifndef POWERLOSS_HISTORY_H
#define POWERLOSS_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NEVER	UINT64_MAX

/**
 * struct op - a write or a flush of the logged device
 * @queued:	event of its submission
 * @completed:	of its completion
 * @sector:	where
 * @count:	sectors; 0: a flush
 * @fua:	durable when completed
 * @data:	what it wrote
 */
struct op {
	uint64_t queued;
	uint64_t completed;
	uint64_t sector;
	uint64_t count;
	bool fua;
	const char *data;
};

struct note {
	uint64_t at;
	const char *text;
};

/*
 * struct history - one recording
 * @ops:	in the order of their completion
 * @notes:	of the load, in order
 * @ready, @end: the events between which the power may be cut
 */
struct history {
	struct op *ops;
	size_t op_count;
	struct note *notes;
	size_t note_count;
	uint64_t ready, end;
};

void history_read(struct history *h, const char *trace, const char *log);

/* Of a power cut: what it leaves; filled by image_build(). */
struct cut {
	uint64_t at;
	uint64_t settled, pending, kept, torn;
};

void image_build(const struct history *h, uint64_t seed, char *image, size_t bytes,
		 struct cut *cut);

uint64_t rng_next(uint64_t *state);
uint64_t rng_below(uint64_t *state, uint64_t limit);

/* ---- model.c ---- */

enum expected {
	FORBIDDEN,	/* not there, or deleted */
	ALLOWED,	/* its creation or deletion was under way */
	REQUIRED,
};

struct snapshot {
	uint32_t id;
	uint64_t create, created, delete, deleted;	/* events */
	uint32_t *image;				/* serial numbers, by sector */
};

struct model {
	const struct history *history;
	struct snapshot *snapshots;
	size_t snapshot_count;
	uint64_t sectors;
	uint32_t *oldest, *newest;	/* write that the live volume may show */
};

void model_read(struct model *m, const struct history *h, const char *images, uint64_t sectors);
enum expected model_expects(const struct snapshot *s, uint64_t at);
const struct snapshot *model_snapshot(const struct model *m, uint32_t id);
void model_live(struct model *m, uint64_t at);

/* ---- replay.c ---- */

void die(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));
void *grown(void *array, size_t count, size_t size);
char *read_file(const char *path, size_t *bytes);

#endif
