/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the actions need of device-mapper, by libdevmapper.
 *
 * All return 0 or -errno and say nothing.
 */
#ifndef COWP_TOOL_MAPPER_H
#define COWP_TOOL_MAPPER_H

#include "name.h"

/**
 * struct mapper_device - a device of ours
 * @name:	of it
 * @area:	which diff area it belongs to
 * @role:	what it is there
 * @id:		of the snapshot, or 0
 * @number:	"major:minor"
 * @opened:	how often it is open
 * @has_table:	it is active
 * @readonly:	it cannot be written to
 * @suspended:	likewise
 */
struct mapper_device {
	char name[NAME_CHARS];
	char area[NAME_AREA + 1];
	enum name_role role;
	u32 id;
	char number[24];
	u32 opened;
	bool has_table;
	bool readonly;
	bool suspended;
};

/* Is device-mapper there, and are we allowed to use it?  Tells the error. */
int mapper_ready(void);

/* All devices of ours.  To be freed. */
int mapper_list(struct mapper_device **list, size_t *count);

/* -ENXIO: there is none; -EINVAL: it is not ours. */
int mapper_find(const char *name, struct mapper_device *d);

/* Likewise by what it is to a diff area, whatever it is called; not for snapshots. */
int mapper_find_role(const char *area, enum name_role role, struct mapper_device *d);

/*
 * struct mapper_target - the one target of a table
 * @sectors:	its length
 * @type:	its name
 * @line:	the rest of the table line, or of the status line.  To be freed.
 * @readonly:	of a table to be loaded: its device is only read
 */
struct mapper_target {
	u64 sectors;
	char type[32];
	char *line;
	bool readonly;
};

/* -ENODATA: there is no table, or not one of one target. */
int mapper_table(const char *name, struct mapper_target *t);
int mapper_status(const char *name, struct mapper_target *t);

int mapper_create(const char *name, const char *uuid, const struct mapper_target *t);
int mapper_remove(const char *name);
int mapper_rename(const char *name, const char *to);

/*
 * mapper_exchange - put another table under a device, whatever its I/O does
 *
 * Nothing is flushed or frozen, so that it works below a blocked volume.  If it
 * fails the old table is there.
 */
int mapper_exchange(const char *name, const struct mapper_target *t);

/* @answer: out, to be freed, NULL without one; or NULL */
int mapper_message(const char *name, const char *message, char **answer);

/* A file that tells when anything may have changed; -errno. */
int mapper_events(void);

/* From now on; call it before what may change is looked at. */
int mapper_events_arm(int fd);

/* Returns 1, 0 when the time is up (@ms -1: never), or -errno. */
int mapper_events_wait(int fd, int ms);

/* libdevmapper's own words say less than ours: from now on it says none. */
void mapper_log_nothing(void);

#endif /* COWP_TOOL_MAPPER_H */
