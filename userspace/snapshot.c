// SPDX-License-Identifier: GPL-2.0-only
/* cowprotect snapshot: of one volume, or of several at one instant. */
#include <signal.h>
#include <stdlib.h>

#include "area.h"
#include "freeze.h"
#include "volume.h"

#define FREEZE_SECONDS	10U
#define MAX_SECONDS	60U

struct options {
	char label[2 * COWP_LABEL_BYTES];
	u32 seconds;
	bool no_freeze;
};

/*
 * struct member - a volume of the set
 * @id:		of the snapshot that was made, 0: none
 */
struct member {
	struct volume volume;
	u32 id;
};

/* As the message wants it: device-mapper takes a backslash for a quote. */
static const char *take_label(struct options *o, const char *text)
{
	char *to = o->label;
	const char *c;
	u64 n;

	if (!*text || strlen(text) >= COWP_LABEL_BYTES)
		return "is not 1 to 63 letters";
	if (!strcmp(text, "-"))
		return "stands for no label";
	if (!tool_number(text, ~0ULL, &n))
		return "is a number, as ids are";
	for (c = text; *c; c++) {
		if (*c <= ' ' || *c > '~')
			return "has a blank or a letter that cannot be printed";
		if (*c == '\\')
			*to++ = '\\';
		*to++ = *c;
	}
	*to = 0;
	return NULL;
}

static int take_options(struct options *o, const struct tool_action *a, int argc, char **argv)
{
	const char *bad;
	u64 n;
	int c;

	o->seconds = FREEZE_SECONDS;
	while ((c = tool_option(a, argc, argv)) > 0) {
		switch (c) {
		case 'l':
			bad = take_label(o, optarg);
			if (bad)
				return tool_usage(a, "--label: '%s' %s", optarg, bad);
			break;
		case 't':
			bad = tool_number(optarg, MAX_SECONDS, &n);
			if (!bad && !n)
				bad = "is zero";
			if (bad)
				return tool_usage(a, "--freeze-timeout: '%s' %s", optarg, bad);
			o->seconds = n;
			break;
		case 'n':
			o->no_freeze = true;
			break;
		}
	}
	return c ? TOOL_USAGE : tool_operands(a, argc, argv);
}

static int create(struct member *m, const struct options *o)
{
	char *answer;
	int ret;

	ret = volume_message(&m->volume, &answer, "create_snapshot%s%s", *o->label ? " " : "",
			     o->label);
	if (!ret)
		m->id = answer ? strtoul(answer, NULL, 10) : 0;
	free(answer);
	return ret;
}

static void delete_all(struct member *set, u32 count)
{
	u32 i;

	for (i = 0; i < count; i++) {
		if (!set[i].id)
			continue;
		if (volume_message(&set[i].volume, NULL, "delete_snapshot %u", set[i].id))
			tool_error(set[i].volume.device.name,
				   "snapshot %u is not of the set's instant and could not be deleted; type cowprotect delete %s %u",
				   set[i].id, set[i].volume.device.name, set[i].id);
	}
}

/* Between the freeze and its end no signal ends the command: see run(). */
static int create_set(struct member *set, u32 count, const struct options *o)
{
	struct frozen *f = freeze_new();
	int ret = TOOL_OK, end;
	u32 i;

	for (i = 0; i < count && !ret && !o->no_freeze; i++)
		ret = freeze_add(f, set[i].volume.device.number);
	if (!ret)
		ret = freeze(f, o->seconds);
	for (i = 0; i < count && !ret; i++)
		ret = create(&set[i], o);
	end = thaw(f);
	ret = ret ? ret : end;
	if (ret)
		delete_all(set, count);
	return ret;
}

/* What cannot succeed is refused before anything stands still. */
static int check_member(const struct member *set, u32 nr)
{
	const struct volume *v = &set[nr].volume;
	const struct info *i = &v->info;
	u32 other;

	for (other = 0; other < nr; other++) {
		if (strcmp(set[other].volume.device.name, v->device.name))
			continue;
		tool_error(v->device.name, "is named twice; name each volume once");
		return TOOL_USAGE;
	}
	if (i->state != COWP_STATE_ACTIVE && i->state != COWP_STATE_NONE) {
		tool_error(v->device.name, "is %s; see cowprotect status %s",
			   cowp_state_words[i->state], v->device.name);
		return i->state == COWP_STATE_RECOVERING ? TOOL_BUSY : TOOL_FAILED;
	}
	if (i->snapshots >= COWP_MAX_SNAPSHOTS) {
		tool_error(v->device.name, "has %u snapshots, which is the most; delete some",
			   i->snapshots);
		return TOOL_FAILED;
	}
	return TOOL_OK;
}

static int run(const struct tool_action *a, int argc, char **argv)
{
	struct options o = { 0 };
	struct member *set;
	u32 count, opened;
	sigset_t all, old;
	int ret = take_options(&o, a, argc, argv);

	if (ret)
		return ret;
	count = argc - optind;
	set = xcalloc(count, sizeof(*set));
	for (opened = 0; opened < count && !ret; opened++) {
		ret = volume_open(&set[opened].volume, argv[optind + opened]);
		if (!ret)
			ret = check_member(set, opened);
	}
	if (!ret) {
		sigfillset(&all);
		sigprocmask(SIG_BLOCK, &all, &old);
		ret = create_set(set, count, &o);
		sigprocmask(SIG_SETMASK, &old, NULL);
	}
	while (opened) {
		struct member *m = &set[--opened];

		volume_close(&m->volume);
	}
	for (opened = 0; opened < count && !ret; opened++)
		printf("%s %u\n", set[opened].volume.device.name, set[opened].id);
	free(set);
	return ret;
}

static const struct tool_option options[] = {
	{ 'l', "label", "LABEL", "up to 63 letters without blanks, and not only digits; kept\n"
	  "with the snapshot" },
	{ 't', "freeze-timeout", "SECS",
	  "how long file systems may stand still: 1 to 60, 10 if not\n"
	  "given; a snapshot that takes longer is not made" },
	{ 'n', "no-freeze", NULL, "do not freeze what is mounted" },
	{ }
};

const struct tool_action action_snapshot = {
	.name = "snapshot",
	.operands = "NAME...",
	.summary = "make a snapshot of a volume, or of several at one instant",
	.options = options,
	.help =
	"File systems that are mounted from the volumes, or from devices on them, are frozen\n"
	"meanwhile, and thawed whatever happens. If one volume's snapshot cannot be made, no\n"
	"volume gets one. Prints a line for each: NAME ID.\n",
	.run = run,
};
