// SPDX-License-Identifier: GPL-2.0-only
/* Waiting for what a volume does by itself, by device-mapper's events. */
#include <unistd.h>

#include "volume.h"

/* Of a fault to go, once the volume has got what it lacked */
#define FAULT_MS	10000

static bool is_settled(const struct volume *v, enum cowp_fault fault, u64 end)
{
	if (v->info.state == COWP_STATE_RECOVERING)
		return false;
	return !fault || v->info.fault != fault || port_now() >= end;
}

int volume_settle(struct volume *v, enum cowp_fault fault)
{
	bool terminal = isatty(STDERR_FILENO), told = false;
	int events = mapper_events(), ret;
	u64 end = port_now() + FAULT_MS;

	for (;;) {
		if (events >= 0)
			mapper_events_arm(events);
		ret = volume_refresh(v);
		if (ret || events < 0 || is_settled(v, fault, end))
			break;
		if (terminal)
			fprintf(stderr, "\r%s: recovering ", v->device.name);
		told = true;
		if (mapper_events_wait(events, fault ? FAULT_MS : -1) < 0)
			break;
	}
	if (terminal && told)
		fprintf(stderr, "\r\033[K");
	if (events >= 0)
		close(events);
	return ret;
}
