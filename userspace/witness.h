/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The witness: a file that says "the snapshots of this diff area may have been given
 * up", on a file system that is not on the volume.
 *
 * Without protection a volume whose diff area is out of reach goes on after a wait, and
 * the area cannot be told.  Should the machine end before it can, its snapshots would
 * come back as good ones, without what was overwritten meanwhile.  So the file is
 * durable before the wait can run out, and while it stands the next activation says
 * given_up.  It goes when the area itself says that they are lost, or when the same
 * activation goes on with them.
 *
 * One file for each diff area, called by its uuid without dashes.  That it is there is
 * what counts: one that cannot be understood is of another activation.
 */
#ifndef COWP_TOOL_WITNESS_H
#define COWP_TOOL_WITNESS_H

#include "info.h"
#include "name.h"

#define WITNESS_FOLDER		"/var/lib/cowprotect/witness"
#define WITNESS_ACTIVATION	64	/* letters and a zero */

/* What stands, as an activation sees it */
enum witness_word {
	WITNESS_NONE,
	WITNESS_WAITING,	/* this activation's: it waits, and may give up */
	WITNESS_LOST,		/* this activation's: it has given up */
	WITNESS_HEARD,		/* an earlier one's, and this one was told given_up */
	WITNESS_UNHEARD,	/* an earlier one's, and this one was not */
};

/**
 * struct witness - what a file says
 * @there:	there is one
 * @lost:	they were given up; else they may have been
 * @activation:	whose word it is, as of witness_activation()
 * @volume:	its name
 */
struct witness {
	bool there;
	bool lost;
	char activation[WITNESS_ACTIVATION];
	char volume[NAME_CHARS];
};

enum witness_due {
	WITNESS_KEEP,		/* as it is */
	WITNESS_WRITE,
	WITNESS_REMOVE,
};

/*
 * witness_due - what is to be done about it, with the volume in this state
 *
 * Whoever acts on it late, when the state is another one, must look again then.
 */
enum witness_due witness_due(enum witness_word stands, enum cowp_state state,
			     enum info_mark mark);

/*
 * witness_word - whose word is it?
 * @activation:	of the volume, now
 * @told:	its table has given_up
 */
enum witness_word witness_word(const struct witness *w, const char *activation, bool told);

/*
 * witness_activation - what no other activation of any volume is called
 * @number:	"major:minor" of the volume
 *
 * The boot, and the sequence number of the disk in it.  Empty where the kernel tells
 * neither: then no word is this activation's.
 */
void witness_activation(char activation[WITNESS_ACTIVATION], const char *number);

/*
 * witness_misplaced - would the folder's files wait for this volume?
 *
 * By the table of mounts and sysfs: nothing behind the path is touched, as it may be on a
 * volume that is blocked.  So symbolic links in the path are not seen through.
 */
bool witness_misplaced(const char *folder, const char *area);

/* All three return 0 or -errno.  No file is no error: it is not there. */
int witness_read(struct witness *w, const char *folder, const char *area);

/* Durable when it returns.  -EXDEV: the folder is on the volume; -ENODEV: it is in memory */
int witness_write(const struct witness *w, const char *folder, const char *area);
int witness_remove(const char *folder, const char *area);

/* Why it could not be written, to people, with the mend */
const char *witness_reason(int error);

#endif /* COWP_TOOL_WITNESS_H */
