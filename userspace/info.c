// SPDX-License-Identifier: GPL-2.0-only
/* The INFO line: words in a fixed order, "-" for what is not there. */
#include <errno.h>

#include "info.h"

#define WORD_CHARS	64

/* The next word, or "" at the end */
static void next(const char **line, char word[WORD_CHARS])
{
	size_t length;

	*line += strspn(*line, " ");
	length = strcspn(*line, " ");
	snprintf(word, WORD_CHARS, "%.*s", (int)min_t(size_t, length, WORD_CHARS), *line);
	*line += length;
}

static bool take_word(const char **line, const char * const *words, u32 count, u32 *nr)
{
	char word[WORD_CHARS];

	next(line, word);
	for (*nr = 0; *nr < count; (*nr)++)
		if (!strcmp(word, words[*nr]))
			return true;
	return false;
}

static bool to_number(const char *text, u64 max, u64 *n)
{
	char *rest;

	if (*text < '0' || *text > '9')
		return false;
	errno = 0;
	*n = strtoull(text, &rest, 10);
	return !*rest && !errno && *n <= max;
}

static bool take_number(const char **line, u64 *n)
{
	char word[WORD_CHARS];

	next(line, word);
	return to_number(word, ~0ULL, n);
}

static bool take_u32(const char **line, bool may_lack, u32 *n)
{
	char word[WORD_CHARS];
	u64 number = 0;

	next(line, word);
	if (!(may_lack && !strcmp(word, "-")) && !to_number(word, ~0U, &number))
		return false;
	*n = number;
	return true;
}

/* USED/TOTAL */
static bool take_pair(const char **line, bool may_lack, u64 *used, u64 *total)
{
	char word[WORD_CHARS], *slash;

	*used = 0;
	*total = 0;
	next(line, word);
	if (may_lack && !strcmp(word, "-"))
		return true;
	slash = strchr(word, '/');
	if (!slash)
		return false;
	*slash = 0;
	return to_number(word, ~0ULL, used) && to_number(slash + 1, ~0ULL, total);
}

const char *info_parse(struct info *i, const char *line)
{
	static const char * const low[] = { "-", "low" };
	static const char * const marks[] = { "-", "marked", "unmarked" };
	u32 nr;

	memset(i, 0, sizeof(*i));
	if (!take_word(&line, cowp_mode_words, COWP_MODE_COUNT, &nr))
		return "mode";
	i->mode = nr;
	if (!take_word(&line, cowp_state_words, COWP_STATE_COUNT, &nr))
		return "state";
	i->state = nr;
	if (!take_word(&line, cowp_fault_words, COWP_FAULT_COUNT, &nr))
		return "fault";
	i->fault = nr;
	if (!take_u32(&line, true, &i->error))
		return "errno";
	if (!take_pair(&line, true, &i->used, &i->total))
		return "used/total";
	if (!take_word(&line, low, ARRAY_SIZE(low), &nr))
		return "low water";
	i->low_water = nr;
	if (!take_u32(&line, false, &i->snapshots))
		return "snapshots";
	if (!take_u32(&line, true, &i->oldest) || !take_u32(&line, true, &i->newest))
		return "oldest or newest";
	if (!take_u32(&line, false, &i->held))
		return "held";
	if (!take_pair(&line, false, &i->memory_used, &i->memory_limit))
		return "memory";
	if (!take_number(&line, &i->preserved) || !take_number(&line, &i->batches) ||
	    !take_number(&line, &i->diff_writes) || !take_number(&line, &i->diff_flushes) ||
	    !take_number(&line, &i->diff_bytes))
		return "counters";
	if (!take_word(&line, marks, ARRAY_SIZE(marks), &nr))
		return "mark";
	i->mark = nr;
	return NULL;
}
