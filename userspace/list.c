// SPDX-License-Identifier: GPL-2.0-only
/* cowprotect list: the snapshots of the active volumes. */
#include <stdlib.h>

#include "report.h"

static int list_one(const char *name, json_object *volumes)
{
	struct snapshot *list = NULL;
	struct volume v;
	size_t count;
	int ret = volume_open(&v, name);

	if (ret)
		return ret;
	ret = volume_snapshots(&v, &list, &count);
	if (!ret && volumes)
		json_object_array_add(volumes, report_snapshots_json(&v, list, count));
	else if (!ret && count)
		report_snapshots(&v, list, count, stdout);
	else if (!ret)
		printf("%-16s has no snapshot\n", v.device.name);
	free(list);
	volume_close(&v);
	return ret;
}

static int run(const struct tool_action *a, int argc, char **argv)
{
	json_object *volumes = NULL;
	char **names = argv;
	size_t count, i;
	bool json = false, all;
	int c, ret = TOOL_OK;

	while ((c = tool_option(a, argc, argv)) > 0)
		json = true;
	if (c || tool_operands(a, argc, argv))
		return TOOL_USAGE;
	all = optind == argc;
	names = argv + optind;
	count = argc - optind;
	if (all)
		ret = volume_names(&names, &count);
	if (!ret && !count && !json)
		puts("No volume is active.");
	if (json)
		volumes = json_object_new_array();
	for (i = 0; i < count && !ret; i++)
		ret = list_one(names[i], volumes);
	if (json && !ret)
		report_document(volumes, stdout);
	else
		json_object_put(volumes);
	if (all)
		names_free(names, count);
	return ret;
}

static const struct tool_option options[] = {
	{ 'j', "json", NULL, "for programs" },
	{ }
};

const struct tool_action action_list = {
	.name = "list",
	.operands = "[NAME...]",
	.summary = "show the active volumes and their snapshots, oldest first",
	.options = options,
	.help =
	"A line for each: volume, id, time of creation, size, label, and the device where it\n"
	"is open. Without NAME: of all active volumes.\n",
	.run = run,
};
