/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Which live volume a diff area is for: what format writes down.
 */
#ifndef COWP_TOOL_IDENTITY_H
#define COWP_TOOL_IDENTITY_H

#include "area.h"

/**
 * struct identity - of a live volume
 * @live_sectors: size of its device
 * @kind:	enum cowp_identity_kind
 * @name:	as given to format, or empty
 * @id:		uuid of that kind, or empty
 */
struct identity {
	u64 live_sectors;
	u32 kind;
	char name[COWP_IDENTITY_BYTES];
	char id[COWP_IDENTITY_BYTES];
};

extern const char * const identity_words[COWP_IDENTITY_KINDS];

/* What a block says.  Returns NULL, or what is wrong with it. */
const char *identity_decode(struct identity *id, const void *block, u32 copy, const u8 *uuid);

/* Read it from an area of this uuid.  False: there is none. */
bool identity_read(struct identity *id, const struct area *a, const u8 *uuid);

/* Write both copies, durable at the return.  Returns 0 or -errno. */
int identity_write(const struct identity *id, const struct area *a, const u8 *uuid);

/*
 * identity_probe - what libblkid sees on a live device
 *
 * Fills all but the name: the uuid of the partition, which outlives its file
 * system, or else of the file system.
 */
void identity_probe(struct identity *id, const struct area *live);

#endif /* COWP_TOOL_IDENTITY_H */
