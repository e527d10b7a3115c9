// SPDX-License-Identifier: GPL-2.0-only
/* cowprotect list: the snapshots of the active volumes. */
#include <fcntl.h>
#include <stdlib.h>

#include "area.h"
#include "device.h"
#include "held.h"
#include "identity.h"
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

/* A diff area that is held; of which volume is in it. */
static void tell_held(const struct mapper_device *d)
{
	char node[NAME_CHARS + 16], number[NAME_CHARS], below[PATH_MAX] = "a device that is gone";
	struct identity id = { 0 };
	struct area a;
	struct fixed f;

	held_below(d, number);
	if (*number)
		device_shown(number, below);
	snprintf(node, sizeof(node), "/dev/mapper/%s", d->name);
	if (*number && !area_open(&a, node, "diff area", O_RDONLY)) {
		fixed_read(&f, &a);
		identity_read(&id, &a, f.info.uuid);
		fixed_free(&f);
		area_close(&a);
	}
	printf("%-16s is not active, its diff area on %s is held; see cowprotect dump\n",
	       *id.name ? id.name : d->name, below);
}

static int list_held(void)
{
	struct mapper_device *list;
	size_t count, i;
	int ret = volume_devices(NULL, &list, &count);

	if (ret)
		return ret;
	for (i = 0; i < count; i++)
		if (held_is(&list[i]))
			tell_held(&list[i]);
	free(list);
	return TOOL_OK;
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
	if (all && !json && !ret)
		ret = list_held();
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
	"is open. Without NAME: of all active volumes, and which diff areas are held.\n",
	.run = run,
};
