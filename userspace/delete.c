// SPDX-License-Identifier: GPL-2.0-only
/* cowprotect delete: snapshots by id, by label, or by age. */
#include <stdlib.h>

#include "volume.h"

struct options {
	bool oldest;
	bool keep;
	u64 kept;
};

static int delete_one(const struct volume *v, const struct snapshot *s)
{
	int ret;

	if (volume_has(v, NAME_SNAPSHOT, s->id)) {
		tool_error(v->device.name,
			   "snapshot %u is open; type cowprotect close %s %u", s->id,
			   v->device.name, s->id);
		return TOOL_BUSY;
	}
	ret = volume_message(v, NULL, "delete_snapshot %u", s->id);
	if (!ret)
		printf("%s %u\n", v->device.name, s->id);
	return ret;
}

/* All operands are looked up before any is deleted. */
static int delete_named(const struct volume *v, const struct snapshot *list, size_t count,
			char **operands, int nr)
{
	const struct snapshot *found;
	int i, ret = TOOL_OK;

	for (i = 0; i < nr && !ret; i++)
		ret = volume_find(v, list, count, operands[i], &found);
	for (i = 0; i < nr && !ret; i++) {
		ret = volume_find(v, list, count, operands[i], &found);
		if (!ret)
			ret = delete_one(v, found);
	}
	return ret;
}

static int delete_by_age(const struct volume *v, const struct snapshot *list, size_t count,
			 const struct options *o)
{
	size_t going = o->oldest ? 1 : count > o->kept ? count - o->kept : 0, i;
	int ret = TOOL_OK;

	if (o->oldest && !count) {
		tool_error(v->device.name, "has no snapshot; there is nothing to delete");
		return TOOL_DEVICE;
	}
	for (i = 0; i < going && !ret; i++)
		ret = delete_one(v, &list[i]);
	return ret;
}

static int take_options(struct options *o, const struct tool_action *a, int argc, char **argv)
{
	const char *bad;
	int c, named;

	while ((c = tool_option(a, argc, argv)) > 0) {
		o->oldest |= c == 'o';
		if (c != 'k')
			continue;
		o->keep = true;
		bad = tool_number(optarg, COWP_MAX_SNAPSHOTS, &o->kept);
		if (bad)
			return tool_usage(a, "--keep: '%s' %s", optarg, bad);
	}
	if (c || tool_operands(a, argc, argv))
		return TOOL_USAGE;
	named = argc - optind > 1;
	if (o->oldest + o->keep + named > 1)
		return tool_usage(a, "SNAPSHOT, --oldest and --keep exclude each other");
	if (o->oldest + o->keep + named == 0)
		return tool_usage(a, "SNAPSHOT, --oldest or --keep is missing");
	return TOOL_OK;
}

static int run(const struct tool_action *a, int argc, char **argv)
{
	struct snapshot *list = NULL;
	struct options o = { 0 };
	struct volume v;
	size_t count;
	int ret = take_options(&o, a, argc, argv);

	if (!ret)
		ret = volume_open(&v, argv[optind]);
	if (ret)
		return ret;
	ret = volume_snapshots(&v, &list, &count);
	if (!ret && (o.oldest || o.keep))
		ret = delete_by_age(&v, list, count, &o);
	else if (!ret)
		ret = delete_named(&v, list, count, argv + optind + 1, argc - optind - 1);
	free(list);
	volume_close(&v);
	return ret;
}

static const struct tool_option options[] = {
	{ 'o', "oldest", NULL, "the oldest snapshot" },
	{ 'k', "keep", "N", "the oldest ones, until N are left" },
	{ }
};

const struct tool_action action_delete = {
	.name = "delete",
	.operands = "NAME [SNAPSHOT...]",
	.summary = "delete snapshots for good",
	.options = options,
	.help =
	"SNAPSHOT is an id or a label. Space becomes free when the oldest are deleted.\n"
	"One that is open must be closed first. Prints a line for each: NAME ID.\n",
	.run = run,
};
