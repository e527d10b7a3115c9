// SPDX-License-Identifier: GPL-2.0-only
/* The configuration file: keys before the first section are for all volumes. */
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>

#include "name.h"
#include "policy.h"
#include "witness.h"

#define SECTION		"volume "	/* [volume NAME] */
#define SECTION_MOST	49U		/* inih's letters */

enum kind {
	NUMBER,
	YES_NO,
	COMMAND,
	FOLDER,
};

static const struct key {
	const char *name;
	enum kind kind;
	size_t at;
	u32 least, most;
} keys[] = {
	{ "extend_percent", NUMBER, offsetof(struct policy, extend_percent), 0, 1000 },
	{ "extend_command", COMMAND, offsetof(struct policy, extend_command), 0, 0 },
	{ "fault_command", COMMAND, offsetof(struct policy, fault_command), 0, 0 },
	{ "command_secs", NUMBER, offsetof(struct policy, command_secs), 1, 3600 },
	{ "retry_clear", YES_NO, offsetof(struct policy, retry_clear), 0, 0 },
	{ "retry_first_secs", NUMBER, offsetof(struct policy, retry_first_secs), 1, 86400 },
	{ "retry_most_secs", NUMBER, offsetof(struct policy, retry_most_secs), 1, 86400 },
	{ "witness", FOLDER, offsetof(struct policy, witness), 0, 0 },
};

/**
 * struct reading - while a file is read
 * @policy:	for the volume, so far
 * @volume:	its name
 * @file:	that is read
 * @line:	number of the one that was read last
 * @lines:	of each key that counts for the volume
 * @wrong_line:	where the first error is
 * @reason:	that error, empty without one
 */
struct reading {
	struct policy policy;
	const char *volume;
	FILE *file;
	int line;
	int lines[ARRAY_SIZE(keys)];
	int wrong_line;
	char reason[POLICY_CHARS * 2];
};

void policy_default(struct policy *p)
{
	memset(p, 0, sizeof(*p));
	p->command_secs = 60;
	p->retry_clear = true;
	p->retry_first_secs = 5;
	p->retry_most_secs = 300;
	strcpy(p->witness, WITNESS_FOLDER);
}

__printf(2, 3)
static int wrong(struct reading *r, const char *fmt, ...)
{
	va_list args;

	if (r->wrong_line)
		return 0;
	r->wrong_line = r->line;
	va_start(args, fmt);
	vsnprintf(r->reason, sizeof(r->reason), fmt, args);
	va_end(args);
	return 0;
}

static int take_number(struct reading *r, const struct key *k, const char *value, u32 *to)
{
	char *rest;
	unsigned long n;

	errno = 0;
	n = strtoul(value, &rest, 10);
	if (*value < '0' || *value > '9' || *rest || errno || n < k->least || n > k->most)
		return wrong(r, "%s: '%s' is not a number from %u to %u; give one", k->name,
			     value, k->least, k->most);
	*to = n;
	return 1;
}

static int take_yes_no(struct reading *r, const struct key *k, const char *value, bool *to)
{
	if (strcmp(value, "yes") && strcmp(value, "no"))
		return wrong(r, "%s: '%s' is neither yes nor no; give one of them", k->name, value);
	*to = !strcmp(value, "yes");
	return 1;
}

static int take_value(struct reading *r, const struct key *k, const char *value,
		      struct policy *p)
{
	void *to = (char *)p + k->at;

	switch (k->kind) {
	case NUMBER:
		return take_number(r, k, value, to);
	case YES_NO:
		return take_yes_no(r, k, value, to);
	case FOLDER:
		if (*value != '/')
			return wrong(r, "%s: '%s' does not begin with /; write the whole path",
				     k->name, value);
		fallthrough;
	default:
		/* No line is as long as this */
		snprintf(to, POLICY_CHARS, "%s", value);
		return 1;
	}
}

/* One line.  All sections are looked at; only ours and the file's head are kept. */
static int take_line(void *user, const char *section, const char *name, const char *value)
{
	struct reading *r = user;
	const char *volume = section + strlen(SECTION), *bad;
	struct policy ignored;
	bool counts = !*section;
	size_t i;

	policy_default(&ignored);
	if (!counts) {
		if (strncmp(section, SECTION, strlen(SECTION)))
			return wrong(r, "there is no section [%s]; write [volume NAME]", section);
		/* inih cuts it there */
		if (strlen(section) >= SECTION_MOST)
			return wrong(r,
				     "a section's volume has more than %u letters; write above them all",
				     SECTION_MOST - 1 - (u32)strlen(SECTION));
		bad = name_wrong(volume);
		if (bad)
			return wrong(r, "[%s]: '%s' %s; write a volume's name", section, volume,
				     bad);
		counts = !strcmp(volume, r->volume);
	}
	for (i = 0; i < ARRAY_SIZE(keys); i++) {
		if (strcmp(name, keys[i].name))
			continue;
		if (counts)
			r->lines[i] = r->line;
		return take_value(r, &keys[i], value, counts ? &r->policy : &ignored);
	}
	return wrong(r, "there is no '%s'; see cowprotect.conf(5) for what there is", name);
}

/*
 * A line for inih, which would take one that does not fit for two.  Without its
 * end the file is not read on.
 */
static char *next_line(char *to, int room, void *user)
{
	struct reading *r = user;

	if (r->wrong_line || !fgets(to, room, r->file))
		return NULL;
	r->line++;
	if (!strchr(to, '\n') && !feof(r->file)) {
		wrong(r, "is longer than %u letters; put a long command in a script",
		      POLICY_CHARS - 2);
		return NULL;
	}
	return to;
}

static void check_together(struct reading *r, const char *one, const char *two, bool bad,
			   const char *mend)
{
	size_t i;

	if (!bad)
		return;
	r->line = 0;
	for (i = 0; i < ARRAY_SIZE(keys); i++)
		if (!strcmp(keys[i].name, one) || !strcmp(keys[i].name, two))
			r->line = max(r->line, r->lines[i]);
	wrong(r, "%s and %s of %s %s", one, two, r->volume, mend);
}

static bool take_file(struct reading *r)
{
	const struct policy *p = &r->policy;
	int line;

	/* A command may have a semicolon, and goes on to the end of its line. */
	ini_inline_comment_prefixes = "";
	ini_allow_multiline = false;
	line = ini_parse_stream(next_line, r, take_line, r);
	if (line && !r->wrong_line) {
		r->line = line;
		wrong(r, "is no 'KEY = VALUE', section or comment; mend it");
	}
	check_together(r, "extend_percent", "extend_command",
		       p->extend_percent && *p->extend_command,
		       "exclude each other; leave one away, or set it to 0 or to nothing");
	check_together(r, "retry_first_secs", "retry_most_secs",
		       p->retry_most_secs < p->retry_first_secs,
		       "do not fit: the most is below the first; make it larger");
	return !r->wrong_line;
}

bool policy_read(struct policy *p, const char *path, const char *volume, char *error,
		 size_t chars)
{
	struct reading r = { .volume = volume };
	bool good, unread;

	policy_default(&r.policy);
	r.file = fopen(path, "re");
	if (!r.file && errno == ENOENT) {
		*p = r.policy;
		return true;
	}
	if (!r.file) {
		snprintf(error, chars, "%s: cannot be read: %s; see its owner and mode", path,
			 strerror(errno));
		return false;
	}
	good = take_file(&r);
	unread = ferror(r.file);
	fclose(r.file);
	if (unread) {
		snprintf(error, chars, "%s: cannot be read to its end; see the kernel log", path);
		return false;
	}
	if (!good) {
		snprintf(error, chars, "%s:%d: %s", path, r.wrong_line, r.reason);
		return false;
	}
	*p = r.policy;
	return true;
}
