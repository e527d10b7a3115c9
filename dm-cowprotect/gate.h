/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A bio to the live volume, and where it stands.
 */
#ifndef COWP_GATE_H
#define COWP_GATE_H

#include "worker.h"

/**
 * struct cowp_live_io - a live target's part of a bio
 * @waiter:	for the engine
 * @owned:	in cowp_port.owned while the engine has it
 * @port:	the activation
 * @ti:		the target, which stays while the bio is under way
 * @inside:	it counts as inside the gate
 * @parity:	of that
 * @overwrite:	the engine let it go
 */
struct cowp_live_io {
	struct cowp_waiter waiter;
	struct list_head owned;
	struct cowp_port *port;
	struct dm_target *ti;
	bool inside;
	bool overwrite;
	u32 parity;
};

static inline struct cowp_live_io *cowp_live_io(struct bio *bio)
{
	return dm_per_bio_data(bio, sizeof(struct cowp_live_io));
}

static inline struct bio *cowp_live_bio(struct cowp_live_io *io)
{
	return dm_bio_from_per_bio_data(io, sizeof(struct cowp_live_io));
}

#endif /* COWP_GATE_H */
