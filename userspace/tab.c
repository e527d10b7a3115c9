// SPDX-License-Identifier: GPL-2.0-only
/*
 * /etc/cowprotecttab:
 *
 *	NAME LIVEDEV DIFFDEV OPTION[,OPTION]...
 *
 * in words between blanks, as in crypttab(5).  OPTION is uuid=UUID, which has to
 * be there, chunk=SIZE, noauto, nofail, or one of the volume's table.
 */
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <uuid/uuid.h>

#include "area.h"
#include "area-options.h"
#include "device.h"
#include "tab.h"

#define WORDS	4U
#define BLANKS	" \t\r\n"

/**
 * struct place - where an error is
 * @path:	of the file
 * @line:	number
 * @tab:	counts it
 */
struct place {
	const char *path;
	u32 line;
	struct tab *tab;
};

__printf(2, 3)
static bool wrong(const struct place *at, const char *fmt, ...)
{
	char where[PATH_MAX + 16], text[512];
	va_list args;

	snprintf(where, sizeof(where), "%s:%u", at->path, at->line);
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	tool_error(where, "%s", text);
	at->tab->errors++;
	return false;
}

/* chunk=SIZE */
static bool take_chunk(const struct place *at, struct tab_volume *v, const char *text)
{
	const char *bad = area_option_chunk(text, &v->chunk_sectors);

	if (bad)
		return wrong(at, "chunk: '%s' %s; give the area's (cowprotect dump DIFFDEV)", text,
			     bad);
	return true;
}

/* uuid=UUID: of no other volume */
static bool take_uuid(const struct place *at, struct tab_volume *v, const char *text)
{
	const char *bad;
	size_t i;

	if (!uuid_is_null(v->uuid))
		return wrong(at, "uuid is there twice; leave one away");
	bad = area_option_uuid(text, v->uuid);
	if (bad)
		return wrong(at, "uuid: '%s' %s; give that which cowprotect format has printed",
			     text, bad);
	for (i = 0; i < at->tab->count; i++)
		if (!uuid_compare(at->tab->volumes[i].uuid, v->uuid))
			return wrong(at,
				     "uuid: '%s' is the diff area of volume %s in line %u; give this one's",
				     text, at->tab->volumes[i].name, at->tab->volumes[i].line);
	return true;
}

/* One that is not of the volume's table; @ours: out */
static bool take_own(const struct place *at, struct tab_volume *v, const char *option, bool *ours)
{
	*ours = true;
	if (!strncmp(option, "chunk=", 6))
		return take_chunk(at, v, option + 6);
	if (!strncmp(option, "uuid=", 5))
		return take_uuid(at, v, option + 5);
	if (!strcmp(option, "noauto"))
		v->noauto = true;
	else if (!strcmp(option, "nofail"))
		v->nofail = true;
	else
		*ours = false;
	return true;
}

static bool take_options(const struct place *at, struct tab_volume *v, char *list)
{
	char *option, *rest;
	const char *bad;
	bool ours;

	for (option = strtok_r(list, ",", &rest); option; option = strtok_r(NULL, ",", &rest)) {
		if (!take_own(at, v, option, &ours))
			return false;
		if (ours)
			continue;
		bad = table_options_take(&v->options, option);
		if (bad)
			return wrong(at, "'%s' %s; see cowprotecttab(5)", v->options.wrong, bad);
	}
	if (uuid_is_null(v->uuid))
		return wrong(at,
			     "uuid= is missing; give the diff area's (cowprotect dump DIFFDEV)");
	return true;
}

static bool take_device(const struct place *at, char to[TAB_DEVICE_CHARS], const char *word,
			const char *what)
{
	const char *bad;

	if (strlen(word) >= TAB_DEVICE_CHARS)
		return wrong(at, "the %s's name is longer than %u letters; give a shorter one",
			     what, TAB_DEVICE_CHARS - 1);
	bad = device_wrong(word);
	if (bad)
		return wrong(at, "%s: '%s' %s; give one of them", what, word, bad);
	strcpy(to, word);
	return true;
}

static bool take_volume(const struct place *at, struct tab_volume *v, char *word[WORDS])
{
	const struct tab_volume *other = tab_find(at->tab, word[0]);
	const char *bad = name_wrong(word[0]);

	memset(v, 0, sizeof(*v));
	v->line = at->line;
	v->chunk_sectors = COWP_BLOCK_SECTORS;
	if (bad)
		return wrong(at, "'%s' cannot be a volume's name: %s; give another", word[0], bad);
	if (other)
		return wrong(at, "there is a volume %s in line %u already; give another name",
			     word[0], other->line);
	strcpy(v->name, word[0]);
	if (!take_device(at, v->live, word[1], "live device") ||
	    !take_device(at, v->diff, word[2], "diff device"))
		return false;
	if (!strcmp(v->live, v->diff))
		return wrong(at,
			     "'%s' is the live and the diff device; give another for the diff area",
			     v->live);
	return take_options(at, v, word[3]);
}

/* Returns how many words there are; @more: out, the first behind the last that is taken */
static u32 split(char *line, char *word[WORDS], char **more)
{
	char *rest, *next;
	u32 count = 0;

	for (next = strtok_r(line, BLANKS, &rest);
	     next && count < WORDS && (count || *next != '#');
	     next = strtok_r(NULL, BLANKS, &rest))
		word[count++] = next;
	*more = count == WORDS ? next : NULL;
	return count;
}

static bool take_words(const struct place *at, char *word[WORDS], u32 count, const char *more)
{
	struct tab_volume v;

	if (more)
		return wrong(at, "'%s' is one word too many; %s", more, *more == '#' ?
			     "give a comment a line of its own" :
			     "options are parted by commas alone");
	if (count < WORDS)
		return wrong(at,
			     "has %u of %u words; give name, live device, diff device and options",
			     count, WORDS);
	if (!take_volume(at, &v, word))
		return false;
	at->tab->volumes = xrealloc(at->tab->volumes,
				    (at->tab->count + 1) * sizeof(*at->tab->volumes));
	at->tab->volumes[at->tab->count++] = v;
	return true;
}

static void take_stray(struct tab *tab, const char *live)
{
	if (device_wrong(live) || strlen(live) >= TAB_DEVICE_CHARS)
		return;
	tab->strays = xrealloc(tab->strays, (tab->stray_count + 1) * sizeof(*tab->strays));
	strcpy(tab->strays[tab->stray_count++], live);
}

static void take_line(const struct place *at, char *line)
{
	char *word[WORDS], *more;
	u32 count = split(line, word, &more);

	if (count && !take_words(at, word, count, more) && count > 1)
		take_stray(at->tab, word[1]);
}

const char *tab_file(void)
{
	const char *path = secure_getenv("COWPROTECTTAB");

	return path ? path : TAB_FILE;
}

int tab_read(struct tab *tab, const char *path)
{
	struct place at = { .path = path, .tab = tab };
	char *line = NULL;
	size_t room = 0;
	FILE *file;
	int error;

	memset(tab, 0, sizeof(*tab));
	file = fopen(path, "re");
	if (!file && errno == ENOENT)
		return TOOL_OK;
	if (!file) {
		error = errno;
		tool_error(path, "cannot be read: %s; see its owner and mode", strerror(error));
		return tool_ended(error);
	}
	while (getline(&line, &room, file) >= 0) {
		at.line++;
		take_line(&at, line);
	}
	error = ferror(file) ? EIO : 0;
	free(line);
	fclose(file);
	if (error)
		tool_error(path, "cannot be read to its end: %s; see the kernel log",
			   strerror(error));
	return tool_ended(error);
}

void tab_free(struct tab *tab)
{
	free(tab->volumes);
	free(tab->strays);
	memset(tab, 0, sizeof(*tab));
}

const struct tab_volume *tab_find(const struct tab *tab, const char *name)
{
	size_t i;

	for (i = 0; i < tab->count; i++)
		if (!strcmp(tab->volumes[i].name, name))
			return &tab->volumes[i];
	return NULL;
}
