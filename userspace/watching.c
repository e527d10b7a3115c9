// SPDX-License-Identifier: GPL-2.0-only
/*
 * dmeventd, and whether it watches a volume.  It stops by itself when the volume is
 * gone, and takes up what it has watched when it is restarted.
 */
#include <libdevmapper-event.h>
#include <unistd.h>

#include "tool.h"
#include "watching.h"

/* How often the plugin looks at a volume although nothing has happened: it retries. */
#define LOOK_SECONDS	10

/*
 * The first to ask has the daemon started, which on a busy machine may take longer than
 * libdevmapper-event waits for its answer: some seconds.
 */
#define ATTEMPTS	6

static bool ask(struct dm_event_handler *h)
{
	int i;

	for (i = 0; i < ATTEMPTS; i++)
		if (dm_event_register_handler(h))
			return true;
	return false;
}

void watching_begin(const char *volume)
{
	struct dm_event_handler *h;
	bool good;

	if (access(COWP_PLUGIN, F_OK))
		return;
	h = dm_event_handler_create();
	good = h && !dm_event_handler_set_dso(h, COWP_PLUGIN) &&
	       !dm_event_handler_set_dev_name(h, volume);
	if (good) {
		dm_event_handler_set_event_mask(h, DM_EVENT_ALL_ERRORS | DM_EVENT_TIMEOUT);
		dm_event_handler_set_timeout(h, LOOK_SECONDS);
		good = ask(h);
	}
	if (!good)
		tool_error(volume,
			   "is active, but dmeventd does not watch it; see its log, or give --no-monitor");
	if (h)
		dm_event_handler_destroy(h);
}
