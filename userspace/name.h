/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Names of volumes and of the devices that belong to them.
 *
 * device		name		device-mapper uuid
 * live volume		NAME		COWPROTECT-AREA-live
 * diff device		NAME-diff	COWPROTECT-AREA-diff
 * without a volume	cowprotect-AREA	likewise: see held.h
 * snapshot ID		NAME-snap-ID	COWPROTECT-AREA-snap-ID
 * writable one		NAME-rw-ID	COWPROTECT-AREA-rw-ID
 *
 * AREA is the diff area's uuid without dashes.
 */
#ifndef COWP_TOOL_NAME_H
#define COWP_TOOL_NAME_H

#include "tool.h"

#define NAME_CHARS	128	/* of a device-mapper name or uuid, as the kernel has it */
#define NAME_LONGEST	100	/* letters of a volume's: leaves room for what is added */
#define NAME_PREFIX	"COWPROTECT-"
#define NAME_AREA	32	/* letters of the uuid without dashes */

enum name_role {
	NAME_LIVE,
	NAME_DIFF,
	NAME_SNAPSHOT,
	NAME_WRITABLE,
	NAME_ROLES
};

/* Can it be a volume's name?  Returns NULL, or what is wrong. */
const char *name_wrong(const char *name);

/* The volume that an operand names: "data" or "/dev/mapper/data". */
const char *name_plain(const char *operand);

/* A device's name; @id only where the role has one. */
void name_of(char name[NAME_CHARS], const char *volume, enum name_role role, u32 id);

/* Likewise its uuid. */
void name_uuid(char uuid[NAME_CHARS], const char *area, enum name_role role, u32 id);

/* The volume that a device was named for by name_of(); else the device's own name. */
void name_volume(char volume[NAME_CHARS], const char *device, enum name_role role, u32 id);

/*
 * name_parse - whose device-mapper uuid is it?
 * @area:	out
 * @role:	out
 * @id:		out; 0 where the role has none
 *
 * False: it is none of ours.
 */
bool name_parse(const char *uuid, char area[NAME_AREA + 1], enum name_role *role, u32 *id);

#endif /* COWP_TOOL_NAME_H */
