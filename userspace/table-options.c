// SPDX-License-Identifier: GPL-2.0-only
/* Options of a live volume's table line, as an administrator writes them. */
#include "table-options.h"
#include "tool.h"

/*
 * Not among them: "uuid", which is always there, and "format", which must not
 * stand in a line that is used again.
 */
static const struct {
	const char *word;
	u64 max;	/* of its number; 0: it has none */
} known[] = {
	{ "protect", 0 },
	{ "noprotect", 0 },
	{ "given_up", 0 },
	{ "error_if_blocked", 0 },
	{ "diff_wait_secs", 604800 },
	{ "grow_wait_secs", 604800 },
	{ "diff_timeout_secs", 604800 },
	{ "low_water", ~0ULL },
	{ "cache_kib", 1048576 },
	{ "discard_passdown", 0 },
	{ "discard_freed", 0 },
};

bool table_options_have(const struct table_options *o, const char *word)
{
	size_t length = strlen(word);
	const char *at = o->words;

	while ((at = strstr(at, word))) {
		if (at[-1] == ' ' && (!at[length] || at[length] == ' '))
			return true;
		at += length;
	}
	return false;
}

static const char *take_one(struct table_options *o, char *option)
{
	char *value = strchr(option, '=');
	const char *bad;
	size_t at;
	u64 n;
	u32 i;

	if (value)
		*value++ = 0;
	for (i = 0; i < ARRAY_SIZE(known); i++)
		if (!strcmp(option, known[i].word))
			break;
	if (i == ARRAY_SIZE(known))
		return "is no option of a volume";
	if (table_options_have(o, option))
		return "is there twice";
	if (value && !known[i].max)
		return "takes no value";
	if (!value && known[i].max)
		return "needs a value";
	bad = value ? tool_number(value, known[i].max, &n) : NULL;
	if (bad)
		return !strcmp(bad, "is too large") ? "has a value that is too large" :
						      "has a value that is not a number";
	at = strlen(o->words);
	if (at + strlen(option) + (value ? strlen(value) : 0) + 3 > sizeof(o->words))
		return "is one too many";
	sprintf(o->words + at, " %s%s%s", option, value ? " " : "", value ? value : "");
	o->count += value ? 2 : 1;
	if (table_options_have(o, "protect") && table_options_have(o, "noprotect"))
		return "excludes the other of protect and noprotect";
	return NULL;
}

const char *table_options_take(struct table_options *o, const char *list)
{
	char option[sizeof(o->wrong)];
	const char *bad;
	size_t length;

	do {
		length = strcspn(list, ",");
		snprintf(o->wrong, sizeof(o->wrong), "%.*s", (int)length, list);
		strcpy(option, o->wrong);
		bad = take_one(o, option);
		if (bad)
			return bad;
		list += length;
	} while (*list++);
	return NULL;
}
