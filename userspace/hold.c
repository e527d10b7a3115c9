// SPDX-License-Identifier: GPL-2.0-only
/*
 * cowprotect hold and release: keep a diff area without a volume from being overwritten;
 * attach: give it to its volume.
 */
#include <fcntl.h>
#include <unistd.h>

#include "device.h"
#include "held.h"
#include "loss.h"
#include "replace.h"
#include "volume.h"

/* Of a damaged area the state may tell what no root tells any more. */
static bool area_uuid(const struct fixed *f, u8 uuid[16])
{
	static const u8 none[16];

	memcpy(uuid, f->info.uuid, 16);
	if (!memcmp(uuid, none, 16) && f->newest >= 0)
		memcpy(uuid, f->copy[f->newest].uuid, 16);
	return memcmp(uuid, none, 16);
}

static int hold(const struct area *a)
{
	char letters[NAME_AREA + 1];
	struct mapper_device d;
	struct fixed f;
	bool known;
	u8 uuid[16];

	fixed_read(&f, a);
	known = area_uuid(&f, uuid);
	fixed_free(&f);
	if (!a->device) {
		tool_error(a->path, "is a file, which cannot be held; make a loop device of it");
		return TOOL_DEVICE;
	}
	if (!known) {
		tool_error(a->path,
			   "holds no diff area, or none that says which it is; check the name, or see cowprotect check");
		return TOOL_DEVICE;
	}
	area_letters(letters, uuid);
	return held_take(letters, a->path, a->sectors, &d);
}

/* DIFFDEV, the one operand; @path is @area's name */
static int open_operand(const struct tool_action *a, int argc, char **argv, char path[PATH_MAX],
			struct area *area)
{
	int ret;

	if (tool_option(a, argc, argv) || tool_operands(a, argc, argv))
		return TOOL_USAGE;
	ret = device_path(argv[optind], path);
	if (!ret)
		ret = mapper_ready();
	return ret ? ret : area_open(area, path, "diff device", O_RDONLY);
}

static int run_hold(const struct tool_action *a, int argc, char **argv)
{
	char path[PATH_MAX];
	struct area area;
	int ret = open_operand(a, argc, argv, path, &area);

	if (ret)
		return ret;
	ret = hold(&area);
	area_close(&area);
	return ret;
}

const struct tool_action action_hold = {
	.name = "hold",
	.operands = "DIFFDEV",
	.summary = "keep a diff area without a volume from being overwritten by accident",
	.help =
	"The small read-only device /dev/mapper/cowprotect-AREA claims the diff device, so\n"
	"that wipefs, mkfs, pvcreate and the like find it in use; activate takes it over.\n"
	"udev does this to an area that has snapshots or is protected, and deactivate does,\n"
	"so that it need not be typed. Nothing is done where it is held or has a volume.\n"
	"What writes without asking for a claim, as dd does, is not stopped.\n",
	.run = run_hold,
};

/* ---- release ---- */

static int release(const char *path)
{
	struct mapper_device d;
	struct area area;
	struct loss l;
	int ret;

	if (!held_find(path, &d)) {
		tool_error(path,
			   "is not held, or belongs to an active volume; see cowprotect list");
		return TOOL_DEVICE;
	}
	ret = area_open(&area, path, "diff device", O_RDONLY);
	if (ret)
		return ret;
	loss_tell(&l, &area, "are not guarded any more");
	loss_free(&l);
	area_close(&area);
	return volume_remove(d.name);
}

static int run_release(const struct tool_action *a, int argc, char **argv)
{
	char path[PATH_MAX];
	int ret;

	if (tool_option(a, argc, argv) || tool_operands(a, argc, argv))
		return TOOL_USAGE;
	ret = device_path(argv[optind], path);
	if (!ret)
		ret = mapper_ready();
	return ret ? ret : release(path);
}

const struct tool_action action_release = {
	.name = "release",
	.operands = "DIFFDEV",
	.summary = "let go of a diff area that is held",
	.help =
	"For a device that is to be detached, or given to something else. Tells which\n"
	"snapshots are not guarded any more. Of a device that is gone name the one that holds\n"
	"its area, /dev/mapper/cowprotect-AREA.\n",
	.run = run_release,
};

/* ---- attach ---- */

static int run_attach(const struct tool_action *a, int argc, char **argv)
{
	char path[PATH_MAX], letters[NAME_AREA + 1];
	struct mapper_device volume;
	struct area area;
	struct fixed f;
	bool good;
	int ret = open_operand(a, argc, argv, path, &area);

	if (ret)
		return ret;
	fixed_read(&f, &area);
	good = f.kind == COWP_AREA_OURS;
	area_letters(letters, f.info.uuid);
	fixed_free(&f);
	area_close(&area);
	if (!good) {
		tool_error(path,
			   "holds no sound diff area; check the name, or see cowprotect check");
		return TOOL_DEVICE;
	}
	if (mapper_find_role(letters, NAME_LIVE, &volume))
		return TOOL_OK;
	return replace_if_lacking(volume.name, path);
}

const struct tool_action action_attach = {
	.name = "attach",
	.operands = "DIFFDEV",
	.summary = "give a diff area that has come to the active volume that waits for it",
	.help =
	"udev does this to each diff area that appears, so that it need not be typed. Nothing\n"
	"is done where no active volume has this diff area, where the volume has its diff\n"
	"device, or where that was taken away on purpose (cowprotect replace-diff NAME -).\n",
	.run = run_attach,
};
