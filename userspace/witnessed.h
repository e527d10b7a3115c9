/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the actions do with a volume's witness (witness.h).  The monitor writes it, and
 * takes it away; the actions hear it, and take away what is of no use any more.
 */
#ifndef COWP_TOOL_WITNESSED_H
#define COWP_TOOL_WITNESSED_H

#include "table-options.h"
#include "volume.h"

/*
 * witnessed_recall - before an activation: were the snapshots given up?
 * @area:	uuid of the diff area, without dashes
 * @protected:	the area says that it is, and not that they are lost
 * @options:	gets given_up where a witness stands, and says so
 *
 * Returns an enum tool_exit: it is not to be activated where that cannot be known.
 */
int witnessed_recall(const char *volume, const char *area, bool protected,
		     struct table_options *options);

/* The volume was told something, or has come up: the witness goes where it can. */
void witnessed_review(const struct volume *v);

/* Nobody is going to write it: says what that means for a volume without protection. */
void witnessed_by_nobody(const struct volume *v);

/* The volume is told to give its snapshots up, marked or not: it is on the disk before. */
void witnessed_give_up(const struct volume *v);

/* The area was made anew under this uuid: what was said of it is not so any more. */
void witnessed_forget(const char *area);

#endif /* COWP_TOOL_WITNESSED_H */
