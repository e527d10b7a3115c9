/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the actions of the tool share: exit codes, errors, sizes.
 */
#ifndef COWP_TOOL_H
#define COWP_TOOL_H

#include <errno.h>

#include "port.h"

/* After fsck(8). */
enum tool_exit {
	TOOL_OK = 0,
	TOOL_FOUND = 4,		/* check: there are errors in the area */
	TOOL_FAILED = 8,	/* the action could not be carried out */
	TOOL_USAGE = 16,	/* the command line is wrong */
};

/**
 * struct tool_action - an action of the command line
 * @name:	the word
 * @usage:	what may follow it
 * @summary:	one line
 * @help:	the rest, each line indented by two
 * @run:	with @argv[0] the action's name; returns an enum tool_exit
 */
struct tool_action {
	const char *name;
	const char *usage;
	const char *summary;
	const char *help;
	int (*run)(int argc, char **argv);
};

extern const struct tool_action action_format;
extern const struct tool_action action_check;
extern const struct tool_action action_dump;

/*
 * tool_error - say what is wrong
 * @subject:	the device, file or argument that it is about
 *
 * The format gives the reason and, behind a semicolon, what mends it.
 */
void tool_error(const char *subject, const char *fmt, ...) __printf(2, 3);

/* A wrong command line of an action.  Returns TOOL_USAGE. */
int tool_usage(const struct tool_action *a, const char *fmt, ...) __printf(2, 3);

/*
 * tool_getopt - what getopt_long() found wrong, once it returned '?' or ':'
 *
 * Call getopt_long() with opterr 0 and ":" in front of the short options.
 */
int tool_getopt(const struct tool_action *a, int code, char **argv);

/* The one argument behind the options, which are taken.  Returns an enum tool_exit. */
int tool_device(const struct tool_action *a, int argc, char **argv, const char **path);

/**
 * tool_sectors - take a size apart
 * @text:	a number and one of s (sectors), K, M, G, T, P (powers of 1024), or
 *		none for bytes
 * @sectors:	out
 *
 * Returns NULL, or what is wrong.
 */
const char *tool_sectors(const char *text, u64 *sectors);

/* A whole number in [0, @max].  Returns NULL, or what is wrong. */
const char *tool_number(const char *text, u64 max, u64 *number);

#define TOOL_SIZE_CHARS	32

/* Bytes for the reader's eye; returns @buf. */
const char *tool_size(char buf[TOOL_SIZE_CHARS], u64 bytes);

#endif /* COWP_TOOL_H */
