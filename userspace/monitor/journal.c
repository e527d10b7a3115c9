// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the monitor tells, by systemd's protocol (JOURNAL_NATIVE_PROTOCOL): a datagram of
 * lines KEY=VALUE.
 *
 * libsystemd waits until the journal takes it.  The journal may be on the volume that is
 * blocked, and then takes nothing before we have sent "clear".
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>
#include <unistd.h>

#include "remedy.h"
#include "journal.h"

/* A reason and all steps of a remedy */
#define TEXT_CHARS	((REMEDY_STEPS + 1) * (REMEDY_CHARS + 2) + 128)
#define FIELDS_CHARS	512	/* all but the text */
#define RECORD_CHARS	960	/* that the kernel's log takes */

static const struct {
	const char *id;
	int priority;
} kinds[JOURNAL_KINDS] = {
	[JOURNAL_FAULT] = { "ff97c384b7334d63bca2c66bedbaa98f", LOG_CRIT },
	[JOURNAL_LOST] = { "91b1d2f6c3db44939867413cbb48b96c", LOG_CRIT },
	[JOURNAL_WELL] = { "b748a10bb2d047b4b5a38d2ee6efd549", LOG_NOTICE },
	[JOURNAL_LOW] = { "6ee3d86a42f14c2892c45d817221f580", LOG_WARNING },
	[JOURNAL_EXTENDED] = { "497dbc9a8c7e4b68acfa74536ffbc39b", LOG_NOTICE },
	[JOURNAL_FAILED] = { "08c7f7b4c96e4b22a01d4f2a5bd2625d", LOG_ERR },
};

static bool send_now(const char *message, size_t bytes)
{
	const struct sockaddr_un address = {
		.sun_family = AF_UNIX,
		.sun_path = "/run/systemd/journal/socket",
	};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	bool sent;

	if (fd < 0)
		return false;
	sent = sendto(fd, message, bytes, MSG_NOSIGNAL, (const struct sockaddr *)&address,
		      sizeof(address)) == (ssize_t)bytes;
	close(fd);
	return sent;
}

/* The kernel's log never waits, and the journal reads it when it goes on. */
static void tell_kernel(int priority, const char *volume, const char *text)
{
	int fd = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
	char record[RECORD_CHARS];
	ssize_t n;

	if (fd < 0)
		return;
	snprintf(record, sizeof(record), "<%d>cowprotect: %s: %.800s", LOG_DAEMON | priority,
		 volume, text);
	/* If this fails, too, there is nobody to tell. */
	n = write(fd, record, strlen(record));
	(void)n;
	close(fd);
}

void journal(enum journal_kind kind, const char *volume, const struct info *info,
	     const char *fmt, ...)
{
	char text[TEXT_CHARS], message[TEXT_CHARS + FIELDS_CHARS], *line;
	va_list args;
	int n;

	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	while ((line = strchr(text, '\n')))
		*line = ' ';
	n = snprintf(message, sizeof(message),
		     "MESSAGE_ID=%s\nPRIORITY=%d\nSYSLOG_IDENTIFIER=cowprotect\nMESSAGE=%s: %s\n"
		     "COWPROTECT_VOLUME=%s\nCOWPROTECT_STATE=%s\nCOWPROTECT_FAULT=%s\n",
		     kinds[kind].id, kinds[kind].priority, volume, text, volume,
		     cowp_state_words[info->state], cowp_fault_words[info->fault]);
	if (n >= (int)sizeof(message) || !send_now(message, n))
		tell_kernel(kinds[kind].priority, volume, text);
}
