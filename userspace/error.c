// SPDX-License-Identifier: GPL-2.0-only
/* Errors and memory as a command has them; a daemon has its own (monitor/plugin.c). */
#include <stdarg.h>
#include <stdlib.h>

#include "area.h"

void tool_error(const char *subject, const char *fmt, ...)
{
	va_list args;

	fflush(stdout);
	fprintf(stderr, "cowprotect: %s: ", subject);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fputc('\n', stderr);
}

void *xcalloc(size_t count, size_t bytes)
{
	void *p = calloc(count ? count : 1, bytes);

	if (!p) {
		tool_error("memory", "%zu times %zu bytes are not to be had; free some",
			   count, bytes);
		exit(tool_status(tool_running, TOOL_MEMORY));
	}
	return p;
}

void *xrealloc(void *p, size_t bytes)
{
	p = realloc(p, bytes);
	if (!p) {
		tool_error("memory", "%zu bytes are not to be had; free some", bytes);
		exit(tool_status(tool_running, TOOL_MEMORY));
	}
	return p;
}
