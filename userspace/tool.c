// SPDX-License-Identifier: GPL-2.0-only
/* What the actions of the tool share. */
#include <getopt.h>
#include <stdarg.h>
#include <unistd.h>

#include "tool.h"

const struct tool_action *tool_running;

/* The exit status as veritysetup's, and as fsck's */
int tool_status(const struct tool_action *a, int ended)
{
	static const u8 statuses[][2] = {
		[TOOL_OK] = { 0, 0 },
		[TOOL_FAILED] = { 1, 8 },
		[TOOL_USAGE] = { 1, 16 },
		[TOOL_DENIED] = { 2, 8 },
		[TOOL_MEMORY] = { 3, 8 },
		[TOOL_DEVICE] = { 4, 8 },
		[TOOL_BUSY] = { 5, 8 },
		[TOOL_FOUND] = { 4, 4 },
	};

	return statuses[ended][a && a->fsck];
}

int tool_ended(int error)
{
	switch (error < 0 ? -error : error) {
	case 0:
		return TOOL_OK;
	case EPERM:
	case EACCES:
		return TOOL_DENIED;
	case ENOMEM:
		return TOOL_MEMORY;
	case ENOENT:
	case ENODEV:
	case ENXIO:
	case ENOTBLK:
		return TOOL_DEVICE;
	case EEXIST:
	case EBUSY:
		return TOOL_BUSY;
	default:
		return TOOL_FAILED;
	}
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

#define MAX_OPTIONS	16U

static void option_tables(const struct tool_action *a, struct option *longs, char *shorts)
{
	u32 i, count = 0;

	*shorts++ = ':';
	for (i = 0; a->options && a->options[i].letter; i++) {
		const struct tool_option *o = &a->options[i];

		longs[count++] = (struct option){
			.name = o->name,
			.has_arg = o->value ? required_argument : no_argument,
			.val = o->letter,
		};
		*shorts++ = o->letter;
		if (o->value)
			*shorts++ = ':';
	}
	*shorts = 0;
	longs[count] = (struct option){ 0 };
}

int tool_option(const struct tool_action *a, int argc, char **argv)
{
	char shorts[2 * MAX_OPTIONS + 2];
	struct option longs[MAX_OPTIONS + 1];
	const char *word;
	int c;

	option_tables(a, longs, shorts);
	opterr = 0;
	c = getopt_long(argc, argv, shorts, longs, NULL);
	if (c < 0)
		return 0;
	if (c != ':' && c != '?')
		return c;
	word = argv[optind - 1];
	if (c == ':')
		tool_usage(a, "option '%s' needs a value", word);
	else if (optopt && strncmp(word, "--", 2))
		tool_usage(a, "unknown option '-%c'", optopt);
	else if (optopt)
		tool_usage(a, "option '%s' takes no value", word);
	else
		tool_usage(a, "unknown or ambiguous option '%s'", word);
	return -1;
}

int tool_operands(const struct tool_action *a, int argc, char **argv)
{
	int given = argc - optind, nr = 0;
	const char *word = a->operands;

	while (*word) {
		int length = strcspn(word, " ]");
		bool many = length > 3 && strstr(word, "...") &&
			    strstr(word, "...") < word + length;

		if (nr++ == given && *word != '[')
			return tool_usage(a, "%.*s is missing", many ? length - 3 : length, word);
		if (many)
			return TOOL_OK;
		word += length + strspn(word + length, " ]");
	}
	if (given > nr)
		return tool_usage(a, "'%s' is one argument too many", argv[optind + nr]);
	return TOOL_OK;
}

bool tool_confirmed(const char *question)
{
	char answer[16];

	if (!isatty(STDIN_FILENO))
		return false;
	fflush(stdout);
	fprintf(stderr, "%s (yes/no) ", question);
	return fgets(answer, sizeof(answer), stdin) && !strcmp(answer, "yes\n");
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
