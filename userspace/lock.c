// SPDX-License-Identifier: GPL-2.0-only
/* One process at a time for each volume. */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "lock.h"

/* Root's own: in /run/lock anybody could keep us waiting. */
#define FOLDER	"/run/cowprotect"

/* Where there can be no such file nobody else comes at the same moment. */
int lock_volume(const char *name)
{
	char path[PATH_MAX];
	int fd;

	mkdir(FOLDER, 0755);
	snprintf(path, sizeof(path), FOLDER "/%s.lock", name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd >= 0)
		flock(fd, LOCK_EX);
	return fd;
}

void lock_end(int lock)
{
	if (lock >= 0)
		close(lock);
}
