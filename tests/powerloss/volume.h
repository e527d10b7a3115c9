/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A cowprotect volume and its snapshots, by device-mapper's ioctls: a test that
 * activates hundreds of volumes has no time for as many programs.  The devices
 * are called "vol" and "snap<id>"; paths are those of devtmpfs.
 *
 * What cannot fail unless the test is wrong ends the program; the others return
 * false, with the reason in volume_error.
 */
#ifndef POWERLOSS_VOLUME_H
#define POWERLOSS_VOLUME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PATH_BYTES	64U

struct volume {
	const char *live, *diff;	/* paths */
	unsigned int chunk;		/* sectors */
	uint64_t sectors;
	char path[PATH_BYTES];
};

extern char volume_error[512];

bool volume_open(struct volume *v, const char *options);
bool volume_close(void);
/* The status line, when the recovery is over. */
bool volume_status(char *status, size_t bytes);
bool volume_message(const char *message, char *result, size_t bytes);
bool snapshot_open(const struct volume *v, uint32_t id, char *path);
bool snapshot_close(uint32_t id);

/* @target: type and parameters */
bool dm_create(const char *name, bool read_only, uint64_t sectors, const char *target,
	       char *path);
bool dm_remove(const char *name);

#endif
