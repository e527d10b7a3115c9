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
		good = dm_event_register_handler(h);
	}
	if (!good)
		tool_error(volume,
			   "is active, but dmeventd does not watch it; see its log, or give --no-monitor");
	if (h)
		dm_event_handler_destroy(h);
}
