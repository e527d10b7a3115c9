/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is lost with a diff area.
 */
#ifndef COWP_TOOL_LOSS_H
#define COWP_TOOL_LOSS_H

#include "area.h"

/**
 * struct loss - the snapshots of an area that nobody has given up yet
 * @unknown:	they cannot be listed
 * @count:	how many
 * @ids:	of them; to be freed with loss_free()
 */
struct loss {
	bool unknown;
	u32 count;
	u32 *ids;
};

/*
 * loss_tell - find them, and say which they are
 * @what:	of them: "these snapshots die"
 */
void loss_tell(struct loss *l, const struct area *a, const char *what);
void loss_free(struct loss *l);

/* Is there nothing to be lost? */
bool loss_none(const struct loss *l);

/*
 * loss_allowed - does this option name all that is lost?
 * @list:	ids, "1,2,5", or "all"; NULL: the option was not given
 *
 * False after the error was told.
 */
bool loss_allowed(const struct loss *l, const struct area *a, const char *list);

/* A value of that option.  Returns NULL, or what is wrong. */
const char *loss_wrong(const char *list);

/*
 * loss_guarded - must the area be kept from being overwritten by accident?
 *
 * It has, or may have, snapshots; or it is protected.  Quick, and on the safe side.
 */
bool loss_guarded(const struct area *a, const struct fixed *f);

#endif /* COWP_TOOL_LOSS_H */
