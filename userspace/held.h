/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The one linear device that a diff area is behind.
 *
 * With a volume it is NAME-diff.  An area that must not be overwritten by accident has
 * it without a volume, too: it is called cowprotect-AREA then, is read-only, and holds
 * the device below by an exclusive claim.  Its device-mapper uuid is the same all the
 * time, so that there is never more than one of them, and so that from one to the other
 * it is renamed and given another table: the claim is never let go.
 */
#ifndef COWP_TOOL_HELD_H
#define COWP_TOOL_HELD_H

#include "area.h"
#include "mapper.h"

/* Is it the linear device of an area that has no volume? */
bool held_is(const struct mapper_device *d);

/*
 * held_find - the linear device on what is at a path, or which that path itself is
 * @d:		out
 *
 * False also where it belongs to an active volume.
 */
bool held_find(const char *path, struct mapper_device *d);

/*
 * held_open - open a diff device for us alone
 * @flags:	where nothing holds it; what is held is opened for reading, as it is ours
 * @d:		out: what holds it
 * @held:	out: something does
 *
 * Whoever is about to hold it, or only looks at it, is waited for.
 */
int held_open(struct area *a, const char *path, int flags, struct mapper_device *d, bool *held);

/* The device below, as tables name it; an empty string: there is none any more. */
void held_below(const struct mapper_device *d, char number[NAME_CHARS]);

/*
 * held_take - make the linear device of an area, unless it is there
 * @d:		out
 *
 * If the device below it has gone, this one takes its place.
 */
int held_take(const char *area, const char *path, u64 sectors, struct mapper_device *d);

/* Likewise for a volume: what held the area becomes NAME-diff. */
int held_attach(const char *area, const char *volume, const char *path, u64 sectors);

enum held_end {
	HELD_LOOK,	/* hold the area if it must be kept from being overwritten */
	HELD_KEEP,	/* likewise without looking, as the device may not answer */
	HELD_LET_GO,
};

/* The volume has gone.  Nothing is held where the device has gone, too. */
int held_detach(const char *area, enum held_end end);

/*
 * held_write_begin - let what holds an area be written to, by us alone
 * @a:		the area, open; from now on the device that holds it
 *
 * The device below stays claimed.
 */
int held_write_begin(const struct mapper_device *d, struct area *a);

/* And back; or, if there is nothing to be held any more, away with it.  Closes @a. */
int held_write_end(const struct mapper_device *d, struct area *a, bool let_go);

#endif /* COWP_TOOL_HELD_H */
