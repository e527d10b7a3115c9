// SPDX-License-Identifier: GPL-2.0-only
/* What the actions of the tool share. */
#include <getopt.h>
#include <stdarg.h>

#include "tool.h"

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

int tool_usage(const struct tool_action *a, const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "cowprotect %s: ", a->name);
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "; see cowprotect %s --help\n", a->name);
	return TOOL_USAGE;
}

int tool_getopt(const struct tool_action *a, int code, char **argv)
{
	const char *word = argv[optind - 1];

	if (code == ':')
		return tool_usage(a, "option '%s' needs a value", word);
	if (optopt && strncmp(word, "--", 2))
		return tool_usage(a, "unknown option '-%c'", optopt);
	if (optopt)
		return tool_usage(a, "option '%s' takes no value", word);
	return tool_usage(a, "unknown or ambiguous option '%s'", word);
}

int tool_device(const struct tool_action *a, int argc, char **argv, const char **path)
{
	if (optind == argc)
		return tool_usage(a, "the diff device is missing");
	if (optind + 1 < argc)
		return tool_usage(a, "'%s' is one argument too many", argv[optind + 1]);
	*path = argv[optind];
	return TOOL_OK;
}

const char *tool_number(const char *text, u64 max, u64 *number)
{
	char *end;

	if (*text < '0' || *text > '9')
		return "is not a number";
	errno = 0;
	*number = strtoull(text, &end, 10);
	if (*end)
		return "is not a number";
	if (errno || *number > max)
		return "is too large";
	return NULL;
}

const char *tool_sectors(const char *text, u64 *sectors)
{
	static const char units[] = "KMGTP";
	const char *unit;
	u32 shift = 0;
	char *end;
	u64 n;

	if (*text < '0' || *text > '9')
		return "is not a size (a number and s, K, M, G, T or P)";
	errno = 0;
	n = strtoull(text, &end, 10);
	if (*end == 's' && !end[1]) {
		shift = SECTOR_SHIFT;
	} else if (*end) {
		unit = strchr(units, *end);
		if (!unit || end[1])
			return "is not a size (a number and s, K, M, G, T or P)";
		shift = 10 * (unit - units + 1);
	}
	if (errno || n > (~0ULL >> 1) >> shift)
		return "is too large";
	n <<= shift;
	if (n % SECTOR_SIZE)
		return "is not a multiple of 512 bytes";
	*sectors = n >> SECTOR_SHIFT;
	return *sectors ? NULL : "is zero";
}

const char *tool_size(char buf[TOOL_SIZE_CHARS], u64 bytes)
{
	static const char * const units[] = { "bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB" };
	u64 whole = bytes, rest = 0;
	u32 unit = 0;

	while (whole >= 1024) {
		rest = whole % 1024;
		whole /= 1024;
		unit++;
	}
	if (rest)
		snprintf(buf, TOOL_SIZE_CHARS, "%llu.%llu %s", whole, rest * 10 / 1024,
			 units[unit]);
	else
		snprintf(buf, TOOL_SIZE_CHARS, "%llu %s", whole, units[unit]);
	return buf;
}
