/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A live target.
 */
#ifndef COWP_LIVE_H
#define COWP_LIVE_H

#include "table-line.h"
#include "worker.h"

/**
 * struct cowp_live - a live target of one table
 * @ti:		the target
 * @line:	its table line
 * @dev:	the live device, claimed
 * @diff_dev:	the diff device, claimed; NULL where absent
 * @diff:	the diff device, opened for the volume; NULL where absent
 * @volume:	the volume
 * @port:	the activation to use once it is resumed, with a reference; under
 *		the volume's port_lock, as a resume may exchange it
 */
struct cowp_live {
	struct dm_target *ti;
	struct cowp_line line;
	struct dm_dev *dev;
	struct dm_dev *diff_dev;
	struct cowp_leg *diff;
	struct cowp_volume *volume;
	struct cowp_port *port;
};

/**
 * cowp_live_port - the activation of a live target of any table
 * @live:	the target
 *
 * Process context; does not sleep.  Returns it with a reference.
 */
static inline struct cowp_port *cowp_live_port(struct cowp_live *live)
{
	struct cowp_port *p;

	spin_lock_irq(&live->volume->port_lock);
	p = cowp_port_get(live->port);
	spin_unlock_irq(&live->volume->port_lock);
	return p;
}

/* message.c */
int cowp_live_message(struct dm_target *ti, unsigned int argc, char **argv,
		      char *result, unsigned int maxlen);

/* status.c */
void cowp_live_status(struct dm_target *ti, status_type_t type, unsigned int flags,
		      char *result, unsigned int maxlen);
void cowp_status_counters(struct cowp_port *p, struct cowp_status *s);
void cowp_status_reset(struct cowp_port *p);

#endif /* COWP_LIVE_H */
