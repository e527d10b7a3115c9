/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the actions of the tool share: exit codes, errors, sizes.
 */
#ifndef COWP_TOOL_H
#define COWP_TOOL_H

#include <errno.h>
#include <getopt.h>
#include <stdbool.h>

#include "port.h"

/*
 * How an action ended.  The exit status follows from this and from the kind of
 * the action: see tool_status().
 */
enum tool_exit {
	TOOL_OK,
	TOOL_FAILED,	/* for a reason that is none of these */
	TOOL_USAGE,	/* the command line is wrong */
	TOOL_DENIED,	/* no permission */
	TOOL_MEMORY,	/* not enough memory */
	TOOL_DEVICE,	/* not there, or holds something else */
	TOOL_BUSY,	/* there already, or in use */
	TOOL_FOUND,	/* check: there are errors in the area */
};

/**
 * struct tool_option - an option of an action
 * @letter:	short name; 0 ends a table
 * @name:	long name
 * @value:	what its value is called, NULL: it takes none
 * @help:	what it does; lines behind the first are indented by who prints it
 */
struct tool_option {
	char letter;
	const char *name;
	const char *value;
	const char *help;
};

/**
 * struct tool_action - an action of the command line
 * @name:	the word
 * @operands:	what follows the options, a word each: [X] may be left out, X... may
 *		be there several times
 * @summary:	one line
 * @options:	or NULL
 * @help:	the rest
 * @fsck:	the exit status is that of fsck(8), not of veritysetup(8)
 * @run:	with @argv[0] the action's name; returns an enum tool_exit
 */
struct tool_action {
	const char *name;
	const char *operands;
	const char *summary;
	const struct tool_option *options;
	const char *help;
	bool fsck;
	int (*run)(const struct tool_action *a, int argc, char **argv);
};

extern const struct tool_action action_format;
extern const struct tool_action action_activate;
extern const struct tool_action action_deactivate;
extern const struct tool_action action_snapshot;
extern const struct tool_action action_list;
extern const struct tool_action action_open;
extern const struct tool_action action_close;
extern const struct tool_action action_delete;
extern const struct tool_action action_protect;
extern const struct tool_action action_blocked_io;
extern const struct tool_action action_clear;
extern const struct tool_action action_reset;
extern const struct tool_action action_grow;
extern const struct tool_action action_status;
extern const struct tool_action action_replace_diff;
extern const struct tool_action action_attach;
extern const struct tool_action action_wipe;
extern const struct tool_action action_hold;
extern const struct tool_action action_release;
extern const struct tool_action action_probe;
extern const struct tool_action action_check;
extern const struct tool_action action_dump;

/* The exit status of an action that ended with an enum tool_exit. */
int tool_status(const struct tool_action *a, int ended);

/* The action that is being carried out, or NULL. */
extern const struct tool_action *tool_running;

/* What an error number says about how the action ended. */
int tool_ended(int error);

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
 * tool_option - the next option
 *
 * Returns its letter, with its value in optarg; 0 behind the last; -1 after a
 * wrong one was told.
 */
int tool_option(const struct tool_action *a, int argc, char **argv);

/*
 * tool_operands - are there as many operands as the action takes?
 *
 * They are argv[optind] and those behind it.  Returns TOOL_OK or TOOL_USAGE.
 */
int tool_operands(const struct tool_action *a, int argc, char **argv);

/* Ask on the terminal.  False also where there is none. */
bool tool_confirmed(const char *question);

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
