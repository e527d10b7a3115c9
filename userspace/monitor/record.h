/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the monitor does with a volume's witness (witness.h): the host's record that its
 * snapshots may have been given up.
 */
#ifndef COWP_MONITOR_RECORD_H
#define COWP_MONITOR_RECORD_H

#include "policy.h"
#include "witness.h"

/**
 * struct record - what its witness has to say of a volume
 * @volume:	its name
 * @area:	uuid of its diff area, without dashes
 * @activation:	of witness_activation()
 * @told:	its table has given_up
 */
struct record {
	char volume[NAME_CHARS];
	char area[NAME_AREA + 1];
	char activation[WITNESS_ACTIVATION];
	bool told;
};

/* What does not change in an activation.  False: @uuid, device-mapper's, is none of ours. */
bool record_begin(struct record *r, const char *volume, const char *uuid, int major, int minor);

/* True: it is of no use where the policy has it; @error says why. */
bool record_misplaced(const struct record *r, const struct policy *p, char *error, size_t chars);

/* What stands; as it was known, where that cannot be read now */
enum witness_word record_look(const struct record *r, const struct policy *p,
			      enum witness_word known);

/* Both tell the journal where they fail, and return what stands then. */
enum witness_word record_write(const struct record *r, const struct policy *p,
			       const struct info *info, enum witness_word known);
enum witness_word record_remove(const struct record *r, const struct policy *p,
				const struct info *info, enum witness_word known);

/* The snapshots that this activation shows may be wrong. */
void record_tell_unheard(const struct record *r, const struct policy *p,
			 const struct info *info);

#endif /* COWP_MONITOR_RECORD_H */
