// SPDX-License-Identifier: GPL-2.0-only
/* The configuration file: keys before the first section are for all volumes. */
#include <errno.h>
#include <ini.h>
#include <stdarg.h>
#include <stdlib.h>

#include "policy.h"

#define SECTION		"volume "	/* [volume NAME] */

enum kind {
	NUMBER,
	YES_NO,
	COMMAND,
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
};

/**
 * struct reading - while a file is read
 * @policy:	for the volume, so far
 * @ours:	it has a section of its own, which this one is
 * @volume:	its name
 * @reason:	the first error, empty without one
 */
struct reading {
	struct policy policy;
	bool ours;
	const char *volume;
	char reason[POLICY_CHARS * 2];
};

void policy_default(struct policy *p)
{
	memset(p, 0, sizeof(*p));
	p->command_secs = 60;
	p->retry_clear = true;
	p->retry_first_secs = 5;
	p->retry_most_secs = 300;
}

__printf(2, 3)
static int wrong(struct reading *r, const char *fmt, ...)
{
	va_list args;

	if (r->reason[0])
		return 0;
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
	default:
		/* inih takes no line as long as this */
		snprintf(to, POLICY_CHARS, "%s", value);
		return 1;
	}
}

/* One line.  All sections are looked at; only ours and the file's head are kept. */
static int take_line(void *user, const char *section, const char *name, const char *value)
{
	struct reading *r = user;
	struct policy ignored;
	struct policy *p = &ignored;
	size_t i;

	policy_default(&ignored);
	if (*section && strncmp(section, SECTION, strlen(SECTION)))
		return wrong(r, "there is no section [%s]; write [volume NAME]", section);
	if (!*section)
		p = &r->policy;
	else if (!strcmp(section + strlen(SECTION), r->volume))
		p = &r->policy;
	for (i = 0; i < ARRAY_SIZE(keys); i++)
		if (!strcmp(name, keys[i].name))
			return take_value(r, &keys[i], value, p);
	return wrong(r, "there is no '%s'; see cowprotect.conf(5) for what there is", name);
}

static const char *together(const struct policy *p)
{
	if (p->extend_percent && *p->extend_command)
		return "extend_percent and extend_command exclude each other; leave one away";
	if (p->retry_most_secs < p->retry_first_secs)
		return "retry_most_secs is below retry_first_secs; make it larger";
	return NULL;
}

bool policy_read(struct policy *p, const char *path, const char *volume, char *error,
		 size_t chars)
{
	struct reading r = { .volume = volume };
	const char *bad;
	FILE *file;
	int line;

	policy_default(&r.policy);
	file = fopen(path, "re");
	if (!file && errno == ENOENT) {
		*p = r.policy;
		return true;
	}
	if (!file) {
		snprintf(error, chars, "%s: cannot be read: %s; see its owner and mode", path,
			 strerror(errno));
		return false;
	}
	/* A command may have a semicolon, and goes on to the end of its line. */
	ini_inline_comment_prefixes = "";
	ini_allow_multiline = false;
	line = ini_parse_file(file, take_line, &r);
	fclose(file);
	if (line) {
		snprintf(error, chars, "%s:%d: %s", path, line, r.reason[0] ? r.reason :
			 "is no 'KEY = VALUE', section or comment of up to 199 letters; mend it");
		return false;
	}
	bad = together(&r.policy);
	if (bad) {
		snprintf(error, chars, "%s: for %s: %s", path, volume, bad);
		return false;
	}
	*p = r.policy;
	return true;
}
