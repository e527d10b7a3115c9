/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the monitor tells: the journal, with an id for each kind of message, so
 * that other programs can wait for it (journalctl MESSAGE_ID=...), and with the
 * fields COWPROTECT_VOLUME, COWPROTECT_STATE and COWPROTECT_FAULT.  The ids are
 * for ever; cowprotect.catalog says what each means.
 */
#ifndef COWP_MONITOR_JOURNAL_H
#define COWP_MONITOR_JOURNAL_H

#include "info.h"

enum journal_kind {
	JOURNAL_FAULT,		/* copies cannot be made */
	JOURNAL_LOST,		/* the snapshots were given up */
	JOURNAL_WELL,		/* it goes on */
	JOURNAL_LOW,		/* room runs low */
	JOURNAL_EXTENDED,	/* there is more room */
	JOURNAL_FAILED,		/* what the monitor tried has failed */
	JOURNAL_KINDS
};

void journal(enum journal_kind kind, const char *volume, const struct info *info,
	     const char *fmt, ...) __printf(4, 5);

#endif /* COWP_MONITOR_JOURNAL_H */
