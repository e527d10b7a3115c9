// SPDX-License-Identifier: GPL-2.0-only
/* cowprotect deactivate: take a volume apart, the last made device first. */
#include <stdlib.h>
#include <unistd.h>

#include "held.h"
#include "lock.h"
#include "volume.h"

#define OPENED_TRIES	10U
#define OPENED_US	100000U

/* How often another device of ours has it open. */
static u32 below(const struct mapper_device *list, size_t count, const struct mapper_device *d)
{
	size_t i;

	if (d->role != NAME_SNAPSHOT)
		return 0;
	for (i = 0; i < count; i++)
		if (list[i].role == NAME_WRITABLE && list[i].id == d->id)
			return 1;
	return 0;
}

/* The diff device is the volume's own: it goes when that has gone. */
static const struct mapper_device *first_opened(const struct mapper_device *list, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (list[i].role != NAME_DIFF && list[i].opened > below(list, count, &list[i]))
			return &list[i];
	return NULL;
}

/* A diff device that does not answer is not asked what is on it. */
static bool has_fault(const char *volume)
{
	struct mapper_target t;
	struct info info;
	bool fault;

	if (mapper_status(volume, &t))
		return true;
	fault = info_parse(&info, t.line) || info.fault;
	free(t.line);
	return fault;
}

/* All or nothing: what is in use is told before anything is removed. */
static int deactivate(const char *area, bool let_go)
{
	enum held_end end = let_go ? HELD_LET_GO : HELD_LOOK;
	const struct mapper_device *opened = NULL;
	struct mapper_device *list;
	u32 tries = OPENED_TRIES;
	size_t count, i;
	int ret;

	for (;;) {
		ret = volume_devices(area, &list, &count);
		if (ret)
			return ret;
		opened = first_opened(list, count);
		/* udev looks at new devices for a moment. */
		if (!opened || !--tries)
			break;
		free(list);
		usleep(OPENED_US);
	}
	if (opened) {
		tool_error(opened->name, "is in use; unmount it or end what uses it");
		ret = TOOL_BUSY;
	}
	while (!ret && count && list[count - 1].role >= NAME_SNAPSHOT)
		ret = volume_remove(list[--count].name);
	/* The live volume before its diff device. */
	for (i = 0; !ret && i < count; i++) {
		if (list[i].role == NAME_DIFF) {
			ret = held_detach(area, end);
			continue;
		}
		if (!let_go && has_fault(list[i].name))
			end = HELD_KEEP;
		ret = volume_remove(list[i].name);
	}
	free(list);
	return ret;
}

/* Also what an activation that was cut short has left: the diff device alone. */
static bool find(const char *name, struct mapper_device *d)
{
	char diff[NAME_CHARS];

	name_of(diff, name, NAME_DIFF, 0);
	return (!mapper_find(name, d) && d->role == NAME_LIVE) ||
	       (!mapper_find(diff, d) && d->role == NAME_DIFF);
}

static int no_volume(const char *operand)
{
	tool_error(operand, "there is no such active volume; see cowprotect list");
	return TOOL_DEVICE;
}

static int by_name(const char *operand, bool let_go)
{
	const char *name = name_plain(operand);
	struct mapper_device d;
	int lock, ret = mapper_ready();

	if (ret)
		return ret;
	if (name_wrong(name))
		return no_volume(operand);
	ret = lock_volume(name, &lock);
	if (ret)
		return ret;
	ret = find(name, &d) ? deactivate(d.area, let_go) : no_volume(operand);
	lock_end(lock);
	return ret;
}

/* Is there an earlier device of this area?  Live volumes come before diff devices. */
static bool was_before(const struct mapper_device *list, size_t nr)
{
	size_t i;

	for (i = 0; i < nr; i++)
		if (!strcmp(list[i].area, list[nr].area))
			return true;
	return false;
}

/* With the lock of its name, also where only NAME-diff is there yet. */
static int of_area(const struct mapper_device *first, bool let_go)
{
	char name[NAME_CHARS];
	int lock, ret;

	name_volume(name, first->name, first->role, first->id);
	ret = lock_volume(name, &lock);
	if (ret)
		return ret;
	ret = deactivate(first->area, let_go);
	lock_end(lock);
	return ret;
}

/* As many as can be; the first error counts. */
static int all_volumes(bool let_go)
{
	struct mapper_device *list;
	size_t count, i;
	int ret = mapper_ready();

	if (!ret)
		ret = volume_devices(NULL, &list, &count);
	if (ret)
		return ret;
	for (i = 0; i < count; i++) {
		int one = was_before(list, i) ? TOOL_OK : of_area(&list[i], let_go);

		ret = ret ? ret : one;
	}
	free(list);
	return ret;
}

static int run(const struct tool_action *a, int argc, char **argv)
{
	bool all = false, let_go = false;
	int c, ret = TOOL_OK;

	while ((c = tool_option(a, argc, argv)) > 0) {
		all |= c == 'a';
		let_go |= c == 'r';
	}
	if (c || tool_operands(a, argc, argv))
		return TOOL_USAGE;
	if (all ? optind < argc : optind == argc)
		return tool_usage(a, all ? "--all and NAME exclude each other" :
				  "NAME or --all is missing");
	if (all)
		return all_volumes(let_go);
	for (; !ret && optind < argc; optind++)
		ret = by_name(argv[optind], let_go);
	return ret;
}

static const struct tool_option options[] = {
	{ 'a', "all", NULL, "all volumes, as far as they are not in use" },
	{ 'r', "release", NULL, "let go of the diff areas, too" },
	{ }
};

const struct tool_action action_deactivate = {
	.name = "deactivate",
	.operands = "[NAME...]",
	.summary = "take a volume down, with the devices of its snapshots",
	.options = options,
	.help =
	"Nothing is removed of a volume whose live volume or snapshots are in use.\n"
	"The snapshots stay in the diff area. One that has snapshots or is protected is held\n"
	"from then on, so that nothing overwrites it by accident: see cowprotect hold --help.\n",
	.run = run,
};
