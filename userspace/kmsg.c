// SPDX-License-Identifier: GPL-2.0-only
/* What the kernel's log says about an ioctl that failed. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kmsg.h"

int kmsg_open(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0)
		lseek(fd, 0, SEEK_END);
	return fd;
}

/* A record: "6,339,5140900,-;device-mapper: cowprotect: TEXT", more lines behind it */
void kmsg_show(int fd)
{
	static const char mark[] = "device-mapper: ";
	char record[2048], *text;
	ssize_t n;

	if (fd < 0)
		return;
	while ((n = read(fd, record, sizeof(record) - 1)) > 0 || (n < 0 && errno == EPIPE)) {
		if (n < 0)
			continue;	/* the log went on too fast */
		record[n] = 0;
		text = strchr(record, ';');
		if (!text || strncmp(text + 1, mark, strlen(mark)))
			continue;
		text[strcspn(text, "\n")] = 0;
		fprintf(stderr, "  the kernel: %s\n", text + 1 + strlen(mark));
	}
}

void kmsg_close(int fd)
{
	if (fd >= 0)
		close(fd);
}
