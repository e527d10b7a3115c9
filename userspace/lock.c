// SPDX-License-Identifier: GPL-2.0-only
/* One process at a time for each volume. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lock.h"
#include "tool.h"

/* Root's own: in /run/lock anybody could keep us waiting. */
#define FOLDER	"/run/cowprotect"

#define TRIES	600U
#define TRY_US	100000U

/* Where there can be no such file nobody else comes at the same moment. */
int lock_volume(const char *name, int *lock)
{
	char path[PATH_MAX];
	u32 tries = TRIES;

	mkdir(FOLDER, 0755);
	snprintf(path, sizeof(path), FOLDER "/%s.lock", name);
	*lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	while (*lock >= 0 && flock(*lock, LOCK_EX | LOCK_NB) && errno == EWOULDBLOCK) {
		if (!tries--) {
			lock_end(*lock);
			tool_error(name,
				   "another cowprotect works on it, and has not ended for a minute; lslocks says which process has %s",
				   path);
			return TOOL_BUSY;
		}
		usleep(TRY_US);
	}
	return TOOL_OK;
}

void lock_end(int lock)
{
	if (lock >= 0)
		close(lock);
}
