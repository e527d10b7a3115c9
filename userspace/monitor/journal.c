// SPDX-License-Identifier: GPL-2.0-only
/* What the monitor tells. */
#include <stdarg.h>
#include <syslog.h>
/* The ids below are the kinds', not places in this file. */
#define SD_JOURNAL_SUPPRESS_LOCATION
#include <systemd/sd-journal.h>

#include "remedy.h"
#include "journal.h"

/* A reason and all steps of a remedy */
#define TEXT_CHARS	((REMEDY_STEPS + 1) * (REMEDY_CHARS + 2) + 128)

static const struct {
	const char *id;
	int priority;
} kinds[JOURNAL_KINDS] = {
	[JOURNAL_FAULT] = { "ff97c384b7334d63bca2c66bedbaa98f", LOG_CRIT },
	[JOURNAL_LOST] = { "91b1d2f6c3db44939867413cbb48b96c", LOG_CRIT },
	[JOURNAL_WELL] = { "b748a10bb2d047b4b5a38d2ee6efd549", LOG_NOTICE },
	[JOURNAL_LOW] = { "6ee3d86a42f14c2892c45d817221f580", LOG_WARNING },
	[JOURNAL_EXTENDED] = { "497dbc9a8c7e4b68acfa74536ffbc39b", LOG_NOTICE },
	[JOURNAL_FAILED] = { "08c7f7b4c96e4b22a01d4f2a5bd2625d", LOG_ERR },
};

void journal(enum journal_kind kind, const char *volume, const struct info *info,
	     const char *fmt, ...)
{
	char text[TEXT_CHARS];
	va_list args;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	sd_journal_send("MESSAGE_ID=%s", kinds[kind].id, "PRIORITY=%d", kinds[kind].priority,
			"SYSLOG_IDENTIFIER=cowprotect", "MESSAGE=%s: %s", volume, text,
			"COWPROTECT_VOLUME=%s", volume,
			"COWPROTECT_STATE=%s", cowp_state_words[info->state],
			"COWPROTECT_FAULT=%s", cowp_fault_words[info->fault], NULL);
}
