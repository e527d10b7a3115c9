/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * An active volume as the actions see it.
 *
 * Functions that return an enum tool_exit have told the error.
 */
#ifndef COWP_TOOL_VOLUME_H
#define COWP_TOOL_VOLUME_H

#include "info.h"
#include "mapper.h"

#define VOLUME_NO_DIFF	"-"	/* in a table line: the diff area has not arrived */

/**
 * struct volume - an active volume
 * @device:	its live volume
 * @sectors:	size of that
 * @live:	live device, as the table names it
 * @diff:	diff device, likewise; VOLUME_NO_DIFF
 * @chunk_sectors: of the table
 * @options:	how many words, and the words; or ""
 * @info:	its status
 */
struct volume {
	struct mapper_device device;
	u64 sectors;
	char live[NAME_CHARS];
	char diff[NAME_CHARS];
	u32 chunk_sectors;
	char *options;
	struct info info;
};

/*
 * struct snapshot - of a volume
 * @id:		its epoch
 * @deleting:	not to be opened any more
 * @created:	seconds since 1970
 * @sectors:	size of the live volume then
 * @label:	or empty
 */
struct snapshot {
	u32 id;
	bool deleting;
	u64 created;
	u64 sectors;
	char label[COWP_LABEL_BYTES];
};

/* By its name, or /dev/mapper/NAME. */
int volume_open(struct volume *v, const char *operand);
void volume_close(struct volume *v);

/* Look at the status again. */
int volume_refresh(struct volume *v);

/* The devices of a diff area, or of all, in the order of their roles.  To be freed. */
int volume_devices(const char *area, struct mapper_device **list, size_t *count);

/* The names of all active volumes, to be freed with names_free(). */
int volume_names(char ***names, size_t *count);
void names_free(char **names, size_t count);

/* Send a message.  @answer: out, to be freed; or NULL. */
int volume_message(const struct volume *v, char **answer, const char *fmt, ...) __printf(3, 4);

/* Its snapshots, oldest first; to be freed. */
int volume_snapshots(const struct volume *v, struct snapshot **list, size_t *count);

/* A line of the message list. */
bool snapshot_parse(struct snapshot *s, const char *line);

/*
 * volume_find - the snapshot that an operand names, by id or label
 * @found:	out, one of @list
 */
int volume_find(const struct volume *v, const struct snapshot *list, size_t count,
		const char *operand, const struct snapshot **found);

/* Is this device, of this volume, there? */
bool volume_has(const struct volume *v, enum name_role role, u32 id);

/* Make, exchange or rename a device of the volume; tells what the kernel says. */
int volume_create(const char *volume, const char *area, enum name_role role, u32 id, bool readonly,
		  u64 sectors, const char *type, const char *line);
int volume_exchange(const char *name, u64 sectors, const char *type, const char *line);
int volume_rename(const char *name, const char *to);
int volume_remove(const char *name);

/*
 * volume_tell - say why a table was not taken
 * @type:	of its target
 * @what:	the device was to be: "made"
 * @log:	of kmsg_open(), before it was tried
 *
 * Returns an enum tool_exit.
 */
int volume_tell(const char *name, const char *type, const char *what, int error, int log);

/* Take up the size of the device that the diff area is on. */
int volume_grow(const struct volume *v);

/*
 * volume_settle - wait until the volume does not recover any more
 * @fault:	a fault that is about to go: wait for that for some seconds, too; or none
 *
 * Takes the status again.
 */
int volume_settle(struct volume *v, enum cowp_fault fault);

#endif /* COWP_TOOL_VOLUME_H */
