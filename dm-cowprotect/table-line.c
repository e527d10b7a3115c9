// SPDX-License-Identifier: GPL-2.0-only
/*
 * The words of a live target's table line.
 *
 *	<live dev> <diff dev | -> <chunk sectors> [<#words> <word>...]
 *
 * Each mistake has a text of its own, which says what would be right.
 */
#include <linux/slab.h>
#include <linux/uuid.h>
#include "budget.h"
#include "shell.h"
#include "table-line.h"

#define DIFF_WAIT_SECS		300U
#define GROW_WAIT_SECS		60U
#define DIFF_TIMEOUT_SECS	60U
#define MAX_SECS		(7U * 24 * 3600)
#define MIN_CACHE_KIB		64U
#define MAX_CACHE_KIB		1048576U

struct option {
	const char *word;
	const char *(*take)(struct cowp_line *line, const char *value);
	bool has_value;
};

static const char *take_protect(struct cowp_line *line, const char *value)
{
	if (line->cfg.have_mode)
		return "protect and noprotect: give one of them, once";
	line->cfg.have_mode = true;
	line->cfg.mode = COWP_MODE_PROTECTED;
	return NULL;
}

static const char *take_noprotect(struct cowp_line *line, const char *value)
{
	if (line->cfg.have_mode)
		return "protect and noprotect: give one of them, once";
	line->cfg.have_mode = true;
	line->cfg.mode = COWP_MODE_NORMAL;
	return NULL;
}

static const char *take_uuid(struct cowp_line *line, const char *value)
{
	uuid_t uuid;

	if (strlen(value) != UUID_STRING_LEN || uuid_parse(value, &uuid))
		return "uuid: expected 8-4-4-4-12 hexadecimal digits";
	if (uuid_is_null(&uuid))
		return "uuid: all zeros is no uuid";
	export_uuid(line->cfg.uuid, &uuid);
	line->cfg.have_uuid = true;
	return NULL;
}

static const char *take_given_up(struct cowp_line *line, const char *value)
{
	line->cfg.given_up = true;
	return NULL;
}

static const char *take_error_if_blocked(struct cowp_line *line, const char *value)
{
	line->error_if_blocked = true;
	return NULL;
}

static const char *take_discard_passdown(struct cowp_line *line, const char *value)
{
	line->discard_passdown = true;
	return NULL;
}

static const char *take_discard_freed(struct cowp_line *line, const char *value)
{
	line->cfg.discard_freed = true;
	return NULL;
}

static const char *take_format(struct cowp_line *line, const char *value)
{
	line->cfg.format = true;
	return NULL;
}

static bool seconds(const char *value, u64 *ms)
{
	unsigned int secs;

	if (kstrtouint(value, 10, &secs) || secs > MAX_SECS)
		return false;
	*ms = (u64)secs * MSEC_PER_SEC;
	return true;
}

static const char *take_diff_wait(struct cowp_line *line, const char *value)
{
	return seconds(value, &line->cfg.diff_wait_ms) ? NULL :
		"diff_wait_secs: expected seconds from 0 to 604800";
}

static const char *take_grow_wait(struct cowp_line *line, const char *value)
{
	return seconds(value, &line->cfg.grow_wait_ms) ? NULL :
		"grow_wait_secs: expected seconds from 0 to 604800";
}

static const char *take_diff_timeout(struct cowp_line *line, const char *value)
{
	return seconds(value, &line->cfg.diff_timeout_ms) ? NULL :
		"diff_timeout_secs: expected seconds from 1 to 604800, or 0 for no time-out";
}

static const char *take_low_water(struct cowp_line *line, const char *value)
{
	return kstrtou64(value, 10, &line->cfg.low_water) ?
		"low_water: expected a number of chunks" : NULL;
}

static const char *take_cache(struct cowp_line *line, const char *value)
{
	unsigned int kib;

	if (kstrtouint(value, 10, &kib) || kib < MIN_CACHE_KIB || kib > MAX_CACHE_KIB)
		return "cache_kib: expected KiB from 64 to 1048576";
	line->cfg.cache_blocks = kib / (COWP_BLOCK_SIZE / 1024);
	return NULL;
}

static const struct option options[] = {
	{ "protect", take_protect },
	{ "noprotect", take_noprotect },
	{ "uuid", take_uuid, true },
	{ "given_up", take_given_up },
	{ "error_if_blocked", take_error_if_blocked },
	{ "diff_wait_secs", take_diff_wait, true },
	{ "grow_wait_secs", take_grow_wait, true },
	{ "diff_timeout_secs", take_diff_timeout, true },
	{ "low_water", take_low_water, true },
	{ "cache_kib", take_cache, true },
	{ "discard_passdown", take_discard_passdown },
	{ "discard_freed", take_discard_freed },
	{ "format", take_format },
};

static const struct option *find_option(const char *word)
{
	u32 i;

	for (i = 0; i < ARRAY_SIZE(options); i++)
		if (!strcmp(options[i].word, word))
			return &options[i];
	return NULL;
}

static const char *unknown_option(const char *word)
{
	u32 i;

	DMERR("unknown option '%s': these are known:", word);
	for (i = 0; i < ARRAY_SIZE(options); i++)
		DMERR("%s%s", options[i].word, options[i].has_value ? " <value>" : "");
	return "Unknown option: the log lists those that are known";
}

static const char *parse_options(struct cowp_line *line, unsigned int argc, char **argv)
{
	u32 seen = 0;

	while (argc) {
		const struct option *o = find_option(argv[0]);
		const char *wrong;

		if (!o)
			return unknown_option(argv[0]);
		if (seen & BIT(o - options))
			return "An option is given twice: give each once";
		seen |= BIT(o - options);
		if (o->has_value && argc < 2)
			return "The last option lacks its value: count it in the number of words";
		wrong = o->take(line, o->has_value ? argv[1] : NULL);
		if (wrong)
			return wrong;
		argc -= 1 + o->has_value;
		argv += 1 + o->has_value;
	}
	if (line->cfg.format && line->cfg.have_mode && line->cfg.mode == COWP_MODE_PROTECTED)
		return "format excludes protect: send the message protect afterwards";
	if (line->cfg.format && line->cfg.given_up)
		return "format excludes given_up: a new area has no snapshots to give up";
	return NULL;
}

static const char *parse_chunk(struct cowp_line *line, const char *word)
{
	unsigned int sectors;

	if (kstrtouint(word, 10, &sectors) || !is_power_of_2(sectors) ||
	    sectors < COWP_BLOCK_SECTORS ||
	    sectors > COWP_MAX_CHUNK_BLOCKS * COWP_BLOCK_SECTORS)
		return "Chunk size: expected a power of two from 8 (4 KiB) to 2048 (1 MiB) sectors";
	line->cfg.chunk_blocks = sectors / COWP_BLOCK_SECTORS;
	return NULL;
}

static const char *parse(struct cowp_line *line, unsigned int argc, char **argv)
{
	const char *wrong;

	if (argc < 3)
		return "Expected <live dev> <diff dev | -> <chunk sectors> [<#words> <option>...]";
	wrong = parse_chunk(line, argv[2]);
	if (wrong)
		return wrong;
	if (argc > 3 && (kstrtouint(argv[3], 10, &line->nr_options) ||
			 line->nr_options != argc - 4))
		return "Number of option words: it must be the number of words that follow it";
	return parse_options(line, line->nr_options, argv + 4);
}

/* As given, for the status; names must outlive the constructor's arguments. */
static char *join(unsigned int argc, char **argv)
{
	size_t bytes = 1;
	unsigned int i;
	char *text, *to;

	for (i = 0; i < argc; i++)
		bytes += strlen(argv[i]) + 1;
	text = kzalloc(bytes, GFP_KERNEL);
	if (!text)
		return NULL;
	for (i = 0, to = text; i < argc; i++)
		to += sprintf(to, i ? " %s" : "%s", argv[i]);
	return text;
}

/**
 * cowp_line_parse - take a table line apart
 * @line:	out; cowp_line_free() it after success
 * @argc:	words
 * @argv:	words
 * @error:	out: what is wrong, and what would be right
 *
 * May sleep.  Returns 0, -EINVAL or -ENOMEM.
 */
int cowp_line_parse(struct cowp_line *line, unsigned int argc, char **argv, char **error)
{
	const char *wrong;

	memset(line, 0, sizeof(*line));
	line->cfg.diff_wait_ms = DIFF_WAIT_SECS * MSEC_PER_SEC;
	line->cfg.grow_wait_ms = GROW_WAIT_SECS * MSEC_PER_SEC;
	line->cfg.diff_timeout_ms = DIFF_TIMEOUT_SECS * MSEC_PER_SEC;
	line->cfg.cache_blocks = COWP_DEFAULT_CACHE_KIB / (COWP_BLOCK_SIZE / 1024);

	wrong = parse(line, argc, argv);
	if (wrong) {
		*error = (char *)wrong;
		return -EINVAL;
	}
	line->live = kstrdup(argv[0], GFP_KERNEL);
	line->diff = kstrdup(argv[1], GFP_KERNEL);
	line->options = join(line->nr_options, argv + 4);
	if (!line->live || !line->diff || !line->options) {
		cowp_line_free(line);
		*error = "No memory for the table line: free some";
		return -ENOMEM;
	}
	return 0;
}

/**
 * cowp_line_free - free a table line's copies
 * @line:	from cowp_line_parse()
 */
void cowp_line_free(struct cowp_line *line)
{
	kfree(line->live);
	kfree(line->diff);
	kfree(line->options);
}
