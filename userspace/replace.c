// SPDX-License-Identifier: GPL-2.0-only
/*
 * cowprotect replace-diff: another device below NAME-diff, while the volume above
 * it keeps its table.
 */
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "area.h"
#include "device.h"
#include "held.h"
#include "lock.h"
#include "replace.h"
#include "report.h"
#include "witnessed.h"

static bool is_absent(const char *name)
{
	struct mapper_target t;
	bool absent;

	if (mapper_table(name, &t))
		return false;
	absent = !strcmp(t.type, "error");
	free(t.line);
	return absent;
}

/* @sectors: out, its size */
static int check_new(const struct volume *v, const char *operand, char path[PATH_MAX],
		     u64 *sectors)
{
	char area[NAME_AREA + 1];
	struct mapper_device held;
	struct area diff;
	struct fixed f;
	bool is_held;
	int ret;

	ret = device_path(operand, path);
	if (!ret)
		ret = held_open(&diff, path, O_RDONLY, &held, &is_held);
	if (ret)
		return ret;
	*sectors = diff.sectors;
	fixed_read(&f, &diff);
	area_letters(area, f.info.uuid);
	ret = TOOL_DEVICE;
	if (!diff.device)
		tool_error(operand, "the diff device is a file; make a loop device of it");
	else if (f.kind != COWP_AREA_OURS)
		tool_error(operand,
			   "holds no sound diff area; check the name, or see cowprotect check");
	else if (strcmp(area, v->device.area))
		tool_error(operand, "holds the diff area of another volume; check the name");
	else if (diff.blocks < f.info.area_blocks)
		tool_error(operand, "is smaller than its diff area; bring a larger device");
	else
		ret = TOOL_OK;
	fixed_free(&f);
	area_close(&diff);
	return ret;
}

/* The volume has no device of ours between: its own table gets one. */
static int first_diff(const struct volume *v, const char *name, const char *path, u64 sectors)
{
	char *table;
	int ret;

	ret = held_attach(v->device.area, v->device.name, path, sectors);
	if (ret)
		return ret;
	if (asprintf(&table, "%s /dev/mapper/%s %u %s", v->live, name, v->chunk_sectors,
		     v->options) < 0)
		return TOOL_MEMORY;
	ret = volume_exchange(v->device.name, v->sectors, COWP_TARGET, table);
	free(table);
	if (ret)
		held_detach(v->device.area, HELD_LOOK);
	return ret;
}

static int take_away(const struct volume *v, const char *name)
{
	struct mapper_target t;
	int ret, error = mapper_table(name, &t);

	if (error) {
		tool_error(v->device.name,
			   "has no diff device that could be taken away; see cowprotect status %s",
			   v->device.name);
		return TOOL_DEVICE;
	}
	ret = volume_exchange(name, t.sectors, "error", "");
	free(t.line);
	return ret;
}

bool replace_lacks(const struct volume *v)
{
	char name[NAME_CHARS], number[NAME_CHARS];
	struct mapper_device d;

	if (!strcmp(v->diff, VOLUME_NO_DIFF))
		return true;
	name_of(name, v->device.name, NAME_DIFF, 0);
	if (mapper_find(name, &d) || is_absent(name))
		return false;
	held_below(&d, number);
	return !*number;
}

int replace_diff(const struct volume *v, const char *operand)
{
	char name[NAME_CHARS], path[PATH_MAX], line[PATH_MAX + 8];
	struct mapper_device d;
	u64 sectors;
	int ret = check_new(v, operand, path, &sectors);

	if (ret)
		return ret;
	name_of(name, v->device.name, NAME_DIFF, 0);
	if (!strcmp(v->diff, VOLUME_NO_DIFF) || mapper_find(name, &d))
		return first_diff(v, name, path, sectors);
	snprintf(line, sizeof(line), "%s 0", path);
	return volume_exchange(name, sectors, "linear", line);
}

/* One that had none takes it up by itself. */
static int settle(struct volume *v)
{
	return volume_settle(v, strcmp(v->diff, VOLUME_NO_DIFF) ? COWP_FAULT_NONE :
			     v->info.fault);
}

int replace_if_lacking(const char *name, const char *operand)
{
	bool lacked = false;
	int lock, ret = lock_volume(name, &lock);
	struct volume v;

	if (ret)
		return ret;
	ret = volume_open(&v, name);
	if (!ret) {
		lacked = replace_lacks(&v);
		if (lacked)
			ret = replace_diff(&v, operand);
	}
	lock_end(lock);
	if (!ret && lacked)
		ret = settle(&v);
	if (!ret)
		report_fault(&v, stderr);
	volume_close(&v);
	return ret;
}

static int replace(const struct volume *v, const char *operand)
{
	char name[NAME_CHARS];

	name_of(name, v->device.name, NAME_DIFF, 0);
	if (!strcmp(operand, VOLUME_NO_DIFF))
		return take_away(v, name);
	if (!v->info.fault && !is_absent(name) && strcmp(v->diff, VOLUME_NO_DIFF)) {
		tool_error(v->device.name,
			   "has a diff device and no fault; take that one away first: cowprotect replace-diff %s -",
			   v->device.name);
		return TOOL_BUSY;
	}
	return replace_diff(v, operand);
}

static int run(const struct tool_action *a, int argc, char **argv)
{
	struct volume v;
	int ret;

	if (tool_option(a, argc, argv) || tool_operands(a, argc, argv))
		return TOOL_USAGE;
	ret = volume_open(&v, argv[optind]);
	if (ret)
		return ret;
	ret = replace(&v, argv[optind + 1]);
	if (!ret)
		ret = settle(&v);
	if (!ret) {
		report_status(&v, stdout);
		witnessed_review(&v);
	}
	volume_close(&v);
	return ret;
}

const struct tool_action action_replace_diff = {
	.name = "replace-diff",
	.operands = "NAME DIFFDEV",
	.summary = "exchange the device that the diff area is on",
	.help =
	"For a disk that came back under another name, or a copy of the diff area on another\n"
	"device. With \"-\" as DIFFDEV the present one is taken away: the volume has a fault from\n"
	"its next copy on, and the device can be copied. A new one must hold this volume's\n"
	"diff area. Type cowprotect clear NAME then.\n",
	.run = run,
};
